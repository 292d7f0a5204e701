"""[access]: who is known, and what may listen where."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trustme

from dlgmgmt.config import Config, ConfigError, load
from dlgmgmt.config.changes import compare
from dlgmgmt.interfaces.tokens import line_for
from tests.unit.config.harness import problems, read

TABLE = '[access]\ntokens_file = "tokens"\n'
LINE = line_for("alice", "operator", "secret")


def tokens(folder: Path, text: str = LINE, mode: int = 0o600) -> Path:
    path = folder / "tokens"
    path.write_text(text)
    path.chmod(mode)
    return path


def with_variable(folder: Path, text: str, variable: str) -> Config:
    path = folder / "dlgmgmt.toml"
    path.write_text(text)
    return load(path, {"DLGMGMT_TOKENS": variable})


def test_nobody_is_named_by_default(tmp_path: Path) -> None:
    config = read(tmp_path, "")
    assert config.credentials is None
    assert config.access.audit_log is None


def test_the_file_lies_beside_the_configuration(tmp_path: Path) -> None:
    tokens(tmp_path)
    config = read(tmp_path, TABLE)
    assert config.credentials is not None
    assert config.credentials.by_token("secret") == ("alice", "operator")
    assert config.warnings == ()


def test_the_environment_names_more(tmp_path: Path) -> None:
    tokens(tmp_path)
    config = with_variable(tmp_path, TABLE, line_for("bob", "viewer", "other"))
    assert config.credentials is not None
    assert config.credentials.by_token("secret") == ("alice", "operator")
    assert config.credentials.by_token("other") == ("bob", "viewer")
    alone = with_variable(tmp_path, "", "")
    assert alone.credentials is not None
    assert len(alone.credentials) == 0
    with pytest.raises(ConfigError, match="DLGMGMT_TOKENS:2: no such role"):
        with_variable(tmp_path, "", "\nbob root sha256:00")


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = tokens(tmp_path, mode=mode)
    assert problems(tmp_path, TABLE) == [
        f"dlgmgmt.toml:2: access.tokens_file: others than its owner can write {path}"
    ]


def test_a_file_that_others_can_read_is_warned_about(tmp_path: Path) -> None:
    path = tokens(tmp_path, mode=0o644)
    assert read(tmp_path, TABLE).warnings == (
        f"{tmp_path}/dlgmgmt.toml:2: access.tokens_file: others than its owner can read {path}",
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = tokens(tmp_path)
    os.chown(path, 12345, -1)
    assert "belongs to another user" in problems(tmp_path, TABLE)[0]


def test_a_file_that_is_not_there_and_lines_that_are_wrong(tmp_path: Path) -> None:
    assert "cannot read" in problems(tmp_path, TABLE)[0]
    tokens(tmp_path, f"# who\n\nalice root sha256:{'0' * 64}\nbob viewer mysecret\n")
    assert problems(tmp_path, TABLE) == [
        "tokens:3: no such role; allowed: viewer, operator, admin",
        "tokens:4: not sha256: and 64 hexadecimal digits, as dlgmgmt token new writes it",
    ]


FAR = [
    ("http", '"0.0.0.0:8080"', "0.0.0.0:8080"),
    ("http", '"[::]:8080"', "[::]:8080"),
    ("jsonrpc_sock", '["tcp:192.0.2.1:8091"]', "tcp:192.0.2.1:8091"),
    ("jsonrpc_sock", '["udp:0.0.0.0:8090"]', "udp:0.0.0.0:8090"),
]


@pytest.mark.parametrize(("table", "value", "shown"), FAR)
def test_what_is_not_on_loopback_needs_tokens(
    tmp_path: Path, table: str, value: str, shown: str
) -> None:
    text = f"[{table}]\nlisten = {value}\n"
    (fault,) = problems(tmp_path, text)
    assert fault == (
        f"dlgmgmt.toml:2: {table}.listen = '{shown}' is refused: whoever reaches it could end "
        "calls; allowed: a loopback address, or any with access.tokens_file"
    )
    tokens(tmp_path)
    (warning,) = read(tmp_path, text + TABLE).warnings
    assert f":2: {table}.listen is not a loopback address, and without TLS" in warning


def test_binrpc_over_the_network_has_no_place_for_a_token(tmp_path: Path) -> None:
    text = '[binrpc]\nlisten = ["tcp:127.0.0.1:2049", "unixs:/run/x/ctl"]\n'
    assert read(tmp_path, text).warnings == ()
    tokens(tmp_path)
    (fault,) = problems(tmp_path, text + TABLE)
    assert "binrpc.listen = 'tcp:127.0.0.1:2049' is refused: BINRPC has no place" in fault
    given = read(tmp_path, f'{text}{TABLE}loopback_role = "viewer"\n')
    assert given.access.loopback_role == "viewer"


def test_certificates(tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("dlgmgmt.example.com")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "server.pem")
    leaf.private_key_pem.write_to_path(tmp_path / "server.key")
    tokens(tmp_path)
    both = 'certificate = "server.pem"\nprivate_key = "server.key"\n'
    text = f'[http]\nlisten = "0.0.0.0:8443"\n{both}client_ca = "ca.pem"\n{TABLE}'
    config = read(tmp_path, text)
    assert config.warnings == ()
    assert config.http.client_ca == str(tmp_path / "ca.pem")
    assert problems(tmp_path, '[http]\ncertificate = "server.pem"\n') == [
        "dlgmgmt.toml:2: http.certificate: http.private_key is missing"
    ]
    assert problems(tmp_path, '[http]\nclient_ca = "ca.pem"\n') == [
        "dlgmgmt.toml:2: http.client_ca: http.certificate is missing"
    ]
    assert (
        "http.client_ca: no certificates in it"
        in (problems(tmp_path, f'[http]\n{both}client_ca = "server.key"\n')[0])
    )


def test_names_of_this_machine(tmp_path: Path) -> None:
    config = read(tmp_path, '[http]\nhost_names = ["SIP.example.com"]\n')
    assert config.http.host_names == ("sip.example.com",)
    for bad in ('"x"', "[1]", '["a b"]', '["http://x"]', '["x:80"]'):
        assert (
            "a list of at most 64 host names"
            in (problems(tmp_path, f"[http]\nhost_names = {bad}\n")[0])
        )


def test_what_a_reload_changes(tmp_path: Path) -> None:
    tokens(tmp_path)
    old = read(tmp_path, TABLE)
    tokens(tmp_path, line_for("bob", "viewer", "other"))
    more = 'loopback_role = "viewer"\naudit_log = "/var/log/audit"\naudit_files = 3\n'
    changes = compare(old, read(tmp_path, TABLE + more))
    assert [change.name for change in changes.applied] == ["access.loopback_role"]
    assert [change.name for change in changes.restart] == ["access.audit_log", "access.audit_files"]
    assert changes.config.credentials is not None
    assert changes.config.credentials.by_token("secret") is None
    assert changes.config.credentials.by_token("other") == ("bob", "viewer")
