"""BINRPC over real sockets: requests, their order, and what is none."""

from __future__ import annotations

import asyncio

import pytest

from dlgmgmt.interfaces.binrpc_codec import CORRUPTED, FAULT, REPLY
from tests.binrpc import call, record, request
from tests.unit.interfaces.binrpc_doors import DATAGRAMS, KINDS, STREAMS, VERSION, Open, Stream


@pytest.mark.parametrize("kind", KINDS)
async def test_a_request_is_answered(doors: Open, kind: str) -> None:
    async with doors() as open_doors:
        client = await open_doors.client(kind)
        await client.send(call("core.version", cookie=0x01020304))
        assert await client.receive() == (REPLY, 0x01020304, VERSION[2])


@pytest.mark.parametrize("kind", KINDS)
async def test_calls_are_listed_looked_up_and_ended(doors: Open, kind: str) -> None:
    async with doors(calls=3) as open_doors:
        client = await open_doors.client(kind)
        await client.send(call("dlg.list"))
        listed = (await client.receive())[2]
        # Each dialog is a value of its own, as the real server answers.
        assert sorted(dialog["call-id"] for dialog in listed) == [
            f"call-{number}@ref" for number in range(3)
        ]
        await client.send(call("dlg.dlg_list", "call-1@ref"))
        (dialog,) = (await client.receive())[2]
        assert dialog["caller"]["tag"] == "uac-1"
        await client.send(call("dlg.dlg_list", {"callid": "call-1@ref", "from_tag": "uac-1"}))
        assert (await client.receive())[2] == [dialog]
        await client.send(call("dlg.dlg_list", "nobody"))
        assert (await client.receive()) == (REPLY, 1, [])
        await client.send(call("dlg.end_dlg", dialog["h_entry"], dialog["h_id"]))
        assert (await client.receive())[0] == REPLY
        await client.send(call("dlg.end_dlg", dialog["h_entry"], dialog["h_id"], cookie=9))
        assert await client.receive() == (FAULT, 9, [404, "Dialog not found"])


async def test_parameters_by_name_from_a_command_line(doors: Open) -> None:
    async with doors(calls=1) as open_doors:
        client = await open_doors.stream()
        await client.send(call("dlg.briefing", "fields=c"))
        ((brief,),) = (await client.receive())[2:]
        assert [*brief] == ["h_entry", "h_id", "call-id"]
        # A required parameter may be a phone's own text, and is never taken apart.
        open_doors.house.invite("callid=call-0@ref", "uac-x")
        await client.send(call("dlg.dlg_list", "callid=call-0@ref"))
        ((dialog,),) = (await client.receive())[2:]
        assert dialog["caller"]["tag"] == "uac-x"


@pytest.mark.parametrize(
    ("packet", "answer"),
    [
        (
            call("dlg.nope", cookie=0x99),
            b"\xa1\x30\x20\x99\x20\x01\xf4\x91\x1bcommand dlg.nope not found\0",
        ),
        (
            call("dlg.end_dlg", 1, cookie=0x99),
            b"\xa1\x30\x18\x99\x20\x01\xf4\x91\x13Invalid parameters\0",
        ),
        (
            call("dlg.end_dlg", 1, 2, cookie=0),
            b"\xa1\x30\x16\x00\x20\x01\x94\x91\x11Dialog not found\0",
        ),
    ],
)
async def test_faults_have_the_bytes_of_the_real_server(
    doors: Open, packet: bytes, answer: bytes
) -> None:
    async with doors() as open_doors:
        client = await open_doors.stream()
        await client.send(packet)
        assert await client.reader.readexactly(len(answer)) == answer


async def test_the_codes_of_json_rpc_are_told_in_words(doors: Open) -> None:
    async with doors() as open_doors:
        client = await open_doors.stream()
        await client.send(call("dlg.dlg_list") + call("dlg.dlg_list", {"colour": 1}))
        assert (await client.receive())[2] == [
            400, "Invalid params: parameter callid is missing",
        ]  # fmt: skip
        assert (await client.receive())[2] == [
            400, "Invalid params: no parameter is called 'colour'",
        ]  # fmt: skip


