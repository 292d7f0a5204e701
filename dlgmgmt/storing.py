"""The database that keeps the dialogs, as daemon and commands use it.

It is asked on threads alone: a server that is slow or gone holds up neither loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from dlgmgmt.commands.errors import Failure, Refused
from dlgmgmt.commands.results_database import Adoption, DatabaseStatus, Flushed
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.errors import StartError
from dlgmgmt.sip.engine import SipEngine
from dlgmgmt.storage.errors import Damaged, OwnerTaken, StorageError
from dlgmgmt.storage.loader import LoadReport
from dlgmgmt.storage.settings import StorageSettings
from dlgmgmt.storage.store import Storage
from dlgmgmt.storage.url import shown

_LOG = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")
_AT_ONCE, _AT_THE_END = 1, 3
_PATIENCE = 1.0


class _Work(Generic[_Answer]):
    """Something that a thread of its own does. run: gives the answer, or raises StorageError."""

    def __init__(self, name: str, run: Callable[[], _Answer]) -> None:
        self._run = run
        self._answer: _Answer | None = None
        self._refused: Refused | None = None
        self._over = threading.Event()
        # A daemon thread: a server that never answers must not hold up the end.
        self.thread = threading.Thread(target=self._work, name=name, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        try:
            self._answer = self._run()
        except OwnerTaken as error:
            self._refused = Refused(Failure.OWNER_TAKEN, str(error))
        except StorageError as error:
            self._refused = Refused(Failure.DATABASE, str(error))
        except Exception:  # noqa: BLE001 - logged; its text is not for the client
            _LOG.exception("database: an order failed")
            self._refused = Refused(Failure.INTERNAL)
        finally:
            self._over.set()

    @property
    def over(self) -> bool:
        """Whether there is an answer, or none will come."""
        return self._over.is_set()

    def look(self) -> _Answer | None:
        """The answer, None while there is none; raises Refused."""
        if not self._over.is_set():
            return None
        if self._refused is not None:
            raise self._refused
        return self._answer


class Storing:
    """What commands call the database (dlgmgmt.commands.context.Database), and its life.

    The gate of ``engine`` is closed from the start on, until everything has been loaded. policy:
    what becomes of requests meanwhile, see dlgmgmt.sip.loading. retry_after: seconds.
    """

    def __init__(
        self,
        settings: StorageSettings,
        table: DialogTable,
        engine: SipEngine,
        *,
        policy: str,
        retry_after: int,
    ) -> None:
        self.settings = settings
        self._storage = Storage(
            settings, table, wall=time.time, monotonic=time.monotonic, give_way=engine.give_way
        )
        # Which driver it is says nothing to an operator.
        self._url = re.sub(r"^(\w+)\+\w+:", r"\1:", shown(settings.url))
        self._loaded = threading.Event()
        self._adoption: _Work[LoadReport] | None = None
        # Of the start, and of the last adoption.
        self._threads: list[threading.Thread] = []
        self._engine = engine
        self._gate = engine.loading
        self._gate.policy, self._gate.retry_after = policy, retry_after
        self._gate.begin()

    async def load(self, stopping: asyncio.Event) -> LoadReport | None:
        """Connect, read all dialogs, open the gate and begin to write.

        None: ``stopping`` was set meanwhile. Raises StartError.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[LoadReport] = loop.create_future()

        def finish(report: LoadReport | None, error: BaseException | None) -> None:
            if done.cancelled():
                return
            if error is not None:
                done.set_exception(error)
            elif report is not None:
                done.set_result(report)

        def work() -> None:
            report, fault = None, None
            try:
                report = self._open()
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                fault = error
            # The loop may have ended meanwhile.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(finish, report, fault)

        thread = threading.Thread(target=work, name="dlgmgmt-load", daemon=True)
        self._threads.append(thread)
        thread.start()
        stop = asyncio.ensure_future(stopping.wait())
        futures: set[asyncio.Future[Any]] = {done, stop}
        try:
            await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
            if stop.done():
                done.cancel()
                return None
            report = done.result()
        except Damaged as error:
            raise StartError(f"database {self._url}: {error}; {error.HINT}") from error
        except StorageError as error:
            raise StartError(f"database {self._url}: {error}") from error
        except Exception as error:
            _LOG.exception("database: loading failed")
            raise StartError(f"database {self._url}: loading failed, see the log") from error
        finally:
            stop.cancel()
        return report

    def _open(self) -> LoadReport:
        self._storage.open()
        if self.settings.sync_confirm and self.settings.mode == _AT_ONCE:
            self._engine.hold_answers = self._storage.writer.when_durable
        self._storage.start()
        report = self._storage.load()
        self._loaded.set()
        self._gate.end()
        return report

    def reload(self, settings: StorageSettings) -> None:
        """Use those that may change while it runs (dlgmgmt.config.changes)."""
        self.settings = self._storage.settings = settings
        self._storage.writer.use(settings)

    def stop(self) -> bool:
        """Write all that waits, and let go of the database. It may take ``stop_timeout``.

        False if something could not be written; where it is stands in the log.
        """
        self._storage.stop()
        # The interpreter aborts if it ends while a library that is written in C++ is at work.
        deadline = time.monotonic() + self.settings.answer_timeout + _PATIENCE
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))
        found = self._storage.status()
        return not (found.waiting or found.rescued)

    # -- what commands ask -------------------------------------------------------------------------

    def status(self) -> DatabaseStatus:
        """What is known of it, without asking it."""
        found: dict[str, Any] = self._storage.status()._asdict()
        found["oldest_ms"] = int(found.pop("oldest") * 1000)
        if not self._loaded.is_set():
            found["state"] = "loading"
        return DatabaseStatus(url=self._url, owner=self.settings.owner, **found)

    def statistics(self) -> Sequence[tuple[str, int]]:
        """The group ``database``."""
        gate = self._gate
        return (
            *self._storage.statistics(),
            ("while_loading_lost", gate.lost),
            ("while_loading_noted", gate.noted),
            ("while_loading_refused", gate.refused),
        )

    def adopt(self, owner: str | None) -> Callable[[], tuple[Adoption, bool]]:
        """Begin to take over another daemon's dialogs; Refused while that is done already."""
        if self._adoption is not None and not self._adoption.over:
            raise Refused(Failure.NO_ROOM, "others are being adopted")
        work = self._adoption = _Work("dlgmgmt-adopt", lambda: self._storage.adopt(owner))
        self._threads[1:] = [work.thread]
        name = owner or ""

        def look() -> tuple[Adoption, bool]:
            report = work.look()
            if report is None:
                return Adoption(name, done=False), False
            found = Adoption(
                name,
                True,
                report.loaded,
                report.early,
                report.expired,
                report.purged,
                report.skipped,
            )
            return found, True

        return look

    def flush(self) -> Callable[[], tuple[Flushed, bool]]:
        """Begin to write what waits; Refused where nothing is written before the end."""
        if self.settings.mode == _AT_THE_END:
            raise Refused(Failure.DATABASE, "db_mode 3 writes when the daemon ends")
        writer = self._storage.writer
        number = writer.order_flush()

        def look() -> tuple[Flushed, bool]:
            if writer.is_flushed(number):
                return Flushed(done=True, waiting=0), True
            return Flushed(done=False, waiting=self.status().waiting), False

        return look
