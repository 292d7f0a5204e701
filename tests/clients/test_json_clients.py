"""curl, JSON-RPC libraries, a shell with FIFOs, and the README's client in msgpack."""

from __future__ import annotations

import ast
import asyncio
import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonrpcclient
import pytest
from aiohttp import ClientSession, ClientTimeout

from tests.clients.calls import SippCall, talk
from tests.sip.harness.daemon import Daemon
from tests.sip.harness.phones import Phones
from tests.sip.harness.ports import free_port

README = (Path(__file__).parents[2] / "README.md").read_text()
CURL = shutil.which("curl")

Ask = Callable[..., Any]
"""Calls a method with parameters; its result."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("json")


@pytest.fixture(scope="module")
def tcp_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def daemon(folder: Path, tcp_port: int) -> Iterator[Daemon]:
    sockets = [
        f"unixs:{folder}/rpcs.sock",
        f"tcp:127.0.0.1:{tcp_port}",
        f"udp:127.0.0.1:{tcp_port}",
    ]
    tables: dict[str, dict[str, Any]] = {
        "jsonrpc_sock": {"listen": sockets},
        "jsonrpc_fifo": {"fifo_name": f"{folder}/rpc.fifo", "reply_dir": f"{folder}/reply"},
    }
    daemon = Daemon(folder, sip={"t1": 0.1, "t4": 0.5}, tables=tables).start()
    try:
        yield daemon
        daemon.wait_empty(20)
    finally:
        daemon.stop()


@pytest.fixture
def call(daemon: Daemon, phones: Phones) -> SippCall:
    return talk(daemon, phones)


def list_look_up_and_kill(ask: Ask, call: SippCall) -> None:
    listed = ask("dlg.list")
    (found,) = [each for each in listed if each["call-id"] == call.callid]
    assert ask("dlg.dlg_list", call.callid)["h_id"] == found["h_id"]
    ask("dlg.end_dlg", found["h_entry"], found["h_id"])
    call.check_ended()


@pytest.mark.skipif(CURL is None, reason="curl is not installed (Debian: apt-get install curl)")
def test_curl(daemon: Daemon, call: SippCall) -> None:
    url = f"http://127.0.0.1:{daemon.http_port}/RPC"
    shown = re.findall(r"^```\n(curl .*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert len(shown) == 2
    printed = [
        _printed(["sh", "-c", command.replace("http://127.0.0.1:8080/RPC", url)])
        for command in shown
    ]
    listing = next(each for each in printed if call.callid in each)
    (old,) = (each for each in printed if each is not listing)
    # The call is younger than the two hours that are asked for.
    assert json.loads(old)["result"]["total"] == 0

    def ask(method: str, *params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": 1})
        kind = "Content-Type: application/json"
        return json.loads(_printed(["curl", "-sf", "-H", kind, "-d", body, url]))["result"]

    list_look_up_and_kill(ask, call)


def test_jsonrpcclient_over_a_unix_stream_and_tcp(
    daemon: Daemon, folder: Path, tcp_port: int, call: SippCall
) -> None:
    def unix() -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(str(folder / "rpcs.sock"))
        return sock

    def tcp() -> socket.socket:
        return socket.create_connection(("127.0.0.1", tcp_port))

    for connect in (unix, tcp):
        with connect() as sock, sock.makefile("r") as answers:

            def ask(
                method: str, *params: Any, sock: socket.socket = sock, answers: Any = answers
            ) -> Any:
                sock.sendall(jsonrpcclient.request_json(method, params).encode())
                return _ok(json.loads(answers.readline()))

            assert ask("dlg.stats_active")["ongoing"] >= 1
            with pytest.raises(AssertionError, match="Method not found"):
                ask("dlg.nope")
            if connect is tcp:
                list_look_up_and_kill(ask, call)


def test_jsonrpcclient_over_udp(daemon: Daemon, tcp_port: int, call: SippCall) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", tcp_port))
        sock.settimeout(10)

        def ask(method: str, *params: Any) -> Any:
            sock.send(jsonrpcclient.request_json(method, params).encode())
            return _ok(json.loads(sock.recv(65_536)))

        list_look_up_and_kill(ask, call)


def test_aiohttp_over_http_and_websocket(daemon: Daemon, call: SippCall) -> None:
    url = f"http://127.0.0.1:{daemon.http_port}/jsonrpc"

    async def use() -> None:
        async with ClientSession(timeout=ClientTimeout(total=20)) as session:

            async def post(method: str, *params: Any) -> Any:
                body = jsonrpcclient.request(method, params)
                async with session.post(url, json=body) as response:
                    return _ok(await response.json())

            async with session.ws_connect(url) as ws:
                # Two at once: the ids tell which is which.
                await ws.send_json(jsonrpcclient.request("dlg.list", id="list"))
                await ws.send_json(jsonrpcclient.request("dlg.dlg_list", (call.callid,), id="one"))
                answers = [await ws.receive_json(timeout=10) for _ in range(2)]
                found = {answer["id"]: answer["result"] for answer in answers}
                assert found["one"]["h_id"] in [each["h_id"] for each in found["list"]]
                assert (await post("dlg.dlg_list", call.callid))["h_id"] == found["one"]["h_id"]
                ids = (found["one"]["h_entry"], found["one"]["h_id"])
                await ws.send_json(jsonrpcclient.request("dlg.end_dlg", ids))
                _ok(await ws.receive_json(timeout=10))

    asyncio.run(use())
    call.check_ended()


def test_the_clients_of_the_readme_in_msgpack(
    daemon: Daemon, tmp_path: Path, call: SippCall
) -> None:
    (program,) = re.findall(r"```python\n(import sys\n.*?import msgpack.*?)```", README, re.DOTALL)
    assert program.count("\n") <= 10
    script = tmp_path / "client.py"
    script.write_text(program)
    url = f"http://127.0.0.1:{daemon.http_port}/RPC"

    def ask(method: str, *params: Any) -> Any:
        printed = _printed([sys.executable, str(script), url, method, *map(str, params)])
        return ast.literal_eval(printed)["result"]

    list_look_up_and_kill(ask, call)


_JSON_SHELL = """
mkfifo -m 0622 "$reply_dir/$name"
printf '{"jsonrpc": "2.0", "method": "%s", "params": [%s], "reply_name": "%s", "id": 1}\\n' \
    "$1" "$2" "$name" > "$fifo" & cat "$reply_dir/$name"
