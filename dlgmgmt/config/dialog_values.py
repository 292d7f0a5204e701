"""Readers of the parameters that only the dialog core and the scripts have."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from dlgmgmt.config.values import Reader, Refused, absolute_path, as_text, require, token
from dlgmgmt.sip.errors import BadUri
from dlgmgmt.sip.uri import parse_uri

MAX_PROFILES = 256

_PASSWORD = re.compile(r"(:(?!//)).*@", re.DOTALL)
_OPTION = re.compile(r"([^?&=]*(?:pass|secret)[^?&=]*=)[^&]*", re.IGNORECASE)


def profiles() -> Reader:
    """Names of profiles: one text with semicolons, as the manual writes it, or a list."""
    name = token()

    def read(value: object) -> tuple[str, ...]:
        parts: Iterable[object]
        if isinstance(value, list):
            parts = value
        else:
            # "a ; b ;" and "" are common in old configurations.
            parts = [part.strip() for part in as_text(value).split(";")]
            if not parts[-1]:
                parts.pop()
        found = tuple(as_text(name.read(part)) for part in parts)
        require(len(found) <= MAX_PROFILES)
        for item in found:
            if found.count(item) > 1:
                raise Refused(f"{item} stands in it twice")
        return found

    return Reader(
        read,
        'names with semicolons between them, "caller ; trunk", or a list of names, each an '
        f"RFC 3261 token of at most 64 characters, at most {MAX_PROFILES}",
    )


def _variable(text: str) -> None:
    """Raise Refused unless ``text`` is one pseudo-variable."""
    # Here, so that dlgctl, which needs only the run directory, does not load what scripts use.
    from dlgmgmt.routing.errors import PvError  # noqa: PLC0415
    from dlgmgmt.routing.pv import compile_spec  # noqa: PLC0415

    try:
        compile_spec(text)
    except PvError as error:
        raise Refused(str(error)) from error


def avp() -> Reader:
    """The notation of an AVP."""

    def read(value: object) -> str:
        text = as_text(value)
        require(text.startswith("$avp(") and text.endswith(")"))
        _variable(text)
        return text

    return Reader(read, 'an AVP, "$avp(NAME)", "$avp(s:NAME)" or "$avp(i:NUMBER)"')


def pseudo_variable() -> Reader:
    """One pseudo-variable."""

    def read(value: object) -> str:
        text = as_text(value)
        require(text.startswith("$"))
        _variable(text)
        return text

    return Reader(read, 'a pseudo-variable, such as "$ru" or "$avp(dialled)"')


def sip_uri() -> Reader:
    """A SIP URI that stands in angle brackets in a header."""

    def read(value: object) -> str:
        text = as_text(value)
        require(text.isascii() and text.isprintable() and len(text) <= 1024)
        require(not set(text) & set(' "<>'))
        try:
            uri = parse_uri(text)
        except BadUri as error:
            raise ValueError from error
        require(uri.scheme == "sip" and not uri.headers)
        return text

    return Reader(read, 'a SIP URI without headers, such as "sip:controller@localhost"')


def database_url() -> Reader:
    """Where a database is."""

    def read(value: object) -> str:
        text = as_text(value)
        require(len(text) <= 1024)
        # Here, so that dlgctl, which needs only the run directory, does not load SQLAlchemy.
        from dlgmgmt.storage.url import parse_url  # noqa: PLC0415

        try:
            parse_url(text)
        except ValueError as error:
            raise Refused(str(error)) from error
        return text

    return Reader(
        read,
        'a database URL, "mysql://user:password@host/database", "postgres://..." or '
        '"sqlite:////path/of/the/file"',
    )


def directory() -> Reader:
    """A directory by its absolute path."""
    path = absolute_path()
    return Reader(lambda value: Path(path.read(value)), path.allowed)


def without_password(value: object) -> object:
    """A database URL as it may be shown."""
    if not isinstance(value, str):
        return value
    return _OPTION.sub(r"\1***", _PASSWORD.sub(r"\1***@", value))


def script_path() -> Reader:
    """A file name; whether there is such a file is seen when the path is complete."""

    def read(value: object) -> str:
        text = as_text(value)
        require(0 < len(text) < 4096 and text.isprintable())
        return text

    return Reader(read, "the path of an existing file, relative to the configuration file")
