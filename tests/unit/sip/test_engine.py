"""The engine on its own thread, asked and told by others."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Iterator
from queue import Queue

import pytest

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.sip.engine import SipEngine
from dlgmgmt.sip.held import Done
from dlgmgmt.sip.settings import Listener, Route, SipSettings

DIALOGS = DialogSettings(hash_size=16)


def _closed() -> int:
    """A port at which nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


class Desk:
    """An engine, and both phones on one socket: nobody but them is on the line."""

    def __init__(self) -> None:
        self.phone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.phone.bind(("127.0.0.1", 0))
        self.phone.settimeout(10)
        port = self.phone.getsockname()[1]
        here = f"sip:127.0.0.1:{port}"
        self.table = DialogTable(
            DIALOGS, wall=time.time, monotonic=time.monotonic, rng=random.Random(1)
        )
        settings = SipSettings(
            listen=(Listener("udp", "127.0.0.1", 0),),
            routes=(
                Route((f"sip:127.0.0.1:{_closed()}", here), user_prefix="2", fork="serial"),
                Route((here,)),
            ),
        )
        self.engine = SipEngine(settings, DIALOGS, self.table, rng=random.Random(2))
        self.stopped = False
        self.there = "127.0.0.1", self.engine.sockets[0].port
        self.via = f"SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKcaller"

    def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            self.engine.stop()

    def call(self, user: str = "1") -> bytes:
        """Place a call and answer it; the INVITE that was forwarded."""
        self.phone.sendto(
            (
                f"INVITE sip:{user}@127.0.0.1:{self.there[1]} SIP/2.0\r\nVia: {self.via}\r\n"
                "From: <sip:a@x>;tag=a\r\nTo: <sip:b@x>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n"
                "Contact: <sip:a@127.0.0.1>\r\nContent-Length: 0\r\n\r\n"
            ).encode(),
            self.there,
        )
        invite = self.read(b"INVITE ")
        head = invite.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]
        lines = [line for line in head if not line.startswith((b"Max-F", b"Contact"))]
        answer = b"\r\n".join([b"SIP/2.0 200 OK", *lines, b"Contact: <sip:b@127.0.0.1>", b"", b""])
        self.phone.sendto(answer.replace(b"To: <sip:b@x>", b"To: <sip:b@x>;tag=b"), self.there)
        return invite

    def read(self, begin: bytes) -> bytes:
        while True:
            data = self.phone.recv(65_535)
            if data.startswith(begin):
                return data


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.stop()
    desk.phone.close()


def test_an_answer_goes_when_another_thread_says_so(desk: Desk) -> None:
    asked: Queue[tuple[Dialog, Done, str]] = Queue()

    def hold(dialog: Dialog, done: Done) -> None:
        asked.put((dialog, done, threading.current_thread().name))

    desk.engine.hold_answers = hold
    assert desk.engine.hold_answers is hold
    desk.engine.start()
    desk.call()
    dialog, done, thread = asked.get(timeout=10)
    assert (dialog.callid, thread) == ("c", "dlgmgmt-sip")
    holder = desk.engine.proxy.holder
    assert (holder.held, holder.waiting) == (1, 1)
    done(True)
    assert b"tag=b" in desk.read(b"SIP/2.0 200 ")


def test_who_says_so_after_the_end_is_not_told_that_it_is_too_late(desk: Desk) -> None:
    asked: Queue[Done] = Queue()
    desk.engine.hold_answers = lambda _, done: asked.put(done)
    desk.engine.start()
    desk.call()
    done = asked.get(timeout=10)
    desk.stop()
    done(True)
    assert asked.empty()


def test_the_gate_may_be_opened_from_another_thread(desk: Desk) -> None:
    gate = desk.engine.loading
    gate.begin()
    desk.engine.start()
    desk.phone.sendto(
        (
            f"INVITE sip:1@127.0.0.1:{desk.there[1]} SIP/2.0\r\nVia: {desk.via}0\r\n"
            "From: <sip:a@x>;tag=a\r\nTo: <sip:b@x>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\r\n"
        ).encode(),
        desk.there,
    )
    assert b"\r\nRetry-After: 5\r\n" in desk.read(b"SIP/2.0 503 ")
    gate.end()
    assert desk.call().startswith(b"INVITE ")
    desk.read(b"SIP/2.0 200 ")


def test_a_closed_port_does_not_keep_a_call_from_the_next_target(desk: Desk) -> None:
    """The system knows at once; timer B would take half a minute."""
    desk.engine.start()
    began = time.monotonic()
    assert desk.call("2").startswith(b"INVITE sip:2@127.0.0.1:")
    desk.read(b"SIP/2.0 200 ")
    assert time.monotonic() - began < 10
