"""Requests that the daemon sends within a call, to one party in the name of the other."""

from __future__ import annotations

import functools
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from dlgmgmt.dialog.cseq import MAX_CSEQ
from dlgmgmt.dialog.model import Dialog, OutLeg
from dlgmgmt.sip import build
from dlgmgmt.sip.branch import retry_after
from dlgmgmt.sip.core import Core
from dlgmgmt.sip.errors import BadMessage
from dlgmgmt.sip.flow import Destination, Flow
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.nat import take_alias
from dlgmgmt.sip.quiet import Quiet
from dlgmgmt.sip.transaction import ClientTransaction

_QUIET = Quiet(logging.getLogger(__name__))

TIMEOUT = "timeout"
UNSENDABLE = "unsendable"

Done = Callable[[str], None]
"""Called once with the outcome: the final status as text, TIMEOUT, or UNSENDABLE."""


class Party(NamedTuple):
    """One party of a dialog, and in whose name it is written to.

    target: its Contact. routes: Route values towards it, nearest hop first. bound: name of the
    socket that it is reached from, if that is known.
    """

    callid: str
    from_uri: str
    from_tag: str
    to_uri: str
    to_tag: str
    target: str
    routes: tuple[str, ...]
    bound: str


def party(dialog: Dialog, leg: OutLeg, *, to_caller: bool) -> Party:
    """The caller as the callee of ``leg`` writes to it, or the other way round."""
    callid, caller, caller_tag = dialog.callid, dialog.from_uri, dialog.from_tag
    if to_caller:
        return Party(
            callid,
            leg.to_uri,
            leg.to_tag,
            caller,
            caller_tag,
            dialog.caller_contact,
            dialog.caller_route_set,
            dialog.caller_bind_addr,
        )
    return Party(
        callid,
        caller,
        caller_tag,
        leg.to_uri,
        leg.to_tag,
        leg.callee_contact,
        leg.callee_route_set,
        leg.callee_bind_addr,
    )


def way(to: Party) -> tuple[str, str]:
    """The remote target as it is sent to a party, and the URI of the next hop.

    Raises BadMessage for a Route value that cannot be read.
    """
    aliased = None if to.routes else take_alias(to.target)
    return aliased or (to.target, build.next_hop_uri(to.target, to.routes))


def take_cseq(dialog: Dialog, leg: OutLeg, *, to_caller: bool) -> int:
    """A number for a request after which the dialog goes on."""
    with dialog.entry.lock:
        dialog.mark()
        return leg.take_cseq(to_caller=to_caller)


class InDialogSender:
    """Builds and sends requests within dialogs. Signalling thread only."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def send(
        self, method: str, to: Party, number: Callable[[], int], extra: str, done: Done
    ) -> None:
        """Send a request as a client transaction.

        number: gives the CSeq number, and is called only if the request can be sent. extra:
        header lines, each with CRLF.
        """
        self._candidates(to, functools.partial(self._located, method, to, number, extra, done))

    def _located(
        self,
        method: str,
        to: Party,
        number: Callable[[], int],
        extra: str,
        done: Done,
        found: Sequence[Destination],
    ) -> None:
        if not found:
            done(UNSENDABLE)
            return
        cseq = number()
        if cseq > MAX_CSEQ:
            done(UNSENDABLE)
            return

        def request(place: Destination, branch: str) -> bytes:
            return self._build(method, to, cseq, extra, self.via(place, branch))

        if not _Exchange(self._core, method, request, found, done).begin():
            done(UNSENDABLE)

    def ack(self, to: Party, cseq: int, sent: Callable[[Ack], None] | None = None) -> None:
        """Acknowledge a 2xx; ``sent`` gets what went out, for the 2xx that come again."""

        def located(found: Destination | None) -> None:
            if found is None:
                return
            branch = self._core.stack.new_branch(0)
            ack = Ack(self._build("ACK", to, cseq, "", self.via(found, branch)), found.flow())
            ack.again()
            if sent is not None:
                sent(ack)

        self.locate(to, located)

    def _build(self, method: str, to: Party, cseq: int, extra: str, via: str) -> bytes:
        return build.in_dialog_request(
            method,
            uri=way(to)[0],
            via=via,
            from_uri=to.from_uri,
            from_tag=to.from_tag,
            to_uri=to.to_uri,
            to_tag=to.to_tag,
            callid=to.callid,
            cseq=cseq,
            route_set=to.routes,
            agent=self._core.settings.server_header,
            extra=extra,
        )

    def via(self, found: Destination, branch: str) -> str:
        """The Via value of a request to ``found``."""
        sock = found.sock
        return f"SIP/2.0/{sock.via} {sock.sent_by(found.addr[0])};branch={branch}{sock.via_params}"

    def locate(self, to: Party, done: Callable[[Destination | None], None]) -> None:
        """Find where a party's next hop is; None if there is no way."""
        self._candidates(to, lambda found: done(found[0] if found else None))

    def _candidates(self, to: Party, done: Callable[[Sequence[Destination]], None]) -> None:
        if not to.target:
            done(())
            return
        locator = self._core.locator
        preferred = locator.named(to.bound)
        try:
            _, next_hop = way(to)
        except BadMessage as error:
            # A party's own Record-Route that cannot be read.
            _QUIET.info("no way to %r: %s", to.target, error)
            done(())
            return
        locator.candidates(next_hop, preferred, done)


class Ack(NamedTuple):
    """An ACK that was sent, and where to."""

    data: bytes
    flow: Flow

    def again(self) -> None:
        """Send it (once more)."""
        self.flow.send(self.data)


class _Exchange:
    """Such a request, at one place after the other (RFC 3263 4.3).

    build: the request for a place and a branch. places: where it can go, best first.
    """

    __slots__ = ("_again", "_build", "_core", "_done", "_heard", "_method", "_place", "_places")

    def __init__(
        self,
        core: Core,
        method: str,
        build: Callable[[Destination, str], bytes],
        places: Sequence[Destination],
        done: Done,
    ) -> None:
        self._core = core
        self._method = method
        self._build = build
        self._places = deque(places)
        self._place = places[0]
        self._done = done
        self._heard = False
        self._again = False

    @property
    def can_move(self) -> bool:
        """Whether there is another place."""
        return bool(self._places)

    def begin(self) -> bool:
        """Send it to the next place that takes it; False without one."""
        stack = self._core.stack
        while self._places:
            self._place = place = self._places.popleft()
            branch = stack.new_branch(0)
            data = self._build(place, branch)
            if stack.new_client(branch, self._method, data, place.flow(), self).start():
                return True
            self._core.locator.failed(place)
        return False

    def on_reply(self, transaction: ClientTransaction, reply: Message) -> None:
        """The final reply is the outcome, but for a 503 where there is another place."""
        del transaction
        if reply.status < 200:
            self._heard = True
            return
        if reply.status == 503:
            self._core.locator.refused(self._place, retry_after(reply))
            self._heard = False
            if self.begin():
                return
        self._done(str(reply.status))

    def on_timeout(self, transaction: ClientTransaction) -> None:
        """Timer F: nobody answered; or the connection broke."""
        if not self._heard:
            if transaction.broken and transaction.flow.reused and not self._again:
                # An old connection says nothing of the server.
                self._again = True
                self._places.appendleft(self._place)
            else:
                self._core.locator.failed(self._place)
            if self.begin():
                return
        self._done(UNSENDABLE if transaction.broken else TIMEOUT)
