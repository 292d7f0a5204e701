"""The captured MI requests and replies: how to replay them, and what may differ."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from .daemon import Daemon, poll
from .peer import Callee, Caller, response
from .phones import Phones

DATA = Path(__file__).parents[2] / "data" / "mi-4.4" / "ims_dialog"
NOT_FOUND = b"404 Requested Dialog not found\n\n"
EMPTY = b"200 OK\n\n"
TAIL = re.compile(rb"\ttimeout_left:: (\d+)\n\tstate_name:: ([^\n]+)\n")
NAMES = {b"1": b"unconfirmed", b"2": b"early", b"4": b"confirmed", b"5": b"confirmed, ACK not seen",
         b"6": b"deleted", b"7": b"concurrently confirmed"}  # fmt: skip

MUST_MATCH = "the To tag is part of the identity of a dialog"
GONE = "a dialog that has ended leaves the table when its transactions have"
ALIVE = f"the call lives on: {MUST_MATCH}"
HERE = "a command of the manual that the captured module lacks"
OWN_PARTS = "the daemon has parts of its own"
NOT_HERE = "a command of another module, or of the server, that is not part of this daemon"

DIALOG_GROUP = (
    b"200 OK\ndialog:active_dialogs = 3\ndialog:early_dialogs = 0\n"
    b"dialog:expired_dialogs = 0\ndialog:failed_dialogs = 0\ndialog:processed_dialogs = 3\n\n"
)


def _revive(captured: bytes) -> bytes:
    return (
        captured.replace(b"state:: 6", b"state:: 4")
        .replace(b"ref_count:: 1", b"ref_count:: 2")
        .replace(b"timeout:: 0", b"timeout:: 1")
    )


def _without(captured: bytes, port: int) -> bytes:
    head, *legs = captured.removesuffix(b"\n").split(b"dialog_out::")
    kept = [leg for leg in legs if f"127.0.0.1:{port}".encode() not in leg]
    assert len(kept) == len(legs) - 1
    return b"dialog_out::".join([head, *kept]) + b"\n"


# Commands of the captured ``which`` that are the real server's own.
_THEIRS = frozenset(
    b"debug kill clear_statistics t_uac_dlg t_uac_cancel t_hash t_reply t_reply_callid shv_get"
    b" shv_set rpc arg ps pwd reset_statistics".split()
)


def _names(reply: bytes, among: bytes) -> bytes:
    """The names of ``reply`` that ``among`` has too, less the real server's own; in their order."""
    ours = {*among.splitlines()} - _THEIRS
    return b"".join(sorted(line + b"\n" for line in reply.splitlines() if line in ours))


def _process(reply: bytes) -> bytes:
    """One line for all processes."""
    line = rb"(Process::  ID=\d+ PID=\d+ Type=[^\n]+\n)+"
    return re.sub(line, b"Process::  ID=N PID=N Type=...\n", reply)


def _group(captured: bytes, prefix: bytes) -> bytes:
    return b"".join(line for line in captured.splitlines(keepends=True) if line.startswith(prefix))


def mask(reply: bytes) -> bytes:
    """What differs from run to run; a zero stays a zero."""
    reply = re.sub(rb"hash=\d+:\d+", b"hash=H:I", reply)
    return re.sub(rb"(timestart|timeout):: [1-9]\d*", rb"\1:: N", reply)


def check_and_drop_our_lines(reply: bytes) -> bytes:
    """Take off the two lines that follow a dialog's own fields, after a look at them."""
    for block in reply.split(b"dialog::  ")[1:]:
        found = TAIL.search(block)
        state = re.search(rb"\tstate:: (\d)\n", block)
        assert found is not None
        assert state is not None
        assert found[2] == NAMES[state[1]]
        assert (found[1] != b"0") == (b"\ttimeout:: 0\n" not in block)
    return TAIL.sub(b"", reply)


