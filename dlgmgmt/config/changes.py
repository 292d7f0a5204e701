"""What a configuration that has been read again changes, and what of it only a restart can."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from dlgmgmt.config import schema
from dlgmgmt.config.database import FIELDS
from dlgmgmt.config.dialog_values import without_password
from dlgmgmt.config.load import Config
from dlgmgmt.config.problems import shown
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.interfaces.settings import SocketAddress
from dlgmgmt.sip.settings import AllowRule, Listener, Route, SipSettings
from dlgmgmt.storage.settings import StorageSettings

FIXED: Final = MappingProxyType(
    {
        # Sockets, transactions and the table are made once, with these.
        "sip": frozenset({"listen", "t1", "t2", "t4", "max_message"}),
        "ims_dialog": frozenset(
            {
                "enable_stats",
                "hash_size",
                # Calls in progress bear it in their Route.
                "rr_param",
                "db_url",
                "db_mode",
                "db_fetch_rows",
            }
        ),
        "database": frozenset(
            {
                "db_sync_confirm",
                "owner",
                "on_expired",
                "expired_rate",
                "while_loading",
                "connect_timeout",
                "synchronous",
                "upgrade",
                "rescue_dir",
                "retry_max",
                "answer_timeout",
            }
        ),
        "routing": frozenset({"workers", "max_queue"}),
        "access": frozenset({"audit_log", "audit_max_bytes", "audit_files"}),
    }
)
"""Parameters that hold from the start to the end, by table.

So do all of [sip.stream] and of the interfaces: [mi_fifo], [mi_datagram], [http], [jsonrpc_fifo],
[jsonrpc_sock], [binrpc].

