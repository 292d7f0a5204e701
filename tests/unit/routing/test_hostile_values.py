"""What a stranger's header makes of an argument: said in the log, and nothing else happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dlgmgmt.routing.decision import Action, Session
from dlgmgmt.routing.errors import PvError, ScriptLimit
from tests.unit.routing.harness import Bench, Env, invite, reply

LONG = "x" * 5000
JUST_FITS = "y" * 1024

Use = Callable[[Bench], bool]


def refused(use: Use, bench: Bench, caplog: pytest.LogCaptureFixture, says: str) -> None:
    caplog.clear()
    assert use(bench) is False
    assert [says in record.getMessage() for record in caplog.records] == [True]
    assert len(caplog.records[0].getMessage()) < 400


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (lambda b: b.dlg.set_dlg_profile("caller", "$hdr(X)"), "5000 characters, more than 1024"),
        (lambda b: b.dlg.is_in_profile("caller", "$hdr(X)"), "profile caller"),
        (lambda b: b.dlg.set_var("plan", "of $hdr(X)"), "dialog variable plan"),
        (lambda b: b.dlg.dlg_set_timeout("$hdr(X)"), "dlg_set_timeout"),
        (lambda b: b.dlg.dlg_set_timeout("$hdr(Zero)"), "dlg_set_timeout"),
        (lambda b: b.dlg.dlg_set_timeout("$hdr(Absent)"), "dlg_set_timeout"),
        (lambda b: b.dlg.dlg_setflag("$hdr(X)"), "a flag takes a number from 0 to 31"),
        (lambda b: b.dlg.dlg_resetflag("$hdr(Many)"), "a flag takes a number from 0 to 31"),
        (lambda b: b.dlg.dlg_isflagset("$hdr(X)"), "a flag takes a number from 0 to 31"),
        (lambda b: b.msg.setflag("$hdr(Many)"), "a flag takes a number from 0 to 31"),
        (lambda b: b.msg.resetflag("$hdr(X)"), "a flag takes a number from 0 to 31"),
        (lambda b: b.msg.isflagset("$hdr(X)"), "a flag takes a number from 0 to 31"),
        (lambda b: b.msg.append_hf("X-Copy: $hdr(X)"), "append_hf: 5008 characters"),
        (lambda b: b.msg.append_to_reply("X-Copy: $hdr(X)"), "append_to_reply: 5008 characters"),
        (lambda b: b.msg.send_reply("$hdr(Zero)", "x"), "send_reply takes a number from 100 to"),
    ],
)
@pytest.mark.parametrize("tracked", [False, True])
def test_a_function_says_no(
    use: Use, says: str, caplog: pytest.LogCaptureFixture, *, tracked: bool
) -> None:
    bench = Bench(invite(f"X: {LONG}", "Zero: 0", "Many: 32"))
    if tracked:
        bench.dlg.dlg_manage()
    refused(use, bench, caplog, says)
    assert bench.decision.action is Action.NONE
    assert not bench.decision.headers
    assert bench.decision.reply_headers == []
    assert bench.session.flags == 0
    assert bench.session.pending == []
    assert bench.dlg.get_var("plan") is None
    assert bench.msg.get_pv("$dlg_ctx(timeout)") == (600 if tracked else 0)


def test_a_profile_has_nothing_under_a_value_that_is_too_long() -> None:
    env = Env()
    dialog = env.call()
    bench = Bench(
        reply(200, "OK", f"X: {LONG}"), env, route="onreply", session=Session(dialog=dialog)
    )
    bench.dlg.set_dlg_profile("caller", "x")
    assert bench.dlg.get_profile_size("caller", "$hdr(X)", "$avp(size)") == 0
    assert bench.msg.get_pv("$avp(size)") == 0
    assert not bench.dlg.unset_dlg_profile("caller", "$hdr(X)")
    assert bench.dlg.get_profile_size("caller") == 1


def test_the_longest_profile_value_is_taken() -> None:
    bench = Bench(invite(f"X: {JUST_FITS}"))
    assert bench.dlg.set_dlg_profile("caller", "$hdr(X)")
    bench.dlg.dlg_manage()
    assert bench.dlg.get_profile_size("caller", JUST_FITS) == 1


@pytest.mark.parametrize(
    ("use", "error"),
    [
        (lambda b: b.dlg.set_dlg_profile("caller", LONG), ScriptLimit),
        (lambda b: b.dlg.set_var("plan", LONG), ScriptLimit),
        (lambda b: b.msg.append_hf(f"X: {LONG}"), ScriptLimit),
        (lambda b: b.dlg.dlg_set_timeout("$nope"), PvError),
        # No result could tell the script.
        (lambda b: b.msg.set_pv("$avp(x)", "$hdr(X)"), ScriptLimit),
    ],
)
def test_a_script_that_says_so_itself_fails(use: Callable[[Bench], Any], error: type) -> None:
    with pytest.raises(error):
        use(Bench(invite(f"X: {LONG}")))
