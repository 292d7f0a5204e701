"""Each command over each door that can carry it, in JSON and in msgpack: the same answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dlgmgmt.commands.errors import MgmtProtocol
from dlgmgmt.commands.rows import build_registry
from tests.sip.harness import doors
from tests.sip.harness.crowd import Crowd
from tests.sip.harness.daemon import Daemon, poll
from tests.sip.harness.doors import JSON, MSGPACK, Codec, Door
from tests.sip.harness.matrix import Outcomes, Plan, difference, outcomes
from tests.sip.harness.mi import Fifo
from tests.sip.harness.ports import free_port

REGISTRY = build_registry()
KINDS = ("unixs", "unixd", "tcp", "udp")

SCRIPT = """
def request_route(msg, dlg):
    if not msg.has_totag():
        dlg.dlg_manage()
        dlg.set_dlg_profile("all")
        dlg.dlg_setflag(3)
        dlg.set_var("who", "$fU")
        msg.record_route()
    msg.t_relay()
"""

GIVEN: dict[str, tuple[object, ...]] = {
    "get_statistics": ("dialog:", "active_dialogs"),
    "stats.get_statistics": ("dialog:", "active_dialogs"),
    "dlg_list": ("{callid}",),
    "dlg_list_ctx": ("{callid}",),
    "dlg.list_match": ("callid", "eq", "{callid}"),
    "dlg.list_match_ctx": ("callid", "eq", "{callid}"),
    "dlg_bridge": ("sip:a@127.0.0.1:9", "sip:b@127.0.0.1:9"),
    "dlg.bridge_dlg": ("sip:a@127.0.0.1:9", "sip:b@127.0.0.1:9"),
    # The whole does not fit into a datagram.
    "rpc.discover": ("dlg.kill",),
    "dlg.query": ("{callid}",),
    "dlg.var_get": ("{callid}",),
    "dlg.end_match": (1, "{callid}"),
    "dlg_query": ("callid::{callid}",),
    "dlg_end_match": ("callid::{callid}", "expect::1"),
    "sip_trace": ("check",),
    "siptrace.status": ("check",),
}


def tables(folder: Path) -> dict[str, dict[str, Any]]:
    """Every door of a daemon open."""

    def listen(stem: str, kinds: tuple[str, ...] = KINDS) -> list[str]:
        return [
            f"{kind}:{folder / stem}-{kind}"
            if kind.startswith("unix")
            else f"{kind}:127.0.0.1:{free_port()}"
            for kind in kinds
        ]

    (folder / "replies").mkdir(mode=0o770)
    return {
        "jsonrpc_fifo": {
            "fifo_name": str(folder / "json-fifo"),
            "reply_dir": str(folder / "replies"),
        },
        "jsonrpc_sock": {"listen": listen("json")},
        "binrpc": {"listen": listen("binrpc")},
        "mi_datagram": {"listen": listen("mi", ("unix", "udp"))},
    }


def _where(daemon: Daemon, table: str, kind: str) -> str:
    """Path or port of a door."""
    for text in daemon.tables[table]["listen"]:
        if text.startswith(f"{kind}:"):
            return str(text).rpartition(":")[2]
    raise AssertionError(kind)


def _json_socket(kind: str, codec: Codec) -> Callable[[Daemon, Path], Door]:
    return lambda daemon, own: doors.JsonSocket(
        kind, _where(daemon, "jsonrpc_sock", kind), codec, own
    )


def _binrpc(kind: str) -> Callable[[Daemon, Path], Door]:
    return lambda daemon, own: doors.Binrpc(kind, _where(daemon, "binrpc", kind), own)


def _json_fifo(codec: Codec) -> Callable[[Daemon, Path], Door]:
    def make(daemon: Daemon, _own: Path) -> Door:
        table = daemon.tables["jsonrpc_fifo"]
        return doors.JsonFifo(Fifo(Path(table["fifo_name"]), Path(table["reply_dir"])), codec)

    return make


DOORS: dict[str, Callable[[Daemon, Path], Door]] = {
    "http-json": lambda daemon, _: doors.Http(daemon.http_port, JSON, "/jsonrpc"),
    "http-msgpack": lambda daemon, _: doors.Http(daemon.http_port, MSGPACK),
    "websocket-json": lambda daemon, _: doors.WebSocket(daemon.http_port, JSON),
    "websocket-msgpack": lambda daemon, _: doors.WebSocket(daemon.http_port, MSGPACK),
    "fifo-json": _json_fifo(JSON),
    "fifo-msgpack": _json_fifo(MSGPACK),
    **{
        f"{kind}-{codec.name}": _json_socket(kind, codec)
        for kind in KINDS
        for codec in (JSON, MSGPACK)
    },
    **{f"binrpc-{kind}": _binrpc(kind) for kind in KINDS},
}
BINRPC = [name for name in DOORS if name.startswith("binrpc")]


@pytest.fixture(scope="module")
def daemon(start_daemon: Callable[..., Daemon], tmp_path_factory: pytest.TempPathFactory) -> Daemon:
    folder = tmp_path_factory.mktemp("m")
    return start_daemon(
        sip={"t1": 0.05, "t4": 0.1},
        ims={
            "profiles_no_value": "all",
            "db_mode": 1,
            "db_url": f"sqlite://{folder}/calls.sqlite",
        },
        # A quick machine asks more of one door than the default lets a client ask in a second.
        http={"rate": 0},
        tables=tables(folder),
        script=SCRIPT,
    )


@pytest.fixture(scope="module")
def plan(daemon: Daemon) -> Iterator[Plan]:
    number = daemon.rpc.call("dlg.bridge_dlg", *GIVEN["dlg.bridge_dlg"])["id"]
    poll(
        lambda: daemon.rpc.call("dlg.bridges", number)[0]["state"] == "failed",
        20,
        lambda: str(daemon.rpc.call("dlg.bridges", number)),
    )
    sweep = daemon.rpc.call("dlg.end_match", 0, "nobody@example.com")["id"]
    given = {
        **GIVEN,
        "dlg.bridges": (number,),
        "dlg_bridges": (number,),
        "dlg.match_status": (sweep,),
        "dlg_match_status": (sweep,),
    }
    with Crowd((free_port(), free_port()), daemon.address) as crowd:
        yield Plan(REGISTRY, crowd, daemon.rpc, given)


def ask(plan: Plan, daemon: Daemon, make: Callable[[Daemon, Path], Door], own: Path) -> Outcomes:
    door = make(daemon, own)
    try:
        plan.place(door.name)
        return outcomes(plan, door)
    finally:
        door.close()
        daemon.rpc.call("dlg2.end_all_active_dlg")
        daemon.check_log()


@pytest.fixture(scope="module")
def reference(plan: Plan, daemon: Daemon) -> Outcomes:
    """The answers over HTTP in JSON."""

    def make(daemon: Daemon, _own: Path) -> Door:
        door = doors.Http(daemon.http_port, JSON)
        door.name = "reference"
        return door

    return ask(plan, daemon, make, Path())


@pytest.mark.parametrize("name", [name for name in DOORS if name not in BINRPC])
def test_json_and_msgpack(
    name: str, plan: Plan, daemon: Daemon, reference: Outcomes, tmp_path: Path
) -> None:
    found = ask(plan, daemon, DOORS[name], tmp_path / "own")
    assert found.keys() == reference.keys()
    for step in reference:
        assert not difference(found[step], reference[step], step)


def as_binrpc(value: Any) -> Any:
    """A result of JSON as BINRPC carries it: it has no null, no truth and no empty list."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value if -(2**31) <= value < 2**31 else str(value)
    if value is None:
        return "<null string>"
    if isinstance(value, dict):
        return {key: as_binrpc(member) for key, member in value.items()}
    if isinstance(value, list):
        members = [as_binrpc(member) for member in value]
        names = [name for member in value if _named(member) for name in member]
        if len(set(names)) == len(value):
            # Objects that hold a named one each stand there by these names.
            return {name: each for member in members for name, each in member.items()}
        # A structure without members has no names either.
        return members or {}
    return value


