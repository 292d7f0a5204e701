"""A daemon for routes: a real dialog table on a still clock, and a record of what was ordered."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from dlgmgmt.dialog.init import DialogInit
from dlgmgmt.dialog.model import Dialog, Direction
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.dialog.states import State
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.dialog.tracker import InviteReply, Tracker
from dlgmgmt.dialog.views import TableCounts
from dlgmgmt.routing.decision import Decision, Session
from dlgmgmt.routing.dialog import ScriptDialog
from dlgmgmt.routing.env import RunInput
from dlgmgmt.routing.message import ScriptMessage
from dlgmgmt.routing.routes import run_request
from dlgmgmt.routing.run import Run
from dlgmgmt.sip.message import Message

UNIX = 1_700_000_000.0
SOURCE = ("192.0.2.1", 5062)


@dataclass(frozen=True, slots=True)
class Parameters:
    """The dialog parameters that routes obey."""

    rr_param: str = "did"
    dlg_flag: int | None = None
    timeout_avp: str | None = None
    ruri_pvar: str = "$ru"


class Profiles:
    """Insertions, counted."""

    def __init__(self, with_value: Iterable[str], no_value: Iterable[str]) -> None:
        self._with, self._plain = set(with_value), set(no_value)
        self.held: Counter[tuple[str, str, str | None]] = Counter()

    def names(self) -> set[str]:
        return self._with | self._plain

    def has_value(self, name: str) -> bool:
        return name in self._with

    def insert(self, dialog: Dialog, name: str, value: str | None) -> None:
        self.held[dialog.did, name, value] += 1

    def remove(self, dialog: Dialog, name: str, value: str | None) -> bool:
        key = dialog.did, name, value
        if not self.held[key]:
            return False
        self.held[key] -= 1
        return True

    def contains(self, dialog: Dialog, name: str, value: str | None) -> bool:
        return any(
            count and did == dialog.did and known == name and value in (None, held)
            for (did, known, held), count in self.held.items()
        )

    def size(self, name: str, value: str | None) -> int:
        return sum(
            count
            for (_, known, held), count in self.held.items()
            if known == name and value in (None, held)
        )


class Table:
    """What routes use of a dialog table, over a real one."""

    def __init__(self, dialogs: DialogTable) -> None:
        self.dialogs = dialogs
        self.profiles = Profiles(["caller", "gateway"], ["inbound", "outbound"])
        self.variables: dict[tuple[str, str], str] = {}
        self.seconds: list[int] = []
        self.timeout_bye: bool | None = None
        self.keepalive: tuple[bool, bool] | None = None
        self.noreset: bool | None = None

    def counts(self) -> TableCounts:
        return self.dialogs.counts()

    def lookup(self, callid: str, from_tag: str, to_tag: str) -> Dialog | None:
        entry = self.dialogs.entry_of(callid)
        with entry.lock:
            found = self.dialogs.match(entry, None, callid, from_tag, to_tag)
            return found[0] if found and found[0].state is not State.DELETED else None

    def set_var(self, dialog: Dialog, key: str, value: str | None) -> None:
        if value is None:
            self.variables.pop((dialog.did, key), None)
        elif len(self.variables) >= 64:
            raise ValueError("more than 64 variables")
        else:
            self.variables[dialog.did, key] = value

    def get_var(self, dialog: Dialog, key: str) -> str | None:
        return self.variables.get((dialog.did, key))

    def set_flag(self, dialog: Dialog, number: int) -> None:
        dialog.sflags |= 1 << number

    def reset_flag(self, dialog: Dialog, number: int) -> None:
        dialog.sflags &= ~(1 << number)

    def is_flag_set(self, dialog: Dialog, number: int) -> bool:
        return bool(dialog.sflags >> number & 1)

    def set_lifetime(self, dialog: Dialog, seconds: int) -> None:
        dialog.lifetime = seconds
        self.seconds.append(seconds)

    def set_toroute(self, dialog: Dialog, name: str) -> None:
        dialog.toroute = name

    def set_timeout_bye(self, dialog: Dialog, on: bool) -> None:  # noqa: FBT001 - as the core's
        self.timeout_bye = on

    def set_keepalive(self, dialog: Dialog, caller: bool, callee: bool) -> None:  # noqa: FBT001
        self.keepalive = caller, callee

    def set_timeout_noreset(self, dialog: Dialog, on: bool) -> None:  # noqa: FBT001
        self.noreset = on


class Env:
    """The daemon as a run sees it; ``orders`` is what it was told to do."""

    def __init__(self, settings: Parameters | None = None, *, max_dialogs: int = 100) -> None:
        self.now = 0.0
        self.settings = settings or Parameters()
        self.dialogs = DialogTable(
            DialogSettings(hash_size=8, default_timeout=600, max_dialogs=max_dialogs),
            wall=self.clock,
            monotonic=lambda: self.now,
            rng=random.Random(7),
        )
        self.table = Table(self.dialogs)
        self.expired: list[Dialog] = []
        self.tracker = Tracker(self.dialogs, self.expired.append)
        self.orders: list[tuple[Any, ...]] = []
        self.routes: dict[str, list[str]] = {}
        self.opened = 0
        self.willing = True

    def clock(self) -> float:
        return UNIX + self.now

    def open_dialog(self, message: Message, session: Session, *, req_uri: str) -> Dialog:
        self.opened += 1
        init = DialogInit(
            callid=message.callid,
            from_tag=message.from_tag,
            from_uri=message.from_uri,
            to_uri=message.to_uri,
            req_uri=req_uri,
            cseq=message.cseq[0],
            contact=message.contact_uri,
            route_set=tuple(message.all("record-route")),
            bind_addr="udp:192.0.2.5:5060",
            lifetime=600,
        )
        return self.dialogs.open(init)[0]

    def find_dialog(self, message: Message) -> tuple[Dialog, bool] | None:
        entry = self.dialogs.entry_of(message.callid)
        with entry.lock:
            found = self.dialogs.match(
                entry, None, message.callid, message.from_tag, message.to_tag
            )
        return (found[0], found[2] is Direction.UPSTREAM) if found else None

    def targets(self, uri: str) -> list[str]:
        return self.routes.get(uri, [])

    def terminate(self, dialog: Dialog, side: str, reason: str) -> bool:
        self.orders.append(("terminate", dialog.callid, side, reason))
        return self.willing

    def refer(self, dialog: Dialog, side: str, address: str) -> bool:
        self.orders.append(("refer", dialog.callid, side, address))
        return self.willing

    def bridge(self, caller: str, callee: str, proxy: str) -> bool:
        self.orders.append(("bridge", caller, callee, proxy))
        return self.willing

    # -- calls ---------------------------------------------------------------------------------

    def call(self, callid: str = "c1") -> Dialog:
        """A call from alice to bob, answered, its ACK seen."""
        dialog = self.open_dialog(invite(callid=callid), Session(), req_uri="sip:bob@p.example")
        self.answer(dialog)
        self.tracker.request(None, callid, "alice", "bob", "ACK", 10)
        return dialog

    def answer(self, dialog: Dialog, to_tag: str = "bob", code: int = 200) -> None:
        reply = InviteReply(
            0, code, to_tag, "sip:bob@192.0.2.2", ("<sip:192.0.2.8;lr>",), True, "udp:192.0.2.6:1"
        )
        self.tracker.invite_reply(dialog, reply)


def request(
    method: str = "INVITE",
    *headers: str,
    uri: str = "sip:+4930123@proxy.example:5060;user=phone",
    callid: str = "c1",
    from_: str = '"Alice A." <sip:alice:secret@a.example>;tag=alice',
    to: str = "Bob <sip:bob@b.example>",
    cseq: int = 10,
) -> Message:
    lines = [
        f"{method} {uri} SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK1",
        "Max-Forwards: 70",
        f"From: {from_}",
        f"To: {to}",
        f"Call-ID: {callid}",
        f"CSeq: {cseq} {method}",
        "Contact: <sip:alice@192.0.2.1:5062>",
        "User-Agent: phone/1.0",
        *headers,
        "",
        "",
    ]
    return Message("\r\n".join(lines).encode("utf-8", "surrogateescape"))


def invite(*headers: str, callid: str = "c1", **fields: Any) -> Message:
    return request("INVITE", *headers, callid=callid, **fields)


def within(method: str = "BYE", *, upstream: bool = False, callid: str = "c1") -> Message:
    """A sequential request of the call."""
    alice, bob = "<sip:alice@a.example>;tag=alice", "<sip:bob@b.example>;tag=bob"
    from_, to = (bob, alice) if upstream else (alice, bob)
    return request(method, from_=from_, to=to, callid=callid, cseq=11, uri="sip:bob@192.0.2.2")


def reply(status: int = 180, reason: str = "Ringing", *headers: str) -> Message:
    lines = [
        f"SIP/2.0 {status} {reason}",
        "Via: SIP/2.0/UDP 192.0.2.5;branch=z9hG4bK2",
        "From: <sip:alice@a.example>;tag=alice",
        "To: <sip:bob@b.example>;tag=bob",
        "Call-ID: c1",
        "CSeq: 10 INVITE",
        *headers,
        "",
        "",
    ]
    return Message("\r\n".join(lines).encode())


def script(**functions: Any) -> SimpleNamespace:
    """A script with these functions."""
    return SimpleNamespace(**functions)


class Bench:
    """One run that stays open: msg and dlg as a script has them."""

    def __init__(
        self,
        message: Message | None = None,
        env: Env | None = None,
        *,
        route: str = "request",
        session: Session | None = None,
        functions: object = None,
        **given: Any,
    ) -> None:
        self.env = env or Env()
        self.session = session or Session()
        found = RunInput(message or invite(), self.session, SOURCE, "udp:192.0.2.5:5060", **given)
        self.run = Run(route, self.env, found, functions=functions)
        self.msg = ScriptMessage(self.run)
        self.dlg = ScriptDialog(self.run)

    @property
    def decision(self) -> Decision:
        return self.run.decision


def decide(route: Any, message: Message | None = None, env: Env | None = None) -> Decision:
    """What a request route decides."""
    given = RunInput(message or invite(), Session(), SOURCE)
    return run_request(given, env or Env(), script(request_route=route))


URI = "sip:+4930123@proxy.example:5060;user=phone"


def given(message: Message | None = None, **fields: Any) -> RunInput:
    return RunInput(message or invite(), fields.pop("session", Session()), SOURCE, **fields)


def relay(msg: ScriptMessage, dlg: ScriptDialog) -> None:
    msg.t_relay()


def undecided(msg: ScriptMessage, dlg: ScriptDialog) -> None:
    msg.append_branch("sip:a@b")


def busy(msg: ScriptMessage, dlg: ScriptDialog) -> None:
    msg.send_reply(486, "Busy")


def uris(decision: Decision) -> list[str]:
    return [plan.uri for plan in decision.branches]
