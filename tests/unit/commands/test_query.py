"""The commands that choose among all dialogs, end the chosen, and change one."""

from __future__ import annotations

import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlgmgmt.commands.errors import CommandError, Failure, MgmtProtocol
from dlgmgmt.commands.filters import STATES
from dlgmgmt.commands.results import Pending, Result, TerminationOrdered
from dlgmgmt.commands.results_query import (
    Changed,
    Flag,
    QueryPage,
    SweepStatus,
    SweptDialog,
    Variables,
)
from dlgmgmt.commands.sweeps import MAX_ACTIVE, MAX_OPEN, MAX_SWEEPS, End, Look, Sweep, Sweeps
from dlgmgmt.dialog.states import State
from dlgmgmt.dialog.views import SideOutcome, TerminationView
from dlgmgmt.interfaces import mi_render
from mi_fifo import MiReply, render_datagram
from tests.unit.commands.harness import ME, NOW, House

MI, RPC = MgmtProtocol.MI, MgmtProtocol.RPC


def run(house: House, name: str, *values: object, **named: object) -> Result:
    protocol = RPC if "." in name else MI
    arguments = [(None, value) for value in values] + list(named.items())
    return house.dispatcher.call(protocol, name, arguments, ME)


def refused(house: House, name: str, *values: object, **named: object) -> CommandError:
    with pytest.raises(CommandError) as caught:
        run(house, name, *values, **named)
    return caught.value


def page(house: House, **named: object) -> QueryPage:
    result = run(house, "dlg.query", **named)
    assert isinstance(result, QueryPage)
    return result


def callids(result: QueryPage) -> list[str]:
    return sorted(view.callid for view in result.views)


def sweep(
    house: House, name: str = "dlg.end_match", *values: object, **named: object
) -> SweepStatus:
    result = run(house, name, *values, **named)
    assert isinstance(result, SweepStatus)
    return result


def finished(house: House, begun: SweepStatus) -> SweepStatus:
    """What has become of it, once its thread has ended."""
    for thread in threading.enumerate():
        if thread.name == f"sweep-{begun.number}":
            thread.join(10)
    return sweep(house, "dlg.match_status", begun.number)


@pytest.fixture
def house() -> House:
    house = House()
    # Nobody sends and nobody answers here: what is ended stays open, and is waited for no longer
    # than this clock takes for 40 seconds.
    clock = iter(range(0, 1_000_000, 5))
    object.__setattr__(
        house.context,
        "sweeps",
        Sweeps(lambda: NOW, lambda: float(next(clock)), lambda _seconds: None),
    )
    return house


# -- dlg.query -------------------------------------------------------------------------------------


