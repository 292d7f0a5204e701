"""The table of README.md: every name of the manual with the tests that prove it.

``python -m dlgmgmt.manual.table [README.md]`` writes it anew between its two marks.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dlgmgmt.manual import facts, render
from dlgmgmt.manual.book import ENTRIES
from dlgmgmt.manual.entry import Entry

BEGIN = "<!-- made by python -m dlgmgmt.manual.table -->"
END = "<!-- end of what it has made -->"
_HEAD = ("name", "chapter", "kind", "what it is", "test, and how many more")


def table() -> str:
    """The table in Markdown."""
    lines = ["| " + " | ".join(_HEAD) + " |", "|" + "---|" * len(_HEAD)]
    lines += ["| " + " | ".join(_row(entry)) + " |" for entry in ENTRIES]
    return "\n".join(lines) + "\n"


def _row(entry: Entry) -> tuple[str, ...]:
    summary = render.summary(entry).replace("|", "\\|").replace("<", "&lt;")
    return f"`{entry.name}`", entry.chapter, entry.kind.value, summary, _proof(entry)


def _proof(entry: Entry) -> str:
    """The first test: with all of them the table could not be read. ``dlgmgmt manual`` has them."""
    first, *more = facts.proofs(entry) or ("",)
    if not first:
        return "none yet"
    return f"`{first}`" + (f" +{len(more)}" if more else "")


def renewed(text: str) -> str:
    """``text`` with the table of now; ValueError if it lacks the marks."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no place for the table: {BEGIN} and {END} are needed")
    return f"{head}{BEGIN}\n\n{table()}\n{END}{tail}"


def main(arguments: list[str]) -> int:
    """Write the table; the exit code."""
    path = Path(arguments[0] if arguments else "README.md")
    path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
