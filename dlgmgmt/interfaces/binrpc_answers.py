"""From a packet of BINRPC to the packet that answers it.

Commands have the names, parameters and errors of JSON-RPC. What JSON-RPC's own error codes say is
said in the numbers of Kamailio's ctl module.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from dlgmgmt.commands.binding import Argument
from dlgmgmt.commands.dispatcher import Caller, Dispatcher
from dlgmgmt.commands.errors import CommandError, Failure, MgmtProtocol
from dlgmgmt.commands.registry import Command
from dlgmgmt.commands.results import Listing, Result
from dlgmgmt.interfaces.access import UNAUTHORIZED
from dlgmgmt.interfaces.binrpc_codec import (
    BAD_REQUEST,
    BadPacket,
    Request,
    decode_request,
    read_header,
)
from dlgmgmt.interfaces.binrpc_reply import ReplyWriter, TooLarge, fault
from dlgmgmt.interfaces.listing import around, records
from dlgmgmt.interfaces.pending import settle
from dlgmgmt.interfaces.rpc_render import render

_LOG = logging.getLogger(__name__)

_FAILED, _BUSY = 500, 503
_SHOWN = 80

# JSON-RPC 2.0 section 5.1 keeps these for itself; here they would mean nothing.
_INVALID_PARAMS = -32602
_RESERVED = range(-32768, -31999)


def fault_of(error: CommandError, method: str) -> tuple[int, str]:
    """Code and text of the fault for a refused command."""
    if error.failure is Failure.UNKNOWN_COMMAND:
        return _FAILED, f"command {method[:_SHOWN]} not found"
    if error.code not in _RESERVED:
        return error.code, error.text
    code = BAD_REQUEST if error.code == _INVALID_PARAMS else _FAILED
    return code, f"{error.text}: {error.detail}" if error.detail else error.text


def cookie_of(data: bytes) -> int:
    """The cookie of what may be a packet, 0 if it cannot be read."""
    try:
        header = read_header(data)
    except BadPacket:
        return 0
    return 0 if header is None else header.cookie


class Answers:
    """Runs requests, and counts them. max_request: bytes of one."""

    def __init__(self, dispatcher: Dispatcher, max_request: int) -> None:
        self._dispatcher = dispatcher
        self._max_request = max_request
        self.requests = 0
        self.bad_requests = 0
        self.too_large = 0

    async def answer(self, packet: bytes, caller: Caller | None, limit: int) -> tuple[bytes, bool]:
        """The reply, of at most ``limit`` bytes, and whether the packet was a request at all.

        caller: None for somebody who may not even ask.
        """
        self.requests += 1
        if caller is None:
            return fault(cookie_of(packet), *UNAUTHORIZED), True
        if len(packet) > self._max_request:
            text = f"bad request: at most {self._max_request} bytes are taken"
            return self.bad(BadPacket(text, cookie_of(packet)), caller.label), False
        try:
            request = decode_request(packet)
        except BadPacket as error:
            return self.bad(error, caller.label), False
        return await self._run(request, caller, limit), True

    def bad(self, error: BadPacket, label: str) -> bytes:
        """The answer to what is no request. label: of its sender, for the log."""
        self.bad_requests += 1
        _LOG.info("rpc from %s: %s", label, error.text)
        return fault(error.cookie, BAD_REQUEST, error.text)

    def unsendable(self, packet: bytes, limit: int, label: str) -> bytes:
        """The answer where a reply is too large, after all, for what has to carry it."""
        return self._too_large(cookie_of(packet), limit, label, "the reply")

    @staticmethod
    def busy(data: bytes) -> bytes:
        """The answer while there are too many connections; data: the start of a request."""
        return fault(cookie_of(data), _BUSY, "too many connections")

    def _too_large(self, cookie: int, limit: int, label: str, what: str) -> bytes:
        self.too_large += 1
        _LOG.info("rpc from %s: %s: more than %d bytes", label, what, limit)
        text = (
            f"the result is more than the {limit} bytes that this door carries: "
            "use dlg.query with limit and cursor"
        )
        return fault(cookie, _FAILED, text)

    async def _run(self, request: Request, caller: Caller, limit: int) -> bytes:
        cookie, method, _ = request
        shown = ascii(method[:_SHOWN])
        try:
            command = self._dispatcher.registry.lookup(MgmtProtocol.RPC, method)
            arguments = list(_arguments(request, command))
            result = self._dispatcher.call(MgmtProtocol.RPC, method, arguments, caller)
            return await _reply(cookie, await settle(result), limit)
        except CommandError as error:
            return fault(cookie, *fault_of(error, method))
        except TooLarge:
            return self._too_large(cookie, limit, caller.label, shown)
        except Exception:  # noqa: BLE001 - its text is not for the client
            _LOG.exception("the result of %s could not be rendered", shown)
            return fault(cookie, _FAILED, "Internal error")


def _arguments(request: Request, command: Command | None) -> Iterator[Argument]:
    """The arguments by their places, or by their names.

    By names where a structure of them is all that there is, or where all are texts such as
    "limit=50" and the command could do without any. kamcmd sends no structures, and such commands
    have too many parameters to be told by places. A required one may be a phone's own text, a
    Call-ID, which must not be read so.
    """
    values = request.arguments
    if len(values) == 1 and isinstance(values[0], dict):
        yield from values[0].items()
        return
    names = _optional_names(command)
    pairs = [value.partition("=") for value in values if isinstance(value, str)]
    if len(pairs) == len(values) and all(sign and name in names for name, sign, _ in pairs):
        yield from ((name, value) for name, _, value in pairs)
        return
    for value in values:
        yield None, value


def _optional_names(command: Command | None) -> frozenset[str]:
    """What parameters may be called; nothing if one of them is required."""
    if command is None or any(param.required for param in command.params):
        return frozenset()
    return frozenset(name for param in command.params for name in (param.name, *param.aliases))


async def _reply(cookie: int, result: Result, limit: int) -> bytes:
    """The packet with a result; raises TooLarge as soon as it is, and renders no further."""
    writer = ReplyWriter(cookie, limit)
    rendered = render(result)
    if not isinstance(rendered, Listing):
        writer.add_result(rendered)
        return writer.packet()
    wrapping = around(rendered)
    if wrapping is not None:
        writer.open_array(*wrapping)
    for batch in records(rendered):
        for item in batch:
            writer.add(item)
        await asyncio.sleep(0)
    return writer.packet()
