"""MI in datagrams, without I/O: a request in one, its reply in another.

The parameters and the reply tree are the FIFO's. A datagram has an end and a sender, so there is no
reply name, and neither side ends with an empty line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from mi_fifo.errors import RequestUnsendable
from mi_fifo.grammar import MiBadRequest, MiRequest, parse_error_text
from mi_fifo.params import (
    BLANKS,
    BadParam,
    MiParam,
    ParamReader,
    encode_param,
    has_control,
    text,
)
from mi_fifo.reply import MiReply, render

MAX_DATAGRAM = 65_536
"""Bytes that kamunix reads of a reply, and sends of a request."""

_FIRST_LINE = 1024
# What answers a reply would be answered itself, and so on.
_REPLY = re.compile(rb"[0-9]{3}(?![0-9])")
_EMPTY_LINES = re.compile(rb"(?:[ \t\r]*+\n)*+")


def parse_datagram(data: bytes, max_size: int = MAX_DATAGRAM) -> MiRequest | MiBadRequest:
    """The request that ``data`` is, or what is wrong with it; it raises nothing.

    max_size: bytes of a request. The reply name of a request is ""; so is that of a broken one that
    is to be answered, and None if it is not.
    """
    if _REPLY.match(data):
        reason = "it looks like a reply"
        return MiBadRequest("reply", f"bad command line: {reason}", reason, None)
    start = _EMPTY_LINES.match(data)
    first, _, rest = data[start.end() if start else 0 :].partition(b"\n")
    found = _command(first)
    if isinstance(found, MiBadRequest):
        return found
    command = text(found)
    if len(data) > max_size:
        return _broken(command, "too_long", f"a request of more than {max_size} bytes", tell=True)
    reader = ParamReader(max_size + 2)  # what is counted, too, is a last newline that is not there
    try:
        for line in rest.split(b"\n"):
            if reader.quoted or line.strip(BLANKS):
                reader.line(line)
    except BadParam as bad:
        return _broken(command, bad.cause, str(bad))
    if reader.quoted:
        return _broken(command, "quote", "a quoted value without its closing quote")
    return MiRequest(command, tuple(reader.params), "")


def _command(line: bytes) -> bytes | MiBadRequest:
    """The command of a first line; what follows its second ``:`` does not count."""
    if len(line) >= _FIRST_LINE:
        return _bad_line("line_too_long", f"of {_FIRST_LINE} bytes or more")
    if not line.startswith(b":"):
        return _bad_line("no_colon", "it does not start with ':'")
    command, separator, _ = line[1:].partition(b":")
    if not separator:
        return _bad_line("no_second_colon", "no ':' behind the command")
    if not command:
        return _bad_line("no_command", "no command name")
    if has_control(command) or b"\r" in command:
        return _bad_line("binary", "a control character in it")
    return command


def _bad_line(cause: str, reason: str) -> MiBadRequest:
    return MiBadRequest(cause, f"bad command line: {reason}", reason, "")


def _broken(command: str, cause: str, reason: str, *, tell: bool = False) -> MiBadRequest:
    return MiBadRequest(cause, parse_error_text(command, reason if tell else ""), reason, "")


def render_datagram(reply: MiReply) -> Iterator[bytes]:
    """The bytes of ``reply`` in chunks, for whoever has to see that they fit."""
    return render(replace(reply, final_blank=False))


def encode_datagram(
    command: str, params: Iterable[MiParam] = (), max_size: int = MAX_DATAGRAM
) -> bytes:
    """The datagram of a command, values quoted where that is needed.

    Raises RequestUnsendable when the framing has no way to say it.
    """
    request = MiRequest(command, tuple(params), "")
    lines = [f":{command}:\n", *map(encode_param, request.params)]
    try:
        data = "".join(lines).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise RequestUnsendable("a lone surrogate in the command or a parameter") from None
    parsed = parse_datagram(data, max_size)
    # As with the FIFO: what the other side would read decides.
    if parsed == request:
        return data
    bad = parsed.reason if isinstance(parsed, MiBadRequest) else ""
    reason = bad or "a value that the framing cannot carry exactly"
    raise RequestUnsendable(f"the command cannot be sent: {reason}")
