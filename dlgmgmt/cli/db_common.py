"""What the commands of ``dlgmgmt db`` share."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL

from dlgmgmt.cli.progress import Progress
from dlgmgmt.cli.text import complain, visible
from dlgmgmt.storage.errors import RowFault
from dlgmgmt.storage.url import SQLITE, parse_url, shown

PROGRAM = "dlgmgmt"
OWNER = "dlgmgmt"
"""Whose dialogs are meant where neither a configuration nor the database says it."""

OK, FAILED, USAGE, FAULTS, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes. FAULTS: done, but for rows that cannot be used."""


class Failure(Exception):
    """What ends the command, in one line; code: its exit code."""

    def __init__(self, text: str, code: int = FAILED) -> None:
        super().__init__(text)
        self.code = code


def url_of(text: str, name: str) -> URL:
    """The database that ``text`` names; name: of the option or parameter, for the error."""
    try:
        return parse_url(text)
    except ValueError as error:
        raise Failure(f"{name}: {error}", USAGE) from None


def must_exist(url: URL) -> None:
    """A file that is only to be read is not made."""
    if url.get_backend_name() == SQLITE and not Path(url.database or "").exists():
        raise Failure(f"{shown(url)}: there is no such file")


def name_of(url: URL) -> str:
    """For stdout, without the password."""
    return visible(shown(url))


def say_fault(progress: Progress, fault: RowFault) -> None:
    """One line about a row."""
    progress.clear()
    complain(PROGRAM, str(fault))
