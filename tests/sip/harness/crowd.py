"""Many phones on two sockets, which answer by themselves: for calls by the hundred."""

from __future__ import annotations

import select
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Self

from .message import Message, build
from .peer import SDP, Address, Peer, new_branch, response


class Crowd:
    """Callers on one socket, callees on the other. ports: of those; proxy: the daemon."""

    def __init__(self, ports: tuple[int, int], proxy: Address) -> None:
        self.callers = Peer(ports[0], proxy)
        self.callees = Peer(ports[1], proxy)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._routes: dict[str, list[str]] = {}
        self._acked: set[str] = set()
        self._byes: dict[str, Counter[str]] = {"caller": Counter(), "callee": Counter()}
        self._seen: set[tuple[str, str]] = set()
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(10)
        self.callers.sock.close()
        self.callees.sock.close()

    def place(self, callids: list[str], timeout: float = 30.0) -> None:
        """Set up these calls, and return when all are answered and acknowledged."""
        end = time.monotonic() + timeout
        for at in range(0, len(callids), 20):
            some = callids[at : at + 20]
            for callid in some:
                self.callers.send(self._request("INVITE", callid, 1))
            while not self._have_acked(some):
                assert time.monotonic() < end, f"not up: {some}; {self.failures[:3]}"
                time.sleep(0.01)

    def hang_up(self, callids: list[str]) -> None:
        """The callers send a BYE in each call."""
        for callid in callids:
            self.callers.send(self._request("BYE", callid, 2))

    def byes(self, side: str) -> Counter[str]:
        """How many different BYEs have come to a side, by Call-ID. side: "caller", "callee"."""
        with self._lock:
            return Counter(self._byes[side])

    def tags(self, callid: str) -> tuple[str, str]:
        name = callid.partition("@")[0]
        return f"from-{name}", f"to-{name}"

    def _have_acked(self, callids: list[str]) -> bool:
        with self._lock:
            return self._acked.issuperset(callids)

    def _request(self, method: str, callid: str, cseq: int) -> bytes:
        from_tag, to_tag = self.tags(callid)
        uri, to = f"sip:crowd@{self.callees.hostport}", "<sip:crowd@ims.example.com>"
        routes: list[str] = []
        if method != "INVITE":
            uri, to = self.callees.contact, f"{to};tag={to_tag}"
            with self._lock:
                routes = self._routes[callid]
        return build(
            f"{method} {uri} SIP/2.0",
            [
                ("Via", f"SIP/2.0/UDP {self.callers.hostport};branch={new_branch()}"),
                *(("Route", route) for route in routes),
                ("Max-Forwards", "70"),
                ("From", f"<sip:caller@ims.example.com>;tag={from_tag}"),
                ("To", to),
                ("Call-ID", callid),
                ("CSeq", f"{cseq} {method}"),
                ("Contact", f"<sip:caller@{self.callers.hostport}>"),
            ],
            SDP if method == "INVITE" else b"",
        )

    def _run(self) -> None:
        sockets = {self.callers.sock: self.callers, self.callees.sock: self.callees}
        while not self._stop.is_set():
            for sock in select.select(list(sockets), [], [], 0.05)[0]:
                peer = sockets[sock]
                message = Message(peer.sock.recv(65_535))
                if message.status:
                    self._reply(message)
                else:
                    self._take(peer, message)

    def _reply(self, message: Message) -> None:
        if message.method == "INVITE" and message.status == 200:
            with self._lock:
                routes = list(reversed(message.all("Record-Route")))
                self._routes[message.callid] = routes
            self.callers.send(self._request("ACK", message.callid, 1))
        elif message.status >= 300:
            with self._lock:
                self.failures.append(str(message))

    def _take(self, peer: Peer, message: Message) -> None:
        if message.method == "INVITE":
            tag = self.tags(message.callid)[1]
            peer.send(response(message, 200, tag=tag, peer=peer, contact=True, body=SDP))
        elif message.method == "ACK":
            with self._lock:
                self._acked.add(message.callid)
        elif message.method == "BYE":
            side = "caller" if peer is self.callers else "callee"
            with self._lock:
                # A retransmission has the same branch.
                if (side, message.branch) not in self._seen:
                    self._seen.add((side, message.branch))
                    self._byes[side][message.callid] += 1
            peer.send(response(message, 200))
