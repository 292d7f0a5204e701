"""From the parameters of a query to what dialogs have to be, and from its cursor to a place."""

from __future__ import annotations

import base64
import binascii
import fnmatch
import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from dlgmgmt.commands.binding import quoted
from dlgmgmt.commands.errors import Failure, Refused
from dlgmgmt.commands.params import FILTERS
from dlgmgmt.commands.registry import Call
from dlgmgmt.dialog import query
from dlgmgmt.dialog.profiles import NoSuchProfile
from dlgmgmt.dialog.query import Place, Selection, Test
from dlgmgmt.dialog.states import State

MAX_GLOB: Final = 256
_MAX_CURSOR: Final = 200_000
_SHOWN: Final = 200

_CONFIRMED = frozenset({State.CONFIRMED, State.CONCURRENT})
STATES: Final[Mapping[str, frozenset[State]]] = MappingProxyType(
    {
        "unconfirmed": frozenset({State.UNCONFIRMED}),
        "early": frozenset({State.EARLY}),
        "confirmed_na": frozenset({State.CONFIRMED_NA}),
        "confirmed": _CONFIRMED,
        "concurrent": frozenset({State.CONCURRENT}),
        "deleted": frozenset({State.DELETED}),
        "1": frozenset({State.UNCONFIRMED}),
        "2": frozenset({State.EARLY}),
        "3": frozenset({State.CONFIRMED_NA}),
        "4": _CONFIRMED,
        "5": frozenset({State.DELETED}),
    }
)
"""By the names and numbers that the parameter ``state`` takes."""


def has_filter(call: Call) -> bool:
    """Whether anything is asked of the dialogs."""
    return any(param.name in call.values for param in FILTERS)


def selection(call: Call, *, alive: bool = False) -> Selection:
    """What dialogs have to be; raises Refused. alive: not ended either."""
    now = int(call.context.clock())  # ages are whole seconds, as they are shown
    tests: list[Test] = [query.is_alive] if alive else []
    states = call.optional_text("state")
    if states is not None:
        tests.append(query.in_states(_states(states)))
    callid = call.optional_text("callid")
    if callid is not None:
        tests.append(query.has_callid(callid))
    if "min_age" in call.values:
        tests.append(query.is_older(_at_least_0(call, "min_age"), now))
    if "max_age" in call.values:
        tests.append(query.is_younger(_at_least_0(call, "max_age"), now))
    if "flag" in call.values:
        tests.append(query.has_flag(flag(call)))
    profile = None
    if "profile" in call.values:
        profile = _profile(call)
        tests.append(query.has_pair("profiles", *profile))
    if "variable" in call.values:
        key, sign, value = call.text("variable").partition("=")
        tests.append(query.has_pair("variables", key, value if sign else None))
    for name, field in (("caller", "from_uri"), ("callee", "to_uri")):
        if name in call.values:
            tests.append(query.matches_uri(field, _glob(name, call.text(name))))
    if "address" in call.values:
        tests.append(query.has_address(*_address(call.text("address"))))
    return Selection(tuple(tests), callid, profile)


def flag(call: Call) -> int:
    """The parameter ``flag``; raises Refused."""
    number = call.number("flag")
    if not 0 <= number <= 31:
        raise Refused(Failure.BAD_VALUE, "flag is a number from 0 to 31")
    return number


def bounded_number(call: Call, name: str, default: int, least: int, most: int) -> int:
    """A number within bounds; raises Refused."""
    number = call.optional_number(name)
    if number is None:
        return default
    if not least <= number <= most:
        raise Refused(Failure.BAD_VALUE, f"{name} is a number from {least} to {most}")
    return number


def _at_least_0(call: Call, name: str) -> int:
    return bounded_number(call, name, 0, 0, 2**63)


def _states(text: str) -> frozenset[State]:
    found: frozenset[State] = frozenset()
    for name in text.split(","):
        states = STATES.get(name.strip().lower())
        if states is None:
            known = ", ".join(STATES)
            raise Refused(Failure.BAD_VALUE, f"state is one of {known}, not {quoted(name)}")
        found |= states
    return found


def _profile(call: Call) -> tuple[str, str | None]:
    name, sign, value = call.text("profile").partition("=")
    try:
        valued = call.context.table.profiles.has_value(name)
    except NoSuchProfile:
        raise Refused(Failure.NO_PROFILE, name[:_SHOWN]) from None
    if sign and not valued:
        raise Refused(Failure.BAD_VALUE, f"profile {quoted(name)} has no values")
    return name, value if sign else None


def _glob(name: str, text: str) -> re.Pattern[str]:
    if len(text) > MAX_GLOB:
        raise Refused(Failure.BAD_VALUE, f"{name} has at most {MAX_GLOB} characters")
    # Brackets are those of IPv6 addresses. What is made of stars does not go back, whatever the
    # text: Python's own translation sees to that.
    return re.compile(fnmatch.translate(text.replace("[", "[[]")), re.IGNORECASE)


def _address(text: str) -> tuple[str, int | None]:
    found = query.split_address(text)
    if found is None:
        raise Refused(
            Failure.BAD_VALUE, f"address is HOST, HOST:PORT or [IPv6]:PORT, not {quoted(text)}"
        )
    return found


# -- cursors -------------------------------------------------------------------------------------


class Cursor(NamedTuple):
    """Where a page ended. sort: the order that it is a place of. total: what the first one told."""

    sort: str
    place: Place
    total: int

    def text(self) -> str:
        """As clients carry it."""
        fields = [self.sort, *self.place, self.total]
        encoded = json.dumps(fields, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(encoded).rstrip(b"=").decode()


def read_cursor(text: str, sort: str) -> Cursor:
    """The cursor that a client has brought back; raises Refused."""
    text = text[:_MAX_CURSOR]
    try:
        raw = base64.b64decode(text.encode() + b"=" * (-len(text) % 4), b"-_", validate=True)
        its_sort, key, h_entry, h_id, total = json.loads(raw)
    except (ValueError, TypeError, RecursionError, binascii.Error):
        raise Refused(Failure.BAD_VALUE, "cursor is none that was answered before") from None
    numbers = (h_entry, h_id, total)
    if not all(type(each) is int and 0 <= each < 2**63 for each in numbers):
        raise Refused(Failure.BAD_VALUE, "cursor is none that was answered before")
    if its_sort != sort:
        raise Refused(Failure.BAD_VALUE, "cursor belongs to another sort")
    if type(key) is not (str if sort.endswith("callid") else int):
        raise Refused(Failure.BAD_VALUE, "cursor is none that was answered before")
    return Cursor(sort, Place(key, h_entry, h_id), total)
