"""SIP while stored dialogs are being loaded: what is refused, and what passes before its dialog.

A phone does not say its BYE twice, nor its ACK. What passes while its dialog is not there yet is
noted, and told to the dialog as soon as it is: so no call that was hung up meanwhile stays.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import NamedTuple

from dlgmgmt.dialog.events import DialogEvent, EventType
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.states import IllegalEvent
from dlgmgmt.dialog.tracker import TARGET_REFRESH, Match, Tracker
from dlgmgmt.sip.core import Observer
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.observe import contact_of
from dlgmgmt.sip.quiet import Quiet
from dlgmgmt.sip.session_timer import session_of

_QUIET = Quiet(logging.getLogger(__name__))

REFUSE, FORWARD = "refuse", "forward"

MAX_NOTED = 1024
"""Characters of the Call-ID and tags of a request that is noted."""

Key = tuple[str, str, str]
"""Call-ID, From tag and To-tag."""


class Refresh(NamedTuple):
    """A target refresh that was answered: both Contacts, and seconds of its session timer."""

    method: str
    cseq: int
    contact: str
    reply_contact: str
    session: int


class _Noted:
    """What has passed in one direction: the last request, an ACK, a BYE (its number, 0 without)."""

    __slots__ = ("acked", "bye", "cseq", "method", "refresh")

    def __init__(self) -> None:
        self.acked = False
        self.bye = 0
        self.cseq = 0
        self.method = ""
        self.refresh: Refresh | None = None

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

    def follow(self, msg: Message, contact: str) -> Observer | None:
        """Who learns from the answer to a request that was noted; None if it says nothing.

        contact: the URI of its own Contact.
        """
        key = msg.callid, msg.from_tag, msg.to_tag
        if msg.method not in TARGET_REFRESH or key not in self._notes:
            return None
        return _LateObserver(self, key, msg.method, msg.cseq[0], contact)

    def refreshed(self, key: Key, refresh: Refresh) -> None:
        """A target refresh that was noted has its 2xx."""
        with self._lock:
            notes = self._notes.get(key)
            if notes is not None:
                notes.refresh = refresh
                return
        self._refresh(key, refresh)

    def _refresh(self, key: Key, refresh: Refresh) -> None:
        table = self._tracker.table
        entry = table.entry_of(key[0])
        with entry.lock:
            found = table.match(entry, None, *key)
        if found is not None:
            method, cseq, contact, reply_contact, session = refresh
            self._tracker.response(
                Match(*found), method, 200, contact, reply_contact, cseq=cseq, session=session
            )

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
        if notes.refresh is not None:
            self._refresh(key, notes.refresh)


class _LateObserver:
    """Follows a request whose dialog may be there before its answer is."""

    dialog = None

    __slots__ = ("_contact", "_cseq", "_gate", "_key", "_method")

    def __init__(self, gate: LoadGate, key: Key, method: str, cseq: int, contact: str) -> None:
        self._gate = gate
        self._key = key
        self._method = method
        self._cseq = cseq
        self._contact = contact

    def on_reply(self, branch: int, reply: Message, sent_from: str) -> bool:
        """A 2xx moves the remote targets and sets the session timer."""
        del branch, sent_from
        if reply.status >= 200:
            refresh = Refresh(
                self._method, self._cseq, self._contact, contact_of(reply), session_of(reply)
            )
            self._gate.refreshed(self._key, refresh)
        return True

    def on_branch_failed(self, branch: int, status: int, to_tag: str, cause: str) -> None:
        """Changes nothing in the dialog."""

    def on_moved(self, branch: int, status: int) -> None:
        """Changes nothing in the dialog."""

    def on_failed(self, status: int, reply: Message | None) -> None:
        """Changes nothing in the dialog."""

    def on_finished(self) -> None:
        """Nothing was held for it."""
