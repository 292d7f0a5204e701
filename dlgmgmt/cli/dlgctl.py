"""dlgctl: list, show, query, trace, end and count the calls of a running daemon."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, TypeVar

from dlgmgmt import __version__
from dlgmgmt.cli import render
from dlgmgmt.cli.backend import Backend, BackendError, Tags, Unreachable
from dlgmgmt.cli.codes import FAILED, INTERRUPTED, NOT_FOUND, OK, USAGE
from dlgmgmt.cli.database import add_options, database
from dlgmgmt.cli.http import HttpBackend, Identity
from dlgmgmt.cli.kill import Order, kill
from dlgmgmt.cli.match import EndMatch, add_filters, end_match, filters_of, query
from dlgmgmt.cli.text import complain, terminal_width, visible
from dlgmgmt.cli.trace import trace

DEFAULT_URL = "http://127.0.0.1:8080/RPC"
_CODES = """\
exit codes:
  0  done
  1  the daemon was not reached, or did not answer as it should; db: not carried out (yet)
  2  wrong usage
  3  no such dialog, or no message of it is kept
  4  several dialogs match, or not as many as were expected: none is ended
  5  not confirmed

environment: DLGCTL_HTTP, DLGCTL_FIFO and DLGCTL_TOKEN stand for --http, --fifo and --token.
Without any of them it is HTTP on 127.0.0.1:8080 and, where nobody listens there, the FIFO in the
run directory.
"""
_Result = TypeVar("_Result")


class _UsageError(Exception):
    """Found only after the command line was parsed, such as in the environment."""


class _Parser(argparse.ArgumentParser):
    """Of which an argument that came from elsewhere cannot steer the terminal."""

    def error(self, message: str) -> NoReturn:
        """Usage and one line, exit 2."""
        self.print_usage(sys.stderr)
        complain(self.prog, message)
        raise SystemExit(USAGE)


def _seconds(argument: str) -> float:
    value = float(argument)
    if not 0 <= value <= 86_400:
        raise ValueError
    return value


def _timeout(argument: str) -> float:
    value = _seconds(argument)
    if not value:
        raise ValueError
    return value


def _count(argument: str) -> int:
    value = int(argument)
    if not 0 <= value < 2**31:
        raise ValueError
    return value


# argparse shows the name of a type whose function raised ValueError.
_seconds.__name__ = "number of seconds"
_count.__name__ = "number"
_timeout.__name__ = "number of seconds above 0"


def _reason(argument: str) -> str:
    if not argument.isprintable() or not 0 < len(argument) <= 200:
        raise argparse.ArgumentTypeError("1 to 200 printable characters")
    return argument


def _common(parser: argparse.ArgumentParser, *, top: bool) -> None:
    """The options that may stand before or after the command; the later ones count."""

    def default(value: object) -> object:
        return value if top else argparse.SUPPRESS

    parser.add_argument(
        "--http", metavar="URL", default=default(None), help=f"for example {DEFAULT_URL}"
    )
    parser.add_argument("--fifo", metavar="PATH", default=default(None), help="the MI FIFO")
    parser.add_argument(
        "--reply-dir",
        metavar="DIR",
        default=default(None),
        help="where the daemon looks for reply FIFOs (default: reply beside the FIFO)",
    )
    parser.add_argument(
        "--token", metavar="TOKEN", default=default(None), help="who asks; better in DLGCTL_TOKEN"
    )
    for option, text in (
        ("--cacert", "PEM file of those who sign the daemon's certificate (https)"),
        ("--cert", "PEM file of a client certificate"),
        ("--key", "PEM file of its key, if that is another one"),
    ):
        parser.add_argument(option, metavar="FILE", default=default(None), help=text)
    parser.add_argument("--json", action="store_true", default=default(False), help="print JSON")
    parser.add_argument(
        "--timeout",
        type=_timeout,
        metavar="SECONDS",
        default=default(5.0),
        help="longest silence of the daemon (default: 5)",
    )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="dlgctl",
        description="List, show, trace, kill and count the calls of a running dlgmgmt.",
        epilog=_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"dlgctl {__version__}")
    _common(parser, top=True)
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=_Parser
    )

    def add(name: str, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        _common(command, top=False)
        return command

    add("list", "list all calls")
    show = add("show", "show everything about the calls with a Call-ID")
    show.add_argument("callid", metavar="CALLID")
    log = add("trace", "print the messages of a call that the daemon still keeps")
    log.add_argument("callid", metavar="CALLID")
    log.add_argument("--follow", action="store_true", help="go on with those that come")
    end = add("kill", "end one call: both sides are told")
    end.add_argument("callid", metavar="CALLID")
    end.add_argument("ftag", metavar="FTAG", nargs="?", help="the caller's tag")
    end.add_argument("ttag", metavar="TTAG", nargs="?", help="the callee's tag")
    end.add_argument("--yes", action="store_true", help="do not ask")
    end.add_argument("--reason", type=_reason, metavar="TEXT", help="told to both sides (RFC 3326)")
    end.add_argument(
        "--wait",
        type=_seconds,
        default=3.0,
        metavar="SECONDS",
        help="for what both sides answer (default: 3)",
    )
    choose = add("query", "list the calls that fit, page by page")
    add_filters(choose)
    choose.add_argument("--sort", metavar="ORDER", help="created, age or callid; -ORDER backwards")
    choose.add_argument("--limit", metavar="N", help="calls of a page (default: 100)")
    choose.add_argument("--cursor", metavar="CURSOR", help="where the page before has ended")
    many = add("end-match", "end all calls that fit: all their sides are told")
    add_filters(many)
    many.add_argument("--expect", type=_count, metavar="N", help="only if so many calls fit")
    many.add_argument("--dry-run", action="store_true", help="only show which they are")
    many.add_argument("--rate", type=_count, metavar="N", help="calls a second (default: 100)")
    many.add_argument("--yes", action="store_true", help="do not ask")
    many.add_argument("--reason", type=_reason, metavar="TEXT", help="told to all (RFC 3326)")
    many.add_argument(
        "--wait",
        type=_seconds,
        default=3.0,
        metavar="SECONDS",
        help="longest time in which nothing more comes back (default: 3)",
    )
    add("stats", "count the calls by what they are doing")
    add_options(add("db", "tell how the daemon's database is, or give it an order"))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; argv: without the program's name, None for that of the process."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.command == "kill" and (options.ftag is None) != (options.ttag is None):
        parser.error("FTAG and TTAG go together")
    if options.command == "db":
        if (options.action == "adopt") != (options.owner is not None):
            parser.error("OWNER goes with adopt")
        options.timeout += options.wait
    if options.http is not None and options.fifo is not None:
        parser.error("--http and --fifo: one or the other")
    # A terminal that lacks a character gets its escape, not a traceback.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _with_backend(options, os.environ, lambda backend: _run(options, backend))
        sys.stdout.flush()
    except BackendError as error:
        complain("dlgctl", str(error))
        return FAILED
    except _UsageError as error:
        parser.error(str(error))
    except BrokenPipeError:
        # "dlgctl list | head": nobody reads the rest, and Python would complain at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        return INTERRUPTED
    else:
        return code


def _with_backend(
    options: argparse.Namespace,
    env: Mapping[str, str],
    use: Callable[[Backend], _Result],
) -> _Result:
    """Run ``use`` with the way to the daemon that the options, then the environment name.

    Where neither does, the FIFO is tried after nobody listens at the default URL: nothing has
    been asked of a daemon then.
    """
    url, fifo = options.http, options.fifo
    if url is None and fifo is None:
        url = env.get("DLGCTL_HTTP") or None
        fifo = None if url else env.get("DLGCTL_FIFO") or None
    if fifo is not None:
        return use(_fifo(fifo, options))
    if url is not None:
        return use(_http(url, options, env))
    try:
        return use(_http(DEFAULT_URL, options, env))
    except Unreachable as refused:
        from dlgmgmt.config import fifo_path, run_directory  # noqa: PLC0415 - costs time

        try:
            return use(_fifo(str(fifo_path(run_directory(env))), options))
        except Unreachable as error:
            raise BackendError(f"no daemon was found: {refused}; {error}") from error


def _http(url: str, options: argparse.Namespace, env: Mapping[str, str]) -> Backend:
    token = env.get("DLGCTL_TOKEN") if options.token is None else options.token
    identity = Identity(token or "", options.cacert or "", options.cert or "", options.key or "")
    try:
        return HttpBackend(url, options.timeout, identity)
    except ValueError as error:
        raise _UsageError(str(error)) from error


def _fifo(path: str, options: argparse.Namespace) -> Backend:
    from dlgmgmt.cli.fifo import FifoBackend  # noqa: PLC0415 - costs time, HTTP needs none of it

    reply_dir = options.reply_dir or os.path.join(os.path.dirname(path), "reply")  # noqa: PTH118, PTH120
    return FifoBackend(path, reply_dir, options.timeout)


def _run(options: argparse.Namespace, backend: Backend) -> int:
    match options.command:
        case "list":
            _list(options, backend)
        case "show":
            return _show(options, backend)
        case "trace":
            return trace(backend, options.callid, follow=options.follow, as_json=options.json)
        case "kill":
            tags = None if options.ftag is None else Tags(options.ftag, options.ttag)
            return kill(
                backend,
                Order(
                    options.callid,
                    tags,
                    options.yes,
                    options.reason or "",
                    options.wait,
                    options.json,
                ),
            )
        case "query":
            params = filters_of(options)
            for name in ("sort", "limit", "cursor"):
                if getattr(options, name) is not None:
                    params[name] = getattr(options, name)
            return query(backend, params, as_json=options.json)
        case "end-match":
            return _end_match(options, backend)
        case "db":
            return database(backend, options)
        case _:
            _stats(options, backend)
    return OK


def _list(options: argparse.Namespace, backend: Backend) -> None:
    dialogs = backend.dialogs()
    if options.json:
        lines = render.json_lines(dialogs)
    else:
        room = terminal_width(sys.stdout)
        lines = iter(render.listing(dialogs, int(time.time()), room))
    for line in lines:
        print(line)


def _end_match(options: argparse.Namespace, backend: Backend) -> int:
    filters = filters_of(options)
    if not filters:
        raise _UsageError("end-match needs at least one option that chooses calls")
    return end_match(
        backend,
        EndMatch(
            filters,
            options.expect,
            options.dry_run,
            options.yes,
            options.rate,
            options.reason or "",
            options.wait,
            options.json,
        ),
    )


def _show(options: argparse.Namespace, backend: Backend) -> int:
    dialogs = backend.find(options.callid)
    if not dialogs:
        complain("dlgctl", f"no dialog has the Call-ID {options.callid}")
        return NOT_FOUND
    if options.json:
        print(json.dumps(dialogs[0] if len(dialogs) == 1 else dialogs, indent=2))
        return OK
    for place, dialog in enumerate(dialogs):
        if place:
            print()
        for line in render.details(dialog):
            print(line)
    return OK


def _stats(options: argparse.Namespace, backend: Backend) -> None:
    counts = backend.stats()
    if options.json:
        print(json.dumps(counts, indent=2))
        return
    wide = max((len(visible(name)) for name in counts), default=0)
    for name, count in counts.items():
        print(f"{visible(name).ljust(wide)}  {visible(str(count))}")


if __name__ == "__main__":
    sys.exit(main())
