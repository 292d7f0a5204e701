"""dlgctl over JSON-RPC 2.0 on HTTP. The standard library's client: it loads in milliseconds."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn
from urllib.parse import urlsplit

from dlgmgmt.cli.backend import (
    BackendError,
    Dialog,
    NotAsExpected,
    NotFound,
    Tags,
    Traced,
    Unreachable,
    checked,
)

_CONFLICT = 409
_MAX_REPLY = 1 << 30
_PORTS = {"http": 80, "https": 443}
_UNKNOWN_CALLID = "Couldnt find callid in dialog"  # answered with 500, as Kamailio does


class Identity(NamedTuple):
    """What is shown to the daemon, and what it has to show; "" for nothing, or the system's own.

    cert, key: PEM files; the key may be in the first. cacert: PEM file of authorities.
    """

    token: str = ""
    cacert: str = ""
    cert: str = ""
    key: str = ""


def _context(identity: Identity) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=identity.cacert or None)
        if identity.cert:
            context.load_cert_chain(identity.cert, identity.key or None, password="")
    except OSError as error:
        files = ", ".join(filter(None, identity[1:]))
        why = getattr(error, "reason", None) or error.strerror or error
        raise ValueError(f"cannot use {files}: {why}") from error
    return context


class RpcError(BackendError):
    """The daemon's own refusal."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"the daemon answered {code} {message}")
        self.code = code
        self.message = message


class HttpBackend:
    """A daemon at ``url``. timeout: seconds without progress. identity: what to show it."""

    def __init__(self, url: str, timeout: float, identity: Identity | None = None) -> None:
        """Raises ValueError for a URL, a token or files that cannot be used."""
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
            raise ValueError(f"not an http:// or https:// URL: {url}")
        self.url = url
        self._host = parts.hostname
        self._port = parts.port or _PORTS[parts.scheme]
        self._path = parts.path or "/RPC"
        if not (self._path.isascii() and self._path.isprintable() and " " not in self._path):
            raise ValueError(f"not an http:// or https:// URL: {url}")
        self._timeout = timeout
        identity = identity or Identity()
        self._headers = {"Content-Type": "application/json"}
        if identity.token:
            if not (identity.token.isascii() and identity.token.isprintable()):
                raise ValueError("a token is printable ASCII")
            self._headers["Authorization"] = f"Bearer {identity.token}"
        self._tls = _context(identity) if parts.scheme == "https" else None

    def dialogs(self) -> list[Dialog]:
        """See Backend."""
        return checked(self._call("dlg.list"))

    def find(self, callid: str) -> list[Dialog]:
        """See Backend."""
        found = self._call("dlg.dlg_list", callid)
        if isinstance(found, dict):
            return [found] if found else []
        return checked(found)

    def stats(self) -> dict[str, int]:
        """See Backend."""
        return self._object("dlg.stats_active")

    def end(
        self, callid: str, tags: Tags | None, dialog: Dialog | None, headers: str
    ) -> dict[str, Any]:
        """See Backend."""
        extra = [headers] if headers else []
        if tags is not None:
            return self._object("dlg.terminate_dlg", callid, tags.first, tags.second, *extra)
        if dialog is None:
            raise TypeError("neither tags nor a dialog")
        return self._object("dlg.end_dlg", dialog.get("h_entry"), dialog.get("h_id"), *extra)

    def termination(self, number: int) -> dict[str, Any]:
        """See Backend."""
        return self._object("dlg.termination", number)

    def trace(self, callid: str, after: int) -> list[Traced]:
        """See Backend."""
        return checked(self._found("dlg.trace", callid, after), "messages")

    def query(self, params: Mapping[str, str]) -> dict[str, Any]:
        """See Backend."""
        return self._named("dlg.query", params)

    def end_match(self, params: Mapping[str, str]) -> dict[str, Any]:
        """See Backend."""
        return self._named("dlg.end_match", params)

    def match_status(self, params: Mapping[str, str]) -> dict[str, Any]:
        """See Backend."""
        return self._named("dlg.match_status", params)

    def database(self, action: str, params: Mapping[str, str]) -> dict[str, Any]:
        """See Backend."""
        return self._named(f"dlg.db_{action}", params)

    def _named(self, method: str, params: Mapping[str, str]) -> dict[str, Any]:
        try:
            result = self._request(method, dict(params))
        except RpcError as error:
            if error.code == _CONFLICT:
                raise NotAsExpected(error.message) from error
            raise
        if not isinstance(result, dict):
            raise BackendError(f"{self.url}: the answer to {method} is not an object")
        return result

    def _found(self, method: str, *params: object) -> object:
        try:
            return self._call(method, *params)
        except RpcError as error:
            if error.code == 404 or error.message == _UNKNOWN_CALLID:
                raise NotFound(f"{error.code} {error.message}") from error
            raise

    def _object(self, method: str, *params: object) -> dict[str, Any]:
        result = self._found(method, *params)
        if not isinstance(result, dict):
            raise BackendError(f"{self.url}: the answer to {method} is not an object")
        return result

    def _call(self, method: str, *params: object) -> object:
        return self._request(method, params)

    def _request(self, method: str, params: object) -> object:
        request = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
        status, body = self._post(json.dumps(request).encode())
        if status == 401:
            raise BackendError(f"{self.url}: the daemon wants a valid token (--token)")
        try:
            reply = json.loads(body)
        except (ValueError, RecursionError):
            self._no_answer(status)
        if not isinstance(reply, dict):
            self._no_answer(status)
        error = reply.get("error")
        if isinstance(error, dict):
            code = error.get("code")
            message = str(error.get("message", ""))
            detail = error.get("data")
            if isinstance(detail, str):
                message += f": {detail}"
            raise RpcError(code if isinstance(code, int) else 0, message)
        if "result" not in reply:
            self._no_answer(status)
        result: object = reply["result"]
        return result

    def _no_answer(self, status: int) -> NoReturn:
        raise BackendError(f"{self.url}: no JSON-RPC answer (HTTP status {status})") from None

    def _connection(self) -> http.client.HTTPConnection:
        host, port, timeout = self._host, self._port, self._timeout
        if self._tls is None:
            return http.client.HTTPConnection(host, port, timeout=timeout)
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=self._tls)

    def _post(self, request: bytes) -> tuple[int, bytes]:
        connection = self._connection()
        try:
            connection.request("POST", self._path, request, self._headers)
            response = connection.getresponse()
            body = response.read(_MAX_REPLY)
            if response.length or not response.isclosed():
                raise BackendError(f"{self.url}: more than {_MAX_REPLY} bytes")
        except ConnectionRefusedError as error:
            raise Unreachable(f"{self.url}: {error.strerror}") from error
        except TimeoutError as error:
            raise BackendError(f"{self.url}: no answer for {self._timeout:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise BackendError(f"{self.url}: {why}") from error
        else:
            return response.status, body
        finally:
            connection.close()
