"""Whatever stands in a URI and in DNS, what comes out can be sent to."""

from __future__ import annotations

import random
import socket

from hypothesis import given
from hypothesis import strategies as st

from dlgmgmt.sip.errors import BadMessage
from dlgmgmt.sip.selection import (
    MAX_CANDIDATES,
    MAX_SERVICES,
    MAX_TARGETS,
    Listening,
    Naptr,
    Question,
    Records,
    Srv,
    find,
    is_numeric,
    plan,
)
from dlgmgmt.sip.uri import parse_uri

NAMES = ("", "a.example", "_sip._udp.a.example", "b.example", "192.0.2.1", "x" * 300, "\\000.\\.")
NUMBERS = st.integers(0, 65_535)
SERVICES = ("SIP+D2U", "sip+d2t", "SIPS+D2T", "SIP+D2W", "SIPS+D2W", "SIP+D2S", "", "\ufffd")

naptrs = st.builds(
    Naptr,
    NUMBERS,
    NUMBERS,
    st.sampled_from(["s", "S", "a", "u", "", "sa"]),
    st.sampled_from(SERVICES),
    st.sampled_from(NAMES),
)
srvs = st.builds(Srv, NUMBERS, NUMBERS, NUMBERS, st.sampled_from(NAMES))
addresses = st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1"])
records = st.lists(st.one_of(naptrs, srvs, addresses), max_size=40).map(tuple)
families = st.lists(
    st.sampled_from([socket.AF_INET, socket.AF_INET6]), min_size=1, max_size=2, unique=True
).map(tuple)
listeners = st.dictionaries(
    st.sampled_from(["udp", "tcp", "tls", "ws", "wss"]), families, min_size=1
)
uris = st.builds(
    "{}:{}{}{}{}".format,
    st.sampled_from(["sip", "sips"]),
    st.sampled_from(["a.example", "A.Example.", "192.0.2.9", "[2001:db8::9]", "localhost", "-"]),
    st.sampled_from(["", ":5080", ":1", ":65535"]),
    st.sampled_from(["", *(f";transport={each}" for each in ("udp", "TCP", "tls", "ws", "q", ""))]),
    st.sampled_from(["", ";maddr=192.0.2.8", ";maddr=[::1]", ";maddr=b.example", ";maddr=."]),
)


@given(uris, listeners, st.lists(records, max_size=8), st.randoms(use_true_random=False))
def test_what_comes_out_can_be_sent_to(
    uri: str, listening: Listening, answers: list[Records], rng: random.Random
) -> None:
    try:
        parsed = parse_uri(uri)
    except BadMessage:
        return
    asked = plan(parsed, listening)
    if asked is None:
        return
    steps = find(asked, listening, rng)
    said = iter(answers)
    try:
        questions = next(steps)
        for _ in range(3):
            assert 0 < len(set(questions)) <= 2 * MAX_SERVICES * MAX_TARGETS
            questions = steps.send({each: next(said, ()) for each in questions})
        raise AssertionError(f"it asks on and on: {questions}")
    except StopIteration as stop:
        found = stop.value
    assert len(found) == len(set(found)) <= MAX_CANDIDATES
    for each in found:
        assert each.transport in listening
        assert is_numeric(each.host)
        assert 0 < each.port < 65_536
        if parsed.scheme == "sips":
            assert each.transport in ("tls", "wss")
        if each.name:
            assert each.name == parsed.host.rstrip(".")


@given(st.lists(srvs, min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_each_server_of_a_service_is_tried_once(servers: list[Srv], rng: random.Random) -> None:
    listening: Listening = {"udp": (socket.AF_INET,)}
    asked = plan(parse_uri("sip:a.example;transport=udp"), listening)
    assert asked is not None
    steps = find(asked, listening, rng)
    (question,) = next(steps)
    try:
        questions = steps.send({question: tuple(servers)})
        steps.send({each: ("192.0.2.1",) for each in questions if each.kind == "A"})
    except StopIteration as stop:
        ports = [each.port for each in stop.value]
        usable = {each.port for each in servers if each.target and each.port}
        assert set(ports) <= usable
        assert bool(ports) == bool(usable)
    assert question == Question("_sip._udp.a.example", "SRV")