def _named(value: object) -> bool:
    return isinstance(value, dict) and [type(member) for member in value.values()] == [dict]


def fault_of(code: int, text: str, detail: str) -> tuple[int, str]:
    """An error of JSON-RPC in the numbers of Kamailio's ctl module."""
    if -32768 <= code < -31999:
        return (400 if code == -32602 else 500), f"{text}: {detail}" if detail else text
    return code, text


@pytest.mark.parametrize("name", BINRPC)
def test_binrpc(name: str, plan: Plan, daemon: Daemon, reference: Outcomes, tmp_path: Path) -> None:
    found = ask(plan, daemon, DOORS[name], tmp_path / "own")
    assert found.pop("unknown command") == ((500, "command no.such_command not found"), "")
    assert found.keys() | {"unknown command"} == reference.keys()
    for step, answer in found.items():
        expected: Any = reference[step]
        if isinstance(expected, tuple):
            (code, text), detail = expected
            assert answer == (fault_of(code, text, detail), ""), step
        else:
            values = expected if isinstance(expected, list) else [expected]
            assert not difference(
                answer, [] if values == [{}] else list(map(as_binrpc, values)), step
            )


@pytest.fixture(scope="module")
def mi_reference(plan: Plan, daemon: Daemon) -> Outcomes:
    """The answers over the MI FIFO."""
    return ask(plan, daemon, lambda daemon, _: doors.MiFifo(daemon.fifo), Path())


def test_the_mi_fifo_refuses_what_the_registry_says(mi_reference: Outcomes, plan: Plan) -> None:
    for step in plan.refused(MgmtProtocol.MI, named=False):
        assert step.failure is not None
        error = step.command.error_text(MgmtProtocol.MI, step.failure)
        assert mi_reference[str(step)] == (error, ""), step
    unknown = (500, "command 'no.such_command' not available")
    assert mi_reference["unknown command"] == (unknown, "")


@pytest.mark.parametrize("kind", ["unix", "udp"])
def test_mi_datagrams(
    kind: str, plan: Plan, daemon: Daemon, mi_reference: Outcomes, tmp_path: Path
) -> None:
    found = ask(
        plan,
        daemon,
        lambda daemon, own: doors.MiDatagram(kind, _where(daemon, "mi_datagram", kind), own),
        tmp_path / "own",
    )
    assert found.keys() == mi_reference.keys()
    for step in mi_reference:
        assert not difference(found[step], mi_reference[step], step)
