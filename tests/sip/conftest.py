"""Fixtures of the SIP tests: everything here runs the real daemon and real phones."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sip.harness.daemon import LINGER, T1, Daemon
from tests.sip.harness.phones import Phones
from tests.sip.harness.ports import HIGH, LOW, senders
from tests.sip.harness.sipp import SIPP
from tests.sip.harness.wire import Wire, findings, missing

_HERE = Path(__file__).parent
_numbers = itertools.count(1)

LOAD = frozenset({"test_churn.py", "test_concurrency.py", "test_flood.py", "test_recount.py"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without sipp this folder is skipped as one, and says so.

    What makes hundreds of calls a second comes last: the tests that `make test` runs beside these
    have ended by then, and no other program takes the processor.
    """
    items.sort(key=lambda item: item.path.name in LOAD)
    if SIPP is not None:
        return
    reason = "sipp is not installed (Debian: apt-get install sip-tester): NO SIP CALL WAS TESTED"
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session", autouse=True)
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire | str]:
    """Everything that the daemons send is captured, and judged by tshark when the session ends.

    The last test of the session then has an error that shows the messages. A text says why nothing
    can be captured here.
    """
    if why := missing():
        yield why
        return
    try:
        capture = Wire(tmp_path_factory.mktemp("wire"), LOW, HIGH)
    except AssertionError as error:
        yield f"dumpcap may not capture on loopback: {error}"
        return
    yield capture
    files = capture.end()
    found = findings(files, senders())
    assert not found, "tshark finds fault with what the daemon has sent:\n" + "\n".join(found)
    assert capture.lost() < 0.02, f"dumpcap has lost {capture.lost():.0%} of the packets"
    for path in files:
        path.unlink()


@pytest.fixture
def captures(wire: Wire | str) -> Wire:
    """The session's capture, for the tests that are about it."""
    if isinstance(wire, str):
        pytest.skip(f"NOTHING THAT THE DAEMON SENDS WAS CAPTURED: {wire}")
    return wire


@pytest.fixture(scope="session")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for the tests that need no settings of their own."""
    daemon = Daemon(
        tmp_path_factory.mktemp("shared"),
        sip={"t1": T1, "t4": 0.5, "timer_c": 60.0},
        ims={"dlg_extra_hdrs": "X-Ref44: hung-up\r\n"},
        forks=30,
    ).start()
    try:
        yield daemon
        # Whatever the tests did, no dialog may stay once its transactions have ended.
        daemon.wait_empty(LINGER)
    finally:
        daemon.stop()


@pytest.fixture
def daemon(shared_daemon: Daemon) -> Iterator[Daemon]:
    yield shared_daemon
    shared_daemon.check_log()


@pytest.fixture(scope="module")
def start_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Daemon]]:
    """Start daemons with settings of their own; they end with the module."""
    started: list[Daemon] = []

    def start(**settings: Any) -> Daemon:
        daemon = Daemon(tmp_path_factory.mktemp("own"), **settings)
        started.append(daemon.start())
        return daemon

    yield start
    errors = []
    for daemon in started:
        try:
            if daemon.process.poll() is None:
                daemon.stop()
        except AssertionError as error:
            errors.append(error)
    if errors:
        raise errors[0]


@pytest.fixture
def callid(request: pytest.FixtureRequest) -> str:
    """A Call-ID that no other test uses and that names the test."""
    name = "".join(c if c.isalnum() or c in "-._" else "-" for c in request.node.name)
    return f"{name}-{next(_numbers)}@tests"


@pytest.fixture
def phones(tmp_path: Path, callid: str) -> Iterator[Phones]:
    phones = Phones(tmp_path, callid)
    yield phones
    phones.hang_up()
