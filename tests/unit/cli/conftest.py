"""Small real daemons for dlgctl: an HTTP server and an MI FIFO, both with canned dialogs."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mi_fifo import FifoServer, FifoSettings, MiNode, MiReply, MiRequest

Handler = Callable[..., object]


def dialog(number: int, callid: str, **changes: object) -> dict[str, Any]:
    """A dialog as dlg.list shows it."""
    party = {"tag": None, "contact": None, "cseq": None, "route_set": None, "socket": None}
    leg = {"to_tag": f"to{number}", "state": "confirmed", "acked": True, "branch": 0}
    base: dict[str, Any] = {
        "h_entry": 10,
        "h_id": number,
        "call-id": callid,
        "from_uri": "sip:alice@example.com",
        "to_uri": "sip:bob@example.com",
        "state": 4,
        "start_ts": 1_700_000_000,
        "init_ts": 1_699_999_990,
        "duration": 245,
        "caller": party | {"tag": f"from{number}"},
        "callee": party | {"tag": f"to{number}"},
        "ims_state": 4,
        "state_name": "confirmed",
        "legs": [leg],
        "history": [{"branch": 1, "to_tag": "busy", "code": 486, "cause": "rejected"}],
    }
    return base | changes


def _unknown() -> object:
    raise LookupError(-32601, "Method not found")


class RpcStub:
    """A JSON-RPC server with the dialogs given to it; ``calls`` are all requests but look-ups."""

    def __init__(self) -> None:
        self.dialogs: list[dict[str, Any]] = []
        self.calls: list[tuple[str, list[Any]]] = []
        self.outcomes = ["pending", "200"]
        self.raw: bytes | None = None
        self.shown: list[str | None] = []
        stub = self

        class Requests(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                stub.shown.append(self.headers["Authorization"])
                length = int(self.headers["Content-Length"])
                body = stub.answer(json.loads(self.rfile.read(length)))
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited
                """Quiet: the log is no part of what is tested."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/RPC"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, request: dict[str, Any]) -> bytes:
        if self.raw is not None:
            return self.raw
        method, params = request["method"], request["params"]
        handler: Handler | None = getattr(self, method.replace("dlg.", "rpc_"), None)
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
        try:
            reply["result"] = handler(*params) if handler else _unknown()
        except LookupError as error:
            code, message = error.args
            reply["error"] = {"code": code, "message": message}
        return json.dumps(reply).encode()

    def rpc_list(self) -> object:
        return self.dialogs

    def rpc_dlg_list(self, callid: str) -> object:
        found = [d for d in self.dialogs if d["call-id"] == callid]
        return found[0] if len(found) == 1 else found or {}

    def rpc_stats_active(self) -> object:
        return {"starting": 0, "connecting": 1, "answering": 0, "ongoing": 2, "all": 3}

    def rpc_end_dlg(self, *params: object) -> object:
        self.calls.append(("end_dlg", list(params)))
        return self._record(self.outcomes[0])

    def rpc_terminate_dlg(self, callid: str, ftag: str, ttag: str, *rest: object) -> object:
        self.calls.append(("terminate_dlg", [callid, ftag, ttag, *rest]))
        if ftag == "wrong":
            raise LookupError(404, "Requested Dialog not found")
        return self._record(self.outcomes[0])

    def rpc_termination(self, number: int) -> object:
        assert number == 7
        self.outcomes = self.outcomes[1:] or self.outcomes
        return self._record(self.outcomes[0])

    @staticmethod
    def _record(outcome: str) -> object:
        sides = (("caller", ""), ("callee", "to1"))
        return {
            "id": 7,
            "legs": [
                {"side": side, "to_tag": tag, "method": "BYE", "outcome": outcome}
                for side, tag in sides
            ],
        }


@pytest.fixture
def rpc() -> Iterator[RpcStub]:
    stub = RpcStub()
    try:
        yield stub
    finally:
        stub.close()


class FifoStub:
    """An MI FIFO whose dlg_list answers ``nodes``."""

    def __init__(self, directory: Path) -> None:
        self.path = str(directory / "fifo")
        self.reply_dir = str(directory / "reply")
        self.nodes: list[MiNode] = []
        self.calls: list[list[str]] = []
        self.kill_reply = MiReply(200, "OK")
        self._loop = asyncio.new_event_loop()
        self._server = FifoServer(FifoSettings(self.path, self.reply_dir), self._handle)
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(10)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _handle(self, request: MiRequest) -> MiReply:
        params = [param.value for param in request.params]
        if request.command == "dlg_list":
            if params and params[0] != "one@x":
                return MiReply(404, "Nu such dialog")
            return MiReply(200, "OK", list(self.nodes))
        if request.command == "dlg_terminate_dlg":
            self.calls.append(params)
            return self.kill_reply
        return MiReply(500, "unexpected")


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[FifoStub]:
    stub = FifoStub(tmp_path)
    try:
        yield stub
    finally:
        stub.close()
