"""MI in datagrams: a real daemon, real calls, over a unix socket and UDP."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.calls import talk
from tests.sip.harness.crowd import Crowd
from tests.sip.harness.daemon import Daemon, poll
from tests.sip.harness.mi import parse_list
from tests.sip.harness.phones import Phones
from tests.sip.harness.ports import free_port

BOTH = pytest.mark.parametrize("kind", ["unix", "udp"])
# More calls than 65,507 bytes have room for.
MANY = 150


class Client:
    """Who sends a request in one datagram, and reads its reply in another."""

    def __init__(self, door: str, own: Path) -> None:
        kind, _, where = door.partition(":")
        self._where: Any = where
        family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.settimeout(10)
        if kind == "unix":
            self.sock.bind(str(own))
        else:
            host, _, port = where.partition(":")
            self._where = host, int(port)

    def ask(self, request: bytes) -> bytes:
        self.sock.sendto(request, self._where)
        return self.sock.recv(200_000)

    def command(self, name: str, *params: str) -> str:
        return self.ask("\n".join([f":{name}:", *params, ""]).encode()).decode()

    def counter(self, name: str) -> int:
        reply = self.command("get_statistics", "mi_datagram:")
        (line,) = [line for line in reply.split("\n") if line.startswith(f"mi_datagram:{name} = ")]
        return int(line.partition(" = ")[2])


@pytest.fixture(scope="module")
def mi_daemon(
    start_daemon: Callable[..., Daemon], tmp_path_factory: pytest.TempPathFactory
) -> Daemon:
    folder = tmp_path_factory.mktemp("mi")
    doors = [f"unix:{folder}/mi.sock", f"udp:127.0.0.1:{free_port()}"]
    return start_daemon(
        sip={"t1": 0.1, "t4": 0.5}, tables={"mi_datagram": {"listen": doors, "max_request": 4096}}
    )


def door_of(daemon: Daemon, kind: str) -> str:
    (found,) = [d for d in daemon.tables["mi_datagram"]["listen"] if d.startswith(f"{kind}:")]
    return str(found)


@pytest.fixture
def client(request: pytest.FixtureRequest, mi_daemon: Daemon, tmp_path: Path) -> Iterator[Client]:
    client = Client(door_of(mi_daemon, request.param), tmp_path / "client")
    yield client
    # Whatever was sent before: the next request is answered.
    assert client.command("version").startswith("200 OK\n")
    client.sock.close()
    mi_daemon.check_log()


CLIENTS = pytest.mark.parametrize("client", ["unix", "udp"], indirect=True)


@CLIENTS
def test_a_call_is_listed_looked_up_and_killed(
    mi_daemon: Daemon, client: Client, phones: Phones
) -> None:
    call = talk(mi_daemon, phones)
    # The empty line that ends a reply on the FIFO is what a datagram does without.
    listed = parse_list(client.command("dlg_list").encode() + b"\n")
    assert call.callid in [each.callid for each in listed]
    reply = client.command("dlg_list", call.callid)
    (found,) = parse_list(reply.encode() + b"\n")
    assert (found.callid, found.state) == (call.callid, 4)
    assert (found.fields["from_tag"], found.tags) == (call.from_tag, {call.to_tag})
    killed = client.command("dlg_terminate_dlg", call.callid, call.from_tag, call.to_tag)
    assert killed == "200 OK\n"
    call.check_ended()
    mi_daemon.wait_ended(call.callid)
    again = client.command("dlg_terminate_dlg", call.callid, call.from_tag, call.to_tag)
    assert again == "404 Requested Dialog not found\n"


def test_a_shell_that_knows_nothing_but_bash(mi_daemon: Daemon, phones: Phones) -> None:
    call = talk(mi_daemon, phones)
    _, host, port = door_of(mi_daemon, "udp").split(":")
    script = f"""