def test_each_filter_narrows_and_all_of_them_hold(house: House) -> None:
    house.wall = NOW - 100
    house.call("old@x", from_uri="sip:Alice@ims.example.com")
    house.wall = NOW - 10
    ringing = house.invite("ringing@x", to_uri="sip:carol@[2001:db8::1]:5070")
    house.reply(ringing, 180)
    house.wall = NOW
    new = house.call("new@x", contact="sip:alice@192.0.2.1:5070")
    house.table.set_flag(new, 7)
    house.table.set_var(new, "account", "4711=x")
    house.table.profiles.insert(new, "caller", "alice")
    house.table.profiles.insert(new, "inbound", None)
    for named, expected in (
        ({}, ["new@x", "old@x", "ringing@x"]),
        ({"callid": "old@x"}, ["old@x"]),
        ({"callid": "none@x"}, []),
        ({"caller": "sip:ALICE@*"}, ["new@x", "old@x", "ringing@x"]),
        ({"caller": "sip:alice@ims.example.co?"}, ["new@x", "old@x", "ringing@x"]),
        ({"caller": "alice"}, []),
        ({"callee": "sip:carol@[2001:db8::1]*"}, ["ringing@x"]),
        ({"state": "early"}, ["ringing@x"]),
        ({"state": "2, Confirmed"}, ["new@x", "old@x", "ringing@x"]),
        ({"min_age": 10}, ["old@x", "ringing@x"]),
        ({"max_age": "10"}, ["new@x", "ringing@x"]),
        ({"min_age": 10, "max_age": 10}, ["ringing@x"]),
        ({"profile": "caller"}, ["new@x"]),
        ({"profile": "caller=alice"}, ["new@x"]),
        ({"profile": "caller=bob"}, []),
        ({"profile": "inbound"}, ["new@x"]),
        ({"variable": "account"}, ["new@x"]),
        ({"variable": "account=4711=x"}, ["new@x"]),
        ({"variable": "account="}, []),
        ({"flag": 7}, ["new@x"]),
        ({"flag": 8}, []),
        ({"address": "192.0.2.1"}, ["new@x"]),
        ({"address": "192.0.2.1:5070"}, ["new@x"]),
        ({"address": "192.0.2.1:5060"}, []),
        ({"address": "192.0.2"}, []),
        ({"address": "127.0.0.1:5170"}, ["new@x", "old@x", "ringing@x"]),
        ({"flag": 7, "state": "early"}, []),
    ):
        found = page(house, **named)
        assert (callids(found), found.total, found.cursor) == (expected, len(expected), None), named


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({"state": "ringing"}, "state is one of"),
        ({"state": ""}, "state is one of"),
        ({"min_age": -1}, "min_age is a number"),
        ({"flag": 32}, "0 to 31"),
        ({"limit": 0}, "limit is a number from 1 to 1000"),
        ({"limit": 1001}, "limit is a number from 1 to 1000"),
        ({"sort": "caller"}, "sort is one of"),
        ({"address": "a b:c"}, "address is"),
        ({"address": "host:70000"}, "address is"),
        ({"profile": "inbound=x"}, "no values"),
        ({"caller": "*" * 257}, "at most 256"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "bm9uZQ"}, "cursor"),
        ({"cursor": "WyIiLDAsLTEsMCwwXQ"}, "cursor"),
        ({"cursor": "\udcff"}, "cursor"),
        ({"sort": "callid", "cursor": "WyJjYWxsaWQiLDEsMSwxLDFd"}, "cursor"),
    ],
)
def test_what_no_filter_is_is_refused(house: House, named: dict[str, object], words: str) -> None:
    error = refused(house, "dlg.query", **named)
    assert (error.code, error.failure) == (-32602, Failure.BAD_VALUE)
    assert words in error.detail
    over_mi = refused(house, "dlg_query", **named) if all(named.values()) else error
    assert words in f"{over_mi.text} {over_mi.detail}"


def test_a_profile_that_is_not_configured_is_named(house: House) -> None:
    error = refused(house, "dlg.query", profile="nope=1")
    assert (error.code, error.text) == (404, "Profile not found: nope")


def test_pages_go_on_where_the_one_before_ended(house: House) -> None:
    for number in range(7):
        house.call(f"{number}@x")
    first = page(house, limit=1)
    for sort in ("", "callid", "-callid", "created", "-age"):
        named: dict[str, object] = {"limit": 3, **({"sort": sort} if sort else {})}
        first = page(house, **named)
        second = page(house, **named, cursor=first.cursor)
        third = page(house, **named, cursor=second.cursor)
        assert [len(each.views) for each in (first, second, third)] == [3, 3, 1]
        assert {each.total for each in (first, second, third)} == {7}
        assert third.cursor is None
        seen = {view.callid for each in (first, second, third) for view in each.views}
        assert len(seen) == 7
    assert refused(house, "dlg.query", cursor=first.cursor).detail == (
        "cursor belongs to another sort"
    )
    assert len(page(house, cursor="").views) == 7


def test_a_pattern_of_many_stars_takes_no_time(house: House) -> None:
    house.call("a@x", from_uri="sip:" + "a" * 5000)
    assert page(house, caller="*a" * 120 + "b").total == 0


def test_mi_takes_the_filters_by_name_in_any_order(house: House) -> None:
    house.call("a@x")
    house.call("b@x")
    found = run(house, "dlg_query", limit="1", caller="sip:*", sort="callid")
    assert isinstance(found, QueryPage)
    assert (callids(found), found.total) == (["a@x"], 2)
    assert refused(house, "dlg_query", nonsense="1").failure is Failure.UNKNOWN_PARAMETER
    assert refused(house, "dlg_query", "a@x").failure is Failure.TOO_MANY


# -- dlg.kill --------------------------------------------------------------------------------------


