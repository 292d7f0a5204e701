"""Requests of the MI FIFO, read from a stream that many writers share.

Sans-IO: bytes and the time go in, requests and errors come out, in the order of the stream and
independent of how it was cut into reads. All writers share one pipe, so the parser's second task is
to find the next command after a broken one; ``PROTOCOL.md`` states the rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from mi_fifo.errors import RequestUnsendable
from mi_fifo.params import BLANKS, BadParam, MiParam, ParamReader, encode_param, has_control
from mi_fifo.params import text as _text

# How a line looks that begins a command wherever it stands, even within an unfinished one.
_COMMAND_START = re.compile(rb':[A-Za-z_][\w.]*:[^/:\s"\\]*\Z')
# Two command lines in one: the first writer never wrote its newline.
_GLUED = re.compile(rb":[^:]*:[^:]+(:[A-Za-z_][\w.]*:[^:]+)\Z")
_NAME = rb'[^/.\\"\x00-\x20\x7f]+'
_REPLY_NAME = re.compile(_NAME + rb"\Z")
# Of a line beyond every limit only the end is kept: its reply name.
_TAIL = 256


@dataclass(slots=True, frozen=True)
class Limits:
    """Sizes in bytes, newlines included.

    A first line is shorter than ``first_line``, all parameter lines together are shorter than
    ``params``; the name of a reply FIFO has at most ``reply_name``.
    """

    first_line: int = 1024
    params: int = 8192
    reply_name: int = 128


class MiRequest(NamedTuple):
    """A whole command. reply_name: the reply FIFO's name within the reply directory."""

    command: str
    params: tuple[MiParam, ...]
    reply_name: str


class MiBadRequest(NamedTuple):
    """A broken command, to be answered ``400 text``.

    cause: a short word to count by. text: for the client. reason: for the log, free of the
    client's text. reply_name: None when none can be read, so that nobody can be told.
    """

    cause: str
    text: str
    reason: str
    reply_name: str | None


Event = MiRequest | MiBadRequest


class _State(Enum):
    IDLE = "between commands"
    PARAMS = "in a command"
    QUOTED = "in a quoted value"
    RESYNC = "behind a broken command"


def parse_error_text(command: str, detail: str = "") -> str:
    """The text of ``400 parse error in command 'x'``; ``detail`` follows a colon."""
    return f"parse error in command '{command}'" + (f": {detail}" if detail else "")


