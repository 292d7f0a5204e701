from __future__ import annotations

import dataclasses
import logging

import pytest

from dlgmgmt.commands.dispatcher import Caller, Dispatcher
from dlgmgmt.commands.errors import CommandError, Failure, MgmtProtocol
from dlgmgmt.commands.registry import Call, Registry
from dlgmgmt.commands.results import (
    ActiveStats,
    DialogListing,
    DialogMatches,
    Result,
    TerminationOrdered,
    TerminationStatus,
)
from dlgmgmt.commands.results_system import (
    CommandNames,
    Statistic,
    Statistics,
    Uptime,
    Version,
)
from dlgmgmt.commands.rows import COMMANDS, build_registry
from tests.unit.commands.harness import ME, NOW, House

MI, RPC = MgmtProtocol.MI, MgmtProtocol.RPC


def run(
    house: House, protocol: MgmtProtocol, name: str, *values: object, **named: object
) -> Result:
    arguments = [(None, value) for value in values] + list(named.items())
    return house.dispatcher.call(protocol, name, arguments, ME)


def refusal(
    house: House, protocol: MgmtProtocol, name: str, *values: object, **named: object
) -> tuple[int, str]:
    with pytest.raises(CommandError) as caught:
        run(house, protocol, name, *values, **named)
    return caught.value.code, caught.value.text


def matches(result: Result) -> list[str]:
    assert isinstance(result, DialogMatches)
    return [view.callid for view in result.views]


@pytest.fixture
def house() -> House:
    return House()


# -- listing and looking up ---------------------------------------------------------------------


def test_a_listing_holds_every_dialog_and_is_read_from_the_table_when_it_is_consumed(
    house: House,
) -> None:
    house.call("a@x")
    for protocol, name in ((MI, "dlg_list"), (RPC, "dlg.list")):
        result = run(house, protocol, name)
        assert isinstance(result, DialogListing)
        late = house.invite(f"late-{name}@x")
        callids = {view.callid for batch in result.batches for view in batch}
        assert {"a@x", late.callid} <= callids
        assert result.now == int(NOW)


@pytest.mark.parametrize(("protocol", "name"), [(MI, "dlg_list"), (RPC, "dlg.dlg_list")])
def test_a_call_id_finds_every_caller_and_a_from_tag_narrows_it(
    house: House, protocol: MgmtProtocol, name: str
) -> None:
    house.call("a@x", "one")
    house.call("a@x", "two")
    assert matches(run(house, protocol, name, "a@x")) == ["a@x", "a@x"]
    found = run(house, protocol, name, "a@x", "two")
    assert isinstance(found, DialogMatches)
    assert [view.from_tag for view in found.views] == ["two"]
    assert matches(run(house, protocol, name, callid="a@x", from_tag="one")) == ["a@x"]


def test_what_is_not_found_is_an_error_in_mi_and_an_empty_result_in_rpc(house: House) -> None:
    assert refusal(house, MI, "dlg_list", "nope@x") == (404, "Nu such dialog")
    assert matches(run(house, RPC, "dlg.dlg_list", "nope@x")) == []
    assert matches(run(house, RPC, "dlg.dlg_list", "")) == []


def test_mi_dlg_list_parameters_that_do_not_fit(house: House) -> None:
    too_many = (400, "Too few or too many arguments")
    assert refusal(house, MI, "dlg_list", "a", "b", "c") == too_many
    assert refusal(house, MI, "dlg_list", callid="") == (400, "Bad parameter")
    assert refusal(house, MI, "dlg_list", from_tag="x") == (400, "Bad parameter")


def test_mi_names_are_honoured_when_known_and_only_labels_when_not(house: House) -> None:
    house.call("a@x", "one")
    assert matches(run(house, MI, "dlg_list", from_tag="one", callid="a@x")) == ["a@x"]
    assert matches(run(house, MI, "dlg_list", first="a@x", second="one")) == ["a@x"]
    twice = [("callid", "a@x"), ("callid", "a@x")]
    with pytest.raises(CommandError) as caught:
        house.dispatcher.call(MI, "dlg_list", twice, ME)
    assert caught.value.code == 400


