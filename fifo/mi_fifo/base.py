"""A FIFO that requests come on, whatever they look like: its life, and replies with deadlines.

A request is answered in a task of its own, once its reply FIFO is open and not before: a client
that is gone, or text that only looks like a request, changes nothing.
"""

from __future__ import annotations

import abc
import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from mi_fifo.endpoint import CommandFifo, lax_directory, make_directories, open_reply
from mi_fifo.errors import FifoError, NoReader, ReplyRefused
from mi_fifo.reply import escape
from mi_fifo.settings import FifoSettings

# What is read at once: bounded, so that replies and other work get their turn in between.
_READ_SIZE = 8192
_READS_BEFORE_EXPIRY = 16


class Addressed(Protocol):
    """What a parser finds. reply_name: whom to answer, None for nobody."""

    @property
    def reply_name(self) -> str | None:
        """Name of the reply FIFO."""


E = TypeVar("E", bound=Addressed)
E_co = TypeVar("E_co", bound=Addressed, covariant=True)


class Parser(Protocol[E_co]):
    """Cuts what is read into requests. Times are those of the loop."""

    @property
    def deadline(self) -> float | None:
        """When the request that has begun must be whole; None if none has."""

    def feed(self, data: bytes, now: float, /) -> Sequence[E_co]:
        """What ``data`` completes."""

    def expire(self, now: float, /) -> Sequence[E_co]:
        """What becomes of a request that is not whole at its deadline."""


@dataclass(slots=True)
class FifoCounters:
    """Totals since the start. bad and dropped are counted by cause; see PROTOCOL.md."""

    requests: int = 0
    replies: int = 0
    failed: int = 0
    reopened: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)


