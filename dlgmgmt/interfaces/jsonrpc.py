"""JSON-RPC 2.0 on decoded objects: sections 4 to 6 of the specification, without a transport.

jsonrpcserver dispatches one valid request at a time. What comes before is done here, because the
library as it comes lets one bad member fail its whole batch, and shows exception texts to clients.
"""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Callable
from typing import Any

from dlgmgmt.commands.binding import Argument
from dlgmgmt.commands.dispatcher import Caller, Dispatcher
from dlgmgmt.commands.errors import CommandError, MgmtProtocol
from dlgmgmt.interfaces.pending import settle_reply
from dlgmgmt.interfaces.rpc_items import dialog_item
from dlgmgmt.interfaces.rpc_render import render

with warnings.catch_warnings():
    # Reading its schema, jsonrpcserver 5 uses functions that Python 3.11 and 3.12 deprecate.
    warnings.filterwarnings("ignore", r"(read|open)_text is deprecated", DeprecationWarning)
    from jsonrpcserver import JsonRpcError, Success, dispatch_to_serializable
    from jsonrpcserver.sentinels import NODATA

_LOG = logging.getLogger(__name__)

Response = dict[str, Any]

PARSE_ERROR = (-32700, "Parse error")
INVALID_REQUEST = (-32600, "Invalid Request")
METHOD_NOT_FOUND = (-32601, "Method not found")
INVALID_PARAMS = (-32602, "Invalid params")
INTERNAL_ERROR = (-32603, "Internal error")

# What both encodings can carry back.
_MIN_ID, _MAX_ID = -(2**63), 2**64 - 1


def error_response(kind: tuple[int, str], detail: str = "", request_id: object = None) -> Response:
    """An error response; ``detail`` goes into ``error.data`` unless it is empty."""
    error: dict[str, object] = {"code": kind[0], "message": kind[1]}
    if detail:
        error["data"] = detail
    return {"jsonrpc": "2.0", "error": error, "id": request_id}


class JsonRpc:
    """Handles requests and batches.

    max_batch: members of a batch. max_depth: nesting of arrays and objects, the request's own
    object and a batch's array included.
    """

    def __init__(self, dispatcher: Dispatcher, *, max_batch: int, max_depth: int) -> None:
        self._max_batch = max_batch
        self._max_depth = max_depth
        self._dispatcher = dispatcher
        self._methods = {
            name: self._method(name) for name in dispatcher.registry.names(MgmtProtocol.RPC)
        }

    def _method(self, name: str) -> Callable[..., Any]:
        def call(caller: Caller, /, *args: object, **kwargs: object) -> Any:
            arguments: list[Argument] = [(None, value) for value in args]
            arguments += kwargs.items()
            try:
                result = self._dispatcher.call(MgmtProtocol.RPC, name, arguments, caller)
                return Success(render(result))
            except CommandError as error:
                raise JsonRpcError(error.code, error.text, self._data(error)) from None
            except Exception:  # noqa: BLE001 - its text is not for the client
                _LOG.exception("the result of %s could not be rendered", name)
                raise JsonRpcError(*INTERNAL_ERROR) from None

        return call

    def _data(self, error: CommandError) -> object:
        """What stands as ``data`` in the error: more exact words, or the dialogs to choose from."""
        if error.candidates:
            now = int(self._dispatcher.context.clock())
            return {"candidates": [dialog_item(view, now) for view in error.candidates]}
        return error.detail or NODATA

    async def handle(self, decoded: object, caller: Caller) -> Response | list[Response] | None:
        """Answer a request or a batch; None when nothing is to be answered.

        The ``result`` of a listing is the listing, to be rendered while it is sent; what takes time
        has been waited for.
        """
        fault = self._unfit(decoded)
        if fault:
            return self._invalid(fault, None, caller)
        if not isinstance(decoded, list):
            return await settle_reply(self._one(decoded, caller))
        responses = []
        for member in decoded:
            response = self._one(member, caller)
            if response is not None:
                responses.append(response)
            # A batch may ask for as much work as it has members: others get their turn.
            await asyncio.sleep(0)
        return await settle_reply(responses or None)

    def _unfit(self, decoded: object) -> str:
        """Why nothing of a request or batch is looked at; "" if it is."""
        if _too_deep(decoded, self._max_depth):
            return f"nested more than {self._max_depth} deep"
        if not isinstance(decoded, list):
            return ""
        if not decoded:
            return "an empty batch"
        if len(decoded) > self._max_batch:
            return f"a batch of {len(decoded)}, at most {self._max_batch} are taken"
        return ""

    def _one(self, request: object, caller: Caller) -> Response | None:
        if not isinstance(request, dict):
            return self._invalid("a request is an object", None, caller)
        request_id = request.get("id")
        if not is_id(request_id):
            return self._invalid("id must be a string, a number or null", None, caller)
        fault = _fault(request)
        if fault:
            return self._invalid(fault, request_id, caller)
        method = request["method"]
        if method not in self._methods:
            _LOG.info("rpc from %s: no method %s", caller.label, ascii(method[:80]))
            return error_response(METHOD_NOT_FOUND, "", request_id) if "id" in request else None
        params = request.get("params")
        if isinstance(params, dict) and not all(isinstance(name, str) for name in params):
            _LOG.info(
                "rpc from %s: %s with a parameter name that is no string", caller.label, method
            )
            detail = "parameter names must be strings"
            return error_response(INVALID_PARAMS, detail, request_id) if "id" in request else None
        response = dispatch_to_serializable(
            request,
            methods=self._methods,
            context=caller,
            deserializer=_as_is,
            validator=_as_is,
        )
        return response if isinstance(response, dict) else None

    @staticmethod
    def _invalid(reason: str, request_id: object, caller: Caller) -> Response:
        _LOG.info("rpc from %s: invalid request: %s", caller.label, reason)
        return error_response(INVALID_REQUEST, reason, request_id)


def _as_is(request: Any) -> Any:
    return request


def is_id(value: object) -> bool:
    """Whether both encodings can carry it back as the id of a request."""
    if value is None or isinstance(value, str):
        return True
    if type(value) is int:
        return _MIN_ID <= value <= _MAX_ID
    return isinstance(value, float) and _MIN_ID <= value <= _MAX_ID


def _fault(request: dict[Any, Any]) -> str:
    """What makes ``request`` no request object (section 4); "" if nothing does."""
    if request.get("jsonrpc") != "2.0":
        return 'jsonrpc must be "2.0"'
    if not isinstance(request.get("method"), str):
        return "method must be a string"
    if not isinstance(request.get("params", []), (list, dict)):
        return "params must be an array or an object"
    return ""


def _too_deep(value: object, limit: int) -> bool:
    """Whether arrays and objects are nested more than ``limit`` deep."""
    level = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            if isinstance(outer, (list, dict))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (list, dict))
        ]
        if not level:
            return False
    return True
