"""Callbacks on what happens to dialogs (manual part 2, 1.1).

They run outside of every lock, on the thread that caused the event: often the signalling thread,
so a callback must not block. One that raises is logged, and the others run.
"""

from __future__ import annotations

import enum
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import reduce
from operator import or_

from dlgmgmt.dialog.events import DialogEvent, EventType
from dlgmgmt.dialog.model import Dialog, Direction
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.dialog.views import DialogView

_LOG = logging.getLogger(__name__)

MAX_CALLBACKS = 64
"""Callbacks of one dialog, and callbacks for new dialogs."""

MAX_CONTEXT = 64
MAX_LINE = 1024
"""Lines of context of a dialog, and characters of one."""


class DlgCb(enum.IntFlag):
    """Types of callbacks; several may be registered at once, CREATED and LOADED without others.

    LOADED is not in the manual: a dialog of an earlier run has been read from the database.
    RPC_CONTEXT is another name of MI_CONTEXT, for the context is the same on every interface.
    """

    CREATED = 1
    FAILED = 2
    CONFIRMED_NA = 4
    CONFIRMED = 8
    REQ_WITHIN = 16
    TERMINATED = 32
    TERMINATED_CONFIRMED = 64
    EXPIRED = 128
    EARLY = 256
    RESPONSE_FWDED = 512
    RESPONSE_WITHIN = 1024
    MI_CONTEXT = 2048
    RPC_CONTEXT = 2048
    SPIRALED = 4096
    LOADED = 8192


# Of dialogs that nobody could know before.
_GENERAL = DlgCb.CREATED | DlgCb.LOADED

_TYPE_OF = {
    EventType.CREATED: DlgCb.CREATED,
    EventType.FAILED: DlgCb.FAILED,
    EventType.CONFIRMED_NA: DlgCb.CONFIRMED_NA,
    EventType.CONFIRMED: DlgCb.CONFIRMED,
    EventType.REQUEST_WITHIN: DlgCb.REQ_WITHIN,
    # In state 7 a BYE ends one leg of several.
    EventType.LEG_ENDED: DlgCb.REQ_WITHIN,
    EventType.TERMINATED: DlgCb.TERMINATED,
    EventType.TERMINATED_CONFIRMED: DlgCb.TERMINATED_CONFIRMED,
    EventType.EXPIRED: DlgCb.EXPIRED,
    EventType.EARLY: DlgCb.EARLY,
    EventType.RESPONSE_FWDED: DlgCb.RESPONSE_FWDED,
    EventType.RESPONSE_WITHIN: DlgCb.RESPONSE_WITHIN,
    EventType.SPIRALED: DlgCb.SPIRALED,
    EventType.LOADED: DlgCb.LOADED,
}
_ALL = reduce(or_, DlgCb)


class DialogHandle:
    """A dialog in the hand of a callback or a script; it may have ended since."""

    __slots__ = ("_dialog",)

    def __init__(self, dialog: Dialog) -> None:
        self._dialog = dialog

    def __eq__(self, other: object) -> bool:
        """Whether it is the same dialog."""
        return isinstance(other, DialogHandle) and other._dialog is self._dialog

    def __hash__(self) -> int:
        return hash(self._dialog)

    def __repr__(self) -> str:
        return f"<dialog {self.h_entry}:{self.h_id} callid={self.callid!r}>"

    @property
    def dialog(self) -> Dialog:
        """The dialog itself, whose fields are read under its entry's lock."""
        return self._dialog

    @property
    def h_entry(self) -> int:
        """Number of its hash entry."""
        return self._dialog.entry.index

    @property
    def h_id(self) -> int:
        """Its number in the entry."""
        return self._dialog.h_id

    @property
    def callid(self) -> str:
        """Its Call-ID."""
        return self._dialog.callid

    @property
    def from_tag(self) -> str:
        """The caller's tag."""
        return self._dialog.from_tag

    def view(self) -> DialogView:
        """A consistent copy of it, as it is now."""
        with self._dialog.entry.lock:
            return self._dialog.view()


@dataclass(slots=True, frozen=True)
class CallbackParams:
    """What a callback is told besides dialog and type.

    param: what was registered with it. direction: "downstream" (caller to callee), "upstream" or
    "none". method: of a request within the dialog. code: status of a reply or failure, 0 without.
    reason: why the dialog was ended, "" if its parties did. to_tag: of the leg, if there is one.
    message: the SIP message, None where there is none. write: for MI_CONTEXT, adds a line; it
    raises ValueError beyond MAX_CONTEXT lines or MAX_LINE characters.
    """

    param: object
    direction: str = "none"
    method: str = ""
    code: int = 0
    reason: str = ""
    to_tag: str = ""
    message: object | None = None
    write: Callable[[str], None] | None = None


