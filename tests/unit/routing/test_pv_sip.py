"""Pseudo-variables of the message, AVPs and script variables."""

from __future__ import annotations

import pytest

from dlgmgmt.routing.errors import PvError, RouteError, ScriptLimit
from dlgmgmt.sip.message import Message
from tests.unit.routing.harness import Bench, invite, reply, request, within


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("$ci", "c1"),
        ("$fu", "sip:alice:secret@a.example"),
        ("$fU", "alice"),
        ("$fd", "a.example"),
        ("$fn", '"Alice A."'),
        ("$ft", "alice"),
        ("$tu", "sip:bob@b.example"),
        ("$tU", "bob"),
        ("$td", "b.example"),
        ("$tn", "Bob"),
        ("$tt", None),
        ("$ru", "sip:+4930123@proxy.example:5060;user=phone"),
        ("$rU", "+4930123"),
        ("$rd", "proxy.example"),
        ("$rm", "INVITE"),
        ("$rs", None),
        ("$rr", None),
        ("$si", "192.0.2.1"),
        ("$sp", 5062),
        ("$ua", "phone/1.0"),
        ("$cs", 10),
        ("$du", None),
        ("$hdr(Subject)", "lunch, then talk"),
        ("$hdr(s)", "lunch, then talk"),
        ("$hdr(X-None)", None),
        ("$avp(none)", None),
        ("$var(none)", None),
    ],
)
def test_of_a_request(name: str, value: str | int | None) -> None:
    bench = Bench(invite("Subject: lunch,\r\n  then talk"))
    assert bench.msg.get_pv(name) == value
    assert bench.msg.pv(f"<{name}>") == f"<{'<null>' if value is None else value}>"


def test_of_a_reply() -> None:
    msg = Bench(reply(183, "Session Progress"), route="onreply").msg
    values = [msg.get_pv(name) for name in ("$rs", "$rr", "$rm", "$tt", "$cs", "$ru", "$rU")]
    assert values == [183, "Session Progress", "INVITE", "bob", 10, None, None]


def test_of_a_sequential_request() -> None:
    msg = Bench(within("BYE", upstream=True)).msg
    assert [msg.get_pv(name) for name in ("$tt", "$ft", "$rm")] == ["alice", "bob", "BYE"]


@pytest.mark.parametrize(
    ("from_", "uri", "user", "domain", "display"),
    [
        (
            "<tel:+4930123;phone-context=x>;tag=1",
            "tel:+4930123;phone-context=x",
            "+4930123",
            None,
            None,
        ),
        ("<sip:[2001:DB8::1]>;tag=1", "sip:[2001:DB8::1]", None, "[2001:db8::1]", None),
        ("sip:carol@c.example;tag=1", "sip:carol@c.example", "carol", "c.example", None),
        ('"a \\" <b>" <sip:d@E.example>;tag=1', "sip:d@E.example", "d", "e.example", '"a \\" <b>"'),
        ("<http://x>;tag=1", "http://x", None, None, None),
        ("<sip:x:y:z@@@>;tag=1", "sip:x:y:z@@@", None, None, None),
        ('"unclosed <sip:a@b>;tag=1', None, None, None, None),
        ("", None, None, None, None),
        ("<<<>>>;;;", "<<", None, None, None),
    ],
)
def test_a_strange_from_is_none_where_it_says_nothing(
    from_: str, uri: str | None, user: str | None, domain: str | None, display: str | None
) -> None:
    msg = Bench(invite(from_=from_)).msg
    found = [msg.get_pv(name) for name in ("$fu", "$fU", "$fd", "$fn")]
    assert found == [uri, user, domain, display]


def test_a_message_without_headers_has_none_of_them() -> None:
    msg = Bench(Message(b"INVITE sip:b@p SIP/2.0\r\n\r\n")).msg
    for name in ("ci", "fu", "fU", "fd", "fn", "ft", "tu", "tU", "td", "tn", "tt", "ua", "cs"):
        assert msg.get_pv("$" + name) is None
    assert msg.pv("$fu|$ru") == "<null>|sip:b@p"


def test_bytes_that_are_no_utf8_come_out_as_they_came_in() -> None:
    value = Bench(invite("Subject: \udcff\udc80")).msg.get_pv("$hdr(subject)")
    assert value == "\udcff\udc80"


# -- writing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "uri"),
    [
        ("$ru", "sip:carol@c.example;transport=udp", "sip:carol@c.example;transport=udp"),
        ("$rU", "carol", "sip:carol@proxy.example:5060;user=phone"),
        ("$rU", 4711, "sip:4711@proxy.example:5060;user=phone"),
        ("$rU", None, "sip:proxy.example:5060;user=phone"),
        ("$rU", "$fU", "sip:alice@proxy.example:5060;user=phone"),
        ("$rd", "C.example", "sip:+4930123@c.example:5060;user=phone"),
        ("$rd", "2001:db8::1", "sip:+4930123@[2001:db8::1]:5060;user=phone"),
        ("$rd", "[2001:db8::1]", "sip:+4930123@[2001:db8::1]:5060;user=phone"),
    ],
)
def test_the_request_uri_and_its_parts_can_be_set(
    name: str, value: str | int | None, uri: str
) -> None:
    msg = Bench().msg
    msg.set_pv(name, value)
    assert msg.ruri == msg.get_pv("$ru") == uri


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("$ru", "bob"),
        ("$ru", "http://x"),
        ("$ru", "sip:a b@c"),
        ("$ru", "sip:<null>@c"),
        ("$ru", "sip:b@c\r\nX: y"),
        ("$ru", "sip:" + "b" * 5000 + "@c"),
        ("$ru", None),
        ("$rU", "a@b"),
        ("$rU", 'a"b'),
        ("$rU", "ü"),
        ("$rd", "a:"),
        ("$rd", "a.example:5060"),
        ("$rd", "a;b"),
        ("$rd", "x@y"),
        ("$rd", ""),
        ("$rd", None),
        ("$du", "192.0.2.1"),
        ("$du", "sip:a\n@b"),
    ],
)
def test_a_uri_that_cannot_be_is_refused_and_changes_nothing(name: str, value: str | None) -> None:
    bench = Bench()
    before = bench.msg.ruri
    with pytest.raises(RouteError, match=r"not a|not the user|unset"):
        bench.msg.set_pv(name, value)
    assert bench.msg.ruri == before
    assert bench.msg.get_pv("$du") is None


