"""Script functions in real calls: what sipp's phones see, and what the dialog list says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.sip.harness.daemon import LINGER, T1, Daemon
from tests.sip.harness.phones import Phones
from tests.sip.harness.sipp import Sipp

HOLD = {"RING": "300", "TALK": "900"}
PROFILES = {"profiles_with_value": "caller ; called", "profiles_no_value": "all"}

Start = Callable[..., Daemon]


@pytest.fixture
def scripted(start_daemon: Start) -> Start:
    """Starts a daemon whose transactions end soon."""

    def start(**settings: Any) -> Daemon:
        return start_daemon(sip={"t1": T1, "t4": 0.5}, **settings)

    return start


TRACK = """
def track(msg, dlg):
    if not msg.has_totag():
        dlg.dlg_manage()
        msg.record_route()
    msg.t_relay()
"""


def dial(
    phones: Phones,
    daemon: Daemon,
    *,
    caller: str = "uac_call",
    callee: str = "uas_answer",
    callid: str = "",
    service: str = "bob",
    fill: dict[str, str] | None = None,
) -> tuple[Sipp, Sipp]:
    """One sipp calls another through the daemon."""
    filled = {**HOLD, **(fill or {})}
    uas = phones.sipp(callee, fill=filled)
    uac = phones.sipp(
        caller,
        remote=daemon.hostport,
        service=service,
        target=f"127.0.0.1:{uas.port}",
        callid=callid or phones.callid,
        fill=filled,
    )
    return uac, uas


def shown(daemon: Daemon, callid: str) -> dict[str, Any]:
    """What the dialog list says of a call that is answered."""
    daemon.wait_state(callid, 4)
    found: dict[str, Any] = daemon.rpc.call("dlg.dlg_list", callid)
    return found


def finish(daemon: Daemon, phones: Phones, *sipps: Sipp) -> None:
    for sipp in sipps:
        sipp.wait()
    daemon.wait_ended(phones.callid)
    daemon.check_log()


def test_set_dlg_profile(scripted: Start, phones: Phones) -> None:
    daemon = scripted(
        ims=PROFILES,
        script=TRACK
        + """
def request_route(msg, dlg):
    if not msg.has_totag():
        dlg.set_dlg_profile("caller", "$fU")
        dlg.set_dlg_profile("all", "discarded")
        dlg.dlg_manage()
        dlg.set_dlg_profile("called", "$rU")
        msg.append_hf("X-Size: " + str(dlg.get_profile_size("caller", "$fU")))
    track(msg, dlg)
""",
    )
    uac, uas = dial(phones, daemon)
    profiles = shown(daemon, phones.callid)["profiles"]
    assert sorted(map(str, profiles)) == sorted(
        map(str, [{"caller": "alice"}, "all", {"called": "bob"}])
    )
    finish(daemon, phones, uac, uas)
    assert uas.got_one("INVITE").get("X-Size") == "1"


def test_unset_dlg_profile_and_is_in_profile(scripted: Start, phones: Phones) -> None:
    daemon = scripted(
        ims=PROFILES,
        script=TRACK
        + """
def request_route(msg, dlg):
    if not msg.has_totag():
        dlg.dlg_manage()
        dlg.set_dlg_profile("caller", "$fU")
        dlg.set_dlg_profile("all")
    track(msg, dlg)

def onreply_route(msg, dlg):
    if msg.is_method("INVITE") and msg.status == 200:
        was = dlg.is_in_profile("caller", "alice"), dlg.is_in_profile("caller", "bob")
        gone = dlg.unset_dlg_profile("caller", "$fU")
        msg.append_hf("X-Profile: %s %s %s %s" % (*was, gone, dlg.is_in_profile("caller")))
""",
    )
    uac, uas = dial(phones, daemon)
    assert shown(daemon, phones.callid)["profiles"] == ["all"]
    finish(daemon, phones, uac, uas)
    assert uac.got_one(200, "INVITE").get("X-Profile") == "True False True False"


def test_get_profile_size_limits_calls(scripted: Start, phones: Phones) -> None:
    daemon = scripted(
        ims=PROFILES,
        script=TRACK
        + """
