"""How an entry is shown: as text, and as an object for programs."""

from __future__ import annotations

from collections.abc import Iterator

from dlgmgmt.manual import facts
from dlgmgmt.manual.book import CHAPTERS, chapter, everything
from dlgmgmt.manual.entry import Entry, Kind

_NOT_YET = "not in this version yet"


def contents() -> Iterator[str]:
    """All names with their summaries, chapter by chapter."""
    width = max(len(entry.name) for entry in everything())
    for place, (key, title) in enumerate(CHAPTERS.items()):
        if place:
            yield ""
        yield f"{title} ({number(key)})"
        for entry in everything():
            if chapter(entry) == key:
                yield f"  {entry.name.ljust(width)}  {summary(entry)}"


def summary(entry: Entry) -> str:
    """The one line, which says so where the thing itself is missing."""
    return f"{entry.summary} ({_NOT_YET})" if facts.missing(entry) else entry.summary


def number(text: str) -> str:
    """A chapter number in words."""
    if "-" in text or text == "2":
        return f"manual part 2 {text.partition('-')[2]}".strip()
    return f"beside manual {text[:-1]}" if text.endswith("+") else f"manual {text}"


def page(entry: Entry) -> Iterator[str]:
    """Everything about one name."""
    yield f"{entry.name}  ({entry.kind.value}, {number(entry.chapter)})"
    yield f"  {entry.summary}"
    yield ""
    if facts.missing(entry):
        yield f"  This is {_NOT_YET}."
        yield ""
    for label, text in _facts(entry):
        yield f"  {label + ':':<10}{text}"
    yield ""
    yield from (f"  {line}".rstrip() for line in entry.lines())
    if entry.example:
        yield ""
        yield from (f"    {line}".rstrip() for line in entry.example_lines())
    tests = facts.proofs(entry)
    if tests:
        yield ""
        yield "  Tests:"
        yield from (f"    {test}" for test in tests)


def _facts(entry: Entry) -> Iterator[tuple[str, str]]:
    written = facts.signature(entry)
    if written:
        yield "written", written
    if entry.kind is Kind.PARAMETER:
        yield "allowed", entry.type
        default = facts.default(entry)
        if default is not None:
            yield "default", default
    routes = facts.routes(entry)
    if routes:
        yield "used in", ", ".join(routes)


def record(entry: Entry) -> dict[str, object]:
    """The same as an object that JSON can hold."""
    return {
        "name": entry.name,
        "chapter": entry.chapter,
        "kind": entry.kind.value,
        "summary": entry.summary,
        "available": not facts.missing(entry),
        "signature": facts.signature(entry),
        "allowed": entry.type or None,
        "default": facts.default(entry),
        "routes": list(facts.routes(entry)),
        "text": "\n".join(entry.lines()),
        "example": "\n".join(entry.example_lines()),
        "aliases": list(entry.aliases),
        "tests": list(facts.proofs(entry)),
    }
