"""RFC 3263 4.1 and 4.2 with records as data."""

from __future__ import annotations

import pytest

from dlgmgmt.sip.selection import (
    Candidate,
    Listening,
    Step,
    plan,
)
from dlgmgmt.sip.uri import parse_uri
from tests.unit.sip.resolver.zone import ALL, PLAIN, UDP, V4, Zone, naptr, srv


@pytest.fixture
def zone() -> Zone:
    """The example of RFC 3263 4.1 with addresses."""
    return (
        Zone()
        .has(
            "example.com",
            "NAPTR",
            naptr(100, 50, "SIP+D2U", "_sip._udp.example.com"),
            naptr(90, 50, "SIP+D2T", "_sip._tcp.example.com"),
            naptr(50, 50, "SIPS+D2T", "_sips._tcp.example.com"),
        )
        .has("_sip._udp.example.com", "SRV", srv(0, 1, 5060, "u.example.com"))
        .has("_sip._tcp.example.com", "SRV", srv(0, 1, 5070, "t.example.com"))
        .has("_sips._tcp.example.com", "SRV", srv(0, 1, 5061, "s.example.com"))
        .has("u.example.com", "A", "192.0.2.1")
        .has("t.example.com", "A", "192.0.2.2")
        .has("s.example.com", "A", "192.0.2.3")
    )


# -- numeric hosts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sip:192.0.2.9", ("udp", "192.0.2.9", 5060, "")),
        ("sip:192.0.2.9:5080", ("udp", "192.0.2.9", 5080, "")),
        ("sip:192.0.2.9;transport=TCP", ("tcp", "192.0.2.9", 5060, "")),
        ("sip:192.0.2.9;transport=tls", ("tls", "192.0.2.9", 5061, "")),
        ("sip:192.0.2.9;transport=ws", ("ws", "192.0.2.9", 80, "")),
        ("sips:192.0.2.9", ("tls", "192.0.2.9", 5061, "")),
        ("sips:192.0.2.9;transport=tcp", ("tls", "192.0.2.9", 5061, "")),
        ("sips:192.0.2.9;transport=ws", ("wss", "192.0.2.9", 443, "")),
        ("sip:[2001:db8::9]:5070", ("udp", "2001:db8::9", 5070, "")),
        ("sip:a@example.com;maddr=192.0.2.8", ("udp", "192.0.2.8", 5060, "example.com")),
        ("sip:example.com;maddr=[2001:db8::8]", ("udp", "2001:db8::8", 5060, "example.com")),
        ("sips:192.0.2.9;maddr=192.0.2.8", ("tls", "192.0.2.8", 5061, "192.0.2.9")),
    ],
)
def test_a_numeric_host_is_not_asked_for(uri: str, expected: tuple[str, str, int, str]) -> None:
    zone = Zone()
    assert zone.find(uri) == [Candidate(*expected)]
    assert zone.asked == []


def test_without_a_udp_listener_tcp_is_the_default() -> None:
    assert Zone().find("sip:192.0.2.9", {"tcp": V4}) == [Candidate("tcp", "192.0.2.9", 5060)]


@pytest.mark.parametrize(
    ("uri", "listening"),
    [
        ("sip:192.0.2.9;transport=tcp", UDP),
        ("sip:192.0.2.9;transport=sctp", ALL),
        ("sips:192.0.2.9", PLAIN),
        ("sips:example.com:5061", PLAIN),
        ("sips:example.com", PLAIN),
        ("sips:192.0.2.9;transport=ws", PLAIN),
        ("sip:192.0.2.9", {"tls": V4}),
        ("sip:example.com:5061", {"tls": V4}),
        (f"sip:example.com;maddr={'a.' * 200}com", ALL),
    ],
)
def test_no_way_without_a_listener_for_it(uri: str, listening: Listening) -> None:
    zone = Zone()
    assert zone.find(uri, listening) == []
    assert zone.asked == []


# -- an explicit port, an explicit transport -----------------------------------------------------


def test_an_explicit_port_asks_for_addresses_alone(zone: Zone) -> None:
    zone.has("example.com", "A", "192.0.2.7")
    assert zone.find("sip:example.com:5080") == [Candidate("udp", "192.0.2.7", 5080, "example.com")]
    assert zone.find("sips:example.com:5081") == [
        Candidate("tls", "192.0.2.7", 5081, "example.com")
    ]
    assert zone.kinds == ["A example.com"] * 2


def test_port_and_transport_settle_all_but_the_address(zone: Zone) -> None:
    zone.has("example.com", "A", "192.0.2.7")
    assert zone.find("sip:example.com:5080;transport=tcp") == [
        Candidate("tcp", "192.0.2.7", 5080, "example.com")
    ]
    assert zone.kinds == ["A example.com"]


