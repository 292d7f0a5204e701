"""The MI datagram door on real sockets over a real dialog table."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlgmgmt.commands.dispatcher import Dispatcher
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.interfaces.access import Access
from dlgmgmt.interfaces.datagrams import DatagramSocket, Peer
from dlgmgmt.interfaces.mi_datagram import MiDatagrams
from dlgmgmt.interfaces.mi_fifo import MiBinding
from dlgmgmt.interfaces.settings import FileRights, MiDatagramSettings, SocketAddress
from dlgmgmt.interfaces.sockets import bind
from dlgmgmt.interfaces.tokens import Credentials
from mi_fifo import MiBadRequest, RequestParser, render
from tests.unit.commands.harness import House

DATA = Path(__file__).parents[2] / "data" / "mi-4.4"
KINDS = ("unix", "udp")
VERSION = b":version:\n"
BOTH = pytest.mark.parametrize("kind", KINDS)
TOO_LARGE = (
    "513 Reply too large: more than the {} bytes that this door carries; "
    "use dlg_query with limit and cursor\n"
)


class Client:
    """A socket with a name, for one of the doors."""

    def __init__(self, sock: socket.socket, where: Any) -> None:
        self.sock = sock
        self._where = where

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendto(self.sock, data, self._where)

    async def receive(self) -> str:
        async with asyncio.timeout(10):
            return (await asyncio.get_running_loop().sock_recv(self.sock, 500_000)).decode()

    async def ask(self, data: bytes) -> str:
        await self.send(data)
        return await self.receive()

    def silent(self) -> bool:
        """Whether nothing has come; the door has to have had its turn."""
        try:
            self.sock.recv(65_536)
        except BlockingIOError:
            return True
        return False


class Doors:
    """Both doors, open."""

    def __init__(self, server: MiDatagrams, house: House, folder: Path) -> None:
        self.server = server
        self.house = house
        self._folder = folder
        self._clients = 0
        self.at = {address.kind: address for address in server.addresses}

    @contextmanager
    def client(self, kind: str = "unix", *, connected: bool = True) -> Iterator[Client]:
        """One that takes datagrams from the door alone, or from anybody."""
        address = self.at[kind]  # type: ignore[index]
        where: Any = address.path or (address.host, address.port)
        family = socket.AF_UNIX if address.path else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            if address.path:
                self._clients += 1
                sock.bind(str(self._folder / f"client{self._clients}"))
            if connected:
                sock.connect(where)
            yield Client(sock, where)

    def counter(self, name: str) -> int:
        return dict(self.server.counters())[name]


@asynccontextmanager
async def opened(
    folder: Path,
    calls: int = 0,
    access: Access | None = None,
    dispatcher: Dispatcher | None = None,
    **settings: Any,
) -> AsyncIterator[Doors]:
    listen = (
        SocketAddress("unix", path=str(folder / "mi.sock")),
        SocketAddress("udp", host="127.0.0.1"),
    )
    house = House(hash_size=16)
    for number in range(calls):
        house.call(f"call-{number}@ref", f"uac-{number}")
    server = MiDatagrams(
        MiDatagramSettings(listen=listen, **settings), dispatcher or house.dispatcher, access
    )
    await server.start()
    try:
        yield Doors(server, house, folder)
    finally:
        await server.stop()


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - of counters, which tell nobody
            await asyncio.sleep(0.01)


@BOTH
async def test_a_call_is_listed_looked_up_and_ended(tmp_path: Path, kind: str) -> None:
    async with opened(tmp_path, calls=2) as doors:
        with doors.client(kind) as client:
            listing = await client.ask(b":dlg_list:\n")
            assert listing.startswith("200 OK\ndialog::  hash=")
            assert listing.count("\ndialog::") == 2
            assert listing.endswith("\n")
            assert not listing.endswith("\n\n")
            one = await client.ask(b":dlg_list:\ncall-1@ref\n")
            assert re.findall(r"\tcallid:: (.*)\n", one) == ["call-1@ref"]
            ended = await client.ask(b":dlg_terminate_dlg:\ncall-1@ref\nuac-1\nuas5190-1\n")
            assert ended == "200 OK\n"
            (order,) = doors.house.terminator.ordered
            assert order.view.callid == "call-1@ref"
        assert doors.counter("requests") == 3


REQUESTS = sorted(path for path in DATA.glob("*/*.req") if path.parent.name != "fifo")


async def test_recorded_requests_are_answered_as_on_the_fifo(tmp_path: Path) -> None:
    """Each in a house of its own, for some of them end calls."""
    compared = 0
    for path in REQUESTS:
        data = path.read_bytes()
        (event,) = RequestParser().feed(data, 0.0)
        if isinstance(event, MiBadRequest):
            expected = f"400 {event.text}\n"
        else:
            twin = House(hash_size=16)
            for number in range(2):
                twin.call(f"call-{number}@ref", f"uac-{number}")
            chunks = render(MiBinding(twin.dispatcher)(event))
            # The FIFO's empty line is no part of a datagram.
            expected = re.sub(r"\n\n\Z", "\n", b"".join(chunks).decode())
        async with opened(tmp_path, calls=2) as doors:
            with doors.client("udp") as client:
                assert await client.ask(data) == expected, path.stem
        compared += 1
    assert compared > 100


@BOTH
@pytest.mark.parametrize(
    ("data", "reply"),
    [
        (b"", "400 bad command line: it does not start with ':'\n"),
        (b"\x00" * 5000, "400 bad command line: of 1024 bytes or more\n"),
        (b":nothing:\n", "500 command 'nothing' not available\n"),
        (b":no\xffthing:\n", "500 command 'no\\xffthing' not available\n"),
        (b':dlg_list:\n"a', "400 parse error in command 'dlg_list'\n"),
        (b":dlg_list:\n" + b"x" * 60_000, None),
        (b":dlg_list:\na\nb\nc\nd\n", "400 Too few or too many arguments\n"),
        (b":dlg_terminate_dlg:\nnone@ref\na\nb", "404 Requested Dialog not found\n"),
    ],
)
async def test_hostile_datagrams(tmp_path: Path, kind: str, data: bytes, reply: str | None) -> None:
    async with opened(tmp_path, calls=1, max_request=50_000) as doors:
        with doors.client(kind) as client:
            told = await client.ask(data)
            if reply is None:
                reply = "400 parse error in command 'dlg_list': "
                reply += "a request of more than 50000 bytes\n"
            assert told == reply
            assert (await client.ask(b":dlg_list:\n")).startswith("200 OK\ndialog::")


@BOTH
async def test_a_table_that_is_too_large_is_refused_and_never_cut(
    tmp_path: Path, kind: str
) -> None:
    async with opened(tmp_path, calls=2000) as doors:
        limit = 65_507 if kind == "udp" else 65_536
        with doors.client(kind) as client:
            assert await client.ask(b":dlg_list:\n") == TOO_LARGE.format(limit)
            assert (await client.ask(b":dlg_list:\ncall-7@ref\n")).startswith("200 OK\n")
        assert doors.counter("too_large") == 1


async def test_a_unix_socket_carries_what_it_is_told_to(tmp_path: Path) -> None:
    async with opened(tmp_path, calls=200, max_reply=200_000) as doors:
        with doors.client() as client:
            listing = await client.ask(b":dlg_list:\n")
            assert len(listing) > 70_000
            assert listing.count("\ndialog::") == 200


def _granted(asked: int) -> int:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, asked)
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2


async def test_the_limit_is_never_more_than_the_system_carries(tmp_path: Path) -> None:
    async def nothing(_data: bytes, _peer: Peer) -> None:
        """Requests do not matter."""

    bound = bind(SocketAddress("unix", path=str(tmp_path / "mi.sock")), FileRights())
    door = DatagramSocket(
        bound,
        nothing,
        bytes,
        max_size=1,
        max_reply=3_000_000,
        most=1,
        write_deadline=0,
    )
    assert door.limit <= min(3_000_000, _granted(48_000_000))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.settimeout(5)
        peer.bind(str(tmp_path / "peer"))
        assert await door.send(bytes(door.limit), peer.getsockname())
        assert len(peer.recv(3_000_000)) == door.limit
    bound.close()


async def test_a_client_without_a_name_is_not_answered_and_ends_no_call(tmp_path: Path) -> None:
    async with opened(tmp_path, calls=1) as doors:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nobody:
            nobody.connect(doors.at["unix"].path)
            nobody.send(b":dlg_terminate_dlg:\ncall-0@ref\nuac-0\nuas5190-1\n")
            await eventually(lambda: doors.counter("unnamed") == 1)
        assert doors.house.terminator.ordered == []
        assert doors.counter("requests") == 0


async def test_a_reply_is_not_replied_to(tmp_path: Path) -> None:
    async with opened(tmp_path) as doors:
        with doors.client("udp") as client:
            await client.send(b"400 bad command line: it does not start with ':'\n")
            assert (await client.ask(VERSION)).startswith("200 OK\n")
            assert client.silent()
        assert doors.counter("bad_requests") == 1


async def test_a_client_that_does_not_read_holds_up_nobody(tmp_path: Path) -> None:
    async with opened(tmp_path, calls=100, write_deadline=60) as doors:
        with doors.client(connected=False) as deaf, doors.client() as other:
            for _ in range(60):
                await deaf.send(b":dlg_list:\n")
            for _ in range(20):
                assert (await other.ask(VERSION)).startswith("200 OK\n")
            # It is answered as soon as it reads.
            for _ in range(60):
                assert (await deaf.receive()).count("\ndialog::") == 100
            assert doors.counter("slow_readers") == doors.counter("refused") == 0


async def test_what_nobody_reads_takes_no_room_from_others(tmp_path: Path) -> None:
    """More than the system gives one socket, in the queues of those who have asked."""
    async with opened(tmp_path, calls=100, write_deadline=0.05) as doors, AsyncExitStack() as stack:
        deaf = [stack.enter_context(doors.client(connected=False)) for _ in range(40)]
        for client in deaf:
            for _ in range(8):
                await client.send(b":dlg_list:\n")
        await eventually(lambda: doors.counter("requests") + doors.counter("refused") == 320)
        with doors.client(connected=False) as other, doors.client() as connected:
            for client in (other, connected):
                assert (await client.ask(b":dlg_list:\n")).count("\ndialog::") == 100
        assert doors.counter("slow_readers") == 0


async def test_a_client_that_does_not_read_is_given_up(tmp_path: Path) -> None:
    async with opened(tmp_path, calls=10, write_deadline=0.2) as doors:
        with doors.client(connected=False) as deaf:
            for _ in range(40):
                await deaf.send(b":dlg_list:\n")
            await eventually(lambda: doors.counter("slow_readers") > 20)
            await asyncio.sleep(0.1)
            taken = 0
            while not deaf.silent():
                taken += 1
            assert doors.counter("slow_readers") + taken == 40


async def test_who_comes_while_too_many_are_served_is_told(tmp_path: Path) -> None:
    async with opened(tmp_path, write_deadline=60, max_pending=1) as doors:
        with doors.client(connected=False) as deaf, doors.client() as other:
            async with asyncio.timeout(10):
                # Until its queue is full, and one more reply waits.
                while (told := await other.ask(VERSION)).startswith("200 OK\n"):
                    await deaf.send(VERSION)
            assert told == "503 Too many requests\n"
            assert (await deaf.receive()).startswith("200 OK\n")


async def test_a_client_that_has_gone_is_forgotten(tmp_path: Path) -> None:
    async with opened(tmp_path, calls=1) as doors:
        for kind in KINDS:
            with doors.client(kind) as client:
                await client.send(b":dlg_list:\n")
        await eventually(lambda: doors.counter("requests") == 2)
        with doors.client() as client:
            assert (await client.ask(VERSION)).startswith("200 OK\n")


async def test_a_reply_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    house = House()
    house.call("call-0@ref")

    def broken(_dialog: Dialog) -> Any:
        raise RuntimeError("secret")

    dispatcher = Dispatcher(build_registry(), replace(house.context, describe=broken))
    async with opened(tmp_path, dispatcher=dispatcher) as doors:
        with doors.client() as client:
            told = await client.ask(b":dlg_list_ctx:\n")
            assert told == "500 command 'dlg_list_ctx' failed\n"
        assert doors.counter("failed") == 1


@BOTH
async def test_where_tokens_are_given_out_udp_lets_nobody_in(tmp_path: Path, kind: str) -> None:
    """As after SIGHUP has brought the first tokens."""
    access = Access()
    async with opened(tmp_path, calls=1, access=access) as doors:
        with doors.client(kind) as client:
            assert (await client.ask(VERSION)).startswith("200 OK\n")
            access.use(Credentials())
            told = await client.ask(VERSION)
            assert told == "401 Unauthorized\n" if kind == "udp" else told.startswith("200 OK\n")
            access.use(Credentials(), "viewer")
            ended = await client.ask(b":dlg_terminate_dlg:\ncall-0@ref\nuac-0\nuas5190-1\n")
            assert ended == ("403 Forbidden\n" if kind == "udp" else "200 OK\n")


async def test_the_file_of_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "mi.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
        left.bind(str(path))
    async with opened(tmp_path, socket_mode=0o600) as doors:
        assert path.stat().st_mode & 0o777 == 0o600
        second = MiDatagrams(doors.server.settings, House().dispatcher)
        with pytest.raises(OSError, match=f"cannot listen on unix:{path}: another process"):
            await second.start()
        assert second.addresses == ()
        with doors.client() as client:
            assert (await client.ask(VERSION)).startswith("200 OK\n")
    assert not path.exists()
