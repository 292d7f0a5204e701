"""Pseudo-variables of the dialog: the manual's chapter 10."""

from __future__ import annotations

import pytest

from dlgmgmt.dialog.states import State
from dlgmgmt.dialog.views import DialogView, TableCounts
from dlgmgmt.routing.decision import Session
from dlgmgmt.routing.errors import PvError, RouteError, ScriptLimit
from dlgmgmt.routing.pv_dialog import ATTRIBUTES
from tests.unit.routing.harness import UNIX, Bench, Env, invite, request, script, within

TIMEOUT = script(on_timeout=print)


def test_dlg_count_is_the_number_of_dialogs_that_are_alive() -> None:
    env = Env()
    assert Bench(env=env).msg.get_pv("$DLG_count") == 0
    env.call("c1")
    early = env.open_dialog(invite(callid="c2"), Session(), req_uri="sip:b@p")
    env.open_dialog(invite(callid="c3"), Session(), req_uri="sip:b@p")
    env.answer(early, code=180)
    assert Bench(env=env).msg.get_pv("$DLG_count") == 3
    env.tracker.invite_failed(early, 486)
    assert Bench(env=env).msg.get_pv("$DLG_count") == 2


def test_dlg_status_is_the_state_number() -> None:
    env = Env()
    assert Bench(env=env).msg.get_pv("$DLG_status") is None
    dialog = env.open_dialog(invite(), Session(), req_uri="sip:b@p")
    msg = Bench(within(), env, session=Session(dialog=dialog)).msg
    states = [msg.get_pv("$DLG_status")]
    env.answer(dialog, code=180)
    states.append(msg.get_pv("$DLG_status"))
    env.answer(dialog)
    states.append(msg.get_pv("$DLG_status"))
    env.tracker.request(None, "c1", "alice", "bob", "ACK", 10)
    states.append(msg.get_pv("$DLG_status"))
    env.answer(dialog, "carol")
    states.append(msg.get_pv("$DLG_status"))
    env.tracker.request(None, "c1", "alice", "bob", "BYE", 11)
    env.tracker.request(None, "c1", "alice", "carol", "BYE", 11)
    assert [*states, msg.get_pv("$DLG_status")] == [1, 2, 5, 4, 7, 6]


def test_dlg_lifetime_counts_from_the_answer_to_the_end() -> None:
    env = Env()
    assert Bench(env=env).msg.get_pv("$DLG_lifetime") is None
    dialog = env.open_dialog(invite(), Session(), req_uri="sip:b@p")
    msg = Bench(within(), env, session=Session(dialog=dialog)).msg
    env.now = 5
    assert msg.get_pv("$DLG_lifetime") == 0
    env.answer(dialog)
    env.now = 47.9
    assert msg.get_pv("$DLG_lifetime") == 42
    env.tracker.request(None, "c1", "alice", "bob", "BYE", 11)
    env.now = 100
    assert msg.get_pv("$DLG_lifetime") == 42


def attributes(view: DialogView) -> dict[str, str | int | None]:
    leg = view.legs[0]
    return {
        "h_id": view.h_id,
        "h_entry": view.h_entry,
        "ref": view.ref_count,
        "state": 4,
        "to_rs": "<sip:192.0.2.8;lr>",
        "from_rs": "<sip:192.0.2.9;lr>",
        "dflags": 0,
        "sflags": 6,
        "callid": "c1",
        "to_uri": "sip:bob@b.example",
        "to_tag": "bob",
        "from_uri": "sip:alice:secret@a.example",
        "from_tag": "alice",
        "toroute": "too_long",
        "lifetime": 600,
        "start_ts": int(UNIX),
        "to_cseq": leg.callee_cseq,
        "from_cseq": 10,
        "to_contact": "sip:bob@192.0.2.2",
        "from_contact": "sip:alice@192.0.2.1:5062",
        "to_bindaddr": "udp:192.0.2.6:1",
        "from_bindaddr": "udp:192.0.2.5:5060",
    }


