"""Clients that are gone before their request is looked at."""

from __future__ import annotations

import asyncio
import json
import socket
import struct

import pytest

from dlgmgmt.interfaces.access import Access
from tests.unit.commands.harness import House
from tests.unit.interfaces.test_http import request, serving
from tests.unit.interfaces.test_http_access import KILL, KNOWN, OPERATOR

_RESET = struct.pack("ii", 1, 0)


@pytest.mark.parametrize("header", ["", "Authorization: Bearer wrong\r\n"])
async def test_a_reset_is_no_way_around_the_token(header: str) -> None:
    """The kernel still gives what a reset connection has sent, but no longer who sent it."""
    house = House()
    house.call("a@x", "one")
    body = json.dumps(request(*KILL))
    async with serving(house, access=Access(KNOWN)) as client:
        # All of it before the loop accepts.
        with socket.create_connection(client.server.address) as sock:
            sock.sendall(
                f"POST /RPC HTTP/1.1\r\nHost: localhost\r\n{header}"
                f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        # A later client has been served: so was that one.
        headers = {"Authorization": f"Bearer {OPERATOR}"}
        assert (await client.post(request("core.version"), headers=headers))[0] == 200
        await asyncio.sleep(0)
        assert house.terminator.ordered == []
