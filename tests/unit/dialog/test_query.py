"""Choosing among all dialogs: against a filter that looks at every copy, and page by page."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlgmgmt.dialog import query
from dlgmgmt.dialog.query import ORDERS, Order, Page, Place, Selection, Test
from dlgmgmt.dialog.states import State
from dlgmgmt.dialog.views import DialogView
from tests.unit.commands.harness import NOW, House

USERS = ("alice", "bob", "carol")
TABLE = ORDERS[""]


def populated(rng: random.Random, dialogs: int, hash_size: int = 8) -> House:
    """Dialogs in all states, with all that is asked for."""
    house = House(hash_size=hash_size)
    for number in range(dialogs):
        house.wall = NOW - rng.randrange(1000)
        callid = f"{rng.randrange(dialogs)}@x"
        dialog = house.invite(
            callid,
            f"tag{number}",
            from_uri=f"sip:{rng.choice(USERS)}@ims.example.com",
            to_uri=f"sip:{rng.choice(USERS)}@example.org",
            contact=f"sip:alice@127.0.0.1:{rng.choice((5070, 5080))};ob",
        )
        kind = rng.randrange(5)
        if kind:
            house.reply(dialog, 183 if kind == 1 else 200, port=rng.choice((5190, 5191)))
        if kind > 2:
            house.ack(dialog)
        for flag in range(3):
            if rng.random() < 0.5:
                house.table.set_flag(dialog, flag)
        if rng.random() < 0.5:
            house.table.set_var(dialog, "account", str(rng.randrange(3)))
        if rng.random() < 0.5:
            house.table.profiles.insert(dialog, "caller", rng.choice(USERS))
        if kind == 4:
            house.terminator.by_id(dialog.entry.index, dialog.h_id, reason="test")
    house.wall = NOW
    return house


def all_views(house: House) -> list[DialogView]:
    return [view for batch in house.table.iter_views() for view in batch]


def pages(house: House, chosen: Selection, order: Order, limit: int) -> list[Page]:
    found = [query.page(house.table, chosen, order, limit)]
    while found[-1].last is not None:
        found.append(query.page(house.table, chosen, order, limit, found[-1].last))
    return found


def places(views: list[DialogView]) -> list[tuple[int, int]]:
    return [(view.h_entry, view.h_id) for view in views]


def age(view: DialogView) -> float:
    return int(NOW) - (view.start_ts or view.init_ts)


@st.composite
def filters(draw: st.DrawFn) -> tuple[Selection, list[Test]]:
    """A selection, and the same in other words."""
    tests: list[Test] = []
    naive: list[Test] = []
    profile = None
    if draw(st.booleans()):
        states = draw(st.frozensets(st.sampled_from(list(State)), min_size=1))
        tests.append(query.in_states(states))
        naive.append(lambda it: State(it.state) in states)
    if draw(st.booleans()):
        seconds = draw(st.integers(0, 1000))
        tests.append(query.is_older(seconds, int(NOW)))
        naive.append(lambda it: age(it) >= seconds)  # type: ignore[arg-type] # copies alone
    if draw(st.booleans()):
        most = draw(st.integers(0, 1000))
        tests.append(query.is_younger(most, int(NOW)))
        naive.append(lambda it: age(it) <= most)  # type: ignore[arg-type] # copies alone
    if draw(st.booleans()):
        flag = draw(st.integers(0, 3))
        tests.append(query.has_flag(flag))
        naive.append(lambda it: f"{it.sflags:032b}"[-1 - flag] == "1")
    if draw(st.booleans()):
        value = draw(st.sampled_from([None, "0", "1"]))
        tests.append(query.has_pair("variables", "account", value))
        naive.append(
            lambda it: (
                "account" in dict(it.variables) and value in (None, dict(it.variables)["account"])
            )
        )
    if draw(st.booleans()):
        user = draw(st.sampled_from(USERS))
        tests.append(query.matches_uri("from_uri", re.compile(f"sip:{user}@.*")))
        naive.append(lambda it: it.from_uri == f"sip:{user}@ims.example.com")
    if draw(st.booleans()):
        port = draw(st.sampled_from([5070, 5190, 5170, 1]))
        tests.append(query.has_address("127.0.0.1", port))
        naive.append(lambda it: f"127.0.0.1:{port}" in f"{it!r}")
    if draw(st.booleans()):
        of = draw(st.sampled_from([None, *USERS]))
        profile = ("caller", of)
        tests.append(query.has_pair("profiles", *profile))
        naive.append(lambda it: any(of in (None, known) for _, known in it.profiles))
    return Selection(tuple(tests), None, profile), naive


@given(st.integers(0, 2**32), filters(), st.sampled_from(list(ORDERS)), st.integers(1, 7))
@settings(max_examples=150, deadline=None)
def test_pages_hold_what_a_look_at_every_dialog_finds(
    seed: int, chosen: tuple[Selection, list[Test]], sort: str, limit: int
) -> None:
    selection, naive = chosen
    house = populated(random.Random(seed), 25)
    expected = [view for view in all_views(house) if all(test(view) for test in naive)]
    found = pages(house, selection, ORDERS[sort], limit)
    views = [view for page in found for view in page.views]
    assert sorted(places(views)) == sorted(places(expected))
    assert found[0].total == len(expected)
    assert all(len(page.views) == limit for page in found[:-1])
    assert [*query.matches(house.table, selection)] == sorted(expected, key=lambda it: it[:2])
    keys: dict[str, Callable[[DialogView], Any]] = {
        "": lambda view: view[:2],
        "created": lambda view: view.init_ts,
        "age": age,
        "callid": lambda view: view.callid,
    }
    key = keys[sort.lstrip("-")]
    assert [key(view) for view in views] == sorted(map(key, views), reverse=sort.startswith("-"))


@given(
    st.integers(0, 2**32),
    st.sampled_from(["", "created", "-created", "callid", "-callid"]),
    st.integers(1, 6),
)
@settings(max_examples=150, deadline=None)
def test_what_lives_throughout_is_shown_once_whatever_comes_and_goes(
    seed: int, sort: str, limit: int
) -> None:
    rng = random.Random(seed)
    house = populated(rng, 20)
    selection = Selection((query.is_alive,))
    stayed = {(view.h_entry, view.h_id) for view in query.matches(house.table, selection)}
    shown: list[tuple[int, int]] = []
    last: Place | None = None
    for number in range(1000):
        page = query.page(house.table, selection, ORDERS[sort], limit, last)
        shown += places([*page.views])
        last = page.last
        if last is None:
            break
        for come in range(rng.randrange(4)):
            house.wall = NOW - rng.randrange(1000)
            house.call(f"{rng.randrange(40)}@x", f"new{number}-{come}")
        house.wall = NOW
        for place in rng.sample(sorted(stayed), min(len(stayed), rng.randrange(3))):
            house.terminator.by_id(*place, reason="test")
            stayed.discard(place)
    assert last is None
    assert stayed <= set(shown)
    assert len(shown) == len(set(shown))


def test_a_call_id_and_a_profile_are_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(hash_size=64)
    for number in range(200):
        house.call(f"{number}@x")
    wanted = house.call("wanted@x")
    house.table.profiles.insert(wanted, "caller", "alice")
    looked_at: list[str] = []

    def look(it: object) -> bool:
        looked_at.append(getattr(it, "callid", ""))
        return True

    for chosen in (
        Selection((look,), "wanted@x"),
        Selection((look,), None, ("caller", "alice")),
    ):
        looked_at.clear()
        assert query.page(house.table, chosen, TABLE, 10).total == 1
        assert set(looked_at) == {"wanted@x"}


def test_signalling_may_go_first_while_very_many_are_looked_at() -> None:
    house = House(hash_size=16)
    for number in range(4100):
        house.invite(f"{number}@x")
    ways: list[int] = []
    house.table.give_way = lambda: ways.append(1)
    nobody = Selection((query.has_flag(9),))
    assert query.page(house.table, nobody, TABLE, 10) == Page((), None, 0)
    assert len(ways) in (1, 2)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("sip:alice@192.0.2.1:5070;transport=tcp", (("192.0.2.1", 5070),)),
        ("sip:alice;phone-context=x@Host.example.COM", (("host.example.com", 5060),)),
        ("sips:192.0.2.1?Subject=x", (("192.0.2.1", 5061),)),
        ("sip:[2001:DB8::1]:5070", (("[2001:db8::1]", 5070),)),
        ("udp:127.0.0.1:5060", (("127.0.0.1", 5060),)),
        (
            "sip:alice@10.0.0.1:5080;alias=192.0.2.7~40000~1",
            (("10.0.0.1", 5080), ("192.0.2.7", 40000)),
        ),
        ("sip:a@host:99999", ()),
        ("tel:+4930", (("+4930", 5060),)),
        ("", ()),
        ("nonsense", ()),
    ],
)
def test_where_a_contact_leads(text: str, found: tuple[tuple[str, int], ...]) -> None:
    assert query.addresses(text) == found
