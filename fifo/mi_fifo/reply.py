r"""Replies: a status line, a tree of nodes, an empty line.

A printed value may hold whatever a SIP message brought. Every character that is not printable is
written as an escape (``\x1b``, ``\u202e``), so no value can begin a line of its own or reach a
terminal as a control sequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mi_fifo.grammar import parse_error_text

# About 600 lines: well under a millisecond to render, half of what a pipe holds.
CHUNK_SIZE = 32_768


def _escape_character(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8 (surrogateescape)
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def escape(text: str) -> str:
    """``text`` with every unprintable character as a backslash escape, on one line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape_character(c) for c in text)


class MiNode(NamedTuple):
    """``name:: value attr=value ...`` and its children, one tab deeper.

    value: None prints nothing behind ``name:: ``, so that attributes follow two spaces.
    """

    name: str
    value: str | int | None = None
    attrs: Sequence[tuple[str, str | int]] = ()
    children: Sequence[MiNode | MiText] = ()


class MiText(NamedTuple):
    """A line of plain text, such as ``dialog_ng:active = 3``."""

    text: str


class MiRendered(NamedTuple):
    """Lines that prerender() made; a caller keeps them to send them more than once."""

    lines: str


MiItem = MiNode | MiText | MiRendered


@dataclass(slots=True, frozen=True)
class MiReply:
    """A reply.

    nodes: consumed once, item by item, while the reply is being written, so a generator keeps
    memory flat. final_blank: False for the errors of the framing itself.
    """

    code: int
    text: str
    nodes: Iterable[MiItem] = ()
    final_blank: bool = True


def command_not_available(command: str) -> MiReply:
    """The answer to a command that nobody registered."""
    return MiReply(500, f"command '{command}' not available", final_blank=False)


def command_failed(command: str) -> MiReply:
    """The answer to a command whose handler failed."""
    return MiReply(500, f"command '{command}' failed", final_blank=False)


def parse_error(command: str, detail: str = "") -> MiReply:
    """The answer to a command whose framing is broken."""
    return MiReply(400, parse_error_text(command, detail), final_blank=False)


def _append(item: MiItem, indent: str, out: list[str]) -> int:
    """Appends the lines of ``item``, returns their length in characters."""
    if isinstance(item, MiRendered):
        out.append(item.lines)
        return len(item.lines)
    if isinstance(item, MiText):
        line = f"{indent}{escape(item.text)}\n"
        out.append(line)
        return len(line)
    name, value, attrs, children = item
    body = f"{name}:: " if value is None else f"{name}:: {value}"
    for key, attribute in attrs:
        body += f" {key}={attribute}"
    if not body.isprintable():
        body = escape(body)
    line = f"{indent}{body}\n"
    out.append(line)
    size = len(line)
    if children:
        deeper = indent + "\t"
        for child in children:
            size += _append(child, deeper, out)
    return size


def prerender(items: Iterable[MiItem]) -> MiRendered:
    """The lines of ``items``, rendered once."""
    out: list[str] = []
    for item in items:
        _append(item, "", out)
    return MiRendered("".join(out))


class MiTemplate:
    """A node whose attributes and fields have fixed names, for lists of many thousands.

    It renders several times faster than MiNode. name, attrs, fields: their names, in order.
    """

    __slots__ = ("_format",)

    def __init__(self, name: str, attrs: Sequence[str], fields: Sequence[str]) -> None:
        head = f"{name}:: "
        lines = [escape(head), *(f"\t{escape(field)}:: " for field in fields)]
        lines = [line.replace("%", "%%") for line in lines]
        lines[0] += "".join(f" {escape(attr).replace('%', '%%')}=%s" for attr in attrs)
        self._format = lines[0] + "\n" + "".join(f"{line}%s\n" for line in lines[1:])

    def fill(self, *values: str | int) -> MiRendered:
        """The node with ``values``: those of the attributes, then those of the fields."""
        if not "".join(map(str, values)).isprintable():
            values = tuple(escape(str(value)) for value in values)
        return MiRendered(self._format % values)


def render(reply: MiReply, chunk_size: int = CHUNK_SIZE) -> Iterator[bytes]:
    """The bytes of ``reply`` in chunks of about ``chunk_size``; the first holds the status line.

    An item is never divided: a chunk is larger by at most the last one.
    """
    status = f"{reply.code} {escape(reply.text)}\n"
    out = [status]
    size = len(status)
    for item in reply.nodes:
        size += _append(item, "", out)
        if size >= chunk_size:
            yield "".join(out).encode()
            out = []
            size = 0
    if reply.final_blank:
        out.append("\n")
    if out:
        yield "".join(out).encode()


def parse_tree(lines: Iterable[str]) -> list[MiNode | MiText]:
    """The tree that ``lines`` of a reply show; escapes are left as they are.

    Attributes are told from a value only where the value is empty, as in ``dialog::  hash=1:2``: a
    value may itself hold `` x=y``. A line without ``:: `` becomes MiText; no input raises.
    """
    top: list[MiNode | MiText] = []
    levels: list[list[MiNode | MiText]] = [top]
    for line in lines:
        text = line.lstrip("\t")
        level = min(len(line) - len(text), len(levels) - 1)
        del levels[level + 1 :]
        name, separator, rest = text.partition(":: ")
        if not separator:
            levels[level].append(MiText(text))
            continue
        attrs: list[tuple[str, str]] = []
        if rest.startswith(" "):
            for word in rest.split(" ")[1:]:
                key, equals, attribute = word.partition("=")
                if equals:
                    attrs.append((key, attribute))
                elif attrs:  # a space within a value, as in "Type=slow timer"
                    attrs[-1] = (attrs[-1][0], f"{attrs[-1][1]} {word}")
            rest = ""
        children: list[MiNode | MiText] = []
        levels[level].append(MiNode(name, rest or None, tuple(attrs), children))
        levels.append(children)
    return top
