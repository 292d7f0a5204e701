"""The dlgmgmt program: serve, run (with demo phones), check, import-cfg, manual, token, db.

Exit codes: 0 ended cleanly; 1 the daemon could not start or failed while running; 2 the command
line or the configuration is wrong.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from dlgmgmt import __version__
from dlgmgmt.cli import db_arguments
from dlgmgmt.cli.text import complain, visible
from dlgmgmt.config import Config, ConfigError, RunDirectoryError, load
from dlgmgmt.interfaces.tokens import ROLES

_LEVELS = ("debug", "info", "warning", "error")
_log = logging.getLogger("dlgmgmt")


class _VisibleFormatter(logging.Formatter):
    """Whatever reaches the log stays on its line and cannot steer the terminal that shows it."""

    def format(self, record: logging.LogRecord) -> str:
        """The record; the lines of a traceback are kept, each escaped by itself."""
        head, *rest = super().format(record).split("\n")
        if not record.exc_info and not record.stack_info:
            return visible("\n".join([head, *rest]))
        return "\n".join(visible(line) for line in [head, *rest])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dlgmgmt",
        description="A record-routing SIP proxy that knows, lists and ends every dialog on it.",
    )
    parser.add_argument("--version", action="version", version=f"dlgmgmt {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("serve", "start the daemon"),
        ("run", "start the daemon together with demo phones that call each other"),
        ("check", "check the configuration file and start nothing"),
    ):
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        command.add_argument(
            "--config",
            metavar="FILE",
            type=Path,
            help="TOML file; without it the embedded defaults hold (loopback only)",
        )
        command.add_argument(
            "--modparam",
            metavar="NAME=VALUE",
            action="append",
            default=[],
            help="a parameter of [ims_dialog], overriding the file; may be repeated",
        )
        if name != "check":
            command.add_argument(
                "--log-level", choices=_LEVELS, default="info", help="default: %(default)s"
            )
    importer = commands.add_parser(
        "import-cfg",
        help="make a configuration of the dialog module's parameters in a kamailio.cfg",
        description="Write the parameters of the dialog module in a kamailio.cfg as [ims_dialog].",
    )
    importer.add_argument("file", metavar="FILE", type=Path, help="the kamailio.cfg")
    importer.add_argument(
        "-o", "--output", metavar="OUT", type=Path, help="where to write; default: stdout"
    )
    importer.add_argument("--force", action="store_true", help="overwrite OUT if it exists")
    manual = commands.add_parser(
        "manual",
        help="tell what a parameter, function, variable, statistic or command does",
        description="Tell what a name means; without one, list them all.",
    )
    manual.add_argument("name", nargs="?", metavar="NAME", help="such as hash_size, dlg_list, dlg")
    manual.add_argument("--json", action="store_true", help="JSON instead of text")
    _add_token(commands)
    db_arguments.add_arguments(commands)
    return parser


def _add_token(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    token = commands.add_parser(
        "token",
        help="let somebody in by a token",
        description="Let somebody in by a token.",
    )
    actions = token.add_subparsers(dest="action", required=True, metavar="ACTION")
    new = actions.add_parser(
        "new",
        help="make a token",
        description="Print a new token, once, and append the line by which the daemon knows it to "
        "its tokens file. SIGHUP has the daemon read the file again.",
    )
    new.add_argument("name", metavar="NAME", help="whose it is")
    new.add_argument("--role", choices=ROLES, required=True)
    new.add_argument(
        "--config", metavar="FILE", type=Path, help="whose access.tokens_file gets the line"
    )
    new.add_argument(
        "--file", metavar="FILE", type=Path, help="which gets the line; made if it is not there"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; argv: without the program's name, None for that of the process."""
    options = _parser().parse_args(argv)
    if options.command == "manual":
        from dlgmgmt.cli import manual  # noqa: PLC0415 - the daemon needs none of it

        return manual.show(options.name, as_json=options.json)
    if options.command == "import-cfg":
        from dlgmgmt.cli import import_cfg  # noqa: PLC0415 - as above

        return import_cfg.run(options.file, options.output, force=options.force)
    if options.command == "token":
        from dlgmgmt.cli import token  # noqa: PLC0415 - as above

        return token.new(options.name, options.role, options.config, options.file)
    if options.command == "db":
        from dlgmgmt.cli import db  # noqa: PLC0415 - as above

        return db.run(options)
    hangups: list[object] = []
    if options.command != "check":
        # Whoever starts and reloads the daemon does not know how far the start has come.
        signal.signal(signal.SIGHUP, lambda number, _: hangups.append(number))
    try:
        demo = options.command == "run"
        config = load(options.config, os.environ, options.modparam, demo=demo)
    except ConfigError as error:
        for problem in error.problems:
            complain("dlgmgmt", str(problem))
        return 2
    if options.command == "check":
        return _check(config)
    return _start(config, demo=options.command == "run", level=options.log_level, hangups=hangups)


def _check(config: Config) -> int:
    for warning in config.warnings:
        complain("dlgmgmt", f"warning: {warning}")
    if config.routing.script is not None:
        # Here, for it costs more to load than everything else that is checked.
        from dlgmgmt.routing import script  # noqa: PLC0415

        try:
            script.check(config.routing.script)
        except script.ScriptError as error:
            complain("dlgmgmt", str(error))
            return 2
    print(f"{visible(str(config.source or 'embedded defaults'))}: configuration is good")
    return 0


def _start(config: Config, *, demo: bool, level: str, hangups: Sequence[object]) -> int:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_VisibleFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for warning in config.warnings:
        _log.warning("%s", warning)
    try:
        config.prepare()
    except RunDirectoryError as error:
        complain("dlgmgmt", str(error))
        return 1
    from dlgmgmt import daemon  # noqa: PLC0415 - "check" and "--help" need none of it

    try:
        return daemon.run(config, demo=demo, hangups=hangups)
    except OSError as error:
        # What the daemon did not explain itself: still one line, for the operator.
        _log.debug("start failed", exc_info=True)
        complain("dlgmgmt", str(error))
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
