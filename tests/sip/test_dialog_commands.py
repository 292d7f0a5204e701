"""Commands of chapters 8 and 9, and the dialog module's later ones, with sipp's phones."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.sip.harness.daemon import LINGER, T1, Daemon, poll
from tests.sip.harness.message import uri_of
from tests.sip.harness.peer import response
from tests.sip.harness.phones import Phones
from tests.sip.harness.ports import free_port
from tests.sip.harness.rpc import RpcError
from tests.sip.harness.sipp import Sipp

SCRIPT = """
api = None

def mod_init(given):
    global api
    api = given
    api.register_dlgcb(None, api.DLGCB_CREATED, created)

def created(dialog, kind, params):
    api.register_dlgcb(dialog, api.DLGCB_RPC_CONTEXT, context, "billing")

def context(dialog, kind, params):
    params.write("%s of %s" % (params.param, dialog.callid))

def request_route(msg, dlg):
    if not msg.has_totag():
        dlg.dlg_manage()
        dlg.set_dlg_profile("caller", "$fU")
        dlg.set_dlg_profile("inbound")
        msg.record_route()
    msg.t_relay()
"""
FEW = (400, "Too few parameters (required callid, from-tag, to-tag)")


@pytest.fixture(scope="module")
def commanded(start_daemon: Callable[..., Daemon]) -> Daemon:
    return start_daemon(
        sip={"t1": T1, "t4": 0.5},
        ims={"profiles_with_value": "caller", "profiles_no_value": "inbound ; outbound"},
        script=SCRIPT,
    )


def refused(daemon: Daemon, method: str, *values: object) -> tuple[int, str]:
    with pytest.raises(RpcError) as caught:
        daemon.rpc.call(method, *values)
    return caught.value.code, caught.value.message


def hold(phones: Phones, daemon: Daemon, callid: str = "") -> tuple[Sipp, Sipp]:
    """An answered call whose phones wait for the BYE."""
    uas = phones.sipp("uas_answer", fill={"RING": "50"})
    uac = phones.sipp(
        "uac_wait_bye",
        remote=daemon.hostport,
        target=f"127.0.0.1:{uas.port}",
        callid=callid or phones.callid,
    )
    daemon.wait_state(callid or phones.callid, 4)
    return uac, uas


def shown(daemon: Daemon, callid: str) -> dict[str, Any]:
    found: dict[str, Any] = daemon.rpc.call("dlg.dlg_list", callid)
    return found


def told(*sipps: Sipp) -> None:
    """Each was sent one BYE and has ended well."""
    for sipp in sipps:
        sipp.wait()
        sipp.got_one("BYE")


def tags(dialog: dict[str, Any]) -> tuple[str, str, str]:
    return dialog["call-id"], dialog["caller"]["tag"], dialog["callee"]["tag"]


# -- ending ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["dlg.end_dlg", "dlg2.end_dlg"])
def test_a_call_is_ended_by_its_numbers(commanded: Daemon, phones: Phones, method: str) -> None:
    pair = hold(phones, commanded)
    dialog = shown(commanded, phones.callid)
    order = commanded.rpc.call(method, dialog["h_entry"], str(dialog["h_id"]), "X-Op: bob\r\n")
    told(*pair)
    assert {sipp.got_one("BYE").get("X-Op") for sipp in pair} == {"bob"}
    status = commanded.rpc.call("dlg.termination", order["id"])
    assert [leg["outcome"] for leg in status["legs"]] == ["200", "200"]
    again = refused(commanded, method, dialog["h_entry"], dialog["h_id"])
    assert again == (404, "Dialog not found")


def test_mi_ends_a_call_by_its_numbers(commanded: Daemon, phones: Phones) -> None:
    pair = hold(phones, commanded)
    h_entry, h_id = commanded.wait_state(phones.callid, 4).hash.split(":")
    reply = commanded.fifo.call("dlg_end_dlg", h_entry, h_id, "X-Op: bob")
    assert reply == b"200 OK\n\n"
    told(*pair)
    assert {sipp.got_one("BYE").get("X-Op") for sipp in pair} == {"bob"}


def test_all_answered_calls_are_ended(commanded: Daemon, phones: Phones) -> None:
    commanded.wait_empty(LINGER)
    calls = [hold(phones, commanded, f"{number}-{phones.callid}") for number in range(3)]
    caller, callee, _ = phones.ring(commanded)
    assert commanded.rpc.call("dlg2.end_all_active_dlg") == {"ordered": 3}
    for pair in calls:
        told(*pair)
    # What rings is not active, and goes on.
    assert commanded.rpc.call("dlg.stats_active")["connecting"] == 1
    callee.answer()
    caller.ack(caller.expect(200, "INVITE"))
    callee.expect("ACK")
    commanded.wait_state(phones.callid, 4)
    assert commanded.rpc.call("dlg2.end_all_active_dlg") == {"ordered": 1}
    for phone in (caller, callee):
        phone.send(response(phone.expect("BYE"), 200))


# -- alive, and its state --------------------------------------------------------------------------


def test_is_alive(commanded: Daemon, phones: Phones) -> None:
    caller, callee, _ = phones.ring(commanded)
    named = phones.callid, caller.tag, callee.tag
    assert refused(commanded, "dlg.is_alive", *named) == (404, "Dialog not found")
    callee.answer()
    leg = caller.ack(caller.expect(200, "INVITE"))
    callee.expect("ACK")
    commanded.wait_state(phones.callid, 4)
    assert commanded.rpc.call("dlg.is_alive", *named) == "Alive"
    assert refused(commanded, "dlg.is_alive", *named[:2], "x") == (404, "Dialog not found")
    assert refused(commanded, "dlg.is_alive", "x") == FEW
    leg.bye(callee)
    commanded.wait_ended(phones.callid)
    assert refused(commanded, "dlg.is_alive", *named) == (404, "Dialog not found")


def test_a_forgotten_call_goes_on_without_the_daemon(commanded: Daemon, phones: Phones) -> None:
    call = phones.talk(commanded)
    dialog = shown(commanded, phones.callid)
    active = commanded.rpc.call("stats.get_statistics", "active_dialogs")
    # The INVITE's transaction holds it for a moment.
    assert commanded.rpc.call("dlg.set_state", *tags(dialog), 5) == "Done"
    commanded.wait_ended(phones.callid)
    after = commanded.rpc.call("stats.get_statistics", "active_dialogs")
    assert int(active[0].split()[-1]) - int(after[0].split()[-1]) == 1
    assert commanded.rpc.call("dlg.profile_list", "inbound") == []
    assert refused(commanded, "dlg.set_state", *tags(dialog), 4) == (500, "Dialog not found")
    commanded.wait_gone(phones.callid, LINGER)
    # Nobody was told, and their own requests pass as before.
    for phone in (call.caller, call.callee):
        phone.barrier()
        assert phone.unread() == []
    call.hang_up()
    commanded.check_log()


def test_a_call_whose_ack_went_another_way(commanded: Daemon, phones: Phones) -> None:
    caller, callee, _ = phones.ring(commanded)
    callee.answer()
    ok = caller.expect(200, "INVITE")
    commanded.wait_state(phones.callid, 5)
    named = phones.callid, caller.tag, callee.tag
    assert refused(commanded, "dlg.set_state", *named, 9) == (500, "Invalid state value")
    assert refused(commanded, "dlg.set_state", *named, 2) == (500, "Invalid state value")
    assert commanded.rpc.call("dlg.set_state", *named, 4) == "Done"
    commanded.wait_state(phones.callid, 4)
    leg = caller.ack(ok)
    callee.expect("ACK")
    assert shown(commanded, phones.callid)["ims_state"] == 4
    leg.bye(callee)
    commanded.wait_ended(phones.callid)


# -- listings --------------------------------------------------------------------------------------


def test_context_of_a_script(commanded: Daemon, phones: Phones) -> None:
    commanded.wait_empty(LINGER)
    pair = hold(phones, commanded)
    line = f"billing of {phones.callid}"
    (listed,) = commanded.rpc.call("dlg.list_ctx")
    assert listed["context"] == [line]
    assert commanded.rpc.call("dlg.dlg_list_ctx", phones.callid)["context"] == [line]
    assert commanded.rpc.call("dlg.dlg_list_ctx", "nope@x") == {}
    (matched,) = commanded.rpc.call("dlg.list_match_ctx", "callid", "eq", phones.callid)
    assert matched["context"] == [line]
    for reply in (
        commanded.fifo.call("dlg_list_ctx"),
        commanded.fifo.call("dlg_list_ctx", phones.callid),
    ):
        assert f"\tcontext:: \n\t\t{line}\ndialog_out::  ".encode() in reply
    commanded.rpc.call("dlg2.end_all_active_dlg")
    told(*pair)


def test_profiles_of_a_script(commanded: Daemon, phones: Phones) -> None:
    commanded.wait_empty(LINGER)
    pair = hold(phones, commanded)
    for name, value in (("caller", "alice"), ("caller", None), ("inbound", None)):
        values = [name, value] if value else [name]
        assert commanded.rpc.call("dlg.profile_get_size", *values) == 1
        (listed,) = commanded.rpc.call("dlg.profile_list", *values)
        assert listed["call-id"] == phones.callid
        size = f"200 OK\nprofile::  name={name} value={value or ''} count=1\n\n"
        assert commanded.fifo.call("profile_get_size", *values) == size.encode()
        reply = commanded.fifo.call("profile_list_dlgs", *values)
        assert reply.count(f"\tcallid:: {phones.callid}\n".encode()) == 1
    for values in (["caller", "zed"], ["outbound"]):
        assert commanded.rpc.call("dlg.profile_get_size", *values) == 0
        assert commanded.rpc.call("dlg.profile_list", *values) == []
        assert commanded.fifo.call("profile_list_dlgs", *values) == b"200 OK\n\n"
    commanded.rpc.call("dlg2.end_all_active_dlg")
    told(*pair)
    commanded.wait_ended(phones.callid)
    assert commanded.rpc.call("dlg.profile_get_size", "caller") == 0


# -- bridges ---------------------------------------------------------------------------------------


def outcome(daemon: Daemon, number: int) -> dict[str, Any]:
    """What has become of a bridge in the end."""
    found: dict[str, Any] = {}

    def ended() -> bool:
        found.update(daemon.rpc.call("dlg.bridges", number)[0])
        return bool(found["ended_ts"])

    poll(ended, 20, lambda: f"still {found}")
    return found


@pytest.mark.parametrize("door", ["rpc", "mi"])
def test_a_bridge_that_is_done(commanded: Daemon, phones: Phones, door: str) -> None:
    first = phones.sipp("uas_referred", fill={"FINAL": "200 OK", "RING": "200"})
    addresses = f"sip:uas@127.0.0.1:{first.port}", f"sip:second@127.0.0.1:{free_port()}"
    begun = int(time.time())
    if door == "rpc":
        number = commanded.rpc.call("dlg.bridge_dlg", *addresses)["id"]
    else:
        reply = commanded.fifo.call("dlg_bridge", *addresses, ".")
        assert reply.startswith(b"200 OK\nid:: ")
        number = int(reply.split()[-1])
    first.wait()
    found = outcome(commanded, number)
    assert (found["from"], found["to"], found["op"]) == (*addresses, "")
    assert found["state"] == "done"
    assert begun <= found["ordered_ts"] <= found["ended_ts"]
    assert found["call-id"] == first.got_one("INVITE").callid
    assert uri_of(first.got_one("REFER").get("Refer-To")) == addresses[1]
    first.got_one("BYE")
    told_by_mi = commanded.fifo.call("dlg_bridges", str(number)).decode()
    assert f"bridge:: {number}\n\tcallid:: {found['call-id']}\n" in told_by_mi
    assert "\tstate:: done\n" in told_by_mi


def test_a_bridge_that_fails(commanded: Daemon, phones: Phones) -> None:
    declined = phones.sipp("uas_refer_declined")
    busy = phones.sipp("uas_busy", fill={"CODE": "486", "REASON": "Busy Here"})
    for phone, detail in ((declined, ""), (busy, "486")):
        addresses = f"sip:uas@127.0.0.1:{phone.port}", f"sip:second@127.0.0.1:{free_port()}"
        found = outcome(commanded, commanded.rpc.call("dlg.bridge_dlg", *addresses)["id"])
        phone.wait()
        assert found["state"] == "failed"
        assert detail in found["detail"]
    for values in ((), ("sip:a@127.0.0.1",), ("sip:a@127.0.0.1", "nobody")):
        assert refused(commanded, "dlg.bridge_dlg", *values) == (500, "Invalid parameters")
    assert refused(commanded, "dlg.bridges", 4711) == (404, "Bridge not found")
