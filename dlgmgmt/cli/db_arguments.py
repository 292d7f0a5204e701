"""The command line of ``dlgmgmt db``; apart, for what it does loads SQLAlchemy."""

from __future__ import annotations

import argparse
from pathlib import Path

_KINDS = ("ims_dialog", "dialog")


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The sub-commands of ``db``."""
    database = commands.add_parser(
        "db",
        help="check, dump, restore, import into or upgrade the database",
        description="Work on the database of dialogs.",
    )
    actions = database.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, text in (
        ("check", "say what is in the database, and everything that is wrong with it"),
        ("dump", "write all dialogs as JSON lines"),
        ("restore", "put back what dump, or a daemon that could not write, has written"),
        ("import", "take over the calls in the database of a kamailio"),
        ("upgrade", "bring the tables to the version of this program"),
    ):
        action = actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        where = action.add_mutually_exclusive_group()
        where.add_argument(
            "--config",
            metavar="FILE",
            type=Path,
            help="the daemon's configuration, which names database and owner",
        )
        where.add_argument(
            "--url",
            metavar="URL",
            help="the database, instead of a configuration; - to read the URL from stdin",
        )
        if name != "upgrade":
            action.add_argument("--owner", metavar="NAME", help="whose dialogs")
        if name == "dump":
            action.add_argument(
                "-o", "--output", metavar="OUT", type=Path, help="where to; default: stdout"
            )
            action.add_argument("--force", action="store_true", help="overwrite OUT if it exists")
        elif name == "restore":
            action.add_argument("file", metavar="FILE", type=Path, help="a dump or rescue file")
            action.add_argument(
                "--replace",
                action="store_true",
                help="delete the owner's dialogs that are not in FILE, which must be a dump",
            )
        elif name == "import":
            action.add_argument(
                "--from", dest="source", metavar="URL", required=True, help="kamailio's database"
            )
            action.add_argument("--kind", choices=_KINDS, help="the module that wrote it")
            action.add_argument(
                "--dry-run", action="store_true", help="say what would be taken over, write nothing"
            )
