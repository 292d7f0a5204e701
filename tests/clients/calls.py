"""Answered calls of two sipps, for clients to find and to end."""

from __future__ import annotations

from dataclasses import dataclass

from tests.sip.harness.daemon import Daemon
from tests.sip.harness.phones import Phones
from tests.sip.harness.sipp import Sipp


@dataclass
class SippCall:
    """Both wait for the other side to hang up."""

    callid: str
    caller: Sipp
    callee: Sipp

    @property
    def from_tag(self) -> str:
        return "uac-1"

    @property
    def to_tag(self) -> str:
        return f"uas{self.callee.port}-1"

    def check_ended(self) -> None:
        """Each side has got a BYE that says why."""
        for sipp in (self.caller, self.callee):
            sipp.wait()
            assert sipp.got_one("BYE").get("Reason").startswith("SIP;cause=")


def talk(daemon: Daemon, phones: Phones) -> SippCall:
    """A call that has been answered and acknowledged."""
    callee = phones.sipp("uas_answer")
    caller = phones.sipp(
        "uac_wait_bye",
        remote=daemon.hostport,
        target=f"127.0.0.1:{callee.port}",
        callid=phones.callid,
    )
    daemon.wait_state(phones.callid, 4, legs=1)
    return SippCall(phones.callid, caller, callee)
