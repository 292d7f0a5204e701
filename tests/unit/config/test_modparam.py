"""--modparam: parameters of [ims_dialog] on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlgmgmt.cli.main import main
from dlgmgmt.config import load
from tests.unit.config.harness import problems, read


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("hash_size=1024", 1024),
        ("ims_dialog:hash_size=1024", 1024),
        ("dialog:default_timeout=60", 60),
        ("dialog_ng:rr_param=7", "7"),
        ("dlg_flag=4", 4),
        ("send_bye=0", False),
        ("send_bye=false", False),
        ("timeout_noreset=1", True),
        ("timeout_avp=$avp(i:10)", "$avp(i:10)"),
        (r"dlg_extra_hdrs=Hint: a=b\r\nX: \\r\r\n", "Hint: a=b\r\nX: \\r\r\n"),
        ("dlg_extra_hdrs=Hint: x\r\n", "Hint: x\r\n"),
        ("dlg_extra_hdrs=", ""),
        ("profiles_with_value=caller ; my_profile", ("caller", "my_profile")),
        ("ka_sides=both", "both"),
        ("db_mode=1", 1),
        ("db_url=mysql://u:p%40@h:3307/d", "mysql://u:p%40@h:3307/d"),
        ("bridge_controller=sip:a@b;x=1", "sip:a@b;x=1"),
    ],
)
def test_a_value_is_typed_by_its_parameter(argument: str, value: object) -> None:
    name = argument.partition("=")[0].rpartition(":")[2]
    config = load(None, {}, [argument])
    assert getattr(config.dialog, name) == value
    assert config.modparams == (argument,)


def test_it_overrides_the_file_and_the_last_one_holds(tmp_path: Path) -> None:
    text = "[ims_dialog]\nhash_size = 1000\nka_timer = 7\n"
    config = read(tmp_path, text, "hash_size=32", "hash_size=64")
    assert (config.dialog.hash_size, config.dialog.ka_timer) == (64, 7)
    assert config.warnings == ()


def test_warnings_name_it(tmp_path: Path) -> None:
    config = read(tmp_path, "[ims_dialog]\nhash_size = 8\n", "hash_size=100", "dlg_match_mode=1")
    assert [warning.partition(" is ")[0] for warning in config.warnings] == [
        "--modparam: ims_dialog.dlg_match_mode",
        "--modparam: ims_dialog.hash_size = 100",
    ]
    assert config.dialog.hash_size == 64


def test_what_is_wrong_is_named_with_what_is_allowed(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        '[ims_dialog]\nka_timer = "x"\nprofiles_no_value = "a"\n',
        "hash_size=big",
        "dlg_flag=32",
        "send_bye=maybe",
        "db_mode=4",
        "hashsize=3",
        "profiles_no_value=b;b",
    )
    starts = [
        "dlgmgmt.toml:2: ims_dialog.ka_timer = 'x' is refused; allowed: an integer from 0",
        "--modparam: ims_dialog.hash_size = 'big' is refused; allowed: an integer from 1",
        "--modparam: ims_dialog.dlg_flag = 32 is refused; allowed: an integer from 0 to 31",
        "--modparam: ims_dialog.send_bye = 'maybe' is refused; allowed: true or false",
        "--modparam: ims_dialog.db_mode = 4 is refused; allowed: an integer from 0 to 3",
        "--modparam: unknown parameter ims_dialog.hashsize = '3' (did you mean hash_size?); ",
        "--modparam: ims_dialog.profiles_no_value = 'b;b' is refused: b stands in it twice",
    ]
    assert len(found) == len(starts)
    for line, start in zip(found, starts, strict=True):
        assert line.startswith(start)


def test_the_file_and_the_command_line_must_fit(tmp_path: Path) -> None:
    (problem,) = problems(
        tmp_path, '[ims_dialog]\nprofiles_with_value = "a"\n', "profiles_no_value=a;b"
    )
    assert problem.startswith("--modparam: ims_dialog.profiles_no_value = 'a; b' is refused: a is")


@pytest.mark.parametrize("argument", ["", "hash_size", "=3", "tm:fr_timer=3", ":hash_size=3"])
def test_what_is_no_parameter(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--modparam", argument]) == 2
    assert capsys.readouterr().err == (
        f"dlgmgmt: --modparam: {argument!r} is refused; allowed: NAME=VALUE, NAME a parameter of "
        "[ims_dialog], also as ims_dialog:NAME or dialog:NAME or dialog_ng:NAME\n"
    )


@pytest.mark.parametrize("command", ["check", "serve", "run"])
def test_the_commands_take_it(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--modparam", "hash_size=64", "--modparam", "dlg_flag=99"]) == 2
    assert capsys.readouterr().err == (
        "dlgmgmt: --modparam: ims_dialog.dlg_flag = 99 is refused; "
        "allowed: an integer from 0 to 31\n"
    )


def test_check_tells_of_the_command_line_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--modparam", "hash_size=64"]) == 0
    assert capsys.readouterr().out == "embedded defaults: configuration is good\n"


def test_check_reads_the_routing_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, script = tmp_path / "x.toml", tmp_path / "mine.py"
    config.write_text('[routing]\nscript = "mine.py"\n')
    script.write_text("def request_route(msg, dlg):\n    msg.t_relay()\n")
    assert main(["check", "--config", str(config)]) == 0
    capsys.readouterr()
    script.write_text("def request_route(msg, dlg):\n    msg.t_relay(\n")
    assert main(["check", "--config", str(config)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"dlgmgmt: {script}:2: ")
    assert captured.out == ""
