"""``dlgmgmt db restore`` and ``import``: all is written in one transaction, or nothing."""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from sqlalchemy import URL

from dlgmgmt.cli.db_common import (
    FAULTS,
    OK,
    OWNER,
    PROGRAM,
    USAGE,
    Failure,
    must_exist,
    name_of,
    url_of,
)
from dlgmgmt.cli.progress import Progress
from dlgmgmt.cli.text import complain
from dlgmgmt.dialog.record import DialogRecord
from dlgmgmt.storage import importer_dialog, importer_ims, jsonl
from dlgmgmt.storage.check import Trial
from dlgmgmt.storage.database import Database
from dlgmgmt.storage.errors import RowFault
from dlgmgmt.storage.importer import Found, Imported, Kind, kinds, source
from dlgmgmt.storage.jsonl import Ended, Header, Reader
from dlgmgmt.storage.settings import StorageSettings
from dlgmgmt.storage.transfer import Plan, Transfer
from dlgmgmt.storage.url import parse_url, shown

_READERS = {"ims_dialog": importer_ims.read, "dialog": importer_dialog.read}
_PAGE = 1000


# -- restore ---------------------------------------------------------------------------------


def restore(settings: StorageSettings, options: argparse.Namespace) -> int:
    """Write the dialogs of a file into the database; returns the exit code."""
    header, dialogs, ends = _read_file(options.file)
    if options.owner is None:
        if options.url is not None:
            settings = replace(settings, owner=header.owner or OWNER)
        elif header.owner not in (None, settings.owner):
            raise Failure(
                f"{options.file} has the dialogs of owner {header.owner}, the configuration is of "
                f"{settings.owner}: say --owner",
                USAGE,
            )
    if options.replace and not header.whole:
        raise Failure(f"{options.file} is no dump of all dialogs: --replace is not for it", USAGE)
    database = Database(settings)
    database.open()
    try:
        with ExitStack() as locks:
            # A dump may be older than the places that its calls have now.
            exact = header.owner == settings.owner and not header.whole
            plan = _planned(database, settings, dialogs, ends, locks, options, exact=exact)
            database.write(plan.batch)
    finally:
        database.close()
    print(
        f"{name_of(database.url)}: {plan.added} dialogs added, {plan.replaced} replaced,"
        f" {plan.ended} ended, {plan.moved} moved to another place"
    )
    return OK


def _read_file(path: Path) -> tuple[Header, list[DialogRecord | Ended], list[Ended]]:
    """Everything in order, and the ends of other owners' calls; nothing bad is in it."""
    trial = Trial(time.time())
    faults: list[str] = []
    items: list[DialogRecord | Ended] = []
    others: list[Ended] = []
    with path.open("rb") as file:
        reader = Reader(jsonl.lines_of(file), str(path))
        header = reader.header
        for item in Progress("lines").count(reader):
            if isinstance(item, Ended):
                (items if item.owner == header.owner else others).append(item)
                continue
            text = trial.fault(item)
            if text:
                faults.append(f"{path} line {reader.line}: {text}")
            items.append(item)
    for fault in faults:
        complain(PROGRAM, fault)
    if faults:
        raise Failure(f"{path}: {len(faults)} dialogs cannot be restored; nothing was changed")
    return header, items, others


def _planned(
    database: Database,
    settings: StorageSettings,
    items: list[DialogRecord | Ended],
    others: list[Ended],
    locks: ExitStack,
    options: argparse.Namespace,
    *,
    exact: bool,
) -> Plan:
    there = (stored for page in database.read(settings.owner, _PAGE) for stored in page)
    transfer = Transfer(settings.owner, there, replace=True, exact=exact)
    if options.replace:
        transfer.clear()
    for item in items:
        if isinstance(item, Ended):
            transfer.end(item)
        else:
            transfer.add(item)
    plan = transfer.plan()
    for owner in dict.fromkeys(item.owner for item in others):
        ended = [item for item in others if item.owner == owner]
        if owner is None:
            _end_foreign(database, ended, plan)
            continue
        # Its daemon must not run: it would write its row again.
        locks.enter_context(database.take_owner(owner))
        rest = (stored for page in database.read(owner, _PAGE) for stored in page)
        other = Transfer(owner, rest, replace=True)
        for item in ended:
            other.end(item)
        more = other.plan()
        plan.batch.deletes += more.batch.deletes
        plan.ended += more.ended
    return plan