def test_every_attribute_of_dlg() -> None:
    env = Env()
    message = invite("Record-Route: <sip:192.0.2.9;lr>")
    dialog = env.open_dialog(message, Session(), req_uri="sip:b@p")
    env.answer(dialog)
    env.tracker.request(None, "c1", "alice", "bob", "ACK", 10)
    env.table.set_flag(dialog, 1)
    env.table.set_flag(dialog, 2)
    env.table.set_toroute(dialog, "too_long")
    msg = Bench(within(), env).msg
    expected = attributes(dialog.view())
    assert {name: msg.get_pv(f"$dlg({name})") for name in ATTRIBUTES} == expected


def test_attributes_are_unset_without_a_dialog_and_where_nothing_is_known() -> None:
    env = Env()
    none = Bench(env=env).msg
    assert [none.get_pv(f"$dlg({name})") for name in ATTRIBUTES] == [None] * 22
    dialog = env.open_dialog(invite(), Session(), req_uri="sip:b@p")
    msg = Bench(env=env, session=Session(dialog=dialog)).msg
    unknown = [name for name in ATTRIBUTES if msg.get_pv(f"$dlg({name})") is None]
    assert unknown == [
        *("to_rs", "from_rs", "to_tag", "toroute", "to_cseq", "to_contact", "to_bindaddr")
    ]
    assert msg.get_pv("$dlg(from_cseq)") == 10


def test_attributes_are_read_only_and_unknown_ones_are_refused() -> None:
    msg = Bench().msg
    for name in ATTRIBUTES:
        with pytest.raises(RouteError, match="cannot be set"):
            msg.set_pv(f"$dlg({name})", 1)
    with pytest.raises(PvError, match="knows"):
        msg.pv("$dlg(colour)")


def test_the_leg_is_that_of_the_message() -> None:
    env = Env()
    dialog = env.call()
    env.answer(dialog, "carol")
    assert Bench(within("INFO"), env).msg.get_pv("$dlg(to_tag)") == "bob"
    session = Session(dialog=dialog)
    other = request("INFO", from_="<sip:x@y>;tag=carol", to="<sip:a@b>;tag=alice")
    assert Bench(other, env, session=session).msg.get_pv("$dlg(to_tag)") == "carol"


def test_one_text_speaks_of_one_moment() -> None:
    env = Env()
    dialog = env.call()
    bench = Bench(within(), env)
    counts = env.table.counts

    def hung_up_meanwhile() -> TableCounts:
        dialog.state = State.DELETED
        return counts()

    env.table.counts = hung_up_meanwhile  # type: ignore[method-assign]  # between two readings
    assert bench.msg.pv("$DLG_status $DLG_count $dlg(state)") == "4 1 4"
    assert bench.msg.pv("$DLG_status") == "6"


# -- $dlg_ctx --------------------------------------------------------------------------------------


def test_the_context_before_there_is_a_dialog() -> None:
    bench = Bench(functions=TIMEOUT)
    names = ("on", "set", "dir", "flags", "timeout", "timeout_bye", "timeout_route")
    assert [bench.msg.get_pv(f"$dlg_ctx({n})") for n in names] == [0, 0, 0, 0, 0, 0, None]
    wanted: dict[str, str | int] = {
        "on": 1,
        "flags": 5,
        "timeout": "90",
        "timeout_bye": 1,
        "timeout_route": "on_timeout",
    }
    for name, value in wanted.items():
        bench.msg.set_pv(f"$dlg_ctx({name})", value)
    assert [bench.msg.get_pv(f"$dlg_ctx({n})") for n in names] == [1, 0, 0, 5, 90, 1, "on_timeout"]


