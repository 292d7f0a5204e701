"""The README lists every parameter with its default."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import trustme

from dlgmgmt.config import Config, schema
from dlgmgmt.interfaces.tokens import Credentials
from tests.unit.config.harness import read

README = (Path(__file__).parents[3] / "README.md").read_text()


def listing() -> str:
    (found,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    return str(found)


TABLES = {
    "sip": schema.SIP,
    "mi_datagram": schema.MI_DATAGRAM,
    "http": schema.HTTP,
    "jsonrpc_sock": schema.JSONRPC_SOCK,
    "binrpc": schema.BINRPC,
    "access": schema.ACCESS,
    "ims_dialog": schema.IMS_DIALOG,
    "database": schema.DATABASE,
    "routing": schema.ROUTING,
    "trace": schema.TRACE,
    **{f"sip.{name}": readers for name, readers in schema.WITHIN_SIP.items()},
}


@pytest.mark.parametrize("table", TABLES)
def test_each_parameter_is_there_with_its_default(tmp_path: Path, table: str) -> None:
    text = listing()
    part = text[text.index(f"[{table}]") :].partition("\n\n")[0]
    assert re.findall(r"^(?:# )?(\w+) = ", part, re.MULTILINE) == [*TABLES[table]]
    given, nothing = read(tmp_path, part), read(tmp_path, "")

    def settings(config: Config) -> object:
        doors = config.http, config.jsonrpc_sock, config.binrpc, config.access, config.mi_datagram
        database = config.storage, config.while_loading
        return config.sip, config.dialog, config.routing, doors, database

    assert settings(given) == settings(nothing)
    assert given.warnings == ()


def test_the_examples_of_what_is_not_set_are_good(tmp_path: Path) -> None:
    (tmp_path / "routes.py").touch()
    authority = trustme.CA()
    shown = authority.issue_cert("sip.example.com")
    (tmp_path / "peers.pem").write_bytes(authority.cert_pem.bytes())
    (tmp_path / "clients.pem").write_bytes(authority.cert_pem.bytes())
    for name in ("server", "http"):
        (tmp_path / f"{name}.pem").write_bytes(shown.cert_chain_pems[0].bytes())
        (tmp_path / f"{name}.key").write_bytes(shown.private_key_pem.bytes())
    (tmp_path / "tokens").touch(0o600)
    names = r"\[\[sip.allow|listen|from|certificate|private_key|ca_file|dlg_flag|timeout_avp|script"
    names += "|client_ca|tokens_file|loopback_role|audit_log|db_url|rescue_dir"
    text = re.sub(rf"^# (?={names})", "", listing(), flags=re.MULTILINE)
    config = read(tmp_path, text)
    assert config.dialog.dlg_flag == 4
    assert config.dialog.timeout_avp == "$avp(i:10)"
    assert config.routing.script == str(tmp_path / "routes.py")
    assert config.storage.url == "mysql://user:password@host/database"
    assert config.storage.rescue_dir == Path("/var/lib/dlgmgmt")
    assert config.http.client_ca == str(tmp_path / "clients.pem")
    assert (config.access.loopback_role, config.credentials) == ("viewer", Credentials())
    assert config.sip.tls.certificate == str(tmp_path / "server.pem")
    assert [str(network) for network in config.sip.allow[0].networks] == [
        "10.0.0.0/8",
        "192.0.2.7/32",
    ]
    assert "ims_dialog" in tomllib.loads(text)