Callback = Callable[[DialogHandle, DlgCb, CallbackParams], object]
Free = Callable[[object], object]


@dataclass(slots=True, frozen=True, eq=False)
class _Registration:
    types: DlgCb
    callback: Callback
    param: object
    free: Free | None


@dataclass(slots=True, eq=False)
class _Lot:
    """What one holder has registered for new dialogs. live: called. over: no more is taken."""

    live: bool = False
    over: bool = False
    entries: list[_Registration] = field(default_factory=list)


class Callbacks:
    """The callbacks on the dialogs of ``table``. Any thread."""

    def __init__(self, table: DialogTable) -> None:
        self._table = table
        self._lock = threading.Lock()
        # Held while the table is told of a listener; no other lock is held where it is taken.
        self._hearing = threading.Lock()
        self._heard = DlgCb(0)
        self._leaving = False
        self._own = _Lot(live=True)
        self._lots = [self._own]
        self._created: tuple[_Registration, ...] = ()
        self._of: dict[Dialog, tuple[_Registration, ...]] = {}

    def register(
        self,
        dialog: DialogHandle | None,
        types: DlgCb,
        callback: Callback,
        param: object = None,
        free: Free | None = None,
    ) -> bool:
        """Call ``callback(dialog, type, params)`` when something of ``types`` happens.

        dialog: None for CREATED and LOADED, which go with no others. free: called with ``param``
        once, when the dialog has left the table. Returns False for a dialog that has left already;
        then ``free`` is called at once. Raises ValueError for types that do not go together, and
        at MAX_CALLBACKS.
        """
        return self._register(self._own, dialog, types, callback, param, free)

    def _register(
        self,
        lot: _Lot,
        dialog: DialogHandle | None,
        types: DlgCb,
        callback: Callback,
        param: object,
        free: Free | None,
    ) -> bool:
        types = DlgCb(types)
        if not types or int(types) & ~int(_ALL):
            raise ValueError(f"{int(types)} is no type of callback")
        if types & DlgCb.CREATED if dialog is not None else types & ~_GENERAL:
            raise ValueError("DLGCB_CREATED and DLGCB_LOADED are for no dialog, others for one")
        entry = _Registration(types, callback, param, free)
        self._hear(types)
        if dialog is None:
            gone = not self._add(lot, entry)
        else:
            known = dialog.dialog
            with known.entry.lock:
                gone = known.removed
                if not gone:
                    with self._lock:
                        found = self._of.get(known, ())
                        if len(found) >= MAX_CALLBACKS:
                            raise ValueError(f"more than {MAX_CALLBACKS} callbacks on one dialog")
                        self._of[known] = (*found, entry)
        if gone:
            _free(entry)
        return not gone

    def _add(self, lot: _Lot, entry: _Registration) -> bool:
        with self._lock:
            if lot.over:
                return False
            if len(lot.entries) >= MAX_CALLBACKS:
                raise ValueError(f"more than {MAX_CALLBACKS} callbacks for new dialogs")
            lot.entries.append(entry)
            self._gather()
        return True

    def _gather(self) -> None:
        self._created = tuple(e for lot in self._lots if lot.live for e in lot.entries)

    def holder(self) -> HeldCallbacks:
        """A register of its own for a script, which can be put in force and dropped as a whole."""
        return HeldCallbacks(self)

    def _replace(self, old: _Lot | None, new: _Lot | None) -> None:
        """Call what ``new`` holds in the place of what ``old`` did, from one dialog to the next."""
        dropped: list[_Registration] = []
        with self._lock:
            if old is not None:
                dropped, old.entries = old.entries, []
                old.live, old.over = False, True
                if old in self._lots:
                    self._lots.remove(old)
            if new is not None and not new.over:
                new.live = True
                self._lots.append(new)
            self._gather()
        for entry in dropped:
            _free(entry)

    def clear(self) -> None:
        """Forget all callbacks, and free what was registered with them."""
        with self._lock:
            entries = [*self._created, *(e for found in self._of.values() for e in found)]
            for lot in self._lots:
                lot.entries = []
            self._created = ()
            self._of.clear()
        for entry in entries:
            _free(entry)

    def context(self, dialog: DialogHandle) -> tuple[str, ...]:
        """The lines that the MI_CONTEXT callbacks of a dialog write about it."""
        lines: list[str] = []

        def write(text: str) -> None:
            new = str(text).splitlines()
            if len(lines) + len(new) > MAX_CONTEXT:
                raise ValueError(f"more than {MAX_CONTEXT} lines of context")
            if any(len(line) > MAX_LINE for line in new):
                raise ValueError(f"a line of context of more than {MAX_LINE} characters")
            lines.extend(new)

        self.run_context(dialog, write)
        return tuple(lines)

    def run_context(self, dialog: DialogHandle, write: Callable[[str], None]) -> None:
        """Run the MI_CONTEXT callbacks of a dialog; each may write lines of context."""
        for entry in self._registered(dialog.dialog, DlgCb.MI_CONTEXT):
            _run(entry, dialog, DlgCb.MI_CONTEXT, CallbackParams(entry.param, write=write))

    def _hear(self, types: DlgCb) -> None:
        """Listen to the events of these types from now on: what nobody hears costs nothing.

        Types count as heard once they are, lest another thread that registers the same one
        returns before the table knows of it.
        """
        with self._hearing:
            new = types & ~self._heard
            for kind, known in _TYPE_OF.items():
                if known & new:
                    self._table.add_listener(self._on_event, kind)
            self._heard |= types
            if not self._leaving:
                self._leaving = True
                self._table.add_listener(self._on_destroyed, EventType.DESTROYED)

    def _registered(self, dialog: Dialog, kind: DlgCb) -> Iterator[_Registration]:
        with self._lock:
            found = self._created if kind in _GENERAL else self._of.get(dialog, ())
        return (entry for entry in found if entry.types & kind)

    def _on_event(self, event: DialogEvent) -> None:
        if event.type is EventType.LEG_ENDED and event.detail != "BYE":
            # No request has come: the daemon ends one leg of several.
            return
        kind = _TYPE_OF[event.type]
        dialog = DialogHandle(event.dialog)
        for entry in self._registered(event.dialog, kind):
            _run(entry, dialog, kind, _params(event, entry.param))

    def _on_destroyed(self, event: DialogEvent) -> None:
        with self._lock:
            entries = self._of.pop(event.dialog, ())
        for entry in entries:
            _free(entry)


