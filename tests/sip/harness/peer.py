"""A scripted SIP peer on a UDP socket: for exchanges in which each datagram matters.

Nothing is answered by itself: a test says what the peer sends, and which message it waits for.
"""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from .message import Message, build, uri_of

Address = tuple[str, int]
_branches = itertools.count(1)

SDP = (
    b"v=0\r\no=user1 53655765 2353687637 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\n"
    b"t=0 0\r\nm=audio 40002 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)


def new_branch() -> str:
    return f"z9hG4bK-peer-{next(_branches)}"


class Peer:
    """One UDP socket. host, port: where to bind; proxy: where everything is sent."""

    via = "UDP"
    where = ""
    """The parameter that an own URI needs to be reached over this transport."""

    def __init__(self, port: int, proxy: Address, host: str = "127.0.0.1") -> None:
        self.sock = self._open(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            self.sock.bind((host, port))
        except OSError:
            self.sock.close()
            raise
        self.proxy = proxy
        self.host, self.port = host, int(self.sock.getsockname()[1])
        self.pending: list[Message] = []
        self.seen: list[Message] = []
        self.copies: list[Message] = []
        self.callid = ""
        self.contact = f"sip:uas@{self.hostport}{self.where or ';transport=UDP'}"

    def _open(self, family: socket.AddressFamily) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        return sock

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def hostport(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def send(self, data: bytes) -> None:
        self.sock.sendto(data, self.proxy)

    def pump(self, timeout: float = 0.0) -> bool:
        """Read one datagram, if one comes within ``timeout`` seconds."""
        self.sock.settimeout(timeout) if timeout > 0 else self.sock.setblocking(False)
        try:
            data = self.sock.recv(65_535)
        except (TimeoutError, BlockingIOError):
            return False
        self._take(Message(data))
        return True

    def _take(self, message: Message) -> None:
        # A retransmission is the same datagram again; a test that wants it looks at ``copies``.
        if message in self.seen:
            self.copies.append(message)
        else:
            self.seen.append(message)
            self.pending.append(message)

    def drain(self) -> None:
        while self.pump():
            pass

    def expect(
        self,
        what: str | int,
        method: str = "",
        *,
        timeout: float = 10.0,
        where: Callable[[Message], bool] = lambda _: True,
    ) -> Message:
        """The next message of this call that fits; earlier ones that do not fit stay pending.

        what: a method for a request, a status code for a response. method: of the request that
        the response answers, any if empty. where: a further condition. AssertionError, with all
        that came instead, after ``timeout`` seconds.
        """

        def fits(message: Message) -> bool:
            if self.callid and message.callid != self.callid:
                return False
            if isinstance(what, int):
                right = message.status == what and method in ("", message.cseq_method)
            else:
                right = not message.status and message.method == what
            return right and where(message)

        end = time.monotonic() + timeout
        while True:
            for message in self.pending:
                if fits(message):
                    self.pending.remove(message)
                    return message
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"no {what} {method} at {self.hostport}; got:\n{self.trace()}")
            self.pump(left)

    def expect_any(self, *codes: int, timeout: float = 15.0) -> Message:
        """The next final response to the INVITE, whose code must be one of these."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            self.pump(0.1)
            for message in self.pending:
                if message.status >= 200 and message.method == "INVITE":
                    self.pending.remove(message)
                    assert message.status in codes, str(message)
                    return message
        raise AssertionError(f"no final response at {self.hostport}; got:\n{self.trace()}")

    def expect_copy(self, of: Message, timeout: float = 10.0) -> None:
        """Wait until the very same datagram comes again."""
        end = time.monotonic() + timeout
        while of not in self.copies:
            left = end - time.monotonic()
            assert left > 0, f"no retransmission of\n{of}"
            self.pump(left)
        self.copies.remove(of)

    def copies_of(self, message: Message) -> int:
        """How often a message has come again, up to now."""
        self.drain()
        return self.copies.count(message)

    def barrier(self) -> None:
        """Return once everything that the daemon had sent to this peer has been read.

        An OPTIONS to the daemon itself is answered through the same socket pair, so its 200
        arrives behind all that was sent before.
        """
        callid = f"barrier-{new_branch()}"
        own = f"<sip:barrier@{self.hostport}>"
        host, port = self.proxy[0], self.proxy[1]
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        request = build(
            f"OPTIONS sip:{target} SIP/2.0",
            [
                ("Via", f"SIP/2.0/{self.via} {self.hostport};branch={new_branch()}"),
                ("Max-Forwards", "70"),
                ("From", f"{own};tag=b"),
                ("To", f"<sip:{target}>"),
                ("Call-ID", callid),
                ("CSeq", "1 OPTIONS"),
            ],
        )
        end = time.monotonic() + 10.0
        while True:
            self.send(request)
            step = min(end, time.monotonic() + 1.0)
            while time.monotonic() < step:
                self.pump(0.05)
                for message in self.pending:
                    if message.callid == callid:
                        self.pending.remove(message)
                        return
            assert time.monotonic() < end, f"no answer to OPTIONS; got:\n{self.trace()}"

    def unread(self, *, provisional: bool = False) -> list[Message]:
        """What has come for this call and no test line has asked for, 100 Trying left out."""
        return [
            message
            for message in self.pending
            if (not self.callid or message.callid == self.callid)
            and (provisional or message.status != 100)
        ]

    def nothing_more(self) -> None:
        """Assert that the daemon has sent nothing beyond what the test asked for."""
        self.barrier()
        left = self.unread()
        assert not left, "unexpected at " + self.hostport + ":\n" + "\n".join(map(str, left))

    def trace(self) -> str:
        return "\n".join(str(message) for message in self.seen) or "(nothing)"


class Leg:
    """One peer's half of a dialog: what RFC 3261 12.1 says that it keeps."""

    def __init__(
        self,
        peer: Peer,
        *,
        callid: str,
        local: str,
        remote: str,
        target: str,
        routes: list[str],
        cseq: int,
        contact: str,
    ) -> None:
        self.peer = peer
        self.callid = callid
        self.local, self.remote = local, remote
        self.target, self.routes = target, routes
        self.cseq = cseq
        self.contact = contact

    def request(
        self,
        method: str,
        *,
        cseq: int | None = None,
        headers: list[tuple[str, str]] | None = None,
        body: bytes = b"",
        branch: str = "",
    ) -> bytes:
        """Send a request within the dialog; returns the datagram. cseq: the next one if None."""
        if cseq is None:
            self.cseq += 1
            cseq = self.cseq
        data = build(
            f"{method} {self.target} SIP/2.0",
            [
                (
                    "Via",
                    f"SIP/2.0/{self.peer.via} {self.peer.hostport};branch={branch or new_branch()}",
                ),
                *(("Route", route) for route in self.routes),
                ("Max-Forwards", "70"),
                ("From", self.local),
                ("To", self.remote),
                ("Call-ID", self.callid),
                ("CSeq", f"{cseq} {method}"),
                *([("Contact", f"<{self.contact}>")] if method in ("INVITE", "UPDATE") else []),
                *(headers or []),
            ],
            body,
        )
        self.peer.send(data)
        return data

    def transact(
        self,
        method: str,
        other: Peer,
        *,
        headers: list[tuple[str, str]] | None = None,
        contact: str = "",
    ) -> Message:
        """A request that ``other`` answers 200 (a re-INVITE is acknowledged); returns it there."""
        if contact:
            # It moves: its answers to the other side's requests name the new place too.
            self.contact = self.peer.contact = contact
        body = SDP if method == "INVITE" else b""
        self.request(method, headers=headers, body=body)
        arrived = other.expect(method)
        other.send(response(arrived, 200, contact=True, peer=other))
        self.peer.expect(200, method, where=lambda m: m.cseq == arrived.cseq)
        if method == "INVITE":
            self.request("ACK", cseq=arrived.cseq)
            other.expect("ACK")
        return arrived

    def bye(self, other: Peer) -> None:
        """Hang up, and have ``other`` confirm."""
        self.transact("BYE", other)


def response(
    request: Message,
    code: int,
    *,
    tag: str = "",
    peer: Peer | None = None,
    contact: bool = False,
    reason: str = "",
    headers: list[tuple[str, str]] | None = None,
    body: bytes = b"",
) -> bytes:
    """An answer to a request (RFC 3261 8.2.6), with its Vias and Record-Routes as they came."""
    to = request.get("To")
    text = reason or {180: "Ringing", 183: "Session Progress", 200: "OK"}.get(code, "Reason")
    return build(
        f"SIP/2.0 {code} {text}",
        [
            *(("Via", via) for via in request.all("Via")),
            *(("Record-Route", route) for route in request.all("Record-Route")),
            ("From", request.get("From")),
            ("To", f"{to};tag={tag}" if tag and not request.to_tag else to),
            ("Call-ID", request.callid),
            ("CSeq", request.get("CSeq")),
            *([("Contact", f"<{peer.contact}>")] if contact and peer else []),
            *(headers or []),
        ],
        body,
    )


class Caller(Peer):
    """A phone that places one call."""

    def __init__(
        self, port: int, proxy: Address, callid: str, *, tag: str = "uac-1", host: str = "127.0.0.1"
    ) -> None:
        super().__init__(port, proxy, host)
        self.callid = callid
        self.tag = tag
        self.contact = f"sip:alice@{self.hostport};ob{self.where}"
        self.invite_uri = ""
        self.invite_branch = ""
        self.to = ""
        self.cseq = 1

    @property
    def from_(self) -> str:
        return f'"Alice" <sip:alice@ims.example.com>;tag={self.tag}'

    def _initial(
        self, method: str, headers: list[tuple[str, str]], to: str = "", body: bytes = b""
    ) -> bytes:
        return build(
            f"{method} {self.invite_uri} SIP/2.0",
            [
                ("Via", f"SIP/2.0/{self.via} {self.hostport};branch={self.invite_branch}"),
                *headers,
                ("From", self.from_),
                ("To", to or self.to),
                ("Call-ID", self.callid),
                ("CSeq", f"{self.cseq} {method}"),
            ],
            body,
        )

    def invite(
        self,
        uri: str,
        *,
        headers: list[tuple[str, str]] | None = None,
        max_forwards: str = "70",
        branch: str = "",
        raw: bytes = b"",
    ) -> bytes:
        """Send the initial INVITE; returns the datagram. raw: header lines put in as they are."""
        self.invite_uri, self.invite_branch = uri, branch or new_branch()
        user = uri.partition("@")[0].removeprefix("sip:")
        self.to = f"<sip:{user}@ims.example.com>"
        data = self._initial(
            "INVITE",
            [
                ("Contact", f"<{self.contact}>"),
                ("Max-Forwards", max_forwards),
                *(headers or []),
                ("Content-Type", "application/sdp"),
            ],
            body=SDP,
        ).replace(b"Content-Length:", raw + b"Content-Length:", 1)
        self.send(data)
        return data

    def cancel(self) -> bytes:
        data = self._initial("CANCEL", [("Max-Forwards", "70")])
        self.send(data)
        return data

    def ack_failure(self, final: Message) -> bytes:
        """The ACK of a 3xx-6xx: same branch, hop by hop (RFC 3261 17.1.1.3)."""
        data = self._initial("ACK", [("Max-Forwards", "70")], to=final.get("To"))
        self.send(data)
        return data

    def leg(self, reply: Message) -> Leg:
        """The dialog that a provisional or 2xx reply made."""
        return Leg(
            self,
            callid=self.callid,
            local=self.from_,
            remote=reply.get("To"),
            target=reply.contact,
            routes=list(reversed(reply.all("Record-Route"))),
            cseq=self.cseq,
            contact=self.contact,
        )

    def ack(self, reply: Message) -> Leg:
        """Acknowledge a 2xx end to end; returns its dialog."""
        leg = self.leg(reply)
        leg.request("ACK", cseq=reply.cseq)
        return leg


class Callee(Peer):
    """A phone that takes one call."""

    def __init__(
        self, port: int, proxy: Address, callid: str, *, tag: str = "", host: str = "127.0.0.1"
    ) -> None:
        super().__init__(port, proxy, host)
        self.callid = callid
        self.tag = tag or f"uas{self.port}-1"
        self.call: Message | None = None

    @property
    def invite(self) -> Message:
        assert self.call is not None, "no INVITE taken"
        return self.call

    def take(self, timeout: float = 10.0) -> Message:
        """Wait for the initial INVITE."""
        self.call = self.expect("INVITE", timeout=timeout)
        return self.call

    def ring(self, code: int = 180, *, headers: list[tuple[str, str]] | None = None) -> bytes:
        data = response(self.invite, code, tag=self.tag, peer=self, contact=True, headers=headers)
        self.send(data)
        return data

    def answer(self, *, tag: str = "", headers: list[tuple[str, str]] | None = None) -> bytes:
        data = response(
            self.invite,
            200,
            tag=tag or self.tag,
            peer=self,
            contact=True,
            headers=[*(headers or []), ("Content-Type", "application/sdp")],
            body=SDP,
        )
        self.send(data)
        return data

    def refuse(self, code: int, *, headers: list[tuple[str, str]] | None = None) -> bytes:
        data = response(self.invite, code, tag=self.tag, headers=headers)
        self.send(data)
        return data

    def confirm(self, request: Message, code: int = 200) -> bytes:
        """Answer a request other than the initial INVITE."""
        data = response(request, code, tag=self.tag, peer=self, contact=True)
        self.send(data)
        return data

    def take_cancel(self, timeout: float = 10.0) -> Message:
        """The whole of being cancelled: 200 to the CANCEL, 487 to the INVITE, its ACK."""
        cancel = self.expect("CANCEL", timeout=timeout)
        self.confirm(cancel)
        self.refuse(487)
        self.expect("ACK")
        return cancel

    def leg(self) -> Leg:
        call = self.invite
        return Leg(
            self,
            callid=self.callid,
            local=f"{call.get('To')};tag={self.tag}",
            remote=call.get("From"),
            target=uri_of(call.get("Contact")),
            routes=call.all("Record-Route"),
            cseq=0,
            contact=self.contact,
        )
