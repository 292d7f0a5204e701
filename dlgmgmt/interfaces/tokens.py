"""Who is known by what: tokens and client certificates with their roles, one a line.

    # name     role      what shows it
    grafana    viewer    sha256:9f86d081...
    alice      admin     cert:CN=alice.example.com
    pbx        operator  cert:URI:spiffe://example.com/pbx

Only a token's SHA-256 is kept. A slow hash (scrypt, argon2) makes guessing dear where people have
chosen the secret; a token here is 256 random bits, which nobody guesses at any speed, and it is
hashed with every request, where a slow hash would be a gift to whoever floods the daemon.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

Role = Literal["viewer", "operator", "admin"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)

PREFIX = "dlgm_"
"""How tokens begin, so that scanners for leaked secrets can know them."""
MAX_TOKEN = 512
"""Characters of what a client may show as a token."""
MAX_FILE = 1_048_576
MAX_ENTRIES = 1000

_SCHEME = "sha256:"
_CERTIFICATE = "cert:"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME_RULE = "a name is 1 to 64 of A-Z a-z 0-9 . _ @ + -, the first a letter or digit"
_SUBJECT = re.compile(r"(CN=|DNS:|URI:|email:)(.{1,255})")
# How the ssl module calls the same.
_SHOWN = {"CN=": "commonName", "DNS:": "DNS", "URI:": "URI", "email:": "email"}


class Known(NamedTuple):
    """Somebody who may do something."""

    name: str
    role: Role


class TokensError(Exception):
    """What is wrong. faults: line (0: the whole) and text of each."""

    def __init__(self, faults: list[tuple[int, str]]) -> None:
        super().__init__("; ".join(text for _, text in faults))
        self.faults = faults


@dataclass(slots=True, frozen=True)
class Credentials:
    """Everybody who is known.

    tokens: with the SHA-256 of their token. subjects: with the kind and the text of what their
    certificate holds.
    """

    tokens: tuple[tuple[bytes, Known], ...] = ()
    subjects: tuple[tuple[tuple[str, str], Known], ...] = ()

    def __len__(self) -> int:
        """How many tokens and certificates."""
        return len(self.tokens) + len(self.subjects)

    def __add__(self, other: Credentials) -> Credentials:
        """Those of both."""
        return Credentials(self.tokens + other.tokens, self.subjects + other.subjects)

    def by_token(self, token: str) -> Known | None:
        """Whose ``token`` it is. How long it takes tells nothing of the tokens there are."""
        if len(token) > MAX_TOKEN:
            return None
        digest = _digest(token)
        found = None
        for known, who in self.tokens:
            if hmac.compare_digest(known, digest):
                found = who
        return found

    def by_certificate(self, subjects: frozenset[tuple[str, str]]) -> Known | None:
        """Whose certificate holds one of ``subjects``; the first that stands in the file."""
        return next((who for subject, who in self.subjects if subject in subjects), None)


def subjects_of(certificate: object) -> frozenset[tuple[str, str]]:
    """What a verified certificate says of its bearer, from ``SSLObject.getpeercert()``."""
    if not isinstance(certificate, dict):
        return frozenset()
    named = [pair for part in certificate.get("subject", ()) for pair in part]
    wanted = _SHOWN.values()
    found = [(kind, text) for kind, text in named if kind == "commonName"]
    found += [pair for pair in certificate.get("subjectAltName", ()) if pair[0] in wanted]
    return frozenset(found)


def new_token() -> str:
    """A token that nobody has yet."""
    return PREFIX + secrets.token_urlsafe(32)


def line_for(name: str, role: Role, token: str) -> str:
    """The line that lets ``token`` in; ValueError for a name that cannot stand there."""
    if _NAME.fullmatch(name) is None:
        raise ValueError(_NAME_RULE)
    return f"{name} {role} {_SCHEME}{_digest(token).hex()}\n"


def read_file(path: str) -> tuple[Credentials, str]:
    """Everybody in a file, and a warning about it or ""; raises TokensError."""
    try:
        with Path(path).open("rb") as file:
            found = os.fstat(file.fileno())
            data = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a file name"
        raise TokensError([(0, f"cannot read {ascii(path)[1:-1]}: {why}")]) from error
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise TokensError([(0, f"others than its owner can write {ascii(path)[1:-1]}")])
    if found.st_uid not in (0, os.geteuid()):
        raise TokensError([(0, f"{ascii(path)[1:-1]} belongs to another user")])
    if len(data) > MAX_FILE:
        raise TokensError([(0, f"{ascii(path)[1:-1]} is larger than {MAX_FILE} bytes")])
    warning = ""
    if found.st_mode & (stat.S_IRGRP | stat.S_IROTH):
        warning = f"others than its owner can read {ascii(path)[1:-1]}"
    try:
        return parse(data.decode()), warning
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TokensError([(line, "not UTF-8 text")]) from error


def parse(text: str) -> Credentials:
    """Everybody in ``text``, a line each; raises TokensError with all that is wrong."""
    faults: list[tuple[int, str]] = []
    tokens: list[tuple[bytes, Known]] = []
    subjects: list[tuple[tuple[str, str], Known]] = []
    seen: set[bytes | tuple[str, str]] = set()
    for number, parts in _lines(text):
        try:
            who, shows = _entry(parts)
            if shows in seen:
                raise ValueError("another line has the same token or certificate")  # noqa: TRY301
        except ValueError as error:
            faults.append((number, str(error)))
            continue
        seen.add(shows)
        if len(seen) > MAX_ENTRIES:
            faults.append((number, f"more than {MAX_ENTRIES} lines"))
            break
        if isinstance(shows, bytes):
            tokens.append((shows, who))
        else:
            subjects.append((shows, who))
    if faults:
        raise TokensError(faults)
    return Credentials(tuple(tokens), tuple(subjects))


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.split(None, 2)


def _entry(parts: list[str]) -> tuple[Known, bytes | tuple[str, str]]:
    # Nothing of a third part is shown: it may be a token that somebody has put there in the clear.
    if len(parts) != 3:
        raise ValueError("not of the form: NAME ROLE sha256:HASH or cert:SUBJECT")
    name, role, shows = parts[0], parts[1], parts[2].strip()
    if _NAME.fullmatch(name) is None:
        raise ValueError(_NAME_RULE)
    known = next((one for one in ROLES if one == role), None)
    if known is None:
        raise ValueError(f"no such role; allowed: {', '.join(ROLES)}")
    who = Known(name, known)
    if shows.startswith(_CERTIFICATE):
        match = _SUBJECT.fullmatch(shows.removeprefix(_CERTIFICATE))
        if match is None or not match[2].isprintable():
            raise ValueError("a certificate is named cert:CN=, cert:DNS:, cert:URI: or cert:email:")
        return who, (_SHOWN[match[1]], match[2])
    digest = shows.removeprefix(_SCHEME)
    if digest == shows or _DIGEST.fullmatch(digest) is None:
        raise ValueError("not sha256: and 64 hexadecimal digits, as dlgmgmt token new writes it")
    return who, bytes.fromhex(digest)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
