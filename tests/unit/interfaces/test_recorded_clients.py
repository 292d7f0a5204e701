"""What kamctl and kamcli were recorded to send to Kamailio 5.6 is understood, bytes as they are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.commands.harness import House
from tests.unit.interfaces.test_jsonrpc_fifo import serving as serving_fifo
from tests.unit.interfaces.test_jsonrpc_sock import serving as serving_sockets

RECORDED = Path(__file__).parents[2] / "data" / "rpc-5.6"


def recorded(pattern: str) -> list[Any]:
    """The requests that are not empty."""
    return [
        pytest.param(text, id="-".join((*path.parts[-4:-1], path.name.partition(".")[0])))
        for path in sorted(RECORDED.glob(pattern))
        if (text := path.read_bytes())
    ]


KAMCTL = recorded("*/*/kamctl/*.fifo.req")
KAMCLI = recorded("*/*/kamcli?/*.req")
# What a proxy without aliases and log levels of that kind has nothing to say to.
NOT_HERE = {"corex.list_aliases", "corex.debug", "nope.nope"}


def house() -> House:
    house = House()
    house.call("refcall-g1-hold-1@127.0.0.1", "uac-tag-1")
    return house


def check(request: bytes, reply: bytes) -> None:
    asked, answer = json.loads(request), json.loads(reply)
    assert answer["id"] == asked["id"]
    unknown = answer.get("error", {}).get("code") == -32601
    assert unknown == (asked["method"] in NOT_HERE)


def test_there_are_recordings() -> None:
    assert len(KAMCTL) > 15
    assert len(KAMCLI) > 30


@pytest.mark.parametrize("request_text", KAMCTL)
async def test_kamctl(request_text: bytes, tmp_path: Path) -> None:
    found = re.search(rb'"reply_name": "(\w+)"', request_text)
    assert found is not None
    async with serving_fifo(tmp_path, house()) as bench:
        reply = await bench.ask(request_text, found[1].decode())
        check(request_text, reply)
        # Its filter goes by lines.
        assert reply.startswith(b'{\n\t"jsonrpc":\t"2.0",\n\t"')


@pytest.mark.parametrize("request_text", KAMCLI)
async def test_kamcli(request_text: bytes, tmp_path: Path) -> None:
    async with serving_sockets(tmp_path, house()) as doors:
        check(request_text, await doors.datagram(request_text))
