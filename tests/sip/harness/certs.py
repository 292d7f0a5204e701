"""Certificates for the tests of TLS, made by an authority of the run's own."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

_numbers = itertools.count(1)
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Identity:
    """Paths of a certificate (with what leads to its authority) and its private key."""

    certificate: Path
    private_key: Path


class Authority:
    """Signs certificates; ``ca_file`` is what those have to trust who shall believe them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._ca = trustme.CA(key_type=trustme.KeyType.ECDSA)
        self.ca_file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.ca_file)

    def issue(self, *names: str, expired: bool = False) -> Identity:
        """A certificate for hosts, those of loopback if none is named."""
        more: dict[str, Any] = {}
        if expired:
            now = dt.datetime.now(dt.UTC)
            more = {
                "not_before": now - dt.timedelta(days=2),
                "not_after": now - dt.timedelta(days=1),
            }
        leaf = self._ca.issue_cert(*(names or LOOPBACK), key_type=trustme.KeyType.ECDSA, **more)
        number = next(_numbers)
        made = Identity(self._folder / f"{number}.pem", self._folder / f"{number}.key")
        for part in leaf.cert_chain_pems:
            part.write_to_path(made.certificate, append=True)
        leaf.private_key_pem.write_to_path(made.private_key)
        made.private_key.chmod(0o600)
        return made