class HeldCallbacks:
    """The callbacks of one script.

    Those for new dialogs are not called before :meth:`replace` puts all of them in force, and no
    more after they were dropped; those on single dialogs are like any other. Any thread.
    """

    __slots__ = ("_callbacks", "_lot")

    def __init__(self, callbacks: Callbacks) -> None:
        self._callbacks = callbacks
        self._lot = _Lot()

    def register(
        self,
        dialog: DialogHandle | None,
        types: DlgCb,
        callback: Callback,
        param: object = None,
        free: Free | None = None,
    ) -> bool:
        """As Callbacks.register; False, and ``free`` called, for a script that was dropped."""
        return self._callbacks._register(self._lot, dialog, types, callback, param, free)  # noqa: SLF001 - two halves of one thing

    def replace(self, old: HeldCallbacks | None) -> None:
        """Put these in force in the place of ``old``'s, which are freed."""
        self._callbacks._replace(old._lot if old is not None else None, self._lot)  # noqa: SLF001 - as above

    def drop(self) -> None:
        """Forget those for new dialogs, and take no more."""
        self._callbacks._replace(self._lot, None)


def _params(event: DialogEvent, param: object) -> CallbackParams:
    number = event.detail.isdecimal()
    within = event.type in (EventType.REQUEST_WITHIN, EventType.LEG_ENDED)
    ended = event.type in (EventType.TERMINATED, EventType.EXPIRED)
    by_bye = ended and event.detail == "BYE"
    direction = {Direction.DOWNSTREAM: "downstream", Direction.UPSTREAM: "upstream"}
    return CallbackParams(
        param,
        direction=direction[event.direction] if event.direction is not None else "none",
        method=event.detail if within or by_bye else "",
        code=int(event.detail) if number else 0,
        reason=event.detail if ended and not by_bye else "",
        to_tag=event.to_tag,
        message=event.message,
    )


def _run(entry: _Registration, dialog: DialogHandle, kind: DlgCb, params: CallbackParams) -> None:
    try:
        entry.callback(dialog, kind, params)
    except (Exception, SystemExit):  # noqa: BLE001 - logged; exit() must not end the signalling
        _LOG.exception("callback for %s failed on callid=%r", kind.name, dialog.callid)


def _free(entry: _Registration) -> None:
    if entry.free is None:
        return
    try:
        entry.free(entry.param)
    except (Exception, SystemExit):  # noqa: BLE001 - as above
        _LOG.exception("freeing a callback's parameter failed")