@pytest.mark.parametrize(
    ("uri", "question", "expected"),
    [
        ("sip:example.com;transport=udp", "_sip._udp", ("udp", "192.0.2.1", 5060)),
        ("sip:example.com;transport=tcp", "_sip._tcp", ("tcp", "192.0.2.2", 5070)),
        ("sip:example.com;transport=tls", "_sips._tcp", ("tls", "192.0.2.3", 5061)),
        ("sips:example.com;transport=tcp", "_sips._tcp", ("tls", "192.0.2.3", 5061)),
    ],
)
def test_an_explicit_transport_asks_for_its_srv_alone(
    zone: Zone, uri: str, question: str, expected: tuple[str, str, int]
) -> None:
    assert zone.find(uri) == [Candidate(*expected, "example.com")]
    assert zone.kinds[0] == f"SRV {question}.example.com"
    assert len(zone.asked) == 2


def test_a_transport_without_srv_is_at_the_default_port() -> None:
    zone = Zone().has("plain.example", "A", "192.0.2.7")
    assert zone.find("sip:plain.example;transport=tls") == [
        Candidate("tls", "192.0.2.7", 5061, "plain.example")
    ]
    assert zone.kinds == ["SRV _sips._tcp.plain.example", "A plain.example"]


def test_websocket_has_no_srv_labels() -> None:
    zone = Zone().has("plain.example", "A", "192.0.2.7")
    assert zone.find("sip:plain.example;transport=ws") == [
        Candidate("ws", "192.0.2.7", 80, "plain.example")
    ]
    assert zone.kinds == ["A plain.example"]


def test_maddr_is_looked_up_but_the_certificate_is_the_domains() -> None:
    zone = Zone().has("inner.example", "A", "192.0.2.7")
    assert zone.find("sips:example.com:5061;maddr=Inner.Example.") == [
        Candidate("tls", "192.0.2.7", 5061, "example.com")
    ]


# -- NAPTR ---------------------------------------------------------------------------------------


def test_naptr_order_decides(zone: Zone) -> None:
    assert zone.find("sip:bob@Example.COM") == [
        Candidate("tls", "192.0.2.3", 5061, "example.com"),
        Candidate("tcp", "192.0.2.2", 5070, "example.com"),
        Candidate("udp", "192.0.2.1", 5060, "example.com"),
    ]


def test_naptr_services_without_a_listener_are_left_out(zone: Zone) -> None:
    assert [each.transport for each in zone.find("sip:example.com", PLAIN)] == ["tcp", "udp"]
    assert [each.transport for each in zone.find("sip:example.com", UDP)] == ["udp"]
    assert "SRV _sips._tcp.example.com" not in zone.kinds


def test_a_sips_uri_takes_secure_services_alone(zone: Zone) -> None:
    assert [each.transport for each in zone.find("sips:example.com")] == ["tls"]
    assert zone.kinds == ["NAPTR example.com", "SRV _sips._tcp.example.com", "A s.example.com"]


def test_naptr_preference_decides_within_an_order() -> None:
    zone = (
        Zone()
        .has(
            "example.com",
            "NAPTR",
            naptr(10, 20, "SIP+D2U", "u.example.com"),
            naptr(10, 10, "SIP+D2T", "t.example.com"),
        )
        .has("u.example.com", "SRV", srv(0, 0, 5060, "h.example.com"))
        .has("t.example.com", "SRV", srv(0, 0, 5060, "h.example.com"))
        .has("h.example.com", "A", "192.0.2.7")
    )
    assert [each.transport for each in zone.find("sip:example.com")] == ["tcp", "udp"]


def test_naptr_leads_to_websocket() -> None:
    zone = (
        Zone()
        .has(
            "example.com",
            "NAPTR",
            naptr(10, 10, "sips+d2w", "w.example.net"),
            naptr(20, 10, "SIP+D2W", "w.example.net"),
        )
        .has("w.example.net", "SRV", srv(0, 0, 8443, "h.example.net"))
        .has("h.example.net", "A", "192.0.2.7")
    )
    assert zone.find("sips:example.com") == [Candidate("wss", "192.0.2.7", 8443, "example.com")]
    assert [each.transport for each in zone.find("sip:example.com")] == ["wss", "ws"]


def test_a_naptr_may_point_at_a_host() -> None:
    zone = (
        Zone()
        .has("example.com", "NAPTR", naptr(10, 10, "SIP+D2T", "h.example.com", "A"))
        .has("h.example.com", "A", "192.0.2.7")
    )
    assert zone.find("sip:example.com") == [Candidate("tcp", "192.0.2.7", 5060, "example.com")]
    assert zone.kinds == ["NAPTR example.com", "A h.example.com"]


