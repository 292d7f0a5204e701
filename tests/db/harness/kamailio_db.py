"""Databases as Debian's kamailio writes them: calls through it, then kill -9 while they are up.

``record`` starts kamailio with db_sqlite and either ims_dialog or the dialog module in real time,
has sipp place calls through it, and kills it. What remains is the database and the phones, which
wait for a BYE from whoever takes the calls over.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.sip.harness.ports import free_port
from tests.sip.harness.programs import Program
from tests.sip.harness.sipp import Sipp

BINARY = shutil.which("kamailio", path="/usr/sbin:/usr/bin")
_MODULES = sorted(Path("/usr/lib").glob("*/kamailio/modules"))
MODULES = next(
    (
        path
        for path in _MODULES
        if all((path / f"{name}.so").exists() for name in ("db_sqlite", "ims_dialog", "dialog"))
    ),
    None,
)
"""Where the modules are; None unless kamailio-sqlite-modules and kamailio-ims-modules are there."""

IMS, DIALOG = "ims_dialog", "dialog"

_CONFIG = """
debug=2
log_stderror=yes
fork=yes
children=1
auto_aliases=no
dns=no
rev_dns=no
disable_tcp=yes
mpath="@MODULES@/"
listen=udp:127.0.0.1:@PORT@
loadmodule "db_sqlite.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "xlog.so"
loadmodule "corex.so"
loadmodule "@NAME@.so"
modparam("@NAME@", "db_url", "sqlite:///@DATABASE@")
modparam("@NAME@", "db_mode", 1)
modparam("@NAME@", "dlg_flag", 4)
modparam("@NAME@", "default_timeout", 7200)
modparam("@NAME@", "profiles_with_value", "caller")
modparam("@NAME@", "profiles_no_value", "inbound")
request_route {
    if (is_method("CANCEL")) { if (t_check_trans()) { t_relay(); } exit; }
    if (has_totag()) {
        if (loose_route()) { t_relay(); exit; }
        if (is_method("ACK")) { if (t_check_trans()) { t_relay(); } exit; }
        sl_send_reply("404", "Not here");
        exit;
    }
    t_check_trans();
    record_route();
    setflag(4);
@MANAGE@
    $var(user) = $rU;
    $var(way) = $(var(user){s.select,0,-});
    $du = "sip:127.0.0.1:" + $(var(user){s.select,1,-});
    if ($var(way) == "fork") {
        append_branch("sip:bob@127.0.0.1:" + $(var(user){s.select,2,-}));
        $(branch(dst_uri)[0]) = "sip:127.0.0.1:" + $(var(user){s.select,2,-});
    }
    if ($var(way) == "rich") {
        set_dlg_profile("caller", "alice");
        set_dlg_profile("inbound");
@RICH@
    }
    if (!t_relay()) { sl_reply_error(); }
}
@ROUTES@
"""

_MANAGE = {
    IMS: "",
    # The module takes what is set in its context when it makes the dialog.
    DIALOG: """
    if ($rU =~ "^rich") {
        $dlg_ctx(timeout_route) = "GONE";
        $dlg_ctx(timeout_bye) = 1;
    }
    dlg_manage();
    """,
}
_RICH = {
    IMS: """
        $dlg_var(who) = "alice & co";
        $dlg_var(more) = "yes";
        $dlg_ctx(timeout_route) = "GONE";
        dlg_setflag("3");
    """,
    DIALOG: """
        $dlg_var(who) = "alice & co";
        $dlg_var(more) = "yes";
        dlg_setflag("3");
        dlg_setflag("31");
        dlg_set_property("timeout-noreset");
        dlg_set_property("ka-src");
    """,
}
_ROUTES = """
route[GONE] { xlog("gone"); }
"""

_SCHEMA = {
    IMS: """
        CREATE TABLE version (table_name VARCHAR(32) NOT NULL UNIQUE, table_version INTEGER);
        INSERT INTO version VALUES ('dialog_in', 7), ('dialog_out', 7), ('dialog_vars', 7);
        CREATE TABLE dialog_in (
            id INTEGER PRIMARY KEY NOT NULL, hash_entry INTEGER NOT NULL, hash_id INTEGER NOT NULL,
            did VARCHAR(45), callid VARCHAR(255) NOT NULL, from_uri VARCHAR(128) NOT NULL,
            from_tag VARCHAR(64) NOT NULL, caller_original_cseq VARCHAR(20) NOT NULL,
            req_uri VARCHAR(128) NOT NULL, caller_route_set VARCHAR(512),
            caller_contact VARCHAR(128) NOT NULL, caller_sock VARCHAR(64) NOT NULL,
            state INTEGER NOT NULL, start_time INTEGER NOT NULL, timeout INTEGER NOT NULL DEFAULT 0,
            sflags INTEGER NOT NULL DEFAULT 0, toroute_name VARCHAR(32), toroute_index INTEGER
        );
        CREATE TABLE dialog_out (
            id INTEGER PRIMARY KEY NOT NULL, hash_entry INTEGER NOT NULL, hash_id INTEGER NOT NULL,
            did VARCHAR(45), to_uri VARCHAR(128) NOT NULL, to_tag VARCHAR(64) NOT NULL,
            caller_cseq VARCHAR(20) NOT NULL, callee_cseq VARCHAR(20) NOT NULL,
            callee_contact VARCHAR(128) NOT NULL, callee_route_set VARCHAR(512),
            callee_sock VARCHAR(64) NOT NULL
        );
        CREATE TABLE dialog_vars (
            id INTEGER PRIMARY KEY NOT NULL, hash_entry INTEGER NOT NULL, hash_id INTEGER NOT NULL,
            dialog_key VARCHAR(128) NOT NULL, dialog_value VARCHAR(512) NOT NULL
        );
        CREATE INDEX dialog_in_hash ON dialog_in (hash_entry, hash_id);
        CREATE INDEX dialog_out_hash ON dialog_out (hash_entry, hash_id);
    """,
}
_KAMCTL = Path("/usr/share/kamailio/db_sqlite")


@dataclass
class Call:
    """One call that is up: who waits for a BYE, and who was cancelled."""

    callid: str
    caller: Sipp
    callees: list[Sipp]


@dataclass
class Written:
    """A database that kamailio wrote with ``module``, and its calls; port: where kamailio was."""

    module: str
    database: Path
    port: int
    calls: list[Call] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"sqlite:///{self.database}"

    def hang_up(self) -> None:
        """Put all phones down."""
        for call in self.calls:
            for phone in (call.caller, *call.callees):
                phone.stop()


def record(
    folder: Path, module: str, ways: tuple[str, ...] = ("plain", "rich", "fork"), limit: int = 60
) -> Written:
    """Have kamailio write a database about one call of each of the ways; the calls stay up.

    plain: one phone. rich: with profiles, variables and flags. fork: two phones ring, and the
    first of them answers. moved: the callee has sent a re-INVITE and an UPDATE.
    """
    folder.mkdir(parents=True, exist_ok=True)
    database = folder / "kamailio.sqlite"
    _create(database, module)
    written = Written(module, database, free_port())
    kamailio = start(folder, written)
    try:
        for way in ways:
            written.calls.append(_place(folder / way, written.port, way, limit))
        _wait_for(lambda: _confirmed(database, module) == len(ways), "dialogs in the database")
    except BaseException:
        written.hang_up()
        raise
    finally:
        kamailio.kill()
    return written


def start(folder: Path, written: Written, megabytes: int = 64) -> Program:
    """Kamailio with ``written``. megabytes: of memory, shared and of each process."""
    assert BINARY is not None
    assert MODULES is not None
    module = written.module
    config = folder / "kamailio.cfg"
    text = _CONFIG
    for name, value in {
        "MODULES": MODULES,
        "PORT": written.port,
        "NAME": module,
        "DATABASE": written.database,
        "MANAGE": _MANAGE[module],
        "RICH": _RICH[module],
        "ROUTES": _ROUTES,
    }.items():
        text = text.replace(f"@{name}@", str(value))
    config.write_text(text)
    command = [BINARY, "-f", str(config), "-DD", "-E", "-m", str(megabytes), "-M", str(megabytes)]
    command += ["-Y", str(folder), "-P", str(folder / "pid"), "-w", str(folder)]
    return Program(command, folder / "kamailio.log", lambda log: "rocess" in log)


def _create(database: Path, module: str) -> None:
    if module == IMS:
        script = _SCHEMA[IMS]
    else:
        script = "".join(
            (_KAMCTL / f"{name}-create.sql").read_text() for name in ("standard", "dialog")
        )
    with sqlite3.connect(database) as connection:
        connection.executescript(script)
    connection.close()


def _place(folder: Path, port: int, way: str, limit: int) -> Call:
    """One call, answered and acknowledged."""
    moved = way == "moved"
    answering = Sipp(folder, "uas_modify" if moved else "uas_answer", port=free_port(), limit=limit)
    callees = [answering]
    user = f"{way}-{answering.port}"
    if way == "fork":
        callees.append(Sipp(folder, "uas_cancelled", port=free_port(), limit=limit))
        user += f"-{callees[1].port}"
    callid = f"{way}@kamailio.example.com"
    caller = Sipp(
        folder,
        "uac_modified_wait_bye" if moved else "uac_wait_bye",
        port=free_port(),
        remote=f"127.0.0.1:{port}",
        target=f"127.0.0.1:{port}",
        service=user,
        callid=callid,
        limit=limit,
    )
    call = Call(callid, caller, callees)
    try:
        _wait_for(lambda: bool(answering.got("ACK")), f"the ACK of {way}")
        if moved:
            _wait_for(lambda: bool(answering.got(200, "UPDATE")), "the answer to the UPDATE")
    except BaseException:
        for phone in (caller, *callees):
            phone.stop()
        raise
    return call


def _confirmed(database: Path, module: str) -> int:
    table, state = ("dialog_in", 4) if module == IMS else ("dialog", 4)
    connection = sqlite3.connect(database)
    try:
        query = f"SELECT count(*) FROM {table} WHERE state = ?"
        (count,) = connection.execute(query, (state,)).fetchone()
    finally:
        connection.close()
    return int(count)


def _wait_for(condition: Callable[[], bool], what: str, timeout: float = 15.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)
