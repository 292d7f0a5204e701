"""How long Debian's kamailio takes to load such calls, on a machine whose speed varies."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from tests.db.harness.kamailio_db import BINARY, DIALOG, MODULES, Written, record, start

_HASH_SIZE = 4096
_MEGABYTES = 256
_TICKS = os.sysconf("SC_CLK_TCK")
_ALL_BUT_ID = (
    "from_uri, from_tag, to_uri, to_tag, caller_cseq, callee_cseq, caller_route_set,"
    " callee_route_set, caller_contact, callee_contact, caller_sock, callee_sock, state,"
    " start_time, timeout, sflags, iflags, toroute_name, req_uri, xdata"
)


def missing() -> str:
    """Why it cannot be asked, "" if it can."""
    return "" if BINARY and MODULES else "kamailio or its modules are not installed"


def cost(folder: Path, count: int) -> float:
    """Seconds of its CPU until its dialog module has loaded so many calls, its start left out."""
    written = record(folder, DIALOG, ("plain",))
    written.hang_up()
    without = _start(folder, written)
    _multiply(written.database, count)
    return _start(folder, written) - without


def entry_of(callid: str) -> int:
    """The hash entry of a Call-ID: the module refuses a row that stands elsewhere."""
    data = callid.encode()
    whole = len(data) & ~3
    words = [int.from_bytes(data[at : at + 4], "big") for at in range(0, whole, 4)]
    words.append(int.from_bytes(data[whole:], "big"))
    mixed = sum(word ^ (word >> 3) for word in words) & 0xFFFFFFFF
    mixed = (mixed + (mixed >> 11) + (mixed >> 13) + (mixed >> 23)) & 0xFFFFFFFF
    return mixed % _HASH_SIZE


def _multiply(database: Path, count: int) -> None:
    connection = sqlite3.connect(database)
    connection.create_function("entry_of", 1, entry_of, deterministic=True)
    with connection:
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            f" INSERT INTO dialog (hash_entry, hash_id, callid, {_ALL_BUT_ID})"
            " SELECT entry_of('call-' || i || '@kamailio.example.com'), i,"
            f" 'call-' || i || '@kamailio.example.com', {_ALL_BUT_ID} FROM n, dialog"
            " WHERE dialog.id = (SELECT MIN(id) FROM dialog)",
            (count,),
        )
    connection.close()


def _start(folder: Path, written: Written) -> float:
    """CPU of all its processes until they have come to rest."""
    program = start(folder, written, _MEGABYTES)
    try:
        used, rest = -1.0, 0
        while rest < 4:
            time.sleep(0.25)
            now = _cpu(program.process.pid)
            rest = rest + 1 if now - used < 0.03 else 0
            used = now
        return used
    finally:
        program.kill()


def _cpu(pid: int) -> float:
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, _, rest = stat.read_text().partition(" (")
        except OSError:
            continue  # it has ended meanwhile
        fields = rest.rpartition(")")[2].split()
        if int(number) == pid or int(fields[1]) == pid:
            total += (int(fields[11]) + int(fields[12])) / _TICKS
    return total
