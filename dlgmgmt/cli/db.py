"""``dlgmgmt db``: what is in the database, checked, written out, put back, taken over.

Exit codes: 0 done; 1 it failed, and nothing was changed; 2 the command line or the configuration is
wrong; 3 done, but for rows that cannot be used, each of which was named.
"""

from __future__ import annotations

import argparse
import gc
import os
import shlex
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from dlgmgmt.cli.db_common import (
    FAILED,
    FAULTS,
    INTERRUPTED,
    OK,
    OWNER,
    PROGRAM,
    USAGE,
    Failure,
    must_exist,
    name_of,
    say_fault,
    url_of,
)
from dlgmgmt.cli.db_write import import_, restore
from dlgmgmt.cli.files import new_file
from dlgmgmt.cli.progress import Progress
from dlgmgmt.cli.text import complain, visible
from dlgmgmt.config import ConfigError, load
from dlgmgmt.dialog.record import DialogRecord
from dlgmgmt.storage import jsonl
from dlgmgmt.storage.check import Checked, dialogs_of, foreign_dialogs
from dlgmgmt.storage.database import Database
from dlgmgmt.storage.drivers import integrity, target_of
from dlgmgmt.storage.errors import Damaged, RowFault, StorageError
from dlgmgmt.storage.jsonl import Header, LinesError
from dlgmgmt.storage.migrate import ensure, upgrade
from dlgmgmt.storage.settings import MAX_OWNER, StorageSettings
from dlgmgmt.storage.url import SQLITE, parse_url


def run(options: argparse.Namespace) -> int:
    """Do what the command line says; returns the exit code."""
    # All dialogs are kept until the end: there is nothing to be collected.
    gc.disable()
    try:
        settings = _settings(options)
        action = {
            "check": _check,
            "dump": _dump,
            "restore": restore,
            "import": import_,
            "upgrade": _upgrade,
        }[options.action]
        try:
            return action(settings, options)
        except Damaged as error:
            return _damaged(settings, error)
    except ConfigError as error:
        for problem in error.problems:
            complain(PROGRAM, str(problem))
        return USAGE
    except Failure as error:
        complain(PROGRAM, str(error))
        return error.code
    except (StorageError, LinesError) as error:
        complain(PROGRAM, str(error))
        return FAILED
    except BrokenPipeError:
        # Whoever read stdout has read enough; the interpreter must not try to flush it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        complain(PROGRAM, f"{error.filename or 'file'}: {error.strerror or error}")
        return FAILED
    except KeyboardInterrupt:
        complain(PROGRAM, "interrupted; nothing was changed")
        return INTERRUPTED
    finally:
        gc.enable()


def _damaged(settings: StorageSettings, error: Damaged) -> int:
    """Say where the file is damaged, and how what can be read of it becomes a new one."""
    complain(PROGRAM, str(error))
    target = target_of(settings, parse_url(settings.url))
    lines = integrity(target) if target.kind == SQLITE else []
    # Of a file that never was a database there is nothing more to say.
    if lines and lines[0] not in str(error):
        for line in lines:
            print(visible(line))
        file = shlex.quote(str(target.path))
        complain(
            PROGRAM,
            f"what can be read becomes a new file with: sqlite3 {file} .recover | sqlite3 NEW",
        )
    return FAILED


def _settings(options: argparse.Namespace) -> StorageSettings:
    for name in ("url", "source"):
        if getattr(options, name, None) == "-":
            setattr(options, name, sys.stdin.readline().strip())
    owner = getattr(options, "owner", None)
    if owner is not None and not (0 < len(owner) <= MAX_OWNER and owner.isprintable()):
        raise Failure(f"--owner has 1 to {MAX_OWNER} printable characters", USAGE)
    if options.url is None:
        settings = load(options.config, os.environ).storage
    else:
        settings = StorageSettings(
            url=options.url, mode=1, update_period=60, fetch_rows=1000, rescue_dir=Path()
        )
    url_of(settings.url, "--url" if options.url is not None else "db_url")
    # All rows count here, also those of calls that are overdue.
    settings = replace(settings, on_expired="bye", upgrade=True)
    return settings if owner is None else replace(settings, owner=owner)


