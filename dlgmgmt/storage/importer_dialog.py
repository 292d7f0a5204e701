"""What kamailio's dialog module has stored: a row of ``dialog`` has both sides of a call."""

from __future__ import annotations

import json
from collections.abc import Iterator

from sqlalchemy import Connection

from dlgmgmt.dialog.profiles import MAX_INSERTIONS, MAX_VALUE
from dlgmgmt.dialog.record import DialogRecord
from dlgmgmt.dialog.states import State
from dlgmgmt.storage.errors import RowFault
from dlgmgmt.storage.importer import Found, Imported, Source
from dlgmgmt.storage.values import Values, dialog_of, leg_of

_COLUMNS = frozenset(
    {
        *("id", "hash_entry", "hash_id", "callid", "from_uri", "from_tag", "to_uri", "to_tag"),
        *("caller_cseq", "callee_cseq", "caller_route_set", "callee_route_set"),
        *("caller_contact", "callee_contact", "caller_sock", "callee_sock"),
        *("state", "start_time", "timeout", "sflags", "iflags", "toroute_name", "req_uri", "xdata"),
    }
)
# The module's own numbers.
_EARLY = (1, 2)
_ANSWERED = {3: State.CONFIRMED_NA, 4: State.CONFIRMED}
_ENDED = 5

# Bits of iflags.
_BYE_ON_TIMEOUT = 1
_PING_CALLER, _PING_CALLEE = 2, 4
_NO_RESET = 8


def read(connection: Connection, now: float, found: Found) -> Iterator[Imported]:
    """The calls of table ``dialog``, in the order of their rows; the rest is noted in ``found``.

    now: Unix time. Raises SchemaError.
    """
    source = Source(connection)
    table = source.table("dialog", _COLUMNS)
    variables = source.variables(found)
    for row in source.rows(table):
        values = Values("dialog", row)
        found.calls += 1
        try:
            state = values.integer("state")
            key = values.integer("hash_entry"), values.integer("hash_id")
            pairs = variables.pop(key, [])
            rows = {"dialog": [values.id], "dialog_vars": [number for number, *_ in pairs]}
            if state in _EARLY or state == _ENDED:
                found.early += state in _EARLY
                found.ended += state == _ENDED
                found.gone.append(rows)
                continue
            if state not in _ANSWERED:
                raise values.fault(f"state is {state}, which is none of that module")
            record = _record(values, key, _ANSWERED[state], pairs, now)
        except RowFault as fault:
            found.faults.append(fault)
        else:
            yield Imported(record, rows)
    for pairs in variables.values():
        for number, *_ in pairs:
            found.faults.append(RowFault("dialog_vars", number, "belongs to no dialog"))


def _record(
    values: Values,
    key: tuple[int, int],
    state: State,
    variables: list[tuple[int, str, str]],
    now: float,
) -> DialogRecord:
    started, *_ = values.lifetime(now)
    flags = values.flags("iflags")
    caller_cseq, callee_cseq = values.cseq("caller_cseq"), values.cseq("callee_cseq")
    # It stays 0 until the callee sends a request; here it is the INVITE's number till then.
    seen = callee_cseq != 0
    confirmed_at = 0.0 if state is State.CONFIRMED else float(started)
    leg = leg_of(values, 0, caller_cseq, callee_cseq or caller_cseq, confirmed_at, seen=seen)
    record = dialog_of(values, key, state, caller_cseq, (leg,), variables, now)
    return record._replace(
        timeout_bye=bool(flags & _BYE_ON_TIMEOUT),
        timeout_noreset=bool(flags & _NO_RESET),
        keepalive=bool(flags & _PING_CALLER) + 2 * bool(flags & _PING_CALLEE),
        profiles=_profiles(values),
    )


def _profiles(values: Values) -> tuple[tuple[str, str | None], ...]:
    """Of ``xdata``: an object with a list of profiles, the last insertion first."""
    text = values.optional("xdata")
    if not text:
        return ()
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        # It was cut by the column, perhaps; a call without its profiles would be counted wrong.
        raise values.fault("xdata is no JSON") from None
    items = data.get("profiles", []) if isinstance(data, dict) else None
    if not isinstance(items, list):
        raise values.fault("xdata has no list of profiles")
    if len(items) > MAX_INSERTIONS:
        raise values.fault(f"xdata has more than {MAX_INSERTIONS} profiles")
    profiles: list[tuple[str, str | None]] = []
    for item in items:
        name = item.get("name") if isinstance(item, dict) else None
        value = item.get("value") if isinstance(item, dict) else None
        if not isinstance(name, str) or not (value is None or isinstance(value, str)):
            raise values.fault("xdata has a profile without a name, or with a value of no text")
        if value is not None and len(value) > MAX_VALUE:
            raise values.fault(f"xdata has a profile value of more than {MAX_VALUE} characters")
        profiles.append((name, value))
    return tuple(reversed(profiles))
