"""Reading the configuration again: what takes effect, what waits for a restart, what is refused."""

from __future__ import annotations

import logging
import re
import threading
from dataclasses import dataclass, field, fields
from pathlib import Path

import pytest
import trustme

from dlgmgmt.config import Config, ConfigError, Problem
from dlgmgmt.config.changes import FIXED, compare
from dlgmgmt.config.reload import Reloader
from dlgmgmt.dialog.settings import DialogSettings
from tests.unit.config.harness import read

ROUTE = '[[sip.route]]\ntargets = ["sip:127.0.0.1:{}"]\n'

README = (Path(__file__).parents[3] / "README.md").read_text()

# A value of every parameter of [ims_dialog] that is not its default.
OTHERS = {
    "enable_stats": "false",
    "hash_size": "64",
    "rr_param": '"id"',
    "dlg_flag": "4",
    "timeout_avp": '"$avp(i:10)"',
    "default_timeout": "60",
    "dlg_extra_hdrs": '"Hint: x\\r\\n"',
    "dlg_match_mode": "1",
    "detect_spirals": "false",
    "db_url": '"mysql://me:secret@host/other"',
    "db_mode": "2",
    "db_update_period": "7",
    "db_fetch_rows": "7",
    "profiles_with_value": '"caller"',
    "profiles_no_value": '"inbound; outbound"',
    "bridge_controller": '"sip:desk@example.com"',
    "initial_cbs_inscript": "false",
    "ruri_pvar": '"$tu"',
    "send_bye": "false",
    "early_timeout": "60",
    "noack_timeout": "30",
    "end_timeout": "60",
    "timeout_noreset": "true",
    "session_timers": "false",
    "ka_timer": "7",
    "ka_interval": "7",
    "ka_failed_limit": "3",
    "ka_sides": '"both"',
    "max_dialogs": "7",
}


@dataclass
class Daemon:
    """What the reloader tells. script_fault: what is wrong with the script, if anything."""

    applied: list[Config] = field(default_factory=list)
    prepared: list[Config] = field(default_factory=list)
    script_fault: str = ""

    def prepare(self, config: Config) -> None:
        self.prepared.append(config)
        if self.script_fault:
            raise ConfigError([Problem("script.py", 3, self.script_fault)])

    def start(self, config: Config) -> Reloader:
        return Reloader(config, {}, prepare=self.prepare, apply=self.applied.append)


def write(folder: Path, text: str) -> None:
    (folder / "dlgmgmt.toml").write_text(text)


