"""dlgmgmt db: what is in a SQLite database, checked, written out, its tables upgraded."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dlgmgmt.cli.main import main
from dlgmgmt.storage import jsonl
from dlgmgmt.storage.database import Database
from tests.unit.cli.shelf import NOW, Shelf, dialog, header, leg


@pytest.fixture
def shelf(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shelf:
    return Shelf(tmp_path, capsys)


# -- upgrade ---------------------------------------------------------------------------------


def test_upgrade_makes_the_tables_and_says_so(shelf: Shelf) -> None:
    code, out, said = shelf.db("upgrade")
    assert (code, said) == (0, [])
    assert out.endswith(": tables made in version 0001\n")
    assert stat.S_IMODE(shelf.path.stat().st_mode) == 0o600
    code, out, said = shelf.db("upgrade")
    assert (code, said) == (0, [])
    assert out.endswith(": the tables are of version 0001 already\n")


def test_tables_of_a_newer_version(shelf: Shelf) -> None:
    shelf.db("upgrade")
    shelf.sql("UPDATE dlgmgmt_schema SET version_num = '9999'")
    for command in ("check", "dump", "upgrade"):
        code, out, said = shelf.db(command)
        assert (code, out, len(said)) == (1, "", 1)
        assert "a newer dlgmgmt has been here" in said[0]


# -- check -----------------------------------------------------------------------------------


def test_check_of_a_good_database(shelf: Shelf) -> None:
    shelf.put(dialog(1), dialog(2))
    shelf.put(dialog(3), owner="other")
    code, out, said = shelf.db("check")
    assert (code, said) == (0, [])
    assert out.splitlines()[1:] == [
        "dialogs of owner dlgmgmt: 2 good, 0 early, 0 faults",
        "dialogs of owner other: 1 good, 0 early, 0 faults",
    ]
    code, out, _ = shelf.db("check", "--owner", "other")
    assert (code, len(out.splitlines())) == (0, 2)


def test_check_names_every_fault_in_a_line_of_its_own(shelf: Shelf) -> None:
    shelf.put(*(dialog(number) for number in range(1, 151)), dialog(200))
    shelf.sql(
        "UPDATE dialog_in SET state = 9 WHERE hash_id <= 148",
        "UPDATE dialog_in SET callid = NULL WHERE hash_id = 149",
        "DELETE FROM dialog_out WHERE hash_id = 150",
    )
    code, out, said = shelf.db("check")
    assert code == 3
    assert out.splitlines()[1:] == ["dialogs of owner dlgmgmt: 1 good, 0 early, 150 faults"]
    assert len(said) == 150
    assert said[0].startswith("dialog_in 1: ")
    assert "state" in said[0]


def test_check_finds_the_same_call_twice_and_rows_of_none(shelf: Shelf) -> None:
    shelf.put(
        dialog(1), dialog(2, callid="call-1@example.com", from_tag="from-1", legs=(leg("to-1"),))
    )
    shelf.sql("INSERT INTO dialog_vars (owner, hash_entry, hash_id) VALUES ('dlgmgmt', 7, 7)")
    code, out, said = shelf.db("check")
    assert (code, len(said)) == (3, 1)
    assert "is the same dialog" in said[0]
    assert out.splitlines()[1] == (
        "dialogs of owner dlgmgmt: 1 good, 0 early, 1 faults, 0 legs and 1 variables of no dialog"
    )


def test_check_changes_nothing_and_makes_nothing(shelf: Shelf) -> None:
    code, out, said = shelf.db("check")
    assert (code, out) == (1, "")
    assert said == [f"sqlite+pysqlite:///{shelf.path}: there is no such file"]
    assert list(shelf.folder.iterdir()) == []
    shelf.sql("CREATE TABLE something (id INTEGER)")
    code, out, said = shelf.db("check")
    assert (code, out) == (1, "")
    assert said[0].endswith("there are no tables, version 0001 is needed: run dlgmgmt db upgrade")


def test_what_strangers_wrote_steers_no_terminal(shelf: Shelf) -> None:
    shelf.put(dialog(1), owner="a\x1b[2Jb")
    shelf.put(dialog(2, callid="\x1b[31mred\u202e", legs=(leg("t\x07"),)))
    shelf.sql("UPDATE dialog_in SET caller_original_cseq = '\x1b[0m' WHERE owner <> 'dlgmgmt'")
    for command in (["check"], ["dump", "--owner", "dlgmgmt"], ["dump", "--owner", "a b"]):
        _, out, said = shelf.db(*command)
        for line in (*out.splitlines(), *said):
            assert line.isprintable(), line


# -- dump ---


def test_what_is_dumped_is_restored(shelf: Shelf) -> None:
    records = [
        dialog(1),
        dialog(2, state=7, legs=(leg("a"), leg("b", acked=False, confirmed_at=NOW - 1.5))),
        dialog(3, callid="\x00\ud800", profiles=(), variables=(), history=()),
        dialog(4, timeout=NOW - 5),
    ]
    shelf.put(*records)
    out = shelf.folder / "d.jsonl"
    code, shown, said = shelf.db("dump", "-o", out)
    assert (code, shown) == (0, "")
    assert said == [f"4 dialogs of owner dlgmgmt in {out}"]
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert shelf.db("dump")[1].splitlines()[1:] == out.read_text().splitlines()[1:]

    other = Shelf(shelf.folder / "new", shelf.capsys)
    other.folder.mkdir()
    code, shown, said = other.db("restore", out)
    assert (code, said) == (0, [])
    assert shown.endswith(": 4 dialogs added, 0 replaced, 0 ended, 0 moved to another place\n")
    assert other.there() == records
    assert other.db("dump")[1].splitlines()[1:] == out.read_text().splitlines()[1:]


def test_a_dump_overwrites_nothing_unasked(shelf: Shelf) -> None:
    shelf.put(dialog(1))
    out = shelf.file("mine", name="d.jsonl")
    code, _, said = shelf.db("dump", "-o", out)
    assert (code, said) == (1, [f"{out} exists; --force overwrites it"])
    assert out.read_text() == "mine"
    assert shelf.db("dump", "-o", out, "--force")[0] == 0
    assert out.read_text() != "mine"
    code, _, said = shelf.db("dump", "-o", shelf.folder / "no" / "where")
    assert (code, len(said)) == (1, 1)
    assert sorted(path.name for path in shelf.folder.iterdir()) == [
        "d.jsonl",
        "dialogs.sqlite",
        "dialogs.sqlite.dlgmgmt.lock",
    ]


def test_a_dump_leaves_out_what_cannot_be_read(shelf: Shelf) -> None:
    shelf.put(dialog(1), dialog(2))
    shelf.sql("UPDATE dialog_in SET state = 9 WHERE hash_id = 1")
    code, out, said = shelf.db("dump")
    assert (code, len(said)) == (3, 1)
    assert said[0].startswith("dialog_in 1: ")
    assert [json.loads(line)["h_id"] for line in out.splitlines()[1:]] == [2]


def test_whose_dialogs_are_dumped(shelf: Shelf) -> None:
    shelf.put(dialog(1), owner="sip1")
    assert json.loads(shelf.db("dump")[1].splitlines()[0])["owner"] == "sip1"
    shelf.put(dialog(1), owner="sip2")
    code, out, said = shelf.db("dump")
    assert (code, out, said) == (2, "", ["there are dialogs of sip1, sip2: say --owner"])
    code, out, _ = shelf.db("dump", "--owner", "sip2")
    assert (code, len(out.splitlines())) == (0, 2)


def test_a_dump_for_who_reads_only_its_beginning(shelf: Shelf) -> None:
    shelf.put(*(dialog(number) for number in range(1, 500)))
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m dlgmgmt db dump --url {shelf.url} | head -n 1"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert '"whole":true' in done.stdout
    assert done.stderr == ""


# -- command line ----------------------------------------------------------------------------


def test_the_configuration_names_database_and_owner(
    shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf.put(dialog(1), owner="sip1")
    config = shelf.folder / "dlgmgmt.toml"
    config.write_text(f'[ims_dialog]\ndb_url = "{shelf.url}"\n[database]\nowner = "sip1"\n')
    assert main(["db", "dump", "--config", str(config)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert json.loads(first)["owner"] == "sip1"
    assert json.loads(second)["callid"] == "call-1@example.com"
    file = shelf.file(header("sip2"), jsonl.dialog_line(dialog(2)))
    assert main(["db", "restore", str(file), "--config", str(config)]) == 2
    assert "say --owner" in capsys.readouterr().err
    assert main(["db", "restore", str(file), "--config", str(config), "--owner", "sip1"]) == 0
    assert len(shelf.there("sip1")) == 2


def test_a_configuration_that_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "dlgmgmt.toml"
    config.write_text("[ims_dialog]\ndb_mode = 7\n")
    assert main(["db", "check", "--config", str(config)]) == 2
    assert "db_mode" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("oracle://u:sesame@h/d", 2, "--url: no database that can be used: 'oracle'"),
        ("sqlite://relative", 2, "--url: the path of an SQLite database is absolute"),
        (
            "postgres://u:sesame@127.0.0.1:1/calls",
            1,
            "postgresql+psycopg://u:***@127.0.0.1:1/calls",
        ),
        ("mysql://u:sesame@127.0.0.1:1/calls", 1, "mysql+pymysql://u:***@127.0.0.1:1/calls"),
    ],
)
def test_a_database_that_cannot_be_reached(shelf: Shelf, url: str, code: int, said: str) -> None:
    for command in (["check"], ["upgrade"], ["dump"], ["restore", shelf.file(header())]):
        result, out, lines = shelf.db(*command, url=url)
        assert (result, out, len(lines)) == (code, "", 1)
        assert said in lines[0]
        assert "sesame" not in lines[0]


def test_a_file_that_is_no_database(shelf: Shelf) -> None:
    shelf.path.write_text("x" * 5000)
    code, out, said = shelf.db("check")
    assert (code, out, len(said)) == (1, "", 1)
    assert "not a database" in said[0]


def test_an_owner_that_cannot_be(shelf: Shelf) -> None:
    code, _, said = shelf.db("check", "--owner", "x" * 65)
    assert (code, said) == (2, ["--owner has 1 to 64 printable characters"])


def test_a_url_that_no_list_of_processes_shows(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.put(dialog(1))
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{shelf.url}\n"))
    code, out, _ = shelf.db("check", url="-")
    assert (code, "1 good" in out) == (0, True)


def test_an_interrupt_is_one_line(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object, *__: object) -> None:
        raise KeyboardInterrupt

    shelf.put(dialog(1))
    monkeypatch.setattr(Database, "owners", interrupted)
    code, _, said = shelf.db("check")
    assert (code, said) == (130, ["interrupted; nothing was changed"])
