"""What schemathesis must be told about this interface: msgpack, and JSON-RPC's own errors."""

from __future__ import annotations

import functools
import json
import math
from typing import Any

import jsonschema_rs
import msgpack  # type: ignore[import-untyped]
import schemathesis

from dlgmgmt.commands.openapi import openapi_document
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.interfaces.jsonrpc import INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR

MSGPACK = "application/msgpack"
# Codes of what is no request of any command; what is wrong with its values is the command's affair.
NO_REQUEST = {PARSE_ERROR[0], INVALID_REQUEST[0], METHOD_NOT_FOUND[0]}


@schemathesis.hook
def before_load_schema(_context: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:
    """Try each value of each parameter in one of the four ways to send it.

    The same in a batch, in msgpack and by the other path would take four times as long: there the
    values are drawn by lot.
    """
    content = raw_schema["paths"]["/RPC"]["post"]["requestBody"]["content"]
    content["application/json"]["schema"] = {"$ref": "#/components/schemas/Request"}
    del content[MSGPACK]


@schemathesis.serializer(MSGPACK)
def _pack(_context: schemathesis.SerializationContext, value: Any) -> bytes:
    try:
        return bytes(msgpack.packb(value))
    except (OverflowError, TypeError, UnicodeEncodeError):
        # There are numbers and texts in JSON that msgpack does not have.
        return bytes(msgpack.packb(None))


@schemathesis.deserializer(MSGPACK)
def _unpack(_context: schemathesis.DeserializationContext, response: schemathesis.Response) -> Any:
    return msgpack.unpackb(response.content)


@functools.cache
def _requests() -> jsonschema_rs.Draft202012Validator:
    document = openapi_document(build_registry())
    body = document["paths"]["/RPC"]["post"]["requestBody"]["content"]["application/json"]
    return jsonschema_rs.Draft202012Validator({**document, **body["schema"]})


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _no_constant(text: str) -> None:
    raise ValueError(text)


def _sent(kind: str, body: bytes) -> tuple[bool, Any]:
    """Whether the body of a request can be decoded, and what it says."""
    try:
        if kind == MSGPACK:
            return True, msgpack.unpackb(body, strict_map_key=False)
        return True, json.loads(body, parse_float=_finite, parse_constant=_no_constant)
    except (ValueError, TypeError, msgpack.UnpackException):
        return False, None


@schemathesis.check
def json_rpc_errors(
    _context: schemathesis.CheckContext,
    response: schemathesis.Response,
    case: schemathesis.Case[Any],
) -> None:
    """What fits the description is taken for a request, and what does not is answered an error."""
    if case.method != "POST" or response.status_code not in (200, 204):
        return
    sent = response.request
    body = sent.body or b""
    assert isinstance(body, (str, bytes))
    data = body.encode() if isinstance(body, str) else body
    readable, said = _sent(str(sent.headers.get("Content-Type", "")), data)
    fits = readable and _requests().is_valid(said)
    if response.status_code == 204:
        members = said if isinstance(said, list) else [said]
        assert all("id" not in member for member in members), "a request that got no answer"
        return
    kind = response.headers["content-type"][0]
    answer = msgpack.unpackb(response.content) if kind == MSGPACK else json.loads(response.content)
    answers = answer if isinstance(answer, list) else [answer]
    codes = [each["error"]["code"] for each in answers if "error" in each]
    if fits:
        assert not NO_REQUEST.intersection(codes), f"a request that is described: {codes}"
    else:
        assert codes, "no request that is described, and yet a result"