def request_route(msg, dlg):
    if not msg.has_totag():
        dlg.get_profile_size("caller", "$fU", "$avp(size)")
        if msg.get_pv("$avp(size)") >= 1:
            msg.send_reply(403, "Only $avp(size) call at a time")
            return
        dlg.dlg_manage()
        dlg.set_dlg_profile("caller", "$fU")
    track(msg, dlg)
""",
    )
    uac, uas = dial(phones, daemon)
    daemon.wait_state(phones.callid, 4)
    second = phones.sipp(
        "uac_rejected",
        remote=daemon.hostport,
        target=f"127.0.0.1:{uas.port}",
        callid=f"second-{phones.callid}",
        fill={"CODE": "403"},
    )
    second.wait()
    assert second.got_one(403).reason_phrase == "Only 1 call at a time"
    assert daemon.dialog(f"second-{phones.callid}") is None
    finish(daemon, phones, uac, uas)


def test_dlg_flags(scripted: Start, phones: Phones) -> None:
    daemon = scripted(
        script=TRACK
        + """
def request_route(msg, dlg):
    if not msg.has_totag():
        dlg.dlg_manage()
        dlg.dlg_setflag(3)
        dlg.dlg_setflag("4")
        dlg.dlg_resetflag(3)
        msg.append_hf("X-Flags: %s %s" % (dlg.dlg_isflagset(3), dlg.dlg_isflagset(4)))
    track(msg, dlg)
"""
    )
    uac, uas = dial(phones, daemon)
    assert shown(daemon, phones.callid)["sflags"] == 16
    finish(daemon, phones, uac, uas)
    assert uas.got_one("INVITE").get("X-Flags") == "False True"


def test_dlg_terminate_from_an_event_route(scripted: Start, phones: Phones) -> None:
    daemon = scripted(
        script=TRACK
        + """
request_route = track

def event_route(event, dlg):
    if event.name == "dialog:start":
        dlg.dlg_terminate("all", "Insufficient QoS")
"""
    )
    uac, uas = dial(phones, daemon, caller="uac_wait_bye")
    finish(daemon, phones, uac, uas)
    for phone in (uac, uas):
        assert phone.got_one("BYE").get("Reason") == 'SIP;cause=200;text="Insufficient QoS"'


def test_dlg_manage_and_is_known_dlg(scripted: Start, phones: Phones) -> None:
    daemon = scripted(
        script="""
def request_route(msg, dlg):
    if msg.has_totag():
        msg.append_hf("X-Known: %s %s" % (dlg.is_known_dlg(), msg.loose_route()))
    elif msg.is_method("INVITE"):
        before = dlg.is_known_dlg()
        dlg.dlg_manage()
        msg.append_hf("X-Known: %s %s" % (before, dlg.is_known_dlg()))
        msg.record_route()
    msg.t_relay()
"""
    )
    uac, uas = dial(phones, daemon)
    assert shown(daemon, phones.callid)["ims_state"] == 4
    finish(daemon, phones, uac, uas)
    assert uas.got_one("INVITE").get("X-Known") == "False True"
    assert uas.got_one("BYE").get("X-Known") == "True True"


def test_a_call_that_is_not_managed_is_not_listed(scripted: Start, phones: Phones) -> None:
    daemon = scripted(
        script="""
def request_route(msg, dlg):
    if not msg.has_totag():
        msg.record_route()
    msg.t_relay()
"""
    )
    uac, uas = dial(phones, daemon)
    with daemon.watch(phones.callid) as watch:
        finish(daemon, phones, uac, uas)
    assert watch.seen == []
    assert uas.got_one("INVITE").get("Record-Route") == f"<sip:{daemon.hostport};lr>"
    uas.got_one("BYE")


def test_dlg_flag_and_ruri_pvar(scripted: Start, phones: Phones) -> None:
    daemon = scripted(
        ims={"dlg_flag": 4, "ruri_pvar": "$avp(dialled)"},
        script="""
def request_route(msg, dlg):
    if not msg.has_totag():
        msg.set_pv("$avp(dialled)", "sip:dialled@example.com")
        msg.setflag(4)
        msg.record_route()
    msg.t_relay()
""",
    )
    uac, uas = dial(phones, daemon)
    assert shown(daemon, phones.callid)["req_uri"] == "sip:dialled@example.com"
    finish(daemon, phones, uac, uas)


def test_dlg_get_finds_another_call(scripted: Start, phones: Phones) -> None:
    daemon = scripted(
        script=TRACK
        + """