def test_kill_ends_the_one_dialog_with_a_call_id(house: House) -> None:
    house.call("a@x")
    house.call("b@x")
    result = run(house, "dlg.kill", "a@x", "bill not paid")
    assert isinstance(result, TerminationOrdered)
    assert (result.record.callid, result.record.reason) == ("a@x", "bill not paid")
    assert [order.view.callid for order in house.terminator.ordered] == ["a@x"]
    assert refused(house, "dlg.kill", "a@x").code == 404
    assert refused(house, "dlg.kill", "none@x").code == 404
    over_mi = run(house, "dlg_kill", "b@x", reason="fraud")
    assert isinstance(over_mi, TerminationOrdered)
    assert over_mi.record.reason == "fraud"


def test_kill_lists_the_candidates_and_ends_none_of_several(house: House) -> None:
    one = house.call("a@x", "one")
    two = house.call("a@x", "two")
    error = refused(house, "dlg.kill", "a@x")
    places = " ".join(f"{each.entry.index}:{each.h_id}" for each in (one, two))
    assert (error.code, error.text) == (409, f"2 dialogs have this Call-ID: {places}")
    assert [view.from_tag for view in error.candidates] == ["one", "two"]
    assert not house.terminator.ordered
    result = run(house, "dlg.kill", callid="a@x", from_tag="two")
    assert isinstance(result, TerminationOrdered)
    assert result.record.from_tag == "two"
    # What is left is the only one.
    assert isinstance(run(house, "dlg.kill", "a@x"), TerminationOrdered)


def test_the_tags_of_a_kill_are_taken_in_either_order(house: House) -> None:
    house.call("a@x", "one")
    assert refused(house, "dlg.kill", callid="a@x", from_tag="two").failure is Failure.NO_DIALOG
    result = run(house, "dlg.kill", callid="a@x", from_tag="uas5190-1", to_tag="one")
    assert isinstance(result, TerminationOrdered)


@pytest.mark.parametrize("name", ["dlg.kill", "dlg.end_dlg", "dlg.terminate_dlg"])
def test_every_kill_takes_a_reason_and_waits(house: House, name: str) -> None:
    dialog = house.call("a@x", "one")
    targets: dict[str, dict[str, object]] = {
        "dlg.kill": {"callid": "a@x"},
        "dlg.end_dlg": {"h_entry": dialog.entry.index, "h_id": dialog.h_id},
        "dlg.terminate_dlg": {"callid": "a@x", "from_tag": "one", "to_tag": "uas5190-1"},
    }
    target = targets[name]
    for reason in ("", "a\r\nX: y", "x" * 201, "\udcff"):
        error = refused(house, name, **target, reason=reason)
        assert error.failure is Failure.BAD_VALUE
    for wait in (-1, 33):
        assert refused(house, name, **target, wait=wait).failure is Failure.BAD_VALUE
    assert not house.terminator.ordered
    result = run(house, name, **target, reason='say "no"', wait=5)
    assert isinstance(result, Pending)
    assert (result.record.reason, result.seconds) == ('say "no"', 5.0)
    answer, complete = result.look()
    assert (answer.record.id, complete) == (result.record.id, False)


# -- dlg.end_match ---------------------------------------------------------------------------------


def test_a_match_is_ended_only_if_it_is_as_large_as_expected(house: House) -> None:
    for number in range(3):
        house.call(f"{number}@x", from_uri="sip:fraud@example.com")
    good = house.call("good@x")
    named = {"caller": "sip:fraud@*"}
    assert refused(house, "dlg.end_match").failure is Failure.BAD_VALUE
    assert refused(house, "dlg.end_match", expect=4).detail == (
        "at least one of the filters is needed"
    )
    missing = refused(house, "dlg.end_match", **named)
    assert (missing.failure, missing.detail) == (
        Failure.TOO_FEW,
        "expect is missing: 3 dialogs fit",
    )
    wrong = refused(house, "dlg.end_match", **named, expect=2)
    assert (wrong.code, wrong.text) == (409, "3 dialogs fit, not 2")
    assert refused(house, "dlg_end_match", **named).text == "expect is missing: 3 dialogs fit"
    bad = refused(house, "dlg.end_match", **named, expect=3, headers="no header")
    assert bad.failure is Failure.BAD_HEADERS
    assert not house.terminator.ordered

    dry = sweep(house, **named, dry_run=True)
    assert (dry.number, dry.dry_run, dry.done, dry.matched, dry.ended) == (0, True, True, 3, 0)
    assert not house.terminator.ordered

    begun = sweep(house, **named, expect=3, reason="fraud", headers="X-Op: me")
    assert (begun.matched, begun.ended, begun.dry_run, begun.done) == (3, 0, False, False)
    done = finished(house, begun)
    assert (done.done, done.ended, done.answered, done.gone, done.changed) == (True, 3, 3, 0, 0)
    assert {each[:4] for each in done.dialogs} == {each[:4] for each in dry.dialogs}
    assert [order.view.reason for order in house.terminator.ordered] == ["fraud"] * 3
    assert {order.extra_headers for order in house.terminator.ordered} == {"X-Op: me\r\n"}
    for each in done.dialogs:
        assert each.outcome == "ended"
        assert {(leg.side, leg.method) for leg in each.sides} == {
            ("caller", "BYE"),
            ("callee", "BYE"),
        }
        assert run(house, "dlg.termination", each.termination)
    assert good.state is State.CONFIRMED
    assert sweep(house, **named, dry_run="yes").matched == 0


