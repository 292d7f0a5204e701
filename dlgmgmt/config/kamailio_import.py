"""From the ``modparam`` lines of a kamailio.cfg to a table ``[ims_dialog]``."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass, field
from types import MappingProxyType

from dlgmgmt.config import schema
from dlgmgmt.config.dialog_values import without_password
from dlgmgmt.config.kamailio import Given, parse
from dlgmgmt.config.problems import Problem, refusal, shown
from dlgmgmt.config.values import Refused, escapes_in

_NAMES = "tables and columns have the names that ims_dialog gives them"
_KAMAILIO_URL = "mysql://kamailio:***@localhost/kamailio"
_DATABASE = re.compile(r"[a-z_]+_column|(?:vars_|dialog_in_|dialog_out_|dialog_)?table_name")

UNKNOWN_BYTE = "\N{REPLACEMENT CHARACTER}"
"""What stands in the text for bytes of the file that are not UTF-8."""

WITHOUT_COUNTERPART: MappingProxyType[str, str] = MappingProxyType(
    {
        "bridge_contact": "the daemon's own address is the Contact of the calls that it makes",
        "bye_early_code": "a BYE that comes before the answer is forwarded to the other side",
        "bye_early_reason": "a BYE that comes before the answer is forwarded to the other side",
        "db_skip_load": "what is in the database is loaded at the start",
        "debug_variables": "there is nothing of that kind to log",
        "dlg_ctxiuid_mode": "what a script knows of a call needs no id of its own",
        "dlg_filter_mode": "a request always finds its dialog by did, or by Call-ID and tags",
        "enable_dmq": "dialogs are not shared with other servers",
        "event_callback": "events go to event_route of the routing script",
        "h_id_start": "the daemon draws the ids of dialogs itself",
        "h_id_step": "the daemon draws the ids of dialogs itself",
        "keep_proxy_rr": "route sets are kept as each side needs them",
        "lreq_callee_headers": "dlg_extra_hdrs stand in the requests to both sides",
        "timer_procs": "timeouts need no process of their own",
        "track_cseq_updates": "CSeq numbers are always tracked",
        "wait_ack": "a call is tracked up to its ACK in any case (see noack_timeout)",
    }
)
"""Parameters of the dialog module that are known and have nothing to do here, with the reason."""


@dataclass(slots=True)
class Imported:
    """The outcome. toml: the table as text. wrong: lines that cannot be used. notes: the rest."""

    toml: str = ""
    wrong: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)


def convert(file: str, text: str) -> Imported:
    """Make the table of all usable lines of ``text``; file: how messages call it."""
    parsed = parse(text)
    result = Imported()
    for note in parsed.notes:
        (result.wrong if note.wrong else result.notes).append(
            Problem(file, note.line, note.message)
        )
    values: dict[str, object] = {}
    lines: dict[str, Given] = {}
    for given in parsed.given:
        before = lines.get(given.name)
        if not _take(file, given, values, result):
            continue
        lines[given.name] = given
        if before is not None:
            message = f"warning: {_full(given)} is on line {before.line} too, this one holds"
            result.notes.append(Problem(file, given.line, message))
    _check_profiles(file, values, lines, result)
    _check_database(file, values, lines, result)
    result.wrong.sort(key=lambda problem: problem.line)
    result.notes.sort(key=lambda problem: problem.line)
    result.toml = "".join(
        ["[ims_dialog]\n", *(f"{name} = {_toml(value)}\n" for name, value in values.items())]
    )
    return result


def _full(given: Given) -> str:
    return f"{given.module}.{shown(given.name)[1:-1]}"


def _take(file: str, given: Given, values: dict[str, object], result: Imported) -> bool:
    """Put one parameter into ``values``; False if that cannot be, which is then in ``result``."""
    name, value = given.name, given.value
    reader = schema.IMS_DIALOG.get(name)
    if reader is None:
        why = WITHOUT_COUNTERPART.get(name)
        if why is None and _DATABASE.fullmatch(name):
            why = _NAMES
        if why is not None:
            message = f"{_full(given)} = {shown(value)} is ignored: {why}"
            result.notes.append(Problem(file, given.line, message))
            return False
        known = [*schema.IMS_DIALOG]
        close = difflib.get_close_matches(name, known, 1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        message = f"unknown parameter {_full(given)} = {shown(value)}{hint}"
        result.wrong.append(Problem(file, given.line, f"{message}; allowed: {', '.join(known)}"))
        return False
    if isinstance(value, str):
        # The escapes of a double-quoted string have been read already.
        read_already = reader.from_text is escapes_in and not given.raw
        attempts = [value if read_already else reader.from_text(value)]
    else:
        # As in Kamailio, a number will do for a text.
        attempts = [value, str(value)]
    why = ""
    if isinstance(value, str) and UNKNOWN_BYTE in value:
        attempts, why = [], "it is not UTF-8 text"
    for attempt in attempts:
        try:
            values[name] = reader.read(attempt)
        except TypeError:
            continue
        except ValueError as error:
            why = str(error) if isinstance(error, Refused) else ""
            break
        return True
    hidden = without_password(value) if name == "db_url" else value
    message = refusal(_full(given), hidden, why, reader.allowed)
    result.wrong.append(Problem(file, given.line, message))
    return False


def _check_profiles(
    file: str, values: dict[str, object], lines: dict[str, Given], result: Imported
) -> None:
    """A name in both lists: the list that came last is left out."""
    first, second = "profiles_with_value", "profiles_no_value"
    lists = values.get(first), values.get(second)
    if not isinstance(lists[0], tuple) or not isinstance(lists[1], tuple):
        return
    both = [name for name in lists[0] if name in lists[1]]
    if both:
        last = max(first, second, key=lambda name: lines[name].line)
        other = second if last == first else first
        given = lines[last]
        message = refusal(
            _full(given),
            given.value,
            f"{both[0]} is in {other} too",
            "a name in one of the two lists",
        )
        result.wrong.append(Problem(file, given.line, message))
        del values[last]


def _check_database(
    file: str, values: dict[str, object], lines: dict[str, Given], result: Imported
) -> None:
    """Tell where dialogs will be, unless that is as it was."""
    if not values.get("db_mode"):
        return
    given = lines["db_mode"]
    if "db_url" not in values:
        message = (
            f"warning: {given.module}.db_url is not given: here it is a file of the daemon's own, "
            f"in Kamailio {_KAMAILIO_URL}"
        )
        result.notes.append(Problem(file, given.line, message))
    elif given.module == "dialog":
        message = (
            "warning: the table of the dialog module is not read at the start: "
            "dlgmgmt db import takes its calls over"
        )
        result.notes.append(Problem(file, lines["db_url"].line, message))


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    # JSON's notation of numbers, booleans and ASCII text is TOML's; DEL alone is not.
    if isinstance(value, str):
        return "".join(_escaped(char) for char in json.dumps(value, ensure_ascii=False))
    return json.dumps(value)


def _escaped(char: str) -> str:
    return char if char.isprintable() else f"\\U{ord(char):08X}"