def _existing(settings: StorageSettings) -> Database:
    """The database as it is: nothing is made or changed in it."""
    url = parse_url(settings.url)
    must_exist(url)
    ensure(target_of(settings, url), automatic=False)
    database = Database(settings, lock=False)
    database.open()
    return database


# -- check -----------------------------------------------------------------------------------


def _check(settings: StorageSettings, options: argparse.Namespace) -> int:
    database = _existing(settings)
    try:
        print(f"{name_of(database.url)}: the tables are of this version")
        owners = database.owners()
        if options.owner is not None:
            owners = [item for item in owners if item[0] == options.owner]
            owners = owners or [(options.owner, 0)]
        bad = 0
        for owner, count in owners:
            bad += _check_owner(database, settings, owner, count)
        if not owners:
            print("no dialogs")
    finally:
        database.close()
    return FAULTS if bad else OK


def _check_owner(
    database: Database, settings: StorageSettings, owner: str | None, count: int
) -> int:
    now = time.time()
    seen = Checked()
    progress = Progress("dialogs", count)
    items = (
        foreign_dialogs(database.url, now, seen)
        if owner is None
        else dialogs_of(database, settings, owner, now, seen)
    )
    for item in progress.count(items):
        if isinstance(item, RowFault):
            say_fault(progress, item)
    who = "without owner, which kamailio wrote" if owner is None else f"of owner {visible(owner)}"
    parts = [f"{seen.dialogs} good", f"{seen.early} early", f"{seen.faults} faults"]
    if seen.stray_legs or seen.stray_variables:
        parts.append(f"{seen.stray_legs} legs and {seen.stray_variables} variables of no dialog")
    print(f"dialogs {who}: {', '.join(parts)}")
    return seen.faults + seen.stray_legs + seen.stray_variables


# -- dump ------------------------------------------------------------------------------------


def _dump(settings: StorageSettings, options: argparse.Namespace) -> int:
    database = _existing(settings)
    try:
        owner = _only_owner(database, settings, options)
        now = time.time()
        seen = Checked()
        progress = Progress("dialogs", database.count(owner))
        items = progress.count(dialogs_of(database, settings, owner, now, seen))
        lines = _lines(Header(owner, int(now), whole=True), items, progress)
        if options.output is None:
            for line in lines:
                sys.stdout.write(line)
            sys.stdout.flush()
        else:
            try:
                with new_file(options.output, force=options.force) as file:
                    file.writelines(lines)
            except FileExistsError:
                raise Failure(f"{options.output} exists; --force overwrites it") from None
            complain(PROGRAM, f"{seen.dialogs} dialogs of owner {owner} in {options.output}")
    finally:
        database.close()
    return FAULTS if seen.faults else OK


def _only_owner(database: Database, settings: StorageSettings, options: argparse.Namespace) -> str:
    """The one that is meant, or the only one that there is."""
    if options.url is None or options.owner is not None:
        return settings.owner
    owners = [owner for owner, _ in database.owners() if owner is not None]
    if len(owners) > 1:
        raise Failure(f"there are dialogs of {', '.join(owners)[:300]}: say --owner", USAGE)
    return owners[0] if owners else OWNER


def _lines(
    header: Header, items: Iterable[DialogRecord | RowFault], progress: Progress
) -> Iterator[str]:
    yield jsonl.header_line(header)
    for item in items:
        if isinstance(item, RowFault):
            say_fault(progress, item)
        else:
            yield jsonl.dialog_line(item)


# -- upgrade ---------------------------------------------------------------------------------


def _upgrade(settings: StorageSettings, _: argparse.Namespace) -> int:
    url = parse_url(settings.url)
    change = upgrade(target_of(settings, url))
    name = name_of(url)
    if change.old == change.new:
        print(f"{name}: the tables are of version {change.new} already")
    elif change.old is None:
        print(f"{name}: tables made in version {change.new}")
    else:
        print(f"{name}: tables changed from version {change.old} to {change.new}")
    return OK