# -- ending dialogs -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "name"), [(MI, "dlg_terminate_dlg"), (RPC, "dlg.terminate_dlg")]
)
def test_terminate_by_tags_orders_both_sides_with_the_operators_reason_and_headers(
    house: House, protocol: MgmtProtocol, name: str
) -> None:
    house.call("a@x", "one")
    result = run(house, protocol, name, "a@x", "one", "uas5190-1", "X-Op: alice")
    assert isinstance(result, TerminationOrdered)
    assert [(side.side, side.method) for side in result.record.sides] == [
        ("caller", "BYE"),
        ("callee", "BYE"),
    ]
    [order] = house.terminator.ordered
    assert order.view.reason == "mi_terminated"
    assert order.extra_headers == "X-Op: alice\r\n"


def test_terminate_errors_of_mi(house: House) -> None:
    house.call("a@x", "one")
    name = "dlg_terminate_dlg"
    few = (400, "Too few or too many arguments")
    missing = (404, "Requested Dialog not found")
    assert refusal(house, MI, name) == few
    assert refusal(house, MI, name, "a@x") == few
    assert refusal(house, MI, name, "a@x", "one") == few
    assert refusal(house, MI, name, "nope", "one", "uas5190-1") == missing
    assert refusal(house, MI, name, "a@x", "bad", "uas5190-1") == missing
    assert refusal(house, MI, name, "a@x", "one", "bad") == missing
    assert refusal(house, MI, name, "a@x", "one", totag="") == (400, "Bad parameter")
    broken = "no header line"
    assert refusal(house, MI, name, "a@x", "one", "uas5190-1", broken) == (400, "Bad parameter")
    assert house.terminator.ordered == []
    [view] = house.table.find("a@x")
    assert view.state == 4


def test_terminate_ignores_what_follows_the_headers_in_mi_alone(house: House) -> None:
    house.call("a@x", "one")
    arguments = ("a@x", "one", "uas5190-1", "X-Op: alice", "fifth", "0", "seventh")
    assert refusal(house, RPC, "dlg.terminate_dlg", *arguments) == (-32602, "Invalid params")
    result = run(house, MI, "dlg_terminate_dlg", *arguments)
    assert isinstance(result, TerminationOrdered)
    assert result.record.reason == "mi_terminated"


def test_terminate_errors_of_rpc(house: House) -> None:
    house.call("a@x", "one")
    name = "dlg.terminate_dlg"
    few = (400, "Need a Callid ,from tag ,to tag")
    assert refusal(house, RPC, name) == few
    assert refusal(house, RPC, name, "a@x", "one") == few
    assert refusal(house, RPC, name, callid="a@x") == few
    unknown = (500, "Couldnt find callid in dialog")
    assert refusal(house, RPC, name, "x", "y", "z") == unknown
    wrong = (404, "Requested Dialog not found")
    assert refusal(house, RPC, name, "a@x", "one", "bad") == wrong
    assert refusal(house, RPC, name, "a@x", "one", None) == (-32602, "Invalid params")
    assert refusal(house, RPC, name, "a@x", "one", bogus="x")[0] == -32602
    assert house.terminator.ordered == []


def test_a_dialog_is_ended_once(house: House) -> None:
    dialog = house.call("a@x", "one")
    house.table.hold(dialog)
    run(house, MI, "dlg_terminate_dlg", "a@x", "one", "uas5190-1")
    again = refusal(house, MI, "dlg_terminate_dlg", "a@x", "one", "uas5190-1")
    assert again == (404, "Requested Dialog not found")
    by_id = refusal(house, RPC, "dlg.end_dlg", dialog.entry.index, dialog.h_id)
    assert by_id == (404, "Dialog not found")


@pytest.mark.parametrize("as_text", [False, True])
def test_end_dlg_takes_numbers_and_digits(house: House, as_text: bool) -> None:  # noqa: FBT001
    dialog = house.call("a@x")
    ids: list[object] = [dialog.entry.index, dialog.h_id]
    if as_text:
        ids = [str(number) for number in ids]
    result = run(house, RPC, "dlg.end_dlg", *ids, "X-Reason: ref56\r\nX-Two: 2\r\n")
    assert isinstance(result, TerminationOrdered)
    assert house.terminator.ordered[0].extra_headers == "X-Reason: ref56\r\nX-Two: 2\r\n"


