"""Ending all, asking whether one is alive, saying its state; bridges."""

from __future__ import annotations

import dataclasses
import functools
import threading

import pytest

from dlgmgmt.commands.errors import CommandError, MgmtProtocol
from dlgmgmt.commands.pace import BURST, Pacer
from dlgmgmt.commands.results import (
    Alive,
    AllOrdered,
    BridgeList,
    BridgeOrdered,
    Result,
    StateSet,
    TerminationOrdered,
)
from dlgmgmt.dialog.states import State
from dlgmgmt.sip.bridges import MAX_BRIDGES
from tests.unit.commands.harness import ME, House

MI, RPC = MgmtProtocol.MI, MgmtProtocol.RPC
ALICE, BOB = "sip:alice@a.example", "sip:bob@b.example"


@pytest.fixture
def house() -> House:
    return House()


def run(house: House, name: str, *values: object, protocol: MgmtProtocol = RPC) -> Result:
    return house.dispatcher.call(protocol, name, [(None, value) for value in values], ME)


def refusal(
    house: House, name: str, *values: object, protocol: MgmtProtocol = RPC
) -> tuple[int, str]:
    with pytest.raises(CommandError) as caught:
        run(house, name, *values, protocol=protocol)
    return caught.value.code, caught.value.text


# -- ending ----------------------------------------------------------------------------------------


def test_every_name_of_end_dlg_ends_it(house: House) -> None:
    for protocol, name in ((MI, "dlg_end_dlg"), (RPC, "dlg.end_dlg"), (RPC, "dlg2.end_dlg")):
        dialog = house.call()
        numbers = str(dialog.entry.index), f"{dialog.h_id}  "
        result = run(house, name, *numbers, "X-Op: bob", protocol=protocol)
        assert isinstance(result, TerminationOrdered)
        assert house.terminator.ordered[-1].extra_headers == "X-Op: bob\r\n"
        assert refusal(house, name, *numbers, protocol=protocol)[0] == 404


def test_mi_end_dlg_of_a_ringing_call(house: House) -> None:
    dialog = house.invite()
    run(house, "dlg_end_dlg", str(dialog.entry.index), str(dialog.h_id), protocol=MI)
    assert [side.method for side in house.terminator.ordered[0].view.sides] == ["488"]


@pytest.mark.parametrize(
    ("values", "code", "text"),
    [
        ((), 400, "Too few or too many arguments"),
        (("1",), 400, "Too few or too many arguments"),
        (("abc", "1"), 400, "Bad parameter"),
        (("0xcdb", "1"), 400, "Bad parameter"),
        (("1", "2x"), 400, "Bad parameter"),
        (("1", "2", "no header"), 400, "Bad parameter"),
        (("99999", "1"), 404, "Requested Dialog not found"),
        (("1", "999999"), 404, "Requested Dialog not found"),
    ],
)
def test_mi_end_dlg_refusals(house: House, values: tuple[str, ...], code: int, text: str) -> None:
    assert refusal(house, "dlg_end_dlg", *values, protocol=MI) == (code, text)


def test_all_answered_calls_are_ended_and_no_other(house: House) -> None:
    for number in range(BURST - 5):
        house.call(f"{number}@x")
    house.reply(house.invite("no-ack@x"), 200)
    house.reply(house.invite("early@x"), 180)
    house.invite("new@x")
    ended = house.call("ended@x")
    house.terminator.by_id(ended.entry.index, ended.h_id, reason="before")
    del house.terminator.ordered[:]
    assert run(house, "dlg2.end_all_active_dlg") == AllOrdered(BURST - 4)
    # So few are ended before the answer.
    assert len(house.terminator.ordered) == BURST - 4
    assert {order.view.reason for order in house.terminator.ordered} == {"mi_terminated"}
    counts = house.table.counts()
    assert (counts.confirmed, counts.confirmed_no_ack, counts.early, counts.unconfirmed) == (
        0,
        0,
        1,
        1,
    )
    assert run(house, "dlg2.end_all_active_dlg") == AllOrdered(0)