def test_naptr_of_other_applications_do_not_count() -> None:
    zone = (
        Zone()
        .has(
            "example.com",
            "NAPTR",
            naptr(10, 10, "E2U+sip", "", "u"),
            naptr(20, 10, "SIP+D2U", "", "s"),
            naptr(30, 10, "SIP+D2U", "next.example.com", ""),
            naptr(40, 10, "AAA+D2S", "a.example.com"),
        )
        .has("_sip._udp.example.com", "SRV", srv(0, 0, 5062, "h.example.com"))
        .has("h.example.com", "A", "192.0.2.7")
    )
    assert zone.find("sip:example.com", UDP) == [Candidate("udp", "192.0.2.7", 5062, "example.com")]


def test_a_domain_that_offers_other_transports_alone_has_no_default(zone: Zone) -> None:
    zone.has("example.com", "NAPTR", naptr(10, 10, "SIPS+D2T", "_sips._tcp.example.com"))
    zone.has("example.com", "A", "192.0.2.7")
    assert zone.find("sip:example.com", UDP) == []
    assert zone.kinds == ["NAPTR example.com"]


# -- SRV without NAPTR ---------------------------------------------------------------------------


def test_without_naptr_srv_of_each_transport_is_asked() -> None:
    zone = (
        Zone()
        .has("_sip._tcp.example.com", "SRV", srv(0, 0, 5070, "h.example.com"))
        .has("h.example.com", "A", "192.0.2.7")
    )
    assert zone.find("sip:example.com") == [Candidate("tcp", "192.0.2.7", 5070, "example.com")]
    assert zone.kinds == [
        "NAPTR example.com",
        "SRV _sip._udp.example.com",
        "SRV _sip._tcp.example.com",
        "SRV _sips._tcp.example.com",
        "A h.example.com",
    ]


def test_sips_without_naptr_asks_for_tls_alone() -> None:
    zone = Zone().has("example.com", "A", "192.0.2.7")
    assert zone.find("sips:example.com") == [Candidate("tls", "192.0.2.7", 5061, "example.com")]
    assert zone.kinds == [
        "NAPTR example.com",
        "SRV _sips._tcp.example.com",
        "A example.com",
    ]


def test_without_any_record_the_host_itself_is_asked() -> None:
    zone = Zone().has("example.com", "A", "192.0.2.7", "192.0.2.6")
    assert zone.find("sip:example.com") == [
        Candidate("udp", "192.0.2.7", 5060, "example.com"),
        Candidate("udp", "192.0.2.6", 5060, "example.com"),
    ]
    assert Zone().has("example.com", "A", "192.0.2.7").find("sip:example.com", {"tcp": V4}) == [
        Candidate("tcp", "192.0.2.7", 5060, "example.com")
    ]


def test_a_name_that_does_not_exist_has_no_candidates() -> None:
    assert Zone().find("sip:example.com") == []


def test_a_target_of_a_dot_says_that_there_is_no_service() -> None:
    zone = Zone().has("example.com", "A", "192.0.2.7")
    zone.has("_sip._udp.example.com", "SRV", srv(0, 0, 0, ""))
    assert zone.find("sip:example.com;transport=udp") == []
    assert zone.find("sip:example.com", UDP) == []
    assert "A example.com" not in zone.kinds


def test_a_service_refused_leaves_the_others(zone: Zone) -> None:
    zone.has("_sips._tcp.example.com", "SRV", srv(0, 0, 0, ""))
    assert [each.transport for each in zone.find("sip:example.com")] == ["tcp", "udp"]


def test_srv_without_addresses_does_not_fall_back_to_the_domain() -> None:
    zone = (
        Zone()
        .has("_sip._udp.example.com", "SRV", srv(0, 0, 5060, "gone.example.com"))
        .has("example.com", "A", "192.0.2.7")
    )
    assert zone.find("sip:example.com", UDP) == []


def test_an_address_as_srv_target_is_taken() -> None:
    zone = Zone().has("_sip._udp.example.com", "SRV", srv(0, 0, 5066, "192.0.2.7"))
    assert zone.find("sip:example.com", UDP) == [Candidate("udp", "192.0.2.7", 5066, "example.com")]


def test_the_first_step_is_settled_by_the_uri() -> None:
    for uri, step in (
        ("sip:192.0.2.1", Step.NOTHING),
        ("sip:example.com:5060", Step.ADDRESS),
        ("sip:example.com;transport=tcp", Step.SERVICE),
        ("sip:example.com", Step.TRANSPORT),
        ("sips:example.com", Step.TRANSPORT),
    ):
        asked = plan(parse_uri(uri), ALL)
        assert asked is not None
        assert asked.step is step
