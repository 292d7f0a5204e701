"""Running sipp: the built-in scenarios and those of the folder ``scenarios``."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from .message import Message
from .ports import free_port, free_ports, sends_from

SIPP = shutil.which("sipp")
SCENARIOS = Path(__file__).parent.parent / "scenarios"
# A line of dashes and the time, then whether sent or received and the size, then the message.
_BLOCK = re.compile(
    rb"^-{20,} [^\n]*\n(?:UDP|TCP) message (sent|received) \[?\(?(\d+)\]? ?bytes\)?\s*:\n\n",
    re.MULTILINE,
)


def _reached_at(text: str, kind: str, public: tuple[str, int, str] | None) -> str:
    """A scenario whose Via and Contact say where the phone is."""
    # In a URI the address of IPv6 has brackets, in SDP it has none.
    text = text.replace("IN IP[local_ip_type] [local_ip]", "IN IP[media_ip_type] [media_ip]")
    transport = kind
    if public is not None:
        host, port, transport = public
        text = text.replace("[local_ip]:[local_port]", f"{host}:{port}")
        text = text.replace("SIP/2.0/[transport]", f"SIP/2.0/{transport.upper()}")
    if transport != "udp":
        text = text.replace(";transport=UDP", "")
        text = re.sub(r"(Contact: <[^>]*)>", rf"\1;transport={transport}>", text)
    return text


class Sipp:
    """One sipp process. Ends by itself after ``calls`` calls or ``limit`` seconds.

    kind: "udp" or "tcp". host: its own address. public: host, port and transport by which others
    reach it, if not its own (TLS is another program's). route: of the initial request, preloaded.
    """

    def __init__(
        self,
        folder: Path,
        scenario: str,
        *,
        port: int,
        remote: str = "",
        service: str = "bob",
        target: str = "",
        callid: str = "",
        calls: int = 1,
        limit: int = 30,
        fill: dict[str, str] | None = None,
        extra: Iterable[str] = (),
        kind: str = "udp",
        host: str = "127.0.0.1",
        public: tuple[str, int, str] | None = None,
        route: str = "",
    ) -> None:
        assert SIPP is not None
        folder.mkdir(parents=True, exist_ok=True)
        self.scenario, self.port, self.limit = scenario, port, limit
        self.log = folder / f"{scenario}-{port}.messages"
        self.errors = folder / f"{scenario}-{port}.errors"
        self.screen = folder / f"{scenario}-{port}.screen"
        command = [SIPP, *([remote] if remote else [])]
        if scenario in ("uac", "uas"):
            command += ["-sn", scenario]
        else:
            text = (SCENARIOS / f"{scenario}.xml").read_text()
            for name, value in {"RING": "300", "TALK": "300", **(fill or {})}.items():
                text = text.replace(f"@{name}@", value)
            text = _reached_at(text, kind, public)
            if route:
                text = text.replace("Max-Forwards:", f"Route: {route}\n      Max-Forwards:", 1)
            left = re.findall(r"@[A-Z]+@", text)
            assert not left, f"{scenario}: {left} not filled in"
            path = folder / f"{scenario}-{port}.xml"
            path.write_text(text)
            command += ["-sf", str(path), "-trace_msg", "-message_file", str(self.log)]
        # sipp binds its media port, and the second next to it for video, whether used or not.
        media = free_ports(4)
        command += ["-i", host, "-p", str(port), "-cp", str(free_port())]
        if kind == "tcp":
            command += ["-t", "t1"]
            if public is None:
                sends_from("phone", port)
        command += ["-mp", str(media), "-m", str(calls), "-s", service]
        command += ["-nostdin", "-timeout", str(limit), "-timeout_error", "-trace_err"]
        command += ["-error_file", str(self.errors)]
        if target:
            command += ["-key", "target", target]
        if callid:
            command += ["-cid_str", callid]
        with self.screen.open("wb") as screen:
            self.process = subprocess.Popen(
                [*command, *extra],
                stdin=subprocess.DEVNULL,
                stdout=screen,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={"TERM": "dumb", "PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            )

    def wait(self) -> None:
        """Wait for the end; AssertionError, with sipp's own words, unless all calls succeeded."""
        code = self.process.wait(self.limit + 15)
        assert code == 0, (
            f"sipp {self.scenario} on port {self.port} ended with {code}\n"
            + "\n".join(
                path.read_text(errors="replace")[-6000:]
                for path in (self.errors, self.log)
                if path.exists()
            )
            + self.screen.read_text(errors="replace")[-3000:]
        )

    def stop(self) -> None:
        """End the process, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    def messages(self, direction: str = "received") -> list[Message]:
        """The messages of the log, ``sent`` or ``received``."""
        if not self.log.exists():
            return []
        data = self.log.read_bytes()
        return [
            Message(data[found.end() : found.end() + int(found[2])])
            for found in _BLOCK.finditer(data)
            if found[1] == direction.encode()
        ]

    def got(self, what: str | int, method: str = "") -> list[Message]:
        """The received requests of a method, or responses of a code (to ``method``, if given)."""
        return [
            message
            for message in self.messages()
            if (
                message.status == what and method in ("", message.cseq_method)
                if isinstance(what, int)
                else not message.status and message.method == what
            )
        ]

    def got_one(self, what: str | int, method: str = "") -> Message:
        """As ``got``, retransmissions counted once; there must be exactly one."""
        found = set(self.got(what, method))
        assert len(found) == 1, f"{len(found)} of {what} {method} at {self.scenario} {self.port}"
        return found.pop()
