"""Records of dialogs for the tests of rows and databases."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from dlgmgmt.dialog.did import encode_did
from dlgmgmt.dialog.record import DialogRecord, LegRecord
from dlgmgmt.dialog.views import EndedLeg

HOSTILE = (
    "nul \0 in it",
    "caf\udce9",  # bytes that are no UTF-8, as SIP text has them
    "\ud83d\ude00",  # two halves that are no character
    "\N{GRINNING FACE} four bytes",
    "'; DROP TABLE dialog_in; --",
    '"quoted, with a comma" <sip:a@b>',
    "%s %(name)s \\ \x7f \u2028 \ufeff",
    "long " * 6_000,
)
"""Texts that databases, drivers and encodings do not like."""


def leg(number: int = 0, **more: Any) -> LegRecord:
    """An acknowledged leg."""
    plain = LegRecord(
        to_tag=f"to-{number}",
        to_uri=f"sip:bob{number}@example.net",
        branch=number,
        caller_cseq=1,
        callee_cseq=1,
        callee_cseq_seen=False,
        callee_contact=f"sip:bob@192.0.2.{number % 250}:5060",
        callee_route_set=("<sip:192.0.2.7;lr>", "<sip:192.0.2.8;lr;did=1.2>"),
        callee_bind_addr="udp:127.0.0.1:5060",
        acked=True,
        confirmed_at=0.0,
        session_end=0.0,
        dflags=0,
        moved_by=(0, 0),
        referred=0,
        shifts=None,
    )
    return plain._replace(**more)


def record(number: int = 1, **more: Any) -> DialogRecord:
    """A confirmed dialog with one leg."""
    h_entry, h_id = number % 4096, number // 4096 + 1
    plain = DialogRecord(
        h_entry=h_entry,
        h_id=h_id,
        did=encode_did(h_entry, h_id),
        state=4,
        callid=f"call-{number}@192.0.2.1",
        from_tag=f"from-{number}",
        from_uri="sip:alice@example.org",
        to_uri="sip:bob@example.net",
        req_uri="sip:bob@example.net",
        first_req_cseq=1,
        caller_contact="sip:alice@192.0.2.1:5060",
        caller_route_set=(),
        caller_bind_addr="udp:127.0.0.1:5060",
        lifetime=43_200,
        init_ts=1_700_000_000,
        start_ts=1_700_000_004,
        timeout=1_700_043_204,
        session_ts=0,
        sflags=0,
        dflags=0,
        timeout_bye=False,
        timeout_noreset=False,
        keepalive=0,
        fix_contact=False,
        toroute="",
        profiles=(),
        variables=(),
        history=(),
        legs=(leg(),),
    )
    return plain._replace(**more)


def rich(number: int = 2) -> DialogRecord:
    """A dialog with everything that a dialog can have."""
    return record(
        number,
        state=7,
        caller_route_set=("<sip:198.51.100.1;lr>",),
        session_ts=1_700_001_800,
        sflags=0xFFFFFFFF,
        dflags=3,
        timeout_bye=True,
        timeout_noreset=True,
        keepalive=3,
        fix_contact=True,
        toroute="after",
        profiles=(("callers", "alice"), ("all", None), ("odd", "\0\udcff")),
        variables=(("account", "17"), ("empty", ""), ("text", "\N{GRINNING FACE}, 'x'")),
        history=(EndedLeg(0, "gone", 486, "rejected"), EndedLeg(2, "", 200, "bye")),
        legs=(
            leg(1, moved_by=(3, 4), referred=3, session_end=1_700_001_800.25, dflags=1),
            leg(
                2,
                acked=False,
                confirmed_at=1_700_000_009.123456,
                callee_cseq=4_294_967_295,
                callee_cseq_seen=True,
                shifts=(((), 0, 0, -1), (((-1, 2), (7, 3)), 1, 9, 4)),
            ),
        ),
    )


texts = st.one_of(st.text(max_size=12), st.sampled_from(HOSTILE[:-1]))
_names = texts.filter(bool)
_numbers = st.integers(0, 2**53 - 1)
_ids = st.integers(1, 0xFFFFFFFF)
_cseqs = st.integers(0, 0xFFFFFFFF)
_moments = st.floats(0, 2**52, allow_nan=False)
_routes = st.lists(texts, max_size=2).map(tuple)
_step = st.tuples(st.integers(-1, 2**31), st.integers(0, 99))
_direction = st.tuples(st.lists(_step, max_size=2).map(tuple), _cseqs, _cseqs, st.integers(-1, 99))
_shift = st.none() | st.tuples(_direction, _direction)

legs = st.builds(
    LegRecord, _names, texts, _numbers, _cseqs, _cseqs, st.booleans(), texts, _routes, texts,
    st.booleans(), _moments, _moments, _numbers, st.tuples(_cseqs, _cseqs), st.integers(0, 3),
    _shift,
)  # fmt: skip

records = st.builds(
    DialogRecord, st.integers(0, 0xFFFFFFFF), _ids, st.just("1.1"),
    st.sampled_from([4, 5, 7]), _names, _names, texts, texts, texts, _cseqs, texts, _routes, texts,
    _numbers, _numbers, _numbers, _numbers, _numbers, st.integers(0, 0xFFFFFFFF), _numbers,
    st.booleans(), st.booleans(), st.integers(0, 3), st.booleans(), texts,
    st.lists(st.tuples(texts, st.none() | texts), max_size=2).map(tuple),
    st.lists(st.tuples(_names, texts), max_size=2).map(tuple),
    st.lists(st.builds(EndedLeg, _numbers, texts, _numbers, texts), max_size=2).map(tuple),
    st.lists(legs, min_size=1, max_size=2, unique_by=lambda each: each.to_tag).map(tuple),
)  # fmt: skip
"""Any dialog that the table could hold, and worse."""
