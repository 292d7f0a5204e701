"""Identity, matching and listing of dialogs."""

from __future__ import annotations

import logging
import random

import pytest

from dlgmgmt.dialog.did import encode_did
from dlgmgmt.dialog.errors import TableFull
from dlgmgmt.dialog.events import DialogEvent, EventType
from dlgmgmt.dialog.model import Direction
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.dialog.states import State
from dlgmgmt.dialog.table import BATCH, DialogTable
from dlgmgmt.dialog.views import DialogView
from tests.unit.dialog.harness import UNIX, Core, make_init, state_of, with_settings

# A JSON client can send these: code points that no UTF-8 text holds.
BEYOND_UTF8 = ("\ud800", "a\udfffb", "\udbff\udc00"[::-1])


@pytest.mark.parametrize("size", [0, -1, 3, 4095])
def test_hash_size_must_be_a_power_of_two(size: int) -> None:
    with pytest.raises(ValueError, match=f"not {size}"):
        DialogTable(
            DialogSettings(hash_size=size),
            wall=lambda: 0.0,
            monotonic=lambda: 0.0,
            rng=random.Random(1),
        )


def test_a_new_dialog_is_unconfirmed_and_holds_what_the_invite_said() -> None:
    core = Core()
    dialog = core.invite()
    view = core.table.get(dialog.entry.index, dialog.h_id)
    assert view is not None
    assert view.state == 1
    assert view.did == encode_did(view.h_entry, view.h_id)
    assert (view.callid, view.from_tag) == ("c1", "alice")
    assert (view.from_uri, view.to_uri) == ("sip:alice@a.example", "sip:bob@b.example")
    assert view.req_uri == "sip:bob@proxy.example"
    assert view.first_req_cseq == 10
    assert view.caller_contact == "sip:alice@192.0.2.1"
    assert view.caller_route_set == "<sip:192.0.2.9;lr>"
    assert view.caller_bind_addr == "udp:192.0.2.5:5060"
    assert (view.init_ts, view.start_ts, view.end_ts, view.timeout) == (int(UNIX), 0, 0, 0)
    assert view.legs == ()
    assert core.kinds() == [EventType.CREATED]
    assert core.check_counts().processed == 1


def test_ids_count_up_within_an_entry_from_a_random_start() -> None:
    core = with_settings(hash_size=1)
    ids = [core.invite(f"c{i}").h_id for i in range(5)]
    assert ids == list(range(ids[0], ids[0] + 5))
    assert ids[0] > 0


def test_ids_wrap_past_zero_and_past_those_in_use() -> None:
    core = with_settings(hash_size=1)
    entry = core.table.entry_at(0)
    assert entry is not None
    entry.next_id = 1
    first = core.invite("a")
    entry.next_id = 0xFFFFFFFF
    assert core.invite("b").h_id == 0xFFFFFFFF
    assert core.invite("c").h_id == 2
    assert first.h_id == 1


def test_a_full_table_refuses_and_takes_again_once_a_dialog_left() -> None:
    core = with_settings(max_dialogs=2)
    dialog = core.invite("a")
    core.invite("b")
    for _ in range(3):
        with pytest.raises(TableFull, match="2 dialogs"):
            core.table.open(make_init("c"))
    counts = core.check_counts()
    assert (counts.rejected, counts.processed) == (3, 2)
    assert core.table.find("c") == []
    core.tracker.invite_failed(dialog, 404)
    core.table.release(dialog)
    core.invite("c")
    assert core.check_counts().processed == 3


def test_an_invite_that_spirals_joins_its_dialog() -> None:
    core = Core()
    dialog = core.invite()
    again, new = core.table.open(make_init())
    assert again is dialog
    assert not new
    assert core.kinds() == [EventType.CREATED, EventType.SPIRALED]
    assert len(core.table) == 1
    assert dialog.holds == 1


def test_another_from_tag_is_another_dialog() -> None:
    core = Core()
    assert core.invite("c1", "alice") is not core.invite("c1", "zoe")
    assert [view.from_tag for view in core.table.find("c1")] == ["alice", "zoe"]
    assert [view.from_tag for view in core.table.find("c1", "zoe")] == ["zoe"]
    assert core.table.find("c1", "nobody") == []
    assert core.table.find("c2") == []


def test_an_invite_after_a_failed_one_is_a_new_dialog() -> None:
    core = Core()
    first = core.invite()
    core.tracker.invite_failed(first, 407)
    second = core.invite(cseq=11)
    assert second is not first
    assert core.check_counts().deleted == 1


def test_spirals_can_be_turned_off() -> None:
    core = with_settings(detect_spirals=False)
    assert core.invite() is not core.invite()


def test_get_answers_none_for_what_is_not_there() -> None:
    core = Core()
    dialog = core.invite()
    index = dialog.entry.index
    assert core.table.get(index, dialog.h_id + 1) is None
    assert core.table.get(-1, dialog.h_id) is None
    assert core.table.get(core.table.size, dialog.h_id) is None
    assert core.table.get(10**30, 1) is None


@pytest.mark.parametrize("callid", ["", "\udcff", chr(0xD800), "ü" * 1000, "a\x00b"])
def test_any_text_can_be_looked_for(callid: str) -> None:
    assert Core().table.find(callid) == []


