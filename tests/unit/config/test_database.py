"""[database], db_url and its kin: defaults, good values, wrong ones; where the file lies."""

from __future__ import annotations

import dataclasses
import os
import stat
from pathlib import Path

import pytest

from dlgmgmt.cli.main import main
from dlgmgmt.config import RunDirectoryError, load, schema
from dlgmgmt.config.changes import FIXED, compare
from dlgmgmt.config.database import FIELDS
from dlgmgmt.storage.settings import StorageSettings
from tests.unit.config.harness import problems, read

WORD = 'allowed: "{}" or "{}"'
TIME = "allowed: seconds, a number from "

# name: default; a good TOML value and what it becomes; wrong ones; what is said to be allowed.
PARAMETERS: dict[str, tuple[object, str, object, list[str], str]] = {
    "db_commit_interval": (0.02, "0.1", 0.1, ['"1"', "0", "11"], TIME),
    "db_sync_confirm": (False, "1", True, ['"yes"', "2"], "allowed: true or false (or 1 or 0)"),
    "db_sync_timeout": (1.0, "2", 2.0, ["true", "0"], TIME),
    "owner": ("dlgmgmt", '"proxy-1"', "proxy-1", ["1", '""', '"a b"', f'"{"x" * 65}"'], "a token"),
    "on_expired": ("bye", '"purge"', "purge", ["1", '"keep"'], WORD.format("bye", "purge")),
    "expired_rate": (100, "7", 7, ["1.5", "0"], "allowed: an integer from 1 to 100000"),
    "while_loading": (
        "refuse",
        '"forward"',
        "forward",
        ["0", '"drop"'],
        WORD.format("refuse", "forward"),
    ),
    "connect_timeout": (30.0, "0", 0.0, ['"1"', "-1"], TIME),
    "stop_timeout": (30.0, "5", 5.0, ["[]", "0"], TIME),
    "retry_max": (5.0, "1", 1.0, ["false", "601"], TIME),
    "synchronous": ("full", '"normal"', "normal", ["2", '"off"'], WORD.format("full", "normal")),
    "upgrade": (True, "false", False, ['"no"', "3"], "allowed: true or false (or 1 or 0)"),
    "rescue_dir": (None, '"/srv/rescue"', Path("/srv/rescue"), ["1", '"here"', '"/a/../b"'], ""),
    "late_after": (5.0, "60", 60.0, ['"5"', "0"], TIME),
    "answer_timeout": (5.0, "0.5", 0.5, ['"5"', "0"], TIME),
}
WRONG = [(name, text) for name, row in PARAMETERS.items() for text in row[3]]


def value_of(folder: Path, name: str, text: str) -> object:
    config = read(folder, text)
    if name == "while_loading":
        return config.while_loading
    return getattr(config.storage, FIELDS.get(name, name))


def test_the_list_above_is_complete() -> None:
    assert [*PARAMETERS] == [*schema.DATABASE]
    fields = {field.name for field in dataclasses.fields(StorageSettings)}
    used = {FIELDS.get(name, name) for name in (*schema.DATABASE, *FIELDS)} - {"while_loading"}
    assert used == fields


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_value_and_the_default(tmp_path: Path, name: str) -> None:
    default, text, value, _, _ = PARAMETERS[name]
    if name != "rescue_dir":
        assert value_of(tmp_path, name, "") == default
    assert value_of(tmp_path, name, f"[database]\n{name} = {text}\n") == value


@pytest.mark.parametrize(("name", "text"), WRONG)
def test_a_wrong_value(tmp_path: Path, name: str, text: str) -> None:
    (problem,) = problems(tmp_path, f"\n[database]\n{name} = {text}\n")
    assert problem.startswith(f"dlgmgmt.toml:3: database.{name} = ")
    allowed = PARAMETERS[name][4]
    assert ("RFC 3261 token" if allowed == "a token" else allowed) in problem


def test_the_four_of_the_manual_are_used(tmp_path: Path) -> None:
    text = (
        '[ims_dialog]\ndb_url = "postgres://me:secret@db:5433/calls"\ndb_mode = 2\n'
        "db_update_period = 7\ndb_fetch_rows = 0\n"
    )
    storage = read(tmp_path, text).storage
    assert (storage.url, storage.mode) == ("postgres://me:secret@db:5433/calls", 2)
    assert (storage.update_period, storage.fetch_rows) == (7.0, 0)


