"""Pseudo-variables: their notation, and texts that hold some ("the user $fu calls $rU").

``$name`` and ``$name(argument)`` are variables, ``$(name)`` is the same where a letter follows,
``$$`` is a dollar. A text is read once and kept; an unknown name is a PvError when it is read,
with its place. Reading a message never raises: what is not there is None, ``<null>`` in a text.
"""

from __future__ import annotations

import functools
import re
from types import MappingProxyType
from typing import NamedTuple

from dlgmgmt.routing import pv_dialog, pv_sip
from dlgmgmt.routing.decision import Value
from dlgmgmt.routing.errors import PvError, RouteError
from dlgmgmt.routing.pv_sip import Access, Getter, Setter
from dlgmgmt.routing.run import Run

PLAIN: MappingProxyType[str, Access] = MappingProxyType({**pv_sip.PLAIN, **pv_dialog.PLAIN})
"""Variables without an argument: how each is read, and written where it can be."""

WITH_ARGUMENT = MappingProxyType({**pv_sip.WITH_ARGUMENT, **pv_dialog.WITH_ARGUMENT})
"""Variables with one: what makes their access; ValueError says what is wrong with it."""

NULL = "<null>"
MAX_TEXT = 65_536
"""Characters of a text with variables."""

_MAX_CACHED = 1_024
_MAX_ARGUMENT = 70
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class Spec(NamedTuple):
    """One variable as it was written, how it is read, and how written (None: read-only)."""

    text: str
    get: Getter
    set: Setter | None


class Template(NamedTuple):
    """A text, cut at its variables. constant: it has none."""

    parts: tuple[str | Spec, ...]
    constant: bool

    def expand(self, run: Run, *, clean: bool = False) -> str:
        """The text with the values of this moment.

        clean: what a message says is put in with a question mark for each character that cannot
        stand in a header line.
        """
        run.forget_view()
        found = []
        for part in self.parts:
            if isinstance(part, str):
                found.append(part)
                continue
            value = part.get(run)
            text = NULL if value is None else str(value)
            found.append(printable(text) if clean else text)
        return "".join(found)

    def value(self, run: Run) -> Value:
        """As :meth:`expand`; a single variable keeps its type, and None."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Spec):
            run.forget_view()
            return self.parts[0].get(run)
        return self.expand(run)


def printable(text: str) -> str:
    """``text`` with a question mark for each character that no header line may hold."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "?" for c in text)


def compile_template(text: str) -> Template:
    """Read a text with variables; PvError for one that is not known."""
    if len(text) > MAX_TEXT:
        raise PvError(f"text of more than {MAX_TEXT} characters", text, MAX_TEXT)
    # What is kept must be short: scripts may build their texts.
    return _template(text) if len(text) <= _MAX_CACHED else _read_template(text)


def compile_spec(text: str) -> Spec:
    """Read a text that is one variable and nothing else; PvError otherwise."""
    if len(text) > _MAX_CACHED:
        raise PvError("not a pseudo-variable", text, 0)
    parts = _template(text).parts
    if len(parts) != 1 or not isinstance(parts[0], Spec):
        raise PvError("one pseudo-variable is expected, and nothing else", text, 0)
    return parts[0]


def writable(text: str) -> Spec:
    """As compile_spec; RouteError unless it can be written."""
    spec = compile_spec(text)
    if spec.set is None:
        raise RouteError(f"{spec.text} cannot be set")
    return spec


def assign(run: Run, spec: Spec, value: Value) -> None:
    """Write a variable; RouteError if it cannot be, or for a value that it cannot hold."""
    if spec.set is None:
        raise RouteError(f"{spec.text} cannot be set")
    spec.set(run, value)
    run.forget_view()


def escape(text: str) -> str:
    """``text`` so that it stands for itself in a text with variables."""
    return text.replace("$", "$$")


def _read_template(text: str) -> Template:
    parts: list[str | Spec] = []
    literal: list[str] = []
    pos = 0
    while True:
        dollar = text.find("$", pos)
        if dollar < 0:
            break
        literal.append(text[pos:dollar])
        if text.startswith("$", dollar + 1):
            literal.append("$")
            pos = dollar + 2
            continue
        spec, pos = _read_spec(text, dollar)
        if plain := "".join(literal):
            parts.append(plain)
        literal = []
        parts.append(spec)
    literal.append(text[pos:])
    if plain := "".join(literal):
        parts.append(plain)
    return Template(tuple(parts), constant=not any(isinstance(part, Spec) for part in parts))


_template = functools.lru_cache(maxsize=1_024)(_read_template)


def _read_spec(text: str, dollar: int) -> tuple[Spec, int]:
    """The variable whose dollar stands at ``dollar``, and where it ends."""
    wrapped = text.startswith("(", dollar + 1)
    match = _NAME.match(text, dollar + 1 + wrapped)
    if match is None:
        raise PvError("a lone $ (a dollar is written $$)", text, dollar)
    name, end = match[0], match.end()
    access = PLAIN.get(name)
    if access is None:
        if name not in WITH_ARGUMENT:
            raise PvError(f"unknown pseudo-variable ${name[:64]}", text, dollar)
        access, end = _read_argument(text, dollar, name, end)
    if wrapped:
        if not text.startswith(")", end):
            raise PvError("missing )", text, dollar)
        end += 1
    return Spec(text[dollar:end], *access), end


def _read_argument(text: str, dollar: int, name: str, end: int) -> tuple[Access, int]:
    close = text.find(")", end, end + _MAX_ARGUMENT + 2)
    if not text.startswith("(", end) or close < 0:
        raise PvError(f"${name} takes an argument in parentheses", text, dollar)
    argument = text[end + 1 : close]
    try:
        return WITH_ARGUMENT[name](argument), close + 1
    except ValueError as error:
        raise PvError(f"${name}({argument}): {error}", text, dollar) from error
