"""Reading and checking the configuration file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dlgmgmt.config import modparam, schema
from dlgmgmt.config.access import access_settings, check_doors, http_files
from dlgmgmt.config.database import DATABASE_FILE, DEMO_FILE, file_url, storage_settings
from dlgmgmt.config.problems import MODPARAM, ConfigError, Problem, shown
from dlgmgmt.config.rundir import fifo_path, private_directory, reply_path, run_directory
from dlgmgmt.config.sip_tables import sip_settings
from dlgmgmt.config.statedir import make_state_directory, state_directory
from dlgmgmt.config.tables import TableReader
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.interfaces.settings import (
    AccessSettings,
    BinrpcSettings,
    HttpSettings,
    JsonFifoSettings,
    JsonSockSettings,
    MiDatagramSettings,
)
from dlgmgmt.interfaces.tokens import Credentials
from dlgmgmt.routing.settings import RoutingSettings
from dlgmgmt.sip.settings import SipSettings
from dlgmgmt.storage.settings import StorageSettings
from mi_fifo import FifoSettings

_MAX_FILE = 1_048_576


@dataclass(slots=True, frozen=True)
class Config:
    """All settings. source: the file they came from, None for the embedded defaults.

    warnings: lines to log at the start, about values that were taken but not as they stood.
    modparams: what the command line said, for when the file is read again. credentials: who is
    known by a token or certificate, None where neither file nor environment names anybody.
    storage: of the database, whose mode may be 0. while_loading: "refuse" or "forward", what
    becomes of requests of calls that may be in the database but have not been loaded. data_dir:
    where the database lies unless told otherwise. demo: it is for the daemon with demo phones.
    """

    source: Path | None
    run_dir: Path
    sip: SipSettings
    dialog: DialogSettings
    fifo: FifoSettings
    http: HttpSettings
    storage: StorageSettings
    data_dir: Path
    jsonrpc_fifo: JsonFifoSettings = field(default_factory=JsonFifoSettings)
    jsonrpc_sock: JsonSockSettings = field(default_factory=JsonSockSettings)
    binrpc: BinrpcSettings = field(default_factory=BinrpcSettings)
    routing: RoutingSettings = field(default_factory=RoutingSettings)
    warnings: tuple[str, ...] = ()
    modparams: tuple[str, ...] = ()
    access: AccessSettings = field(default_factory=AccessSettings)
    credentials: Credentials | None = None
    mi_datagram: MiDatagramSettings = field(default_factory=MiDatagramSettings)
    while_loading: Literal["refuse", "forward"] = "refuse"
    demo: bool = False

    def prepare(self) -> None:
        """See to a plain user's run directory, and the state directory, before they are used.

        Root's run directory, and those that the configuration names, are made by the FIFO server
        with the rights that its settings ask for. Raises RunDirectoryError.
        """
        mine = {str(fifo_path(self.run_dir)), str(reply_path(self.run_dir))}
        if os.geteuid() != 0 and mine & {self.fifo.fifo_name, self.fifo.reply_dir}:
            private_directory(self.run_dir)
        storage = self.storage
        own = file_url(self.data_dir / DATABASE_FILE)
        used = storage.url == own or storage.rescue_dir == self.data_dir
        # A demo's is the run directory.
        if storage.mode and used and not self.demo:
            make_state_directory(self.data_dir)


def load(
    path: Path | None,
    env: Mapping[str, str],
    modparams: Iterable[str] = (),
    *,
    demo: bool = False,
) -> Config:
    """Read ``path``, or take the embedded defaults for None; changes nothing on the disk.

    env: XDG_RUNTIME_DIR and TMPDIR say where the run directory of a plain user is, XDG_STATE_HOME
    and HOME where his state directory, DLGMGMT_TOKENS who may use the doors. modparams:
    "name=value" of the command line, which override the file. demo: the daemon runs with demo
    phones, whose calls are kept in the run directory unless told otherwise.
    Raises ConfigError with everything that is wrong with the file and them.
    """
    text = "" if path is None else _read(path)
    reader = _Loader("" if path is None else str(path), text, tuple(modparams))
    config = reader.config(path, env, demo=demo)
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


class _Loader(TableReader):
    """Reads every table into the settings of its room."""

    def config(self, source: Path | None, env: Mapping[str, str], *, demo: bool) -> Config:
        """Read every table; what is wrong lands in ``problems``."""
        run_dir = run_directory(env)
        data_dir = run_dir if demo else state_directory(env)
        data = self.parse()
        self.unknown((), data, [*schema.TABLES], "table")
        further = {"sip": (*schema.WITHIN_SIP, *schema.SIP_LISTS)}
        tables = {
            name: self.table((name,), data, readers, further.get(name, ()))
            for name, readers in schema.TABLES.items()
        }
        self._command_line(tables["ims_dialog"])
        sip = sip_settings(self, data, tables["sip"], tables["trace"], source)
        fifo = {"fifo_name": str(fifo_path(run_dir)), "reply_dir": str(reply_path(run_dir))}
        http = self._http(tables["http"], source)
        sock = JsonSockSettings(**tables["jsonrpc_sock"])
        binrpc = BinrpcSettings(**tables["binrpc"])
        mi_datagram = MiDatagramSettings(**tables["mi_datagram"])
        access, credentials = access_settings(self, tables["access"], source, env)
        check_doors(self, http, sock, (mi_datagram, binrpc), access, credentials)
        if demo:
            tables["ims_dialog"].setdefault("db_mode", 1)
        dialog = self._dialog(tables["ims_dialog"])
        while_loading = tables["database"].pop("while_loading", "refuse")
        file = data_dir / (DEMO_FILE if demo else DATABASE_FILE)
        return Config(
            source,
            run_dir,
            sip,
            dialog,
            FifoSettings(**(fifo | tables["mi_fifo"])),
            http,
            storage_settings(self, tables["database"], dialog, file, sip.t1),
            data_dir,
            JsonFifoSettings(**({"reply_dir": fifo["reply_dir"]} | tables["jsonrpc_fifo"])),
            sock,
            binrpc,
            self._routing(tables["routing"], source),
            tuple(self.warnings),
            self.modparams,
            access,
            credentials,
            mi_datagram,
            while_loading,
            demo,
        )

    def _command_line(self, table: dict[str, Any]) -> None:
        """Let ``--modparam`` override what the file says of ``[ims_dialog]``."""
        for argument in self.modparams:
            found = modparam.parse(argument)
            if isinstance(found, Problem):
                self.problems.append(found)
                continue
            path = ("ims_dialog", found.name)
            self.given.add(found.name)
            reader = schema.IMS_DIALOG.get(found.name)
            if reader is None:
                self.unknown(path[:1], {found.name: found.value}, [*schema.IMS_DIALOG])
            else:
                self.read(path, ".".join(path), reader, reader.from_text(found.value), table)

    def _dialog(self, good: dict[str, Any]) -> DialogSettings:
        path = "ims_dialog"
        if good.get("dlg_match_mode"):
            self.warnings.append(
                f"{self.place((path, 'dlg_match_mode'))}ims_dialog.dlg_match_mode is "
                "deprecated and has no effect: did first, then Call-ID and tags"
            )
        size = good.get("hash_size", 1)
        if size & (size - 1):
            good["hash_size"] = 1 << (size.bit_length() - 1)
            self.warnings.append(
                f"{self.place((path, 'hash_size'))}ims_dialog.hash_size = {size} is not a "
                f"power of two, rounded down to {good['hash_size']}"
            )
        settings = DialogSettings(**good)
        for name in settings.profiles_no_value:
            if name in settings.profiles_with_value:
                key = "profiles_no_value"
                self.wrong(
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
                self.wrong(("routing", "script"), "routing.script", given, allowed, why)
        return RoutingSettings(**good)

    def _http(self, good: dict[str, Any], source: Path | None) -> HttpSettings:
        if "listen" in good:
            good["host"], good["port"] = good.pop("listen")
        http_files(self, good, source)
        return HttpSettings(**good)
