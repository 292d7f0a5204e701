"""The recorded JSON-RPC requests and replies of Kamailio 5.6: how to replay and compare them.

What may differ stands in a table of ARCHITECTURE.md, with the reason. A row's first cell is its
key here; a key that nothing uses, or that has no row, fails the test.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .daemon import ROOT, Daemon
from .message import Message
from .peer import Callee, Caller, Leg, response
from .phones import Phones

DATA = ROOT / "tests" / "data" / "rpc-5.6"
HEADING = "### Differences from the recorded servers"
METHOD_NOT_FOUND = -32601

Shape = Any
Reply = tuple[int, Any]
"""Status, and the decoded body: None for an empty one, text where it is no JSON."""


# -- the table -------------------------------------------------------------------------------------


def rows() -> dict[str, str]:
    """What ARCHITECTURE.md says of each difference, by key."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    _, found, rest = text.partition(HEADING + "\n")
    assert found, f"ARCHITECTURE.md has no {HEADING}"
    table = re.split(r"\n#+ ", rest)[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]
    assert all(len(row) == 4 and all(row) for row in cells), cells
    return {row[0].strip("`"): row[3] for row in cells}


used: set[str] = set()
replayed: set[str] = set()


# -- comparing -------------------------------------------------------------------------------------


def shape(value: object) -> Shape:
    """Field names, their order, nesting and types; of an array what its items have in common."""
    if isinstance(value, dict):
        return [(key, shape(item)) for key, item in value.items()]
    if isinstance(value, list):
        shapes: list[Shape] = []
        for item in map(shape, value):
            if item not in shapes:
                shapes.append(item)
        return ("array", shapes)
    if isinstance(value, str):
        # A line of counters keeps its name.
        return re.sub(r"\d+$", "N", value) if " = " in value else "text"
    return type(value).__name__


