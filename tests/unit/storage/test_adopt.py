"""Rows of others: of a daemon that is gone, and of Kamailio, which names no owner."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from dlgmgmt.storage import locks
from dlgmgmt.storage.database import Database
from dlgmgmt.storage.errors import OwnerTaken, StorageError
from tests.unit.storage.daemon import (
    OWNER,
    TABLES,
    Daemon,
    killed_after,
    placeless,
    record,
    rows,
    running,
    settings_in,
    sql,
    store,
)


def test_the_calls_of_a_daemon_that_is_gone_are_adopted(tmp_path: Path) -> None:
    with running(tmp_path, owner="other") as other:
        for number in range(10):
            other.call(f"other-{number}", *("x", "y")[: 1 + number % 2])
            other.table.set_var(other.dialog(f"other-{number}"), "k", f"v{number}")
        others = other.listing()
    with running(tmp_path) as daemon:
        for number in range(10):
            daemon.call(f"own-{number}")
        own = daemon.listing()
        report = daemon.storage.adopt("other")
        assert (report.loaded, report.skipped) == (10, 0)
        assert daemon.storage.status().adopted == 10
        listing = daemon.listing()
        assert {c: v for c, v in listing.items() if c in own} == own
        assert {c: placeless(v) for c, v in listing.items() if c in others} == {
            c: placeless(v) for c, v in others.items()
        }
        daemon.hang_up("other-3")
        daemon.written()
        assert rows(tmp_path) == {OWNER: 19}
    with running(tmp_path) as daemon:
        listing.pop("other-3")
        assert daemon.listing() == listing
    with running(tmp_path, owner="other") as other:
        assert other.listing() == {}


def test_calls_of_a_daemon_that_runs_stay_its_own(tmp_path: Path) -> None:
    with running(tmp_path, owner="other") as other, running(tmp_path) as daemon:
        other.call("a")
        other.written()
        with pytest.raises(OwnerTaken):
            daemon.storage.adopt("other")
        assert daemon.listing() == {}
        assert rows(tmp_path) == {"other": 1}
        other.hang_up("a")


def test_a_daemon_does_not_adopt_itself(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        daemon.call("a")
        with pytest.raises(StorageError, match="this daemon itself"):
            daemon.storage.adopt(OWNER)
        assert len(daemon.listing()) == 1


def test_an_owner_without_rows_is_no_error(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        assert daemon.storage.adopt("nobody").loaded == 0


@pytest.mark.parametrize("pages", [1, 2, 3])
def test_a_crash_while_adopting_leaves_each_call_once(tmp_path: Path, pages: int) -> None:
    store(tmp_path, *map(record, range(1, 11)), owner="other")
    killed_after(pages, tmp_path, "other")
    assert rows(tmp_path) == {OWNER: 3 * pages, "other": 10 - 3 * pages}
    with running(tmp_path) as daemon:
        assert len(daemon.listing()) == 3 * pages
        assert daemon.storage.adopt("other").loaded == 10 - 3 * pages
        assert daemon.listing().keys() == {f"call-{number}" for number in range(1, 11)}
    assert rows(tmp_path) == {OWNER: 10}


def test_early_late_and_corrupt_rows_of_another_daemon(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store(
        tmp_path,
        *map(record, range(1, 5)),
        record(5, state=2),
        record(6, timeout=1_700_000_000),
        owner="other",
    )
    sql(tmp_path, "UPDATE dialog_in SET state = 77 WHERE hash_id = 2")
    with running(tmp_path, on_expired="purge") as daemon:
        report = daemon.storage.adopt("other")
        assert report[:5] == (3, 1, 0, 1, 1)
    assert rows(tmp_path) == rows(tmp_path, "dialog_out") == {OWNER: 3, "other": 1}
    assert sum(": skipped" in r.getMessage() for r in caplog.records) == 1


def test_a_call_that_both_have_is_not_adopted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store(tmp_path, record(1), record(2))
    store(tmp_path, record(1), record(3), owner="other")
    with running(tmp_path) as daemon:
        report = daemon.storage.adopt("other")
        assert (report.loaded, report.skipped) == (1, 1)
        assert len(daemon.listing()) == 3
    assert rows(tmp_path) == {OWNER: 3, "other": 1}
    assert any("there already" in r.getMessage() for r in caplog.records)


def test_in_mode_3_adopted_calls_are_written_at_the_end(tmp_path: Path) -> None:
    store(tmp_path, *map(record, range(1, 6)), owner="other")
    with running(tmp_path, mode=3) as daemon:
        assert daemon.storage.adopt("other").loaded == 5
        assert rows(tmp_path) == {}
        daemon.hang_up("call-1")
    assert rows(tmp_path) == {OWNER: 4}


def _kamailio(folder: Path, *numbers: int, state: int = 4) -> None:
    """Rows as ims_dialog writes them: no owner, no did, a leg's hash that of its To-tag."""
    store(folder, owner="maker")
    for n in numbers:
        sql(
            folder,
            "INSERT INTO dialog_in (hash_entry, hash_id, did, callid, from_uri, from_tag,"
            " caller_original_cseq, req_uri, caller_route_set, caller_contact, caller_sock, state,"
            " start_time, timeout, sflags, toroute_name, toroute_index)"
            f" VALUES ({n * 37}, {n}, NULL, 'kam-{n}', 'sip:a@a', 'f-{n}', '1{n}', 'sip:b{n}@b',"
            f" '<sip:r1;lr>, <sip:r2;lr>', 'sip:a@1', 'udp:1:5060', {state}, 1795000000,"
            " 4000000000, 5, NULL, 0)",
            "INSERT INTO dialog_out (hash_entry, hash_id, did, to_uri, to_tag, caller_cseq,"
            " callee_cseq, callee_contact, callee_route_set, callee_sock)"
            f" VALUES ({n * 41}, {n + 5000}, NULL, 'sip:b{n}@b', 't-{n}', '1{n}', '1{n}',"
            f" 'sip:b{n}@2', NULL, 'udp:2:5060')",
            "INSERT INTO dialog_vars (hash_entry, hash_id, dialog_key, dialog_value)"
            f" VALUES ({n * 37}, {n}, 'k', 'v{n}')",
        )


