"""Next hops by name (RFC 3263), with a real DNS server; scripted phones watch the wire."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.sip.harness.daemon import Daemon, poll
from tests.sip.harness.dnsmasq import BINARY, Dnsmasq
from tests.sip.harness.message import build
from tests.sip.harness.peer import Callee, new_branch, response
from tests.sip.harness.phones import Phones
from tests.sip.harness.ports import free_port
from tests.sip.harness.site import Site

pytestmark = pytest.mark.skipif(
    BINARY is None,
    reason="dnsmasq is not installed (Debian: apt-get install dnsmasq-base): NO NAME WAS LOOKED UP",
)

T1 = 0.03
SILENCE = 64 * T1
"""Until a server that says nothing counts as dead."""
BACK_OFF = 4.0


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Dnsmasq]]:
    """Start DNS servers; they end with the module."""
    started: list[Dnsmasq] = []

    def start(*records: str, **more: Any) -> Dnsmasq:
        started.append(Dnsmasq(tmp_path_factory.mktemp("dns"), *records, **more))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def _records(domain: str, port: int) -> list[str]:
    return [
        f"--naptr-record={domain},10,10,s,SIP+D2U,,_sip._udp.{domain}",
        *(
            f"--srv-host=_sip._udp.{domain},h{number}.{domain},{port},{number}0,0"
            for number in (2, 3, 4)
        ),
        *(f"--host-record=h{number}.{domain},127.0.0.{number}" for number in (2, 3, 4)),
    ]


def _dns(server: Dnsmasq, **more: object) -> dict[str, Any]:
    return {"sip.dns": {"servers": [server.address], "timeout": 1.0, "back_off": BACK_OFF} | more}


@pytest.fixture(scope="module")
def sites(
    serve: Callable[..., Dnsmasq], start_daemon: Callable[..., Daemon]
) -> tuple[Daemon, Dnsmasq, dict[str, int]]:
    """A daemon, its name server, and domains with the ports of their servers."""
    ports = {f"site{number}.example": free_port() for number in range(20)}
    records = [record for domain, port in ports.items() for record in _records(domain, port)]
    server = serve(*records)
    daemon = start_daemon(sip={"t1": T1, "t4": 0.2, "timer_c": 60.0}, tables=_dns(server))
    return daemon, server, ports


@pytest.fixture
def site(phones: Phones, sites: tuple[Daemon, Dnsmasq, dict[str, int]]) -> Iterator[Site]:
    """A domain of its own: which servers are passed over must not reach the next test."""
    daemon, server, ports = sites
    domain, port = ports.popitem()
    yield Site(phones, daemon, server, domain, port)
    daemon.check_log()


def _counted(daemon: Daemon) -> dict[str, int]:
    lines = daemon.fifo.call("get_statistics", "dns:").decode().splitlines()
    pairs = (line.removeprefix("dns:").split(" = ") for line in lines if line.startswith("dns:"))
    return {name: int(value) for name, value in pairs}


def test_a_dead_and_a_busy_server_are_skipped_and_come_back(site: Site) -> None:
    """One server is silent, one answers 503: the call completes, and theirs have a rest."""
    first, second, third = site.servers
    before = _counted(site.daemon)
    began = time.monotonic()
    caller = site.call()
    # The dead one had its chance, with all retransmissions.
    dead = first.take()
    second.take(timeout=SILENCE + 5)
    assert time.monotonic() - began > SILENCE * 0.9
    busy = second.invite
    second.refuse(503)
    second.expect("ACK")
    blocked = time.monotonic()
    good = site.complete(caller, third)
    assert first.copies_of(dead) >= 4
    # 8.1.1.7: each attempt is a transaction of its own.
    assert len({each.get("Via") for each in (dead, busy, good)}) == 3
    assert {each.cseq for each in (dead, busy, good)} == {1}
    # Nobody was told 503, and nobody heard of the others.
    assert not [each for each in caller.seen if each.status >= 300]

    # During the back-off the call goes to the one that is alive, at once.
    caller = site.call()
    site.complete(caller, third)
    assert time.monotonic() - blocked < BACK_OFF - 1
    assert (site.heard(first), site.heard(second)) == (0, 0)

    # After it they are tried again, in their order; the dead one has recovered.
    time.sleep(max(0.0, blocked + BACK_OFF + 0.2 - time.monotonic()))
    caller = site.call()
    site.complete(caller, first)
    assert (site.heard(second), site.heard(third)) == (0, 0)
    assert site.dns.queries(f"_sip._udp.{site.domain}") == 1
    counted = _counted(site.daemon)
    assert counted["blocked"] - before["blocked"] == 2
    assert counted["passed_over"] - before["passed_over"] == 2
    assert counted["failures"] == 0


def test_a_retry_after_is_heeded(site: Site) -> None:
    first, second, _ = site.servers
    caller = site.call()
    first.take()
    refused = time.monotonic()
    first.refuse(503, headers=[("Retry-After", "1 (busy);duration=60")])
    first.expect("ACK")
    site.complete(caller, second)
    caller = site.call()
    site.complete(caller, second)
    assert site.heard(first) == 0
    time.sleep(max(0.0, refused + 1.2 - time.monotonic()))
    # Sooner than the usual back-off.
    site.complete(site.call(), first)
    assert time.monotonic() - refused < BACK_OFF


def test_when_all_servers_have_failed_all_are_tried(site: Site) -> None:
    caller = site.call()
    for server in site.servers:
        server.take()
        server.refuse(503)
        server.expect("ACK")
    # 16.7 point 6: a 503 speaks of one hop, not of the whole path.
    caller.ack_failure(caller.expect(500))
    site.daemon.wait_ended(caller.callid)
    caller = site.call()
    site.first.take()
    site.first.refuse(503)
    site.complete(caller, site.second)


def test_a_final_answer_other_than_503_is_the_answer(site: Site) -> None:
    caller = site.call()
    site.first.take()
    site.first.refuse(486)
    site.first.expect("ACK")
    caller.ack_failure(caller.expect(486))
    site.daemon.wait_ended(caller.callid)
    assert [site.heard(server) for server in site.servers] == [0, 0, 0]
    # Whoever says so is alive.
    site.complete(site.call(), site.first)


def test_a_server_that_rings_is_not_left(site: Site) -> None:
    """It has the call, however long it takes: others would ring the same phone again."""
    caller = site.call()
    site.first.take()
    site.first.ring()
    caller.expect(180)
    time.sleep(SILENCE + 0.5)
    assert (site.heard(site.second), site.heard(site.third)) == (0, 0)
    site.first.answer()
    leg = caller.ack(caller.expect(200, "INVITE"))
    site.first.expect("ACK")
    leg.bye(site.first)


def test_a_cancel_stops_the_search(site: Site) -> None:
    caller = site.call()
    site.first.take()
    caller.cancel()
    caller.expect(200, "CANCEL")
    caller.ack_failure(caller.expect(487, "INVITE", timeout=SILENCE + 5))
    site.daemon.wait_ended(caller.callid)
    assert (site.heard(site.second), site.heard(site.third)) == (0, 0)


def test_a_cancel_reaches_the_server_that_rings(site: Site) -> None:
    caller = site.call()
    site.first.take()
    site.first.refuse(503)
    site.second.take()
    site.second.ring()
    caller.expect(180)
    caller.cancel()
    caller.expect(200, "CANCEL")
    cancel = site.second.take_cancel()
    assert cancel.get("Via") == site.second.invite.get("Via")
    caller.ack_failure(caller.expect(487, "INVITE"))
    site.daemon.wait_ended(caller.callid)
    assert site.heard(site.third) == 0


def test_a_cancel_waits_for_the_next_server(site: Site) -> None:
    """RFC 3261 9.1: that the first one rang does not entitle to a CANCEL to the second."""
    caller = site.call()
    site.first.take()
    site.first.ring()
    caller.expect(180)
    site.first.refuse(503)
    site.first.expect("ACK")
    site.second.take()
    caller.cancel()
    caller.expect(200, "CANCEL")
    time.sleep(0.3)
    site.second.drain()
    assert not [each for each in site.second.pending if each.method == "CANCEL"]
    site.second.ring()
    site.second.take_cancel()
    caller.ack_failure(caller.expect(487, "INVITE"))
    site.daemon.wait_ended(caller.callid)
    assert site.heard(site.third) == 0


def test_a_server_that_is_silent_after_another_rang_is_left_too(site: Site) -> None:
    caller = site.call()
    site.first.take()
    site.first.ring()
    caller.expect(180)
    site.first.refuse(503)
    site.second.take()
    site.complete(caller, site.third)


def test_a_killed_call_reaches_the_server_that_rings(site: Site) -> None:
    caller = site.call()
    site.first.take()
    site.first.refuse(503)
    site.second.take()
    site.second.ring()
    caller.expect(180)
    code, _ = site.daemon.kill("fifo", caller.callid, caller.tag, site.second.tag)
    assert code == 200
    site.second.take_cancel()
    caller.ack_failure(caller.expect(488, "INVITE"))
    site.daemon.wait_ended(caller.callid)


def test_requests_within_a_call_find_the_server_that_is_alive(site: Site) -> None:
    """ACK, INFO, and the BYE of the daemon, to a Contact that is a domain."""
    caller = site.call()
    site.first.take()
    site.first.refuse(503)
    site.first.expect("ACK")
    second = site.second
    second.take()
    second.contact = f"sip:bob@{site.domain}"
    second.answer()
    a = caller.ack(caller.expect(200, "INVITE"))
    second.expect("ACK")
    site.daemon.wait_state(caller.callid, 4)
    a.transact("INFO", second)
    code, _ = site.daemon.kill("http", caller.callid, caller.tag, second.tag)
    assert code == 200
    bye = second.expect("BYE")
    assert bye.uri == f"sip:bob@{site.domain}"
    second.confirm(bye)
    told = caller.expect("BYE")
    caller.send(response(told, 200))
    site.daemon.wait_ended(caller.callid)
    assert not site.first.unread()


@pytest.mark.parametrize("how", ["silent", "503"])
def test_a_killed_call_is_told_by_way_of_another_server(site: Site, how: str) -> None:
    """The server that took the call has gone; the one that has taken over gets the BYE."""
    caller = site.call()
    first, second, _ = site.servers
    first.take()
    first.contact = f"sip:bob@{site.domain}"
    first.answer()
    caller.ack(caller.expect(200, "INVITE"))
    first.expect("ACK")
    site.daemon.wait_state(caller.callid, 4)
    assert site.daemon.kill("fifo", caller.callid, caller.tag, first.tag)[0] == 200
    caller.send(response(caller.expect("BYE"), 200))
    lost = first.expect("BYE")
    if how == "503":
        first.send(response(lost, 503))
    bye = second.expect("BYE", timeout=SILENCE + 5)
    second.send(response(bye, 200))
    assert (bye.uri, bye.cseq, bye.to_tag) == (lost.uri, lost.cseq, lost.to_tag)
    assert bye.get("Via") != lost.get("Via")
    site.daemon.wait_ended(caller.callid)


def test_a_request_outside_of_calls_goes_on_too(site: Site) -> None:
    caller = site.phones.caller(site.daemon)
    for server in site.servers:
        server.callid = caller.callid
    caller.send(
        build(
            f"MESSAGE sip:bob@{site.domain} SIP/2.0",
            [
                ("Via", f"SIP/2.0/UDP {caller.hostport};branch={new_branch()}"),
                ("Max-Forwards", "70"),
                ("From", caller.from_),
                ("To", f"<sip:bob@{site.domain}>"),
                ("Call-ID", caller.callid),
                ("CSeq", "1 MESSAGE"),
            ],
        )
    )
    refused = site.first.expect("MESSAGE")
    site.first.send(response(refused, 503, tag="x"))
    silent = site.second.expect("MESSAGE")
    taken = site.third.expect("MESSAGE", timeout=SILENCE + 5)
    site.third.send(response(taken, 200, tag="y"))
    assert caller.expect(200, "MESSAGE").to_tag == "y"
    assert len({each.get("Via") for each in (refused, silent, taken)}) == 3


def test_a_name_that_does_not_exist(site: Site) -> None:
    caller = site.phones.caller(site.daemon)
    caller.invite("sip:bob@nowhere.example")
    caller.ack_failure(caller.expect_any(500))
    assert site.dns.queries("nowhere.example") >= 2
    # That there is no such name is remembered.
    asked = site.dns.queries("nowhere.example")
    again = site.phones.caller(site.daemon, callid=f"{caller.callid}-again")
    again.invite("sip:bob@nowhere.example")
    again.ack_failure(again.expect_any(500))
    assert site.dns.queries("nowhere.example") == asked


def test_sighup_changes_the_name_server(
    phones: Phones, serve: Callable[..., Dnsmasq], start_daemon: Callable[..., Daemon]
) -> None:
    port = free_port()
    old, new = (
        serve(f"--srv-host=_sip._udp.moved.example,127.0.0.{number},{port}") for number in (2, 3)
    )
    daemon = start_daemon(sip={"t1": T1, "t4": 0.2}, tables=_dns(old))
    before, after = (phones.callee(daemon, host=f"127.0.0.{each}", port=port) for each in (2, 3))
    caller = phones.caller(daemon)
    caller.invite("sip:bob@moved.example")
    before.take()
    before.refuse(486)
    before.expect("ACK")
    caller.ack_failure(caller.expect(486))
    config = daemon.folder / "dlgmgmt.toml"
    config.write_text(config.read_text().replace(old.address, new.address))
    daemon.process.send_signal(signal.SIGHUP)
    poll(lambda: "reloaded, parameters changed: 1" in daemon.stderr(), 10, daemon.stderr)
    # Another thread says so; the one that reads datagrams may be busy yet.
    caller.barrier()
    again = phones.caller(daemon, callid=f"{phones.callid}-again")
    after.callid = again.callid
    again.invite("sip:bob@moved.example")
    after.take()
    after.refuse(486)
    after.expect("ACK")
    again.ack_failure(again.expect(486))
    assert not before.unread()


def test_a_refused_connection_costs_no_time(
    phones: Phones, serve: Callable[..., Dnsmasq], start_daemon: Callable[..., Daemon]
) -> None:
    """NAPTR wants TCP, where nobody listens; the record after it leads to UDP."""
    port = free_port()
    server = serve(
        "--naptr-record=two.example,10,10,s,SIP+D2T,,_sip._tcp.two.example",
        "--naptr-record=two.example,20,10,s,SIP+D2U,,_sip._udp.two.example",
        f"--srv-host=_sip._tcp.two.example,h.two.example,{port}",
        f"--srv-host=_sip._udp.two.example,h.two.example,{port}",
        "--host-record=h.two.example,127.0.0.2",
    )
    # T1 of the standard: were silence waited for, it would be for half a minute.
    daemon = start_daemon(kinds=("udp", "tcp"), tables=_dns(server))
    callee = phones.callee(daemon, host="127.0.0.2", port=port)
    caller = phones.caller(daemon)
    caller.invite("sip:bob@two.example")
    invite = callee.take(timeout=5)
    assert invite.get("Via").startswith("SIP/2.0/UDP ")
    callee.answer()
    leg = caller.ack(caller.expect(200, "INVITE"))
    callee.expect("ACK")
    leg.bye(callee)
    daemon.wait_ended(phones.callid)


def test_names_lead_to_both_families(
    phones: Phones, serve: Callable[..., Dnsmasq], start_daemon: Callable[..., Daemon]
) -> None:
    """The IPv6 address is dead for want of a listener there; an alias, and no SRV at all."""
    port = free_port()
    server = serve(
        "--host-record=h.six.example,127.0.0.2,::1",
        "--cname=six.example,h.six.example",
    )
    daemon = start_daemon(ipv6=True, sip={"t1": T1, "t4": 0.2}, tables=_dns(server))
    caller = phones.caller(daemon)
    with phones.callee(daemon, host="127.0.0.2", port=port) as four:
        caller.invite(f"sip:bob@six.example:{port}")
        four.take()
        four.refuse(503)
        four.expect("ACK")
    six = Callee(port, daemon.where("udp6"), phones.callid, host="::1")
    with six:
        six.take()
        six.refuse(486)
        six.expect("ACK")
    caller.ack_failure(caller.expect(486))
    daemon.wait_ended(phones.callid)