async def test_an_unknown_name_is_not_repeated_at_length(doors: Open) -> None:
    async with doors() as open_doors:
        client = await open_doors.stream()
        await client.send(call("x" * 60_000))
        assert (await client.receive())[2] == [500, f"command {'x' * 80} not found"]


@pytest.mark.parametrize("kind", STREAMS)
async def test_pipelined_requests_are_answered_in_order(doors: Open, kind: str) -> None:
    async with doors(calls=5) as open_doors:
        client = await open_doors.stream(kind)
        names = ["core.version", "dlg.list", "dlg.nope", "dlg.stats_active"] * 25
        await client.send(b"".join(call(name, cookie=n) for n, name in enumerate(names)))
        client.writer.write_eof()
        for number, name in enumerate(names):
            kind_of, cookie, values = await client.receive()
            assert cookie == number
            assert kind_of == (FAULT if name == "dlg.nope" else REPLY)
            assert len(values) == {"dlg.list": 5, "dlg.nope": 2}.get(name, 1)
        await client.closed()
        assert open_doors.counter("requests") == 100


@pytest.mark.parametrize("kind", STREAMS)
async def test_a_request_may_come_byte_by_byte(doors: Open, kind: str) -> None:
    async with doors() as open_doors:
        client = await open_doors.stream(kind)
        for byte in call("core.version") + call("core.version", cookie=2):
            await client.send(bytes([byte]))
            await asyncio.sleep(0)
        assert await client.receive() == VERSION
        assert await client.receive() == (REPLY, 2, VERSION[2])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("packet", "cookie", "text"),
    [
        (b"\x00" + call("core.version")[1:], 0, CORRUPTED),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0, CORRUPTED),
        (
            request(record("str", b"core.version\0"), kind=1, cookie=0x11223344),
            0x11223344,
            CORRUPTED,
        ),
        (request(b"", cookie=7), 7, "bad request method: end of packet encountered"),
        (request(b"\x10\x05", cookie=7), 7, "bad request method: record doesn't match type"),
        (request(record("str", b"a\0") + b"\xf1", cookie=7), 7, CORRUPTED),
    ],
)
async def test_what_is_no_request_is_told_so_and_a_connection_closed(
    doors: Open, kind: str, packet: bytes, cookie: int, text: str
) -> None:
    async with doors() as open_doors:
        client = await open_doors.client(kind)
        await client.send(packet)
        assert await client.receive() == (FAULT, cookie, [400, text])
        assert open_doors.counter("bad_requests") == 1
        if isinstance(client, Stream):
            client.writer.write_eof()
            await client.closed()
        else:
            await client.send(call("core.version"))
            assert await client.receive() == VERSION


@pytest.mark.parametrize("kind", STREAMS)
async def test_a_request_of_4_gb_is_refused_at_its_header(doors: Open, kind: str) -> None:
    async with doors() as open_doors:
        client = await open_doors.stream(kind)
        await client.send(bytes.fromhex("a10f" + "ffffffff" + "11223344"))
        fault, cookie, values = await client.receive()
        assert (fault, cookie) == (FAULT, 0x11223344)
        assert values == [400, "bad request: 4294967305 bytes, at most 65536 are taken"]
        # What it goes on to send is not kept, and does not cost it the answer.
        await client.send(b"x" * 100_000)
        client.writer.write_eof()
        await client.closed()


@pytest.mark.parametrize("kind", DATAGRAMS)
async def test_a_datagram_is_one_whole_request(doors: Open, kind: str) -> None:
    async with doors(max_request=1024) as open_doors:
        client = await open_doors.client(kind)
        packet = call("core.version", cookie=5)
        for wrong in (packet[:-1], packet + packet, packet[:6]):
            await client.send(wrong)
            assert (await client.receive())[1:] == (5, [400, CORRUPTED])
        await client.send(call("core.version", "x" * 2000, cookie=6))
        assert (await client.receive())[1:] == (
            6,
            [400, "bad request: at most 1024 bytes are taken"],
        )
        await client.send(b"")
        assert (await client.receive())[1:] == (0, [400, CORRUPTED])
