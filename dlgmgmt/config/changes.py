"""What a configuration that has been read again changes, and what of it only a restart can."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from dlgmgmt.config.dialog_values import without_password
from dlgmgmt.config.load import Config
from dlgmgmt.config.problems import shown
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.sip.settings import Route

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
                "db_update_period",
                "db_fetch_rows",
            }
        ),
        "routing": frozenset({"workers", "max_queue"}),
    }
)
"""Parameters that hold from the start to the end, by table. So do those of [mi_fifo] and [http].

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
        sip=_kept(old.sip, new.sip, fixed["sip"]),
        dialog=replace(dialog, **_profiles(old.dialog, new.dialog)),
        fifo=old.fifo,
        http=old.http,
        routing=_kept(old.routing, new.routing, fixed["routing"]),
    )
    return Changes(tuple(_differences(old, in_force)), tuple(_differences(in_force, new)), in_force)


def _profiles(old: DialogSettings, new: DialogSettings) -> dict[str, tuple[str, ...]]:
    """The profiles there were, each of its kind, and the names that are new."""
    known = {*old.profiles_with_value, *old.profiles_no_value}
    return {
        kind: (*getattr(old, kind), *(name for name in getattr(new, kind) if name not in known))
        for kind in ("profiles_with_value", "profiles_no_value")
    }


def _differences(old: Config, new: Config) -> Iterator[Change]:
    yield from _table_differences("sip", old.sip, new.sip)
    yield from _table_differences("mi_fifo", old.fifo, new.fifo)
    yield from _table_differences("http", old.http, new.http)
    yield from _table_differences("ims_dialog", old.dialog, new.dialog)
    yield from _table_differences("routing", old.routing, new.routing)


def _table_differences(table: str, before: Any, after: Any) -> Iterator[Change]:
    for item in fields(before):
        old, new = getattr(before, item.name), getattr(after, item.name)
        if item.name.startswith("profiles_") and set(old) == set(new):
            continue
        if old != new:
            name = "route" if (table, item.name) == ("sip", "routes") else item.name
            yield Change(f"{table}.{name}", _printed(item.name, old), _printed(item.name, new))


def _printed(name: str, value: Any) -> str:
    if name == "routes":
        return shown(" | ".join(_route(route) for route in value))
    if name == "listen":
        return shown(" ".join(f"{one.transport}:{one.host}:{one.port}" for one in value))
    if name.startswith("profiles_"):
        return shown("; ".join(value))
    if name == "fifo_mode":
        return shown(f"{value:04o}")
    return shown(without_password(value) if name == "db_url" else value)


def _route(route: Route) -> str:
    matched = f"{route.user_prefix or ''}*@{route.domain or '*'}"
    return f"{matched} to {' '.join(route.targets)} {route.fork}"


def _kept(old: Any, new: Any, names: set[str]) -> Any:
    return replace(new, **{name: getattr(old, name) for name in names})
