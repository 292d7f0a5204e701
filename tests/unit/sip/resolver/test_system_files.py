"""The files of the system that the resolver reads."""

from __future__ import annotations

from pathlib import Path

from dlgmgmt.sip.hosts import LOOK, read_hosts
from dlgmgmt.sip.settings import DnsSettings
from tests.unit.sip.resolver.server import WIDE, Server, World


async def test_a_name_of_the_hosts_file_is_not_asked_for(world: World, server: Server) -> None:
    world.hosts.write_text(
        "# gateways\n127.0.0.4\tGW.example gw # the old one\n::1 gw.example\nnonsense gw.example\n"
    )
    server.has("gw.example", "NAPTR", '10 10 "s" "SIP+D2U" "" _sip._udp.gw.example.')
    assert world.begin("sip:gw.example").done()
    assert await world.find("sip:gw.example") == [("127.0.0.4", 5060)]
    assert await world.find("sip:gw", WIDE) == [("127.0.0.4", 5060)]
    assert await world.find("sip:GW.example:5070", WIDE) == [("127.0.0.4", 5070), ("::1", 5070)]
    assert await world.find("sip:gw.example;transport=udp") == [("127.0.0.4", 5060)]
    assert server.asked == []


async def test_a_browsers_name_is_known_to_nobody(world: World, server: Server) -> None:
    assert await world.find("sip:bob@df7jal23ls0d.invalid") == []
    assert await world.find("sip:bob@df7jal23ls0d.invalid:5060") == []
    assert server.asked == []


async def test_a_target_may_stand_in_the_hosts_file(world: World, domain: Server) -> None:
    world.hosts.write_text("127.0.0.5 a.phones.example\n")
    assert await world.find("sip:phones.example") == [("127.0.0.5", 5060), ("127.0.0.3", 5070)]


async def test_the_hosts_file_is_read_again(world: World, server: Server) -> None:
    server.has("gw.example", "A", "127.0.0.9")
    world.hosts.write_text("127.0.0.4 gw.example\n")
    assert await world.find("sip:gw.example") == [("127.0.0.4", 5060)]
    world.hosts.write_text("127.0.0.14 gw.example\n")
    world.now += LOOK
    assert await world.find("sip:gw.example") == [("127.0.0.14", 5060)]
    world.hosts.unlink()
    world.now += LOOK
    assert await world.find("sip:gw.example") == [("127.0.0.9", 5060)]


def test_localhost_needs_no_file(tmp_path: Path) -> None:
    assert read_hosts(str(tmp_path / "none"))["localhost"] == ("127.0.0.1", "::1")
    (tmp_path / "hosts").write_bytes(b"127.0.0.2 localhost\n\xff\xfe\x00 \xff\n")
    assert read_hosts(str(tmp_path / "hosts"))["localhost"] == ("127.0.0.2",)


async def test_without_servers_the_systems_are_asked(world: World, server: Server) -> None:
    """The port is 53 there; what can be shown without it is which file is read, and when."""
    world.resolv_conf.write_text("nameserver 127.0.0.55\nsearch example other.example\n")
    world.new(DnsSettings(timeout=0.05))
    servers = world.resolver._servers.resolver
    assert [str(each) for each in servers.nameservers] == ["127.0.0.55"]
    assert [each.to_text() for each in servers.search] == ["example.", "other.example."]
    world.now += LOOK
    assert world.resolver._servers.resolver is servers
    world.resolv_conf.write_text("nameserver 127.0.0.56\nnameserver ::1\n")
    world.now += LOOK
    again = world.resolver._servers.resolver
    assert [str(each) for each in again.nameservers] == ["127.0.0.56", "::1"]
    world.resolv_conf.write_text("nonsense\n")
    world.now += LOOK
    assert [str(each) for each in world.resolver._servers.resolver.nameservers] == ["127.0.0.1"]


async def test_a_host_is_completed_as_the_system_does(world: World, server: Server) -> None:
    """From the search list; the name of a domain is whole."""
    world.resolv_conf.write_text("nameserver 127.0.0.1\nsearch none.example example\n")
    world.new(DnsSettings(timeout=1.0))
    world.resolver._servers.resolver.port = server.address[1]
    server.has("host.example", "A", "127.0.0.2")
    assert await world.find("sip:host:5060") == [("127.0.0.2", 5060)]
    assert server.asked == ["A host.none.example", "A host.example"]
    server.asked.clear()
    assert await world.find("sip:host") == [("127.0.0.2", 5060)]
    assert server.asked == ["NAPTR host", "SRV _sip._udp.host"]