def test_a_parameter_in_the_wrong_table_is_told_its_own(tmp_path: Path) -> None:
    text = "[ims_dialog]\ndb_sync_confirm = 1\n[database]\ndb_mode = 1\nlisten = 1\n"
    first, second, third = problems(tmp_path, text)
    assert "unknown parameter ims_dialog.db_sync_confirm = 1 (it is one of [database])" in first
    assert "unknown parameter database.db_mode = 1 (it is one of [ims_dialog])" in second
    assert "(it is" not in third, "several tables have one"


# -- where it lies ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uid", "env", "directory"),
    [
        (0, {"HOME": "/root"}, "/var/lib/dlgmgmt"),
        (0, {"STATE_DIRECTORY": "/srv/state:/srv/other"}, "/srv/state"),
        (1000, {"STATE_DIRECTORY": "/srv/state"}, "/srv/state"),
        (1000, {"XDG_STATE_HOME": "/home/me/state"}, "/home/me/state/dlgmgmt"),
        (1000, {"XDG_STATE_HOME": "rel", "HOME": "/home/me"}, "/home/me/.local/state/dlgmgmt"),
    ],
)
def test_the_state_directory(
    uid: int, env: dict[str, str], directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    storage = load(None, env).storage
    assert storage.url == f"sqlite:///{directory}/dialogs.sqlite"
    assert storage.rescue_dir == Path(directory)


def test_it_is_made_when_it_is_needed(tmp_path: Path) -> None:
    env = {"STATE_DIRECTORY": str(tmp_path / "a/b"), "XDG_RUNTIME_DIR": str(tmp_path)}
    load(None, env).prepare()
    assert not (tmp_path / "a").exists()
    load(None, env, ["db_mode=1"]).prepare()
    assert stat.S_IMODE((tmp_path / "a/b").stat().st_mode) == 0o700
    (tmp_path / "a/b").chmod(0o777)
    with pytest.raises(RunDirectoryError, match="can be written by other users"):
        load(None, env, ["db_mode=3"]).prepare()


def test_another_database_needs_none(tmp_path: Path) -> None:
    env = {"STATE_DIRECTORY": str(tmp_path / "a"), "XDG_RUNTIME_DIR": str(tmp_path)}
    (tmp_path / "x.toml").write_text(f'[database]\nrescue_dir = "{tmp_path}"\n')
    load(tmp_path / "x.toml", env, ["db_mode=1", f"db_url=sqlite://{tmp_path}/own"]).prepare()
    assert not (tmp_path / "a").exists()


def test_a_demo_keeps_its_calls_in_the_run_directory(tmp_path: Path) -> None:
    env = {"XDG_RUNTIME_DIR": str(tmp_path)}
    config = load(None, env, demo=True)
    assert config.storage.mode == 1
    assert config.storage.url == f"sqlite:///{config.run_dir}/demo.sqlite"
    assert config.storage.rescue_dir == config.run_dir
    told = load(None, env, ["db_mode=0", "db_url=mysql://a@b/c"], demo=True)
    assert (told.storage.mode, told.storage.url) == (0, "mysql://a@b/c")


@pytest.mark.parametrize("mode", [0, 1])
def test_a_file_in_a_directory_that_is_not_there(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "none" / "calls.sqlite"
    text = f'[ims_dialog]\ndb_mode = {mode}\ndb_url = "sqlite://{path}"\n'
    if not mode:
        assert read(tmp_path, text).storage.url == f"sqlite://{path}"
        return
    (problem,) = problems(tmp_path, text)
    assert problem.startswith("dlgmgmt.toml:3: ims_dialog.db_url = ")
    assert f"there is no directory '{tmp_path}/none'" in problem


# -- what does not fit together --------------------------------------------------------------------


def test_a_2xx_waits_for_longer_than_a_commit_takes(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "[database]\ndb_sync_timeout = 0.02\n")
    assert problem == (
        "dlgmgmt.toml:2: database.db_sync_timeout = 0.02 is refused; allowed: db_sync_timeout "
        "above db_commit_interval (here 0.02 and 0.02)"
    )
    (problem,) = problems(tmp_path, "[database]\ndb_commit_interval = 2\n")
    assert problem.startswith("dlgmgmt.toml:2: database.db_commit_interval = 2.0 is refused")


def test_a_2xx_is_not_held_until_its_call_is_over(tmp_path: Path) -> None:
    text = "[ims_dialog]\ndb_mode = {}\nnoack_timeout = {}\n[database]\ndb_sync_confirm = {}\n"
    (problem,) = problems(tmp_path, text.format(1, 10, 1) + "db_sync_timeout = 10\n")
    assert problem == (
        "dlgmgmt.toml:6: database.db_sync_timeout = 10.0 is refused; allowed: db_sync_timeout "
        "below noack_timeout, which ends calls without an ACK (here 10 and 10)"
    )
    (problem,) = problems(tmp_path, text.format(1, 1, 1))
    assert problem.startswith("dlgmgmt.toml:3: ims_dialog.noack_timeout = 1 is refused")
    (problem,) = problems(tmp_path, text.format(1, 60, 1) + "db_sync_timeout = 33\n")
    assert problem.startswith("dlgmgmt.toml:6: database.db_sync_timeout = 33.0 is refused")
    assert problem.endswith("64 * t1, for which a callee repeats its answer (here 33 and 32)")
    (problem,) = problems(tmp_path, text.format(1, 60, 1) + "[sip]\nt1 = 0.01\n")
    assert problem.startswith("dlgmgmt.toml:7: sip.t1 = 0.01 is refused")
    # Where nothing is held it does not matter.
    for mode, confirm in ((1, 0), (2, 1)):
        read(tmp_path, text.format(mode, 10, confirm) + "db_sync_timeout = 60\n")
    read(tmp_path, text.format(1, 33, 1) + "db_sync_timeout = 32\n")


def test_a_2xx_is_held_in_mode_1_alone(tmp_path: Path) -> None:
    text = "[ims_dialog]\ndb_mode = {}\n[database]\ndb_sync_confirm = 1\n"
    assert read(tmp_path, text.format(1)).warnings == ()
    for mode in (0, 2, 3):
        (warning,) = read(tmp_path, text.format(mode)).warnings
        assert warning == (
            f"{tmp_path}/dlgmgmt.toml:4: database.db_sync_confirm has no effect with "
            f"ims_dialog.db_mode = {mode}: only db_mode 1 writes at once"
        )


def test_check_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "dlgmgmt.toml"
    path.write_text('[ims_dialog]\ndb_mode = 1\ndb_url = "oracle://me:secret@db/calls"\n')
    assert main(["check", "--config", str(path)]) == 2
    said = capsys.readouterr().err
    assert f"{path}:3: ims_dialog.db_url = 'oracle://me:***@db/calls' is refused: " in said
    assert "secret" not in said
    path.write_text('[ims_dialog]\ndb_url = "oracle://db/calls?sslPassword=secret&x=1"\n')
    assert main(["check", "--config", str(path)]) == 2
    assert "'oracle://db/calls?sslPassword=***&x=1' is refused" in capsys.readouterr().err
    path.write_text('[ims_dialog]\ndb_mode = 1\ndb_url = "postgres://me:secret@db/calls"\n')
    assert main(["check", "--config", str(path)]) == 0


# -- SIGHUP ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PARAMETERS)
def test_what_waits_for_a_restart(tmp_path: Path, name: str) -> None:
    old, new = read(tmp_path, ""), read(tmp_path, f"[database]\n{name} = {PARAMETERS[name][1]}\n")
    changes = compare(old, new)
    fixed = name in FIXED["database"]
    assert [change.name for change in changes.restart] == [f"database.{name}"] * fixed
    assert [change.name for change in changes.applied] == [f"database.{name}"] * (not fixed)
    assert changes.config.storage == (old if fixed else new).storage
    assert changes.config.while_loading == old.while_loading


def test_another_database_waits_and_the_period_does_not(tmp_path: Path) -> None:
    text = '[ims_dialog]\ndb_url = "mysql://a:{}@c/d"\ndb_update_period = {}\ndb_mode = {}\n'
    old, new = read(tmp_path, text.format("x", 5, 1)), read(tmp_path, text.format("y", 6, 2))
    changes = compare(old, new)
    assert [str(change) for change in changes.applied] == ["ims_dialog.db_update_period: 5 -> 6"]
    assert [str(change) for change in changes.restart] == [
        "ims_dialog.db_url: 'mysql://a:***@c/d' -> 'mysql://a:***@c/d'",
        "ims_dialog.db_mode: 1 -> 2",
    ]
    storage = changes.config.storage
    assert (storage.url, storage.update_period, storage.mode) == ("mysql://a:x@c/d", 6.0, 1)