def test_a_view_is_a_copy() -> None:
    core = Core()
    dialog = core.invite()
    (before,) = core.table.find("c1")
    core.answer(dialog)
    assert before.state == 1
    assert before.legs == ()


def test_a_listener_that_raises_is_logged_and_the_others_hear(
    caplog: pytest.LogCaptureFixture,
) -> None:
    core = Core()

    def bad(_: DialogEvent) -> None:
        raise RuntimeError("no")

    heard: list[DialogEvent] = []
    core.table.add_listener(bad)
    core.table.add_listener(heard.append)
    with caplog.at_level(logging.ERROR):
        dialog = core.invite()
        core.answer(dialog)
    assert [event.type for event in heard] == [EventType.CREATED, EventType.CONFIRMED_NA]
    assert len(caplog.records) == 2
    assert state_of(dialog) is State.CONFIRMED_NA


def test_listeners_are_called_with_no_lock_held() -> None:
    core = Core()
    free: list[bool] = []

    def listener(event: DialogEvent) -> None:
        entry = core.table.entry_at(event.h_entry)
        assert entry is not None
        free.append(not entry.lock.locked())
        core.table.find(event.callid)

    core.table.add_listener(listener)
    dialog, _ = core.call()
    core.down("INFO", 11)
    core.down("BYE", 12)
    core.table.release(dialog)
    assert core.kinds() == [
        EventType.CREATED,
        EventType.CONFIRMED_NA,
        EventType.CONFIRMED,
        EventType.REQUEST_WITHIN,
        EventType.TERMINATED,
        EventType.DESTROYED,
    ]
    assert free == [True] * 6


def listing(core: Core) -> list[DialogView]:
    return [view for batch in core.table.iter_views() for view in batch]


@pytest.mark.parametrize("hash_size", [1, 4, 4096])
@pytest.mark.parametrize("number", [0, 1, BATCH - 1, BATCH, BATCH + 1, 5 * BATCH + 3])
def test_a_listing_has_each_dialog_once(hash_size: int, number: int) -> None:
    core = with_settings(hash_size=hash_size)
    names = {core.invite(f"c{i}").callid for i in range(number)}
    views = listing(core)
    assert len(views) == number
    assert {view.callid for view in views} == names


def test_batches_stay_small() -> None:
    core = with_settings(hash_size=4)
    for i in range(7 * BATCH):
        core.invite(f"c{i}")
    assert all(0 < len(batch) < 2 * BATCH for batch in core.table.iter_views())


def test_no_lock_is_held_while_a_listing_is_read_and_the_living_are_in_it_once() -> None:
    core = with_settings(hash_size=2)
    dialogs = [core.invite(f"c{i}") for i in range(6 * BATCH)]
    doomed, living = dialogs[::3], [d for i, d in enumerate(dialogs) if i % 3]
    seen: list[str] = []
    for n, batch in enumerate(core.table.iter_views()):
        assert not any(d.entry.lock.locked() for d in dialogs)
        seen += [view.callid for view in batch]
        # While the reader has a batch, some calls come and others go.
        for dialog in doomed[n * 60 : (n + 1) * 60]:
            core.tracker.invite_failed(dialog, 486)
            core.table.release(dialog)
        for i in range(30):
            core.invite(f"new{n}-{i}")
    assert len(seen) == len(set(seen))
    assert {d.callid for d in living} <= set(seen)


def test_matching_by_did_and_by_tags() -> None:
    core = Core()
    dialog, leg = core.call()
    for did in (dialog.did, None, "0.0", "junk", encode_did(dialog.entry.index, 1)):
        match = core.down("INFO", 11, did=did)
        assert match is not None
        assert (match.dialog, match.leg, match.direction) == (dialog, leg, Direction.DOWNSTREAM)
        match = core.up("INFO", 12, did=did)
        assert match is not None
        assert (match.dialog, match.leg, match.direction) == (dialog, leg, Direction.UPSTREAM)


def test_a_did_of_another_call_does_not_match() -> None:
    core = with_settings(hash_size=1)
    core.call()
    other = core.invite("c2", "alice")
    core.reply(other, 200, "bob")
    match = core.down("INFO", 11, did=other.did)
    assert match is not None
    assert match.dialog.callid == "c1"


@pytest.mark.parametrize(
    ("callid", "from_tag", "to_tag"),
    [
        ("c2", "alice", "bob"),
        ("c1", "alice", "bobby"),
        ("c1", "mallory", "bob"),
        ("c1", "bob", "bob"),
        ("c1", "bob", ""),
        ("c1", "", "bob"),
        ("C1", "alice", "bob"),
    ],
)
def test_wrong_identity_matches_nothing_even_with_the_right_did(
    callid: str, from_tag: str, to_tag: str
) -> None:
    core = Core()
    dialog, _ = core.call()
    before = core.table.find("c1")
    assert core.tracker.request(dialog.did, callid, from_tag, to_tag, "BYE", 99) is None
    assert core.table.find("c1") == before


def test_of_two_dialogs_with_a_call_id_the_one_with_the_leg_is_matched() -> None:
    core = Core()
    first = core.invite()
    core.reply(first, 180, "bob")
    core.tracker.branch_failed(first, 0, 486, "bob", "rejected")
    core.tracker.invite_failed(first, 486)
    second = core.invite(cseq=11)
    leg = core.answer(second, "bob")
    match = core.down("INFO", 12)
    assert match is not None
    assert (match.dialog, match.leg) == (second, leg)
