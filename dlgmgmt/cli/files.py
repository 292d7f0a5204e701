"""Files that come into being whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO


@contextlib.contextmanager
def new_file(path: Path, *, force: bool) -> Iterator[TextIO]:
    """A file for its owner alone, under its name once all of it is on the disk.

    Raises FileExistsError for one that exists, unless ``force``; OSError.
    """
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(number)
        if force:
            Path(name).replace(path)
        else:
            # Unlike a rename, this fails if the name is taken.
            path.hardlink_to(name)
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
