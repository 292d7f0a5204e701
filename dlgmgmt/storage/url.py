"""Database URLs as Kamailio writes them, and as SQLAlchemy does."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, unquote

from sqlalchemy import URL

MAX_LENGTH = 4096

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"
MYSQL: Final = "mysql"

_DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "sqlite+pysqlite": "sqlite+pysqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mysql+pymysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "mariadb+pymysql": "mysql+pymysql",
}

# Kamailio quotes nothing: a password may hold any character, and ends at the last "@".
_SERVER = re.compile(
    r"(?:(?P<user>[^:@/]*)(?::(?P<password>.*))?@)?"
    r"(?P<host>\[[^\]]*\]|[^:/?@\[\]]*)(?::(?P<port>[0-9]{1,5}))?"
    r"/(?P<database>[^/?@]*)(?:\?(?P<query>[^?]*))?",
    re.DOTALL,
)
_SECRET = re.compile(r"pass|secret", re.IGNORECASE)


def parse_url(text: str) -> URL:
    """The database that ``text`` names; ValueError says what is wrong with it.

    In user and password ``%40`` is an ``@``, and a percent sign that is meant is ``%25``. The path
    of an SQLite database is absolute, with three slashes (Kamailio) or four (SQLAlchemy).
    """
    if len(text) > MAX_LENGTH or not text.isprintable():
        raise ValueError("a database URL is one line of printable characters")
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise ValueError(
            "a database URL is sqlite:///path, postgres://user:password@host/database"
            " or mysql://user:password@host/database"
        )
    driver = _DRIVERS.get(scheme.lower())
    if driver is None:
        raise ValueError(
            f"no database that can be used: {scheme!r:.40}; there are {', '.join(_DRIVERS)}"
        )
    if driver.startswith(SQLITE):
        return _file(rest, driver)
    return _server(rest, driver)


def _file(rest: str, driver: str) -> URL:
    path = "/" + rest.lstrip("/")
    if not rest.startswith("/") or path.endswith("/"):
        raise ValueError("the path of an SQLite database is absolute: sqlite:///path/to/file")
    if "?" in path or path == "/:memory:":
        raise ValueError("an SQLite database is a file, without options: sqlite:///path/to/file")
    return URL.create(driver, database=path)


def _server(rest: str, driver: str) -> URL:
    match = _SERVER.fullmatch(rest)
    if match is None:
        # What it is like is not repeated: there is a password in it.
        raise ValueError("a database URL is TYPE://user:password@host:port/database")
    if not match["database"]:
        raise ValueError("the database URL names no database after the host")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"no port of a database server: {port}")
    try:
        pairs = parse_qsl(match["query"] or "", keep_blank_values=True, strict_parsing=True)
    except ValueError:
        if match["query"]:
            raise ValueError("the options of a database URL are name=value&name=value") from None
        pairs = []
    options = dict(pairs)
    if len(options) != len(pairs):
        raise ValueError("an option of the database URL stands there twice")
    user, password = match["user"], match["password"]
    return URL.create(
        driver,
        username=unquote(user) if user else None,
        password=unquote(password) if password else None,
        host=match["host"].strip("[]") or None,
        port=port,
        database=unquote(match["database"]),
        query=options,
    )


def shown(url: URL | str) -> str:
    """The URL without what is secret in it."""
    if isinstance(url, str):
        try:
            url = parse_url(url)
        except ValueError:
            return "the database"
    hidden = {name: "***" if _SECRET.search(name) else url.query[name] for name in url.query}
    return url.set(query=hidden).render_as_string(hide_password=True)


def secrets_of(url: URL) -> list[str]:
    """What no message may show."""
    found = [str(value) for name, value in url.query.items() if _SECRET.search(name)]
    if url.password:
        found.append(str(url.password))
    return found
