from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlgmgmt.storage.url import parse_url, shown


@pytest.mark.parametrize(
    ("text", "driver", "user", "password", "host", "port", "database"),
    [
        ("mysql://kam:pw@db.example/k", "mysql+pymysql", "kam", "pw", "db.example", None, "k"),
        ("mysql://kam:pw@db:3307/kamailio", "mysql+pymysql", "kam", "pw", "db", 3307, "kamailio"),
        ("mariadb+pymysql://kam@db/k", "mysql+pymysql", "kam", None, "db", None, "k"),
        ("postgres://kam:pw@db/k", "postgresql+psycopg", "kam", "pw", "db", None, "k"),
        ("postgresql+psycopg://k:p@[::1]:5/d", "postgresql+psycopg", "k", "p", "::1", 5, "d"),
        ("postgresql:///k", "postgresql+psycopg", None, None, None, None, "k"),
        # Kamailio takes a password as it is, and so it is taken here.
        ("mysql://kam:a@b/c:d?e#f@db/k", "mysql+pymysql", "kam", "a@b/c:d?e#f", "db", None, "k"),
        ("mysql://kam:100%@db/k", "mysql+pymysql", "kam", "100%", "db", None, "k"),
        ("mysql://kam:p%40w%25@db/k", "mysql+pymysql", "kam", "p@w%", "db", None, "k"),
    ],
)  # fmt: skip
def test_servers_in_kamailios_and_sqlalchemys_words(
    text: str,
    driver: str,
    user: str | None,
    password: str | None,
    host: str | None,
    port: int | None,
    database: str,
) -> None:
    url = parse_url(text)
    assert url.drivername == driver
    assert (url.username, url.password, url.host, url.port) == (user, password, host, port)
    assert url.database == database


def test_options_are_kept() -> None:
    url = parse_url("postgresql://kam@/k?host=/run/postgresql&sslmode=require")
    assert dict(url.query) == {"host": "/run/postgresql", "sslmode": "require"}


@pytest.mark.parametrize(
    "text",
    ["sqlite:///var/lib/d.sqlite", "sqlite:////var/lib/d.sqlite", "SQLITE:///var/lib/d.sqlite"],
)
def test_the_path_of_a_file_is_absolute(text: str) -> None:
    assert parse_url(text).database == "/var/lib/d.sqlite"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "a database URL is sqlite:///path"),
        ("/var/lib/d.sqlite", "a database URL is sqlite:///path"),
        ("oracle://u:p@h/d", "no database that can be used: 'oracle'"),
        ("postgresql+psycopg2://u:p@h/d", "no database that can be used"),
        ("mysql://u:p@h", "TYPE://user:password@host:port/database"),
        ("mysql://u:p@h/", "names no database"),
        ("mysql://u:p@h:0/d", "no port of a database server: 0"),
        ("mysql://u:p@h:70000/d", "no port of a database server: 70000"),
        ("mysql://u:p@h/d?x", "options of a database URL"),
        ("mysql://u:p@h/d?x=1&x=2", "twice"),
        ("sqlite://d.sqlite", "absolute"),
        ("sqlite:///", "absolute"),
        ("sqlite:///var/", "absolute"),
        ("sqlite:///:memory:", "a file, without options"),
        ("sqlite:///var/d.sqlite?mode=ro", "a file, without options"),
        ("mysql://u:p@h/d\n", "one line of printable characters"),
        ("mysql://" + "u" * 5000 + ":p@h/d", "one line of printable characters"),
    ],
)
def test_what_is_no_url_is_named(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as error:
        parse_url(text)
    assert why in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "mysql://u:hidden@h",
        "mysql://u:hidden@h:x/d",
        "mysql://u:hidden@h/",
        "oracle://u:hidden@h/d",
    ],
)
def test_an_error_does_not_show_the_password(text: str) -> None:
    with pytest.raises(ValueError, match=r"database") as error:
        parse_url(text)
    assert "hidden" not in str(error.value)


def test_what_is_shown_has_no_password() -> None:
    assert shown("mysql://kam:a@b/c@db/k") == "mysql+pymysql://kam:***@db/k"
    assert shown("postgresql://kam@db/k?sslpassword=hidden") == (
        "postgresql+psycopg://kam@db/k?sslpassword=%2A%2A%2A"
    )
    assert shown("sqlite:///var/d.sqlite") == "sqlite+pysqlite:////var/d.sqlite"
    assert shown("mysql:/kam:hidden@h") == "the database"


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20))
def test_any_password_that_is_quoted_comes_through(password: str) -> None:
    quoted = "".join(c if c.isalnum() else f"%{ord(c):02x}" for c in password)
    url = parse_url(f"postgres://kam:{quoted}@db:5432/k")
    assert (url.password, url.host, url.database) == (password, "db", "k")


def outcome(text: str) -> str:
    try:
        return str(parse_url(text).database)
    except ValueError as error:
        return str(error)


@given(st.text(max_size=60))
def test_anything_else_is_refused_in_one_line_or_read(text: str) -> None:
    for scheme in ("", "mysql://", "postgres://", "sqlite:///"):
        found = outcome(scheme + text)
        assert found
        assert "\n" not in found
