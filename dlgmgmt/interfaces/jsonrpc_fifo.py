"""JSON-RPC over a FIFO, as Kamailio 5 has it: ``reply_name`` in a request names its reply FIFO."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pwd
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dlgmgmt.interfaces.jsonrpc import PARSE_ERROR, JsonRpc, error_response
from dlgmgmt.interfaces.rpc_door import Answer, NoMessage, Who, answer_decoded, chunks, decode
from dlgmgmt.interfaces.rpc_framing import Encoding, Frame, FramingError, RpcFramer, encoding_of
from dlgmgmt.interfaces.settings import JsonFifoSettings
from mi_fifo import FifoSettings, escape
from mi_fifo.base import FifoBase

_LOG = logging.getLogger(__name__)

DOOR = "jsonrpc_fifo"

# Where a message may begin after a fault, and within one that never became whole.
_OBJECT = re.compile(rb"\{")
_REQUEST = re.compile(rb'\{\s*+"(?:jsonrpc|method|params|id|reply_name)"')
_REPLY_NAME = re.compile(rb'"reply_name"\s*+:\s*+"([^"\\/\x00-\x1f]{1,255})"')
_MAX_NAME = 255
_UNFINISHED = "a message whose end has not come"


@dataclass(slots=True, frozen=True)
class FifoMessage:
    """What has come. decoded: the message; fault: why there is none, "" if it is one."""

    reply_name: str | None
    encoding: Encoding
    decoded: object = None
    fault: str = ""


class FifoParser:
    """Finds messages in what writers put into the FIFO, one after the other or into each other.

    What is broken ends where the next message begins; what only might go on is waited for until
    its deadline.
    """

    def __init__(self, max_request: int, request_deadline: float) -> None:
        self._framer = RpcFramer(max_request)
        self._patience = request_deadline
        self._deadline: float | None = None

    @property
    def deadline(self) -> float | None:
        """When the message that has begun must be whole; None if none has."""
        return self._deadline

    def feed(self, data: bytes, now: float) -> list[FifoMessage]:
        """The messages that ``data`` completes, and what is none."""
        found: list[FifoMessage] = []
        nameless = False
        if self._framer.waiting and _REQUEST.match(data):
            pending = self._framer.pending
            if encoding_of(pending) is Encoding.MSGPACK:
                # Its lengths would swallow this writer's request.
                self._framer.skip(len(pending), _OBJECT)
                self._deadline = None
                found.append(_bad(pending, _UNFINISHED, Encoding.MSGPACK))
        while True:
            try:
                for frame in self._framer.feed(data):
                    found.append(_message(frame))
                    self._deadline = None
            except FramingError as error:
                bad = _bad(self._framer.skip(error.at, _OBJECT), str(error))
                self._deadline = None
                # Noise is one fault, in however many pieces it falls.
                if bad.reply_name is not None or not nameless:
                    found.append(bad)
                nameless |= bad.reply_name is None
                data = b""
                continue
            if not self._framer.waiting:
                self._deadline = None
            elif self._deadline is None:
                self._deadline = now + self._patience
            return found

    def expire(self, now: float) -> list[FifoMessage]:
        """Give up the message that has not become whole; what comes after it is read."""
        bad = _bad(self._framer.skip(1, _REQUEST), _UNFINISHED)
        self._deadline = None
        return [bad, *self.feed(b"", now)]


def _message(frame: Frame) -> FifoMessage:
    try:
        decoded = decode(frame)
    except NoMessage as error:
        return _bad(frame.data, error.detail or "not UTF-8", frame.encoding)
    members = decoded if isinstance(decoded, list) else [decoded]
    name = next(
        (m["reply_name"] for m in members if isinstance(m, dict) and "reply_name" in m), None
    )
    if name is None:
        return FifoMessage(None, frame.encoding, decoded)
    if not _is_name(name):
        return FifoMessage(None, frame.encoding, fault="reply_name is no name of a file")
    return FifoMessage(name, frame.encoding, decoded)


def _is_name(name: object) -> bool:
    """Whether it names a file in the reply directory and nothing else."""
    if not isinstance(name, str) or name in ("", ".", "..") or "/" in name or "\0" in name:
        return False
    try:
        return len(os.fsencode(name)) <= _MAX_NAME
    except UnicodeEncodeError:
        return False


def _bad(text: bytes, fault: str, encoding: Encoding = Encoding.JSON) -> FifoMessage:
    found = _REPLY_NAME.search(text)
    name = found[1].decode("utf-8", "replace") if found else None
    return FifoMessage(name if _is_name(name) else None, encoding, fault=fault)


class JsonFifo(FifoBase[FifoMessage]):
    """The FIFO of ``[jsonrpc_fifo]``. Start and stop it on the management loop.

    A command runs once its reply FIFO is open, which has to belong to somebody who may write to
    this FIFO; a notification needs none. who: says who asks; the FIFO's mode and owner have let
    them in.
    """

    def __init__(self, settings: JsonFifoSettings, rpc: JsonRpc, who: Who) -> None:
        self._door = settings
        self._rpc = rpc
        self._who = who
        super().__init__(
            FifoSettings(
                fifo_name=settings.fifo_name,
                reply_dir=settings.reply_dir,
                fifo_mode=settings.fifo_mode,
                fifo_user=settings.fifo_user,
                fifo_group=settings.fifo_group,
                open_deadline=settings.open_deadline,
                write_deadline=settings.write_deadline,
                reply_deadline=settings.reply_deadline,
                max_replies=settings.max_replies,
            ),
            label="JSON FIFO",
            logger=_LOG,
            owner_allowed=owners(settings.fifo_name),
        )

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it is."""
        return (self._door.fifo_name,)

    def statistics(self) -> list[tuple[str, int]]:
        """For the statistics group "jsonrpc_fifo"."""
        return [
            ("bad", sum(self.counters.bad.values())),
            ("dropped", sum(self.counters.dropped.values())),
            ("replies", self.counters.replies),
            ("requests", self.counters.requests),
        ]

    def _new_parser(self) -> FifoParser:
        return FifoParser(self._door.max_request, self._door.request_deadline)

    def _is_request(self, event: FifoMessage) -> bool:
        return not event.fault

    def _noted(self, event: FifoMessage) -> None:
        if event.fault:
            self._complain("broken", event.fault, event.reply_name)
            return
        self.counters.requests += 1
        if event.reply_name is not None:
            return
        if not isinstance(event.decoded, dict) or "id" in event.decoded:
            self._complain("no_reply_name", "a request without reply_name", None)
        elif len(self._tasks) < self.settings.max_replies:
            self._start(self._notify(event))
        else:
            self.counters.dropped["too_many"] += 1
            _LOG.warning("JSON FIFO: a notification was not carried out: too much is under way")

    def _complain(self, cause: str, what: str, reply_name: str | None) -> None:
        self.counters.bad[cause] += 1
        told = "nobody to tell" if reply_name is None else f"reply to {reply_name}"
        _LOG.warning("JSON FIFO: %s (%s)", escape(what), escape(told))

    async def _notify(self, event: FifoMessage) -> None:
        await self._run(event)

    async def _run(self, event: FifoMessage) -> Answer | None:
        if event.fault:
            return error_response(PARSE_ERROR, event.fault)
        return await answer_decoded(self._rpc, event.decoded, self._who)

    async def _send(self, fd: int, event: FifoMessage) -> None:
        reply = await self._run(event)
        if reply is None:
            return
        try:
            async with contextlib.aclosing(chunks(reply, event.encoding, pretty=True)) as texts:
                async for text in texts:
                    await self._write(fd, text)
                    await asyncio.sleep(0)
        except OSError:
            raise
        except Exception:  # noqa: BLE001 - the text of it is not for the client
            # The brackets that are missing show that it is not all.
            self.counters.failed += 1
            _LOG.exception("JSON FIFO: a listing broke off")
            return
        if event.encoding is Encoding.JSON:
            await self._write(fd, b"\n")


def owners(fifo_name: str) -> Callable[[int], bool]:
    """Whether a user may write to the FIFO, and so have answers written to a FIFO of his own.

    In a reply directory for everybody another user could have put his FIFO where a client is going
    to make one of this name.
    """

    def allowed(user: int) -> bool:
        if user in (0, os.geteuid()):
            return True
        try:
            fifo = Path(fifo_name).stat()
        except OSError:
            return False
        if user == fifo.st_uid or fifo.st_mode & stat.S_IWOTH:
            return True
        try:
            account = pwd.getpwuid(user)
        except KeyError:
            return False
        groups = os.getgrouplist(account.pw_name, account.pw_gid)
        return bool(fifo.st_mode & stat.S_IWGRP) and fifo.st_gid in groups

    return allowed
