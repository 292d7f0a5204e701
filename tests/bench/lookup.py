"""A single lookup in a small and in a large table, timed in pairs in one process."""

from __future__ import annotations

import random
import statistics
import time

from dlgmgmt.dialog.model import DialogInit
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.dialog.table import DialogTable
from tests.bench.report import Report

SMALL = 100
PAIRS = 200
LOOKUPS = 200


def run(report: Report, *, large: int) -> None:
    """Measure and print."""
    tables = [_table(SMALL), _table(large)]
    rng = random.Random(1)
    ratios, costs = [], []
    for _ in range(PAIRS):
        few, many = (
            _time(table, [f"call-{rng.randrange(size)}@bench" for _ in range(LOOKUPS)])
            for table, size in zip(tables, (SMALL, large), strict=True)
        )
        ratios.append(many / few)
        costs.append(many / LOOKUPS)
    name = f"lookup: by Call-ID among {large:,}"
    report.note(name, f"{statistics.median(costs) * 1e6:9.2f} us")
    report.figure(
        f"lookup: cost with {large:,} over cost with {SMALL}",
        statistics.median(ratios), "(ratio)", 1.3,
    )  # fmt: skip


def _table(size: int) -> DialogTable:
    table = DialogTable(
        DialogSettings(), wall=time.time, monotonic=time.monotonic, rng=random.Random(1)
    )
    for number in range(size):
        table.open(
            DialogInit(
                callid=f"call-{number}@bench",
                from_tag=f"tag-{number}",
                from_uri="sip:alice@example.com",
                to_uri="sip:bob@example.com",
                req_uri="sip:bob@example.com",
                cseq=1,
                contact="sip:alice@192.0.2.1",
                route_set=(),
                bind_addr="udp:127.0.0.1:5060",
                lifetime=43_200,
            )
        )
    return table


def _time(table: DialogTable, callids: list[str]) -> float:
    start = time.perf_counter()
    for callid in callids:
        table.find(callid)
    return time.perf_counter() - start
