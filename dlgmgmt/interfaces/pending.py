"""Answers that are waited for, without holding up anybody else.

Commands return at once, on the management loop. One that was asked to wait returns a Pending, and
each interface with a coroutine for its request settles it: ``await settle(result)`` where it has
results (BINRPC), ``await settle_reply(reply)`` where it has JSON-RPC responses (HTTP, WebSocket,
FIFO, sockets). What has no coroutine, as the MI bindings, shows what is known at once.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from dlgmgmt.commands.results import Pending, Result
from dlgmgmt.interfaces.rpc_render import render

_FIRST_LOOK, _BETWEEN_LOOKS = 0.01, 0.1

Reply = dict[str, Any] | list[dict[str, Any]] | None
_Reply = TypeVar("_Reply", bound=Reply)


async def settle(result: Result) -> Result:
    """The result itself or, of one that takes time, what has become of it in the end."""
    if not isinstance(result, Pending):
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
    waiting = [each for each in members if isinstance(each.get("result"), Pending)]
    if waiting:
        settled = await asyncio.gather(*(settle(each["result"]) for each in waiting))
        for member, result in zip(waiting, settled, strict=True):
            member["result"] = render(result)
    return reply
