"""JSON-RPC 2.0 over HTTP with the standard library's client."""

from __future__ import annotations

import http.client
import itertools
import json
from typing import Any

_ids = itertools.count(1)


class RpcError(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


class Rpc:
    """POST /RPC. host, port: where the daemon's HTTP server listens."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.host, self.port = host, port

    def call(self, method: str, *params: Any, timeout: float = 20.0) -> Any:
        """The result; RpcError for an error of the command."""
        number = next(_ids)
        request: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "id": number}
        if params:
            request["params"] = list(params)
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            connection.request(
                "POST", "/RPC", json.dumps(request), {"Content-Type": "application/json"}
            )
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 200, f"{answer.status} {text!r}"
        finally:
            connection.close()
        reply = json.loads(text)
        assert reply["id"] == number
        if "error" in reply:
            raise RpcError(reply["error"]["code"], reply["error"]["message"])
        return reply["result"]
