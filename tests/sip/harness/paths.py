"""Ways for a call: two daemons, kamailios, and sipp phones with any transport."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .certs import Authority
from .daemon import T1, Daemon, Route
from .kamailio import Kamailio
from .phones import Phones
from .ports import free_port
from .sipp import Sipp
from .stunnel import Stunnel

KINDS = ("udp", "tcp", "tls")


@dataclass(frozen=True)
class Way:
    """caller, callee: transports of the phones. before, behind: of a kamailio's link to the daemon,
    if there is one on that side. second: of the link to another daemon. killer: which of the two
    daemons ends the call.
    """

    caller: str
    callee: str
    before: str = ""
    behind: str = ""
    second: str = ""
    killer: str = "near"

    def __str__(self) -> str:
        hops = [self.caller]
        hops += [f"kamailio-{self.before}"] if self.before else []
        hops += [f"daemon-{self.second}"] if self.second else []
        hops += ["daemon"]
        hops += [f"{self.behind}-kamailio"] if self.behind else []
        hops += [self.callee]
        return "_".join(hops) + ("_killed-far" if self.killer == "far" else "")


@dataclass
class Phone:
    """Where a sipp phone is, and what stands before it."""

    kind: str
    port: int = field(default_factory=free_port)
    tunnel: Stunnel | None = None

    @property
    def public(self) -> tuple[str, int, str] | None:
        return None if self.tunnel is None else ("127.0.0.1", self.tunnel.port, "tls")

    @property
    def reached_at(self) -> int:
        return self.port if self.tunnel is None else self.tunnel.port

    @property
    def hostport(self) -> str:
        return f"{'[::1]' if self.kind.endswith('6') else '127.0.0.1'}:{self.reached_at}"

    def settings(self) -> dict[str, Any]:
        return {
            "port": self.port,
            "public": self.public,
            "kind": "tcp" if self.tunnel is not None else self.kind.rstrip("6"),
            "host": "::1" if self.kind.endswith("6") else "127.0.0.1",
        }


class Country:
    """Everything that a Way may lead through; proxies start when they are first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority = Authority(folder / "ca")
        self.behind = Kamailio(folder / "behind", self.authority)
        self._before: dict[str, Kamailio] = {}
        routes = [Route(f"{kind}-hop", (), targets=(self.behind.uri(kind),)) for kind in KINDS]
        started: list[Daemon | Kamailio] = [self.behind]
        try:
            self.near = self._daemon("near", routes)
            started.append(self.near)
            self.far = self._daemon("far", [])
        except BaseException:
            for program in started:
                program.stop()
            raise
        self._tunnels: list[Stunnel] = []

    def _daemon(self, name: str, routes: list[Route]) -> Daemon:
        identity = self.authority.issue()
        return Daemon(
            self._folder / name,
            sip={"t1": T1, "t4": 0.5},
            tables={
                "sip.tls": {
                    "certificate": str(identity.certificate),
                    "private_key": str(identity.private_key),
                    "ca_file": str(self.authority.ca_file),
                    "verify_client": "require",
                }
            },
            kinds=("udp", "tcp", "tls", "udp6", "tcp6"),
            routes=routes,
        ).start()

    def daemons(self, way: Way) -> Iterator[Daemon]:
        """Those that a call comes through."""
        yield self.near
        if way.second:
            yield self.far

    def killer(self, way: Way) -> Daemon:
        return self.far if way.killer == "far" else self.near

    def _kamailio_before(self, link: str) -> Kamailio:
        if link not in self._before:
            self._before[link] = Kamailio(
                self._folder / f"before-{link}", self.authority, self.near.uri(link)
            )
        return self._before[link]

    def _tunnel(self, port: int, remote: tuple[str, int] | None = None) -> Stunnel:
        tunnel = Stunnel(self._folder / "stunnel", self.authority, port, remote)
        self._tunnels.append(tunnel)
        return tunnel

    def place(
        self, way: Way, phones: Phones, caller: str, callee: str, fill: dict[str, str]
    ) -> tuple[Sipp, Sipp]:
        """Start both phones; caller, callee: their scenarios."""
        theirs = Phone(way.callee)
        if way.callee == "tls":
            theirs.tunnel = self._tunnel(theirs.port)
        uas = phones.sipp(callee, fill=fill, **theirs.settings())
        mine = Phone(way.caller)
        first = self._kamailio_before(way.before) if way.before else self.near
        remote = first.at(way.caller)
        if way.caller == "tls":
            mine.tunnel = self._tunnel(mine.port, first.where("tls"))
            remote = f"127.0.0.1:{mine.tunnel.local}"
        target = theirs.hostport
        service = "bob"
        kind = way.callee.rstrip("6")
        if way.behind:
            # The daemon's route leads to kamailio, whose rule reads the user part.
            service, target = f"{way.behind}-hop-{theirs.reached_at}-{kind}", self.near.at("udp")
        elif kind != "udp":
            target += f";transport={kind}"
        route = ""
        if way.second:
            route = f"<{self.far.uri(way.second)};lr>"
        uac = phones.sipp(
            caller,
            remote=remote,
            service=service,
            target=target,
            callid=phones.callid,
            route=route,
            fill=fill,
            **mine.settings(),
        )
        return uac, uas

    def put_up(self) -> None:
        """After a call: its phones' tunnels go."""
        for tunnel in self._tunnels:
            tunnel.stop()
        self._tunnels.clear()

    def _programs(self) -> list[Daemon | Kamailio]:
        return [self.near, self.far, self.behind, *self._before.values()]

    def check_logs(self) -> None:
        for program in self._programs():
            program.check_log()

    def stop(self) -> None:
        errors = []
        for program in self._programs():
            try:
                program.stop()
            except AssertionError as error:
                errors.append(error)
        if errors:
            raise errors[0]
