"""Reading the ``modparam`` lines of a kamailio.cfg.

Not the language itself: comments, strings, numbers and the preprocessor's lines are understood,
and of everything else only where a ``modparam(`` begins. Pure: text in, records out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from dlgmgmt.config.modparam import MODULES
from dlgmgmt.config.problems import shown

_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<directive>(?:\#!|(?m:^)!!)(?:[^\\\n]|\\\n|\\)*)"
    r"|(?P<comment>\#[^\n]*|//[^\n]*|/\*.*?\*/)"
    r'|(?P<double>"(?:[^"\\]|\\.)*")'
    r"|(?P<single>'[^']*')"
    r"|(?P<number>[+-]?(?:0[xX][0-9A-Fa-f]{1,16}|[0-9]{1,18})\b)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<other>.)",
    re.DOTALL | re.ASCII,
)
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{1,2})|([0-7]{1,3})|(.))", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "\n": ""}
_DIRECTIVE = re.compile(r"(?:#!|!!)([a-z_]+)[ \t]*(.*)", re.DOTALL)
_DEFINITION = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:[ \t]+(.*))?", re.DOTALL)
_SUBSTITUTION = re.compile(r"\"(.)([A-Za-z0-9_]+)\1(.*?)\1[gi]*\"", re.DOTALL)
_OPENING = frozenset({"ifdef", "ifndef", "ifexp"})
_DEFINING = frozenset({"define", "def", "trydef", "trydefine", "redef", "redefine"})
_SUBSTITUTING = frozenset({"substdef", "substdefs"})
_INCLUDING = frozenset({"include_file", "import_file"})


class Given(NamedTuple):
    """One parameter of the dialog module. module: the name that it was given under.

    raw: the value stood in single quotes, where a backslash is a backslash.
    """

    line: int
    module: str
    name: str
    value: str | int
    raw: bool = False


class Note(NamedTuple):
    """What an operator should know about a line. wrong: it cannot be used."""

    line: int
    message: str
    wrong: bool = False


@dataclass(slots=True)
class Parsed:
    """What a file says of the dialog module, in its order."""

    given: list[Given] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


class _Definition(NamedTuple):
    text: str
    line: int
    unsure: bool


class _Unreadable(Exception):
    """A modparam whose arguments are not as they should be; the text says why."""


def parse(text: str) -> Parsed:
    """Find every ``modparam`` of the dialog module."""
    return _Reader(text).read()


def _tokens(text: str, line: int = 1) -> Iterator[_Token]:
    """The tokens that matter, with their lines."""
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "other"
        value = match[0]
        if kind not in ("space", "comment"):
            yield _Token(kind, value, line)
        line += value.count("\n")


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._pos = 0
        self._parsed = Parsed()
        self._open: list[str] = []
        self._defined: dict[str, _Definition] = {}
        self._substituted: dict[str, _Definition] = {}

    def read(self) -> Parsed:
        while (token := self._take()) is not None:
            if token.kind == "directive":
                self._directive(token)
            elif token.kind == "name" and token.text in _INCLUDING:
                self._included(token, token.text)
            elif token.kind == "name" and token.text in ("modparam", "modparamx"):
                start = self._pos
                try:
                    self._modparam(token)
                except _Unreadable:
                    self._pos = start
            elif token.kind == "other" and token.text in ('"', "'"):
                why = "a string that begins here, or one before it, is not closed"
                self._note(token.line, why, wrong=True)
                break
        return self._parsed

    def _take(self) -> _Token | None:
        if self._pos >= len(self._tokens):
            return None
        self._pos += 1
        return self._tokens[self._pos - 1]

    def _peek(self) -> _Token:
        if self._pos < len(self._tokens):
            return self._tokens[self._pos]
        return _Token("end", "", 0)

    def _expect(self, text: str) -> None:
        token = self._take()
        if token is None or token.text != text:
            raise _Unreadable(f"{text} is missing")

    def _note(self, line: int, message: str, *, wrong: bool = False) -> None:
        self._parsed.notes.append(Note(line, message, wrong))

    # -- the preprocessor ------------------------------------------------------------------------

    def _directive(self, token: _Token) -> None:
        match = _DIRECTIVE.match(token.text)
        if match is None:
            return
        name, rest = match[1], match[2].replace("\\\n", " ").strip()
        if name in _OPENING:
            self._open.append(f"#!{name} {rest[:40]} (line {token.line})")
        elif name == "else" and self._open:
            opening = self._open.pop()
            self._open.append(f"{opening.removesuffix(', #!else')}, #!else")
        elif name == "endif" and self._open:
            self._open.pop()
        elif name in _DEFINING:
            if definition := _DEFINITION.fullmatch(rest):
                self._define(self._defined, definition[1], definition[2] or "", token.line)
        elif name in _SUBSTITUTING:
            if definition := _SUBSTITUTION.fullmatch(rest):
                self._define(self._substituted, definition[2], definition[3], token.line)
                value = definition[3] if name == "substdef" else f'"{definition[3]}"'
                self._define(self._defined, definition[2], value, token.line)
        elif name in _INCLUDING:
            self._included(token, name)

    def _define(self, where: dict[str, _Definition], name: str, text: str, line: int) -> None:
        where[name] = _Definition(text.strip(), line, name in where or bool(self._open))

    def _included(self, token: _Token, name: str) -> None:
        self._note(token.line, f"warning: {name} is not followed: import that file by itself")

    # -- modparam --------------------------------------------------------------------------------

    def _modparam(self, start: _Token) -> None:
        """Read what follows the word. Raises _Unreadable while it is not known to be ours."""
        self._expect("(")
        modules = self._string()
        found = [name for name in modules.split("|") if name.strip() in MODULES]
        if not found:
            return
        module = found[0].strip()
        try:
            self._expect(",")
            name = self._string()
        except _Unreadable as error:
            self._refuse(start.line, f"modparam({module})", str(error))
            return
        if start.text == "modparamx":
            self._refuse(start.line, f"{module}.{shown(name)[1:-1]}", "modparamx has variables")
            return
        try:
            self._expect(",")
            value, raw = self._value(start.line)
            self._expect(")")
        except _Unreadable as error:
            self._refuse(start.line, f"{module}.{shown(name)[1:-1]}", str(error))
            return
        if self._open:
            self._note(
                start.line,
                f"warning: {module}.{shown(name)[1:-1]} is taken, though its line is within "
                f"{self._open[-1]}",
            )
        self._parsed.given.append(Given(start.line, module, name, value, raw))

    def _refuse(self, line: int, what: str, why: str) -> None:
        self._note(
            line,
            f'{what} is refused: {why}; allowed: modparam("MODULE", "NAME", VALUE) with a string, '
            "a number or the name of a #!define as VALUE",
            wrong=True,
        )

    def _string(self) -> str:
        """One argument that is a string, or several beside each other."""
        parts = []
        while self._peek().kind in ("double", "single"):
            token = self._take()
            if token is not None:
                parts.append(_text(token))
        if not parts:
            raise _Unreadable(f"a string is expected, not {shown(self._peek().text)}")
        return "".join(parts)

    def _value(self, line: int) -> tuple[str | int, bool]:
        token = self._peek()
        if token.kind in ("double", "single"):
            return self._substitute(self._string(), line), token.kind == "single"
        self._pos += 1
        if token.kind == "number":
            return _number(token.text), False
        if token.kind != "name":
            raise _Unreadable(f"its value is missing or is {shown(token.text)}")
        return self._definition(token.text, line)

    def _definition(self, name: str, line: int) -> tuple[str | int, bool]:
        found = self._defined.get(name)
        if found is None:
            raise _Unreadable(f"its value {name[:60]} is no #!define of this file")
        tokens = list(_tokens(found.text))
        if len(tokens) != 1 or tokens[0].kind not in ("double", "single", "number"):
            raise _Unreadable(f"the #!define {name[:60]} of line {found.line} is no plain value")
        self._unsure(found, name, line)
        (token,) = tokens
        if token.kind == "number":
            return _number(token.text), False
        return _text(token), token.kind == "single"

    def _substitute(self, text: str, line: int) -> str:
        for name, found in self._substituted.items():
            if name in text:
                self._unsure(found, name, line)
                text = text.replace(name, found.text)
                if len(text) > 65_536:
                    raise _Unreadable("its value gets too long")
        return text

    def _unsure(self, found: _Definition, name: str, line: int) -> None:
        if found.unsure:
            self._note(
                line,
                f"warning: {name[:60]} has more than one possible value, that of line "
                f"{found.line} is taken",
            )


def _number(text: str) -> int:
    return int(text, 16) if "x" in text.lower() else int(text)


def _text(token: _Token) -> str:
    inner = token.text[1:-1]
    return inner if token.kind == "single" else _ESCAPE.sub(_unescaped, inner)


def _unescaped(match: re.Match[str]) -> str:
    if match[1]:
        return chr(int(match[1], 16))
    if match[2]:
        return chr(int(match[2], 8) & 0xFF)
    return _ESCAPES.get(match[3], match[3])
