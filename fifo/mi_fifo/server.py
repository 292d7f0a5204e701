"""The daemon's side: reads the command FIFO, and writes each reply in a task of its own.

A command runs once its reply FIFO is open and not before: a client that is gone, or text that only
looks like a command, changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from mi_fifo.endpoint import CommandFifo, lax_directory, make_directories, open_reply
from mi_fifo.errors import FifoError, NoReader, ReplyRefused
from mi_fifo.grammar import Event, MiBadRequest, MiRequest, RequestParser
from mi_fifo.reply import MiReply, command_failed, escape, render
from mi_fifo.settings import FifoSettings

# What is read at once: bounded, so that replies and other work get their turn in between.
_READ_SIZE = 8192
_READS_BEFORE_EXPIRY = 16
_FAILED = "MI FIFO: command %s failed"

Handler = Callable[[MiRequest], MiReply]


@dataclass(slots=True)
class FifoCounters:
    """Totals since the start. bad and dropped are counted by cause; see PROTOCOL.md."""

    requests: int = 0
    replies: int = 0
    failed: int = 0
    reopened: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)


class FifoServer:
    """Serves one command FIFO on the running loop.

    handler: called on the loop for each whole command; it returns the reply, whose nodes are
    consumed while it is written. What it raises is logged and answered ``500 command 'x' failed``.
    logger: gets one line per broken command and per reply that is dropped.
    """

    def __init__(
        self, settings: FifoSettings, handler: Handler, *, logger: logging.Logger | None = None
    ) -> None:
        self.settings = settings
        self.counters = FifoCounters()
        self._handler = handler
        self._logger = logger or logging.getLogger("mi_fifo")
        self._fifo: CommandFifo | None = None
        self._parser = self._new_parser()
        self._tasks: set[asyncio.Task[None]] = set()
        self._expiry: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._watch_complaint = ""

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

    def _new_parser(self) -> RequestParser:
        return RequestParser(
            self.settings.limits,
            request_deadline=self.settings.request_deadline,
            quote_grace=self.settings.quote_grace,
        )

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

    def _dispatch(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, MiBadRequest):
                self._report(event)
            else:
                self.counters.requests += 1
            self._spawn(event)

    def _report(self, event: MiBadRequest) -> None:
        self.counters.bad[event.cause] += 1
        what = event.text if event.reason in event.text else f"{event.text}: {event.reason}"
        told = "nobody to tell" if event.reply_name is None else f"reply to {event.reply_name}"
        self._logger.warning("MI FIFO: %s (%s)", escape(what), escape(told))

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
                self._logger.error("MI FIFO: %s", error)  # noqa: TRY400 - the cause is in it
        self._schedule_watch()

    # --- replies ---

    def _spawn(self, event: Event) -> None:
        if event.reply_name is None:
            return
        if len(self._tasks) >= self.settings.max_replies:
            self._drop("too_many", event.reply_name, "too many replies are under way")
            return
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._answer(event, event.reply_name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _drop(self, cause: str, reply_name: str, why: str) -> None:
        self.counters.dropped[cause] += 1
        self._logger.warning("MI FIFO: no reply to %s: %s", escape(reply_name), why)

    async def _answer(self, event: Event, reply_name: str) -> None:
        try:
            fd = await self._open_reply(reply_name)
        except ReplyRefused as refused:
            # Two writers in one line (":list:uptime:r2") also read as a reply name with a colon.
            before, _, last = reply_name.rpartition(":")
            if before and last and refused.cause == "missing":
                reason = "a reply name with a ':' that is not there"
                bad = MiBadRequest("interleaved", f"bad command line: {reason}", reason, last)
                self._report(bad)
                await self._answer(bad, last)
                return
            not_run = "; the command was not run" if isinstance(event, MiRequest) else ""
            self._drop(refused.cause, reply_name, f"{refused}{not_run}")
            return
        try:
            reply = self._reply_to(event)
            async with asyncio.timeout(self.settings.reply_deadline):
                await self._send(fd, event, reply)
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
                return open_reply(self.settings.reply_dir, reply_name, own)
            except NoReader:
                # A shell opens its reply FIFO only after it has written the command.
                if loop.time() + pause > deadline:
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.05)

    def _reply_to(self, event: Event) -> MiReply:
        if isinstance(event, MiBadRequest):
            return MiReply(400, event.text, final_blank=False)
        try:
            return self._handler(event)
        except Exception:
            self.counters.failed += 1
            self._logger.exception(_FAILED, escape(event.command))
            return command_failed(event.command)

    async def _send(self, fd: int, event: Event, reply: MiReply) -> None:
        chunks = render(reply)
        sent = False
        while True:
            try:
                chunk = next(chunks, None)
            except Exception:
                command = event.command if isinstance(event, MiRequest) else ""
                self.counters.failed += 1
                self._logger.exception(_FAILED, escape(command))
                if sent:  # without its final empty line, by which a client can tell
                    return
                chunks = render(command_failed(command))
                continue
            if chunk is None:
                return
            await self._write(fd, chunk)
            sent = True
            await asyncio.sleep(0)

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
