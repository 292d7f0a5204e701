"""The commands of tracing, over both protocols, with a real tracer that messages are told to."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dlgmgmt.commands.dispatcher import Dispatcher
from dlgmgmt.commands.errors import CommandError, Failure, MgmtProtocol
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.interfaces.mi_fifo import MiBinding
from dlgmgmt.interfaces.rpc_render import JSON, render
from dlgmgmt.sip.settings import Listener, TraceSettings
from dlgmgmt.sip.trace import MAX_FOUND, Tracer
from dlgmgmt.sip.transport import UdpSocket
from mi_fifo import MiParam, MiRequest
from mi_fifo import render as render_mi
from tests.unit.commands.harness import ME, House

RPC = MgmtProtocol.RPC
OPTIONS = b"OPTIONS sip:bob@example.com SIP/2.0\r\nCall-ID: one@x\r\nCSeq: 1 OPTIONS\r\n\r\n"


class Desk:
    """A dispatcher beside a tracer."""

    def __init__(self, settings: TraceSettings) -> None:
        self.transport = UdpSocket(Listener("udp", "127.0.0.1", 0), 65_535, lambda *_: None)
        self.orders: list[Callable[[], None]] = []
        self.tracer = Tracer(settings, lambda _: None, self.orders.append, lambda: 1.5e9 + 0.25)
        context = dataclasses.replace(House().context, tracing=self.tracer)
        self.dispatcher = Dispatcher(build_registry(), context)

    def receive(self, data: bytes = OPTIONS) -> None:
        self.tracer.received(self.transport, ("192.0.2.1", 5062), data)

    def rpc(self, name: str, *values: object, **named: object) -> Any:
        arguments = [(None, value) for value in values] + list(named.items())
        return json.loads(JSON.encode(render(self.dispatcher.call(RPC, name, arguments, ME))))

    def refused(self, name: str, *values: object) -> CommandError:
        with pytest.raises(CommandError) as caught:
            self.rpc(name, *values)
        return caught.value

    def mi(self, command: str, *values: str) -> str:
        request = MiRequest(command, tuple(MiParam(None, value) for value in values), "reply")
        return b"".join(render_mi(MiBinding(self.dispatcher)(request))).decode()


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk(TraceSettings())
    yield made
    made.tracer.close()
    made.transport.close()


def test_a_trace_over_rpc(desk: Desk) -> None:
    desk.receive()
    desk.tracer.sent(desk.transport, ("192.0.2.1", 5062), OPTIONS + b"\xff")
    local = f"127.0.0.1:{desk.transport.port}"
    first = {
        "number": 1,
        "time": 1500000000.25,
        "direction": "in",
        "transport": "udp",
        "local": local,
        "remote": "192.0.2.1:5062",
        "size": len(OPTIONS),
        "message": OPTIONS.decode(),
    }
    second = {
        **first,
        "number": 2,
        "direction": "out",
        "size": len(OPTIONS) + 1,
        "message": OPTIONS.decode() + "\ufffd",
    }
    assert desk.rpc("dlg.trace", "one@x") == [first, second]
    assert desk.rpc("dlg.trace", callid="one@x", after=1) == [second]
    assert desk.rpc("dlg.trace", "one@x", 2) == []


def test_a_trace_over_mi(desk: Desk) -> None:
    desk.receive(b"INFO sip:a SIP/2.0\r\ni: one@x\r\nX: a=b\r\n  c=d :: \x1b\r\n\r\n\xff\tbody\r\n")
    assert desk.mi("dlg_trace", "one@x") == (
        "200 OK\n"
        "message:: 1\n"
        "\ttime:: 1500000000.250000\n"
        "\tdirection:: in\n"
        "\ttransport:: udp\n"
        f"\tlocal:: 127.0.0.1:{desk.transport.port}\n"
        "\tremote:: 192.0.2.1:5062\n"
        "\tsize:: 60\n"
        '\tline:: "INFO sip:a SIP/2.0"\n'
        '\tline:: "i: one@x"\n'
        '\tline:: "X: a=b"\n'
        '\tline:: "  c=d :: \\x1b"\n'
        '\tline:: ""\n'
        '\tline:: "\\xff\\x09body"\n'
        '\tline:: ""\n'
        "\n"
    )
    assert desk.mi("dlg_trace", "one@x", "1") == "200 OK\n\n"


def test_a_call_of_which_nothing_is_kept(desk: Desk) -> None:
    error = desk.refused("dlg.trace", "one@x")
    assert (error.code, error.text, error.failure) == (404, "Trace not found", Failure.NO_TRACE)
    assert desk.mi("dlg_trace", "one@x") == "404 Trace not found\n\n"
    assert desk.refused("dlg.trace").code == -32602


def test_a_long_trace_is_asked_for_in_pieces(desk: Desk) -> None:
    for _ in range(MAX_FOUND + 1):
        desk.receive()
    first = desk.rpc("dlg.trace", "one@x")
    rest = desk.rpc("dlg.trace", "one@x", first[-1]["number"])
    assert (len(first), len(rest)) == (MAX_FOUND, 1)


def test_the_switch_over_rpc_answers_as_kamailio_does(desk: Desk) -> None:
    assert desk.rpc("siptrace.status", "check") == "Disabled"
    assert desk.rpc("siptrace.status", "on", "udp:127.0.0.1:9060") == "Enabled"
    assert desk.tracer.settings.hep == ("127.0.0.1", 9060)
    assert desk.rpc("siptrace.status", "check") == "Enabled"
    assert desk.rpc("siptrace.status") == "Enabled"
    assert desk.rpc("siptrace.status", "OFF") == "Disabled"
    assert desk.rpc("siptrace.status", "check") == "Disabled"
    assert desk.rpc("siptrace.status", status="on") == "Enabled"
    assert desk.tracer.settings.hep == ("127.0.0.1", 9060)
    assert len(desk.orders) == 3


def test_the_switch_over_mi(desk: Desk) -> None:
    assert desk.mi("sip_trace") == "200 OK\noff\n\n"
    assert desk.mi("sip_trace", "on", "udp:[::1]:9060") == "200 OK\non\n\n"
    assert desk.tracer.settings.hep == ("::1", 9060)
    assert desk.mi("sip_trace") == "200 OK\non\n\n"
    assert desk.mi("sip_trace", "off") == "200 OK\noff\n\n"


def test_the_switch_needs_a_collector(desk: Desk) -> None:
    assert desk.refused("siptrace.status", "on").failure is Failure.NO_COLLECTOR
    assert desk.mi("sip_trace", "on") == "400 No collector\n\n"
    assert not desk.orders


@pytest.mark.parametrize(
    "values",
    [
        ("onn",),
        ("",),
        ("check", "udp:127.0.0.1:9060"),
        ("on", "tcp:127.0.0.1:9060"),
        ("on", "udp:localhost:9060"),
        ("on", "udp:127.0.0.1"),
        ("on", "udp:127.0.0.1:0"),
        ("on", "udp:127.0.0.1:65536"),
        ("on", "udp:127.0.0.1:\u0661"),
        ("on", "udp:::1:9060"),
        ("on", "udp:[127.0.0.1]:9060"),
        ("on", ""),
    ],
)
def test_a_bad_switch_is_refused_and_changes_nothing(desk: Desk, values: tuple[str, ...]) -> None:
    error = desk.refused("siptrace.status", *values)
    assert (error.code, error.text) == (500, "Bad parameter (on, off or check)")
    assert error.detail.isascii()
    assert desk.tracer.settings == TraceSettings()
    assert not desk.orders


def test_where_no_messages_pass() -> None:
    house = House()
    with pytest.raises(CommandError) as caught:
        house.dispatcher.call(RPC, "dlg.trace", [(None, "one@x")], ME)
    assert caught.value.failure is Failure.NO_TRACE
    with pytest.raises(CommandError) as caught:
        house.dispatcher.call(RPC, "siptrace.status", [(None, "on")], ME)
    assert caught.value.failure is Failure.NO_COLLECTOR
    assert render(house.dispatcher.call(RPC, "siptrace.status", [], ME)) == "Disabled"