class FifoBase(abc.ABC, Generic[E]):
    """Serves one FIFO on the running loop; what the requests are is a subclass's business.

    label: how the log calls it. owner_allowed: whether a reply FIFO of this user may be written;
    None: of any.
    """

    def __init__(
        self,
        settings: FifoSettings,
        *,
        label: str,
        logger: logging.Logger,
        owner_allowed: Callable[[int], bool] | None = None,
    ) -> None:
        self.settings = settings
        self.counters = FifoCounters()
        self._label = label
        self._logger = logger
        self._owner_allowed = owner_allowed
        self._fifo: CommandFifo | None = None
        self._parser = self._new_parser()
        self._tasks: set[asyncio.Task[None]] = set()
        self._expiry: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._watch_complaint = ""

    @abc.abstractmethod
    def _new_parser(self) -> Parser[E]:
        """A parser at the beginning of a stream."""

    @abc.abstractmethod
    def _noted(self, event: E) -> None:
        """Count and log what the parser has found."""

    @abc.abstractmethod
    async def _send(self, fd: int, event: E) -> None:
        """Carry out a request and write its reply, with :meth:`_write`."""

    def _redirected(self, event: E, refused: ReplyRefused) -> E | None:  # noqa: ARG002 - see mi_fifo
        """What to do instead where the reply FIFO cannot be opened; None: nothing."""
        return None

    def _is_request(self, event: E) -> bool:  # noqa: ARG002 - a subclass knows
        """Whether dropping ``event`` means that a request is not carried out."""
        return True

    @property
    def replies_under_way(self) -> int:
        """Replies being opened or written now; at most ``max_replies``."""
        return len(self._tasks)

    async def start(self) -> None:
        """Makes the FIFO and starts to serve. Raises NotAFifo, FifoInUse or FifoSetupError."""
        if self._fifo is not None:
            raise RuntimeError("this FifoServer is already started")
        make_directories(self.settings)
        if lax_directory(self.settings.reply_dir):
            self._logger.warning(
                "reply directory %s: everybody may write and it is not sticky, so users can "
                "replace each other's reply FIFOs",
                self.settings.reply_dir,
            )
        self._open()
        self._schedule_watch()

    async def stop(self) -> None:
        """Stops reading, gives replies under way ``stop_grace`` seconds, removes the FIFO."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._close()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self.settings.stop_grace)
            for task in late:
                task.cancel()
            if late:
                self.counters.dropped["stopped"] += len(late)
                await asyncio.wait(late)

    def _open(self) -> None:
        self._fifo = CommandFifo(self.settings)
        self._parser = self._new_parser()
        asyncio.get_running_loop().add_reader(self._fifo.fd, self._read)

    def _close(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if self._fifo is not None:
            asyncio.get_running_loop().remove_reader(self._fifo.fd)
            self._fifo.close()
            self._fifo = None

    # --- the command FIFO ---

    def _read(self) -> bool:
        """Takes one read's worth of the FIFO; whether there was anything."""
        if self._fifo is None:
            return False
        try:
            data = os.read(self._fifo.fd, _READ_SIZE)
        except BlockingIOError:
            return False
        now = asyncio.get_running_loop().time()
        self._dispatch(self._parser.feed(data, now))
        self._schedule_expiry()
        return bool(data)

    def _schedule_expiry(self) -> None:
        deadline = self._parser.deadline
        if self._expiry is not None:
            if self._expiry.when() == deadline:
                return
            self._expiry.cancel()
            self._expiry = None
        if deadline is not None:
            loop = asyncio.get_running_loop()
            self._expiry = loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        # A loop that was held up finds the rest of the command in the pipe.
        for _ in range(_READS_BEFORE_EXPIRY):
            if not self._read():
                break
        # The handle fires up to a clock tick early; the parser's own deadline is what counts.
        deadline = self._parser.deadline
        now = asyncio.get_running_loop().time()
        if deadline is not None and deadline - now < 0.001:
            self._dispatch(self._parser.expire(max(now, deadline)))
        self._schedule_expiry()

    def _dispatch(self, events: Sequence[E]) -> None:
        for event in events:
            self._noted(event)
            self._spawn(event)

    # --- the file system ---

    def _schedule_watch(self) -> None:
        loop = asyncio.get_running_loop()
        self._watch = loop.call_later(self.settings.watch_interval, self._look_after)

    def _look_after(self) -> None:
        """Makes the FIFO and the reply directory again if they have gone."""
        try:
            make_directories(self.settings)
            if self._fifo is None or not self._fifo.is_ours():
                if self._fifo is not None:
                    self._logger.warning("%s has gone: making it again", self.settings.fifo_name)
                    while self._read():  # commands written before it went
                        pass
                    self._close()
                self._open()
                self.counters.reopened += 1
            self._watch_complaint = ""
        except FifoError as error:
            if str(error) != self._watch_complaint:  # once, not each second
                self._watch_complaint = str(error)
                self._logger.error("%s: %s", self._label, error)  # noqa: TRY400 - the cause is in it
        self._schedule_watch()

    # --- replies ---

    def _spawn(self, event: E) -> None:
        if event.reply_name is None:
            return
        if len(self._tasks) >= self.settings.max_replies:
            self._drop("too_many", event.reply_name, "too many replies are under way")
            return
        self._start(self._answer(event, event.reply_name))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _drop(self, cause: str, reply_name: str, why: str) -> None:
        self.counters.dropped[cause] += 1
        self._logger.warning("%s: no reply to %s: %s", self._label, escape(reply_name), why)

    async def _answer(self, event: E, reply_name: str) -> None:
        try:
            fd = await self._open_reply(reply_name)
        except ReplyRefused as refused:
            other = self._redirected(event, refused)
            if other is not None and other.reply_name is not None:
                self._noted(other)
                await self._answer(other, other.reply_name)
                return
            not_run = "; the command was not run" if self._is_request(event) else ""
            self._drop(refused.cause, reply_name, f"{refused}{not_run}")
            return
        try:
            async with asyncio.timeout(self.settings.reply_deadline):
                await self._send(fd, event)
            self.counters.replies += 1
        except TimeoutError:
            self._drop("stalled", reply_name, "its reader does not read")
        except OSError as error:
            self._drop("reader_gone", reply_name, error.strerror or str(error))
        finally:
            os.close(fd)

    async def _open_reply(self, reply_name: str) -> int:
        loop = asyncio.get_running_loop()
        own = self._fifo.identity if self._fifo is not None else None
        deadline = loop.time() + self.settings.open_deadline
        pause = 0.002
        while True:
            try:
                return open_reply(self.settings.reply_dir, reply_name, own, self._owner_allowed)
            except NoReader:
                # A shell opens its reply FIFO only after it has written the command.
                if loop.time() + pause > deadline:
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.05)

    async def _write(self, fd: int, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            try:
                rest = rest[os.write(fd, rest) :]
            except BlockingIOError:
                await self._until_writable(fd)

    async def _until_writable(self, fd: int) -> None:
        loop = asyncio.get_running_loop()
        writable: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not writable.done():
                writable.set_result(None)

        loop.add_writer(fd, wake)
        try:
            async with asyncio.timeout(self.settings.write_deadline):
                await writable
        finally:
            loop.remove_writer(fd)
