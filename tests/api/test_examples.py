"""Each example of the documentation, sent to a real daemon with a call as the examples know it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from dlgmgmt.commands.examples import DIALOG
from dlgmgmt.commands.openapi import openapi_document
from dlgmgmt.commands.registry import Command
from dlgmgmt.commands.rows import COMMANDS, build_registry
from tests.sip.harness.crowd import Crowd
from tests.sip.harness.daemon import Daemon
from tests.sip.harness.ports import free_port

CALLID = str(DIALOG["call-id"])
DOCUMENT = openapi_document(build_registry())

SCRIPT = """
def request_route(msg, dlg):
    if not msg.has_totag():
        dlg.dlg_manage()
        dlg.set_dlg_profile("inbound")
        dlg.set_dlg_profile("caller", "$fU")
        dlg.set_var("src", "$si")
        msg.record_route()
    msg.t_relay()
"""


class Alice(Crowd):
    """The two phones of the examples."""

    def tags(self, callid: str) -> tuple[str, str]:
        return "a1", "b1"

    def place(self, callids: list[str], timeout: float = 30.0) -> None:
        with self._lock:
            # The same call as before: it is another one.
            self._acked.clear()
        super().place(callids, timeout)

    def _request(self, method: str, callid: str, cseq: int) -> bytes:
        return super()._request(method, callid, cseq).replace(b"sip:caller@", b"sip:alice@")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("examples")
    daemon = Daemon(
        folder,
        # A call that was ended is out of the table in a second.
        sip={"t1": 0.01, "t4": 0.1},
        ims={
            "profiles_no_value": "inbound",
            "profiles_with_value": "caller",
            "db_mode": 1,
            "db_url": f"sqlite://{folder}/calls.sqlite",
        },
        script=SCRIPT,
    ).start()
    yield daemon
    daemon.stop()


@pytest.fixture(scope="module")
def phones(daemon: Daemon) -> Iterator[Alice]:
    with Alice((free_port(), free_port()), daemon.address) as phones:
        # The first termination, bridge and ending of many: the examples ask for number 1.
        phones.place([CALLID])
        assert daemon.rpc.call("dlg.terminate_dlg", CALLID, "a1", "b1")["id"] == 1
        assert daemon.rpc.call("dlg.bridge_dlg", "sip:a@127.0.0.1:9", "sip:b@127.0.0.1:9") == {
            "id": 1
        }
        assert daemon.rpc.call("dlg.end_match", 0, "nobody@example.com")["id"] == 1
        yield phones


@pytest.fixture
def call(daemon: Daemon, phones: Alice) -> dict[str, Any]:
    """The call, set up again if it was ended."""
    if daemon.alive(CALLID) is None:
        daemon.wait_gone(CALLID, 20)
        phones.place([CALLID])
    found: dict[str, Any] = daemon.rpc.call("dlg.dlg_list", CALLID)
    return found


def given(params: Sequence[object], call: dict[str, Any]) -> list[object]:
    """The parameters of an example, with the real call's numbers for those that it shows."""
    numbers = {DIALOG[name]: call[name] for name in ("h_entry", "h_id")}
    return [numbers.get(value, value) if isinstance(value, int) else value for value in params]


@pytest.mark.parametrize("name", [name for row in COMMANDS for name in row.rpc_names])
def test_json_rpc(name: str, daemon: Daemon, call: dict[str, Any]) -> None:
    row = next(row for row in COMMANDS if name in row.rpc_names)
    result = daemon.rpc.call(name, *given(row.example.params, call))
    schema = {**DOCUMENT, "$ref": f"#/components/schemas/{row.result}"}
    problems = [error.message for error in Draft202012Validator(schema).iter_errors(result)]
    assert not problems
    assert like(result, row.example.result), f"{result} is not like {row.example.result}"
    daemon.check_log()


def like(real: Any, shown: Any) -> bool:
    """Whether a real answer has the members of the one that is shown, of the same types."""
    if isinstance(shown, dict) and shown and isinstance(real, dict):
        return real.keys() >= shown.keys() or not real.keys() & shown.keys()
    if isinstance(shown, list) and isinstance(real, list):
        return not shown or not real or like(real[0], shown[0])
    return type(real) is type(shown)


@pytest.mark.parametrize(
    "row", [row for row in COMMANDS if not row.rpc_names], ids=lambda row: row.mi_names[0]
)
def test_mi(row: Command, daemon: Daemon, call: dict[str, Any]) -> None:
    params = [str(value) for value in given(row.example.params, call)]
    assert daemon.fifo.status(row.mi_names[0], *params) == "200 OK"