def request_route(msg, dlg):
    if msg.is_method("MESSAGE"):
        found = dlg.dlg_get("$hdr(X-Callid)", "$hdr(X-Ftag)", "$hdr(X-Ttag)")
        msg.append_to_reply("X-Found: %s" % found)
        msg.append_to_reply("X-Caller: $dlg(from_uri)")
        if found:
            dlg.dlg_terminate("all", "found by tags")
        msg.send_reply(200)
        return
    track(msg, dlg)
"""
    )
    uac, uas = dial(phones, daemon, caller="uac_wait_bye", fill={"TALK": "9000"})
    daemon.wait_state(phones.callid, 4)
    teller = phones.caller(daemon, callid=f"message-{phones.callid}")

    def tell(to_tag: str) -> Any:
        teller.invite_uri, teller.to = f"sip:x@{daemon.hostport}", "<sip:x@example.com>"
        teller.invite_branch = f"z9hG4bK-{to_tag}"
        headers = [("X-Callid", phones.callid), ("X-Ftag", "uac-1"), ("X-Ttag", to_tag)]
        teller.send(teller._initial("MESSAGE", [("Max-Forwards", "70"), *headers]))
        return teller.expect(200, "MESSAGE")

    assert tell("wrong").get("X-Found") == "False"
    found = tell(f"uas{uas.port}-1")
    assert found.get("X-Found") == "True"
    assert found.get("X-Caller") == "sip:alice@ims.example.com"
    finish(daemon, phones, uac, uas)
    assert 'text="found by tags"' in uas.got_one("BYE").get("Reason")


@pytest.mark.parametrize("how", ["parallel", "serial"])
def test_append_branch(scripted: Start, phones: Phones, how: str) -> None:
    fill = {**HOLD, "CODE": "486", "REASON": "Busy Here"}
    busy = phones.sipp("uas_reject", fill=fill)
    uas = phones.sipp("uas_answer", fill=HOLD)
    daemon = scripted(
        script=TRACK
        + f"""
def request_route(msg, dlg):
    if not msg.has_totag():
        msg.append_branch("sip:one@127.0.0.1:{busy.port}")
        msg.append_branch("sip:two@127.0.0.1:{uas.port}")
        msg.{how}()
    track(msg, dlg)

def branch_route(msg, dlg):
    msg.append_hf("X-Branch: %d $rU" % msg.branch_index)
"""
    )
    uac = phones.sipp(
        "uac_call",
        remote=daemon.hostport,
        target="127.0.0.1:9",
        callid=phones.callid,
        fill=HOLD,
    )
    found = shown(daemon, phones.callid)
    assert [leg["to_tag"] for leg in found["legs"]] == [f"uas{uas.port}-1"]
    assert [ended["code"] for ended in found["history"]] == [486]
    finish(daemon, phones, uac, busy, uas)
    assert busy.got_one("INVITE").get("X-Branch") == "0 one"
    assert uas.got_one("INVITE").get("X-Branch") == "1 two"
    assert uas.got_one("INVITE").uri == f"sip:two@127.0.0.1:{uas.port}"


def test_failure_route_tries_another_phone(scripted: Start, phones: Phones) -> None:
    fill = {**HOLD, "CODE": "486", "REASON": "Busy Here"}
    uas = phones.sipp("uas_answer", fill=HOLD)
    daemon = scripted(
        script=TRACK
        + f"""
request_route = track

def failure_route(msg, dlg):
    if msg.t_check_status("4[08][68]"):
        dlg.set_var("first", "$rs")
        msg.append_branch("sip:voicemail@127.0.0.1:{uas.port}")
        msg.t_relay()
"""
    )
    uac, busy = dial(phones, daemon, callee="uas_reject", fill=fill)
    found = shown(daemon, phones.callid)
    assert found["variables"] == [{"first": "486"}]
    finish(daemon, phones, uac, busy, uas)
    assert uas.got_one("INVITE").uri == f"sip:voicemail@127.0.0.1:{uas.port}"
    assert not uac.got(486)


def test_send_reply(scripted: Start, phones: Phones) -> None:
    daemon = scripted(
        script="""
def request_route(msg, dlg):
    dlg.dlg_manage()
    msg.append_to_reply("X-Why: $fU")
    msg.send_reply(480, "Closed")
