"""The daemon's side of the MI FIFO: commands to the handler, its replies to the clients."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from mi_fifo.base import FifoBase
from mi_fifo.base import FifoCounters as FifoCounters  # noqa: PLC0414 - part of the server
from mi_fifo.errors import ReplyRefused
from mi_fifo.grammar import Event, MiBadRequest, MiRequest, RequestParser
from mi_fifo.reply import MiReply, command_failed, escape, render
from mi_fifo.settings import FifoSettings

_FAILED = "MI FIFO: command %s failed"

Handler = Callable[[MiRequest], MiReply]


class FifoServer(FifoBase[Event]):
    """Serves one command FIFO on the running loop.

    handler: called on the loop for each whole command; it returns the reply, whose nodes are
    consumed while it is written. What it raises is logged and answered ``500 command 'x' failed``.
    logger: gets one line per broken command and per reply that is dropped.
    """

    def __init__(
        self, settings: FifoSettings, handler: Handler, *, logger: logging.Logger | None = None
    ) -> None:
        super().__init__(settings, label="MI FIFO", logger=logger or logging.getLogger("mi_fifo"))
        self._handler = handler

    def _new_parser(self) -> RequestParser:
        return RequestParser(
            self.settings.limits,
            request_deadline=self.settings.request_deadline,
            quote_grace=self.settings.quote_grace,
        )

    def _noted(self, event: Event) -> None:
        if not isinstance(event, MiBadRequest):
            self.counters.requests += 1
            return
        self.counters.bad[event.cause] += 1
        what = event.text if event.reason in event.text else f"{event.text}: {event.reason}"
        told = "nobody to tell" if event.reply_name is None else f"reply to {event.reply_name}"
        self._logger.warning("MI FIFO: %s (%s)", escape(what), escape(told))

    def _is_request(self, event: Event) -> bool:
        return isinstance(event, MiRequest)

    def _redirected(self, event: Event, refused: ReplyRefused) -> Event | None:
        # Two writers in one line (":list:uptime:r2") also read as a reply name with a colon.
        before, _, last = (event.reply_name or "").rpartition(":")
        if not (before and last and refused.cause == "missing"):
            return None
        reason = "a reply name with a ':' that is not there"
        return MiBadRequest("interleaved", f"bad command line: {reason}", reason, last)

    def _reply_to(self, event: Event) -> MiReply:
        if isinstance(event, MiBadRequest):
            return MiReply(400, event.text, final_blank=False)
        try:
            return self._handler(event)
        except Exception:
            self.counters.failed += 1
            self._logger.exception(_FAILED, escape(event.command))
            return command_failed(event.command)

    async def _send(self, fd: int, event: Event) -> None:
        chunks = render(self._reply_to(event))
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