def test_rows_without_an_owner_are_taken_over_at_the_start(tmp_path: Path) -> None:
    _kamailio(tmp_path, *range(1, 9))
    daemon = Daemon(tmp_path)
    report = daemon.start()
    assert (report.loaded, report.skipped) == (8, 0)
    assert daemon.storage.status().adopted == 8
    listing = daemon.listing()
    for n in range(1, 9):
        view = listing[f"kam-{n}"]
        assert view.h_entry == daemon.table.hash_of(view.callid)
        assert (view.state, view.from_tag, view.to_uri) == (4, f"f-{n}", f"sip:b{n}@b")
        assert view.caller_route_set == "<sip:r1;lr>, <sip:r2;lr>"
        assert (view.first_req_cseq, view.timeout, view.sflags) == (int(f"1{n}"), 4_000_000_000, 5)
        assert view.variables == (("k", f"v{n}"),)
        (leg,) = view.legs
        assert (leg.to_tag, leg.callee_contact) == (f"t-{n}", f"sip:b{n}@2")
        assert (leg.acked, leg.caller_cseq, leg.callee_cseq) == (True, int(f"1{n}"), int(f"1{n}"))
    daemon.stop()
    assert [rows(tmp_path, table) for table in TABLES] == [{OWNER: 8}] * 3
    with running(tmp_path) as daemon:
        assert daemon.listing() == listing


@pytest.mark.parametrize("pages", [1, 2])
def test_a_crash_while_taking_over_leaves_each_call_once(tmp_path: Path, pages: int) -> None:
    _kamailio(tmp_path, *range(1, 9))
    killed_after(pages, tmp_path)
    assert sum(rows(tmp_path).values()) == 8
    with running(tmp_path) as daemon:
        assert daemon.listing().keys() == {f"kam-{number}" for number in range(1, 9)}
    assert rows(tmp_path) == {OWNER: 8}


def test_own_rows_and_rows_without_owner_come_together(tmp_path: Path) -> None:
    store(tmp_path, *map(record, range(1, 6)))
    _kamailio(tmp_path, *range(1, 6))
    with running(tmp_path) as daemon:
        assert len(daemon.listing()) == 10
    assert rows(tmp_path) == {OWNER: 10}


def test_early_rows_without_owner_are_dropped(tmp_path: Path) -> None:
    _kamailio(tmp_path, 1, 2, state=1)
    _kamailio(tmp_path, 3)
    daemon = Daemon(tmp_path)
    report = daemon.start()
    assert (report.loaded, report.early) == (1, 2)
    daemon.stop()
    assert [rows(tmp_path, table) for table in TABLES] == [{OWNER: 1}] * 3


def test_rows_without_owner_that_come_later_are_adopted_by_command(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        _kamailio(tmp_path, 1, 2)
        assert daemon.storage.adopt(None).loaded == 2
    assert rows(tmp_path) == {OWNER: 2}


def test_rows_without_owner_are_taken_over_by_one_daemon_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "WAIT", 0.1)
    _kamailio(tmp_path, 1, 2)
    first = Database(settings_in(tmp_path, owner="first"), lock=False)
    with first.take_owner(None), running(tmp_path) as daemon:
        assert daemon.listing() == {}
        assert rows(tmp_path) == {None: 2}
    first.close()
    with running(tmp_path) as daemon:
        assert len(daemon.listing()) == 2


def test_late_rows_without_owner_are_purged_or_ended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _kamailio(tmp_path, 1, 2, 3)
    sql(tmp_path, "UPDATE dialog_in SET timeout = start_time + 100 WHERE callid = 'kam-2'")
    caplog.set_level(logging.INFO)
    daemon = Daemon(tmp_path, on_expired="purge")
    assert daemon.start().purged == 1
    daemon.stop()
    assert rows(tmp_path) == rows(tmp_path, "dialog_out") == {OWNER: 2}
    assert any("1 purged" in r.getMessage() for r in caplog.records)
