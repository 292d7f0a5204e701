"""The recorded requests of the real server, sent to ours: the same bytes come back.

With an empty table: what is about calls that there were then is compared by names and types.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.binrpc import call, values_of
from tests.unit.interfaces.binrpc_doors import VERSION, Open

_DATA = Path(__file__).parents[2] / "data" / "rpc-5.6"

SAME = {
    "dialog/empty": (
        "list list_ctx list_match_none profile_list_empty profile_size_empty stats_active"
    ),
    "dialog/live": (
        "bridge_few bridge_none core_echo dlg_list_badftag "
        "dlg_list_early dlg_list_num dlg_list_unknown "
        "end_dlg_bigentry end_dlg_noparams end_dlg_unknown help_nope_nope "
        "is_alive_early is_alive_few "
        "is_alive_unknown list_match_2params list_match_badkey list_match_badop list_match_badop3 "
        "list_match_badre list_match_callid_gt list_match_none list_match_noparams "
        "list_match_start_lt list_match_tsop profile_list_other profile_list_unknown "
        "profile_size_other profile_size_unknown raw_badmagic raw_badversion raw_method_int "
        "raw_nomethod raw_too_few raw_type_reply raw_unknown set_state_bad set_state_few "
        "set_state_unknown terminate_few terminate_unknown unknown_method"
    ),
    "ims/empty": "list",
    "ims/live": (
        "core_echo end_dlg_bigentry end_dlg_noparams end_dlg_unknown raw_too_few unknown_method"
    ),
}
CASES = [f"{folder}/{name}" for folder, names in SAME.items() for name in names.split()]


def _recorded(case: str) -> tuple[bytes, bytes, bool]:
    """What was sent, what came back, and whether the server then closed the connection."""
    folder, _, name = case.rpartition("/")
    base = _DATA / folder / "binrpc"
    reply = (base / f"{name}.rep.bin").read_bytes()
    closed = reply.endswith(b"<EOF>")
    reply = reply.removesuffix(b"<EOF>").removesuffix(b"<TimeoutError>")
    return (base / f"{name}.req.bin").read_bytes(), reply, closed


@pytest.mark.parametrize("case", CASES)
async def test_the_same_bytes_come_back(doors: Open, case: str) -> None:
    sent, reply, closed = _recorded(case)
    async with doors() as open_doors:
        client = await open_doors.stream()
        await client.send(sent)
        assert await client.reader.readexactly(len(reply)) == reply
        if closed:
            client.writer.write_eof()
            await client.closed()
        else:
            await client.send(call("core.version"))
            assert await client.receive() == VERSION


def _shape(value: Any) -> Any:
    """Names and types; of an array only that it is one."""
    if isinstance(value, dict):
        return {name: _shape(inner) for name, inner in value.items()}
    return type(value)


async def test_a_dialog_has_the_recorded_names_in_their_order_and_types(doors: Open) -> None:
    _, reply, _ = _recorded("dialog/live/list")
    recorded = _shape(values_of(reply)[2][0])
    # Without members an array and an object are the same bytes.
    recorded |= {"profiles": dict, "variables": dict}
    async with doors() as open_doors:
        house = open_doors.house
        house.reply(house.invite(), 200)
        client = await open_doors.stream()
        await client.send(call("dlg.list"))
        (dialog,) = (await client.receive())[2]
    ours = [(name, kind if kind != {} else dict) for name, kind in _shape(dialog).items()]
    assert ours[: len(recorded)] == [*recorded.items()]
    assert [name for name, _ in ours[len(recorded) :]] == [
        "ims_state", "state_name", "did", "req_uri", "timeout_left", "legs", "history",
    ]  # fmt: skip


@pytest.mark.parametrize("case", ["core_uptime", "stats_active", "stats_dialog"])
async def test_what_is_not_about_calls_has_the_recorded_shape(doors: Open, case: str) -> None:
    sent, reply, _ = _recorded(f"dialog/live/{case}")
    async with doors() as open_doors:
        client = await open_doors.stream()
        await client.send(sent)
        kind, cookie, values = await client.receive()
    recorded_kind, recorded_cookie, recorded = values_of(reply)
    assert (kind, cookie) == (recorded_kind, recorded_cookie)
    assert [_shape(value) for value in values] == [_shape(value) for value in recorded]


async def test_pipelined_requests_and_a_zero_cookie_are_answered(doors: Open) -> None:
    async with doors() as open_doors:
        client = await open_doors.stream()
        for case in ("raw_pipelined", "raw_zero_cookie"):
            sent, reply, _ = _recorded(f"dialog/live/{case}")
            await client.send(sent)
            while reply:
                size = 2 + (reply[1] >> 2 & 3) + 1 + (reply[1] & 3) + 1
                length = int.from_bytes(reply[2 : 3 + (reply[1] >> 2 & 3)], "big")
                recorded = values_of(reply[: size + length])
                reply = reply[size + length :]
                kind, cookie, values = await client.receive()
                assert (kind, cookie) == recorded[:2]
                assert [_shape(value) for value in values] == [_shape(one) for one in recorded[2]]
