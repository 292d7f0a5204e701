"""``[access]``, and whether what listens elsewhere than on loopback asks who is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlgmgmt.config import tls_files
from dlgmgmt.config.problems import Problem, refusal
from dlgmgmt.config.tables import TableReader
from dlgmgmt.interfaces.settings import (
    AccessSettings,
    BinrpcSettings,
    HttpSettings,
    JsonSockSettings,
    MiDatagramSettings,
    SocketAddress,
    is_loopback,
)
from dlgmgmt.interfaces.tokens import Credentials, TokensError, parse, read_file
from dlgmgmt.sip.settings import TlsSettings

VARIABLE = "DLGMGMT_TOKENS"
"""Of the environment: lines as those of the tokens file."""

_LOOPBACK = "a loopback address, or any with access.tokens_file"


def access_settings(
    reader: TableReader, good: dict[str, Any], source: Path | None, env: Mapping[str, str]
) -> tuple[AccessSettings, Credentials | None]:
    """The table, and everybody who is known; None where neither file nor environment is used."""
    if source is not None and "tokens_file" in good:
        good["tokens_file"] = str(source.parent / good["tokens_file"])
    settings = AccessSettings(**good)
    found: Credentials | None = None
    if settings.tokens_file is not None:
        path = ("access", "tokens_file")
        found = Credentials()
        try:
            found, warning = read_file(settings.tokens_file)
        except TokensError as error:
            for line, text in error.faults:
                if line:
                    reader.problems.append(Problem(settings.tokens_file, line, text))
                else:
                    reader.problem(path, f"access.tokens_file: {text}")
        else:
            if warning:
                reader.warnings.append(f"{reader.place(path)}access.tokens_file: {warning}")
    if (variable := env.get(VARIABLE)) is not None:
        found = found or Credentials()
        try:
            found += parse(variable)
        except TokensError as error:
            reader.problems += [Problem(VARIABLE, line, text) for line, text in error.faults]
    return settings, found


def check_doors(
    reader: TableReader,
    http: HttpSettings,
    sock: JsonSockSettings,
    tokenless: tuple[MiDatagramSettings, BinrpcSettings],
    access: AccessSettings,
    credentials: Credentials | None,
) -> None:
    """Note what would be open to whoever comes, and what nobody could use.

    tokenless: doors whose protocols have no place for a token.
    """
    far = [("http", SocketAddress("tcp", host=http.host, port=http.port))]
    far += [("jsonrpc_sock", one) for one in sock.listen]
    for table, one in far:
        if one.path or is_loopback(one.host):
            continue
        path, name = (table, "listen"), f"{table}.listen"
        if credentials is None:
            why = "whoever reaches it could end calls"
            given = str(one).removeprefix("tcp:") if table == "http" else str(one)
            reader.problem(path, refusal(name, given, why, _LOOPBACK))
        elif table != "http" or http.certificate is None:
            reader.warnings.append(
                f"{reader.place(path)}{name} is not a loopback address, and without TLS: "
                "tokens can be read on their way"
            )
    closed = credentials is not None and access.loopback_role in (None, "none")
    mi, binrpc = tokenless
    for table, protocol, listen in (
        ("mi_datagram", "MI", mi.listen),
        ("binrpc", "BINRPC", binrpc.listen),
    ):
        for one in listen:
            if closed and not one.path:
                why = f"{protocol} has no place for a token"
                allowed = "unix sockets, or any on loopback with access.loopback_role"
                refused = refusal(f"{table}.listen", str(one), why, allowed)
                reader.problem((table, "listen"), refused)


def http_files(reader: TableReader, good: dict[str, Any], source: Path | None) -> None:
    """Complete the paths of ``[http]``'s PEM files, and note what is wrong with the files."""
    if source is not None:
        for name in ("certificate", "private_key", "client_ca"):
            if name in good:
                good[name] = str(source.parent / good[name])
    client_ca = good.get("client_ca")
    files = TlsSettings(
        certificate=good.get("certificate"),
        private_key=good.get("private_key"),
        ca_file=client_ca,
    )
    found = tls_files.problems(files, "http")
    if "ca_file" in found:
        found["client_ca"] = found.pop("ca_file")
    elif client_ca is not None and files.certificate is None:
        found["client_ca"] = "http.certificate is missing"
    for name, why in found.items():
        reader.problem(("http", name), f"http.{name}: {why}")
