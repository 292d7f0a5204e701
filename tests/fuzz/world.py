"""A world in which nothing that is raised is only logged, and every answer is remembered."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.sip.flow import Failed, Flow
from dlgmgmt.sip.resolver import Resolver
from dlgmgmt.sip.selection import Candidate
from tests.unit.sip.harness import PROXY, PROXY6, Phone, Sip, World, settings

DIALOGS = DialogSettings(hash_size=16, default_timeout=120, early_timeout=90, noack_timeout=20)


class Names(Resolver):
    """Looks nothing up by itself: an operation says what comes of it."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[Sequence[Candidate]], None]] = []

    def find(self, asked: Any, listening: Any, done: Callable[..., None]) -> None:
        del asked, listening
        self.waiting.append(done)

    def close(self) -> None:
        self.waiting.clear()


class FuzzWorld(World):
    """A world in which nothing that is raised is only logged."""

    def __init__(self) -> None:
        super().__init__(
            sip=settings(timer_c=60.0),
            dialogs=DIALOGS,
            own=(PROXY, PROXY6),
            streams=((PROXY[0], 5070),),
        )
        self.fault = ""
        self.names = Names()
        self.locator.resolver = self.names
        for name in ("_request", "_reply"):
            setattr(self.proxy, name, self._watched(getattr(self.proxy, name)))

    def _watched(self, work: Callable[..., None]) -> Callable[..., None]:
        def watched(*args: Any) -> None:
            try:
                work(*args)
            except Exception:
                self.fault = traceback.format_exc()
                raise

        return watched

    def run(self) -> None:
        for callback in self.stack.wheel.advance(self.now):
            callback()
        for fire in self.table.due():
            fire()

    def wait(self, seconds: float) -> None:
        """Let time pass, in larger steps where much is to pass."""
        step = 0.05 if seconds < 5 else 0.25
        for _ in range(round(seconds / step)):
            self.jump(step)


class RecordedFlow:
    """Where a server transaction answers, and its final replies."""

    def __init__(self, flow: Flow, what: str) -> None:
        self._flow = flow
        self.what = what
        self.finals: list[tuple[int, bytes]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._flow, name)

    def send(self, data: bytes, failed: Failed | None = None) -> bool:
        status = int(data[8:11])
        if status >= 200:
            self.finals.append((status, data))
        else:
            assert not self.finals, f"{self.what}: {status} after {self.finals[0][0]}"
        return self._flow.send(data, failed)

    def check(self) -> None:
        """One final reply, though it may come again, or 2xx alone for an INVITE."""
        if len({data for _, data in self.finals}) > 1:
            statuses = [status for status, _ in self.finals]
            assert self.what == "INVITE", f"{self.what} answered {statuses}"
            assert all(status < 300 for status in statuses), f"INVITE answered {statuses}"


@dataclass
class FuzzPhone(Phone):
    """A phone that remembers what it sent. muted: what it writes is not sent."""

    sent: list[tuple[FuzzPhone, bytes]] = field(default_factory=list)
    muted: bool = False

    def send(self, data: bytes) -> None:
        self.sent.append((self, data))
        if not self.muted:
            super().send(data)


def is_plain(sip: Sip) -> bool:
    """Whether a phone can read it: some garbage is forwarded."""
    try:
        sip.raw.decode()
    except UnicodeDecodeError:
        return False
    return (
        len(sip["CSeq"].split()) == 2
        and all(sip[name] for name in ("From", "To", "Call-ID"))
        and sip.start.count(" ") >= 2
    )