Of the profiles, new names are added at run time; what is removed or moved waits.
"""


class Change(NamedTuple):
    """A parameter that is not what it was. old, new: as they may be printed."""

    name: str
    old: str
    new: str

    def __str__(self) -> str:
        """As the log says it."""
        return f"{self.name}: {self.old} -> {self.new}"


@dataclass(slots=True, frozen=True)
class Changes:
    """What becomes of a new configuration.

    applied: takes effect at once. restart: waits for a restart. config: all that is in force with
    ``applied``, the old values of ``restart`` included. A parameter may stand in both, if it takes
    effect in part.
    """

    applied: tuple[Change, ...]
    restart: tuple[Change, ...]
    config: Config


def compare(old: Config, new: Config) -> Changes:
    """What to do where ``old`` is in force and ``new`` has been read."""
    fixed = {name: set(names) for name, names in FIXED.items()}
    if (old.routing.script is None) != (new.routing.script is None):
        # The threads that run scripts, or the lack of them, are there from the start.
        fixed["routing"].add("script")
    dialog = _kept(old.dialog, new.dialog, fixed["ims_dialog"])
    in_force = replace(
        new,
        run_dir=old.run_dir,
        sip=_guarded(old.sip, _kept(old.sip, new.sip, fixed["sip"] | {"stream"}), new.sip.listen),
        dialog=replace(dialog, **_profiles(old.dialog, new.dialog)),
        fifo=old.fifo,
        mi_datagram=old.mi_datagram,
        http=old.http,
        jsonrpc_fifo=old.jsonrpc_fifo,
        jsonrpc_sock=old.jsonrpc_sock,
        binrpc=old.binrpc,
        routing=_kept(old.routing, new.routing, fixed["routing"]),
        access=_kept(old.access, new.access, fixed["access"]),
        storage=_storage(old.storage, new.storage, fixed["ims_dialog"] | fixed["database"]),
        while_loading=old.while_loading,
    )
    return Changes(tuple(_differences(old, in_force)), tuple(_differences(in_force, new)), in_force)


def _guarded(old: SipSettings, in_force: SipSettings, listen: tuple[Listener, ...]) -> SipSettings:
    """What listeners need that the new file has no more, but that stay until the restart.

    Without its rules such a listener would be open to everybody, and without its certificate of
    no use.
    """
    tls = in_force.tls
    if tls.certificate is None:
        tls = replace(tls, certificate=old.tls.certificate, private_key=old.tls.private_key)
    rules = tuple(rule for rule in old.allow if rule.listen not in listen)
    return replace(in_force, tls=tls, allow=(*in_force.allow, *rules))


def _storage(old: StorageSettings, new: StorageSettings, names: set[str]) -> StorageSettings:
    """As _kept, with the names of parameters; those of other tables are left out."""
    known = {item.name for item in fields(StorageSettings)}
    kept: StorageSettings = _kept(old, new, {FIELDS.get(name, name) for name in names} & known)
    return kept


def _profiles(old: DialogSettings, new: DialogSettings) -> dict[str, tuple[str, ...]]:
    """The profiles there were, each of its kind, and the names that are new."""
    known = {*old.profiles_with_value, *old.profiles_no_value}
    return {
        kind: (*getattr(old, kind), *(name for name in getattr(new, kind) if name not in known))
        for kind in ("profiles_with_value", "profiles_no_value")
    }


def _differences(old: Config, new: Config) -> Iterator[Change]:
    yield from _table_differences("sip", old.sip, new.sip)
    for part in ("stream", "tls", "dns", "limits"):
        name = f"sip.{part}"
        yield from _table_differences(name, getattr(old.sip, part), getattr(new.sip, part))
    yield from _table_differences("mi_fifo", old.fifo, new.fifo)
    yield from _table_differences("mi_datagram", old.mi_datagram, new.mi_datagram)
    yield from _table_differences("http", old.http, new.http)
    yield from _table_differences("jsonrpc_fifo", old.jsonrpc_fifo, new.jsonrpc_fifo)
    yield from _table_differences("jsonrpc_sock", old.jsonrpc_sock, new.jsonrpc_sock)
    yield from _table_differences("binrpc", old.binrpc, new.binrpc)
    yield from _table_differences("access", old.access, new.access)
    yield from _table_differences("ims_dialog", old.dialog, new.dialog)
    yield from _database_differences(old, new)
    yield from _table_differences("routing", old.routing, new.routing)
    yield from _table_differences("trace", old.sip.trace, new.sip.trace)


def _table_differences(table: str, before: Any, after: Any) -> Iterator[Change]:
    for item in fields(before):
        old, new = getattr(before, item.name), getattr(after, item.name)
        if is_dataclass(old):
            continue  # a table of its own
        if item.name.startswith("profiles_") and set(old) == set(new):
            continue
        if old != new:
            name = "route" if (table, item.name) == ("sip", "routes") else item.name
            yield Change(f"{table}.{name}", _printed(item.name, old), _printed(item.name, new))


def _database_differences(old: Config, new: Config) -> Iterator[Change]:
    for name in schema.DATABASE:
        if name == "while_loading":
            before: object = old.while_loading
            after: object = new.while_loading
        else:
            field = FIELDS.get(name, name)
            before, after = getattr(old.storage, field), getattr(new.storage, field)
        if before != after:
            yield Change(f"database.{name}", _printed(name, before), _printed(name, after))


def _printed(name: str, value: Any) -> str:
    printer = _PRINTERS.get(name)
    return shown(value if printer is None or value is None else printer(value))


def _route(route: Route) -> str:
    matched = f"{route.user_prefix or ''}*@{route.domain or '*'}"
    fixed = " fix_contact" if route.fix_contact else ""
    return f"{matched} to {' '.join(route.targets)} {route.fork}{fixed}"


def _listener(one: Listener | SocketAddress) -> str:
    if isinstance(one, SocketAddress):
        return str(one)
    return f"{one.transport}:{one.host}:{one.port}"


def _rule(rule: AllowRule) -> str:
    return f"{_listener(rule.listen)} from {_words(rule.networks)}"


def _words(values: Iterable[object]) -> str:
    return " ".join(str(value) for value in values)


def _host_port(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"


_PRINTERS: Final[dict[str, Callable[[Any], object]]] = {
    "routes": lambda value: " | ".join(_route(route) for route in value),
    "allow": lambda value: " | ".join(_rule(rule) for rule in value),
    "listen": lambda value: _words(_listener(one) for one in value),
    "trusted": _words,
    "servers": lambda value: _words(_host_port(one) for one in value),
    "hep": _host_port,
    "hep_password": lambda value: "***" if value else "",
    "profiles_with_value": "; ".join,
    "profiles_no_value": "; ".join,
    "fifo_mode": lambda value: f"{value:04o}",
    "socket_mode": lambda value: f"{value:04o}",
    "db_url": without_password,
    "rescue_dir": str,
}
"""How values are shown that do not show themselves."""


def _kept(old: Any, new: Any, names: set[str]) -> Any:
    return replace(new, **{name: getattr(old, name) for name in names})
