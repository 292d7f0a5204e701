"""Tokens, certificates and accounts: who asks, and what he may do."""

from __future__ import annotations

import getpass
import logging
import socket

import pytest

from dlgmgmt.interfaces.access import Access, account_of, address_text, token_in
from dlgmgmt.interfaces.settings import is_loopback
from dlgmgmt.interfaces.tokens import (
    Credentials,
    TokensError,
    line_for,
    new_token,
    parse,
    subjects_of,
)

TOKENS = {role: new_token() for role in ("viewer", "operator", "admin")}
KNOWN = parse(
    "".join(line_for(f"the-{role}", role, token) for role, token in TOKENS.items())  # type: ignore[arg-type]
    + "phone viewer cert:CN=phone.example.com\npbx operator cert:URI:spiffe://example.com/a b\n"
)
FAR, NEAR = "192.0.2.1:4000", "127.0.0.1:4000"


def certificate(*names: tuple[str, str], common: str = "") -> dict[str, object]:
    """As getpeercert() tells it."""
    return {"subject": ((("commonName", common),),), "subjectAltName": names}


# -- who gets in -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "permissions"),
    [
        ("viewer", {"view"}),
        ("operator", {"view", "operate"}),
        ("admin", {"view", "operate", "admin"}),
    ],
)
@pytest.mark.parametrize("address", [FAR, NEAR, ""])
def test_a_token_gives_its_role_wherever_it_is_shown(
    role: str, permissions: set[str], address: str
) -> None:
    caller = Access(KNOWN).caller("http", address, TOKENS[role])
    assert caller is not None
    assert caller.permissions == permissions
    assert (caller.user, caller.role) == (f"the-{role}", role)
    assert (caller.door, caller.address) == ("http", address)


@pytest.mark.parametrize(
    "token", ["", "dlgm_", TOKENS["admin"][:-1], TOKENS["admin"] + "x", "é\udcff", "x" * 9999]
)
@pytest.mark.parametrize("address", [FAR, NEAR, ""])
def test_a_wrong_token_lets_nobody_in_anywhere(token: str, address: str) -> None:
    assert Access(KNOWN).caller("http", address, token) is None
    assert Access(None).caller("http", address, token) is None


@pytest.mark.parametrize(
    ("known", "role", "near"),
    [
        (None, None, "admin"),
        (None, "viewer", "viewer"),
        (None, "none", None),
        (Credentials(), None, None),
        (KNOWN, None, None),
        (KNOWN, "operator", "operator"),
    ],
    ids=str,
)
def test_without_a_token(known: Credentials | None, role: str | None, near: str | None) -> None:
    access = Access(known, role)
    caller = access.caller("jsonrpc_sock", NEAR)
    assert (None if caller is None else caller.role) == near
    assert access.caller("jsonrpc_sock", FAR) is None
    local = access.caller("jsonrpc_sock", "", user="root")
    assert local is not None
    assert local.user == "root"
    assert local.permissions == {"view", "operate", "admin"}


def test_certificates() -> None:
    access = Access(KNOWN)
    phone = access.caller("http", FAR, certificate=certificate(common="phone.example.com"))
    assert phone is not None
    assert (phone.user, phone.role) == ("phone", "viewer")
    names = (("DNS", "x"), ("URI", "spiffe://example.com/a b"))
    pbx = access.caller("http", FAR, certificate=certificate(*names))
    assert pbx is not None
    assert (pbx.user, pbx.role) == ("pbx", "operator")
    # A name of another kind is another name.
    other = certificate(("DNS", "phone.example.com"))
    assert access.caller("http", NEAR, certificate=other) is None
    # A token that is shown counts, whatever the certificate.
    good = certificate(common="phone.example.com")
    assert access.caller("http", FAR, "wrong", certificate=good) is None
    both = access.caller("http", FAR, TOKENS["admin"], certificate=good)
    assert both is not None
    assert both.role == "admin"


def test_what_is_no_certificate_names_nobody() -> None:
    assert subjects_of(None) == subjects_of({}) == subjects_of("x") == frozenset()


def test_other_rules_hold_from_the_next_request_on() -> None:
    access = Access(KNOWN)
    access.use(Credentials(), "viewer")
    assert access.caller("http", FAR, TOKENS["admin"]) is None
    caller = access.caller("http", NEAR)
    assert caller is not None
    assert caller.role == "viewer"


