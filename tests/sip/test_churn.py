"""A quarter of a minute of dashboards that list everything, while calls come, go and are killed."""

from __future__ import annotations

from pathlib import Path

from tests.bench.churn import Load, churn


def test_listings_are_whole_and_no_call_is_lost(tmp_path: Path) -> None:
    # sipp's callee takes an INVITE that is retransmitted for an error, and this machine is busy.
    outcome = churn(tmp_path, Load(seconds=12, warm=3, rate=50, clients=5, t1=2.0))
    assert outcome.errors == []
    assert outcome.sipp == 0
    assert outcome.killed > 5
    for told in outcome.told:
        assert told["listings"] >= 10, told
        assert told["dialogs"] > 20 * told["listings"]
