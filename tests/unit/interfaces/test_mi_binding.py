from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from dlgmgmt.commands.context import CommandContext
from dlgmgmt.commands.dispatcher import Dispatcher
from dlgmgmt.commands.errors import MgmtProtocol
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.interfaces.mi_fifo import MiBinding
from mi_fifo import MiParam, MiRequest, RequestParser, render
from tests.unit.commands.harness import NOW, House

DATA = Path(__file__).parents[2] / "data" / "mi-4.4" / "ims_dialog"
# Numbers that no two runs share.
_VARYING = re.compile(rb"(hash=\d+:\d+|timestart:: [1-9]\d*|timeout:: [1-9]\d*)")
_ADDED = re.compile(rb"\t(timeout_left|state_name):: [^\n]*\n")


def answer(house: House, request: bytes) -> bytes:
    [parsed] = RequestParser().feed(request, 0.0)
    assert isinstance(parsed, MiRequest)
    return b"".join(render(MiBinding(house.dispatcher)(parsed)))


def ask(house: House, command: str, *values: str) -> str:
    request = MiRequest(command, tuple(MiParam(None, value) for value in values), "reply")
    return b"".join(render(MiBinding(house.dispatcher)(request))).decode()


def comparable(reply: bytes) -> bytes:
    return _VARYING.sub(lambda match: re.sub(rb"\d+", b"N", match[0]), _ADDED.sub(b"", reply))


def early(house: House) -> None:
    house.reply(house.invite("early-1@ref44"), 180)


def forked(house: House) -> None:
    dialog = house.invite("ims_term_early_fork@ref44")
    house.reply(dialog, 180)
    house.reply(dialog, 183, "uas5191-1", 1, 5191)


def confirmed(house: House) -> None:
    house.call("ims_badttag@ref44")


def empty(house: House) -> None:
    pass