@given(st.integers(0, 2**32), st.sampled_from(sorted(STATES)))
@settings(max_examples=40, deadline=None)
def test_a_dry_run_shows_what_is_then_ended(seed: int, state: str) -> None:
    rng = random.Random(seed)
    house = House(hash_size=8)
    for number in range(20):
        dialog = house.invite(f"{number}@x")
        for _ in range(rng.randrange(3)):
            house.reply(dialog, rng.choice((180, 200)))
        if rng.random() < 0.5 and dialog.state in (State.CONFIRMED, State.CONFIRMED_NA):
            house.ack(dialog)
    clock = iter(range(0, 1_000_000, 50))
    sweeps = Sweeps(lambda: NOW, lambda: float(next(clock)), lambda _seconds: None)
    object.__setattr__(house.context, "sweeps", sweeps)
    dry = sweep(house, state=state, dry_run=True)
    done = finished(house, sweep(house, state=state, expect=dry.matched, limit=0))
    shown = {(each.h_entry, each.h_id) for each in dry.dialogs}
    ended = {(order.view.h_entry, order.view.h_id) for order in house.terminator.ordered}
    assert (done.done, shown) == (True, ended)


def swept(number: int) -> SweptDialog:
    return SweptDialog(1, number, f"{number}@x", "tag", "waiting", 0, ())


def ended(number: int, outcome: str = "pending") -> TerminationView:
    sides = (SideOutcome("caller", "b", "BYE", outcome), SideOutcome("callee", "b", "BYE", "200"))
    return TerminationView(number, 1, number, "x", "tag", "why", 1, sides)


def test_what_ends_by_itself_or_changes_meanwhile_is_left_alone(house: House) -> None:
    dialogs = [house.call(f"{number}@x") for number in range(3)]
    first, second, third = sorted(dialogs, key=lambda each: (each.entry.index, each.h_id))
    for dialog in dialogs:
        house.table.set_flag(dialog, 1)
    turns: list[int] = []

    def wait(_seconds: float) -> None:
        # After the first one's turn.
        turns.append(1)
        if len(turns) == 1:
            run(house, "dlg.kill", second.callid)
            run(house, "dlg.flag_reset", callid=third.callid, flag=1)

    clock = iter(range(1_000_000))
    sweeps = Sweeps(lambda: NOW, lambda: float(next(clock)), wait)
    object.__setattr__(house.context, "sweeps", sweeps)
    done = finished(house, sweep(house, flag=1, expect=3, rate=1))
    assert [(each.callid, each.outcome) for each in done.dialogs] == [
        (first.callid, "ended"),
        (second.callid, "gone"),
        (third.callid, "changed"),
    ]
    assert (done.ended, done.gone, done.changed) == (1, 1, 1)
    assert third.state is State.CONFIRMED


def test_a_sweep_keeps_its_rate_and_waits_for_phones_that_do_not_answer() -> None:
    sweep = Sweep(1, [swept(number) for number in range(MAX_OPEN + 10)], 100, 1)
    sweep.advance(lambda each: ended(each.h_id), 0.0, 7)
    assert sweep.status(0, 10).ended == 7
    sweep.advance(lambda each: ended(each.h_id), 0.0, 10_000)
    assert sweep.status(0, 10).ended == MAX_OPEN
    sweep.look(ended, 10.0)
    sweep.advance(lambda each: ended(each.h_id), 10.0, 10_000)
    assert sweep.status(0, 10).ended == MAX_OPEN
    sweep.look(lambda number: ended(number, "200"), 11.0)
    assert sweep.status(0, 10).answered == MAX_OPEN
    sweep.advance(lambda each: ended(each.h_id), 11.0, 10_000)
    assert sweep.status(0, 0).answered == MAX_OPEN
    sweep.look(ended, 60.0)
    assert sweep.answered
    page = sweep.status(MAX_OPEN, 8)
    assert (len(page.dialogs), page.after) == (8, MAX_OPEN + 8)
    assert sweep.status(MAX_OPEN + 8, 8).after is None
    assert sweep.status(10_000, 8).dialogs == ()


