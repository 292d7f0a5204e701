"""Tables of a TOML text and their parameters, read by the schema."""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass, field
from typing import Any

from dlgmgmt.config import schema
from dlgmgmt.config.dialog_values import without_password
from dlgmgmt.config.lines import Path, key_lines, line_of
from dlgmgmt.config.problems import MODPARAM, ConfigError, Problem, refusal, shown
from dlgmgmt.config.values import Reader, Refused

_TOML_PLACE = re.compile(
    r"(.*) \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)", re.DOTALL
)


@dataclass(slots=True)
class TableReader:
    """Reads values; what is wrong with them lands in ``problems``, with its place.

    file: its name, "" for the embedded defaults. given: parameters of [ims_dialog] that the
    command line gave.
    """

    file: str
    text: str
    modparams: tuple[str, ...] = ()
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    given: set[str] = field(default_factory=set)
    _lines: dict[Path, int] = field(default_factory=dict)

    def parse(self) -> dict[str, Any]:
        """The text as TOML; raises ConfigError if it is none."""
        try:
            data = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            place = _TOML_PLACE.fullmatch(str(error))
            line = int(place[2]) if place and place[2] else self.text.count("\n") + 1
            message = f"not valid TOML: {place[1] if place else error}"
            if place and place[3]:
                message += f" (column {place[3]})"
            raise ConfigError([Problem(self.file, line, message)]) from error
        except RecursionError as error:
            raise ConfigError([Problem(self.file, 1, "nested too deeply")]) from error
        self._lines = key_lines(self.text)
        return data

    def _is_given(self, path: Path) -> bool:
        return path[0] == "ims_dialog" and len(path) > 1 and path[1] in self.given

    def line(self, path: Path) -> int:
        """The line of a table or parameter."""
        return line_of(self._lines, path)

    def problem(self, path: Path, message: str) -> None:
        """Note what is wrong with a parameter or table."""
        if self._is_given(path):
            self.problems.append(Problem(MODPARAM, 0, message))
        else:
            self.problems.append(Problem(self.file, self.line(path), message))

    def place(self, path: Path) -> str:
        """How a warning about a parameter begins."""
        if self._is_given(path):
            return f"{MODPARAM}: "
        return f"{self.file}:{self.line(path)}: " if self.file else ""

    def wrong(self, path: Path, name: str, value: object, allowed: str, why: str = "") -> None:
        """Note that a value is refused, and what is allowed."""
        if path[-1] == "db_url":
            value = without_password(value)
        elif path[-1] == "hep_password":
            value = "***"
        self.problem(path, refusal(name, value, why, allowed))

    def unknown(
        self, path: Path, found: dict[str, Any], known: list[str], what: str = "parameter"
    ) -> None:
        """Note the names that are not known."""
        for name, value in found.items():
            if name in known:
                continue
            full = ".".join([*(part for part in path if isinstance(part, str)), name])
            homes = [table for table, one in schema.PARAMETERS if one == name]
            close = difflib.get_close_matches(name, known, 1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            if what != "table" and len(homes) == 1:
                hint = f" (it is one of [{homes[0]}])"
            given = "" if what == "table" else f" = {shown(value)}"
            self.problem(
                (*path, name),
                f"unknown {what} {shown(full)[1:-1]}{given}{hint}; allowed: {', '.join(known)}",
            )

    def table(
        self,
        path: Path,
        data: dict[str, Any],
        readers: schema.Table,
        further: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """The good values of a table within ``data``; further: what else may stand in it."""
        name = ".".join(str(part) for part in path)
        table = data.get(str(path[-1]), {})
        if not isinstance(table, dict):
            self.wrong(path, name, table, f"a table, [{name}]")
            return {}
        self.unknown(path, table, [*readers, *further])
        return self.values(path, name, table, readers)

    def tables(self, path: Path, data: dict[str, Any]) -> list[dict[str, Any]]:
        """The tables of an array of them within ``data``, as they stand."""
        name = ".".join(str(part) for part in path)
        found = data.get(str(path[-1]), [])
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            self.wrong(path, name, found, f"tables, each [[{name}]]")
            return []
        return found

    def values(
        self, path: Path, name: str, table: dict[str, Any], readers: schema.Table
    ) -> dict[str, Any]:
        """The values of ``table`` that are good."""
        good: dict[str, Any] = {}
        for key, value in table.items():
            reader = readers.get(key)
            if reader is not None:
                self.read((*path, key), f"{name}.{key}", reader, value, good)
        return good

    def read(
        self, path: Path, name: str, reader: Reader, value: object, good: dict[str, Any]
    ) -> None:
        """Read one value into ``good``, or note why it is refused."""
        try:
            good[str(path[-1])] = reader.read(value)
        except (TypeError, ValueError) as error:
            why = str(error) if isinstance(error, Refused) else ""
            self.wrong(path, name, value, reader.allowed, why)
