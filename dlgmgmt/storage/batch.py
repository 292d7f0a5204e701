"""What one transaction changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

Key: TypeAlias = tuple[str | None, int, int]
"""Of a dialog's rows: owner, hash_entry, hash_id."""

Row: TypeAlias = tuple[Any, ...]
"""Values in the order of IN_COLUMNS, OUT_COLUMNS or VAR_COLUMNS."""


@dataclass(slots=True)
class WriteBatch:
    """Rows to delete, then rows to write; those that are there already are replaced.

    deletes: dialogs that go, with their legs and variables. dialogs, legs, vars: rows as
    ``rows.py`` makes them. legs_beyond: (hash_entry, hash_id, leg_no): the daemon's own legs from
    that number on go. vars_replaced: (hash_entry, hash_id) of own dialogs whose variables go first.
    row_ids: by table, single rows that go, whoever owns them.
    """

    deletes: list[Key] = field(default_factory=list)
    dialogs: list[Row] = field(default_factory=list)
    legs: list[Row] = field(default_factory=list)
    legs_beyond: list[tuple[int, int, int]] = field(default_factory=list)
    vars_replaced: list[tuple[int, int]] = field(default_factory=list)
    vars: list[Row] = field(default_factory=list)
    row_ids: dict[str, list[int]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(
            self.deletes
            or self.dialogs
            or self.legs
            or self.legs_beyond
            or self.vars_replaced
            or self.vars
            or self.row_ids
        )