def test_a_call_that_ended_meanwhile_does_not_hold_up_the_others(house: House) -> None:
    first, second = house.call("a@x"), house.call("b@x")
    held: list[object] = []
    house.pacer.run = held.extend  # type: ignore[assignment] # what it is given, later
    assert run(house, "dlg2.end_all_active_dlg") == AllOrdered(2)
    house.terminator.by_id(first.entry.index, first.h_id, reason="before")
    for job in held:
        assert callable(job)
        job()
    assert second.state is State.DELETED


def test_an_order_that_is_repeated_while_it_waits_adds_nothing(house: House) -> None:
    waiting, go_on = threading.Event(), threading.Event()

    def wait(_seconds: float) -> None:
        waiting.set()
        assert go_on.wait(10)

    for number in range(3 * BURST):
        house.call(f"{number}@x")
    pacer = Pacer(0.1, wait)
    house.dispatcher.context = dataclasses.replace(house.context, pacer=pacer)
    assert run(house, "dlg2.end_all_active_dlg") == AllOrdered(3 * BURST)
    assert waiting.wait(10)
    assert len(pacer) == 2 * BURST
    assert run(house, "dlg2.end_all_active_dlg") == AllOrdered(2 * BURST)
    assert len(pacer) == 2 * BURST
    pacer.stop()
    go_on.set()


def test_the_pace() -> None:
    done: list[int] = []
    waits: list[int] = []
    over = threading.Event()

    def wait(_seconds: float) -> None:
        waits.append(len(done))

    def job(number: int) -> None:
        done.append(number)
        if number == 3:
            raise ValueError("one that fails")
        if number == 2 * BURST + 9:
            over.set()

    pacer = Pacer(0.1, wait)
    pacer.run(lambda n=n: job(n) for n in range(2 * BURST + 10))  # type: ignore[misc]
    assert done[:BURST] == list(range(BURST))
    assert over.wait(10)
    assert done == list(range(2 * BURST + 10))
    assert waits[:2] == [BURST, 2 * BURST]
    assert len(pacer) == 0


def test_what_is_not_done_when_the_daemon_stops() -> None:
    done: list[int] = []
    waiting, go_on, idle = threading.Event(), threading.Event(), threading.Event()

    def wait(_seconds: float) -> None:
        waiting.set()
        assert go_on.wait(10)

    pacer = Pacer(0.1, wait)
    pacer.run(functools.partial(done.append, number) for number in range(3 * BURST))
    assert waiting.wait(10)
    pacer.stop()
    go_on.set()
    assert len(pacer) == 0
    # It takes orders again.
    while True:
        pacer.run([idle.set])
        if idle.wait(0.1):
            break
    assert done == list(range(BURST))


# -- alive, and its state --------------------------------------------------------------------------


def test_is_alive(house: House) -> None:
    early = house.invite("early@x")
    house.reply(early, 180)
    no_ack = house.invite("no-ack@x")
    house.reply(no_ack, 200)
    house.call("call@x")
    tags = "uac-1", "uas5190-1"
    assert run(house, "dlg.is_alive", "call@x", *tags) == Alive()
    assert run(house, "dlg.is_alive", "call@x", *reversed(tags)) == Alive()
    assert run(house, "dlg.is_alive", "no-ack@x", *tags) == Alive()
    for values in (
        ("early@x", *tags),
        ("nope@x", *tags),
        ("call@x", "uac-1", "wrong"),
        ("call@x", "uac-1", ""),
    ):
        assert refusal(house, "dlg.is_alive", *values) == (404, "Dialog not found")
    few = (400, "Too few parameters (required callid, from-tag, to-tag)")
    assert refusal(house, "dlg.is_alive", "x") == few


def test_set_state(house: House) -> None:
    dialog = house.invite("a@x")
    house.reply(dialog, 200)
    named = "a@x", "uac-1", "uas5190-1"
    assert run(house, "dlg.set_state", *named, 3) == StateSet()
    assert run(house, "dlg.set_state", *named, 4) == StateSet()
    assert dialog.state is State.CONFIRMED
    for impossible in (1, 2, 3):
        refused = refusal(house, "dlg.set_state", *named, impossible)
        assert refused == (500, "Invalid state value")
    house.table.release(dialog)
    assert run(house, "dlg.set_state", *named, "5") == StateSet()
    assert house.table.find("a@x") == []
    assert house.terminator.ordered == []
    assert refusal(house, "dlg.set_state", *named, 5) == (500, "Dialog not found")


