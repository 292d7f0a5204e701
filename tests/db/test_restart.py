"""Calls live through SIGTERM and a new start, on every server and in every mode."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.db.harness.calls import KINDS, SCRIPT, Exchange
from tests.db.harness.servers import Server
from tests.db.harness.stage import Stage, differences
from tests.sip.harness.daemon import poll
from tests.sip.harness.ports import free_port
from tests.sip.harness.rpc import RpcError

Start = Callable[..., Stage]
Place = Callable[[Stage], Exchange]

ON_SQLITE = pytest.mark.parametrize("server", ["sqlite"], indirect=True)


def same(
    stage: Stage,
    before: dict[str, dict[str, Any]],
    *,
    without: tuple[str, ...] = (),
    soon: tuple[str, ...] = (),
) -> None:
    """The listing is what it was, field by field.

    without: fields that may differ. soon: calls that end by themselves, on a slow machine already.
    """
    after = stage.listing()
    gone = before.keys() - after.keys()
    assert gone <= set(soon), gone
    assert not after.keys() - before.keys()
    found = [text for callid in after for text in differences(before[callid], after[callid])]
    wrong = [text for text in found if text.split(": ")[1].split()[0] not in without]
    assert not wrong, "\n".join(wrong)


def test_all_calls_are_there_again_and_can_be_killed(start: Start, exchange: Place) -> None:
    """From each mode into another: what one has written, all read."""
    stage = start(1, script=SCRIPT, forks=1, ims={"db_update_period": 1})
    calls = exchange(stage)
    timed, session = calls.place("timed"), calls.place("session")
    began = time.monotonic()
    held = [calls.place(kind) for kind in KINDS]
    calls.phones("ringing@db").ring(stage)
    before = stage.listing()
    del before["ringing@db"]
    stage.mode = 2
    stage.restart()
    same(stage, before, soon=(timed.callid, session.callid))
    assert stage.status()["loaded"] == len(before)
    # The two whose time runs out meanwhile, in which nothing was sent, have it from the database.
    session.ended("session_expired")
    timed.ended("dialog_timeout")
    assert 3.5 <= time.monotonic() - began < 15.0
    assert "late: timed-0@db" in stage.stderr()
    for mode in (3, 1):
        held += [calls.place("plain"), calls.place("rich")]
        held.pop(0).killed(stage)
        before = stage.listing()
        stage.mode = mode
        stage.restart()
        same(stage, before)
    for call in held:
        call.killed(stage)
    stage.stop()
    assert stage.rows() == {}


@ON_SQLITE
def test_a_call_goes_on_and_the_table_has_another_size(start: Start, exchange: Place) -> None:
    """Calls get other numbers, and their phones still send the old ones in their Routes."""
    stage = start(1, script=SCRIPT, forks=1)
    calls = exchange(stage)
    held = [calls.place(kind) for kind in ("plain", "rich", "forked")]
    ended = calls.place("plain")
    before = stage.listing()
    stage.ims["hash_size"] = 64
    stage.restart()
    same(stage, before, without=("h_entry", "h_id", "did"))
    assert all(item["h_entry"] < 64 for item in stage.listing().values())
    (leg,), ((callee, half),) = held[0].legs, held[0].callees
    leg.transact("INVITE", callee)
    half.transact("INFO", held[0].caller)
    ended.legs[0].bye(ended.callees[0][0])
    stage.wait_gone(ended.callid, 15.0)
    before = stage.listing()
    shown = before[held[0].callid]["legs"][0]
    assert (shown["caller_cseq"], shown["callee_cseq"]) == (2, 1)
    # What is stored under the new numbers is all that there is.
    stage.restart()
    same(stage, before)
    for call in held:
        call.killed(stage)
    stage.stop()
    assert stage.rows() == {}


def test_two_daemons_share_a_database(start: Start, exchange: Place) -> None:
    """Neither touches the other's calls, until it is told to take them over."""
    one = start(1, database={"owner": "one"})
    two = start(1, database={"owner": "two"})
    ones, twos = exchange(one), exchange(two)
    first, taken = ones.place("plain", "first@db"), ones.place("plain", "taken@db")
    second = twos.place("plain", "second@db")
    before = one.listing()
    one.restart()
    same(one, before)
    first.killed(one)
    with pytest.raises(RpcError, match="one"):
        two.rpc.call("dlg.db_adopt", "one")  # it runs
    before = one.listing() | two.listing()
    one.stop()
    assert two.rpc.call("dlg.db_adopt", "one")["loaded"] == 1
    # The phones of that call reach it as soon as the other's address leads here; its numbers may
    # have been in use.
    same(two, before, without=("h_entry", "h_id", "did"))
    two.restart()
    same(two, before, without=("h_entry", "h_id", "did"))
    assert two.end_call(taken.callid)
    second.killed(two)
    two.stop()
    assert two.rows() == {}


@ON_SQLITE
@pytest.mark.parametrize("on_expired", ["bye", "purge"])
def test_calls_whose_time_ran_out_meanwhile(start: Start, exchange: Place, on_expired: str) -> None:
    stage = start(1, ims={"default_timeout": 1}, database={"on_expired": on_expired})
    call = exchange(stage).place("plain")
    stage.stop()
    time.sleep(1.3)
    stage.start()
    if on_expired == "bye":
        call.ended("dialog_timeout")
    poll(lambda: stage.listing() == {}, 10, lambda: f"{stage.listing()}")
    for phone in call.parties:
        phone.nothing_more()
    assert stage.status()["expired"] == 1
    stage.stop()
    assert stage.rows() == {}


def away(server: Server, folder: Path) -> str:
    """A URL on which there is no database, of the server's kind."""
    if server.name == "sqlite":
        folder.joinpath("is-a-directory").mkdir()
        return f"sqlite:///{folder}/is-a-directory"
    scheme = {"postgresql": "postgres", "mariadb": "mysql"}[server.name]
    return f"{scheme}://dlgmgmt:secret@127.0.0.1:{free_port()}/dialogs"


def test_a_database_that_is_not_there_at_the_start(
    server: Server, start: Start, tmp_path: Path
) -> None:
    """One clear line, and exit code 1, once ``connect_timeout`` is over."""
    url = away(server, tmp_path)
    stage = start(1, url=url, database={"connect_timeout": 0.3}, started=False)
    code, log = stage.refused()
    assert code == 1
    last = log.strip().splitlines()[-1]
    assert last.startswith("dlgmgmt: database "), log
    assert "secret" not in log


@ON_SQLITE
def test_new_calls_are_refused_while_the_others_are_loaded(start: Start, exchange: Place) -> None:
    """503 with Retry-After; afterwards all is as it was."""
    stage = start(1, ims={"db_fetch_rows": 1})
    calls = exchange(stage)
    held = calls.place("plain")
    before = stage.listing()
    stage.stop()
    stage.multiply(3000)
    stage.start(until="loading")
    phones = calls.phones("early@db")
    caller, callee = phones.caller(stage), phones.callee(stage)
    caller.invite(f"sip:bob@{callee.hostport}")
    refusal = caller.expect(503, "INVITE")
    assert int(refusal.get("Retry-After")) > 0
    caller.ack_failure(refusal)
    assert stage.health()[0] == 503
    status = stage.wait_loaded()
    assert (status["loaded"], status["skipped"]) == (3001, 0)
    callee.nothing_more()
    assert differences(before[held.callid], stage.listing()[held.callid]) == []
    poll(lambda: stage.health()[0] == 200, 10, lambda: f"{stage.health()}")
    calls.place("plain", "later@db").killed(stage)
    held.killed(stage)