exec 3<>/dev/udp/{host}/{port}
cat >&3 <<'END'
:dlg_terminate_dlg:
{call.callid}
{call.from_tag}
{call.to_tag}
END
timeout 2 cat <&3
"""
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.stdout == "200 OK\n", done
    call.check_ended()


@pytest.fixture(scope="module")
def full(mi_daemon: Daemon) -> Iterator[Daemon]:
    callids = [f"full-{number}@tests" for number in range(MANY)]
    with Crowd((free_port(), free_port()), mi_daemon.address) as crowd:
        crowd.place(callids)
        yield mi_daemon
        crowd.hang_up(callids)
        for callid in callids:
            mi_daemon.wait_ended(callid)


@BOTH
def test_a_table_that_is_too_large_is_refused_with_the_way_to_ask_for_less(
    full: Daemon, kind: str, tmp_path: Path
) -> None:
    client = Client(door_of(full, kind), tmp_path / "client")
    before = client.counter("too_large")
    limit = 65_507 if kind == "udp" else 65_536
    assert client.command("dlg_list") == (
        f"513 Reply too large: more than the {limit} bytes that this door carries; "
        "use dlg_query with limit and cursor\n"
    )
    assert client.counter("too_large") == before + 1
    assert len(parse_list(client.command("dlg_list", "full-7@tests").encode() + b"\n")) == 1
    assert len(full.fifo.list()) >= MANY
    client.sock.close()


HOSTILE = (
    b"",
    b"\n\n\n",
    b"INVITE sip:a@b SIP/2.0\r\nVia: x\r\n\r\n",
    b'{"jsonrpc":"2.0","method":"dlg.end_all_active_dlg","id":1}',
    b":" * 4000,
    b"\x00\xff" * 2000,
    b":dlg_list:\n" + b'"' * 3000,
    b":dlg_list:\nx::\n",
    b":dlg_list:\n" + b"a\n" * 2000,
    b":dlg_list:\n\x1b[2J\n",
    b":dlg_list:\n" + b"x" * 10_000,
    b":\x1b[2J:\n",
    b":no\xff\xfesuch:\n",
)


@CLIENTS
@pytest.mark.parametrize("data", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_request_is_told_so_in_one_line(client: Client, data: bytes) -> None:
    reply = client.ask(data).decode()
    assert reply[:4] in ("400 ", "500 ")
    assert reply.count("\n") == 1
    assert reply.removesuffix("\n").isprintable()


@CLIENTS
def test_a_reload_leaves_the_doors_alone(mi_daemon: Daemon, client: Client) -> None:
    assert client.command("version").startswith("200 OK\n")
    before = len(mi_daemon.stderr())
    mi_daemon.process.send_signal(signal.SIGHUP)
    poll(lambda: ": reloaded, " in mi_daemon.stderr()[before:], 10, mi_daemon.stderr)
    assert client.command("version").startswith("200 OK\n")


def test_a_client_without_a_name_ends_no_call(mi_daemon: Daemon, phones: Phones) -> None:
    call = talk(mi_daemon, phones)
    door = door_of(mi_daemon, "unix").removeprefix("unix:")
    kill = f":dlg_terminate_dlg:\n{call.callid}\n{call.from_tag}\n{call.to_tag}\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nobody:
        nobody.sendto(kill.encode(), door)

    def unnamed() -> bool:
        return b"mi_datagram:unnamed = 1\n" in mi_daemon.fifo.call("get_statistics", "mi_datagram:")

    poll(unnamed, 10, mi_daemon.stderr)
    assert mi_daemon.alive(call.callid) is not None
    assert mi_daemon.kill("fifo", call.callid, call.from_tag, call.to_tag)[0] == 200
    call.check_ended()


def test_the_file_goes_with_the_daemon(start_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    path = tmp_path / "mi.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
        left.bind(str(path))
    daemon = start_daemon(tables={"mi_datagram": {"listen": [f"unix:{path}"]}})
    client = Client(f"unix:{path}", tmp_path / "client")
    assert client.command("version").startswith("200 OK\n")
    client.sock.close()
    with pytest.raises(AssertionError, match=r"mi_datagram: cannot listen on .*another process"):
        start_daemon(tables={"mi_datagram": {"listen": [f"unix:{path}"]}})
    daemon.stop()
    assert not path.exists()
