"""A real dialog table with real dialogs in it, and a dispatcher on top; nothing is sent."""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass

from dlgmgmt.commands.context import CommandContext, StatisticsProvider
from dlgmgmt.commands.dispatcher import Caller, Dispatcher
from dlgmgmt.commands.pace import Pacer
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.dialog.callbacks import Callbacks, DialogHandle
from dlgmgmt.dialog.forced import force
from dlgmgmt.dialog.init import DialogInit
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.dialog.termination import Terminations
from dlgmgmt.dialog.tracker import InviteReply, Tracker
from dlgmgmt.dialog.views import TerminationView
from dlgmgmt.sip.bridges import MAX_BRIDGES, BridgeView
from dlgmgmt.sip.calls import check_address
from dlgmgmt.sip.terminate import check_extra_headers

NOW = 1_795_410_900.25
STARTED = NOW - 220
ME = Caller("test")


@dataclass
class Order:
    """What the terminator was asked for."""

    view: TerminationView
    extra_headers: str


class OrdersOnly:
    """Orders terminations of the real core; the sending is the SIP engine's affair."""

    def __init__(self, table: DialogTable) -> None:
        self._orders = Terminations(table)
        self.ordered: list[Order] = []

    def by_tags(
        self, callid: str, from_tag: str, to_tag: str, *, reason: str, extra_headers: str = ""
    ) -> TerminationView:
        extra = check_extra_headers(extra_headers)
        order = self._orders.by_tags(callid, from_tag, to_tag, reason=reason, extra_headers=extra)
        self.ordered.append(Order(order.view(), order.extra_headers))
        return order.view()

    def by_id(
        self, h_entry: int, h_id: int, *, reason: str, extra_headers: str = ""
    ) -> TerminationView:
        extra = check_extra_headers(extra_headers)
        order = self._orders.by_id(h_entry, h_id, reason=reason, extra_headers=extra)
        self.ordered.append(Order(order.view(), order.extra_headers))
        return order.view()


class BridgesOnly:
    """Takes the orders of bridges that dlgmgmt.sip.calls would carry out."""

    def __init__(self) -> None:
        self.bridges = self
        self.known: list[BridgeView] = []

    def views(self) -> list[BridgeView]:
        return [*self.known]

    def bridge(self, from_uri: str, to_uri: str, op: str = "") -> int:
        check_address(from_uri, "from")
        check_address(to_uri, "to")
        proxy = "" if op in ("", ".") else op
        if proxy:
            check_address(proxy, "op")
        number = len(self.known) + 1
        if number > MAX_BRIDGES:
            return 0
        self.known.append(
            BridgeView(number, "", from_uri, to_uri, proxy, "ordered", "", int(NOW), 0)
        )
        return number


class House:
    """Table, tracker and dispatcher with clocks that stand still at NOW."""

    def __init__(
        self,
        hash_size: int = 4096,
        statistics: dict[str, StatisticsProvider] | None = None,
        *,
        enable_stats: bool = True,
    ) -> None:
        self.wall = NOW
        self.table = DialogTable(
            DialogSettings(
                hash_size=hash_size,
                enable_stats=enable_stats,
                profiles_with_value=("caller", "gw"),
                profiles_no_value=("inbound", "outbound"),
            ),
            wall=lambda: self.wall,
            monotonic=lambda: 1000.0,
            rng=random.Random(4),
        )
        self.tracker = Tracker(self.table, lambda _dialog: None)
        self.terminator = OrdersOnly(self.table)
        self.callbacks = Callbacks(self.table)
        self.bridges = BridgesOnly()
        self.pacer = Pacer(0.0)
        self.context = CommandContext(
            table=self.table,
            terminator=self.terminator,
            clock=lambda: self.wall,
            start_time=STARTED,
            version="0.1.0",
            platform="x86_64/linux",
            statistics=statistics or {},
            describe=lambda dialog: self.callbacks.context(DialogHandle(dialog)),
            force=functools.partial(force, self.table),
            bridging=self.bridges,
            pacer=self.pacer,
        )
        self.dispatcher = Dispatcher(build_registry(), self.context)

    def invite(self, callid: str = "call-1@ref", from_tag: str = "uac-1", **changes: str) -> Dialog:
        """A dialog in state 1."""
        fields = {
            "from_uri": "sip:alice@ims.example.com",
            "to_uri": "sip:bob@ims.example.com",
            "req_uri": "sip:bob@ims.example.com",
            "contact": "sip:alice@127.0.0.1:5192;ob",
            "bind_addr": "udp:127.0.0.1:5170",
        }
        fields |= changes
        dialog, _ = self.table.open(
            DialogInit(
                callid=callid,
                from_tag=from_tag,
                cseq=1,
                route_set=(),
                lifetime=43200,
                from_uri=fields["from_uri"],
                to_uri=fields["to_uri"],
                req_uri=fields["req_uri"],
                contact=fields["contact"],
                bind_addr=fields["bind_addr"],
            )
        )
        return dialog

    def reply(
        self,
        dialog: Dialog,
        code: int,
        to_tag: str = "uas5190-1",
        branch: int = 0,
        port: int = 5190,
    ) -> None:
        """The INVITE is answered ``code``."""
        contact = f"sip:uas@127.0.0.1:{port};transport=UDP"
        self.tracker.invite_reply(
            dialog, InviteReply(branch, code, to_tag, contact, (), False, "udp:127.0.0.1:5170")
        )

    def ack(self, dialog: Dialog, to_tag: str = "uas5190-1") -> None:
        """The caller acknowledges."""
        self.tracker.request(None, dialog.callid, dialog.from_tag, to_tag, "ACK", 1)

    def call(self, callid: str = "call-1@ref", from_tag: str = "uac-1", **changes: str) -> Dialog:
        """An answered and acknowledged call."""
        dialog = self.invite(callid, from_tag, **changes)
        self.reply(dialog, 200)
        self.ack(dialog)
        return dialog
