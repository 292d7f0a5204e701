"""The real daemon with a database: ended in every way, started again, and asked what it knows."""

from __future__ import annotations

import http.client
import json
import os
import select
import subprocess
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from dlgmgmt.dialog.did import encode_did
from dlgmgmt.storage.url import parse_url
from tests.sip.harness.daemon import T1, Daemon, poll
from tests.sip.harness.rpc import RpcError

TABLES = ("dialog_in", "dialog_out", "dialog_vars")

CLOCK = frozenset({"duration", "timeout_left"})
"""What of a listed dialog changes by itself."""

SCRIPT = """
def request_route(msg, dlg):
    if msg.has_totag():
        dlg.dlg_manage()
        msg.t_relay()
        return
    if msg.is_method("INVITE"):
        dlg.dlg_manage()
        dlg.set_dlg_profile("caller", "$fU")
        dlg.set_dlg_profile("all")
        dlg.set_var("called", "$rU")
    msg.record_route()
    msg.t_relay()
"""
"""Every call has profiles and a variable, so that every table has rows."""


class Stage(Daemon):
    """A daemon on the database at ``url``, which can be started again and again on its ports.

    mode: db_mode of the next start. ims, database: further parameters of those tables.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        mode: int,
        *,
        ims: dict[str, Any] | None = None,
        database: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        self.url, self.mode = url, mode
        self._starts = 0
        self._until = b"ready"
        more.setdefault("script", SCRIPT)
        super().__init__(
            folder,
            sip={"t1": T1, "t4": 0.5},
            ims={
                "db_url": url,
                "db_mode": mode,
                "profiles_with_value": ["caller"],
                "profiles_no_value": ["all"],
                **(ims or {}),
            },
            tables={
                "database": {"rescue_dir": str(folder), **(database or {})},
                # All phones are one source here.
                "sip.limits": {"trusted": ["127.0.0.0/8"]},
            },
            **more,
        )

    def start(self, until: str = "ready") -> Stage:
        """until: beginning of the line that it waits for: "ready", or "loading"."""
        if self.stderr_path.exists():
            self._starts += 1
            self.stderr_path.rename(self.folder / f"stderr.{self._starts}")
        self._until = until.encode()
        self.ims["db_mode"] = self.mode
        super().start()
        return self

    def _await_ready(self, timeout: float) -> None:
        out = self.process.stdout
        assert out is not None
        end = time.monotonic() + timeout
        while select.select([out], [], [], max(0.0, end - time.monotonic()))[0]:
            line = out.readline()
            if line.startswith(self._until):
                return
            if not line:
                break
        code = self.refused_with(timeout=0.5)
        raise AssertionError(f"not {self._until!r} but {code}:\n{self.stderr()[-4000:]}")

    def refused_with(self, timeout: float = 10.0) -> int | None:
        """The exit code of a daemon that should not start; None if it had to be killed."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
            return None
        finally:
            assert self.process.stdout is not None
            self.process.stdout.close()

    def refused(self) -> tuple[int | None, str]:
        """Exit code and log of a start that has to fail."""
        with pytest.raises(AssertionError):
            self.start()
        return self.process.returncode, self.stderr()

    def wait_loaded(self, timeout: float = 60.0) -> dict[str, Any]:
        """Wait until all rows have been read; returns what db_status then says."""
        poll(lambda: self.status()["state"] != "loading", timeout, lambda: f"{self.status()}")
        return self.status()

    def restart(self) -> Stage:
        """SIGTERM, and up again with everything loaded."""
        self.stop()
        self.start()
        self.wait_loaded()
        return self

    def stop(self, code: int = 0) -> None:
        """SIGTERM. code: 1 if it has to end with what it could not write in a file."""
        if not code:
            super().stop()
            return
        self.process.terminate()
        assert self.refused_with(20.0) == code, self.stderr()[-4000:]

    def kill_9(self) -> None:
        """End it without a word."""
        self.process.kill()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def end(self) -> None:
        """End it, whatever its condition is."""
        if self._process is not None and self._process.poll() is None:
            self.kill_9()

    def listing(self) -> dict[str, dict[str, Any]]:
        """dlg.list by Call-ID, deleted dialogs left out; each Call-ID is there once."""
        found = [item for item in self.rpc.call("dlg.list", timeout=60.0) if item["ims_state"] != 6]
        result = {item["call-id"]: item for item in found}
        assert len(result) == len(found), "a call is listed twice"
        return result

    def status(self) -> dict[str, Any]:
        """dlg.db_status."""
        result: dict[str, Any] = self.rpc.call("dlg.db_status")
        return result

    def flush(self) -> dict[str, Any]:
        """dlg.db_flush."""
        result: dict[str, Any] = self.rpc.call("dlg.db_flush")
        return result

    def health(self) -> tuple[int, dict[str, Any]]:
        """GET /health."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=10)
        try:
            connection.request("GET", "/health")
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def resident(self) -> int:
        """Bytes of memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def end_call(self, callid: str) -> bool:
        """dlg.kill; False if there is no such dialog."""
        try:
            self.rpc.call("dlg.kill", callid)
        except RpcError as error:
            if error.code != 404:
                raise
            return False
        return True

    @property
    def kind(self) -> str:
        """Of the database: "sqlite", "postgres" or "mariadb"."""
        name = parse_url(self.url).get_backend_name()
        return {"postgresql": "postgres", "mysql": "mariadb"}.get(name, name)

    def columns(self, table: str) -> list[str]:
        """Names of a table's columns."""
        engine = sa.create_engine(parse_url(self.url))
        try:
            return [column["name"] for column in sa.inspect(engine).get_columns(table)]
        finally:
            engine.dispose()

    def move(self, port: int) -> None:
        """Have it speak SIP on another port, before it starts."""
        self.port = port
        self._ports["udp"] = port

    def rows(self) -> dict[str, int]:
        """How many rows each table has, of any owner; tables without rows are left out."""
        counts = self.sql(*(f"SELECT COUNT(*) FROM {table}" for table in TABLES))
        found = {table: int(rows[0][0]) for table, rows in zip(TABLES, counts, strict=True)}
        return {table: count for table, count in found.items() if count}

    def multiply(self, count: int, hash_size: int = 4096) -> None:
        """So many dialogs more, all like one that is in the database. The daemon must not run."""
        engine = sa.create_engine(parse_url(self.url))
        metadata = sa.MetaData()
        try:
            inside = sa.Table("dialog_in", metadata, autoload_with=engine)
            outside = sa.Table("dialog_out", metadata, autoload_with=engine)
            with engine.begin() as connection:
                first = connection.execute(sa.select(inside).limit(1)).mappings().one()
                ids = Counter(connection.execute(sa.select(inside.c.hash_entry)).scalars())
                ids = Counter(dict.fromkeys(ids, int(first["hash_id"])))
                same = (outside.c.hash_entry == first["hash_entry"]) & (
                    outside.c.hash_id == first["hash_id"]
                )
                leg = connection.execute(sa.select(outside).where(same)).mappings().one()
                rows: list[list[dict[str, Any]]] = [[], []]
                for number in range(count):
                    callid = f"more-{number:06}-3848276298220188511@db.example.com"
                    entry = zlib.crc32(callid.encode()) & (hash_size - 1)
                    ids[entry] += 1
                    place = {
                        "hash_entry": entry,
                        "hash_id": ids[entry],
                        "did": encode_did(entry, ids[entry]),
                    }
                    own = {"callid": callid, "from_tag": f"f-{number}"}
                    rows[0].append({**first, **place, **own})
                    rows[1].append({**leg, **place, "to_tag": f"t-{number}"})
                for table, found in zip((inside, outside), rows, strict=True):
                    for row in found:
                        del row["id"]
                    connection.execute(table.insert(), found)
        finally:
            engine.dispose()

    def sql(self, *statements: str) -> list[list[tuple[Any, ...]]]:
        """Statements in one transaction on a connection of the test's own; the rows of each."""
        engine = sa.create_engine(parse_url(self.url))
        try:
            with engine.begin() as connection:
                results = [connection.execute(sa.text(statement)) for statement in statements]
                return [
                    [tuple(row) for row in result] if result.returns_rows else []
                    for result in results
                ]
        finally:
            engine.dispose()


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Field by field, all but the clock."""
    return [
        f"{before['call-id']}: {name} was {json.dumps(before.get(name))}, "
        f"is {json.dumps(after.get(name))}"
        for name in sorted((before.keys() | after.keys()) - CLOCK)
        if before.get(name) != after.get(name)
    ]
