"""What a configuration that has been read again changes, and what of it only a restart can."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from dlgmgmt.config.dialog_values import without_password
from dlgmgmt.config.load import Config
from dlgmgmt.config.problems import shown
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
                "profiles_with_value",
                "profiles_no_value",
            }
        ),
        "routing": frozenset({"workers", "max_queue"}),
    }
)
"""Parameters that hold from the start to the end, by table. So do those of [mi_fifo] and [http]."""


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
    ``applied``, the old values of ``restart`` included.
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
    applied: list[Change] = []
    restart: list[Change] = []
    pairs = {
        "sip": (old.sip, new.sip),
        "mi_fifo": (old.fifo, new.fifo),
        "http": (old.http, new.http),
        "ims_dialog": (old.dialog, new.dialog),
        "routing": (old.routing, new.routing),
    }
    for table, (before, after) in pairs.items():
        for change in _differences(table, before, after):
            name = change.name.partition(".")[2]
            stays = table in ("mi_fifo", "http") or name in fixed[table]
            (restart if stays else applied).append(change)
    return Changes(
        tuple(applied),
        tuple(restart),
        replace(
            new,
            run_dir=old.run_dir,
            sip=_kept(old.sip, new.sip, fixed["sip"]),
            dialog=_kept(old.dialog, new.dialog, fixed["ims_dialog"]),
            fifo=old.fifo,
            http=old.http,
            routing=_kept(old.routing, new.routing, fixed["routing"]),
        ),
    )


def _differences(table: str, before: Any, after: Any) -> Iterator[Change]:
    for item in fields(before):
        old, new = getattr(before, item.name), getattr(after, item.name)
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