def test_what_was_set_before_is_given_to_the_dialog() -> None:
    bench = Bench(functions=TIMEOUT)
    bench.msg.set_pv("$dlg_ctx(flags)", 5)
    bench.msg.set_pv("$dlg_ctx(timeout)", 90)
    bench.msg.set_pv("$dlg_ctx(timeout_bye)", 1)
    bench.msg.set_pv("$dlg_ctx(timeout_route)", "on_timeout")
    bench.msg.set_pv("$dlg_var(plan)", "gold")
    assert bench.msg.get_pv("$dlg_var(plan)") == "gold"
    assert bench.dlg.dlg_manage()
    text = "$dlg_ctx(set) $dlg_ctx(dir) $dlg(sflags) $dlg(lifetime) $dlg(toroute) $dlg_var(plan)"
    assert bench.msg.pv(text) == "1 1 5 90 on_timeout gold"
    assert bench.env.table.timeout_bye is True


def test_the_context_of_a_dialog_changes_the_dialog() -> None:
    env = Env()
    dialog = env.call()
    functions = TIMEOUT
    msg = Bench(within(), env, functions=functions).msg
    msg.set_pv("$dlg_ctx(flags)", 0x80000001)
    msg.set_pv("$dlg_ctx(timeout)", 33)
    msg.set_pv("$dlg_ctx(timeout_bye)", 0)
    msg.set_pv("$dlg_ctx(timeout_route)", "on_timeout")
    assert (dialog.sflags, dialog.lifetime, dialog.toroute) == (0x80000001, 33, "on_timeout")
    assert env.table.timeout_bye is False
    assert msg.pv("$dlg_ctx(flags) $dlg_ctx(timeout)") == f"{0x80000001} 33"
    msg.set_pv("$dlg_ctx(flags)", 2)
    msg.set_pv("$dlg_ctx(timeout_route)", None)
    assert (dialog.sflags, dialog.toroute) == (2, "")


def test_the_direction_is_that_of_the_request() -> None:
    env = Env()
    env.call()
    assert Bench(within(), env).msg.get_pv("$dlg_ctx(dir)") == 1
    assert Bench(within(upstream=True), env).msg.get_pv("$dlg_ctx(dir)") == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("set", 1),
        ("dir", 1),
        ("flags", -1),
        ("flags", 2**32),
        ("flags", None),
        ("timeout", "soon"),
        ("timeout", -1),
        ("timeout", 2**31),
        ("timeout_bye", 2),
        ("timeout_route", "nowhere"),
        ("timeout_route", "__class__"),
        ("timeout_route", "two words"),
        ("on", "x"),
    ],
)
def test_a_context_value_that_cannot_be(name: str, value: str | int | None) -> None:
    bench = Bench(functions=TIMEOUT)
    before = bench.msg.pv(f"$dlg_ctx({name})")
    with pytest.raises(RouteError):
        bench.msg.set_pv(f"$dlg_ctx({name})", value)
    assert bench.msg.pv(f"$dlg_ctx({name})") == before


# -- $dlg_var --------------------------------------------------------------------------------------


def test_variables_stay_with_the_dialog() -> None:
    env = Env()
    env.call()
    msg = Bench(within("INFO"), env).msg
    msg.set_pv("$dlg_var(plan)", "$fU")
    assert Bench(within("BYE", upstream=True), env).msg.pv("$dlg_var(plan)") == "alice"
    msg.set_pv("$dlg_var(plan)", None)
    assert msg.get_pv("$dlg_var(plan)") is None


def test_variables_have_limits() -> None:
    waiting = Bench()
    known = Bench(within(), Env())
    known.env.call()
    for bench in (waiting, known):
        for n in range(64):
            bench.msg.set_pv(f"$dlg_var(k{n})", n)
        with pytest.raises(ScriptLimit, match="64"):
            bench.msg.set_pv("$dlg_var(more)", 1)
        with pytest.raises(ScriptLimit, match="4096"):
            bench.msg.set_pv("$dlg_var(k1)", "x" * 4097)
        assert bench.msg.get_pv("$dlg_var(k1)") == "1"
    for key in ("", "a b", "x" * 65, "ü"):
        with pytest.raises(PvError, match="named with"):
            waiting.msg.get_pv(f"$dlg_var({key})")