class RequestParser:
    """Turns the byte stream of a command FIFO into requests and errors; it raises nothing.

    limits: sizes. request_deadline: seconds from a command's first byte to its final empty line.
    quote_grace: seconds of silence after an empty line in an open quote.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        request_deadline: float = 2.0,
        quote_grace: float = 0.5,
    ) -> None:
        self._limits = limits or Limits()
        self._line_bound = max(self._limits.first_line, self._limits.params, _TAIL)
        self._request_deadline = request_deadline
        self._quote_grace = quote_grace
        self._buffer = bytearray()
        self._cut = 0  # bytes dropped from the front of the unfinished line
        self._state = _State.IDLE
        self._since: float | None = None
        self._quiet_since: float | None = None
        self._now = 0.0
        self._command = ""
        self._reply_name = ""
        self._params = ParamReader(self._limits.params)
        self._blank_in_quote = False
        self._events: list[Event] = []

    @property
    def deadline(self) -> float | None:
        """When expire() has something to do, on the clock that feed() is given; None: never."""
        if self._since is None:
            return None
        deadline = self._since + self._request_deadline
        if self._quiet_since is not None:
            deadline = min(deadline, self._quiet_since + self._quote_grace)
        return deadline

    def feed(self, data: bytes, now: float) -> list[Event]:
        """Takes what was read at ``now``; returns the commands that it completes or breaks."""
        self._now = now
        buffer = self._buffer
        # What was there before holds no newline: a line in many small reads is not searched again.
        search = len(buffer)
        buffer += data
        start = 0
        while (end := buffer.find(b"\n", search)) >= 0:
            line = bytes(buffer[start:end])
            start = search = end + 1
            cut, self._cut = self._cut, 0
            self._line(line, cut)
        del buffer[:start]
        if len(buffer) > self._line_bound:
            self._cut += len(buffer) - _TAIL
            del buffer[:-_TAIL]
        if self._state is _State.IDLE and not buffer:
            self._since = None
        elif self._since is None:
            self._since = now
        quiet = self._state is _State.QUOTED and self._blank_in_quote and not buffer
        self._quiet_since = now if quiet else None
        return self._take_events()

    def expire(self, now: float) -> list[Event]:
        """Gives up what is unfinished if its deadline has passed at ``now``.

        Read what the pipe holds before: a busy reader must not blame the writer.
        """
        deadline = self.deadline
        if deadline is None or now < deadline:
            return []
        line = bytes(self._buffer)
        cut, self._cut = self._cut, 0
        self._buffer.clear()
        if self._state in {_State.PARAMS, _State.QUOTED}:
            self._fail_unfinished()
            if not self._starts_command(line, cut):
                line, cut = b"", 0
        elif self._state is _State.RESYNC:
            line, cut = b"", 0
        self._rest(_State.IDLE)
        # Of a line that was cut something is missing, though what is left may be blank.
        if cut or line.strip(BLANKS):
            self._first_line(line, cut)
            if self._state is _State.PARAMS:
                self._fail_unfinished()
        self._rest(_State.IDLE)
        return self._take_events()

    def _take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _rest(self, state: _State) -> None:
        """Leaves the current command: IDLE, or RESYNC while its rest is still to come."""
        self._state = state
        self._since = None if state is _State.IDLE else self._now
        self._quiet_since = None
        self._params = ParamReader(self._limits.params)

    def _bad(self, cause: str, text: str, reason: str, reply_name: str | None) -> None:
        self._events.append(MiBadRequest(cause, text, reason, reply_name))

    def _fail(self, cause: str, reason: str, *, tell: bool = False) -> None:
        """Reports the current command. tell: the client gets the reason too."""
        text = parse_error_text(self._command, reason if tell else "")
        self._bad(cause, text, reason, self._reply_name)
        self._rest(_State.RESYNC)

    def _fail_unfinished(self) -> None:
        if self._state is _State.QUOTED:
            self._fail("quote", "a quoted value without its closing quote")
        else:
            self._fail("unfinished", "no empty line at its end", tell=True)

    def _starts_command(self, line: bytes, cut: int) -> bool:
        if cut or len(line) + 1 >= self._limits.first_line:
            return False
        return _COMMAND_START.match(line.rstrip(BLANKS)) is not None

    def _line(self, line: bytes, cut: int) -> None:
        blank = not cut and not line.strip(BLANKS)
        if self._state is _State.IDLE:
            if not blank:
                self._first_line(line, cut)
            return
        if self._starts_command(line, cut):
            if self._state is not _State.RESYNC:
                self._fail_unfinished()
            self._first_line(line, cut)
            return
        if self._state is _State.RESYNC:
            if blank:
                self._rest(_State.IDLE)
            return
        if blank and self._state is _State.PARAMS:
            self._finish(crlf=b"\r" in line)
            return
        try:
            self._params.line(line, cut)
        except BadParam as bad:
            self._fail(bad.cause, str(bad))
            if blank:
                self._rest(_State.IDLE)
            return
        self._state = _State.QUOTED if self._params.quoted else _State.PARAMS
        self._blank_in_quote = blank

    def _finish(self, *, crlf: bool) -> None:
        if crlf:
            self._fail("crlf", "its lines end in CRLF instead of LF", tell=True)
        else:
            request = MiRequest(self._command, tuple(self._params.params), self._reply_name)
            self._events.append(request)
        self._rest(_State.IDLE)

    def _bad_first_line(self, cause: str, reason: str, reply_name: str | None) -> None:
        self._bad(cause, f"bad command line: {reason}", reason, reply_name)
        self._rest(_State.RESYNC)

    def _salvage(self, line: bytes) -> str | None:
        """The reply name of a line that is no command line: what follows its last colon."""
        if len(line) > self._line_bound:  # as short as if it had come in pieces
            line = line[-_TAIL:]
        before, _, name = line.rstrip(BLANKS).rpartition(b":")
        return self._usable(name) if before else None

    def _usable(self, name: bytes) -> str | None:
        if len(name) > self._limits.reply_name or not _REPLY_NAME.match(name):
            return None
        return _text(name)

    def _first_line(self, line: bytes, cut: int) -> None:
        if cut or len(line) + 1 >= self._limits.first_line:
            reason = f"of {self._limits.first_line} bytes or more"
            tail = line[-_TAIL:] if cut else line
            self._bad_first_line("line_too_long", reason, self._salvage(tail))
            return
        line = line.rstrip(BLANKS)
        if not line.startswith(b":"):
            self._bad_first_line("no_colon", "it does not start with ':'", self._salvage(line))
            return
        command, separator, name = line[1:].partition(b":")
        if not separator:
            self._bad_first_line("no_reply_name", "no ':' and reply name", None)
            return
        if not command:
            self._bad_first_line("no_command", "no command name", self._salvage(line))
            return
        if name.startswith(b":"):
            reason = "a reply name that starts with ':'"
            self._bad_first_line("reply_name", reason, self._salvage(line))
            return
        glued = _GLUED.match(line)
        if glued:
            first = self._usable(name[: -len(glued[1])])
            self._bad_first_line("interleaved", "two command lines in one", first)
            self._first_line(glued[1], 0)
            return
        reply_name = self._usable(name)
        if reply_name is None:
            reason = "no usable reply name" if name else "an empty reply name"
            self._bad_first_line("reply_name", reason, None)
            return
        if has_control(command) or b"\r" in command:
            self._bad_first_line("binary", "a control character in it", reply_name)
            return
        self._rest(_State.PARAMS)
        self._command = _text(command)
        self._reply_name = reply_name


def encode_request(
    command: str, params: Iterable[MiParam], reply_name: str, limits: Limits | None = None
) -> bytes:
    """The bytes of a command, values quoted where that is needed.

    Raises RequestUnsendable when the framing has no way to say it: an empty bare value, a control
    character, a line within a value that looks like a command line, a limit exceeded.
    """
    request = MiRequest(command, tuple(params), reply_name)
    lines = [f":{command}:{reply_name}\n", *map(encode_param, request.params), "\n"]
    try:
        data = "".join(lines).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise RequestUnsendable("a lone surrogate in the command or a parameter") from None
    events = RequestParser(limits).feed(data, 0.0)
    # What the other side would read decides: no second copy of the rules.
    if events == [request]:
        return data
    bad = next((event for event in events if isinstance(event, MiBadRequest)), None)
    reason = bad.reason if bad else "a value that the framing cannot carry exactly"
    raise RequestUnsendable(f"the command cannot be sent: {reason}")
