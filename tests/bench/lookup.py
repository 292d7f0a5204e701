"""A single lookup in a small and in a large table, timed in pairs in one process.

What is timed is the command that an operator sends, from its parameters to the encoded answer:
``dlg.dlg_list`` by Call-ID, without the transport. The table's own part of it is printed too.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable

from dlgmgmt.commands.context import CommandContext
from dlgmgmt.commands.dispatcher import Caller, Dispatcher
from dlgmgmt.commands.errors import MgmtProtocol
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.dialog.init import DialogInit
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.dialog.termination import Terminations
from dlgmgmt.dialog.views import TerminationView
from dlgmgmt.interfaces.rpc_render import JSON, render
from dlgmgmt.sip.engine import tune_gc
from tests.bench.report import Report

SMALL = 100
PAIRS = 200
LOOKUPS = 200


def run(report: Report, *, large: int) -> None:
    """Measure and print."""
    tables = [_table(SMALL), _table(large)]
    tune_gc()
    plain, ratio = _pairs([table.find for table in tables], large)
    report.note(f"lookup: the table alone among {large:,}", f"{plain * 1e6:9.2f} us, {ratio:.2f}")
    cost, ratio = _pairs([_command(table) for table in tables], large)
    report.note(f"lookup: the command among {large:,}", f"{cost * 1e6:9.2f} us")
    report.figure(f"lookup: command with {large:,} over {SMALL}", ratio, "(ratio)", 1.3)


def _pairs(find: list[Callable[[str], object]], large: int) -> tuple[float, float]:
    """Median cost in the large table in seconds, and median of the ratio large to small."""
    rng = random.Random(1)
    ratios, costs = [], []
    for _ in range(PAIRS):
        few, many = (
            _time(look, [f"call-{rng.randrange(size)}@bench" for _ in range(LOOKUPS)])
            for look, size in zip(find, (SMALL, large), strict=True)
        )
        ratios.append(many / few)
        costs.append(many / LOOKUPS)
    return statistics.median(costs), statistics.median(ratios)


def _command(table: DialogTable) -> Callable[[str], bytes]:
    """``dlg.dlg_list CALLID`` as JSON-RPC text to JSON-RPC text."""
    orders = Terminations(table)

    class NoSending:
        def by_tags(
            self, callid: str, from_tag: str, to_tag: str, *, reason: str, extra_headers: str = ""
        ) -> TerminationView:
            return orders.by_tags(
                callid, from_tag, to_tag, reason=reason, extra_headers=extra_headers
            ).view()

        def by_id(
            self, h_entry: int, h_id: int, *, reason: str, extra_headers: str = ""
        ) -> TerminationView:
            return orders.by_id(h_entry, h_id, reason=reason, extra_headers=extra_headers).view()

    context = CommandContext(
        table=table, terminator=NoSending(), clock=time.time, start_time=0.0, version="bench"
    )
    dispatcher, caller = Dispatcher(build_registry(), context), Caller("bench")

    def look(callid: str) -> bytes:
        result = dispatcher.call(MgmtProtocol.RPC, "dlg.dlg_list", [(None, callid)], caller)
        return JSON.encode({"jsonrpc": "2.0", "result": render(result), "id": 1})

    return look


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


def _time(look: Callable[[str], object], callids: list[str]) -> float:
    start = time.perf_counter()
    for callid in callids:
        look(callid)
    return time.perf_counter() - start
