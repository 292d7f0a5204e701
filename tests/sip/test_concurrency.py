"""A wall of clients over both interfaces while calls pass: no deadlock, no wrong kill, no lost
reply."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.sip.harness.crowd import Crowd
from tests.sip.harness.daemon import LINGER, Daemon, Route, poll
from tests.sip.harness.phones import Phones
from tests.sip.harness.ports import free_port

CLIENTS = 100  # of each interface, all at once
KILLS = 2  # by each client
BYSTANDERS = 50
CALLS, RATE = 2400, 200


class Client(threading.Thread):
    """Lists and kills over one interface, and only its own calls."""

    def __init__(self, daemon: Daemon, crowd: Crowd, by: str, start: threading.Barrier,
                 victims: list[str]) -> None:  # fmt: skip
        super().__init__()
        self.sip, self.crowd, self.by = daemon, crowd, by
        self.start_line = start
        self.victims = victims
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.start_line.wait(30)
            for callid in self.victims:
                self.look(callid)
                answer = self.sip.kill(self.by, callid, *self.crowd.tags(callid))
                assert answer == (200, "OK"), f"{callid}: {answer}"
                assert self.sip.kill(self.by, callid, *self.crowd.tags(callid))[0] in (404, 500)
            self.list_all()
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            self.error = error

    def look(self, callid: str) -> None:
        """One call by its Call-ID."""
        if self.by == "fifo":
            (found,) = self.sip.fifo.list(callid)
            assert (found.callid, found.state) == (callid, 4)
        else:
            reply = self.sip.rpc.call("dlg.dlg_list", callid)
            assert (reply["call-id"], reply["ims_state"]) == (callid, 4)

    def list_all(self) -> None:
        """The whole table; a listing is whole or it is no reply."""
        if self.by == "fifo":
            alive = {dialog.callid for dialog in self.sip.fifo.list() if dialog.state != 6}
        else:
            reply = self.sip.rpc.call("dlg.list", timeout=60)
            alive = {dialog["call-id"] for dialog in reply if dialog["ims_state"] != 6}
        assert not alive & set(self.victims), "killed and still alive"


def test_listing_and_killing_while_calls_pass(
    start_daemon: Callable[..., Daemon], phones: Phones
) -> None:
    port = free_port()
    # sipp's callee takes an INVITE that is retransmitted for an error, and this machine is busy
    # with two hundred clients: a long T1 keeps the daemon from sending one again.
    daemon = start_daemon(sip={"t1": 2.0}, routes=[Route("service", (port,))])
    with Crowd((free_port(), free_port()), daemon.address) as crowd:
        bystanders = [f"bystander-{number}@crowd" for number in range(BYSTANDERS)]
        victims = [f"victim-{number}@crowd" for number in range(2 * CLIENTS * KILLS)]
        crowd.place(bystanders + victims)

        uas = phones.sipp("uas", port=port, calls=CALLS, limit=60)
        uac = phones.sipp(
            "uac",
            remote=daemon.hostport,
            service="service",
            calls=CALLS,
            limit=60,
            extra=["-r", str(RATE), "-l", "2400", "-d", "500"],
        )
        start = threading.Barrier(2 * CLIENTS)
        clients = [
            Client(daemon, crowd, by, start, victims[KILLS * at : KILLS * (at + 1)])
            for at, by in enumerate(["fifo", "http"] * CLIENTS)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join(90)
        assert not [client for client in clients if client.is_alive()], "a client hangs"
        errors = [(client.by, client.error) for client in clients if client.error is not None]
        assert not errors, f"{len(errors)} clients failed: {errors[:5]}"

        # Each killed call was hung up once on each side, and nobody else's.
        once = dict.fromkeys(victims, 1)
        for side in ("caller", "callee"):
            poll(lambda s=side: crowd.byes(s) == once, 20,  # type: ignore[misc]
                 lambda s=side: str(len(crowd.byes(s))))  # type: ignore[misc] # fmt: skip
        # The calls that passed meanwhile all succeeded.
        uac.wait()
        uas.wait()
        # And those that nobody touched are still up.
        for callid in bystanders:
            found = daemon.dialog(callid)
            assert found is not None
            assert found.state == 4
        crowd.hang_up(bystanders)
        daemon.wait_empty(LINGER)
        assert not crowd.failures
    daemon.stop()
