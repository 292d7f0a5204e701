from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from dlgmgmt.sip.flow import Tap
from dlgmgmt.sip.settings import Listener, TraceSettings
from dlgmgmt.sip.trace import MAX_FOUND, MAX_FOUND_BYTES, NoCollector, Traced, Tracer
from dlgmgmt.sip.transport import UdpSocket

ALICE = ("192.0.2.7", 5062)


def message(callid: str, text: str = "") -> bytes:
    return f"OPTIONS sip:a SIP/2.0\r\nCall-ID: {callid}\r\n\r\n{text}".encode()


class Engine:
    """What the tracer has around it: a listener, a clock, and a thread that takes its orders."""

    def __init__(self, settings: TraceSettings) -> None:
        self.now = 1_700_000_000.0
        self.tap: Tap | None = None
        self.orders: list[Callable[[], None]] = []
        self.transport = UdpSocket(Listener("udp", "127.0.0.1", 0), 65_535, lambda *_: None)
        self.tracer = Tracer(settings, self._set, self.orders.append, lambda: self.now)

    def _set(self, tap: Tap | None) -> None:
        self.tap = tap

    def work(self) -> None:
        while self.orders:
            self.orders.pop(0)()

    def enabled(self) -> bool:
        return self.tracer.settings.enabled

    def receive(self, *messages: bytes) -> None:
        for data in messages:
            if self.tap is not None:
                self.tap.received(self.transport, ALICE, data)

    def send(self, data: bytes) -> None:
        if self.tap is not None:
            self.tap.sent(self.transport, ALICE, data)

    def bodies(self, callid: str, after: int = 0) -> list[str] | None:
        found = self.tracer.find(callid, after)
        return None if found is None else [m.data.partition(b"\r\n\r\n")[2].decode() for m in found]


@pytest.fixture
def start() -> Iterator[Callable[..., Engine]]:
    engines: list[Engine] = []

    def make(**settings: object) -> Engine:
        engines.append(Engine(TraceSettings(**settings)))  # type: ignore[arg-type]
        return engines[-1]

    yield make
    for engine in engines:
        engine.tracer.close()
        engine.transport.close()


@pytest.fixture
def collector() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


Start = Callable[..., Engine]


def test_a_call_is_found_with_its_messages_in_order_and_no_others(start: Start) -> None:
    engine = start()
    engine.receive(message("one"), message("two"))
    engine.now += 0.25
    engine.send(message("one", "answer"))
    local = ("127.0.0.1", engine.transport.port)
    assert engine.tracer.find("one") == [
        Traced(1, 1_700_000_000.0, "in", "udp", local, ALICE, message("one")),
        Traced(3, 1_700_000_000.25, "out", "udp", local, ALICE, message("one", "answer")),
    ]


def test_one_callid_in_another_or_in_a_body_is_not_the_call(start: Start) -> None:
    engine = start()
    engine.receive(message("one@host"), message("two", "Call-ID: one\r\n\r\n"), message("o"))
    assert engine.tracer.find("one") is None


def test_of_a_wildcard_the_address_is_told_that_the_peer_sees(start: Start) -> None:
    engine = start()
    everywhere = UdpSocket(Listener("udp", "0.0.0.0", 0), 65_535, lambda *_: None)
    assert engine.tap is not None
    engine.tap.received(everywhere, ("127.0.0.1", 5062), message("one"))
    everywhere.close()
    (found,) = engine.tracer.find("one") or []
    assert found.local_text == f"127.0.0.1:{everywhere.port}"
    assert found.remote_text == "127.0.0.1:5062"


def test_a_callid_of_any_bytes_is_found(start: Start) -> None:
    engine = start()
    engine.receive(b"OPTIONS sip:a SIP/2.0\r\ni: \xff\x1b[2J\r\n\r\n")
    assert engine.bodies("\udcff\x1b[2J") == [""]


def test_keep_alives_are_not_kept(start: Start) -> None:
    engine = start()
    engine.receive(b"\r\n\r\n", b"\0", b"")
    assert dict(engine.tracer.statistics())["ring_messages"] == 0


def test_the_oldest_go_when_there_are_too_many(start: Start) -> None:
    engine = start(ring_messages=3)
    engine.receive(*(message("one", str(number)) for number in range(10)))
    assert engine.bodies("one") == ["7", "8", "9"]


def test_the_oldest_go_when_they_are_too_long(start: Start) -> None:
    size = len(message("one", "x"))
    engine = start(ring_messages=100, ring_bytes=4 * size + 3)
    engine.receive(*(message("one", str(number)) for number in range(10)))
    assert engine.bodies("one") == ["6", "7", "8", "9"]
    engine.receive(message("one", "long" + "g" * (2 * size)))
    assert dict(engine.tracer.statistics())["ring_bytes"] <= 4 * size + 3
    assert (engine.bodies("one") or [])[0] == "9"
    # What is longer than the whole ring drives nothing out.
    engine.receive(message("one", "l" * 5 * size))
    assert len(engine.bodies("one") or []) == 2


