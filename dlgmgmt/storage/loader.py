"""Loading dialogs from the database, page by page, while SIP is answered."""

from __future__ import annotations

from typing import NamedTuple


class LoadReport(NamedTuple):
    """What was found in the database. Dialogs, but for ``seconds``.

    loaded: in the table now, ``expired`` and ``moved`` ones included. early: dropped, for their
    transactions are gone. expired: their time had run out, they are being ended. purged: the same,
    and removed. skipped: rows that stand for no dialog. moved: with another hash_entry:hash_id than
    they were stored with.
    """

    loaded: int = 0
    early: int = 0
    expired: int = 0
    purged: int = 0
    skipped: int = 0
    moved: int = 0
    seconds: float = 0.0

    def plus(self, other: LoadReport) -> LoadReport:
        """Both together."""
        return LoadReport(
            self.loaded + other.loaded,
            self.early + other.early,
            self.expired + other.expired,
            self.purged + other.purged,
            self.skipped + other.skipped,
            self.moved + other.moved,
            self.seconds + other.seconds,
        )
