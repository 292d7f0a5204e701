"""SIP while stored dialogs are being loaded: what is refused, and what passes before its dialog.

A phone does not say its BYE twice, nor its ACK. What passes while its dialog is not there yet is
noted, and told to the dialog as soon as it is: so no call that was hung up meanwhile stays.
"""

from __future__ import annotations

import contextlib
import logging
import threading

from dlgmgmt.dialog.events import DialogEvent, EventType
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.states import IllegalEvent
from dlgmgmt.dialog.tracker import Tracker
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.quiet import Quiet

_QUIET = Quiet(logging.getLogger(__name__))

REFUSE, FORWARD = "refuse", "forward"

MAX_NOTED = 1024
"""Characters of the Call-ID and tags of a request that is noted."""

Key = tuple[str, str, str]
"""Call-ID, From tag and To-tag."""


class _Noted:
    """What has passed in one direction: the last request, an ACK, a BYE (its number, 0 without)."""

    __slots__ = ("acked", "bye", "cseq", "method")

    def __init__(self) -> None:
        self.acked = False
        self.bye = 0
        self.cseq = 0
        self.method = ""

    def add(self, number: int, method: str) -> None:
        if method == "ACK":
            self.acked = True
        elif method == "BYE":
            self.bye = number
        elif number >= self.cseq:
            self.cseq, self.method = number, method

    def told(self) -> list[tuple[str, int]]:
        """Methods and numbers, as the dialog is to hear of them."""
        told = [("ACK", 0)] if self.acked else []
        if self.method:
            told.append((self.method, self.cseq))
        if self.bye:
            told.append(("BYE", self.bye))
        return told


class LoadGate:
    """Whether dialogs are being loaded, and what happens to requests meanwhile.

    policy: "refuse" answers 503 to a request whose dialog is not known, "forward" sends it where
    its Route says; a BYE is forwarded in any case. What would make a dialog is refused in any case
    too. retry_after: seconds that such an answer asks to wait. refused, noted, applied, lost:
    requests, of which ``lost`` found no room.

    :meth:`begin` and :meth:`end` may be called from any thread, the rest is the signalling
    thread's.
    """

    def __init__(self, tracker: Tracker) -> None:
        self.active = False
        self.policy = REFUSE
        self.retry_after = 5
        self.refused = self.noted = self.applied = self.lost = 0
        self._tracker = tracker
        self._lock = threading.Lock()
        self._notes: dict[Key, _Noted] = {}
        self._listens = False

    def begin(self) -> None:
        """Loading begins."""
        self.active = True

    def end(self) -> None:
        """All dialogs are there: what is unknown now is nobody's."""
        self.active = False
        with self._lock:
            self._notes.clear()

    def note(self, msg: Message) -> Key | None:
        """A request that nobody knows is about to be forwarded; None if it cannot be noted.

        Whoever calls this looks for its dialog once more: it may have come in between.
        """
        if not self._listens:
            # Not before there is something to say: each dialog that is loaded would cost a call.
            self._listens = True
            self._tracker.table.add_listener(self._heard, EventType.LOADED)
        key = msg.callid, msg.from_tag, msg.to_tag
        most = self._tracker.table.settings.max_dialogs
        with self._lock:
            notes = self._notes.get(key)
            if notes is None:
                if len(self._notes) >= most or sum(map(len, key)) > MAX_NOTED:
                    self.lost += 1
                    _QUIET.warning("callid=%.60r: %s not noted while loading", key[0], msg.method)
                    return None
                notes = self._notes[key] = _Noted()
            notes.add(*msg.cseq)
        self.noted += 1
        return key

    def forget(self, key: Key) -> None:
        """The dialog has heard of it by itself."""
        with self._lock:
            self._notes.pop(key, None)

    def _heard(self, event: DialogEvent) -> None:
        if self._notes:
            self._loaded(event.dialog)

    def _loaded(self, dialog: Dialog) -> None:
        """A dialog is there: tell it what has passed before. Any thread."""
        with dialog.entry.lock:
            tags = [leg.to_tag for leg in dialog.confirmed_legs()]
        for tag in tags:
            for key in (
                (dialog.callid, dialog.from_tag, tag),
                (dialog.callid, tag, dialog.from_tag),
            ):
                with self._lock:
                    notes = self._notes.pop(key, None)
                if notes is not None:
                    self._apply(key, notes)

    def _apply(self, key: Key, notes: _Noted) -> None:
        for method, number in notes.told():
            with contextlib.suppress(IllegalEvent):
                match = self._tracker.request(None, *key, method, number)
                self.applied += match is not None
                if match is not None and match.held:
                    # Its transaction has gone on without the dialog.
                    self._tracker.table.release(match.dialog)