def test_many_sizes_never_pass_the_bounds(start: Start) -> None:
    engine = start(ring_messages=7, ring_bytes=900)
    kept: list[str] = []
    for number in range(500):
        body = f"{number}." + "x" * (number * 37 % 300)
        engine.receive(message("one", body))
        kept.append(body)
        while len(kept) > 7 or sum(len(message("one", text)) for text in kept) > 900:
            kept.pop(0)
        assert engine.bodies("one") == kept


def test_reading_on_after_a_message(start: Start) -> None:
    engine = start()
    engine.receive(*(message("one", str(number)) for number in range(4)))
    assert engine.bodies("one", after=2) == ["2", "3"]
    assert engine.bodies("one", after=4) == []
    assert engine.bodies("two", after=4) is None


def test_a_long_log_comes_in_pieces(start: Start) -> None:
    engine = start(ring_messages=2000)
    engine.receive(*(message("one", str(number)) for number in range(MAX_FOUND + 20)))
    first = engine.tracer.find("one") or []
    assert len(first) == MAX_FOUND
    rest = engine.bodies("one", first[-1].number)
    assert rest == [str(number) for number in range(MAX_FOUND, MAX_FOUND + 20)]


def test_long_messages_come_in_pieces(start: Start) -> None:
    engine = start()
    engine.receive(*(message("one", str(number) * 60_000) for number in range(10)))
    engine.receive(*(message("one", str(number) * 60_000) for number in range(10)))
    last, seen = 0, 0
    while found := engine.tracer.find("one", last):
        assert sum(len(m.data) for m in found) <= MAX_FOUND_BYTES
        last, seen = found[-1].number, seen + len(found)
    assert seen == 20


def test_with_nothing_to_do_there_is_no_tap(start: Start) -> None:
    assert start(ring_messages=0).tap is None
    assert start(ring_bytes=0).tap is None
    assert start().tap is not None


def test_copies_are_sent_from_the_switch_to_the_next(
    start: Start, collector: socket.socket
) -> None:
    engine = start(ring_messages=0, hep=collector.getsockname())
    engine.receive(message("one", "before"))
    engine.tracer.switch(on=True)
    assert engine.enabled()
    engine.work()
    engine.receive(message("one", "during"))
    engine.tracer.switch(on=False)
    engine.work()
    assert engine.tap is None
    engine.receive(message("one", "after"))
    assert collector.recv(65_536).endswith(b"during")
    assert dict(engine.tracer.statistics())["hep_sent"] == 1


def test_both_directions_have_their_ends(start: Start, collector: socket.socket) -> None:
    engine = start(enabled=True, hep=collector.getsockname())
    port = engine.transport.port.to_bytes(2)
    engine.receive(message("one"))
    ports = collector.recv(65_536)[40:56]
    assert ports == b"\0\0\0\7\0\x08" + (5062).to_bytes(2) + b"\0\0\0\x08\0\x08" + port
    engine.send(message("one"))
    ports = collector.recv(65_536)[40:56]
    assert ports == b"\0\0\0\7\0\x08" + port + b"\0\0\0\x08\0\x08" + (5062).to_bytes(2)


def test_the_switch_can_name_another_collector(start: Start, collector: socket.socket) -> None:
    engine = start(enabled=True, hep=("127.0.0.1", 9))
    engine.tracer.switch(on=True, collector=collector.getsockname())
    engine.work()
    engine.receive(message("one"))
    assert collector.recv(65_536).endswith(message("one"))


def test_without_a_collector_the_switch_is_refused(start: Start) -> None:
    engine = start()
    with pytest.raises(NoCollector):
        engine.tracer.switch(on=True)
    assert not engine.enabled()
    engine.tracer.switch(on=False)


def test_a_reload_keeps_the_switch_unless_the_file_has_changed(
    start: Start, collector: socket.socket
) -> None:
    engine = start(hep=collector.getsockname())
    engine.tracer.switch(on=True)
    engine.tracer.use(TraceSettings(hep=collector.getsockname()))
    assert engine.enabled()
    engine.tracer.use(TraceSettings(hep=collector.getsockname(), hep_id=5))
    assert not engine.enabled()
    engine.tracer.use(TraceSettings(hep=collector.getsockname(), hep_id=5, enabled=True))
    engine.work()
    engine.receive(message("one"))
    assert bytes.fromhex("0000 000c 000a 00000005") in collector.recv(65_536)


def test_a_reload_changes_the_ring_and_the_numbers_go_on(start: Start) -> None:
    engine = start(ring_messages=5)
    engine.receive(*(message("one", str(number)) for number in range(5)))
    for size in (0, 2):
        engine.tracer.use(TraceSettings(ring_messages=size))
        engine.work()
    engine.receive(*(message("one", str(number)) for number in (5, 6, 7)))
    assert [m.number for m in engine.tracer.find("one", after=5) or []] == [7, 8]


def test_searching_while_messages_come_gives_one_piece_of_the_past(start: Start) -> None:
    engine = start(ring_messages=3000)
    stop = threading.Event()

    def fill() -> None:
        while not stop.is_set():
            engine.receive(message("one"), message("two"))

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        for _ in range(50):
            ring = engine.tracer._ring
            assert ring is not None
            numbers = [record[0] for record in ring.records(b"one")]
            assert numbers == list(range(numbers[0], numbers[-1] + 1, 2)) if numbers else True
    finally:
        stop.set()
        thread.join()
