"""MI requests recorded with Kamailio 4.4's dialog module, whose commands ims_dialog lacks.

Replies are the recorded ones byte for byte, but for dialogs, which have the layout of ims_dialog.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from dlgmgmt.dialog.callbacks import CallbackParams, DialogHandle, DlgCb
from dlgmgmt.interfaces.mi_fifo import MiBinding
from mi_fifo import MiRequest, RequestParser, render
from tests.unit.commands.harness import House

DATA = Path(__file__).parents[2] / "data" / "mi-4.4" / "dialog"


def answer(house: House, request: bytes) -> bytes:
    [parsed] = RequestParser().feed(request, 0.0)
    assert isinstance(parsed, MiRequest)
    return b"".join(render(MiBinding(house.dispatcher)(parsed)))


def recorded(case: str) -> tuple[bytes, bytes]:
    return (DATA / f"{case}.req").read_bytes(), (DATA / f"{case}.rep").read_bytes()


def call(house: House, callid: str, number: int) -> None:
    dialog = house.call(callid, f"uac-{number}")
    house.table.profiles.insert(dialog, "caller", "alice")
    house.table.profiles.insert(dialog, "inbound", None)


def empty(_house: House) -> None:
    pass


def one(house: House) -> None:
    call(house, "dlgm_conf@ref44", 1)


def several(house: House) -> None:
    for number in range(1, 5):
        call(house, f"{number}-dlgm_several@ref44", number)


def early(house: House) -> None:
    house.reply(house.invite("dlgm_early@ref44"), 180)


EXACT: list[tuple[Callable[[House], None], str]] = [
    (empty, "dlg_bridge_1"),
    (empty, "dlg_bridge_baduri"),
    (empty, "dlg_bridge_list_after"),
    (empty, "dlg_bridge_noparam"),
    (empty, "dlg_empty_dlg_list"),
    (empty, "dlg_empty_dlg_list_ctx"),
    (empty, "dlg_empty_profile_get_size"),
    (empty, "dlg_empty_profile_list_dlgs"),
    (empty, "dlg_end_1param"),
    (empty, "dlg_end_badentry"),
    (empty, "dlg_end_hexentry"),
    (empty, "dlg_end_nonnum"),
    (empty, "dlg_end_noparam"),
    (empty, "dlg_end_unknown"),
    (one, "prof_list_3params"),
    (one, "prof_list_nomatch"),
    (one, "prof_list_noparam"),
    (one, "prof_list_unknown"),
    (one, "prof_list_unused"),
    (one, "prof_size_3params"),
    (one, "prof_size_noparam"),
    (one, "prof_size_noval"),
    (one, "prof_size_noval_withval"),
    (one, "prof_size_unknown"),
    (one, "prof_size_unused"),
    (one, "prof_size_val"),
    (one, "prof_size_val_nomatch"),
    (one, "prof_size_val_none"),
    (several, "prof_size_several"),
]
DIALOGS: list[tuple[Callable[[House], None], str]] = [
    (one, "dlg_list_ctx_callid_ftag"),
    (one, "dlg_list_ctx_conf"),
    (early, "dlg_list_ctx_early"),
    (several, "dlg_list_ctx_several"),
    (one, "prof_list_noval"),
    (several, "prof_list_several"),
    (one, "prof_list_val"),
    (one, "prof_list_val_all"),
]
# What differs, and why.
OTHER: dict[str, bytes] = {
    # The answer has an id, by which dlg_bridges tells what has become of the bridge.
    "dlg_bridge_ok": b"200 OK\nid:: 1\n\n",
    "dlg_bridge_op": b"200 OK\nid:: 1\n\n",
    # Whether a name leads anywhere is known when the call is made: dlg_bridges tells.
    "dlg_bridge_unresolvable": b"200 OK\nid:: 1\n\n",
    # A second address that nobody can be sent to is refused, empty or not.
    "dlg_bridge_badto": b"500 Bad To value\n\n",
    # An empty value is refused whatever command it is for.
    "dlg_bridge_emptyto": b"400 Bad parameter\n\n",
    # No dialog has a negative number.
    "dlg_end_neg": b"404 Requested Dialog not found\n\n",
}
# Ended in test_end_dlg, with the numbers of the call at hand.
ENDED = {"dlg_end_conf", "dlg_end_dlg_early", "dlg_end_trailingspace"}


@pytest.mark.parametrize(
    ("make", "case"), EXACT, ids=lambda v: v if isinstance(v, str) else v.__name__
)
def test_replies_are_the_recorded_ones(make: Callable[[House], None], case: str) -> None:
    house = House()
    make(house)
    request, reply = recorded(case)
    assert answer(house, request) == reply


@pytest.mark.parametrize("case", OTHER)
def test_replies_that_differ(case: str) -> None:
    request, reply = recorded(case)
    assert reply != OTHER[case]
    assert answer(House(), request) == OTHER[case]


@pytest.mark.parametrize(
    ("make", "case"), DIALOGS, ids=lambda v: v if isinstance(v, str) else v.__name__
)
def test_dialogs_are_the_recorded_ones(make: Callable[[House], None], case: str) -> None:
    """The same dialogs, and each with its context if the recording has that."""
    house = House()
    make(house)
    request, reply = recorded(case)
    ours = answer(house, request)
    for pattern in (rb"\tcallid:: ([^\n]*)", rb"\tfrom_tag:: ([^\n]*)", rb"\t(context:: )\n"):
        assert sorted(re.findall(pattern, ours)) == sorted(re.findall(pattern, reply))


def test_every_recording_is_looked_at() -> None:
    known = {case for _, case in (*EXACT, *DIALOGS)} | {*OTHER} | ENDED
    assert known == {path.stem for path in DATA.glob("*.req")}


@pytest.mark.parametrize("case", sorted(ENDED))
def test_end_dlg(case: str) -> None:
    """A ringing call is ended too, where the recorded server answers 500."""
    house = House()
    dialog = house.call() if case != "dlg_end_dlg_early" else house.invite()
    numbers = b"\n%d\\2\n%d\\4\n" % (dialog.entry.index, dialog.h_id)
    request, reply = recorded(case)
    request = re.sub(rb"\n(\d+)( *)\n(\d+)( *)\n", numbers, request)
    assert answer(house, request) == b"200 OK\n\n"
    assert (reply == b"200 OK\n\n") is (case != "dlg_end_dlg_early")
    assert len(house.terminator.ordered) == 1


def test_context_stands_at_the_end_of_the_dialogs_own_fields() -> None:
    house = House()
    dialog = house.call()

    def context(_handle: DialogHandle, _kind: DlgCb, params: CallbackParams) -> None:
        assert params.write is not None
        params.write("account 4711\nprepaid\x1b[2J")

    house.callbacks.register(DialogHandle(dialog), DlgCb.MI_CONTEXT, context)
    text = answer(house, b":dlg_list_ctx:reply\n\n").decode()
    assert (
        "\tstate_name:: confirmed\n\tcontext:: \n\t\taccount 4711\n\t\tprepaid\\x1b[2J\n"
        "dialog_out::  hash=" in text
    )


def test_bridges_are_told() -> None:
    house = House()
    answer(house, recorded("dlg_bridge_ok")[0])
    assert answer(house, b":dlg_bridges:reply\n\n").decode() == (
        "200 OK\nbridge:: 1\n\tcallid:: \n\tfrom_uri:: sip:a@127.0.0.1:5190\n"
        "\tto_uri:: sip:b@127.0.0.1:5191\n\tproxy:: \n\tstate:: ordered\n\tdetail:: \n"
        "\tordered_ts:: 1795410900\n\tended_ts:: 0\n\n"
    )