"""
    )
    uac = phones.sipp(
        "uac_rejected",
        remote=daemon.hostport,
        target="127.0.0.1:9",
        callid=phones.callid,
        fill={"CODE": "480"},
    )
    uac.wait()
    reply = uac.got_one(480)
    assert (reply.reason_phrase, reply.get("X-Why")) == ("Closed", "alice")
    daemon.wait_ended(phones.callid)
    assert b"dialog:failed_dialogs = 1\n" in daemon.fifo.call("get_statistics", "dialog:")


def test_set_destination_and_ruri(scripted: Start, phones: Phones) -> None:
    uas = phones.sipp("uas_answer", fill=HOLD)
    daemon = scripted(
        script=TRACK
        + f"""
def request_route(msg, dlg):
    if not msg.has_totag():
        msg.ruri = "sip:$rU@elsewhere.example"
        msg.set_destination("sip:127.0.0.1:{uas.port}")
    track(msg, dlg)
"""
    )
    uac = phones.sipp(
        "uac_call", remote=daemon.hostport, target="127.0.0.1:9", callid=phones.callid, fill=HOLD
    )
    assert shown(daemon, phones.callid)["ims_state"] == 4
    finish(daemon, phones, uac, uas)
    assert uas.got_one("INVITE").uri == "sip:bob@elsewhere.example"


def test_headers_of_requests_and_replies(scripted: Start, phones: Phones) -> None:
    daemon = scripted(
        script=TRACK
        + """
def request_route(msg, dlg):
    msg.append_hf("X-Added: $ci")
    msg.remove_hf("Content-Type")
    track(msg, dlg)

def onreply_route(msg, dlg):
    msg.append_hf("X-Reply: $rs $rr")
    msg.remove_hf("Contact") if msg.status == 180 else None
"""
    )
    uac, uas = dial(phones, daemon)
    assert shown(daemon, phones.callid)["state"] == 4
    finish(daemon, phones, uac, uas)
    invite = uas.got_one("INVITE")
    assert (invite.get("X-Added"), invite.get("Content-Type")) == (phones.callid, "")
    assert uas.got_one("BYE").get("X-Added") == phones.callid
    ringing, answer = uac.got_one(180), uac.got_one(200, "INVITE")
    assert (ringing.get("X-Reply"), ringing.get("Contact")) == ("180 Ringing", "")
    assert answer.get("X-Reply") == "200 OK"


def test_drop_of_a_provisional(scripted: Start, phones: Phones) -> None:
    daemon = scripted(
        script=TRACK
        + """
request_route = track

def onreply_route(msg, dlg):
    if msg.status == 180:
        msg.drop()
"""
    )
    uac, uas = dial(phones, daemon)
    assert shown(daemon, phones.callid)["state"] == 4
    finish(daemon, phones, uac, uas)
    assert not uac.got(180)


def test_variables_follow_the_dialog(scripted: Start, phones: Phones) -> None:
    daemon = scripted(
        script=TRACK
        + """
def request_route(msg, dlg):
    if not msg.has_totag():
        dlg.dlg_manage()
        msg.set_pv("$dlg_var(plan)", "gold-$fU")
        msg.set_pv("$avp(seen)", "yes")
    else:
        msg.append_hf("X-Plan: $dlg_var(plan)")
    track(msg, dlg)

def onreply_route(msg, dlg):
    msg.append_hf("X-Seen: $avp(seen)")
"""
    )
    uac, uas = dial(phones, daemon)
    assert shown(daemon, phones.callid)["variables"] == [{"plan": "gold-alice"}]
    finish(daemon, phones, uac, uas)
    assert uas.got_one("BYE").get("X-Plan") == "gold-alice"
    assert uac.got_one(200, "INVITE").get("X-Seen") == "yes"


def test_timeout_avp_ends_the_call_within_a_second(scripted: Start, phones: Phones) -> None:
    daemon = scripted(
        ims={"timeout_avp": "$avp(i:10)"},
        script=TRACK
        + """
def request_route(msg, dlg):
    if not msg.has_totag():
        msg.set_pv("$avp(i:10)", 2)
    track(msg, dlg)