def messages(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


# -- comparing -------------------------------------------------------------------------------------


def test_every_parameter_of_the_dialogs_is_covered() -> None:
    assert {*OTHERS} == {item.name for item in fields(DialogSettings)}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_made_once_waits_and_the_rest_is_applied(name: str, tmp_path: Path) -> None:
    old = read(tmp_path, "")
    new = read(tmp_path, f"[ims_dialog]\n{name} = {OTHERS[name]}\n")
    changes = compare(old, new)
    fixed = name in FIXED["ims_dialog"]
    waiting, applied = changes.restart, changes.applied
    assert [change.name for change in waiting] == [f"ims_dialog.{name}"] * fixed
    assert [change.name for change in applied] == [f"ims_dialog.{name}"] * (not fixed)
    assert changes.config.dialog == (old if fixed else new).dialog
    for change in (*waiting, *applied):
        assert change.old != change.new
        assert "secret" not in str(change)


@pytest.mark.parametrize("table", FIXED)
def test_the_names_that_wait_are_those_of_the_readme(table: str) -> None:
    (row,) = re.findall(rf"^\| `\[{table}\]` \| ([^|;]+)", README, re.MULTILINE)
    assert set(re.findall("`(\\w+)`", row)) == FIXED[table]


def test_new_profiles_are_added_and_no_old_one_goes_or_moves(tmp_path: Path) -> None:
    text = "[ims_dialog]\nprofiles_with_value = '{}'\nprofiles_no_value = '{}'\n"
    old = read(tmp_path, text.format("a;b;c", "x;y"))
    changes = compare(old, read(tmp_path, text.format("b; c; y; d", "x; a; z")))
    dialog = changes.config.dialog
    assert dialog.profiles_with_value == ("a", "b", "c", "d")
    assert dialog.profiles_no_value == ("x", "y", "z")
    assert [str(change) for change in changes.applied] == [
        "ims_dialog.profiles_with_value: 'a; b; c' -> 'a; b; c; d'",
        "ims_dialog.profiles_no_value: 'x; y' -> 'x; y; z'",
    ]
    assert [str(change) for change in changes.restart] == [
        "ims_dialog.profiles_with_value: 'a; b; c; d' -> 'b; c; y; d'",
        "ims_dialog.profiles_no_value: 'x; y; z' -> 'x; a; z'",
    ]
    changes = compare(old, read(tmp_path, text.format("c;b;a", "y;x")))
    assert (changes.applied, changes.restart) == ((), ())


def test_the_other_tables(tmp_path: Path) -> None:
    (tmp_path / "a.py").touch()
    (tmp_path / "b.py").touch()
    old = read(tmp_path, f"[routing]\nscript = 'a.py'\n{ROUTE.format(5090)}")
    new = read(
        tmp_path,
        '[sip]\nserver_header = "other"\ntimer_c = 9\nmax_branches = 2\nmax_transactions = 99\n'
        't1 = 0.1\nt2 = 0.2\nt4 = 1\nmax_message = 2000\nlisten = ["udp:127.0.0.1:5070"]\n'
        f"{ROUTE.format(5091)}"
        '[mi_fifo]\nfifo_mode = "0600"\n[http]\nmax_body = 2000\n'
        "[routing]\nscript = 'b.py'\ntime_limit = 2.5\nworkers = 2\nmax_queue = 9\n",
    )
    changes = compare(old, new)
    assert sorted(change.name for change in changes.applied) == [
        "routing.script",
        "routing.time_limit",
        "sip.max_branches",
        "sip.max_transactions",
        "sip.route",
        "sip.server_header",
        "sip.timer_c",
    ]
    assert sorted(change.name for change in changes.restart) == [
        *("http.max_body", "mi_fifo.fifo_mode", "routing.max_queue", "routing.workers"),
        *("sip.listen", "sip.max_message", "sip.t1", "sip.t2", "sip.t4"),
    ]
    now = changes.config
    assert (now.fifo, now.http) == (old.fifo, old.http)
    assert (now.sip.routes, now.sip.server_header) == (new.sip.routes, "other")
    assert (now.sip.listen, now.sip.t1) == (old.sip.listen, old.sip.t1)
    assert (now.routing.script, now.routing.time_limit) == (str(tmp_path / "b.py"), 2.5)
    assert now.routing.workers == old.routing.workers
    printed = [str(change) for change in (*changes.applied, *changes.restart)]
    assert (
        "sip.route: '*@* to sip:127.0.0.1:5090 parallel' -> '*@* to sip:127.0.0.1:5091 parallel'"
    ) in printed
    assert "sip.listen: 'udp:127.0.0.1:5060' -> 'udp:127.0.0.1:5070'" in printed
    assert "mi_fifo.fifo_mode: '0660' -> '0600'" in printed


WITHIN_SIP = {
    "sip.stream": "idle_timeout = 9",
    "sip.tls": 'verify_client = "require"',
    "sip.dns": 'servers = ["127.0.0.1"]',
    "sip.limits": 'trusted = ["10.0.0.0/8"]',
    "trace": 'hep = "udp:127.0.0.1:9060"',
}


@pytest.mark.parametrize("table", WITHIN_SIP)
def test_the_tables_within_sip(table: str, tmp_path: Path) -> None:
    old, new = read(tmp_path, ""), read(tmp_path, f"[{table}]\n{WITHIN_SIP[table]}\n")
    changes = compare(old, new)
    name = f"{table}.{WITHIN_SIP[table].partition(' ')[0]}"
    fixed = table == "sip.stream"
    assert [change.name for change in changes.restart] == [name] * fixed
    assert [change.name for change in changes.applied] == [name] * (not fixed)
    assert changes.config.sip == (old if fixed else new).sip
    (change,) = (*changes.restart, *changes.applied)
    assert str(change) in {
        "sip.stream.idle_timeout: 600.0 -> 9.0",
        "sip.tls.verify_client: 'none' -> 'require'",
        "sip.dns.servers: '' -> '127.0.0.1:53'",
        "sip.limits.trusted: '' -> '10.0.0.0/8'",
        "trace.hep: None -> '127.0.0.1:9060'",
    }


def test_the_trace_password_is_not_logged(tmp_path: Path) -> None:
    old = read(tmp_path, "[trace]\nhep_password = 'secret'\n")
    changes = compare(old, read(tmp_path, "[trace]\nhep_password = 'secret2'\n"))
    assert [str(change) for change in changes.applied] == ["trace.hep_password: '***' -> '***'"]


RULE = '[[sip.allow]]\nlisten = "udp:127.0.0.1:{}"\nfrom = ["10.0.0.0/8"]\n'


def test_a_listener_that_goes_only_with_the_restart_keeps_its_rules(tmp_path: Path) -> None:
    listen = '[sip]\nlisten = ["udp:127.0.0.1:{}"]\n'
    old = read(tmp_path, listen.format(5060) + RULE.format(5060))
    changes = compare(old, read(tmp_path, listen.format(5070) + RULE.format(5070)))
    assert {rule.listen.port for rule in changes.config.sip.allow} == {5060, 5070}
    # One that stays may be opened.
    changes = compare(old, read(tmp_path, listen.format(5060)))
    assert changes.config.sip.allow == ()
    (change,) = changes.applied
    assert str(change) == "sip.allow: 'udp:127.0.0.1:5060 from 10.0.0.0/8' -> ''"


def test_a_secure_listener_that_goes_only_with_the_restart_keeps_its_certificate(
    tmp_path: Path,
) -> None:
    shown = trustme.CA().issue_cert("sip.example.com")
    (tmp_path / "a.pem").write_bytes(shown.cert_chain_pems[0].bytes())
    (tmp_path / "a.key").write_bytes(shown.private_key_pem.bytes())
    old = read(
        tmp_path,
        '[sip]\nlisten = ["tls:127.0.0.1:0"]\n'
        '[sip.tls]\ncertificate = "a.pem"\nprivate_key = "a.key"\n',
    )
    changes = compare(old, read(tmp_path, ""))
    assert changes.config.sip.tls == old.sip.tls
    assert {change.name for change in changes.restart} == {
        *("sip.listen", "sip.tls.certificate", "sip.tls.private_key")
    }


@pytest.mark.parametrize("first", [True, False])
def test_scripts_are_turned_on_and_off_at_the_start_alone(
    tmp_path: Path,
    first: bool,  # noqa: FBT001 - drawn
) -> None:
    (tmp_path / "a.py").touch()
    without, with_script = read(tmp_path, ""), read(tmp_path, "[routing]\nscript = 'a.py'\n")
    old, new = (with_script, without) if first else (without, with_script)
    changes = compare(old, new)
    assert [change.name for change in changes.restart] == ["routing.script"]
    assert changes.config.routing == old.routing


# -- reloading -------------------------------------------------------------------------------------


def test_what_changed_is_applied_and_logged_by_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    daemon = Daemon()
    text = "[ims_dialog]\ndefault_timeout = 60\nhash_size = 64\nsend_bye = false\n"
    reloader = daemon.start(read(tmp_path, text))
    write(tmp_path, "[ims_dialog]\ndefault_timeout = 61\nhash_size = 128\n")
    assert reloader.reload()
    (applied,) = daemon.applied
    assert daemon.prepared == [applied] == [reloader.config]
    assert (applied.dialog.default_timeout, applied.dialog.send_bye) == (61, True)
    assert applied.dialog.hash_size == 64
    assert messages(caplog, logging.INFO) == [
        "changed ims_dialog.default_timeout: 60 -> 61",
        "changed ims_dialog.send_bye: false -> true",
        f"{tmp_path}/dlgmgmt.toml: reloaded, parameters changed: 2",
    ]
    waiting = "not changed before a restart: ims_dialog.hash_size: 64 -> 128"
    assert messages(caplog, logging.WARNING) == [waiting]
    # It goes on to wait, and the rest has been done.
    caplog.clear()
    assert reloader.reload()
    assert messages(caplog, logging.WARNING) == [waiting]
    assert messages(caplog, logging.INFO) == [
        f"{tmp_path}/dlgmgmt.toml: reloaded, parameters changed: 0"
    ]


def test_a_bad_file_changes_nothing_and_all_of_it_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    daemon = Daemon()
    before = read(tmp_path, "[ims_dialog]\ndefault_timeout = 60\n")
    reloader = daemon.start(before)
    write(tmp_path, "[ims_dialog]\ndefault_timeout = 61\nka_timer = -1\nhashsize = 3\n")
    assert not reloader.reload()
    assert reloader.config is before
    assert (daemon.applied, daemon.prepared) == ([], [])
    errors = messages(caplog, logging.ERROR)
    assert len(errors) == 3
    assert errors[0].startswith(f"{tmp_path}/dlgmgmt.toml:3: ims_dialog.ka_timer = -1 is refused")
    assert errors[1].startswith(f"{tmp_path}/dlgmgmt.toml:4: unknown parameter ims_dialog.hashsize")
    assert errors[2] == f"{tmp_path}/dlgmgmt.toml: not reloaded, nothing has changed"
    (tmp_path / "dlgmgmt.toml").unlink()
    assert not reloader.reload()
    write(tmp_path, "[ims_dialog]\ndefault_timeout = 62\n")
    assert reloader.reload()
    assert [config.dialog.default_timeout for config in daemon.applied] == [62]


def test_a_bad_script_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    daemon = Daemon(script_fault="syntax error: invalid syntax")
    reloader = daemon.start(read(tmp_path, ""))
    write(tmp_path, "[ims_dialog]\ndefault_timeout = 61\n")
    assert not reloader.reload()
    assert daemon.applied == []
    assert messages(caplog, logging.ERROR)[0] == "script.py:3: syntax error: invalid syntax"
    assert reloader.config.dialog.default_timeout == 43200


def test_the_command_line_stays_in_force(tmp_path: Path) -> None:
    daemon = Daemon()
    reloader = daemon.start(read(tmp_path, "", "default_timeout=9", "ka_timer=1"))
    write(tmp_path, "[ims_dialog]\ndefault_timeout = 61\nend_timeout = 5\n")
    assert reloader.reload()
    assert reloader.reload()
    dialog = daemon.applied[1].dialog
    assert (dialog.default_timeout, dialog.ka_timer, dialog.end_timeout) == (9, 1, 5)


def test_requests_during_a_reload_are_answered_by_one_more(tmp_path: Path) -> None:
    entered, go_on, done = threading.Event(), threading.Event(), threading.Event()
    applied: list[int] = []

    def prepare(config: Config) -> None:
        del config
        entered.set()
        assert go_on.wait(10)

    def apply(config: Config) -> None:
        applied.append(config.dialog.default_timeout)
        if config.dialog.default_timeout == 62:
            done.set()

    reloader = Reloader(read(tmp_path, ""), {}, prepare=prepare, apply=apply)
    write(tmp_path, "[ims_dialog]\ndefault_timeout = 61\n")
    reloader.request()
    assert entered.wait(10)
    write(tmp_path, "[ims_dialog]\ndefault_timeout = 62\n")
    reloader.request()
    reloader.request()
    go_on.set()
    assert done.wait(10)
    assert applied == [61, 62]


def test_a_fault_in_one_reload_leaves_the_next_possible(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    done = threading.Event()
    calls: list[int] = []

    def apply(config: Config) -> None:
        calls.append(config.dialog.default_timeout)
        if len(calls) == 1:
            reloader.request()
            raise OSError("no")
        done.set()

    reloader = Reloader(read(tmp_path, ""), {}, prepare=lambda _: None, apply=apply)
    write(tmp_path, "[ims_dialog]\ndefault_timeout = 61\n")
    reloader.request()
    assert done.wait(10)
    assert calls == [61, 61]
    assert "reload failed" in messages(caplog, logging.ERROR)


def test_nothing_is_applied_to_a_daemon_that_ends(tmp_path: Path) -> None:
    daemon = Daemon()
    reloader = daemon.start(read(tmp_path, ""))
    write(tmp_path, "[ims_dialog]\ndefault_timeout = 61\n")
    reloader.stop()
    assert not reloader.reload()
    assert daemon.applied == []
    # The script is not loaded either: its callbacks would take the place of the old one's.
    assert daemon.prepared == []


def test_a_script_that_interrupts_its_loading_leaves_the_next_reload_possible(
    tmp_path: Path,
) -> None:
    done = threading.Event()
    calls: list[int] = []

    def prepare(config: Config) -> None:
        calls.append(config.dialog.default_timeout)
        if len(calls) == 1:
            reloader.request()
            raise KeyboardInterrupt
        done.set()

    reloader = Reloader(read(tmp_path, ""), {}, prepare=prepare, apply=lambda _: None)
    write(tmp_path, "[ims_dialog]\ndefault_timeout = 61\n")
    reloader.request()
    assert done.wait(2)
    assert calls == [61, 61]