def test_two_answers_are_confirmed_to_the_dialog_module(house: House) -> None:
    dialog = house.call("a@x")
    house.reply(dialog, 200, "other")
    assert dialog.state is State.CONCURRENT
    assert run(house, "dlg.set_state", "a@x", "uac-1", "other", 4) == StateSet()
    assert dialog.state is State.CONCURRENT


@pytest.mark.parametrize(
    ("values", "code", "text"),
    [
        ((), 400, "Need the callid, from tag,to tag and state"),
        (("a@x", "uac-1", "uas5190-1"), 400, "Need the callid, from tag,to tag and state"),
        (("a@x", "uac-1", "uas5190-1", 9), 500, "Invalid state value"),
        (("a@x", "uac-1", "uas5190-1", 0), 500, "Invalid state value"),
        (("a@x", "uac-1", "uas5190-1", "deleted"), 500, "Invalid state value"),
        (("a@x", "uac-1", "", 5), 500, "Dialog not found"),
        (("x", "y", "z", 5), 500, "Dialog not found"),
    ],
)
def test_set_state_refusals(house: House, values: tuple[object, ...], code: int, text: str) -> None:
    dialog = house.call("a@x")
    assert refusal(house, "dlg.set_state", *values) == (code, text)
    assert dialog.state is State.CONFIRMED


def test_a_ringing_call_is_not_forgotten(house: House) -> None:
    dialog = house.invite("a@x")
    house.reply(dialog, 180)
    refused = refusal(house, "dlg.set_state", "a@x", "uac-1", "uas5190-1", 5)
    assert refused == (500, "Invalid state value")
    assert dialog.state is State.EARLY


# -- bridges ---------------------------------------------------------------------------------------


def test_bridges(house: House) -> None:
    assert run(house, "dlg.bridge_dlg", ALICE, BOB) == BridgeOrdered(1)
    assert run(house, "dlg_bridge", ALICE, BOB, ".", protocol=MI) == BridgeOrdered(2)
    proxy = "sip:proxy.example;lr"
    assert run(house, "dlg.bridge_dlg", ALICE, BOB, proxy) == BridgeOrdered(3)
    for protocol, name in ((RPC, "dlg.bridges"), (MI, "dlg_bridges")):
        found = run(house, name, protocol=protocol)
        assert isinstance(found, BridgeList)
        assert [(each.id, each.proxy) for each in found.bridges] == [(1, ""), (2, ""), (3, proxy)]
        found = run(house, name, "3", protocol=protocol)
        assert isinstance(found, BridgeList)
        assert [each.id for each in found.bridges] == [3]
        assert refusal(house, name, "17", protocol=protocol) == (404, "Bridge not found")


@pytest.mark.parametrize(
    ("values", "mi"),
    [
        (("not-a-uri", BOB), "Server Internal Error"),
        ((ALICE, "not-a-uri"), "Bad To value"),
        ((ALICE, BOB, "not-a-uri"), "Server Internal Error"),
        ((ALICE, "sip:bob@b.example\r\nX-Evil: 1"), "Bad To value"),
        (("<sip:alice@a.example>", BOB), "Server Internal Error"),
        (("sip:" + "a" * 600 + "@a.example", BOB), "Server Internal Error"),
    ],
)
def test_addresses_that_cannot_be_bridged(house: House, values: tuple[str, ...], mi: str) -> None:
    assert refusal(house, "dlg_bridge", *values, protocol=MI) == (500, mi)
    assert refusal(house, "dlg.bridge_dlg", *values) == (500, "Invalid parameters")
    assert house.bridges.known == []


def test_bridges_that_lack_something(house: House) -> None:
    for values in ((), (ALICE,), (ALICE, BOB, ".", "more")):
        assert refusal(house, "dlg.bridge_dlg", *values) == (500, "Invalid parameters")
        refused = refusal(house, "dlg_bridge", *values, protocol=MI)
        assert refused == (400, "Too few or too many arguments")


def test_too_many_bridges(house: House) -> None:
    for _ in range(MAX_BRIDGES):
        run(house, "dlg.bridge_dlg", ALICE, BOB)
    assert refusal(house, "dlg.bridge_dlg", ALICE, BOB) == (503, "Too many exist")
    assert refusal(house, "dlg_bridge", ALICE, BOB, protocol=MI) == (503, "Too many exist")
