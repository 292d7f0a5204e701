"""Dialog profiles: named sets of dialogs, by value where a profile has values (manual chapter 3).

Sizes are counted as dialogs come and go, so that asking for one costs the same however many
dialogs there are. The lock here is a leaf: it is taken under an entry lock, and nothing under it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.states import State
from dlgmgmt.dialog.views import DialogView, Snapshot

MAX_INSERTIONS = 64
"""Insertions of one dialog, in all profiles together."""

MAX_VALUE = 1024
"""Characters of a profile value."""

BATCH = 50
"""Members that :meth:`Profiles.iter_views` copies at once."""

_Copy = TypeVar("_Copy")


class NoSuchProfile(Exception):
    """A profile name that the settings do not declare; ``name`` is what was asked for."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no profile {name!r}")
        self.name = name


class ProfileLimit(ValueError):
    """One insertion too many, or a value that is too long."""


class Profiles:
    """The declared profiles and their members (``profiles_with_value``, ``profiles_no_value``)."""

    def __init__(self, with_value: Iterable[str], no_value: Iterable[str]) -> None:
        self._has_value = {**dict.fromkeys(no_value, False), **dict.fromkeys(with_value, True)}
        self._lock = threading.Lock()
        # Insertions per dialog, by profile and value; what is empty is taken out.
        self._members: dict[tuple[str, str | None], dict[Dialog, int]] = {}
        self._by_value: dict[tuple[str, str | None], int] = {}
        self._totals = dict.fromkeys(self._has_value, 0)

    def names(self) -> list[str]:
        """All declared profiles."""
        return list(self._has_value)

    def declare(self, with_value: Iterable[str], no_value: Iterable[str]) -> None:
        """Add profiles; those that exist keep their kind and their members."""
        with self._lock:
            for name in with_value:
                self._has_value.setdefault(name, True)
            for name in no_value:
                self._has_value.setdefault(name, False)
            for name in self._has_value:
                self._totals.setdefault(name, 0)

    def has_value(self, name: str) -> bool:
        """Whether a profile is one with values. Raises NoSuchProfile."""
        try:
            return self._has_value[name]
        except KeyError:
            raise NoSuchProfile(name) from None

    def _key(self, name: str, value: str | None) -> tuple[str, str | None]:
        """A value for a profile without values is silently discarded (manual 6.1)."""
        return name, value if self.has_value(name) else None

    def insert(self, dialog: Dialog, name: str, value: str | None) -> None:
        """Insert a dialog once more: there is no check for duplicates (manual 6.1).

        A deleted dialog is left out. Raises NoSuchProfile, ProfileLimit; ValueError without a
        value for a profile that has values.
        """
        key = self._key(name, value)
        if key[1] is None and self._has_value[name]:
            raise ValueError(f"profile {name} needs a value")
        if value is not None and len(value) > MAX_VALUE:
            raise ProfileLimit(f"a profile value of more than {MAX_VALUE} characters")
        with dialog.entry.lock:
            if dialog.state is State.DELETED:
                return
            if len(dialog.profiles) >= MAX_INSERTIONS:
                raise ProfileLimit(f"a dialog in more than {MAX_INSERTIONS} profiles")
            dialog.profiles += (key,)
            dialog.touch()
            with self._lock:
                members = self._members.setdefault(key, {})
                members[dialog] = members.get(dialog, 0) + 1
                self._by_value[key] = self._by_value.get(key, 0) + 1
                self._totals[name] += 1

    def join(self, dialog: Dialog, keys: tuple[tuple[str, str | None], ...]) -> None:
        """Put a dialog that is being restored into its profiles. Entry lock held.

        Those that are not configured any more are declared: else it would leave them unnoticed.
        """
        with self._lock:
            for key in keys:
                name, value = key
                self._has_value.setdefault(name, value is not None)
                members = self._members.setdefault(key, {})
                members[dialog] = members.get(dialog, 0) + 1
                self._by_value[key] = self._by_value.get(key, 0) + 1
                self._totals[name] = self._totals.get(name, 0) + 1
        dialog.profiles = keys

    def remove(self, dialog: Dialog, name: str, value: str | None) -> bool:
        """Take one insertion back; False if there was none. Raises NoSuchProfile."""
        key = self._key(name, value)
        with dialog.entry.lock:
            if key not in dialog.profiles:
                return False
            at = dialog.profiles.index(key)
            dialog.profiles = dialog.profiles[:at] + dialog.profiles[at + 1 :]
            dialog.touch()
            self._forget(dialog, (key,))
        return True

    def leave(self, dialog: Dialog) -> None:
        """Take a dialog out of all profiles. Entry lock held."""
        if dialog.profiles:
            self._forget(dialog, dialog.profiles)
            dialog.profiles = ()

    def _forget(self, dialog: Dialog, keys: tuple[tuple[str, str | None], ...]) -> None:
        with self._lock:
            for key in keys:
                members = self._members[key]
                members[dialog] -= 1
                if not members[dialog]:
                    del members[dialog]
                self._by_value[key] -= 1
                if not self._by_value[key]:
                    del self._by_value[key], self._members[key]
                self._totals[key[0]] -= 1

    def contains(self, dialog: Dialog, name: str, value: str | None) -> bool:
        """Whether a dialog is in a profile; value None: with whatever value. NoSuchProfile."""
        key = self._key(name, value)
        with dialog.entry.lock:
            if key[1] is None:
                return any(known == name for known, _ in dialog.profiles)
            return key in dialog.profiles

    def size(self, name: str, value: str | None) -> int:
        """How many insertions a profile has; value None: in all. Raises NoSuchProfile."""
        key = self._key(name, value)
        with self._lock:
            return self._totals[name] if key[1] is None else self._by_value.get(key, 0)

    def sizes(self) -> dict[str, int]:
        """The size of every profile."""
        with self._lock:
            return dict(self._totals)

    def iter_views(self, name: str, value: str | None) -> Iterator[list[DialogView]]:
        """Copies of the members, each once, batch by batch. Raises NoSuchProfile at once."""
        return self._iter(name, self._key(name, value), Dialog.view)

    def iter_snapshots(self, name: str, value: str | None) -> Iterator[list[Snapshot]]:
        """As :meth:`iter_views`, with the copies that the dialogs keep until they change."""
        return self._iter(name, self._key(name, value), Dialog.show)

    def members(self, name: str, value: str | None) -> list[Dialog]:
        """The members, each once, as they are at the moment. Raises NoSuchProfile."""
        return self._dialogs(name, self._key(name, value))

    def _dialogs(self, name: str, key: tuple[str, str | None]) -> list[Dialog]:
        with self._lock:
            keys = [key] if key[1] is not None else [k for k in self._members if k[0] == name]
            return list(dict.fromkeys(d for k in keys for d in self._members.get(k, ())))

    def _iter(
        self, name: str, key: tuple[str, str | None], copy: Callable[[Dialog], _Copy]
    ) -> Iterator[list[_Copy]]:
        dialogs = self._dialogs(name, key)
        for start in range(0, len(dialogs), BATCH):
            batch: list[_Copy] = []
            for dialog in dialogs[start : start + BATCH]:
                with dialog.entry.lock:
                    if any(k == key or (k[0] == name and key[1] is None) for k in dialog.profiles):
                        batch.append(copy(dialog))
            if batch:
                yield batch

    def views(self, name: str, value: str | None) -> list[DialogView]:
        """Copies of all members, each once. Raises NoSuchProfile."""
        return [view for batch in self.iter_views(name, value) for view in batch]