rm "$reply_dir/$name"
"""


def test_a_shell_over_the_json_fifo(daemon: Daemon, folder: Path, call: SippCall) -> None:
    place = {"fifo": f"{folder}/rpc.fifo", "reply_dir": f"{folder}/reply", "name": "shell5"}

    def ask(method: str, *params: Any) -> Any:
        texts = ", ".join(map(json.dumps, params))
        printed = _printed(["sh", "-c", _JSON_SHELL, "sh", method, texts], **place)
        return json.loads(printed)["result"]

    list_look_up_and_kill(ask, call)


_MI_SHELL = """
mkfifo -m 0622 "$reply_dir/$name"
printf ':%s:%s\\n' "$1" "$name" > "$place.request"; shift
for value; do printf '"%s"\\n' "$value" >> "$place.request"; done
printf '\\n' >> "$place.request"
cat "$place.request" > "$fifo" & cat "$reply_dir/$name"
rm "$reply_dir/$name"
"""


def test_a_shell_over_the_mi_fifo_as_with_4_4(
    daemon: Daemon, folder: Path, tmp_path: Path, call: SippCall
) -> None:
    place = {
        "fifo": str(daemon.fifo.command),
        "reply_dir": str(daemon.fifo.reply_dir),
        "name": "shell4",
        "place": str(tmp_path / "mi"),
    }

    def ask(command: str, *values: str) -> str:
        return _printed(["sh", "-c", _MI_SHELL, "sh", command, *values], **place)

    assert f"callid:: {call.callid}\n" in ask("dlg_list")
    found = ask("dlg_list", call.callid)
    assert found.startswith("200 OK\ndialog::  hash=")
    ended = ask("dlg_terminate_dlg", call.callid, call.from_tag, call.to_tag)
    assert ended.startswith("200 OK\n")
    call.check_ended()
    assert ask("dlg_list", call.callid).startswith("404 ")


def _ok(answer: Any) -> Any:
    parsed = jsonrpcclient.parse(answer)
    assert isinstance(parsed, jsonrpcclient.Ok), parsed
    return parsed.result


def _printed(command: list[str], **environment: str) -> str:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env={"PATH": "/usr/bin:/bin", **environment},
    )
    assert done.returncode == 0, done
    return done.stdout
