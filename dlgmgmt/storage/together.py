"""Statements that go to MariaDB in one message: each answer that is waited for costs a wake-up."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from dlgmgmt.storage.batch import Row

_MOST: Final = 262_144
"""Characters of one message, if it is not a single row: a server takes 16 MB, and a character may
have four bytes."""

_ROWS: Final = 128


class Together:
    """Takes statements as a cursor does, and keeps them for :meth:`run`."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self._texts: list[str] = []
        self.committing = False

    def execute(self, text: str, values: Sequence[object] = ()) -> None:
        """One statement."""
        self._texts.append(self._cursor.mogrify(text, values))

    def executemany(self, text: str, rows: Sequence[Row]) -> None:
        """An INSERT of several rows, anything else once for each."""
        head, values, tail = text.partition(" VALUES (")
        if not values:
            for row in rows:
                self.execute(text, row)
            return
        group, _, end = tail.partition(")")
        # The next one last.
        todo = [rows[done : done + _ROWS] for done in range(0, len(rows), _ROWS)][::-1]
        while todo:
            part = todo.pop()
            groups = ", ".join([f"({group})"] * len(part))
            text = f"{head} VALUES {groups}{end}"
            text = self._cursor.mogrify(text, tuple(chain.from_iterable(part)))
            if len(text) <= _MOST or len(part) == 1:
                self._texts.append(text)
            else:
                # Strangers write what stands in the rows: there may be too much of it for a server.
                middle = len(part) // 2
                todo += [part[middle:], part[:middle]]

    def run(self) -> None:
        """All of them, and COMMIT. ``committing`` is True once it may have been one."""
        texts = [*self._texts, "COMMIT"]
        cursor = self._cursor
        if sum(map(len, texts)) > _MOST:
            for text in texts:
                self.committing = text is texts[-1]
                cursor.execute(text)
            return
        self.committing = True
        answered = 0
        try:
            cursor.execute("; ".join(texts))
            answered = 1
            while cursor.nextset():
                answered += 1
        except Exception as error:
            # One that the server refuses is the last that it looks at.
            code = error.args[0] if error.args else None
            refused = isinstance(code, int) and code < _OF_CLIENT
            self.committing = not refused or answered >= len(self._texts)
            raise


_OF_CLIENT: Final = 2000
"""From here on errors are those of the client, which has lost the server, say."""
