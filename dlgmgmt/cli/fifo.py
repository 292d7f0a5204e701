"""dlgctl over the MI FIFO: reply trees read into the objects that JSON-RPC gives."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dlgmgmt.cli.backend import (
    BackendError,
    Dialog,
    NotAsExpected,
    NotFound,
    Tags,
    Traced,
    Unreachable,
    ims_state,
)
from mi_fifo import (
    DaemonUnavailable,
    MiAnswer,
    MiClientError,
    MiNode,
    MiParam,
    MiText,
    call,
    parse_tree,
)

_NOT_FOUND, _CONFLICT = 404, 409
# ims_dialog's numbers to those of the dialog module's ``state``.
_STATES = {1: 1, 2: 2, 5: 3, 4: 4, 7: 4, 6: 5}
_STATS = {1: "starting", 2: "connecting", 5: "answering", 4: "ongoing", 7: "ongoing"}


class FifoBackend:
    """A daemon that reads ``fifo_name``. timeout: seconds without progress."""

    def __init__(self, fifo_name: str, reply_dir: str, timeout: float) -> None:
        self._fifo_name = fifo_name
        self._reply_dir = reply_dir
        self._timeout = timeout

    def dialogs(self) -> list[Dialog]:
        """See Backend."""
        return self._list()

    def find(self, callid: str) -> list[Dialog]:
        """See Backend."""
        return self._list(callid)

    def stats(self) -> dict[str, int]:
        """See Backend; counted here, since the statistics of MI have other groups."""
        counts = dict.fromkeys(("starting", "connecting", "answering", "ongoing", "all"), 0)
        for dialog in self._list():
            name = _STATS.get(ims_state(dialog))
            if name is not None:
                counts[name] += 1
                counts["all"] += 1
        return counts

    def end(
        self, callid: str, tags: Tags | None, dialog: Dialog | None, headers: str
    ) -> dict[str, Any]:
        """See Backend."""
        if tags is None:
            legs = dialog["legs"] if dialog is not None else []
            if dialog is None or not legs:
                # dlg_terminate_dlg wants a To-tag, and nobody has answered with one.
                raise BackendError("a call without a To-tag can be ended over HTTP alone")
            tags = Tags(dialog["caller"]["tag"], legs[0]["to_tag"])
        params = [callid, tags.first, tags.second, *([headers] if headers else [])]
        answer = self._call("dlg_terminate_dlg", params)
        if answer.code == _NOT_FOUND:
            raise NotFound(f"{answer.code} {answer.text}")
        self._expect_ok(answer)
        return {}

    def termination(self, number: int) -> dict[str, Any]:
        """See Backend; MI does not tell."""
        raise NotFound(f"termination {number} is told over HTTP alone")

    def trace(self, callid: str, after: int) -> list[Traced]:
        """See Backend; line ends are all CRLF, and what is not printable is escaped."""
        answer = self._call("dlg_trace", [callid, str(after)])
        if answer.code == _NOT_FOUND:
            raise NotFound(f"{answer.code} {answer.text}")
        self._expect_ok(answer)
        return [_message(node) for node in parse_tree(answer.lines)]

    def query(self, params: Mapping[str, str]) -> dict[str, Any]:
        """See Backend."""
        nodes = self._named("dlg_query", params)
        numbers = {
            node.name: node.value
            for node in nodes
            if isinstance(node, MiNode) and node.name in ("total", "cursor")
        }
        dialogs = [node for node in nodes if isinstance(node, MiText) or node.name not in numbers]
        return {
            "items": list(read_dialogs(dialogs, int(time.time()))),
            "cursor": numbers.get("cursor"),
            "total": _integer(str(numbers.get("total", ""))),
        }

    def end_match(self, params: Mapping[str, str]) -> dict[str, Any]:
        """See Backend."""
        return _sweep(self._named("dlg_end_match", params))

    def match_status(self, params: Mapping[str, str]) -> dict[str, Any]:
        """See Backend."""
        others = {name: value for name, value in params.items() if name != "id"}
        return _sweep(self._named("dlg_match_status", others, params["id"]))

    def database(self, action: str, params: Mapping[str, str]) -> dict[str, Any]:
        """See Backend; MI does not wait for the end of what was begun."""
        named = {name: value for name, value in params.items() if name != "owner"}
        owner = [params["owner"]] if "owner" in params else []
        found: dict[str, Any] = {}
        for node in self._named(f"dlg_db_{action}", named, *owner):
            if isinstance(node, MiText):
                raise BackendError(f"not a line of what was expected: {node.text[:80]}")
            value = str(node.value or "")
            found[node.name] = int(value) if value.isdecimal() and len(value) < 20 else value
        if "done" in found:
            found["done"] = bool(found["done"])
        return found

    def _named(
        self, command: str, params: Mapping[str, str], *values: str
    ) -> list[MiNode | MiText]:
        named = [MiParam(name, value) for name, value in params.items()]
        answer = self._call(command, [*values, *named])
        if answer.code == _CONFLICT:
            raise NotAsExpected(answer.text)
        self._expect_ok(answer)
        return list(parse_tree(answer.lines))

    def _list(self, *params: str) -> list[Dialog]:
        answer = self._call("dlg_list", params)
        if params and answer.code == _NOT_FOUND:
            return []
        self._expect_ok(answer)
        return list(read_dialogs(parse_tree(answer.lines), int(time.time())))

    def _call(self, command: str, params: Iterable[MiParam | str]) -> MiAnswer:
        try:
            return call(self._fifo_name, self._reply_dir, command, params, timeout=self._timeout)
        except DaemonUnavailable as error:
            raise Unreachable(str(error)) from error
        except MiClientError as error:
            raise BackendError(str(error)) from error

    def _expect_ok(self, answer: MiAnswer) -> None:
        if answer.code != 200:
            raise BackendError(f"the daemon answered {answer.code} {answer.text}")


def read_dialogs(nodes: Iterable[MiNode | MiText], now: int) -> Iterator[Dialog]:
    """The dialogs of a dlg_list reply; each out leg is a node beside its dialog's, after it.

    now: Unix seconds, from which durations are reckoned. Raises BackendError for another tree.
    """
    current: dict[str, Any] | None = None
    for node in nodes:
        if isinstance(node, MiText):
            raise BackendError(f"not a line of a dialog listing: {node.text[:80]}")
        fields = {
            child.name: "" if child.value is None else str(child.value)
            for child in node.children
            if isinstance(child, MiNode)
        }
        if node.name == "dialog":
            if current is not None:
                yield current
            current = _dialog(dict(node.attrs), fields, now)
        elif node.name == "dialog_out" and current is not None:
            current["legs"].append(_leg(fields))
            if current["callee"]["tag"] is None:
                current["callee"] = _callee(fields)
        else:
            raise BackendError(f"not a node of a dialog listing: {node.name[:80]}")
    if current is not None:
        yield current


def _sweep(nodes: Iterable[MiNode | MiText]) -> dict[str, Any]:
    """How the ending of many dialogs goes, as JSON-RPC tells it."""
    numbers: dict[str, Any] = {}
    dialogs: list[dict[str, Any]] = []
    for node in nodes:
        if isinstance(node, MiText):
            raise BackendError(f"not a line of what was expected: {node.text[:80]}")
        if node.name != "dialog":
            numbers[node.name] = _integer(str(node.value))
            continue
        fields = [child for child in node.children if isinstance(child, MiNode)]
        texts = {child.name: str(child.value or "") for child in fields}
        entry, _, h_id = str(dict(node.attrs).get("hash", "")).partition(":")
        dialogs.append(
            {
                "h_entry": _integer(entry),
                "h_id": _integer(h_id),
                "call-id": texts.get("callid", ""),
                "from_tag": texts.get("from_tag", ""),
                "outcome": texts.get("outcome", ""),
                "legs": [
                    {
                        "side": child.name,
                        "to_tag": "",
                        "method": str(dict(child.attrs).get("method", "")),
                        "outcome": str(child.value or ""),
                    }
                    for child in fields
                    if child.name in ("caller", "callee")
                ],
            }
        )
    numbers["done"] = bool(numbers.get("done"))
    return {**numbers, "dialogs": dialogs, "after": numbers.get("after")}


def _message(node: MiNode | MiText) -> dict[str, Any]:
    if isinstance(node, MiText) or node.name != "message":
        raise BackendError("the answer is not a list of messages")
    children = [child for child in node.children if isinstance(child, MiNode)]
    fields = {child.name: str(child.value or "") for child in children}
    lines = [str(child.value or "")[1:-1] for child in children if child.name == "line"]
    try:
        moment = float(fields.get("time", ""))
    except ValueError:
        moment = 0.0
    return {
        "number": _integer(str(node.value)),
        "time": moment,
        **{name: fields.get(name, "") for name in ("direction", "transport", "local", "remote")},
        "size": _number(fields, "size"),
        "message": "\r\n".join(lines),
    }


def _dialog(attrs: Mapping[str, str | int], fields: Mapping[str, str], now: int) -> dict[str, Any]:
    entry, _, number = str(attrs.get("hash", "")).partition(":")
    start = _number(fields, "timestart")
    state = _number(fields, "state")
    return {
        "h_entry": _integer(entry),
        "h_id": _integer(number),
        "ref": _number(fields, "ref_count"),
        "call-id": fields.get("callid", ""),
        "from_uri": fields.get("from_uri", ""),
        "state": _STATES.get(state, 0),
        "start_ts": start,
        "duration": max(now - start, 0) if start else 0,
        "timeout": _number(fields, "timeout"),
        "caller": {
            "tag": fields.get("from_tag", ""),
            "contact": fields.get("caller_contact", ""),
            "cseq": fields.get("first_req_cseq", ""),
            "route_set": fields.get("caller_route_set", ""),
            "socket": fields.get("caller_bind_addr", ""),
        },
        "callee": dict.fromkeys(("tag", "contact", "cseq", "route_set", "socket")),
        "ims_state": state,
        "state_name": fields.get("state_name", ""),
        "did": fields.get("did", ""),
        "timeout_left": _number(fields, "timeout_left"),
        "legs": [],
    }


def _leg(fields: Mapping[str, str]) -> dict[str, Any]:
    return {
        "to_tag": fields.get("to_tag", ""),
        "caller_cseq": _number(fields, "caller_cseq"),
        "callee_cseq": _number(fields, "callee_cseq"),
        "contact": fields.get("callee_contact", ""),
        "route_set": fields.get("callee_route_set", ""),
        "socket": fields.get("callee_bind_addr", ""),
    }


def _callee(fields: Mapping[str, str]) -> dict[str, str]:
    return {
        "tag": fields.get("to_tag", ""),
        "contact": fields.get("callee_contact", ""),
        "cseq": fields.get("callee_cseq", ""),
        "route_set": fields.get("callee_route_set", ""),
        "socket": fields.get("callee_bind_addr", ""),
    }


def _number(fields: Mapping[str, str], name: str) -> int:
    return _integer(fields.get(name, ""))


def _integer(digits: str) -> int:
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 20 else 0
