"""Calls placed by sipp through the daemon: both ends, and what dlg_list said meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sip.harness.daemon import LINGER, Daemon, Route
from tests.sip.harness.message import tag_of
from tests.sip.harness.phones import Phones
from tests.sip.harness.ports import free_port
from tests.sip.harness.sipp import Sipp

HOLD = {"RING": "600", "TALK": "600"}


def place(
    phones: Phones,
    daemon: Daemon,
    caller: str,
    *,
    service: str = "bob",
    callee: int = 0,
    fill: dict[str, str] | None = None,
) -> Sipp:
    """Start the calling sipp. callee: the port of the Request-URI, the daemon's own if 0."""
    return phones.sipp(
        caller,
        remote=daemon.hostport,
        service=service,
        target=f"127.0.0.1:{callee or daemon.port}",
        callid=phones.callid,
        fill={**HOLD, **(fill or {})},
    )


@pytest.mark.parametrize(
    ("caller", "callee"),
    [("uac_call", "uas_answer"), ("uac_wait_bye", "uas_hangup")],
    ids=["by-caller", "by-callee"],
)
def test_answered_and_hung_up(daemon: Daemon, phones: Phones, caller: str, callee: str) -> None:
    uas = phones.sipp(callee, fill=HOLD)
    with daemon.watch(phones.callid) as watch:
        uac = place(phones, daemon, caller, callee=uas.port)
        uac.wait()
        uas.wait()
        daemon.wait_ended(phones.callid)
    invite = uas.got_one("INVITE")
    uas.got_one("ACK")
    (uas if caller == "uac_call" else uac).got_one("BYE")
    assert uac.got_one(200, "INVITE").to_tag == f"uas{uas.port}-1"
    assert invite.get("Record-Route").startswith(f"<sip:{daemon.hostport};lr;did=")

    assert [s for s in watch.states if s not in (1, 5, 6)] == [2, 4]
    ringing, talking = watch.in_state(2)[-1], watch.in_state(4)[0]
    assert ringing.fields["caller_contact"] == f"sip:alice@127.0.0.1:{uac.port};ob"
    assert ringing.fields["timestart"] == "0"
    assert talking.fields["timestart"] != "0"
    assert talking.fields["from_uri"] == "sip:alice@ims.example.com"
    assert talking.fields["from_tag"] == "uac-1"
    assert talking.fields["state_name"] == "confirmed"
    (leg,) = talking.legs
    assert leg["to_tag"] == f"uas{uas.port}-1"
    assert leg["callee_contact"] == f"sip:uas@127.0.0.1:{uas.port};transport=UDP"
    assert leg["caller_cseq"] == "1"


def test_cancelled_while_ringing(daemon: Daemon, phones: Phones) -> None:
    uas = phones.sipp("uas_cancelled", fill=HOLD)
    with daemon.watch(phones.callid) as watch:
        uac = place(phones, daemon, "uac_cancel", callee=uas.port)
        uac.wait()
        uas.wait()
        daemon.wait_ended(phones.callid)
    assert len(watch.in_state(2)[-1].legs) == 1
    assert 4 not in watch.states
    uac.got_one(487, "INVITE")
    uac.got_one(200, "CANCEL")
    invite, cancel = uas.got_one("INVITE"), uas.got_one("CANCEL")
    # RFC 3261 9.1: what a CANCEL repeats of its INVITE.
    assert cancel.get("Via") == invite.get("Via")
    assert len(cancel.all("Via")) == 1
    assert (cancel.uri, cancel.cseq) == (invite.uri, invite.cseq)
    assert uas.got_one("ACK").get("Via") == invite.get("Via")


@pytest.mark.parametrize(
    ("code", "reason"), [("486", "Busy Here"), ("302", "Moved Temporarily"), ("603", "Decline")]
)
def test_rejected(daemon: Daemon, phones: Phones, code: str, reason: str) -> None:
    fill = {"CODE": code, "REASON": reason}
    uas = phones.sipp("uas_reject", fill=fill)
    with daemon.watch(phones.callid) as watch:
        uac = place(phones, daemon, "uac_rejected", callee=uas.port, fill=fill)
        uac.wait()
        uas.wait()
        daemon.wait_ended(phones.callid)
    assert uac.got_one(int(code)).reason_phrase == reason
    # The ACK goes hop by hop: the callee gets the daemon's own, in the daemon's transaction.
    ack, invite = uas.got_one("ACK"), uas.got_one("INVITE")
    assert ack.get("Via") == invite.get("Via")
    assert len(ack.all("Via")) == 1
    assert set(watch.states) <= {1, 6}


def test_parallel_fork(daemon: Daemon, phones: Phones) -> None:
    route = daemon.fork_route()
    loser = phones.sipp("uas_cancelled", port=route.ports[0])
    winner = phones.sipp("uas_answer", port=route.ports[1], fill=HOLD)
    with daemon.watch(phones.callid) as watch:
        uac = place(phones, daemon, "uac_call", service=route.user_prefix)
        for sipp in (uac, winner, loser):
            sipp.wait()
        daemon.wait_ended(phones.callid)
    tags = {f"uas{port}-1" for port in route.ports}
    assert any(dialog.tags == tags for dialog in watch.in_state(2)), "both phones ring"
    for dialog in watch.in_state(4):
        assert dialog.tags == {f"uas{winner.port}-1"}, "only the leg that answered stays"
    loser.got_one("CANCEL")
    loser.got_one("ACK")
    assert not loser.got("BYE")
    assert not winner.got("CANCEL")
    winner.got_one("BYE")
    assert {message.to_tag for message in uac.got(180)} == tags
    assert not uac.got(487), "the loser's answer is no business of the caller"
    branches = {sipp.got_one("INVITE").branch for sipp in (winner, loser)}
    assert len(branches) == 2, "each branch is a transaction of its own"