def started(sweeps: Sweeps, count: int, rate: int, finish: End, look: Look) -> Sweep | None:
    sweep = sweeps.add([swept(number) for number in range(count)], rate)
    if sweep is not None:
        sweeps.begin(sweep, finish, look)
    return sweep


def test_the_rate_is_kept_in_time() -> None:
    now = [0.0]
    at: list[float] = []

    def wait(seconds: float) -> None:
        now[0] += seconds

    sweeps = Sweeps(lambda: NOW, lambda: now[0], wait)

    def end(each: SweptDialog) -> TerminationView:
        at.append(now[0])
        return ended(each.h_id, "200")

    assert started(sweeps, 100, 20, end, lambda _: None)
    for thread in threading.enumerate():
        if thread.name == "sweep-1":
            thread.join(10)
    assert len(at) == 100
    assert 4.8 < at[-1] < 5.2
    assert all(sum(second <= moment < second + 1 for moment in at) <= 22 for second in range(5))


def test_only_some_sweeps_run_at_once_and_only_some_are_remembered() -> None:
    blocked = threading.Event()
    sweeps = Sweeps(lambda: NOW, lambda: 0.0, lambda _seconds: blocked.wait(10))
    running = [
        started(sweeps, 1, 1, lambda each: ended(each.h_id), ended) for _ in range(MAX_ACTIVE)
    ]
    assert all(running)
    assert started(sweeps, 1, 1, lambda each: ended(each.h_id), ended) is None
    sweeps.stop()
    blocked.set()
    for thread in threading.enumerate():
        if thread.name.startswith("sweep-"):
            thread.join(10)
    for number in range(MAX_SWEEPS + 3):
        assert started(sweeps, 0, 1, lambda each: ended(each.h_id), ended) is not None
        for thread in threading.enumerate():
            if thread.name.startswith("sweep-"):
                thread.join(10)
        assert sweeps.get(MAX_ACTIVE + number + 1) is not None
    assert sweeps.get(1) is None


def test_an_unknown_sweep_is_refused(house: House) -> None:
    assert refused(house, "dlg.match_status", 5).code == 404


# -- changes ---------------------------------------------------------------------------------------


def test_variables_are_set_and_told(house: House) -> None:
    dialog = house.call("a@x", "one")
    tags = ("a@x", "one", "uas5190-1")
    assert run(house, "dlg.var_set", *tags, "account", "4711") == Changed()
    numbers = {"h_entry": dialog.entry.index, "h_id": dialog.h_id}
    assert run(house, "dlg.var_set", key="other", value="", **numbers) == Changed()
    assert run(house, "dlg.var_get", *tags) == Variables({"account": "4711", "other": ""})
    assert run(house, "dlg.var_get", callid="a@x", key="account") == Variables({"account": "4711"})
    assert run(house, "dlg.var_set", *tags, "account") == Changed()
    error = refused(house, "dlg.var_get", *tags, "account")
    assert (error.code, error.text) == (404, "Variable not found")
    assert refused(house, "dlg.var_set", *tags, "k" * 65, "x").failure is Failure.BAD_VALUE


def test_the_dialog_of_a_change_is_named_in_one_way(house: House) -> None:
    house.call("a@x", "one")
    house.call("a@x", "two")
    few = refused(house, "dlg.flag_get", flag=1)
    assert few.detail == "callid, or h_entry and h_id, is missing"
    assert refused(house, "dlg.flag_get", flag=1, h_entry=1).failure is Failure.TOO_FEW
    both = refused(house, "dlg.flag_get", flag=1, h_entry=1, h_id=1, callid="a@x")
    assert both.failure is Failure.BAD_VALUE
    assert refused(house, "dlg.flag_get", flag=1, callid="a@x").code == 409
    assert refused(house, "dlg.flag_get", flag=1, h_entry=-1, h_id=5).code == 404
    assert refused(house, "dlg.flag_get", flag=1, callid="none").code == 404


