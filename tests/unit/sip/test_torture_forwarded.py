"""RFC 4475: the messages that a proxy passes on, and what it leaves of them as it was.

A proxy is no endpoint: what a phone or a registrar must refuse (a Contact without angle brackets,
an unknown body, a date in the wrong zone) goes to the one that has to refuse it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from dlgmgmt.sip.flow import Address
from tests.unit.sip.conftest import Make
from tests.unit.sip.harness import House, Mail
from tests.unit.sip.torture import (
    FORWARDED,
    SENDER,
    TORTURED,
    Raw,
    answer,
    know_names,
    read,
    send,
    serves,
    unfolded,
)

INVITES = [name for name in FORWARDED if read(name).startswith(b"INVITE")]


@pytest.fixture
def home(make: Make, tmp_path: Path) -> House:
    home = make(sip=TORTURED)
    know_names(home, tmp_path)
    return home


def forward(home: House, name: str, source: Address = SENDER) -> Mail:
    """Send a message of the RFC; the one request that the proxy made of it."""
    mail = send(home, read(name), source)
    forwarded = mail.pop()
    # Only an INVITE is answered at once.
    assert [sip.sip.what for sip in mail] == (["100"] if name in INVITES else [])
    return forwarded


@pytest.mark.parametrize("name", FORWARDED)
def test_what_is_not_the_proxys_keeps_its_bytes(home: House, name: str) -> None:
    sent = Raw.of(read(name))
    mail = forward(home, name)
    got = Raw.of(mail.sip.raw)
    assert mail.to == FORWARDED[name].addr
    assert got.kept == sent.kept
    assert got.body == sent.cut()
    assert got.hops() == FORWARDED[name].hops
    assert got.vias[0].startswith(b"Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK")
    # RFC 3261 18.2.1: none of them comes from where its Via says.
    marked = unfolded(sent.vias[0]).replace(b";rport", b";rport=5060") + b";received=10.0.9.9"
    assert unfolded(got.vias[1]) == marked
    assert got.vias[2:] == sent.vias[1:]
    serves(home)


@pytest.mark.parametrize("name", FORWARDED)
def test_the_request_line_keeps_its_bytes(home: House, name: str) -> None:
    got = Raw.of(forward(home, name).sip.raw)
    if name == "mpart01":
        # Its next hop is a strict router (16.6 step 6).
        assert got.start == b"MESSAGE sip:127.0.0.1:5080 SIP/2.0"
        assert got.named(b"route") == [b"Route: <sip:kumiko@example.org>"]
    else:
        assert got.start == Raw.of(read(name)).start


@pytest.mark.parametrize("name", FORWARDED)
def test_the_answer_comes_back_the_same_way(home: House, name: str) -> None:
    forwarded = forward(home, name)
    data = answer(forwarded.sip.raw, b"404 Nobody here")
    mail = send(home, data, forwarded.to)
    back = mail.pop()
    # An INVITE's refusal is acknowledged by each hop.
    assert [each.sip.what for each in mail] == (["ACK"] if name in INVITES else [])
    assert back.to == SENDER
    given, got = Raw.of(data), Raw.of(back.sip.raw)
    assert got.start == b"SIP/2.0 404 Nobody here"
    assert got.vias == given.vias[1:]
    assert got.kept == given.kept
    if mail:
        ack, request = Raw.of(mail[0].sip.raw), Raw.of(forwarded.sip.raw)
        assert mail[0].to == forwarded.to
        assert ack.start == request.start.replace(b"INVITE", b"ACK")
        assert ack.vias == request.vias[:1]
        assert ack.named(b"from", b"f") == request.named(b"from", b"f")
        assert ack.named(b"to", b"t") == given.named(b"to", b"t")
        assert ack.named(b"call-id", b"i") == request.named(b"call-id", b"i")
    serves(home)


@pytest.mark.parametrize("name", FORWARDED)
def test_a_retransmission_is_no_second_request(home: House, name: str) -> None:
    forward(home, name)
    again = send(home, read(name))
    assert [mail.sip.what for mail in again] == (["100"] if name in INVITES else [])
    assert home.world.proxy.counters.retransmissions == 1


def test_wsinv_goes_where_its_folded_route_says(home: House) -> None:
    # From where its Via says that it comes: then not even that line is touched.
    got = Raw.of(forward(home, "wsinv", ("192.0.2.2", 5060)).sip.raw)
    assert got.vias[1:] == Raw.of(read("wsinv")).vias
    assert got.named(b"route") == [
        b"Route: <sip:services.example.com;lr;unknownwith=value;unknown-no-value>"
    ]
    # It has a To-tag: no call begins with it.
    assert home.world.table.find("wsinv.ndaksdj@192.0.2.1") == []


def test_dblreq_is_one_request(home: House) -> None:
    got = Raw.of(forward(home, "dblreq").sip.raw)
    assert got.body == b""
    assert home.world.table.find("dblreq.0ha0isnda977644900765@192.0.2.15") == []


def test_mpart01_keeps_its_binary_body(home: House) -> None:
    got = Raw.of(forward(home, "mpart01").sip.raw)
    assert len(got.body) == 553
    assert bytes.fromhex("30820152 06092a86 4886f70d 010702") in got.body
    assert got.body.endswith(b"--7a9cbec02ceef655--\r\n")


def test_badbranch_is_told_from_its_like(home: House) -> None:
    """The cookie alone is no identifier: another request with it is another transaction."""
    forward(home, "badbranch")
    other = send(home, read("badbranch").replace(b"CSeq: 8", b"CSeq: 9"))
    assert [mail.sip["CSeq"] for mail in other] == ["9 OPTIONS"]
    assert home.world.proxy.counters.retransmissions == 0


@pytest.mark.parametrize("name", [name for name in INVITES if name != "wsinv"])
def test_an_invite_begins_a_call_and_is_record_routed(home: House, name: str) -> None:
    sent, got = Raw.of(read(name)), Raw.of(forward(home, name).sip.raw)
    own, *others = got.named(b"record-route")
    assert own.startswith(b"Record-Route: <sip:10.0.0.1:5060;lr;did=")
    assert others == sent.named(b"record-route")
    callid = unfolded(sent.named(b"call-id", b"i")[0]).decode()
    assert home.world.state(callid) == 1


def test_the_dialog_of_longreq_has_all_of_its_tag(home: House) -> None:
    forward(home, "longreq")
    (callid,) = (line[9:].decode() for line in Raw.of(read("longreq")).named(b"call-id"))
    view = home.world.view(callid)
    assert view.from_tag == "12" + "982" * 50 + "424"
    assert view.from_uri == f"sip:{'amazinglylongcallername' * 5}@example.net"


def test_a_caller_without_a_tag_has_a_call(home: House) -> None:
    """inv2543: no From tag, no branch, no Max-Forwards (RFC 3261 12.1.1); each side hangs up."""
    callid = "inv2543.1717@ift.client.example.com"
    forwarded = forward(home, "inv2543")
    contact = b"Contact: <sip:UserB@10.0.2.1>\r\nContent-Length"
    data = answer(forwarded.sip.raw, b"200 OK").replace(b"Content-Length", contact)
    (ok,) = send(home, data, forwarded.to)
    assert ok.to == SENDER
    assert home.world.state(callid) == 5
    invite, reply = Raw.of(forwarded.sip.raw), Raw.of(ok.sip.raw)
    (caller,), (callee,) = invite.named(b"from"), reply.named(b"to")
    route = reply.named(b"record-route")[0].replace(b"Record-", b"")

    def request(method: bytes, uri: bytes, party: tuple[bytes, bytes], cseq: int) -> bytes:
        local, remote = party
        lines = [
            b"%s %s SIP/2.0" % (method, uri),
            b"Via: SIP/2.0/UDP 10.0.2.1;branch=z9hG4bK%s" % method,
            route,
            b"From:" + local.partition(b":")[2],
            b"To:" + remote.partition(b":")[2],
            b"Call-ID: " + callid.encode(),
            b"CSeq: %d %s" % (cseq, method),
            b"Content-Length: 0\r\n\r\n",
        ]
        return b"\r\n".join(lines)

    ack = request(b"ACK", b"sip:UserB@10.0.2.1", (caller, callee), 56)
    assert [mail.to for mail in send(home, ack)] == [forwarded.to]
    assert home.world.state(callid) == 4
    # What the callee sends has no tag in its To, and yet it belongs to the call.
    bye = request(b"BYE", b"sip:10.0.9.9", (callee, caller), 1)
    (passed,) = send(home, bye, forwarded.to)
    assert (passed.sip.what, passed.to) == ("BYE", SENDER)
    assert home.world.state(callid) == 6
    send(home, answer(passed.sip.raw, b"200 OK"), SENDER)
    assert home.world.state(callid) == 0


def test_a_call_of_a_caller_without_a_tag_can_be_ended(home: House) -> None:
    forwarded = forward(home, "inv2543")
    contact = b"Contact: <sip:UserB@10.0.2.1>\r\nContent-Length"
    data = answer(forwarded.sip.raw, b"200 OK").replace(b"Content-Length", contact)
    send(home, data, forwarded.to)
    callid = "inv2543.1717@ift.client.example.com"
    view = home.world.view(callid)
    home.world.terminator.by_id(view.h_entry, view.h_id, reason="mi_terminated")
    home.world.advance(40)
    byes = [mail for mail in home.world.take() if mail.sip.what == "BYE"]
    # It left no Contact to send one to; whom it called is told, in its name.
    assert {mail.to for mail in byes} == {forwarded.to}
    bye = byes[0].sip
    assert bye["From"] == "<sip:+13035551111@ift.client.example.net;user=phone>"
    # Without angle brackets the parameter was the header's.
    assert bye["To"] == "<sip:+16505552222@ss1.example.net>;tag=callee"