@pytest.mark.parametrize(
    ("make", "case"),
    [
        (empty, "ims_dlg_list_empty"),
        (empty, "ims_dlg_list_empty_unknown_callid"),
        (empty, "ims_get_statistics_none"),
        (empty, "ims_get_statistics_dialog_ng_active"),
        (empty, "ims_term_noparam"),
        (early, "ims_dlg_list_early1"),
        (early, "ims_dlg_list_callid"),
        (early, "ims_dlg_list_callid_badftag"),
        (early, "ims_dlg_list_callid_ftag"),
        (early, "ims_dlg_list_callid_ftag_extra"),
        (early, "ims_dlg_list_callid_nonexist"),
        (early, "ims_dlg_list_named_params"),
        (early, "ims_dlg_list_quoted_callid"),
        (early, "ims_term_1param"),
        (early, "ims_term_2param"),
        (early, "ims_term_badftag"),
        (early, "ims_term_unknown"),
        (forked, "ims_term_early_fork_list_before"),
        (forked, "ims_term_early_fork"),
        (confirmed, "ims_badttag_list"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_replies_are_those_of_ims_dialog(make: object, case: str) -> None:
    house = House()
    assert callable(make)
    make(house)
    reply = answer(house, (DATA / f"{case}.req").read_bytes())
    assert comparable(reply) == comparable((DATA / f"{case}.rep").read_bytes())


def test_the_statistics_of_three_calls() -> None:
    house = House()
    for number in range(3):
        house.call(f"{number}@x")
    for case in ("ims_get_statistics_active", "ims_get_statistics_dialog_ng_"):
        request = (DATA / f"{case}.req").read_bytes()
        assert answer(house, request) == (DATA / f"{case}.rep").read_bytes()


def test_what_is_wrong_in_the_module_is_right_here() -> None:
    house = House()
    confirmed(house)
    wrong_tag = answer(house, (DATA / "ims_badttag_term.req").read_bytes())
    assert wrong_tag == b"404 Requested Dialog not found\n\n"
    assert house.terminator.ordered == []
    named_empty = answer(house, (DATA / "ims_crash_empty_named_param.req").read_bytes())
    assert named_empty == b"400 Bad parameter\n\n"
    assert answer(house, (DATA / "ims_get_statistics_dialog_.req").read_bytes()).startswith(
        b"200 OK\ndialog:active_dialogs = 1\n"
    )


def test_the_fields_that_are_added_stand_at_the_end_of_the_dialog() -> None:
    house = House()
    house.call("a@x")
    house.wall = NOW + 100
    lines = ask(house, "dlg_list").splitlines()
    out = next(i for i, line in enumerate(lines) if line.startswith("dialog_out::"))
    assert lines[out - 3 : out] == [
        "\tcaller_bind_addr:: udp:127.0.0.1:5170",
        "\ttimeout_left:: 43100",
        "\tstate_name:: confirmed",
    ]
    assert f"\ttimeout:: {int(NOW + 43200)}" in lines


def test_hostile_text_cannot_make_lines_or_reach_the_terminal() -> None:
    house = House()
    evil = "a\x1b[2J\r\n200 OK\ndialog::  hash=1:1\u202e\x9b\u2028"
    raw = b"\xff\xfe".decode("utf-8", "surrogateescape")
    dialog = house.invite(evil + raw, evil, contact=evil, from_uri=evil, bind_addr=evil)
    house.reply(dialog, 180, evil)
    plain = House()
    plain.reply(plain.invite(), 180)
    reply = ask(house, "dlg_list")
    assert len(reply.splitlines()) == len(ask(plain, "dlg_list").splitlines())
    assert all(line.lstrip("\t").isprintable() for line in reply.split("\n"))
    assert r"\x1b[2J" in reply
    assert r"\xff\xfe" in reply
    not_there = ask(house, evil)
    assert all(line.isprintable() for line in not_there.split("\n"))


def test_a_listing_is_taken_while_it_is_written() -> None:
    house = House()
    for number in range(1000):
        house.call(f"{number}@x")
    chunks = render(MiBinding(house.dispatcher)(MiRequest("dlg_list", (), "r")))
    first = next(chunks)
    assert first.startswith(b"200 OK\ndialog::  hash=")
    late = [house.call(f"late-{number}@x").callid.encode() for number in range(200)]
    rest = b"".join(chunks)
    assert any(callid in rest for callid in late)
    assert (first + rest).count(b"\ndialog::  ") == 1000 + sum(callid in rest for callid in late)


def test_version_uptime_and_which() -> None:
    house = House()
    assert ask(house, "version").startswith(
        "200 OK\nServer:: dlgmgmt (0.1.0 (x86_64/linux))\nBuild:: Python "
    )
    now = time.ctime(int(NOW))
    since = time.ctime(int(NOW - 220))
    assert (
        ask(house, "uptime") == f"200 OK\nNow:: {now}\nUp since:: {since}\nUp time:: 220 [sec]\n\n"
    )
    names = house.dispatcher.registry.names(MgmtProtocol.MI)
    assert {"which", "dlg_list", "dlg_bridge", "profile_get_size"} <= {*names}
    assert ask(house, "which") == "\n".join(["200 OK", *names, "", ""])


def test_a_termination_is_an_empty_ok_whatever_the_parties_will_answer() -> None:
    house = House()
    house.call("a@x", "one")
    assert ask(house, "dlg_terminate_dlg", "a@x", "one", "uas5190-1") == "200 OK\n\n"


class BrokenTable:
    """A table whose reading fails."""

    def __init__(self, house: House) -> None:
        self._table = house.table

    def __getattr__(self, name: str) -> object:
        if name == "find":
            raise RuntimeError("secret")
        return getattr(self._table, name)


def test_a_failure_within_is_answered_as_the_module_does() -> None:
    house = House()
    broken = BrokenTable(house)
    context = CommandContext(
        broken,  # type: ignore[arg-type] # it lacks what is to be missed
        house.terminator,
        lambda: NOW,
        NOW,
        "0",
    )
    binding = MiBinding(Dispatcher(build_registry(), context))
    reply = binding(MiRequest("dlg_list", (MiParam(None, "x"),), "r"))
    assert b"".join(render(reply)) == b"500 command 'dlg_list' failed\n"