# name -> (why, the reply). GONE entries are polled for; a callable gets the captured reply.
ALLOWED: dict[str, tuple[str, bytes | Callable[[bytes], bytes]]] = {
    "ims_conf_term_badttag": (MUST_MATCH, NOT_FOUND),
    "ims_badttag_term": (MUST_MATCH, NOT_FOUND),
    "ims_term_early_badttag": (MUST_MATCH, NOT_FOUND),
    "ims_conf_list_after_bad": (ALIVE, _revive),
    "ims_badttag_after": (ALIVE, _revive),
    "ims_term_conf_again_at_once": ("a deleted dialog cannot be ended again", NOT_FOUND),
    "ims_term_conf_list_immediately": (GONE, EMPTY),
    "ims_confirmed_list_after": (GONE, EMPTY),
    "ims_swapped_after": (GONE, EMPTY),
    "ims_bye_normal_afterbye": (GONE, EMPTY),
    "ims_bye_unanswered_13s": (GONE, EMPTY),
    "ims_serial_after": (GONE, EMPTY),
    "ims_fork_answer_after": (GONE, EMPTY),
    "ims_fork_answer2_after": (GONE, EMPTY),
    "ims_hdr_after": (GONE, EMPTY),
    "ims_hdr_nocrlf_after": (GONE, EMPTY),
    "ims_hdr_multiline_after": (GONE, EMPTY),
    "ims_hdr_multiline_noescape_after": (GONE, EMPTY),
    "ims_hdr_extra5_after": (GONE, EMPTY),
    "ims_term_8s_after1s": (GONE, EMPTY),
    "ims_term_8s_after10s": (GONE, EMPTY),
    "ims_noack_after": (
        "a call whose ACK is awaited is ended too: it is deleted while it waits",
        lambda captured: re.sub(
            rb"timeout:: \d+", b"timeout:: 0", captured.replace(b"state:: 5", b"state:: 6")
        ),
    ),
    "ims_fork_answer_list": ("a losing leg is removed", lambda captured: _without(captured, 5191)),
    "ims_fork_answer2_list": ("a losing leg is removed", lambda captured: _without(captured, 5190)),
    "ims_reinvite_list": (
        "each direction keeps its own CSeq, and a target refresh moves the contacts",
        lambda captured: (
            captured.replace(b"caller_cseq:: 1", b"caller_cseq:: 2")
            .replace(b":5192;ob\n", b":5192;ob;re=1\n")
            .replace(b";transport=UDP\n", b";transport=UDP;re=1\n")
        ),
    ),
    "ims_race_500_callee_not_byed": ("both sides are always told", EMPTY),
    "ims_crash_empty_named_param": ("an empty value crashed the proxy", b"400 Bad parameter\n\n"),
    "ims_ps": (OWN_PARTS, b"200 OK\nProcess::  ID=N PID=N Type=...\n\n"),
    "ims_which": (NOT_HERE, lambda captured: _names(captured, captured)),
    "ims_unavailable_dlg_bridge": (HERE, b"500 Bad To value\n\n"),
    "ims_unavailable_dlg_end_dlg": (HERE, NOT_FOUND),
    "ims_unavailable_dlg_list_ctx": (HERE, b"404 Nu such dialog\n\n"),
    "ims_unavailable_profile_get_size": (HERE, b"404 Profile not found\n\n"),
    "ims_unavailable_profile_list_dlgs": (HERE, b"404 Profile not found\n\n"),
    "ims_get_statistics_all": (NOT_HERE, lambda captured: _group(captured, b"dialog_ng:")),
    "ims_get_statistics_dialog_": (
        "the manual's names, chapter 7, stand in a group of their own",
        DIALOG_GROUP,
    ),
}
replayed: set[str] = set()


