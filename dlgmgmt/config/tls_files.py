"""Whether the files that ``[sip.tls]`` and ``[http]`` name can be used."""

from __future__ import annotations

import ssl
from pathlib import Path

from dlgmgmt.config.problems import shown
from dlgmgmt.sip.settings import TlsSettings

MAX_PEM = 1_048_576


def problems(tls: TlsSettings, table: str = "sip.tls") -> dict[str, str]:
    """What is wrong, by parameter of ``table``; nothing for files that are not named."""
    found: dict[str, str] = {}
    for name in ("certificate", "private_key", "ca_file"):
        path = getattr(tls, name)
        if path is not None and (why := _unreadable(path)):
            found[name] = why
    if "ca_file" not in found and tls.ca_file is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(tls.ca_file)
        except (OSError, ValueError) as error:
            found["ca_file"] = f"no certificates in it: {_said(error)}"
    if found.keys() & {"certificate", "private_key"}:
        return found
    if tls.certificate is None or tls.private_key is None:
        if tls.certificate is not None:
            found["certificate"] = f"{table}.private_key is missing"
        elif tls.private_key is not None:
            found["private_key"] = f"{table}.certificate is missing"
        return found
    try:
        # A key with a passphrase would ask for it on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            tls.certificate, tls.private_key, password=""
        )
    except (OSError, ValueError) as error:
        name, what = _culprit(tls.certificate, table)
        found[name] = f"{what}: {_said(error)}"
    return found


def _unreadable(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_PEM + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a file name"
        return f"cannot read {shown(path)}: {why}"
    if len(data) > MAX_PEM:
        return f"{shown(path)} is larger than {MAX_PEM} bytes"
    return ""


def _culprit(certificate: str, table: str) -> tuple[str, str]:
    """Which of the pair is to blame, and for what."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate)
    except (OSError, ValueError):
        return "certificate", "no certificate in it"
    return "private_key", f"not a key, without a passphrase, of {table}.certificate"


def _said(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason or error)
