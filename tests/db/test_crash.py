"""Two kills -9 under load, of the many that ``python -m tests.crash`` makes."""

from __future__ import annotations

from pathlib import Path

from tests.crash.rounds import Crash, Order


def test_nothing_is_lost_and_nothing_comes_back(tmp_path: Path) -> None:
    # The other tests run beside this one: the promise of a machine of one's own is not theirs.
    order = Order(
        f"sqlite:///{tmp_path}/dialogs.sqlite", 1, rounds=2, seed=6, rate=60.0, promise=0.5
    )
    found = list(Crash(tmp_path / "daemon", order).run())
    assert [error for each in found for error in each.errors] == []
    assert all(each.compared > 20 for each in found[:-1]), found
    assert found[-1].killed > 10
