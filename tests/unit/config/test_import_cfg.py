"""dlgmgmt import-cfg: from a kamailio.cfg to a configuration that is good."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlgmgmt.cli.main import main
from dlgmgmt.config import load
from dlgmgmt.config.kamailio_import import convert
from dlgmgmt.dialog.settings import DialogSettings

SAMPLES = Path(__file__).parents[2] / "data" / "kamailio"


def run(
    capsys: pytest.CaptureFixture[str], source: Path, *options: str
) -> tuple[int, str, list[str]]:
    code = main(["import-cfg", str(source), *options])
    captured = capsys.readouterr()
    prefix = f"dlgmgmt: {source}:"
    return code, captured.out, [line.removeprefix(prefix) for line in captured.err.splitlines()]


def test_a_pbx(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "dlgmgmt.toml"
    code, shown, said = run(capsys, SAMPLES / "pbx.cfg", "-o", str(out))
    assert (code, shown) == (0, "")
    assert said == [
        (
            "45: dialog.table_name = 'dialog' is ignored: "
            "tables and columns have the names that ims_dialog gives them"
        ),
        (
            "46: dialog.call_id_column = 'callid' is ignored: "
            "tables and columns have the names that ims_dialog gives them"
        ),
        "47: dialog.track_cseq_updates = 1 is ignored: CSeq numbers are always tracked",
        "48: dialog.enable_dmq = 0 is ignored: dialogs are not shared with other servers",
    ]
    assert main(["check", "--config", str(out)]) == 0
    assert load(out, {}).dialog == DialogSettings(
        hash_size=4096,
        dlg_flag=4,
        default_timeout=7200,
        timeout_avp="$avp(i:10)",
        dlg_extra_hdrs='Hint: credit expired\r\nX-By: "pbx"\r\n',
        profiles_with_value=("caller", "my_profile"),
        profiles_no_value=("inbound", "outbound"),
        db_url="mysql://kamailio:secret@db1.example.com/kamailio",
        ka_timer=10,
        ka_interval=60,
        send_bye=False,
    )
    assert stat.S_IMODE(out.stat().st_mode) == 0o600, "db_url holds a password"
    assert [item.name for item in tmp_path.iterdir()] == ["dlgmgmt.toml"]


def test_every_parameter_of_the_manual(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, said = run(capsys, SAMPLES / "ims.cfg")
    assert (code, said) == (0, [])
    assert list(tomllib.loads(text)) == ["ims_dialog"]
    assert len(tomllib.loads(text)["ims_dialog"]) == 17
    out = tmp_path / "dlgmgmt.toml"
    out.write_text(text)
    dialog = load(out, {}).dialog
    assert dialog.bridge_controller == "sip:controller@kamailio.org"
    assert dialog.dlg_extra_hdrs == "Hint: credit expired\r\n"
    assert dialog.db_fetch_rows == 500
    assert not dialog.initial_cbs_inscript


def test_wrong_lines_are_named_and_the_others_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "dlgmgmt.toml"
    code, _, said = run(capsys, SAMPLES / "broken.cfg", "-o", str(out))
    assert code == 2
    starts = [
        "2: warning: include_file is not followed",
        "3: dialog.hash_size = 'large' is refused; allowed: an integer from 1 to 16777216",
        "4: warning: dialog.db_url is not given: here it is a file of the daemon's own, in Kam",
        "5: unknown parameter dialog.dlg_flagg = 4 (did you mean dlg_flag?); allowed: enable",
        "6: dialog.dlg_flag is refused: its value SOME_FLAG is no #!define of this file; allowed",
        "7: dialog.rr_param is refused: , is missing; allowed: ",
        "8: dialog.default_timeout is refused: modparamx has variables; allowed: ",
        "10: warning: dialog.ka_timer is taken, though its line is within #!ifdef WITH_KEEP",
        "12: warning: dialog.ka_timer is taken, though its line is within #!ifdef WITH_KEEP",
        "12: warning: dialog.ka_timer is on line 10 too, this one holds",
        "14: dialog.db_url = 'secret:***@host' is refused: a database URL is sqlite:///path, ",
        "16: dialog.profiles_no_value = 'trunk' is refused: trunk is in profiles_with_value too",
        "17: dialog.timer_procs = 1 is ignored: timeouts need no process",
        "21: a string that begins here, or one before it, is not closed",
    ]
    assert len(said) == len(starts)
    for line, start in zip(said, starts, strict=True):
        assert line.startswith(start)
    assert main(["check", "--config", str(out)]) == 0
    assert load(out, {}).dialog == DialogSettings(
        ka_timer=0,
        db_mode=1,
        profiles_with_value=("caller", "trunk"),
        dlg_extra_hdrs="X-Single: a\r\n",
        early_timeout=100,
    )


def test_a_database_of_the_dialog_module_is_taken_over_by_a_command() -> None:
    lines = ('modparam("{}", "db_url", "mysql://a:b@c/d")', 'modparam("{}", "db_mode", {})')
    text = "\n".join(lines)
    imported = convert("k.cfg", text.format("dialog", "dialog", 1))
    assert 'db_url = "mysql://a:b@c/d"\ndb_mode = 1\n' in imported.toml
    assert [str(note) for note in imported.notes] == [
        (
            "k.cfg:1: warning: the table of the dialog module is not read at the start: "
            "dlgmgmt db import takes its calls over"
        )
    ]
    for module, mode in (("ims_dialog", 1), ("dialog", 0)):
        assert convert("k.cfg", text.format(module, module, mode)).notes == []


@pytest.mark.parametrize("column", ["hash_id_column", "table_name", "vars_table_name"])
def test_names_of_a_database_are_ignored(column: str) -> None:
    imported = convert("k.cfg", f'modparam("ims_dialog", "{column}", "x")')
    assert imported.wrong == []
    assert [str(note) for note in imported.notes] == [
        (
            f"k.cfg:1: ims_dialog.{column} = 'x' is ignored: "
            "tables and columns have the names that ims_dialog gives them"
        )
    ]


@pytest.mark.parametrize(
    ("name", "written", "toml"),
    [
        ("hash_size", '"1024"', "hash_size = 1024"),
        ("rr_param", "7", 'rr_param = "7"'),
        ("detect_spirals", '"0"', "detect_spirals = false"),
        ("profiles_no_value", "1", 'profiles_no_value = ["1"]'),
        ("dlg_extra_hdrs", r'"X: a\\r\r\n"', r'dlg_extra_hdrs = "X: a\\r\r\n"'),
        ("dlg_extra_hdrs", '"X: \u2028\u00fc\\r\\n"', r'dlg_extra_hdrs = "X: \U00002028ü\r\n"'),
    ],
)
def test_types_give_way_as_in_kamailio(name: str, written: str, toml: str) -> None:
    imported = convert("k.cfg", f'modparam("dialog", "{name}", {written})')
    assert imported.wrong == []
    assert imported.toml == f"[ims_dialog]\n{toml}\n"


@given(st.text().filter(lambda text: not set(text) & set("\"\\\r\n'")))
def test_what_is_written_is_read_again(text: str) -> None:
    imported = convert("k.cfg", f'modparam("dialog", "dlg_extra_hdrs", "X-A:{text}")')
    if not imported.wrong:
        found = tomllib.loads(imported.toml)["ims_dialog"]
        assert found == {"dlg_extra_hdrs": f"X-A:{text}\r\n"}


def test_an_output_is_not_overwritten_without_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "k.cfg", tmp_path / "out.toml"
    source.write_text('modparam("dialog", "hash_size", 64)\n')
    out.write_text("mine")
    assert main(["import-cfg", str(source), "-o", str(out)]) == 1
    assert capsys.readouterr().err == f"dlgmgmt: {out} exists; --force overwrites it\n"
    assert out.read_text() == "mine"
    assert main(["import-cfg", str(source), "-o", str(out), "--force"]) == 0
    assert out.read_text() == "[ims_dialog]\nhash_size = 64\n"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["k.cfg", "out.toml"]


def test_files_that_cannot_be_read_or_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import-cfg", "/no/such.cfg"]) == 1
    assert "cannot read /no/such.cfg: No such file or directory" in capsys.readouterr().err
    source = tmp_path / "k.cfg"
    source.write_text("#" * 5_000_000)
    assert main(["import-cfg", str(source)]) == 1
    assert "is larger than" in capsys.readouterr().err
    source.write_text("")
    assert main(["import-cfg", str(source), "-o", str(tmp_path / "none" / "x")]) == 1
    assert "cannot write" in capsys.readouterr().err


def test_a_file_without_any(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "k.cfg"
    source.write_bytes(b'# \xff\r\nmodparam("tm", "x", "\xff")\r\n')
    assert run(capsys, source) == (0, "[ims_dialog]\n", [])


def test_values_that_are_not_utf8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "k.cfg"
    source.write_bytes(b'modparam("dialog", "dlg_extra_hdrs", "X: \xe9\\r\\n")\n')
    code, text, said = run(capsys, source)
    assert (code, text) == (2, "[ims_dialog]\n")
    assert said[0].startswith(
        r"1: dialog.dlg_extra_hdrs = 'X: \ufffd\r\n' is refused: it is not UTF-8 text; allowed: "
    )