def _ours(ours: Any, theirs: Any) -> Any:
    """``ours`` less the members that ``theirs`` does not have; the row more-members."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        if set(ours) - set(theirs):
            used.add("more-members")
        return {key: _ours(item, theirs[key]) for key, item in ours.items() if key in theirs}
    if isinstance(ours, list) and isinstance(theirs, list) and theirs:
        return [_ours(item, theirs[min(i, len(theirs) - 1)]) for i, item in enumerate(ours)]
    return ours


def _by_callid(value: Any) -> Any:
    """Dialogs in the order of their Call-IDs: hash functions differ."""
    if isinstance(value, list):
        items = [_by_callid(item) for item in value]
        return sorted(items, key=_callid) if all(map(_callid, items)) else items
    if isinstance(value, dict):
        return {key: _by_callid(item) for key, item in value.items()}
    return value


def _callid(item: Any) -> str:
    inner = item.get("Dialog", item) if isinstance(item, dict) else {}
    return str(inner.get("call-id") or inner.get("Call-ID") or "")


# Of a dialog, besides its shape.
_SAME = ("call-id", "state", "end_ts", "sflags", "from_tag", "Call-ID", "State", "From Tag")


def same(value: Any) -> list[Any]:
    """What of a result must be equal, not only of one type."""
    if isinstance(value, dict):
        mine = [(key, value[key]) for key in _SAME if key in value]
        return mine + [each for item in value.values() for each in same(item)]
    if isinstance(value, list):
        return [each for item in value for each in same(item)]
    return []


# Expected instead of what was recorded: key of the row, status, and the reply's members.
_INVALID = {"error": {"code": -32600, "message": "Invalid Request"}}
_PARSE = {"error": {"code": -32700, "message": "Parse error"}}
_FEW = {"error": {"code": -32602, "message": "Invalid params"}}
_GONE = {"error": {"code": 404, "message": "Dialog not found"}}
_UNKNOWN = {"error": {"code": METHOD_NOT_FOUND, "message": "Method not found"}}
_VERSION = {"result": "dlgmgmt"}
INSTEAD: dict[str, tuple[str, int, Any]] = {
    "x_badjson": ("envelope", 200, _PARSE),
    "x_emptybody": ("envelope", 200, _PARSE),
    "x_trailing_garbage": ("envelope", 200, _PARSE),
    "x_scalar": ("envelope", 200, _INVALID),
    "x_batch": ("envelope", 200, [_VERSION, {"result": {}}]),
    "x_dupkeys": ("envelope", 200, {"result": {}}),
    "x_batch_empty": ("envelope", 200, _INVALID),
    "x_id_array": ("envelope", 200, _INVALID),
    "x_no_jsonrpc": ("envelope", 200, _INVALID),
    "x_no_method": ("envelope", 200, _INVALID),
    "x_version_1": ("envelope", 200, _INVALID),
    "x_params_null": ("envelope", 200, _INVALID),
    "x_params_string": ("envelope", 200, _INVALID),
    "x_notification": ("envelope", 204, None),
    "x_notification_unknown": ("envelope", 204, None),
    "unknown_method": ("envelope", 200, _UNKNOWN),
    "x_get": ("http", 405, None),
    "x_get_query": ("http", 405, None),
    "x_put": ("http", 405, None),
    "x_options": ("http", 405, None),
    "x_path_rpc2": ("http", 404, None),
    "x_wrongpath": ("http", 404, None),
    "dlg_list_noparams": ("missing-parameter", 200, _FEW),
    "profile_size_noparams": ("missing-parameter", 200, _FEW),
    "profile_list_noparams": ("missing-parameter", 200, _FEW),
    "end_dlg_again": ("gone", 200, _GONE),
    "list_early_after_end": ("ringing", 200, {"result": {}}),
    "terminate_early_emptytag": (
        "tags",
        200,
        {"error": {"code": 500, "message": "Couldnt find callid in dialog"}},
    ),
    "list_early_after_term": ("ringing", 200, {"result": {}}),
    "list_after_set_state": ("forgotten", 200, {"result": {}}),
}
# Commands that are not about dialogs: how they answer is looked at where they are tested.
OTHERS = re.compile(
    r"core_|x_param_types|x_unicode|jsonrpc_echo|help_|methodSignature|listMethods|stats_all"
    r"|stats_fetch|cnt$|ims/live/\w+/(stats_dialog|x_params_object)$"
)
# What is answered with an object here, where the recorded servers answer with an empty one.
ORDERED = frozenset(
    {"end_dlg", "end_dlg_hdrs", "end_dlg_early", "terminate_dlg", "end_all", "bridge"}
)


def compare(case: str, recorded: Reply, reply: Reply) -> None:
    """Fail unless the replies agree, but for what the table has."""
    name = case.rpartition("/")[2]
    status, body = reply
    if OTHERS.search(case):
        assert status == 200
        _other(body, recorded[1])
        return
    if name in INSTEAD:
        key, status_then, members = INSTEAD[name]
        used.add(key)
        over_http = "/http/" in case
        assert status == (status_then if over_http else 200), f"{status} {body!r}"
        if members is not None:
            _agrees(members, body)
        elif not over_http or status == 204:
            assert body is None, body
        return
    assert status == 200, f"{status} {body!r}"
    if recorded[0] != 200:
        used.add("status")
    theirs = recorded[1]
    assert [key for key in body if key in theirs] == list(theirs), f"{list(body)}: {list(theirs)}"
    assert body["id"] == theirs["id"] or name in ("x_id_big", "x_id_null")
    if "error" in theirs:
        _error(body["error"], theirs["error"])
        return
    _result(name, body["result"], theirs["result"])


def _other(body: dict[str, Any], theirs: dict[str, Any]) -> None:
    """An answer of the same type, or an error where the daemon has no such thing to tell."""
    used.add("others")
    if "result" in body and "result" in theirs:
        ours, result = body["result"], theirs["result"]
        assert type(ours) is type(result)
        if isinstance(result, list):
            assert {type(item) for item in ours} <= {type(item) for item in result} | {int, str}
        elif isinstance(result, dict) and any(key.startswith("dialog.") for key in result):
            assert shape(ours) == shape(result)
    elif "error" in body and "error" in theirs:
        _error(body["error"], theirs["error"])
    elif "error" in body:
        assert body["error"]["code"] in (METHOD_NOT_FOUND, -32602, 404), body


def _agrees(members: Any, body: Any) -> None:
    if isinstance(members, list):
        assert len(members) == len(body)
        for one, other in zip(members, body, strict=True):
            _agrees(one, other)
        return
    assert "error" in members or "error" not in body, body
    if "error" in members:
        _error(body["error"], members["error"])
    elif isinstance(members["result"], str):
        assert body["result"].startswith(members["result"])
    else:
        assert isinstance(body["result"], dict)
        if not members["result"] and "uptime" not in body["result"]:
            assert body["result"] == {}


def _error(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """The same code and message; what is said besides stands in ``data``."""
    if "data" in ours:
        used.add("data")
        assert isinstance(ours["data"], str)
        assert ours["data"]
    assert {key: ours[key] for key in ours if key != "data"} == theirs


def _result(name: str, ours: Any, theirs: Any) -> None:
    if name in ORDERED:
        used.add("ordered")
        assert theirs == {}
        assert {"id", "legs"} == set(ours) or {"ordered"} == set(ours) or {"id"} == set(ours)
        return
    if name == "list_match_turi_limit":
        # Which of the two comes first is the hash function's affair.
        assert len(ours) == len(theirs) == 1
        assert shape(_known(_ours(ours, theirs))) == shape(_known(theirs))
        return
    ours, theirs = _by_callid(ours), _by_callid(theirs)
    if name in ("list_after_early_end", "list_after_end_all", "briefing_end"):
        used.add("gone")
        ours, theirs = _alive(ours), _alive(theirs)
    ours = _ours(ours, theirs)
    if name == "stats_active_end":
        used.add("ringing")
    elif (isinstance(theirs, int | str) or _is_stats(theirs)) and not name.startswith("x_"):
        assert ours == theirs
    assert same(_tags(ours)) == same(_tags(theirs))
    assert shape(_known(ours)) == shape(_known(theirs)), f"{ours}: {theirs}"


def _is_stats(value: Any) -> bool:
    return isinstance(value, dict) and "starting" in value


def _alive(value: Any) -> Any:
    """Less what has been deleted, or was ended while it rang, which is listed for ever there."""
    if isinstance(value, dict):
        return {**value, "Dialogs": _alive(value["Dialogs"])}
    return [
        item
        for item in value
        if item.get("Dialog", {}).get("State") != "Deleted" and item.get("state") not in (2, 5)
    ]


def _tags(value: Any) -> Any:
    """A briefing's to_tag is the caller's tag there."""
    if isinstance(value, list) and value and "to_tag" in value[0]:
        used.add("to-tag")
    return value


def _known(value: Any) -> Any:
    """Less a null where we know more."""
    if isinstance(value, list):
        return [_known(item) for item in value]
    if isinstance(value, dict):
        if "Dialog-ID" in value:
            used.add("dialog-id")
        return {key: _known(item) for key, item in value.items() if key != "Dialog-ID"}
    return value


# -- sending ---------------------------------------------------------------------------------------


def _split(message: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = message.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines if ": " in line)
    return first, fields, body


def _decoded(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")


def read_recorded(case: str) -> Reply:
    data = (DATA / f"{case}.rep").read_bytes()
    if "/fifo/" in case or not data.startswith(b"HTTP/"):
        return 200, _decoded(data)
    first, _, body = _split(data)
    return int(first.split()[1]), _decoded(body)


class Doors:
    """The daemon's HTTP server and JSON FIFO."""

    def __init__(self, daemon: Daemon, fifo: Path, replies: Path) -> None:
        self.daemon = daemon
        self.fifo, self.replies = fifo, replies

    def send(self, case: str, change: Callable[[bytes], bytes]) -> Reply:
        request = (DATA / f"{case}.req").read_bytes()
        return self._fifo(change(request)) if "/fifo/" in case else self._http(request, change)

    def _http(self, request: bytes, change: Callable[[bytes], bytes]) -> Reply:
        first, fields, body = _split(request)
        method, path, _ = first.split()
        kept = {
            key: value for key, value in fields.items() if key not in ("Host", "Content-Length")
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.http_port, timeout=20)
        try:
            connection.request(method, path, change(body) if body else None, kept)
            answer = connection.getresponse()
            return answer.status, _decoded(answer.read())
        finally:
            connection.close()

    def _fifo(self, request: bytes) -> Reply:
        reply = self.replies / "ref56_reply"
        os.mkfifo(reply, 0o660)
        handle = os.open(reply, os.O_RDONLY | os.O_NONBLOCK)
        try:
            with self.fifo.open("wb", buffering=0) as fifo:
                fifo.write(request.rstrip(b"\n") + b"\n")
            quiet = b'"id"' not in request
            return 200, _decoded(_read(handle, 0.5 if quiet else 10.0))
        finally:
            os.close(handle)
            reply.unlink()