@pytest.mark.parametrize(
    "values",
    [
        (),
        (1,),
        (1, 2, "X: y", "why", 0, "more"),
        (1, 2, "X: y", "why", 33),
        (1, 2, "X: y", ""),
        ("0x1", "2"),
        (1, 2.0),
        (True, 1),
        (None, 1),
        ([1], 1),
        ("", 1),
    ],
)
def test_end_dlg_has_one_answer_to_bad_parameters(house: House, values: tuple[object, ...]) -> None:
    assert refusal(house, RPC, "dlg.end_dlg", *values) == (500, "Invalid parameters")


@pytest.mark.parametrize(
    "values", [(1, 2), ("1", "2"), (-1, 1), (999999, 1), (2**63, 1), (10**30, 1), (1, -(2**70))]
)
def test_end_dlg_of_an_unknown_dialog(house: House, values: tuple[object, ...]) -> None:
    assert refusal(house, RPC, "dlg.end_dlg", *values) == (404, "Dialog not found")


def test_a_termination_can_be_asked_for_later(house: House) -> None:
    house.call("a@x", "one")
    ordered = run(house, RPC, "dlg.terminate_dlg", "a@x", "one", "uas5190-1")
    assert isinstance(ordered, TerminationOrdered)
    status = run(house, RPC, "dlg.termination", ordered.record.id)
    assert isinstance(status, TerminationStatus)
    assert status.record == ordered.record
    assert refusal(house, RPC, "dlg.termination", 99) == (404, "Termination not found")


# -- counters and the daemon itself -------------------------------------------------------------


def test_stats_active_counts_live_dialogs_by_phase(house: House) -> None:
    house.invite("1@x")
    house.reply(house.invite("2@x"), 180)
    house.reply(house.invite("3@x"), 200)
    house.call("4@x")
    both = house.call("5@x")
    house.reply(both, 200, "another", 1)
    assert run(house, RPC, "dlg.stats_active") == ActiveStats(1, 1, 1, 2, 5)


def test_statistics_by_group_name_and_all() -> None:
    house = House(statistics={"sip": lambda: [("requests", 7)]})
    house.call("4@x")
    house.reply(house.invite("2@x"), 180)

    def lines(*names: str) -> list[str]:
        result = run(house, MI, "get_statistics", *names)
        assert isinstance(result, Statistics)
        return [f"{row.group}:{row.name} = {row.value}" for row in result.rows]

    ng = ["active = 1", "early = 1", "expired = 0", "processed = 2"]
    assert lines("dialog_ng:") == [f"dialog_ng:{line}" for line in ng]
    dialog = [
        "dialog:active_dialogs = 1",
        "dialog:early_dialogs = 1",
        "dialog:expired_dialogs = 0",
        "dialog:failed_dialogs = 0",
        "dialog:processed_dialogs = 2",
    ]
    assert lines("dialog:") == dialog
    assert lines("active") == ["dialog_ng:active = 1"]
    assert lines("requests", "nope", "early_dialogs") == [
        "sip:requests = 7",
        "dialog:early_dialogs = 1",
    ]
    everything = lines("all")
    assert everything[:5] == dialog
    assert everything[-1] == "sip:requests = 7"


def test_statistics_of_the_manual_answer_under_both_module_names(house: House) -> None:
    house.call("4@x")
    house.reply(house.invite("2@x"), 180)
    failed = house.invite("3@x")
    house.tracker.invite_failed(failed, 486)
    values = {
        "active_dialogs": 1,
        "early_dialogs": 1,
        "expired_dialogs": 0,
        "failed_dialogs": 1,
        "processed_dialogs": 3,
    }
    for name, value in values.items():
        for group in ("dialog", "dialog_ng"):
            result = run(house, MI, "get_statistics", f"{group}:{name}")
            assert result == Statistics((Statistic(group, name, value),))


def test_without_enable_stats_the_groups_of_dialogs_are_not_there() -> None:
    house = House(statistics={"sip": lambda: [("requests", 7)]}, enable_stats=False)
    house.call("4@x")
    for name in ("dialog:", "dialog_ng:", "active_dialogs", "active", "dialog_ng:early_dialogs"):
        assert refusal(house, MI, "get_statistics", name) == (404, "Statistics Not Found")
    everything = run(house, MI, "get_statistics", "all", "active_dialogs")
    assert everything == Statistics((Statistic("sip", "requests", 7),))


def test_statistics_that_do_not_exist(house: House) -> None:
    for name in ("nope", "nope:", "dialog_ng:active", ":"):
        assert refusal(house, MI, "get_statistics", name) == (404, "Statistics Not Found")
    few = (400, "Too few or too many arguments")
    assert refusal(house, MI, "get_statistics") == few


