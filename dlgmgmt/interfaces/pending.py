"""Answers that are waited for, without holding up anybody else.

Commands return at once, on the management loop. One that was asked to wait returns a Pending or a
Working, and each interface with a coroutine for its request settles it: ``await settle(result)``
where it has results (BINRPC), ``await settle_reply(reply)`` where it has JSON-RPC responses (HTTP,
WebSocket, FIFO, sockets). What has no coroutine, as the MI bindings, shows what is known at once.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from dlgmgmt.commands.errors import CommandError
from dlgmgmt.commands.results import Pending, Result, Working
from dlgmgmt.interfaces.rpc_render import render

_FIRST_LOOK, _BETWEEN_LOOKS = 0.01, 0.1

Reply = dict[str, Any] | list[dict[str, Any]] | None
_Reply = TypeVar("_Reply", bound=Reply)


async def settle(result: Result) -> Result:
    """The result itself or, of one that takes time, what has become of it in the end.

    Raises CommandError if nothing has.
    """
    if not isinstance(result, (Pending, Working)):
        return result
    loop = asyncio.get_running_loop()
    deadline = loop.time() + result.seconds
    pause = _FIRST_LOOK
    while True:
        answer, complete = result.look()
        left = deadline - loop.time()
        if complete or left <= 0:
            return answer
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 2, _BETWEEN_LOOKS)


async def settle_reply(reply: _Reply) -> _Reply:
    """A response or a batch of them, in which nothing is waited for any more.

    The members of a batch are waited for together.
    """
    members: list[dict[str, Any]] = []
    if isinstance(reply, dict):
        members = [reply]
    elif isinstance(reply, list):
        members = reply
    waiting = [each for each in members if isinstance(each.get("result"), (Pending, Working))]
    if waiting:
        await asyncio.gather(*map(_settle_member, waiting))
    return reply


async def _settle_member(member: dict[str, Any]) -> None:
    try:
        member["result"] = render(await settle(member["result"]))
    except CommandError as error:
        del member["result"]
        member["error"] = {"code": error.code, "message": error.text}
        if error.detail:
            member["error"]["data"] = error.detail
