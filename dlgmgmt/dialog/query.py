"""Choosing among all dialogs: by what they are, in an order that a later question can go on in.

A dialog is looked at twice. First as it is, without a lock: each of its fields is read in one
step, so that those which do not fit cost nearly nothing, however many there are. What may fit is
copied under its entry's lock, and the copy decides.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import operator
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from dlgmgmt.dialog.model import Dialog, Entry
from dlgmgmt.dialog.profiles import Profiles
from dlgmgmt.dialog.states import State
from dlgmgmt.dialog.views import DialogView

MAX_LIMIT: Final = 1000
"""Dialogs of one page."""

# Dialogs that are looked at before signalling may go first.
_BREATH: Final = 2000

Test = Callable[[Dialog | DialogView], bool]
"""Of fields that a dialog and its copy have both, each of which is read in one step."""


class Source(Protocol):
    """Where dialogs are chosen from; see DialogTable."""

    @property
    def size(self) -> int:
        """Hash entries."""

    @property
    def profiles(self) -> Profiles:
        """The profiles and their members."""

    @property
    def give_way(self) -> Callable[[], None] | None:
        """Lets signalling go first."""

    def entry_of(self, callid: str) -> Entry:
        """The hash entry that a Call-ID belongs to."""

    def entry_at(self, h_entry: int) -> Entry | None:
        """The entry with this number."""


class Place(NamedTuple):
    """Where a dialog stands in an order. key: 0 in the order of the table."""

    key: int | str
    h_entry: int
    h_id: int


@dataclass(slots=True, frozen=True)
class Selection:
    """What dialogs have to be; all of it.

    callid, profile: ways to those that can fit, for which there are indexes. Both are tested too.
    """

    tests: tuple[Test, ...] = ()
    callid: str | None = None
    profile: tuple[str, str | None] | None = None

    def fits(self, it: Dialog | DialogView) -> bool:
        """Whether it is what is looked for."""
        return all(test(it) for test in self.tests)


@dataclass(slots=True, frozen=True)
class Order:
    """An order of dialogs. key: None for the table's own.

    That one and those by what never changes of a dialog show each that lives throughout exactly
    once, page by page, whatever comes and goes between two pages.
    """

    key: Callable[[Dialog], int | str] | None = None
    descending: bool = False


def _moment(dialog: Dialog) -> int:
    return dialog.start_ts or dialog.init_ts


ORDERS: Final[dict[str, Order]] = {
    "": Order(),
    "created": Order(operator.attrgetter("init_ts")),
    "-created": Order(operator.attrgetter("init_ts"), descending=True),
    # The youngest is the one that began last.
    "age": Order(_moment, descending=True),
    "-age": Order(_moment),
    "callid": Order(operator.attrgetter("callid")),
    "-callid": Order(operator.attrgetter("callid"), descending=True),
}
"""By their names. The age counts from the answer, once there is one: a dialog that is answered
while others are paged through may be shown twice, or not at all."""


class Page(NamedTuple):
    """Some dialogs. last: where the next page begins after, None if there is nothing more.

    total: how many fit, whatever the page; 0 where it was not asked for.
    """

    views: tuple[DialogView, ...]
    last: Place | None
    total: int


def page(
    table: Source, selection: Selection, order: Order, limit: int, after: Place | None = None
) -> Page:
    """The first ``limit`` dialogs after a place; memory is for as many, whatever fits.

    How many fit is counted for the first page alone.
    """
    if order.key is None:
        return _table_page(table, selection, limit, after)
    seen = itertools.count()
    found = _placed(_candidates(table, selection, None), order.key, seen)
    if after is not None:
        beyond = operator.lt if order.descending else operator.gt
        found = (pair for pair in found if beyond(pair[0], after))
    choose = heapq.nlargest if order.descending else heapq.nsmallest
    # Places differ, so that dialogs themselves are never compared.
    pairs = choose(limit + 1, found)
    views = [_fitting(dialog, selection) for _, dialog in pairs[:limit]]
    last = pairs[limit - 1][0] if len(pairs) > limit else None
    total = next(seen) if after is None else 0
    return Page(tuple(view for view in views if view is not None), last, total)


def _placed(
    dialogs: Iterable[Dialog], key: Callable[[Dialog], int | str], seen: Iterator[int]
) -> Iterator[tuple[Place, Dialog]]:
    """seen: is moved on for each."""
    for dialog, _ in zip(dialogs, seen, strict=False):
        yield Place(key(dialog), dialog.entry.index, dialog.h_id), dialog


def _table_page(table: Source, selection: Selection, limit: int, after: Place | None) -> Page:
    start = None if after is None else (after.h_entry, after.h_id)
    candidates = _candidates(table, selection, start)
    views: list[DialogView] = []
    more = None
    for dialog in candidates:
        view = _fitting(dialog, selection)
        if view is not None and len(views) == limit:
            more = view
            break
        if view is not None:
            views.append(view)
    last = None if more is None else Place(0, views[-1].h_entry, views[-1].h_id)
    total = 0
    if after is None:
        total = len(views)
        if more is not None:
            total += 1 + _count(table, selection, (more.h_entry, more.h_id), candidates)
    return Page(tuple(views), last, total)


def _count(
    table: Source, selection: Selection, after: tuple[int, int], rest: Iterator[Dialog]
) -> int:
    """How many follow a place. rest: they."""
    if selection.tests:
        return sum(1 for _ in rest)
    first, h_id = after
    entries = [table.entry_at(index) for index in range(first, table.size)]
    passed = sum(number <= h_id for number in list(entries[0].by_id)) if entries[0] else 0
    return sum(len(entry.by_id) for entry in entries if entry is not None) - passed


def matches(
    table: Source, selection: Selection, after: tuple[int, int] | None = None
) -> Iterator[DialogView]:
    """Copies of all that fit, by h_entry and h_id; those after a place."""
    for dialog in _candidates(table, selection, after):
        view = _fitting(dialog, selection)
        if view is not None:
            yield view


def _fitting(dialog: Dialog, selection: Selection) -> DialogView | None:
    with dialog.entry.lock:
        view = None if dialog.removed else dialog.view()
    return view if view is not None and selection.fits(view) else None


def _candidates(
    table: Source, selection: Selection, after: tuple[int, int] | None
) -> Iterator[Dialog]:
    """What may fit, by h_entry and h_id, after a place."""
    looked_at = 0
    for group in _groups(table, selection, after):
        chosen: Iterator[Dialog] = iter(group)
        for test in selection.tests:
            chosen = filter(test, chosen)
        yield from chosen
        looked_at += len(group)
        if looked_at >= _BREATH:
            looked_at = 0
            if table.give_way is not None:
                table.give_way()


def _groups(
    table: Source, selection: Selection, after: tuple[int, int] | None
) -> Iterator[list[Dialog]]:
    if selection.callid is not None:
        own = table.entry_of(selection.callid)
        with own.lock:
            same = list(own.by_callid.get(selection.callid, ()))
        yield _ordered(same, after)
        return
    if selection.profile is not None:
        members = _ordered(table.profiles.members(*selection.profile), after)
        for start in range(0, len(members), _BREATH):
            yield members[start : start + _BREATH]
        return
    first, h_id = (0, 0) if after is None else after
    for index in range(first, table.size):
        entry = table.entry_at(index)
        if entry is None or not entry.by_id:
            continue
        with entry.lock:
            dialogs = list(entry.by_id.values())
        if index == first and h_id:
            dialogs = [dialog for dialog in dialogs if dialog.h_id > h_id]
        # Numbers are given in turn, and begin again after 2^32 dialogs of one entry.
        dialogs.sort(key=_number)
        yield dialogs


_number = operator.attrgetter("h_id")


def _place(dialog: Dialog) -> tuple[int, int]:
    return dialog.entry.index, dialog.h_id


def _ordered(dialogs: Iterable[Dialog], after: tuple[int, int] | None) -> list[Dialog]:
    if after is not None:
        dialogs = (dialog for dialog in dialogs if _place(dialog) > after)
    return sorted(dialogs, key=_place)


# -- tests ---------------------------------------------------------------------------------------


def in_states(states: frozenset[State]) -> Test:
    """Whether it is in one of these."""
    return lambda it: it.state in states


def has_pair(field: str, name: str, value: str | None) -> Test:
    """Whether ``profiles`` or ``variables`` hold a name; with the value unless that is None."""
    pairs = operator.attrgetter(field)
    if value is None:
        return lambda it: any(name == known for known, _ in pairs(it))
    return lambda it: (name, value) in pairs(it)


def has_flag(number: int) -> Test:
    """Whether flag 0 to 31 is set."""
    bit = 1 << number
    return lambda it: bool(it.sflags & bit)


def matches_uri(field: str, pattern: re.Pattern[str]) -> Test:
    """Whether a URI fits a pattern as a whole."""
    uri = operator.attrgetter(field)
    return lambda it: pattern.fullmatch(uri(it)) is not None


def has_callid(callid: str) -> Test:
    """Whether it is this Call-ID."""
    return lambda it: it.callid == callid


def is_older(seconds: int, now: int) -> Test:
    """Whether it was answered so long ago or, without an answer, began to."""
    return lambda it: now - (it.start_ts or it.init_ts) >= seconds


def is_younger(seconds: int, now: int) -> Test:
    """Whether that is not longer ago."""
    return lambda it: now - (it.start_ts or it.init_ts) <= seconds


def is_alive(it: Dialog | DialogView) -> bool:
    """Whether it has not ended."""
    return it.state != State.DELETED


_ALIAS = re.compile(r";alias=([^~;]+)~([0-9]{1,5})~", re.IGNORECASE)
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\[\]:]+)(?::([0-9]{1,5}))?")


def has_address(host: str, port: int | None) -> Test:
    """Whether a party's Contact, or a socket of the daemon towards it, is there.

    host: in lower case. port: None for any.
    """

    def there(it: Dialog | DialogView) -> bool:
        if named(it.caller_contact) or named(it.caller_bind_addr):
            return True
        legs = it.legs
        # The values of a dict are listed in one step.
        of_it = list(legs.values()) if isinstance(legs, dict) else legs
        return any(named(leg.callee_contact) or named(leg.callee_bind_addr) for leg in of_it)

    # Sockets are the same for many dialogs, and a gateway's Contact too.
    @functools.lru_cache(maxsize=4096)
    def named(text: str) -> bool:
        # Reading an address takes longer than seeing that it is another one.
        return host in text.lower() and any(
            known == host and (port is None or number == port) for known, number in addresses(text)
        )

    return there


def addresses(text: str) -> tuple[tuple[str, int], ...]:
    """Host and port of a Contact URI, and where its phone really is, or of a socket's name."""
    scheme, _, rest = text.partition(":")
    found: list[tuple[str, int]] = []
    named = split_address(re.split("[;?>]", rest.rpartition("@")[2], maxsplit=1)[0])
    if named is not None:
        default = 5061 if scheme.lower() in ("sips", "tls") else 5060
        found.append((named[0], named[1] or default))
    alias = _ALIAS.search(rest)
    if alias is not None:
        found.append((alias[1].lower(), int(alias[2])))
    return tuple(found)


def split_address(text: str) -> tuple[str, int | None] | None:
    """Host, in lower case, and port of ``host``, ``host:port`` or with an IPv6 host in brackets."""
    match = _HOST_PORT.fullmatch(text)
    if match is None:
        return None
    port = int(match[2]) if match[2] else None
    return (match[1].lower(), port) if port is None or port <= 65535 else None