def test_parts_of_a_uri_that_is_no_sip_uri_cannot_be_set() -> None:
    msg = Bench(invite(uri="tel:+4930")).msg
    assert msg.get_pv("$rU") == "+4930"
    for name in ("$rU", "$rd"):
        with pytest.raises(RouteError, match="no SIP URI"):
            msg.set_pv(name, "x")


def test_the_destination_can_be_set_and_forgotten() -> None:
    msg = Bench().msg
    msg.set_pv("$du", "sip:192.0.2.7:5070;lr")
    assert msg.pv("$du") == "sip:192.0.2.7:5070;lr"
    msg.set_pv("$du", None)
    assert msg.get_pv("$du") is None


@pytest.mark.parametrize("route", ["onreply"])
@pytest.mark.parametrize("name", ["$ru", "$rU", "$rd", "$du"])
def test_a_reply_has_no_request_uri_to_set(route: str, name: str) -> None:
    with pytest.raises(RouteError, match="onreply_route"):
        Bench(reply(), route=route).msg.set_pv(name, "sip:a@b")


@pytest.mark.parametrize(
    "name",
    ["$ci", "$fu", "$fU", "$tu", "$tt", "$rm", "$rs", "$rr", "$si", "$sp", "$ua", "$cs", "$hdr(a)"],
)
def test_what_the_message_says_is_read_only(name: str) -> None:
    with pytest.raises(RouteError, match="cannot be set"):
        Bench().msg.set_pv(name, "x")


def test_avps_keep_text_and_numbers_under_either_spelling() -> None:
    msg = Bench().msg
    msg.set_pv("$avp(size)", 7)
    msg.set_pv("$avp(i:10)", "$fU")
    msg.set_pv("$avp(10)", "ten")
    assert msg.get_pv("$avp(s:size)") == 7
    assert msg.get_pv("$avp(i:0010)") == "alice"
    assert msg.get_pv("$avp(s:10)") == "ten"
    msg.set_pv("$avp(size)", None)
    assert msg.get_pv("$avp(size)") is None


def test_a_variable_takes_the_type_of_the_variable_that_it_is_set_from() -> None:
    msg = Bench().msg
    msg.set_pv("$var(n)", "$cs")
    msg.set_pv("$var(unset)", "$tt")
    msg.set_pv("$var(text)", "n=$cs")
    assert msg.get_pv("$var(n)") == 10
    assert msg.get_pv("$var(unset)") is None
    assert msg.get_pv("$var(text)") == "n=10"


def test_avps_and_variables_are_two_things_and_last_for_the_transaction() -> None:
    first = Bench()
    first.msg.set_pv("$avp(x)", 1)
    first.msg.set_pv("$var(x)", 2)
    later = Bench(reply(), route="onreply", session=first.session)
    assert later.msg.pv("$avp(x) $var(x)") == "1 2"


@pytest.mark.parametrize("kind", ["avp", "var"])
def test_there_are_limits(kind: str) -> None:
    msg = Bench().msg
    for n in range(256):
        msg.set_pv(f"${kind}(n{n})", n)
    with pytest.raises(ScriptLimit, match="256"):
        msg.set_pv(f"${kind}(more)", 1)
    msg.set_pv(f"${kind}(n0)", "x" * 4096)
    with pytest.raises(ScriptLimit, match="4097"):
        msg.set_pv(f"${kind}(n0)", "x" * 4097)
    with pytest.raises(ScriptLimit, match="64 bits"):
        msg.set_pv(f"${kind}(n0)", 10**5000)
    assert msg.get_pv(f"${kind}(n0)") == "x" * 4096
    msg.set_pv(f"${kind}(n1)", None)
    msg.set_pv(f"${kind}(more)", 1)


def test_a_value_is_text_or_a_number() -> None:
    msg = Bench().msg
    msg.set_pv("$avp(yes)", True)
    assert msg.pv("$avp(yes)") == "1"
    with pytest.raises(RouteError, match="not list"):
        msg.set_pv("$avp(x)", [1])  # type: ignore[arg-type]  # what a script may do


@pytest.mark.parametrize(
    "name",
    [
        "$avp()",
        "$avp(i:x)",
        "$avp(i:)",
        "$avp(i:99999999999)",
        "$avp(q:a)",
        "$avp(a b)",
        "$avp($fu)",
        "$avp(" + "x" * 65 + ")",
        "$var()",
        "$var(s:x)",
        "$var(" + "x" * 65 + ")",
        "$hdr()",
        "$hdr(a b)",
        "$hdr(a:)",
    ],
)
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(PvError):
        Bench(request("OPTIONS")).msg.get_pv(name)


def test_a_name_of_64_characters_is_allowed() -> None:
    msg = Bench().msg
    name = "$avp(s:" + "x" * 64 + ")"
    msg.set_pv(name, 1)
    assert msg.get_pv(name) == 1
