"""What the daemon sees of its database: opened, loaded from, written to, closed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.storage.loader import LoadReport
from dlgmgmt.storage.settings import StorageSettings
from dlgmgmt.storage.status import StorageStatus


class Storage:
    """The dialogs of ``table`` in a database, for a mode other than 0.

    wall: Unix time. monotonic: the clock of the timeouts. give_way: called between pieces of long
    work, with no lock held.

    ``open``, ``start``, ``load`` and ``stop`` are called in this order, each once; ``load`` and
    ``adopt`` block for as long as they take and want a thread of their own; the others may be
    called from any.
    """

    def __init__(
        self,
        settings: StorageSettings,
        table: DialogTable,
        *,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
        give_way: Callable[[], None] | None = None,
    ) -> None:
        self.settings = settings
        self._table = table
        self._wall = wall
        self._monotonic = monotonic
        self._give_way = give_way

    def open(self) -> None:
        """Connect, check or make the tables, and become the owner of the rows.

        It is tried for ``connect_timeout``; then StorageError, OwnerTaken or SchemaError.
        """
        raise NotImplementedError

    def start(self) -> None:
        """From now on changes are written. Before load(): what ends meanwhile must not return."""
        raise NotImplementedError

    def load(self) -> LoadReport:
        """Load the dialogs. It goes on through outages, until it is done or stop() is called."""
        raise NotImplementedError

    def adopt(self, owner: str | None) -> LoadReport:
        """Take over the rows of another daemon that does not run; None: rows without an owner.

        Raises OwnerTaken if it runs, StorageError.
        """
        raise NotImplementedError

    def flush(self, deadline: float) -> int:
        """Have written what waits, until ``deadline`` (monotonic); how many dialogs still wait."""
        raise NotImplementedError

    def stop(self) -> None:
        """Write what waits, for ``stop_timeout`` at most; the rest goes to a file. Close."""
        raise NotImplementedError

    def status(self) -> StorageStatus:
        """How it goes."""
        raise NotImplementedError

    def statistics(self) -> Sequence[tuple[str, int]]:
        """The statistics group ``database``."""
        raise NotImplementedError