def test_refusals_are_counted_and_logged_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    now = 100.0
    access = Access(KNOWN, monotonic=lambda: now)
    for _ in range(5):
        access.caller("http", FAR, "dlgm_secret")
    now += 1
    access.caller("http", FAR)
    assert [record.getMessage() for record in caplog.records] == [
        "http 192.0.2.1:4000 refused: wrong token",
        "http 192.0.2.1:4000 refused: no token (and 4 others since the last line)",
    ]
    assert dict(access.counters()) == {"known": 5, "refused": 6}
    assert all(record.levelno == logging.WARNING for record in caplog.records)


def test_the_account_at_the_other_end() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert account_of(ours) == getpass.getuser()
    with socket.socket() as other:
        assert account_of(other) in ("", "uid -1", "uid 4294967295")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True),
        ("127.255.0.9:1", True),
        ("::1", True),
        ("[::1]:80", True),
        ("[::ffff:127.0.0.1]:80", True),
        ("::ffff:192.0.2.1", False),
        ("192.0.2.1:80", False),
        ("[fe80::1%eth0]:80", False),
        ("localhost", False),
        ("", False),
        ("/run/x", False),
    ],
)
def test_loopback(address: str, *, expected: bool) -> None:
    assert is_loopback(address) is expected


def test_addresses_as_text() -> None:
    assert address_text(("127.0.0.1", 80)) == "127.0.0.1:80"
    assert address_text(("::1", 80, 0, 0)) == "[::1]:80"
    assert address_text("/run/x") == address_text(b"") == ""


def test_a_peer_that_cannot_be_told_is_a_stranger() -> None:
    address = address_text(None)
    assert Access().caller("http", address) is None
    assert Access(loopback="admin").caller("http", address) is None


# -- the member of a request -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decoded", "token"),
    [
        ({"method": "x"}, None),
        ({"method": "x", "token": "t"}, "t"),
        ({"token": 7}, ""),
        ({"token": None}, ""),
        ({"token": ["t"]}, ""),
        ([{"token": "t"}, {}, 7], "t"),
        ([{}, {"token": "t"}, {"token": "t"}], "t"),
        ([{"token": "t"}, {"token": "u"}, {"token": "u"}], ""),
        ([{"token": "t"}, {"token": "u"}, {"token": "t"}], ""),
        ([], None),
        ("token", None),
    ],
)
def test_the_token_of_a_request(decoded: object, token: str | None) -> None:
    assert token_in(decoded) == token
    assert "'token':" not in str(decoded)


# -- the lines -------------------------------------------------------------------------------------


def test_tokens_are_long_different_and_kept_as_their_hash() -> None:
    first, second = new_token(), new_token()
    assert first != second
    assert len(first) >= 48
    line = line_for("alice", "viewer", first)
    assert first not in line
    assert first[5:] not in line
    known = parse(line).by_token(first)
    assert known == ("alice", "viewer")


HASH = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("alice", "not of the form"),
        ("alice viewer", "not of the form"),
        (f"al/ice viewer {HASH}", "a name is"),
        (f"{'a' * 65} viewer {HASH}", "a name is"),
        (f"alice root {HASH}", "no such role; allowed: viewer, operator, admin"),
        (f"alice Viewer {HASH}", "no such role"),
        ("alice viewer " + "0" * 64, "not sha256:"),
        (HASH.replace("sha256", "alice viewer md5"), "not sha256:"),
        (f"alice viewer {HASH}0", "not sha256:"),
        (f"alice viewer {HASH} more", "not sha256:"),
        ("alice viewer dlgm_mysecret", "not sha256:"),
        ("alice viewer cert:alice", "a certificate is named"),
        ("alice viewer cert:CN=", "a certificate is named"),
        ("alice viewer cert:O=Example", "a certificate is named"),
        (f"a viewer {HASH}\nb admin {HASH}", "another line has the same"),
    ],
)
def test_lines_that_are_refused(line: str, fault: str) -> None:
    with pytest.raises(TokensError, match=fault) as caught:
        parse(line)
    assert "mysecret" not in str(caught.value)


def test_the_number_of_lines_has_a_limit() -> None:
    text = "".join(f"a viewer sha256:{number:064x}\n" for number in range(1002))
    with pytest.raises(TokensError, match="more than 1000 lines"):
        parse(text)
    assert len(parse("".join(text.splitlines(keepends=True)[:1000]))) == 1000