def _end_foreign(database: Database, ended: list[Ended], plan: Plan) -> None:
    """Calls that kamailio's rows tell of."""
    calls = {(item.callid, item.from_tag) for item in ended}
    with source(database.url) as connection:
        for record, rows in importer_ims.read(connection, time.time(), Found()):
            if (record.callid, record.from_tag) in calls:
                plan.ended += 1
                for table, ids in rows.items():
                    plan.batch.row_ids.setdefault(table, []).extend(ids)


# -- import ----------------------------------------------------------------------------------


def import_(settings: StorageSettings, options: argparse.Namespace) -> int:
    """Write the calls of a kamailio into the database; returns the exit code."""
    url = url_of(options.source, "--from")
    database = None
    if not options.dry_run:
        database = Database(settings)
        database.open()
    try:
        found = Found()
        kind, calls = _read_kamailio(url, options.kind, found)
        plan = _imported(database, settings, kind, calls, found, url)
        if database is not None:
            database.write(plan.batch)
    finally:
        if database is not None:
            database.close()
    for record in plan.present:
        complain(PROGRAM, f"the call {record.callid} is there already")
    verb = "would be imported" if options.dry_run else "imported"
    print(
        f"{name_of(url)}: {kind}: {plan.added} calls {verb}; left out: {found.early} early,"
        f" {found.ended} ended, {len(plan.present)} that are there already,"
        f" {len(found.faults)} faults"
    )
    return FAULTS if found.faults else OK


def _read_kamailio(url: URL, wanted: Kind | None, found: Found) -> tuple[Kind, list[Imported]]:
    must_exist(url)
    with source(url) as connection:
        there = kinds(connection)
        if wanted is None:
            if not there:
                raise Failure(f"{shown(url)}: there are no tables of kamailio's dialogs")
            if len(there) > 1:
                raise Failure(f"{shown(url)}: there are tables of both modules: say --kind", USAGE)
        kind = wanted or there[0]
        items = _READERS[kind](connection, time.time(), found)
        return kind, list(Progress("calls").count(items))


def _imported(
    database: Database | None,
    settings: StorageSettings,
    kind: Kind,
    calls: list[Imported],
    found: Found,
    url: URL,
) -> Plan:
    """What is to be written; in a database that kamailio shared, its rows go with it."""
    there = () if database is None else database.read(settings.owner, _PAGE)
    transfer = Transfer(settings.owner, (one for page in there for one in page), replace=False)
    own = _same(url, parse_url(settings.url))
    trial = Trial(time.time())
    for record, rows in calls:
        text = trial.fault(record, own=False)
        if text:
            table = "dialog" if kind == "dialog" else "dialog_in"
            found.faults.append(RowFault(table, rows[table][0], text))
        else:
            transfer.add(record, _ours(rows) if own else None)
    for fault in found.faults:
        complain(PROGRAM, str(fault))
    plan = transfer.plan()
    for rows in found.gone if own else ():
        for name, ids in _ours(rows).items():
            plan.batch.row_ids.setdefault(name, []).extend(ids)
    return plan


def _ours(rows: dict[str, list[int]]) -> dict[str, list[int]]:
    """Those in tables that the daemon uses too; ``dialog`` stays as it is."""
    return {name: ids for name, ids in rows.items() if name != "dialog"}


def _same(one: URL, other: URL) -> bool:
    return (one.get_backend_name(), one.host, one.port, one.database) == (
        other.get_backend_name(),
        other.host,
        other.port,
        other.database,
    )