def _read(handle: int, patience: float) -> bytes:
    """All that is written before the other end is closed; nothing if nothing comes."""
    end = time.monotonic() + patience
    data = b""
    while time.monotonic() < end:
        ready, _, _ = select.select([handle], [], [], 0.05)
        if not ready:
            continue
        piece = os.read(handle, 65536)
        if piece:
            data += piece
        elif data:
            return data
        else:
            # Nobody has opened it yet.
            time.sleep(0.01)
    return data


# -- the situations --------------------------------------------------------------------------------


class RpcStage:
    """The phones of the recordings, under their names."""

    def __init__(self, doors: Doors, phones: Phones, hold: int, early: int) -> None:
        self.daemon = daemon = doors.daemon
        self.doors = doors
        self._phones = phones
        self._callees = {
            user: phones.callee(daemon, callid="?", port=port)
            for user, port in (("hold", hold), ("early", early))
        }
        self.legs: dict[str, Leg] = {}
        self.callers: dict[str, Caller] = {}

    def _dial(self, user: str, callid: str, from_tag: str, to_tag: str) -> tuple[Caller, Callee]:
        caller = self._phones.caller(self.daemon, callid=callid, tag=from_tag)
        callee = self._callees[user]
        callee.callid, callee.tag = callid, to_tag
        caller.invite(f"sip:{user}@{self.daemon.hostport}")
        callee.take()
        callee.ring()
        caller.expect(180)
        self.callers[callid] = caller
        return caller, callee

    def hold(self, callid: str, from_tag: str, to_tag: str) -> None:
        """A call that is answered."""
        caller, callee = self._dial("hold", callid, from_tag, to_tag)
        callee.answer()
        self.legs[callid] = caller.ack(caller.expect(200, "INVITE"))
        callee.expect("ACK")
        self.daemon.wait_state(callid, 4)

    def early(self, callid: str, from_tag: str, to_tag: str) -> Message:
        """A call that rings."""
        _, callee = self._dial("early", callid, from_tag, to_tag)
        return callee.invite

    def refuse(self, callid: str) -> None:
        """The ringing call is refused."""
        self._callees["early"].refuse(486)
        self.callers[callid].ack_failure(self.callers[callid].expect(486))
        self.daemon.wait_gone(callid, 15)

    def callee(self, callid: str) -> Callee:
        """The phone that has answered a call."""
        self._callees["hold"].callid = callid
        return self._callees["hold"]

    def byes(self, callid: str) -> None:
        """Both sides of an answered call are told its end, and agree."""
        for phone in (self.callers[callid], self.callee(callid)):
            phone.send(response(phone.expect("BYE"), 200))
        self.daemon.wait_gone(callid, 15)

    def cancelled(self, callid: str) -> None:
        """Both sides of a ringing call are told its end."""
        self._callees["early"].take_cancel()
        self.callers[callid].ack_failure(self.callers[callid].expect(488))
        self.daemon.wait_gone(callid, 15)

    def hang_up(self, callid: str) -> None:
        self.legs[callid].bye(self.callee(callid))
        self.daemon.wait_gone(callid, 15)

    def numbers(self, callid: str) -> bytes:
        """h_entry and h_id of a call as parameters."""
        found = self.daemon.dialog(callid)
        assert found is not None
        h_entry, h_id = found.hash.split(":")
        return f"{h_entry}, {h_id}".encode()

    def replay(self, folder: str, names: Iterable[str] = (), numbers: bytes = b"") -> None:
        """Send recorded requests (all of a folder without names) and compare the replies."""
        problems: list[str] = []
        for name in names or sorted(path.stem for path in (DATA / folder).glob("*.req")):
            case = f"{folder}/{name}"
            replayed.add(case)

            def change(request: bytes) -> bytes:
                if numbers:
                    request = re.sub(rb'"params": \[\d+, \d+', b'"params": [' + numbers, request)
                return request.replace(b"ALICE.*5071", b"ALICE.*example")

            reply = self.doors.send(case, change)
            try:
                compare(case, read_recorded(case), reply)
            except (AssertionError, KeyError, TypeError) as error:
                problems.append(f"{case}: {error}\nrecorded {read_recorded(case)}\nhere {reply}")
        assert not problems, "\n\n".join(problems)


def everything() -> set[str]:
    """All recorded requests."""
    return {
        str(path.relative_to(DATA).with_suffix(""))
        for kind in ("http", "fifo")
        for path in Path(DATA).glob(f"*/*/{kind}/*.req")
    }
