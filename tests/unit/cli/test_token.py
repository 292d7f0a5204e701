"""dlgmgmt token new, and the token that dlgctl shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlgmgmt.cli import dlgctl
from dlgmgmt.cli.main import main
from dlgmgmt.interfaces.tokens import Credentials, parse, read_file
from tests.unit.cli.conftest import RpcStub

NEW = ["token", "new", "alice", "--role", "operator"]


def known(path: Path) -> Credentials:
    found, warning = read_file(str(path))
    assert warning == ""
    return found


def test_a_line_is_appended_and_the_token_shown_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tokens"
    assert main([*NEW, "--file", str(path)]) == 0
    first = capsys.readouterr()
    assert main(["token", "new", "bob", "--role", "viewer", "--file", str(path)]) == 0
    second = capsys.readouterr()
    assert first.err == second.err == ""
    assert first.out.strip() not in path.read_text()
    found = known(path)
    assert found.by_token(first.out.strip()) == ("alice", "operator")
    assert found.by_token(second.out.strip()) == ("bob", "viewer")
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_stands_there_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tokens"
    path.write_text("# no end of line")
    path.chmod(0o640)
    assert main([*NEW, "--file", str(path)]) == 0
    assert path.read_text().startswith("# no end of line\nalice operator sha256:")
    assert path.stat().st_mode & 0o777 == 0o640


def test_the_configuration_names_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "dlgmgmt.toml"
    # As before the first token: the daemon would not start with it yet.
    config.write_text('[http]\nlisten = "0.0.0.0:8080"\n[access]\ntokens_file = "tokens"\n')
    assert main([*NEW, "--config", str(config)]) == 0
    token = capsys.readouterr().out.strip()
    assert known(tmp_path / "tokens").by_token(token) == ("alice", "operator")
    assert main(["check", "--config", str(config)]) == 0


def test_for_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(NEW) == 0
    out, err = capsys.readouterr()
    assert parse(err).by_token(out.strip()) == ("alice", "operator")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "cannot read"),
        ("[access\n", "dlgmgmt.toml: "),
        ("[http]\n", "names no access.tokens_file"),
        ("access = 1\n", "names no access.tokens_file"),
        ("[access]\ntokens_file = 1\n", "names no access.tokens_file"),
    ],
)
def test_a_configuration_that_names_none(
    text: str | None, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "dlgmgmt.toml"
    if text is not None:
        config.write_text(text)
    assert main([*NEW, "--config", str(config)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert why in err
    assert not (tmp_path / "tokens").exists()


def test_bad_names_and_files_give_no_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["token", "new", "a b\x1b", "--role", "viewer"]) == 2
    assert main([*NEW, "--file", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "a name is 1 to 64" in err
    assert "Is a directory" in err


# -- dlgctl ----------------------------------------------------------------------------------------


def test_dlgctl_shows_a_token(rpc: RpcStub, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dlgctl.main(["stats", "--http", rpc.url]) == 0
    monkeypatch.setenv("DLGCTL_TOKEN", "dlgm_env")
    assert dlgctl.main(["stats", "--http", rpc.url]) == 0
    assert dlgctl.main(["--token", "dlgm_option", "stats", "--http", rpc.url]) == 0
    assert dlgctl.main(["stats", "--http", rpc.url, "--token", ""]) == 0
    assert rpc.shown == [None, "Bearer dlgm_env", "Bearer dlgm_option", None]


@pytest.mark.parametrize(
    "options",
    [
        ["--token", "a\r\nX: y"],
        ["--token", "é"],
        ["--http", "https://127.0.0.1:1/", "--cacert", "/nonexistent"],
        ["--http", "https://127.0.0.1:1/", "--cert", "/nonexistent"],
        ["--http", "ftp://127.0.0.1/"],
    ],
    ids=str,
)
def test_what_dlgctl_cannot_show(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        dlgctl.main(["stats", "--http", "http://127.0.0.1:1/", *options])
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