def test_serial_fork(daemon: Daemon, phones: Phones) -> None:
    route = daemon.fork_route("serial")
    fill = {"CODE": "486", "REASON": "Busy Here"}
    first = phones.sipp("uas_reject", port=route.ports[0], fill=fill)
    second = phones.sipp("uas_answer", port=route.ports[1], fill=HOLD)
    with daemon.watch(phones.callid) as watch:
        uac = place(phones, daemon, "uac_call", service=route.user_prefix)
        for sipp in (uac, first, second):
            sipp.wait()
        daemon.wait_ended(phones.callid)
    first.got_one("ACK")
    assert first.got_one("INVITE").uri == f"sip:{route.user_prefix}@127.0.0.1:{first.port}"
    assert second.got_one("INVITE").uri == f"sip:{route.user_prefix}@127.0.0.1:{second.port}"
    assert not uac.got(486)
    assert watch.in_state(4)[0].tags == {f"uas{second.port}-1"}


@pytest.mark.parametrize(
    ("caller", "callee", "moved"),
    [("uac_modify", "uas_modified", "caller"), ("uac_modified", "uas_modify", "callee")],
    ids=["by-caller", "by-callee"],
)
def test_reinvite_and_update(
    daemon: Daemon, phones: Phones, caller: str, callee: str, moved: str
) -> None:
    uas = phones.sipp(callee, fill=HOLD)
    with daemon.watch(phones.callid) as watch:
        uac = place(phones, daemon, caller, callee=uas.port)
        uac.wait()
        uas.wait()
        daemon.wait_ended(phones.callid)
    receiver = uas if moved == "caller" else uac
    assert len({message.cseq for message in receiver.got("INVITE")}) == (
        2 if receiver is uas else 1
    )
    receiver.got_one("UPDATE")
    (leg,) = watch.in_state(4)[-1].legs
    assert (leg["caller_cseq"], leg["callee_cseq"]) == (
        ("3", "1") if moved == "caller" else ("1", "2")
    )
    assert {d.state for d in watch.seen} <= {1, 2, 4, 5, 6}
    assert len({d.hash for d in watch.seen}) == 1, "a re-INVITE starts no dialog"


def test_prack(daemon: Daemon, phones: Phones) -> None:
    uas = phones.sipp("uas_prack", fill=HOLD)
    with daemon.watch(phones.callid) as watch:
        uac = place(phones, daemon, "uac_prack", callee=uas.port)
        uac.wait()
        uas.wait()
        daemon.wait_ended(phones.callid)
    assert uac.got_one(180).get("RSeq") == "1"
    prack = uas.got_one("PRACK")
    assert prack.get("RAck") == "1 1 INVITE"
    assert tag_of(prack.get("To")) == f"uas{uas.port}-1"
    assert watch.in_state(2)[-1].legs[0]["caller_cseq"] == "2"
    assert [s for s in watch.states if s not in (1, 5, 6)] == [2, 4]


def test_late_200_after_cancel(daemon: Daemon, phones: Phones) -> None:
    uas = phones.sipp("uas_late_200", fill=HOLD)
    with daemon.watch(phones.callid) as watch:
        uac = place(phones, daemon, "uac_cancel_late_200", callee=uas.port)
        uac.wait()
        uas.wait()
        daemon.wait_ended(phones.callid)
    uac.got_one(200, "CANCEL")
    uac.got_one(200, "INVITE")
    assert not uac.got(487)
    uas.got_one("CANCEL")
    uas.got_one("ACK")
    uas.got_one("BYE")
    assert [s for s in watch.states if s not in (1, 5, 6)] == [2, 4], "the call is up, then ended"


def test_2000_calls_at_200_a_second(start_daemon: Callable[..., Daemon], phones: Phones) -> None:
    """sipp's own UAC and UAS as they come (they ignore Record-Route): not one failed call, and
    not one dialog left afterwards."""
    port = free_port()
    # sipp's callee takes a retransmitted INVITE for an error: a long T1 keeps a busy machine's
    # delays from causing one.
    daemon = start_daemon(sip={"t1": 2.0}, routes=[Route("service", (port,))])
    uas = phones.sipp("uas", port=port, calls=2000, limit=60)
    uac = phones.sipp(
        "uac",
        remote=daemon.hostport,
        service="service",
        calls=2000,
        limit=60,
        extra=["-r", "200", "-l", "2000"],
    )
    uac.wait()
    uas.wait()
    daemon.wait_empty(LINGER)
    active = daemon.rpc.call("dlg.stats_active")
    assert active["all"] == 0
    assert b"dialog_ng:processed = 2000\n" in daemon.fifo.call("get_statistics", "dialog_ng:")
    daemon.stop()
