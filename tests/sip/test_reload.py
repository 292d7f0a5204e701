"""SIGHUP: the configuration is read again, for the calls to come, and a broken one is not taken."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sip.harness.daemon import T1, Daemon, Route, poll
from tests.sip.harness.peer import Callee, response
from tests.sip.harness.phones import Call, Phones
from tests.sip.harness.ports import free_port

Start = Callable[..., Daemon]


@pytest.fixture
def start(start_daemon: Start) -> Start:
    """Starts a daemon whose transactions end soon."""

    def start(**settings: object) -> Daemon:
        return start_daemon(sip={"t1": T1, "t4": 0.5}, **settings)

    return start


def config_of(daemon: Daemon) -> Path:
    return daemon.folder / "dlgmgmt.toml"


def change(daemon: Daemon, *replacements: tuple[str, str]) -> None:
    """Rewrite the configuration file."""
    text = config_of(daemon).read_text()
    for old, new in replacements:
        assert text.count(old) == 1, f"{old!r} in\n{text}"
        text = text.replace(old, new)
    config_of(daemon).write_text(text)


def hang_up_signal(daemon: Daemon) -> str:
    """Send SIGHUP; returns what was logged until the daemon was done with it."""
    before = len(daemon.stderr())

    def logged() -> str:
        return daemon.stderr()[before:]

    daemon.process.send_signal(signal.SIGHUP)
    poll(
        lambda: ": reloaded, " in logged() or ": not reloaded, " in logged(),
        10,
        lambda: f"no end of the reload:\n{logged()}",
    )
    daemon.check_log()
    return logged()


def call(daemon: Daemon, phones: Phones, callee: Callee, user: str, callid: str) -> Call:
    """A call by a configured route that ``callee`` answers."""
    caller = phones.caller(daemon, callid=callid)
    callee.callid = callid
    caller.invite(f"sip:{user}@{daemon.hostport}")
    callee.take()
    callee.answer()
    leg = caller.ack(caller.expect(200, "INVITE"))
    callee.expect("ACK")
    return Call(caller, callee, leg, callee.leg())


def test_the_next_call_has_what_has_changed(start: Start, phones: Phones) -> None:
    ports = free_port(), free_port()
    daemon = start(
        ims={"default_timeout": 600, "dlg_extra_hdrs": "X-Old: 1\r\n", "hash_size": 64},
        routes=[Route("2", ports[:1])],
    )
    first, second = (phones.callee(daemon, port=port) for port in ports)
    old = call(daemon, phones, first, "21", f"old-{phones.callid}")

    change(
        daemon,
        ("default_timeout = 600", "default_timeout = 2"),
        ("X-Old: 1", "X-New: 2"),
        ("hash_size = 64", "hash_size = 128"),
        (f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}"),
        ("[sip]\n", '[sip]\nserver_header = "renamed"\n'),
    )
    log = hang_up_signal(daemon)
    for line in (
        "changed ims_dialog.default_timeout: 600 -> 2\n",
        "changed ims_dialog.dlg_extra_hdrs: 'X-Old: 1\\r\\n' -> 'X-New: 2\\r\\n'\n",
        "changed sip.server_header: 'dlgmgmt' -> 'renamed'\n",
        "changed sip.route: '2*@* to sip:127.0.0.1:{} parallel' -> "
        "'2*@* to sip:127.0.0.1:{} parallel'\n".format(*ports),
        "not changed before a restart: ims_dialog.hash_size: 64 -> 128\n",
        f"{config_of(daemon)}: reloaded, parameters changed: 4\n",
    ):
        assert line in log

    new = call(daemon, phones, second, "21", f"new-{phones.callid}")
    for phone in (new.caller, new.callee):
        bye = phone.expect("BYE")
        assert 'text="dialog_timeout"' in bye.get("Reason")
        assert (bye.get("X-New"), bye.all("X-Old")) == ("2", [])
        assert bye.get("User-Agent") == "renamed"
        phone.send(response(bye, 200))
    daemon.wait_ended(new.caller.callid)

    # The call in progress has the time that it was answered with.
    assert int(daemon.wait_state(old.caller.callid, 4).fields["timeout_left"]) > 500
    old.hang_up()
    daemon.wait_ended(old.caller.callid)


def test_a_broken_file_changes_nothing(start: Start, phones: Phones) -> None:
    port = free_port()
    daemon = start(ims={"default_timeout": 600}, routes=[Route("2", (port,))])
    good = config_of(daemon).read_text()
    change(
        daemon,
        ("default_timeout = 600", 'default_timeout = 2\nka_timer = "often"\ndlg_flags = 3'),
        (f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}"),
    )
    log = hang_up_signal(daemon)
    line = config_of(daemon).read_text().split("\n").index('ka_timer = "often"') + 1
    name = config_of(daemon)
    assert f"{name}:{line}: ims_dialog.ka_timer = 'often' is refused; allowed: an integer" in log
    assert f"{name}:{line + 1}: unknown parameter ims_dialog.dlg_flags = 3 (did you mean" in log
    assert f"{name}: not reloaded, nothing has changed\n" in log
    assert "changed ims_dialog" not in log

    found = call(daemon, phones, phones.callee(daemon, port=port), "21", phones.callid)
    assert int(daemon.wait_state(phones.callid, 4).fields["timeout_left"]) > 500
    found.hang_up()

    # The file is put right: the daemon takes it.
    config_of(daemon).write_text(good.replace("default_timeout = 600", "default_timeout = 700"))
    assert "changed ims_dialog.default_timeout: 600 -> 700\n" in hang_up_signal(daemon)


ANSWER = """
def request_route(msg, dlg):
    if msg.is_method("INVITE"):
        dlg.set_dlg_profile("{profile}")
        msg.send_reply({code}, "From the script")
"""


def test_the_script_is_loaded_again_unless_it_is_broken(start: Start, phones: Phones) -> None:
    daemon = start(ims={"profiles_no_value": "a"}, script=ANSWER.format(profile="a", code=480))

    def answered(number: int) -> int:
        caller = phones.caller(daemon, callid=f"{number}-{phones.callid}")
        caller.invite(f"sip:bob@127.0.0.1:{caller.port}")
        final = caller.expect_any(480, 486, 500, 603)
        caller.ack_failure(final)
        return final.status

    assert answered(1) == 480
    change(daemon, ('profiles_no_value = "a"', 'profiles_no_value = "b"'))
    daemon.script_path.write_text(ANSWER.format(profile="b", code=486))
    log = hang_up_signal(daemon)
    assert "changed ims_dialog.profiles_no_value: 'a' -> 'a; b'\n" in log
    assert "not changed before a restart: ims_dialog.profiles_no_value: 'a; b' -> 'b'\n" in log
    assert answered(2) == 486

    daemon.script_path.write_text("def request_route(msg, dlg):\n    return (\n")
    change(daemon, ("[ims_dialog]\n", "[ims_dialog]\ndefault_timeout = 5\n"))
    log = hang_up_signal(daemon)
    assert f"{daemon.script_path}:2: syntax error" in log
    assert "nothing has changed" in log
    assert "changed ims_dialog.default_timeout" not in log
    assert answered(3) == 486

    daemon.script_path.write_text(ANSWER.format(profile="b", code=603))
    assert "changed ims_dialog.default_timeout: 43200 -> 5\n" in hang_up_signal(daemon)
    assert answered(4) == 603
