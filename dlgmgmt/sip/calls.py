"""What other threads may do to calls: end them, refer a side of them, bridge two phones.

Every order is checked here and carried out on the signalling thread; none waits for a phone.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable

from dlgmgmt.dialog.errors import NoSuchDialog
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.sip.bridge import Order
from dlgmgmt.sip.bridges import Bridges
from dlgmgmt.sip.errors import BadMessage
from dlgmgmt.sip.keepalive import Keepalive
from dlgmgmt.sip.proxy import Proxy
from dlgmgmt.sip.refer import MAX_REFERS, Referrals, answered_leg
from dlgmgmt.sip.terminate import Terminator
from dlgmgmt.sip.uri import parse_uri

_LOG = logging.getLogger(__name__)

MAX_ADDRESS = 512
"""Characters of an address that is called or referred to."""

SIDES = frozenset({"caller", "callee"})

_NO_PROXY = frozenset({"", ".", "0"})
"""How commands and scripts say that there is no outbound proxy."""


def check_address(text: str, what: str) -> None:
    """Raise ValueError unless ``text`` is a SIP URI that can stand in a header; it names ``what``.

    The URI stands alone, without a display name or angle brackets.
    """
    if len(text) > MAX_ADDRESS:
        raise ValueError(f"{what}: longer than {MAX_ADDRESS} characters")
    if not (text.isascii() and text.isprintable()) or any(c in text for c in ' <>"'):
        raise ValueError(f"{what}: not a SIP URI: {text[:60]!r}")
    try:
        parse_uri(text)
    except BadMessage as error:
        raise ValueError(f"{what}: {error.reason}: {text[:60]!r}") from None


class Calls:
    """May be used from any thread, except for ``keepalive``.

    submit: runs a function on the signalling thread, from any thread.
    """

    def __init__(
        self,
        proxy: Proxy,
        table: DialogTable,
        terminator: Terminator,
        submit: Callable[[Callable[[], None]], None],
        settings: DialogSettings,
    ) -> None:
        self._submit = submit
        self._terminator = terminator
        forwarder = proxy.forwarder
        self.keepalive = Keepalive(proxy, table, terminator, settings)
        self.referrals = Referrals(
            proxy,
            terminator,
            table,
            forwarder.own,
            submit,
            controller=settings.bridge_controller,
            extra=settings.dlg_extra_hdrs,
        )
        self.bridges = Bridges(
            proxy,
            forwarder.router,
            forwarder.own,
            submit,
            controller=settings.bridge_controller,
            extra=settings.dlg_extra_hdrs,
            wall=table.wall,
        )

    def configure(self, settings: DialogSettings) -> None:
        """Take other parameters from now on."""
        self._submit(functools.partial(self.keepalive.configure, settings))
        given = settings.bridge_controller, settings.dlg_extra_hdrs
        self._submit(functools.partial(self.referrals.configure, *given))
        self._submit(functools.partial(self.bridges.configure, *given))

    def terminate(self, dialog: Dialog, side: str, reason: str) -> bool:
        """End a dialog; side: "caller" or "callee" if only that one is to be told, else "all".

        False if it has ended. ValueError for another side.
        """
        if side not in SIDES and side != "all":
            raise ValueError(f"side is caller, callee or all, not {side!r:.60}")
        try:
            self._terminator.by_id(
                dialog.entry.index, dialog.h_id, reason=reason, only="" if side == "all" else side
            )
        except NoSuchDialog:
            return False
        return True

    def refer(self, dialog: Dialog, side: str, address: str) -> bool:
        """Send one side ("caller" or "callee") of an answered call to ``address``.

        True says that the REFER is on its way; what becomes of it is logged. False: the call is
        not answered, or too many REFERs are under way. ValueError for a bad side or address.
        """
        if side not in SIDES:
            raise ValueError(f"side is caller or callee, not {side!r:.60}")
        check_address(address, "address")
        with dialog.entry.lock:
            possible = answered_leg(dialog) is not None
        if not possible or len(self.referrals) >= MAX_REFERS:
            _LOG.info("callid=%r %s: no REFER to %r now", dialog.callid, side, address)
            return False
        self._submit(lambda: self._refer(dialog, side, address))
        return True

    def _refer(self, dialog: Dialog, side: str, address: str) -> None:
        self.referrals.refer(dialog, side, address)

    def bridge(self, from_uri: str, to_uri: str, op: str = "") -> int:
        """Call ``from_uri``, on hold, and refer it to ``to_uri``; Bridges.views() shows the way.

        op: SIP URI of an outbound proxy for that call, "", "." or "0" for none. Returns the
        number of the bridge, 0 if too many exist. ValueError for a bad address.
        """
        check_address(from_uri, "from")
        check_address(to_uri, "to")
        proxy = "" if op in _NO_PROXY else op
        if proxy:
            check_address(proxy, "op")
        return self.bridges.order(Order(from_uri, to_uri, proxy))