def test_flags_are_set_and_cleared(house: House) -> None:
    dialog = house.call("a@x")
    assert run(house, "dlg.flag_get", callid="a@x", flag=5) == Flag(5, on=False)
    assert run(house, "dlg.flag_set", callid="a@x", flag=5) == Flag(5, on=True)
    assert run(house, "dlg.flag_get", callid="a@x", flag="5") == Flag(5, on=True)
    assert dialog.sflags == 32
    assert run(house, "dlg.flag_reset", callid="a@x", flag=5) == Flag(5, on=False)
    assert dialog.sflags == 0
    assert refused(house, "dlg.flag_set", callid="a@x", flag=32).failure is Failure.BAD_VALUE


def test_a_dialog_enters_a_profile_once_and_leaves_it(house: House) -> None:
    dialog = house.call("a@x")
    profiles = house.table.profiles
    for _ in range(2):
        assert run(house, "dlg.profile_set", callid="a@x", profile="caller", value="alice")
        assert run(house, "dlg.profile_set", callid="a@x", profile="inbound") == Changed()
    assert (profiles.size("caller", "alice"), profiles.size("inbound", None)) == (1, 1)
    profiles.insert(dialog, "caller", "alice")
    for name, value in (("caller", "alice"), ("inbound", None)):
        named = {"callid": "a@x", "profile": name, **({"value": value} if value else {})}
        assert run(house, "dlg.profile_unset", **named) == Changed()
        gone = refused(house, "dlg.profile_unset", **named)
        assert (gone.code, gone.failure) == (404, Failure.NO_MEMBER)
    assert profiles.sizes() == {"inbound": 0, "outbound": 0, "caller": 0, "gw": 0}
    for command in ("dlg.profile_set", "dlg.profile_unset"):
        assert refused(house, command, callid="a@x", profile="nope").code == 404
        error = refused(house, command, callid="a@x", profile="caller")
        assert error.failure is Failure.BAD_VALUE


def test_the_timeout_of_a_dialog_begins_anew(house: House) -> None:
    dialog = house.call("a@x")
    assert run(house, "dlg.timeout_set", callid="a@x", seconds=600) == Changed()
    assert (dialog.lifetime, dialog.timeout) == (600, int(NOW) + 600)
    assert refused(house, "dlg.timeout_set", callid="a@x", seconds=0).failure is Failure.BAD_VALUE


def test_what_has_ended_cannot_be_changed(house: House) -> None:
    dialog = house.call("a@x")
    house.terminator.by_id(dialog.entry.index, dialog.h_id, reason="test")
    named = {"h_entry": dialog.entry.index, "h_id": dialog.h_id, "flag": 1}
    assert refused(house, "dlg.flag_set", **named).failure is Failure.NO_DIALOG


# -- over MI ---------------------------------------------------------------------------------------


def lines(result: Result) -> list[str]:
    reply = MiReply(200, "OK", mi_render.render(result))
    return b"".join(render_datagram(reply)).decode().splitlines()[1:]


def test_a_page_and_a_sweep_as_mi_trees(house: House) -> None:
    for number in range(2):
        house.call(f"{number}@x")
    shown = lines(run(house, "dlg_query", limit="1"))
    assert shown[0].startswith("dialog::  hash=")
    assert shown[-2] == "total:: 2"
    name, _, cursor = shown[-1].partition(":: ")
    assert name == "cursor"
    rest = lines(run(house, "dlg_query", cursor=cursor))
    assert rest[-1] == "total:: 2"
    begun = run(house, "dlg_end_match", state="confirmed", expect="2", limit="1")
    assert isinstance(begun, SweepStatus)
    finished(house, begun)
    done = lines(run(house, "dlg_match_status", str(begun.number), limit="1"))
    assert done[:3] == [f"id:: {begun.number}", "done:: 1", "matched:: 2"]
    assert "\toutcome:: ended" in done
    assert done[-1] == "after:: 1"
    rest = lines(run(house, "dlg_match_status", str(begun.number), after="1"))
    assert sum(line.startswith("dialog::") for line in rest) == 1


def test_changes_as_mi_trees() -> None:
    assert lines(Changed()) == []
    assert lines(Flag(5, on=True)) == ["flag:: 1 number=5"]
    assert lines(Variables({"account": "4711"})) == ["variable:: 4711 name=account"]
