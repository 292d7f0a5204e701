from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlgmgmt.dialog.wheel import Timer, TimerWheel


def run(due: list[Callable[[], None]]) -> None:
    for fire in due:
        fire()


def test_fires_at_its_time_and_not_before() -> None:
    wheel, fired = TimerWheel(1.0, 0.0), list[str]()
    wheel.set(5.0, lambda: fired.append("five"))
    run(wheel.advance(4.999))
    assert fired == []
    run(wheel.advance(5.0))
    assert fired == ["five"]
    run(wheel.advance(100.0))
    assert fired == ["five"]
    assert len(wheel) == 0


def test_in_order_of_time() -> None:
    wheel, fired = TimerWheel(1.0, 0.0), list[int]()
    for when in (7, 3, 5, 3):
        wheel.set(when, lambda when=when: fired.append(when))
    run(wheel.advance(10.0))
    assert fired == [3, 3, 5, 7]


def test_many_are_as_each() -> None:
    whens = [7.0, 3.0, 5.5, 3.0, 0.5, -1.0]
    one, other, fired = TimerWheel(1.0, 2.0), TimerWheel(1.0, 2.0), list[float]()
    timers = one.set_all(whens, fired.append, whens)
    each = [other.set(when, fired.append, when) for when in whens]
    assert [timer.tick for timer in timers] == [timer.tick for timer in each] == [7, 3, 6, 3, 3, 3]
    assert len(one) == len(other) == 6
    one.cancel(timers[1])
    other.cancel(each[1])
    run(one.advance(6.0))
    assert fired == [3.0, 0.5, -1.0, 5.5]
    run(other.advance(7.0))
    assert fired[4:] == [3.0, 0.5, -1.0, 5.5, 7.0]
    assert (len(one), len(other)) == (1, 0)


def test_a_time_that_has_passed_fires_at_the_next_tick() -> None:
    wheel, fired = TimerWheel(1.0, 100.0), list[str]()
    wheel.set(50.0, lambda: fired.append("late"))
    run(wheel.advance(100.5))
    assert fired == []
    run(wheel.advance(101.0))
    assert fired == ["late"]


def test_cancelled_never_fires_and_is_counted_out() -> None:
    wheel, fired = TimerWheel(1.0, 0.0), list[str]()
    timer = wheel.set(2.0, lambda: fired.append("no"))
    states = [timer.active]
    wheel.cancel(timer)
    states.append(timer.active)
    assert states == [True, False]
    assert len(wheel) == 0
    wheel.cancel(timer)
    wheel.cancel(None)
    run(wheel.advance(10.0))
    assert fired == []


def test_cancelling_a_fired_timer_is_harmless() -> None:
    wheel = TimerWheel(1.0, 0.0)
    timer = wheel.set(2.0, lambda: None)
    run(wheel.advance(2.0))
    wheel.cancel(timer)
    assert len(wheel) == 0


def test_a_timer_cancelled_by_another_of_its_batch_does_not_run() -> None:
    """After a stall timers F and E are due together: F ends what E would go on sending for."""
    wheel, fired = TimerWheel(1.0, 0.0), list[str]()
    second: Timer

    def first() -> None:
        fired.append("first")
        wheel.cancel(second)

    wheel.set(2.0, first)
    second = wheel.set(3.0, lambda: fired.append("second"))
    run(wheel.advance(60.0))
    assert fired == ["first"]


class _Load:
    def fire(self) -> None: ...


def _nothing(_: object) -> None:
    """What is done with a subject."""


@pytest.mark.parametrize("how", ["cancel", "fire"])
@pytest.mark.parametrize("subject", [True, False])
def test_what_a_timer_refers_to_is_freed(how: str, *, subject: bool) -> None:
    wheel = TimerWheel(1.0, 0.0)
    load = _Load()
    gone = weakref.ref(load)
    timer = wheel.set(43200.0, _nothing, load) if subject else wheel.set(43200.0, load.fire)
    del load
    gc.collect()
    assert gone() is not None
    if how == "cancel":
        wheel.cancel(timer)
    else:
        run(wheel.advance(43200.0))
    gc.collect()
    assert gone() is None


def test_a_jump_over_a_year_costs_no_more_than_the_timers() -> None:
    wheel, fired = TimerWheel(0.05, 0.0), list[int]()
    for i in range(10):
        wheel.set(i * 1e6, lambda i=i: fired.append(i))
    run(wheel.advance(1e12))
    assert fired == list(range(10))


def test_a_clock_that_goes_back_fires_nothing() -> None:
    wheel, fired = TimerWheel(1.0, 100.0), list[str]()
    wheel.set(101.0, lambda: fired.append("x"))
    run(wheel.advance(50.0))
    assert fired == []
    run(wheel.advance(101.0))
    assert fired == ["x"]


@given(
    st.lists(st.floats(0, 300), max_size=30),
    st.lists(st.floats(0.01, 90), min_size=1, max_size=20),
    st.sampled_from([0.05, 1.0]),
)
def test_never_early_and_at_most_a_tick_late(
    times: list[float], steps: list[float], tick: float
) -> None:
    wheel, now = TimerWheel(tick, 0.0), 0.0
    waiting = dict(enumerate(times))
    for i, when in waiting.items():
        wheel.set(when, lambda i=i: fired.append(i))
    for step in steps:
        now += step
        fired: list[int] = []
        run(wheel.advance(now))
        for i in fired:
            assert waiting.pop(i) <= now + 1e-9
        assert all(when > now - 2 * tick for when in waiting.values())
    assert len(wheel) == len(waiting)
