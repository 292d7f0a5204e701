"""The recorded JSON-RPC requests and replies of Kamailio 5.6: how to replay and compare them.

What may differ stands in a table of ARCHITECTURE.md, with the reason. A row's first cell is its
key here; a key that nothing uses, or that has no row, fails the test.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from .daemon import ROOT

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


def everything() -> set[str]:
    """All recorded requests."""
    return {
        str(path.relative_to(DATA).with_suffix(""))
        for kind in ("http", "fifo")
        for path in Path(DATA).glob(f"*/*/{kind}/*.req")
    }