def test_the_daemon_says_what_it_is_since_when_and_what_it_can(house: House) -> None:
    for protocol, name in ((MI, "uptime"), (RPC, "core.uptime")):
        assert run(house, protocol, name) == Uptime(int(NOW), int(NOW - 220))
    version = run(house, MI, "version")
    assert isinstance(version, Version)
    assert (version.program, version.version) == ("dlgmgmt", "0.1.0")
    which = run(house, MI, "which")
    assert isinstance(which, CommandNames)
    assert {"dlg_list", "dlg_terminate_dlg", "get_statistics", "version"} <= set(which.names)
    assert not any(name.startswith("dlg.") for name in which.names)


# -- the dispatcher itself ----------------------------------------------------------------------


def test_unknown_commands_and_names_of_the_other_protocol(house: House) -> None:
    assert refusal(house, MI, "DLG_LIST") == (500, "command 'DLG_LIST' not available")
    assert refusal(house, MI, "dlg.list") == (500, "command 'dlg.list' not available")
    assert refusal(house, MI, "{x}%s") == (500, "command '{x}%s' not available")
    assert refusal(house, RPC, "dlg_list") == (-32601, "Method not found")


def test_a_viewer_may_list_but_not_end(house: House) -> None:
    house.call("a@x", "one")
    viewer = Caller("viewer", frozenset({"view"}))
    house.dispatcher.call(MI, "dlg_list", [], viewer)
    arguments = [(None, "a@x"), (None, "one"), (None, "uas5190-1")]
    with pytest.raises(CommandError) as caught:
        house.dispatcher.call(MI, "dlg_terminate_dlg", arguments, viewer)
    assert (caught.value.code, caught.value.text) == (403, "Forbidden")
    assert house.terminator.ordered == []


def test_a_broken_handler_is_logged_once_and_its_text_kept_from_the_client(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(call: Call) -> Result:
        raise RuntimeError("secret path")

    rows = [dataclasses.replace(row, handler=broken) for row in COMMANDS]
    dispatcher = Dispatcher(Registry(rows), house.context)
    for protocol, name, answer in (
        (MI, "dlg_list", (500, "command 'dlg_list' failed")),
        (RPC, "dlg.list", (-32603, "Internal error")),
    ):
        caplog.clear()
        with pytest.raises(CommandError) as caught:
            dispatcher.call(protocol, name, [], ME)
        assert (caught.value.code, caught.value.text) == answer
        assert caught.value.detail == ""
        assert caught.value.failure is Failure.INTERNAL
        assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_refusal_is_logged_once_without_control_characters(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    refusal(house, RPC, "dlg.dlg_list", **{"evil\x1b[2J\n": "x"})
    refusal(house, MI, "evil\x1b[2J\n")
    assert len(caplog.records) == 2
    assert all(record.getMessage().isprintable() for record in caplog.records)


@pytest.mark.parametrize(
    "value", [None, True, 1.5, float("nan"), b"x", [1], {"a": 1}, 10**30, "\ud800"]
)
def test_a_text_parameter_of_another_type_is_refused_with_its_name(
    house: House, value: object
) -> None:
    with pytest.raises(CommandError) as caught:
        run(house, RPC, "dlg.dlg_list", value)
    assert caught.value.code == -32602
    assert "callid" in caught.value.detail


def test_digits_sent_as_a_number_are_a_call_id_too(house: House) -> None:
    house.call("12345")
    assert matches(run(house, RPC, "dlg.dlg_list", 12345)) == ["12345"]


def test_a_call_id_that_is_no_utf8_is_found_by_its_escaped_bytes(house: House) -> None:
    callid = b"caf\xe9@x".decode("utf-8", "surrogateescape")
    house.call(callid)
    assert matches(run(house, MI, "dlg_list", callid)) == [callid]


def test_two_commands_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="dlg_list"):
        Registry([*COMMANDS, next(row for row in COMMANDS if "dlg_list" in row.mi_names)])


def test_every_row_is_reachable_and_documented() -> None:
    registry = build_registry()
    for row in registry.commands:
        assert row.mi_names or row.rpc_names
        assert row.doc.endswith(".")
        assert all(param.doc for param in row.params)
        if row.mi_names:
            # MI goes by places alone.
            required = [param.required for param in row.params]
            assert required == sorted(required, reverse=True)