""",
    )
    uac, uas = dial(phones, daemon, caller="uac_wait_bye")
    found = shown(daemon, phones.callid)
    assert found["lifetime"] == 2
    daemon.wait_ended(phones.callid, timeout=4.0)
    finish(daemon, phones, uac, uas)
    for phone in (uac, uas):
        assert 'text="dialog_timeout"' in phone.got_one("BYE").get("Reason")
    assert b"dialog:expired_dialogs = 1\n" in daemon.fifo.call("get_statistics", "dialog:")


def test_timeout_route_and_event_route(scripted: Start, phones: Phones) -> None:
    daemon = scripted(
        script=TRACK
        + """
import logging

def request_route(msg, dlg):
    if not msg.has_totag():
        dlg.dlg_manage()
        dlg.dlg_set_timeout(1)
        msg.set_pv("$dlg_ctx(timeout_route)", "warn_route")
    track(msg, dlg)

def warn_route(event, dlg):
    logging.getLogger("script").warning(event.pv("late: $dlg(callid) state $DLG_status"))

def event_route(event, dlg):
    logging.getLogger("script").warning("%s %s" % (event.name, event.callid))
"""
    )
    uac, uas = dial(phones, daemon, caller="uac_wait_bye")
    finish(daemon, phones, uac, uas)
    log = daemon.stderr()
    assert f"late: {phones.callid} state 4" in log
    assert f"dialog:start {phones.callid}" in log
    assert f"dialog:expired {phones.callid}" in log


def test_pseudo_variables_of_a_real_call(scripted: Start, phones: Phones) -> None:
    daemon = scripted(
        script=TRACK
        + """
def request_route(msg, dlg):
    if not msg.has_totag():
        dlg.dlg_manage()
        msg.append_hf("X-Sip: $ci|$fu|$fU|$fd|$ft|$tu|$tU|$td|$tt|$ru|$rU|$rd|$rm|$si|$sp|$cs")
        msg.append_hf("X-Dlg: $DLG_status|$dlg(callid)|$dlg(from_tag)|$hdr(Max-Forwards)")
    else:
        msg.append_hf("X-Dlg: $DLG_count|$DLG_status|$dlg(to_tag)|$dlg_ctx(dir)")
    track(msg, dlg)
"""
    )
    uac, uas = dial(phones, daemon)
    assert shown(daemon, phones.callid)["state"] == 4
    finish(daemon, phones, uac, uas)
    invite, bye = uas.got_one("INVITE"), uas.got_one("BYE")
    uri = f"sip:bob@127.0.0.1:{uas.port}"
    assert invite.get("X-Sip").split("|") == [
        phones.callid, "sip:alice@ims.example.com", "alice", "ims.example.com", "uac-1",
        "sip:bob@ims.example.com", "bob", "ims.example.com", "<null>", uri, "bob", "127.0.0.1",
        "INVITE", "127.0.0.1", str(uac.port), "1",
    ]  # fmt: skip
    assert invite.get("X-Dlg") == f"1|{phones.callid}|uac-1|70"
    assert bye.get("X-Dlg").startswith(f"1|4|uas{uas.port}-1|")


def test_callbacks_of_the_developer_api(scripted: Start, phones: Phones) -> None:
    daemon = scripted(
        script=TRACK
        + """
import logging

api = None

def mod_init(given):
    global api
    api = given
    api.register_dlgcb(None, api.DLGCB_CREATED, created)

def created(dialog, kind, params):
    types = api.DLGCB_EARLY | api.DLGCB_CONFIRMED | api.DLGCB_TERMINATED
    api.register_dlgcb(dialog, types, told, "mine", freed)
    api.set_dlg_var(dialog, "born", "yes")

def told(dialog, kind, params):
    logging.getLogger("script").warning("%s %s %s" % (kind.name, params.param, params.method))

def freed(param):
    logging.getLogger("script").warning("freed %s" % param)

request_route = track
"""
    )
    uac, uas = dial(phones, daemon)
    assert shown(daemon, phones.callid)["variables"] == [{"born": "yes"}]
    finish(daemon, phones, uac, uas)
    daemon.wait_gone(phones.callid, LINGER)
    said = [line.rpartition("script: ")[2] for line in daemon.stderr().splitlines()]
    told = [line for line in said if line.split(" ")[-1] != line and "mine" in line]
    assert told == ["EARLY mine ", "CONFIRMED mine ", "TERMINATED mine BYE", "freed mine"]
