"""Loading: what was listed is listed again, wherever its rows are and however many at a time."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dlgmgmt.dialog.model import Direction
from dlgmgmt.dialog.record import DialogRecord
from dlgmgmt.storage import loader
from dlgmgmt.storage.batch import Row
from dlgmgmt.storage.database import Database
from dlgmgmt.storage.errors import StorageError
from dlgmgmt.storage.odd import StoredDialog
from tests.unit.dialog.harness import make_init
from tests.unit.storage.daemon import (
    OWNER,
    TABLES,
    Daemon,
    killed_after,
    over,
    placeless,
    record,
    rows,
    running,
    sql,
    store,
)


def _fill(daemon: Daemon) -> None:
    """Calls of every kind."""
    for number in range(7):
        daemon.call(f"plain-{number}")
    rich = daemon.call("rich")
    table = daemon.table
    table.profiles.insert(rich, "caller", 'älice, "b"')
    table.profiles.insert(rich, "caller", 'älice, "b"')
    table.profiles.insert(rich, "inbound", None)
    table.set_var(rich, "name", "välue\r\n")
    table.set_var(rich, "empty", "")
    table.set_flag(rich, 31)
    table.set_lifetime(rich, 4000)
    table.set_toroute(rich, "late")
    table.set_timeout_bye(rich, True)
    table.set_keepalive(rich, True, False)
    daemon.within(rich, "INFO", 4711)
    daemon.tracker.request(rich.did, "rich", "bob", rich.from_tag, "INFO", 7)
    with rich.entry.lock:
        rich.legs["bob"].take_cseq(to_caller=True)
        rich.mark()
    forked = daemon.call("forked", "one", "two", "three")
    daemon.within(forked, "BYE", 11, "two")
    daemon.call("unacked", acked=False)
    daemon.call("'); DROP TABLE dialog_in; -- \x00\x1b[2J\ud800")


_PROFILES = {"profiles_with_value": ("caller",), "profiles_no_value": ("inbound",)}


@pytest.mark.parametrize("fetch_rows", [0, 1, 2, 1000])
def test_what_was_listed_is_listed_again(tmp_path: Path, fetch_rows: int) -> None:
    with running(tmp_path, dialogs=_PROFILES) as daemon:
        _fill(daemon)
        before = daemon.listing()
        sizes = daemon.table.profiles.sizes()
        counts = daemon.table.counts()
    again = Daemon(tmp_path, dialogs=_PROFILES, fetch_rows=fetch_rows)
    report = again.start()
    assert again.listing() == before
    assert again.table.profiles.sizes() == sizes == {"caller": 2, "inbound": 1}
    assert again.table.counts() == counts._replace(processed=0)
    assert report._replace(seconds=0.0) == loader.LoadReport(loaded=len(before))
    rich = again.dialog("rich")
    assert rich.timeout_bye
    assert rich.keepalive == 1
    leg = rich.legs["bob"]
    assert leg.callee_cseq_seen
    assert (leg.next_cseq(to_caller=True), leg.next_cseq(to_caller=False)) == (9, 4712)
    assert again.table.lookup("rich", rich.from_tag, "bob") is rich
    match = again.tracker.request(None, "rich", "bob", rich.from_tag, "INFO", 8)
    assert match is not None
    assert match.direction is Direction.UPSTREAM
    again.stop()
    assert rows(tmp_path) == {OWNER: len(before)}


def test_a_call_that_ended_does_not_return(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        daemon.call("a", "one", "two")
        daemon.call("b")
        daemon.table.set_var(daemon.dialog("a"), "k", "v")
    with running(tmp_path) as daemon:
        assert daemon.listing().keys() == {"a", "b"}
        daemon.hang_up("a")
        daemon.written()
        assert [rows(tmp_path, table) for table in TABLES] == [{OWNER: 1}, {OWNER: 1}, {}]
    with running(tmp_path) as daemon:
        assert daemon.listing().keys() == {"b"}


def test_another_hash_size_moves_dialogs_and_their_rows(tmp_path: Path) -> None:
    with running(tmp_path, hash_size=8) as daemon:
        for number in range(60):
            daemon.call(f"call-{number}", *("x", "y")[: 1 + number % 2])
            daemon.table.set_var(daemon.dialog(f"call-{number}"), "number", str(number))
        before = daemon.listing()
    with running(tmp_path, hash_size=4) as daemon:
        after = daemon.listing()
        assert {c: placeless(v) for c, v in after.items()} == {
            c: placeless(v) for c, v in before.items()
        }
        for view in after.values():
            assert view.h_entry == daemon.table.hash_of(view.callid)
        assert len({(view.h_entry, view.h_id) for view in after.values()}) == 60
        daemon.written()
        stored = sql(tmp_path, "SELECT callid, hash_entry, hash_id, did FROM dialog_in")
        assert len(stored) == 60
        for callid, *place in stored:
            assert place == [after[callid].h_entry, after[callid].h_id, after[callid].did]
    daemon = Daemon(tmp_path, hash_size=4)
    assert daemon.start().moved == 0
    assert daemon.listing() == after
    daemon.stop()


def test_a_larger_table_is_told_how_many_have_moved(tmp_path: Path) -> None:
    with running(tmp_path, hash_size=8) as daemon:
        for number in range(40):
            daemon.call(f"call-{number}")
        before = daemon.listing()
    daemon = Daemon(tmp_path, hash_size=64)
    report = daemon.start()
    moved = sum(daemon.table.hash_of(c) != v.h_entry for c, v in before.items())
    assert 0 < moved < 40
    assert (report.loaded, report.moved, report.skipped) == (40, moved, 0)
    daemon.stop()
    assert rows(tmp_path) == {OWNER: 40}


def test_a_moved_call_that_ends_at_once_leaves_no_row(tmp_path: Path) -> None:
    store(tmp_path, *(record(number, variables=(("k", "v"),)) for number in range(1, 9)))
    with running(tmp_path, hash_size=64) as daemon:
        for number in range(1, 9):
            daemon.hang_up(f"call-{number}")
    assert [rows(tmp_path, table) for table in TABLES] == [{}, {}, {}]


@pytest.mark.parametrize("pages", [1, 2, 3])
def test_a_crash_between_two_pages_loses_nothing(tmp_path: Path, pages: int) -> None:
    with running(tmp_path, hash_size=8) as daemon:
        for number in range(12):
            daemon.call(f"call-{number}")
        before = daemon.listing()
    killed_after(pages, tmp_path, hash_size=64)
    with running(tmp_path, hash_size=64) as daemon:
        assert {c: placeless(v) for c, v in daemon.listing().items()} == {
            c: placeless(v) for c, v in before.items()
        }
    assert rows(tmp_path) == {OWNER: 12}


def test_early_dialogs_are_dropped_and_counted(tmp_path: Path) -> None:
    store(tmp_path, *(record(number, state=(1, 2, 4)[number % 3]) for number in range(1, 10)))
    daemon = Daemon(tmp_path)
    report = daemon.start()
    assert (report.early, report.loaded, report.skipped) == (6, 3, 0)
    assert daemon.storage.status().early == 6
    assert rows(tmp_path) == rows(tmp_path, "dialog_out") == {OWNER: 3}
    daemon.stop()


def test_calls_whose_time_ran_out_are_ended_at_the_rate(tmp_path: Path) -> None:
    late = [record(number, timeout=1_700_000_000) for number in range(1, 6)]
    store(tmp_path, *late, record(9), over(10))
    daemon = Daemon(tmp_path, expired_rate=1)
    report = daemon.start()
    assert (report.loaded, report.expired, report.purged) == (7, 6, 0)
    assert daemon.storage.status().expired == 6
    ended: list[int] = []
    for _ in range(7):
        daemon.ahead += 1
        ended.append(len(daemon.due()))
    assert sum(ended) == 6
    assert max(ended) <= 2
    assert set(daemon.listing()) >= {"call-9"}
    daemon.stop()


def test_legs_whose_time_ran_out_are_ended_at_the_rate_too(tmp_path: Path) -> None:
    def forked(number: int) -> DialogRecord:
        plain = record(number, state=7)
        (leg,) = plain.legs
        late = leg._replace(to_tag="late", branch=1, session_end=1_700_000_000.0)
        return plain._replace(legs=(leg, late))

    store(tmp_path, *map(forked, range(1, 6)))
    daemon = Daemon(tmp_path, expired_rate=1)
    ended: list[str] = []
    daemon.table.on_legs_due = lambda dialog: ended.append(dialog.callid)
    report = daemon.start()
    assert (report.loaded, report.expired) == (5, 0)
    counts = []
    for _ in range(7):
        daemon.ahead += 1
        assert daemon.due() == []
        counts.append(len(ended))
        ended.clear()
    assert sum(counts) == 5
    assert max(counts) <= 2
    daemon.stop()


def test_calls_whose_time_ran_out_are_purged(tmp_path: Path) -> None:
    store(tmp_path, record(1, timeout=1_700_000_000), record(2), over(3))
    daemon = Daemon(tmp_path, on_expired="purge")
    report = daemon.start()
    assert (report.loaded, report.expired, report.purged) == (1, 0, 2)
    assert daemon.listing().keys() == {"call-2"}
    assert rows(tmp_path) == rows(tmp_path, "dialog_out") == {OWNER: 1}
    daemon.stop()


def test_progress_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tmp_path, *map(record, range(1, 6)))
    monkeypatch.setattr(loader, "SAY", 0.0)
    with caplog.at_level(logging.INFO), running(tmp_path, fetch_rows=2):
        pass
    assert [r.getMessage() for r in caplog.records if " of " in r.getMessage()] == [
        "database: 2 of 5 dialogs read",
        "database: 4 of 5 dialogs read",
        "database: 5 of 5 dialogs read",
    ]


def test_no_cycles_are_looked_for_meanwhile(tmp_path: Path) -> None:
    store(tmp_path, *map(record, range(1, 6)))
    seen: list[bool] = []
    daemon = Daemon(tmp_path)
    daemon.storage._give_way = lambda: seen.append(gc.isenabled())
    assert gc.isenabled()
    daemon.start()
    assert set(seen) == {False}
    assert gc.isenabled()
    gc.unfreeze()
    daemon.stop()


def test_while_loading_a_loaded_call_may_end(tmp_path: Path) -> None:
    store(tmp_path, *map(record, range(1, 8)))
    daemon = Daemon(tmp_path, fetch_rows=2)

    def hang_up() -> None:
        for callid in ("call-1", "call-2"):
            if daemon.has(callid):
                daemon.hang_up(callid)

    daemon.storage._give_way = hang_up
    report = daemon.start()
    assert report.loaded == 7
    daemon.stop()
    assert rows(tmp_path) == {OWNER: 5}
    with running(tmp_path) as daemon:
        assert daemon.listing().keys() == {f"call-{number}" for number in range(3, 8)}


def test_mode_3_leaves_nothing_in_the_database_while_it_runs(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        for number in range(7):
            daemon.call(f"call-{number}")
    with running(tmp_path, mode=3) as daemon:
        daemon.written()
        assert rows(tmp_path) == rows(tmp_path, "dialog_out") == {}
        daemon.hang_up("call-1")
        daemon.call("new")
        before = daemon.listing()
        assert len(before) == 7
        assert rows(tmp_path) == {}
    assert rows(tmp_path) == {OWNER: 7}
    with running(tmp_path, mode=3) as daemon:
        assert daemon.listing() == before


def test_what_moved_before_an_outage_is_not_read_again_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store(tmp_path, *map(record, range(1, 10)))
    daemon = Daemon(tmp_path, hash_size=64)
    read = Database.calls

    def cut_off(*args: Any, **more: Any) -> Iterator[list[Row]]:
        if daemon.has("call-2"):
            yield from read(*args, **more)
            return
        yield next(read(*args, **more))
        daemon.written()
        daemon.hang_up("call-1")
        raise StorageError("connection lost")

    monkeypatch.setattr(Database, "calls", cut_off)
    report = daemon.start()
    assert (report.loaded, report.skipped) == (9, 0)
    assert daemon.listing().keys() == {f"call-{number}" for number in range(2, 10)}
    assert "skipped" not in caplog.text
    daemon.stop()
    assert rows(tmp_path) == {OWNER: 8}


@pytest.mark.parametrize("rich_first", [True, False])
@pytest.mark.parametrize("fetch_rows", [1, 100])
def test_of_two_rows_of_one_call_the_first_one_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, rich_first: bool, fetch_rows: int
) -> None:
    daemon = Daemon(tmp_path, fetch_rows=fetch_rows)

    def placed(number: int, **changes: Any) -> DialogRecord:
        plain = record(number, **changes)
        return plain._replace(h_entry=daemon.table.hash_of(plain.callid))

    plain = placed(1)
    rich = placed(2)._replace(
        callid=plain.callid,
        h_entry=plain.h_entry,
        from_tag=plain.from_tag,
        legs=plain.legs,
        toroute="rich",
        variables=(("a", "1"),),
    )
    pair = [rich, plain] if rich_first else [plain, rich]
    store(tmp_path, placed(3), *pair, *map(placed, range(4, 9)))
    report = daemon.start()
    assert (report.loaded, report.skipped, report.moved) == (7, 1, 0)
    assert daemon.table.counts().confirmed == 7
    assert daemon.dialog(plain.callid).toroute == ("rich" if rich_first else "")
    assert caplog.text.count("is the same dialog") == 1
    daemon.stop()


def test_a_call_whose_place_is_taken_moves_and_the_next_ones_are_loaded(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, fetch_rows=100)
    hash_of = daemon.table.hash_of
    store(tmp_path, *(record(n, h_entry=hash_of(f"call-{n}")) for n in range(1, 6)))
    # The third one's number is in use, by a call that rings: one that is answered would be written,
    # and with this number over the row that is to be read.
    taken = daemon.table.entry_at(hash_of("call-3"))
    assert taken is not None
    taken.next_id = 3
    callid = next(f"new-{n}" for n in range(99) if hash_of(f"new-{n}") == taken.index)
    ringing, _ = daemon.table.open(make_init(callid, "caller"))
    assert ringing.h_id == 3
    report = daemon.start()
    assert (report.loaded, report.skipped, report.moved) == (5, 0, 1)
    assert daemon.dialog("call-3").h_id != 3
    assert {daemon.dialog(f"call-{n}").h_id for n in (1, 2, 4, 5)} == {1, 2, 4, 5}
    daemon.stop()


@pytest.mark.parametrize("fetch_rows", [1, 4, 100])
def test_each_call_has_its_own_variables(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fetch_rows: int
) -> None:
    some: list[tuple[tuple[str, str], ...]] = [
        (), (("b", "2"), ("a", "1"), ("c", "")), (), (("a", "x" * 9_000),), (("ä", "\r\n"),),
    ]  # fmt: skip
    daemon = Daemon(tmp_path, hash_size=4096, fetch_rows=fetch_rows)
    hash_of = daemon.table.hash_of
    numbers = range(1, 21)
    store(
        tmp_path,
        *(record(n, h_entry=hash_of(f"call-{n}"), variables=some[n % 5]) for n in numbers),
    )
    sql(tmp_path, "UPDATE dialog_vars SET dialog_key = NULL WHERE dialog_key = 'c' AND id > 9")
    report = daemon.start()
    listing = daemon.listing()
    spoilt = [n for n in numbers if f"call-{n}" not in listing]
    assert (report.loaded, report.skipped) == (20 - len(spoilt), len(spoilt))
    assert spoilt
    assert {n % 5 for n in spoilt} == {1}
    for n in {*numbers} - {*spoilt}:
        assert listing[f"call-{n}"].variables == some[n % 5]
    assert "belong to no dialog" not in caplog.text
    daemon.stop()


def test_an_outage_while_the_rest_of_a_dialog_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tmp_path, *(record(n, profiles=(("n", str(n)),)) for n in range(1, 9)))
    read = Database.dialogs
    failures = [StorageError("connection lost"), StorageError("no route")]

    def cut_off(*args: Any) -> list[StoredDialog]:
        if failures:
            raise failures.pop()
        return read(*args)

    monkeypatch.setattr(Database, "dialogs", cut_off)
    daemon = Daemon(tmp_path)
    report = daemon.start()
    assert (report.loaded, report.skipped) == (8, 0)
    assert not failures
    assert {v.profiles for v in daemon.listing().values()} == {
        (("n", str(number)),) for number in range(1, 9)
    }
    daemon.stop()
