"""The commands about the daemon itself: what stock clients ask first, and counters."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from dlgmgmt.commands.baselines import GAUGES
from dlgmgmt.commands.errors import CommandError, Failure, MgmtProtocol
from dlgmgmt.commands.openrpc import openrpc_document
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.commands.system import ControlSocket, SipSocket
from dlgmgmt.interfaces import mi_render, rpc_render
from mi_fifo import MiReply, render_datagram
from tests.unit.commands.harness import ME, House

MI, RPC = MgmtProtocol.MI, MgmtProtocol.RPC


@pytest.fixture
def house() -> House:
    return House()


def ask(house: House, name: str, *values: object) -> object:
    arguments = [(None, value) for value in values]
    return rpc_render.render(house.dispatcher.call(RPC, name, arguments, ME))


def refused(house: House, name: str, *values: object) -> tuple[int, str]:
    with pytest.raises(CommandError) as caught:
        ask(house, name, *values)
    return caught.value.code, caught.value.text


def mi_lines(house: House, name: str, *values: str) -> list[str]:
    result = house.dispatcher.call(MI, name, [(None, value) for value in values], ME)
    reply = MiReply(200, "OK", mi_render.render(result))
    text = b"".join(render_datagram(reply)).decode()
    return text.splitlines()[1:]


def test_echo_answers_texts_as_the_real_server_does(house: House) -> None:
    assert ask(house, "core.echo", "abc", 5) == ["abc", "5"]
    assert ask(house, "core.echo", 5, "5", 7, "abc") == ["5", "5", "7", "abc"]
    assert ask(house, "core.echo") == []


def test_the_threads_stand_where_processes_are_expected(house: House) -> None:
    done = threading.Event()
    worker = threading.Thread(target=done.wait, name="script-3")
    worker.start()
    try:
        listed = ask(house, "core.psx")
        ranked = ask(house, "core.psa")
        pairs = ask(house, "core.ps")
        lines = mi_lines(house, "ps")
    finally:
        done.set()
        worker.join()
    assert isinstance(listed, list)
    assert isinstance(ranked, list)
    assert isinstance(pairs, list)
    main = {"IDX": 0, "PID": os.getpid(), "DSC": "management: commands and their interfaces"}
    assert listed[0] == main
    assert [each["IDX"] for each in listed] == list(range(len(listed)))
    script = next(each for each in listed if each["PID"] == worker.native_id)
    assert script["DSC"] == "routing script worker 3"
    assert ranked[0] == {
        "index": 0,
        "pid": os.getpid(),
        "status": 1,
        "rank": 0,
        "description": main["DSC"],
    }
    assert pairs[:2] == [os.getpid(), main["DSC"]]
    assert len(pairs) == 2 * len(listed)
    assert lines[0] == f"Process::  ID=0 PID={os.getpid()} Type={main['DSC']}"
    assert len(lines) == len(listed)


def test_where_and_how_the_daemon_was_started(house: House) -> None:
    assert ask(house, "core.arg") == sys.argv
    assert ask(house, "core.pwd") == [str(Path.cwd())]
    assert mi_lines(house, "pwd") == [f"WD:: {Path.cwd()}"]
    assert mi_lines(house, "arg") == sys.argv
    info = ask(house, "core.info")
    assert isinstance(info, dict)
    assert list(info) == ["version", "id", "compiler", "compiled", "flags"]
    assert info["version"] == "dlgmgmt 0.1.0"
    modules = ask(house, "core.modules")
    assert isinstance(modules, list)
    assert {"ims_dialog", "dialog"} <= set(modules)


def test_sockets_are_listed_as_corex_does(house: House) -> None:
    house.context.system.sip_sockets = lambda: [SipSocket("udp", "192.0.2.1", 5060)]
    assert ask(house, "corex.list_sockets") == [
        {
            "PROTO": "udp",
            "NAME": "192.0.2.1",
            "ADDRLIST": {"ADDR": "192.0.2.1"},
            "PORT": "5060",
            "MCAST": "no",
            "MHOMED": "no",
            "VIRTUAL": "no",
            "SOCKNAME": "-",
            "ADVERTISE": "-",
        }
    ]


def test_control_sockets_are_rows_of_texts_for_kamcmd(house: House) -> None:
    system = house.context.system
    system.control_sockets = lambda: [
        ControlSocket("unixs", "/run/ctl", "", 0),
        ControlSocket("unixd", "/run/ctld", "", 0),
        ControlSocket("tcp", "", "127.0.0.1", 2049),
    ]
    system.control_clients = lambda: [
        ControlSocket("unixs", "/run/ctl", "", 0, ("", 0)),
        ControlSocket("tcp", "", "127.0.0.1", 2049, ("127.0.0.9", 57876)),
    ]
    listening = ["binrpc", "unix_stream", "/run/ctl", "", "binrpc", "unix_dgram", "/run/ctld", ""]
    assert ask(house, "ctl.listen") == [*listening, "binrpc", "tcp", "127.0.0.1", "2049"]
    assert ask(house, "ctl.who") == [
        *("binrpc", "unix_stream", "<anonymous unix socket>", "", "/run/ctl", ""),
        *("binrpc", "tcp", "127.0.0.9", "57876", "127.0.0.1", "2049"),
    ]


def test_parameters_are_listed_by_their_tables(house: House) -> None:
    house.context.system.parameters = (("ims_dialog", "hash_size"), ("sip.tls", "minimum"))
    assert ask(house, "cfg.list") == ["ims_dialog: hash_size", "sip.tls: minimum"]


def test_help_says_what_a_command_does_and_takes(house: House) -> None:
    assert ask(house, "system.methodHelp", "dlg.list") == "Every dialog."
    text = ask(house, "system.methodHelp", "dlg.end_dlg")
    assert isinstance(text, str)
    assert text.splitlines()[1] == "h_entry: number of the dialog's hash entry"
    assert refused(house, "system.methodHelp", "nope.nope") == (400, "command not found")
    assert refused(house, "system.methodHelp") == (400, "Method Name Expected")
    every = house.dispatcher.registry.names(RPC)
    assert all(ask(house, "system.methodHelp", name) for name in every)


def test_signatures_are_those_for_each_number_of_parameters(house: House) -> None:
    assert ask(house, "system.methodSignature", "core.version") == [["string"]]
    assert ask(house, "system.methodSignature", "dlg.is_alive") == [["string"] * 4]
    assert ask(house, "system.methodSignature", "dlg.termination") == [["struct", "int"]]
    assert ask(house, "system.methodSignature", "dlg.briefing") == [["array"], ["array", "string"]]
    assert refused(house, "system.methodSignature", "nope") == (400, "command not found")


def test_the_description_is_that_of_the_file(house: House) -> None:
    assert ask(house, "rpc.discover") == openrpc_document(build_registry())


def test_the_description_of_some_commands_has_what_it_refers_to(house: House) -> None:
    document = ask(house, "rpc.discover", "dlg.end_match")
    assert isinstance(document, dict)
    assert [method["name"] for method in document["methods"]] == ["dlg.end_match"]
    assert set(document["components"]["schemas"]) == {"Sweep", "SweptDialog", "SideOutcome"}
    document = ask(house, "rpc.discover", "cnt")
    assert isinstance(document, dict)
    names = [method["name"] for method in document["methods"]]
    assert names == ["cnt.grps_list", "cnt.var_list"]
    assert refused(house, "rpc.discover", "nope") == (400, "command not found")


# -- counters --------------------------------------------------------------------------------------


def counted() -> tuple[House, dict[str, int]]:
    counts = {"requests": 7, "connections": 2}
    house = House(statistics={"binrpc": lambda: tuple(counts.items())})
    house.call("a@x")
    house.terminator.by_id(house.invite("b@x").entry.index, _id(house, "b@x"), reason="x")
    return house, counts


def _id(house: House, callid: str) -> int:
    [view] = house.table.find(callid)
    return view.h_id


def test_counters_are_fetched_as_an_object() -> None:
    house, _ = counted()
    texts = {
        "dialog.active_dialogs": "1",
        "dialog.early_dialogs": "0",
        "dialog.expired_dialogs": "0",
        "dialog.failed_dialogs": "1",
        "dialog.processed_dialogs": "2",
    }
    assert ask(house, "stats.fetch", "dialog:") == texts
    assert ask(house, "stats.fetchn", "dialog:") == {key: int(it) for key, it in texts.items()}
    assert ask(house, "stats.fetch", "nope") == {}
    assert refused(house, "stats.fetch") == (400, "Please provide which stats to retrieve")
    assert ask(house, "cnt.grps_list") == ["binrpc", "dialog", "dialog_ng"]
    assert ask(house, "cnt.var_list", "binrpc") == ["requests", "connections"]
    assert ask(house, "cnt.var_list", "nope") == []


def test_a_reset_begins_at_0_where_it_is_shown_and_nowhere_else() -> None:
    house, counts = counted()
    assert ask(house, "stats.reset_statistics", "processed_dialogs", "binrpc:") == {}
    assert ask(house, "stats.fetchn", "dialog:", "dialog_ng:processed_dialogs") == {
        "dialog.active_dialogs": 1,
        "dialog.early_dialogs": 0,
        "dialog.expired_dialogs": 0,
        "dialog.failed_dialogs": 1,
        "dialog.processed_dialogs": 0,
        "dialog_ng.processed_dialogs": 0,
    }
    assert house.table.counts().processed == 2
    house.call("c@x")
    counts["requests"] += 1
    # How many there are is no count of what has happened.
    assert ask(house, "stats.fetchn", "binrpc:", "processed") == {
        "binrpc.requests": 1,
        "binrpc.connections": 2,
        "dialog_ng.processed": 1,
    }
    assert ask(house, "stats.clear_statistics", "all") == [
        "binrpc:requests = 1",
        "dialog:expired_dialogs = 0",
        "dialog:failed_dialogs = 1",
        "dialog:processed_dialogs = 1",
        "dialog_ng:expired = 0",
        "dialog_ng:processed = 1",
    ]
    assert ask(house, "stats.fetchn", "processed_dialogs", "requests") == {
        "dialog.processed_dialogs": 0,
        "binrpc.requests": 0,
    }


def test_a_counter_that_begins_anew_by_itself_is_shown_as_it_is() -> None:
    house, counts = counted()
    ask(house, "stats.reset_statistics", "requests")
    counts["requests"] = 3
    assert ask(house, "stats.fetchn", "requests") == {"binrpc.requests": 3}


def test_a_reset_over_mi_and_of_nothing() -> None:
    house, _ = counted()
    assert mi_lines(house, "reset_statistics", "processed") == []
    assert mi_lines(house, "get_statistics", "dialog_ng:processed_dialogs") == [
        "dialog_ng:processed_dialogs = 0"
    ]
    assert mi_lines(house, "clear_statistics", "failed_dialogs") == ["dialog:failed_dialogs = 1"]
    assert refused(house, "stats.reset_statistics", "nope:") == (404, "Statistics Not Found")
    assert refused(house, "stats.reset_statistics") == (400, "Please provide stats name")


def test_resetting_is_not_for_viewers_and_the_daemon_cannot_be_stopped(house: House) -> None:
    registry = house.dispatcher.registry
    for name in ("stats.reset_statistics", "stats.clear_statistics"):
        command = registry.lookup(RPC, name)
        assert command is not None
        assert command.permission == "operate"
    with pytest.raises(CommandError) as caught:
        house.dispatcher.call(MI, "kill", [], ME)
    assert caught.value.failure is Failure.UNKNOWN_COMMAND
    assert registry.lookup(RPC, "core.kill") is None
    assert "active_dialogs" in GAUGES
