"""Rows of a kamailio: their columns, and what its two modules tell alike of a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlgmgmt.dialog.cseq import MAX_CSEQ
from dlgmgmt.dialog.did import encode_did
from dlgmgmt.dialog.record import DialogRecord, LegRecord
from dlgmgmt.dialog.states import State
from dlgmgmt.storage.errors import RowFault
from dlgmgmt.storage.extras import split_routes

DEFAULT_LIFETIME = 43_200
"""Seconds; of a call whose row does not tell, the default of the modules."""

MAX_TEXT = 65_535


class Values:
    """The columns of one row, each read as what it has to be. Raises RowFault."""

    __slots__ = ("_row", "_table")

    def __init__(self, table: str, row: Mapping[str, Any]) -> None:
        self._table = table
        self._row = row

    @property
    def id(self) -> int:
        """The row's key."""
        number: int = self._row["id"]
        return number

    def fault(self, why: str) -> RowFault:
        """That something is wrong with the row."""
        return RowFault(self._table, self.id, why)

    def optional(self, name: str) -> str:
        """A text, "" for NULL."""
        value = self._row[name]
        if value is None:
            return ""
        if isinstance(value, bytes):
            value = value.decode(errors="surrogateescape")
        if not isinstance(value, str):
            value = str(value)
        if len(value) > MAX_TEXT:
            raise self.fault(f"{name} has more than {MAX_TEXT} characters")
        return value

    def text(self, name: str) -> str:
        """A text; NULL is a fault."""
        if self._row[name] is None:
            raise self.fault(f"{name} is NULL")
        return self.optional(name)

    def filled(self, name: str) -> str:
        """A text that is not empty."""
        value = self.text(name)
        if not value:
            raise self.fault(f"{name} is empty")
        return value

    def integer(self, name: str) -> int:
        """A number that is no less than 0."""
        value = self._row[name]
        if not isinstance(value, int) or value < 0:
            raise self.fault(f"{name} is {value!r:.40}, which is no number that can stand there")
        return value

    def flags(self, name: str) -> int:
        """32 bits, of which the highest is a sign in the database."""
        value = self._row[name]
        if not isinstance(value, int) or not -(2**31) <= value < 2**32:
            raise self.fault(f"{name} is {value!r:.40}, which is no set of flags")
        return value & 0xFFFF_FFFF

    def cseq(self, name: str) -> int:
        """The number of a CSeq header, which is a text in these tables."""
        value = self.text(name).strip()
        if not (value.isascii() and value.isdigit() and len(value) <= 10):
            raise self.fault(f"{name} is {value!r:.40}, which is no CSeq")
        number = int(value)
        if number > MAX_CSEQ:
            raise self.fault(f"{name} is {number}, which is no CSeq")
        return number

    def lifetime(self, now: float) -> tuple[int, int, int]:
        """When the call began and when it is to end (Unix seconds), and for how long that was."""
        start, timeout = self.integer("start_time"), self.integer("timeout")
        start = start or int(now)
        if timeout <= start:
            # No timer was set: the number is that of the server's own clock.
            return start, int(now) + DEFAULT_LIFETIME, DEFAULT_LIFETIME
        return start, timeout, timeout - start


def leg_of(
    values: Values,
    branch: int,
    caller_cseq: int,
    callee_cseq: int,
    confirmed_at: float,
    *,
    seen: bool,
) -> LegRecord:
    """The callee's side of a call, in a row of either module.

    confirmed_at: Unix seconds of an answer whose ACK is awaited, else 0.0. seen: whether the callee
    has really sent a request with its number.
    """
    return LegRecord(
        to_tag=values.filled("to_tag"),
        to_uri=values.text("to_uri"),
        branch=branch,
        caller_cseq=caller_cseq,
        callee_cseq=callee_cseq,
        callee_cseq_seen=seen,
        callee_contact=values.text("callee_contact"),
        callee_route_set=split_routes(values.optional("callee_route_set")),
        callee_bind_addr=values.optional("callee_sock"),
        acked=not confirmed_at,
        confirmed_at=confirmed_at,
        session_end=0.0,
        dflags=0,
        moved_by=(0, 0),
        referred=0,
        shifts=None,
    )


def dialog_of(
    values: Values,
    key: tuple[int, int],
    state: State,
    first_cseq: int,
    legs: tuple[LegRecord, ...],
    variables: list[tuple[int, str, str]],
    now: float,
) -> DialogRecord:
    """The caller's side, and what is not of a side. key: hash_entry, hash_id. now: Unix seconds."""
    start, timeout, lifetime = values.lifetime(now)
    return DialogRecord(
        h_entry=key[0],
        h_id=key[1],
        did=encode_did(*key),
        state=int(state),
        callid=values.filled("callid"),
        from_tag=values.filled("from_tag"),
        from_uri=values.text("from_uri"),
        to_uri=legs[0].to_uri,
        req_uri=values.text("req_uri"),
        first_req_cseq=first_cseq,
        caller_contact=values.text("caller_contact"),
        caller_route_set=split_routes(values.optional("caller_route_set")),
        caller_bind_addr=values.optional("caller_sock"),
        lifetime=lifetime,
        init_ts=start,
        start_ts=start,
        timeout=timeout,
        session_ts=0,
        sflags=values.flags("sflags"),
        dflags=0,
        timeout_bye=False,
        timeout_noreset=False,
        keepalive=0,
        fix_contact=False,
        toroute=values.optional("toroute_name"),
        profiles=(),
        variables=tuple((name, value) for _, name, value in variables),
        history=(),
        legs=legs,
    )
