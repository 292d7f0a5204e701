"""``dlgmgmt import-cfg``: the dialog module's parameters of a kamailio.cfg, as TOML.

Exit codes: 0 all lines could be used or have nothing to do here; 1 a file cannot be read or
written; 2 some lines are wrong, the others have been written.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path

from dlgmgmt.cli.text import complain
from dlgmgmt.config.kamailio_import import convert

_PROGRAM = "dlgmgmt"
_MAX_FILE = 4_194_304


def run(source: Path, out: Path | None, *, force: bool) -> int:
    """Read ``source`` and write the table to ``out``, None for stdout; returns the exit code.

    An ``out`` that exists is left alone unless ``force``. What is to be said goes to stderr.
    """
    try:
        with source.open("rb") as file:
            data = file.read(_MAX_FILE + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a file name"
        complain(_PROGRAM, f"cannot read {source}: {why}")
        return 1
    if len(data) > _MAX_FILE:
        complain(_PROGRAM, f"{source} is larger than {_MAX_FILE} bytes")
        return 1
    text = data.decode(errors="replace").replace("\r\n", "\n")
    imported = convert(str(source), text)
    everything = [*imported.wrong, *imported.notes]
    for problem in sorted(everything, key=lambda problem: problem.line):
        complain(_PROGRAM, str(problem))
    if out is None:
        sys.stdout.write(imported.toml)
    else:
        try:
            _write(out, imported.toml, force=force)
        except FileExistsError:
            complain(_PROGRAM, f"{out} exists; --force overwrites it")
            return 1
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "not a file name"
            complain(_PROGRAM, f"cannot write {out}: {why}")
            return 1
    return 2 if imported.wrong else 0


def _write(out: Path, text: str, *, force: bool) -> None:
    """All of it or nothing, for its owner alone: db_url may hold a password."""
    number, name = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.parent)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(number)
        if force:
            Path(name).replace(out)
        else:
            # Unlike a rename, this fails if the name is taken.
            out.hardlink_to(name)
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