class Stage:
    """A daemon, the phones of the capture under its names, and one call at a time."""

    def __init__(self, daemon: Daemon, phones: Phones) -> None:
        self.daemon = daemon
        self.ports = {5170: daemon.port}
        self._phones = phones
        self.caller: Caller
        self.callees: list[Callee] = []

    def phones(self, *names: int, ports: tuple[int, ...] = ()) -> None:
        """Set up the caller and the callees 5190, 5191."""
        self.caller = self._phones.caller(self.daemon, callid="?")
        self.ports[5192] = self.caller.port
        for number, name in enumerate(names):
            callee = self._phones.callee(
                self.daemon, callid="?", tag=f"uas{name}-1", port=ports[number] if ports else 0
            )
            self.ports[name] = callee.port
            self.callees.append(callee)

    def call(self, callid: str, user: str = "bob", number: int = 1) -> Caller:
        caller = self.caller
        for phone in (caller, *self.callees):
            phone.callid = callid
        caller.tag = f"uac-{number}"
        caller.cseq = 1
        caller.invite(f"sip:{user}@{self.callees[0].hostport if user == 'bob' else self.proxy}")
        return caller

    @property
    def proxy(self) -> str:
        return self.daemon.hostport

    def early(self, callid: str) -> None:
        self.phones(5190)
        self.call(callid)
        self.callees[0].take()
        self.callees[0].ring()
        self.caller.expect(180)

    def confirmed(self, callid: str) -> None:
        self.early(callid)
        self.answer(self.callees[0])

    def answer(self, callee: Callee) -> None:
        callee.answer()
        ok = self.caller.expect(200, "INVITE", where=lambda m: m.to_tag == callee.tag)
        self.leg = self.caller.ack(ok)
        callee.expect("ACK")

    def forked(self, callid: str, kind: str = "parallel") -> None:
        route = self.daemon.fork_route(kind)
        self.phones(5190, 5191, ports=route.ports)
        self.call(callid, route.user_prefix)

    def ring_both(self) -> None:
        for callee in self.callees:
            callee.take()
            callee.ring()
            self.caller.expect(180, where=lambda m, tag=callee.tag: m.to_tag == tag)  # type: ignore[misc]

    def byes(self, *phones: Caller | Callee) -> None:
        for phone in phones:
            phone.send(response(phone.expect("BYE"), 200))

    def gone(self) -> None:
        self.daemon.wait_empty(15)

    # -- the replay itself -----------------------------------------------------------------------

    def replay(self, *names: str) -> None:
        for name in names:
            replayed.add(name)
            request = (DATA / f"{name}.req").read_bytes()
            request = re.sub(rb"\A(:[a-z_]+:)\w+\n", rb"\1@NAME@\n", request)
            path = DATA / f"{name}.rep"
            captured = path.read_bytes() if path.exists() else b""
            why, expected = ALLOWED.get(name, ("", captured))
            if callable(expected):
                expected = expected(captured)
            expected = mask(self._here(expected))
            if why == GONE:
                poll(lambda r=request, e=expected: self._send(r) == e, 15,  # type: ignore[misc]
                     lambda r=request: f"still {self._send(r)!r}")  # type: ignore[misc] # fmt: skip
                continue
            reply = self._send(request)
            if name == "ims_get_statistics_all":
                reply = _group(reply, b"dialog_ng:")
            if name == "ims_ps":
                reply = _process(reply)
            if name == "ims_which":
                reply = _names(reply, captured)
            if name == "ims_several_list":
                # In the order of the hash table, whose function is not the captured one.
                reply, expected = _sorted(reply), _sorted(expected)
            why = f"{name}{' although ' if why else ''}{why}"
            assert reply == expected, f"{why}: {reply!r}, not {expected!r}"

    def _send(self, request: bytes) -> bytes:
        return mask(check_and_drop_our_lines(self.daemon.fifo.raw(request)))

    def _here(self, captured: bytes) -> bytes:
        def port(found: re.Match[bytes]) -> bytes:
            return b"127.0.0.1:%d" % self.ports[int(found[1])]

        return re.sub(rb"127\.0\.0\.1:(\d+)", port, captured)


def _sorted(reply: bytes) -> bytes:
    head, *blocks = reply.removesuffix(b"\n").split(b"dialog::  ")
    by_callid = sorted(blocks, key=lambda block: block.partition(b"callid:: ")[2])
    return b"dialog::  ".join([head, *by_callid]) + b"\n"
