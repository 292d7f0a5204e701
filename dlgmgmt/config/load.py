"""Reading and checking the configuration file."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlgmgmt.config import modparam, schema
from dlgmgmt.config.dialog_values import without_password
from dlgmgmt.config.lines import Path as KeyPath
from dlgmgmt.config.lines import key_lines, line_of
from dlgmgmt.config.problems import MODPARAM, ConfigError, Problem, refusal, shown
from dlgmgmt.config.rundir import fifo_path, private_directory, reply_path, run_directory
from dlgmgmt.config.values import Reader, Refused
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.interfaces.settings import HttpSettings
from dlgmgmt.routing.settings import RoutingSettings
from dlgmgmt.sip.settings import Route, SipSettings
from mi_fifo import FifoSettings

_MAX_FILE = 1_048_576
_TOML_PLACE = re.compile(
    r"(.*) \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)", re.DOTALL
)


@dataclass(slots=True, frozen=True)
class Config:
    """All settings. source: the file they came from, None for the embedded defaults.

    warnings: lines to log at the start, about values that were taken but not as they stood.
    modparams: what the command line said, for when the file is read again.
    """

    source: Path | None
    run_dir: Path
    sip: SipSettings
    dialog: DialogSettings
    fifo: FifoSettings
    http: HttpSettings
    routing: RoutingSettings = field(default_factory=RoutingSettings)
    warnings: tuple[str, ...] = ()
    modparams: tuple[str, ...] = ()

    def prepare(self) -> None:
        """See to a plain user's run directory before anything is put into it.

        Root's, and directories that the configuration names, are made by the FIFO server with
        the rights that its settings ask for. Raises RunDirectoryError.
        """
        mine = {str(fifo_path(self.run_dir)), str(reply_path(self.run_dir))}
        if os.geteuid() != 0 and mine & {self.fifo.fifo_name, self.fifo.reply_dir}:
            private_directory(self.run_dir)


def load(path: Path | None, env: Mapping[str, str], modparams: Iterable[str] = ()) -> Config:
    """Read ``path``, or take the embedded defaults for None; changes nothing on the disk.

    env: XDG_RUNTIME_DIR and TMPDIR say where the run directory of a plain user is. modparams:
    "name=value" of the command line, which override the file.
    Raises ConfigError with everything that is wrong with the file and them.
    """
    text = "" if path is None else _read(path)
    reader = _Loader("" if path is None else str(path), text, tuple(modparams))
    config = reader.config(path, run_directory(env))
    if reader.problems:
        # Those of the command line stand last.
        raise ConfigError(sorted(reader.problems, key=lambda p: (p.file == MODPARAM, p.line)))
    return config


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a file name"
        raise ConfigError([Problem(str(path), 0, f"cannot read {path}: {why}")]) from error
    if len(data) > _MAX_FILE:
        raise ConfigError([Problem(str(path), 0, f"{path} is larger than {_MAX_FILE} bytes")])
    try:
        return data.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(str(path), line, "not UTF-8 text")]) from error


@dataclass(slots=True)
class _Loader:
    file: str
    text: str
    modparams: tuple[str, ...] = ()
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _lines: dict[KeyPath, int] = field(default_factory=dict)
    # Parameters of [ims_dialog] that the command line gave.
    _given: set[str] = field(default_factory=set)

    def config(self, source: Path | None, run_dir: Path) -> Config:
        """Read every table; what is wrong lands in ``problems``."""
        data = self._parse()
        self._unknown((), data, [*schema.TABLES], "table")
        tables = {name: self._table(data, name) for name in schema.TABLES}
        self._command_line(tables["ims_dialog"])
        sip = self._sip(data, tables["sip"])
        fifo = {"fifo_name": str(fifo_path(run_dir)), "reply_dir": str(reply_path(run_dir))}
        return Config(
            source,
            run_dir,
            sip,
            self._dialog(tables["ims_dialog"]),
            FifoSettings(**(fifo | tables["mi_fifo"])),
            self._http(tables["http"]),
            self._routing(tables["routing"], source),
            tuple(self.warnings),
            self.modparams,
        )

    def _parse(self) -> dict[str, Any]:
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

    def _command_line(self, table: dict[str, Any]) -> None:
        """Let ``--modparam`` override what the file says of ``[ims_dialog]``."""
        for argument in self.modparams:
            found = modparam.parse(argument)
            if isinstance(found, Problem):
                self.problems.append(found)
                continue
            path = ("ims_dialog", found.name)
            self._given.add(found.name)
            reader = schema.IMS_DIALOG.get(found.name)
            if reader is None:
                self._unknown(path[:1], {found.name: found.value}, [*schema.IMS_DIALOG])
            else:
                self._read(path, ".".join(path), reader, reader.from_text(found.value), table)

    def _is_given(self, path: KeyPath) -> bool:
        return path[0] == "ims_dialog" and len(path) > 1 and path[1] in self._given

    def _problem(self, path: KeyPath, message: str) -> None:
        if self._is_given(path):
            self.problems.append(Problem(MODPARAM, 0, message))
        else:
            self.problems.append(Problem(self.file, line_of(self._lines, path), message))

    def _place(self, path: KeyPath) -> str:
        if self._is_given(path):
            return f"{MODPARAM}: "
        return f"{self.file}:{line_of(self._lines, path)}: " if self.file else ""

    def _wrong(self, path: KeyPath, name: str, value: object, allowed: str, why: str = "") -> None:
        if path[-1] == "db_url":
            value = without_password(value)
        self._problem(path, refusal(name, value, why, allowed))

    def _unknown(
        self, path: KeyPath, found: dict[str, Any], known: list[str], what: str = "parameter"
    ) -> None:
        for name, value in found.items():
            if name in known:
                continue
            full = ".".join([*(part for part in path if isinstance(part, str)), name])
            close = difflib.get_close_matches(name, known, 1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            given = "" if what == "table" else f" = {shown(value)}"
            self._problem(
                (*path, name),
                f"unknown {what} {shown(full)[1:-1]}{given}{hint}; allowed: {', '.join(known)}",
            )

    def _table(self, data: dict[str, Any], name: str) -> dict[str, Any]:
        table = data.get(name, {})
        if not isinstance(table, dict):
            self._wrong((name,), name, table, f"a table, [{name}]")
            return {}
        known = [*schema.TABLES[name]]
        self._unknown((name,), table, [*known, "route"] if name == "sip" else known)
        return self._values((name,), name, table, schema.TABLES[name])

    def _values(
        self, path: KeyPath, name: str, table: dict[str, Any], readers: schema.Table
    ) -> dict[str, Any]:
        good: dict[str, Any] = {}
        for key, value in table.items():
            reader = readers.get(key)
            if reader is not None:
                self._read((*path, key), f"{name}.{key}", reader, value, good)
        return good

    def _read(
        self, path: KeyPath, name: str, reader: Reader, value: object, good: dict[str, Any]
    ) -> None:
        try:
            good[str(path[-1])] = reader.read(value)
        except (TypeError, ValueError) as error:
            why = str(error) if isinstance(error, Refused) else ""
            self._wrong(path, name, value, reader.allowed, why)

    def _sip(self, data: dict[str, Any], good: dict[str, Any]) -> SipSettings:
        table = data.get("sip")
        routes = table.get("route", []) if isinstance(table, dict) else []
        settings = SipSettings(**good)
        if not settings.t1 <= settings.t2:
            key = "t2" if "t2" in good else "t1"
            self._wrong(
                ("sip", key),
                f"sip.{key}",
                good[key],
                f"t1 not above t2 (here t1 = {settings.t1:g}, t2 = {settings.t2:g})",
            )
        return SipSettings(**good, routes=self._routes(routes, settings.max_branches))

    def _routes(self, routes: object, max_branches: int) -> tuple[Route, ...]:
        if not isinstance(routes, list) or not all(isinstance(item, dict) for item in routes):
            self._wrong(("sip", "route"), "sip.route", routes, "tables, each [[sip.route]]")
            return ()
        found = []
        open_route = 0
        for number, table in enumerate(routes):
            path: KeyPath = ("sip", "route", number)
            self._unknown(path, table, [*schema.ROUTE])
            good = self._values(path, "sip.route", table, schema.ROUTE)
            if "targets" not in table:
                self._problem(path, "sip.route has no targets; a route needs at least one")
            if len(good.get("targets", ())) > max_branches:
                self._wrong(
                    (*path, "targets"),
                    "sip.route.targets",
                    table["targets"],
                    f"at most sip.max_branches = {max_branches} targets",
                )
            if open_route:
                self.warnings.append(
                    f"{self._place(path)}this sip.route is never reached: "
                    f"the one on line {open_route} takes every request"
                )
            elif not {"domain", "user_prefix"} & table.keys():
                open_route = line_of(self._lines, path)
            if "targets" in good:
                found.append(Route(**good))
        return tuple(found)

    def _dialog(self, good: dict[str, Any]) -> DialogSettings:
        path = "ims_dialog"
        if good.get("dlg_match_mode"):
            self.warnings.append(
                f"{self._place((path, 'dlg_match_mode'))}ims_dialog.dlg_match_mode is "
                "deprecated and has no effect: did first, then Call-ID and tags"
            )
        size = good.get("hash_size", 1)
        if size & (size - 1):
            good["hash_size"] = 1 << (size.bit_length() - 1)
            self.warnings.append(
                f"{self._place((path, 'hash_size'))}ims_dialog.hash_size = {size} is not a "
                f"power of two, rounded down to {good['hash_size']}"
            )
        settings = DialogSettings(**good)
        for name in settings.profiles_no_value:
            if name in settings.profiles_with_value:
                key = "profiles_no_value"
                self._wrong(
                    (path, key),
                    f"{path}.{key}",
                    "; ".join(settings.profiles_no_value),
                    "a name in one of the two lists",
                    f"{name} is in profiles_with_value too",
                )
        return settings

    def _routing(self, good: dict[str, Any], source: Path | None) -> RoutingSettings:
        if source is not None and "script" in good:
            given, good["script"] = good["script"], str(source.parent / good["script"])
            if not os.path.isfile(good["script"]):  # noqa: PTH113 - False too for what is no name
                why = f"there is no file {shown(good['script'])}"
                allowed = schema.ROUTING["script"].allowed
                self._wrong(("routing", "script"), "routing.script", given, allowed, why)
        return RoutingSettings(**good)

    def _http(self, good: dict[str, Any]) -> HttpSettings:
        if "listen" in good:
            good["host"], good["port"] = good.pop("listen")
            if not ipaddress.ip_address(good["host"]).is_loopback:
                self.warnings.append(
                    f"{self._place(('http', 'listen'))}http.listen is not a loopback address: "
                    "whoever reaches it can list and end calls"
                )
        return HttpSettings(**good)
