"""dlgmgmt manual, as an operator uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from dlgmgmt.cli.main import main
from dlgmgmt.manual.book import ENTRIES, everything


def test_without_a_name_all_are_listed_by_chapter(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["manual"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Parameters (manual 5)"
    assert lines[1].split()[0] == "enable_stats"
    listed = [line.split("  ")[1] for line in lines if line.startswith("  ")]
    assert sorted(listed) == sorted(entry.name for entry in everything())
    titles = [line for line in lines if line and not line.startswith(" ")]
    assert "Pseudo-variables of the dialog (manual 10)" in titles
    assert titles[-1] == "Developer guide (manual part 2)"


def test_a_name_prints_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["manual", "hash_size"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("hash_size  (parameter, manual 5.2)\n")
    assert "  allowed:  an integer from 1 to 16777216\n  default:  4096\n" in text
    assert "\n    hash_size = 16384\n" in text


def test_a_function_says_where_it_may_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["manual", "unset_dlg_profile"]) == 0
    text = capsys.readouterr().out
    assert "\n  used in:  branch_route, onreply_route, failure_route\n" in text


def test_a_name_that_means_two_things_prints_both(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["manual", "dlg_bridge"]) == 0
    text = capsys.readouterr().out
    assert "dlg_bridge  (script function, manual 6.11)\n" in text
    assert "dlg_bridge  (MI command, manual 8.7)\n" in text


def test_json_of_a_name_and_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["manual", "--json", "$DLG_status"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["name"] == "$DLG_status"
    assert (found["chapter"], found["kind"]) == ("10.2", "pseudo-variable")
    assert found["available"] is True
    assert main(["manual", "--json"]) == 0
    everything_found = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in everything_found][: len(ENTRIES)] == [
        entry.name for entry in ENTRIES
    ]


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("dlg_lsit", "dlg_list"), ("hashsize", "hash_size"), ("$dlg_vra(x)", "$dlg_var(key)")],
)
def test_an_unknown_name_gets_close_ones(
    asked: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["manual", asked]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"dlgmgmt: the manual has no '{asked}'; did you mean ")
    assert meant in captured.err
    assert captured.err.count("\n") == 1


def test_an_unknown_name_like_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["manual", "\x1b[2J" + "q" * 500, "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(r"dlgmgmt: the manual has no '\x1b[2Jqqq")
    assert captured.err.endswith('...\'; "dlgmgmt manual" lists all names\n')


def test_a_reader_that_leaves() -> None:
    command = f"'{sys.executable}' -u -m dlgmgmt manual --json | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[\n", "")
