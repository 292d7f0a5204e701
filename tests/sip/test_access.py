"""Roles on every door, the status of every refusal, and the audit log, with a real daemon."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dlgmgmt.commands.errors import MgmtProtocol
from dlgmgmt.commands.registry import Command
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.interfaces.tokens import line_for, new_token
from tests.sip.harness import doors
from tests.sip.harness.certs import Authority
from tests.sip.harness.crowd import Crowd
from tests.sip.harness.daemon import ROOT, Daemon, poll
from tests.sip.harness.doors import JSON, Answer, Door, JsonRpcDoor, own_path
from tests.sip.harness.mi import Fifo
from tests.sip.harness.phones import Phones
from tests.sip.harness.ports import free_port

REGISTRY = build_registry()
TOKENS = {role: new_token() for role in ("viewer", "operator", "admin")}
STAYS = "stays@access"


class WithToken(JsonRpcDoor):
    """A door on which each request bears a token."""

    def __init__(self, door: JsonRpcDoor, token: str) -> None:
        super().__init__(door.name, door.codec)
        self._door, self._token = door, token

    def exchange(self, request: dict[str, Any]) -> bytes:
        return self._door.exchange({**request, "token": self._token})

    def close(self) -> None:
        self._door.close()


@dataclass
class Site:
    """The daemon, and its doors by name."""

    daemon: Daemon
    folder: Path

    def where(self, table: str, kind: str) -> str:
        [found] = [text for text in self.daemon.tables[table]["listen"] if text.startswith(kind)]
        return str(found).rpartition(":")[2]

    def open(self, name: str, token: str | None) -> Door:
        """token: shown on doors that have a place for it."""
        if name == "mi-fifo":
            return doors.MiFifo(self.daemon.fifo)
        table, kind = name.split("/") if "/" in name else (name, "")
        if table == "mi_datagram":
            sort = "unixd" if kind == "unix" else kind
            return doors.MiDatagram(sort, self.where(table, kind), own_path(self.folder))
        if table == "binrpc":
            return doors.Binrpc(kind, self.where(table, kind), own_path(self.folder))
        door = self._json_door(table, kind, token)
        return door if token is None or table == "http" else WithToken(door, token)

    def _json_door(self, table: str, kind: str, token: str | None) -> JsonRpcDoor:
        if table == "http":
            return Http(self.daemon.http_port, token)
        if table == "websocket":
            return doors.WebSocket(self.daemon.http_port, JSON)
        if table == "jsonrpc_fifo":
            settings = self.daemon.tables[table]
            return doors.JsonFifo(
                Fifo(Path(settings["fifo_name"]), Path(settings["reply_dir"])), JSON
            )
        return doors.JsonSocket(kind, self.where(table, kind), JSON, own_path(self.folder))

    # -- the audit log -----------------------------------------------------------------------------

    @property
    def log(self) -> Path:
        return Path(self.daemon.tables["access"]["audit_log"])

    def written(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def new_lines(self, before: int, count: int) -> list[dict[str, Any]]:
        """What was written after the first ``before`` lines, when there are ``count`` of them."""
        poll(
            lambda: len(self.written()) >= before + count,
            10,
            lambda: f"{len(self.written()) - before} lines of {count}",
        )
        return self.written()[before:]


class Http(JsonRpcDoor):
    """POST with a token in its header."""

    def __init__(self, port: int, token: str | None) -> None:
        super().__init__("http", JSON)
        self._port = port
        self._headers = {"Content-Type": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    def exchange(self, request: dict[str, Any]) -> bytes:
        status, _, body = post(self._port, request, self._headers)
        if status == 401:
            error = {"code": 401, "message": "Unauthorized"}
            return json.dumps({"jsonrpc": "2.0", "error": error, "id": request["id"]}).encode()
        assert status == 200, body
        return body


def post(
    port: int, request: dict[str, Any], headers: dict[str, str], path: str = "/RPC"
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", path, json.dumps(request), headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def tables(folder: Path, loopback_role: str) -> dict[str, dict[str, Any]]:
    def listen(stem: str, *kinds: str) -> dict[str, list[str]]:
        return {
            "listen": [
                f"{kind}:{folder / stem}-{kind}"
                if kind.startswith("unix")
                else f"{kind}:127.0.0.1:{free_port()}"
                for kind in kinds
            ]
        }

    (folder / "replies").mkdir(mode=0o770)
    tokens = folder / "tokens"
    lines = [line_for(f"the-{role}", role, token) for role, token in TOKENS.items()]  # type: ignore[arg-type]
    tokens.write_text("# who\n" + "".join(lines))
    tokens.chmod(0o600)
    return {
        "jsonrpc_fifo": {"fifo_name": f"{folder}/json-fifo", "reply_dir": f"{folder}/replies"},
        "jsonrpc_sock": listen("json", "unixs", "unixd", "tcp", "udp"),
        "binrpc": listen("bin", "unixs", "unixd", "tcp", "udp"),
        "mi_datagram": listen("mi", "unix", "udp"),
        "access": {
            "tokens_file": str(tokens),
            "audit_log": str(folder / "audit.jsonl"),
            "loopback_role": loopback_role,
        },
    }


@pytest.fixture(scope="module")
def site(start_daemon: Callable[..., Daemon], tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Who shows no token on loopback is a viewer, so that there is one on doors without a place."""
    folder = tmp_path_factory.mktemp("a")
    return Site(start_daemon(tables=tables(folder, "viewer")), folder)


@pytest.fixture(scope="module")
def crowd(site: Site) -> Iterator[Crowd]:
    """With a call that nobody ends."""
    with Crowd((free_port(), free_port()), site.daemon.address) as phones:
        phones.place([STAYS])
        yield phones
        phones.hang_up([STAYS])
        site.daemon.wait_ended(STAYS)


# -- roles -----------------------------------------------------------------------------------------

# Doors, and whether a viewer's token is shown there.
VIEWED = {
    "http": True,
    "http ": False,
    "websocket": True,
    "websocket ": False,
    "jsonrpc_fifo": True,
    "jsonrpc_sock/unixs": True,
    "jsonrpc_sock/unixd": True,
    "jsonrpc_sock/tcp": True,
    "jsonrpc_sock/tcp ": False,
    "jsonrpc_sock/udp": True,
    "jsonrpc_sock/udp ": False,
    "binrpc/tcp": False,
    "binrpc/udp": False,
    "mi_datagram/udp": False,
}


def _changing(door: str) -> list[str]:
    """The commands of a door that are not for viewers."""
    protocol = MgmtProtocol.MI if door.startswith("mi") else MgmtProtocol.RPC
    return [
        name for name in REGISTRY.names(protocol) if command_of(protocol, name).permission != "view"
    ]


def command_of(protocol: MgmtProtocol, name: str) -> Command:
    command = REGISTRY.lookup(protocol, name)
    assert command is not None
    return command


def values(command: Command, call: dict[str, Any], crowd: Crowd) -> list[object]:
    """Parameters that would end or change the call."""
    from_tag, to_tag = crowd.tags(STAYS)
    known: dict[str, object] = {
        "callid": STAYS,
        "from_tag": from_tag,
        "to_tag": to_tag,
        "h_entry": call["h_entry"],
        "h_id": call["h_id"],
    }
    usual = {"integer": 1, "string": "x"}
    return [known.get(p.name, usual.get(p.type, 1)) for p in command.params if p.required]


@pytest.mark.parametrize(
    ("door", "name"), [(door, name) for door in VIEWED for name in _changing(door)]
)
def test_a_viewer_changes_nothing(site: Site, crowd: Crowd, door: str, name: str) -> None:
    call = site.daemon.rpc.call("dlg.dlg_list", STAYS)
    opened = site.open(door.strip(), TOKENS["viewer"] if VIEWED[door] else None)
    protocol = MgmtProtocol.MI if opened.protocol == "mi" else MgmtProtocol.RPC
    command = command_of(protocol, name)
    before = len(site.written())
    try:
        answer = opened.call(name, values(command, call, crowd))
    finally:
        opened.close()
    assert answer.error == (403, "Forbidden")
    same = site.daemon.rpc.call("dlg.dlg_list", STAYS)
    moving = {"duration", "timeout_left"}
    assert {k: v for k, v in same.items() if k not in moving} == {
        k: v for k, v in call.items() if k not in moving
    }
    [line] = site.new_lines(before, 1)
    assert (line["command"], line["code"], line["role"]) == (name, 403, "viewer")
    assert line["user"] == ("the-viewer" if VIEWED[door] else "")
    assert line["terminations"] == []
    assert crowd.byes("callee")[STAYS] == 0


@pytest.mark.parametrize("door", VIEWED)
def test_a_viewer_may_look(site: Site, door: str) -> None:
    opened = site.open(door.strip(), TOKENS["viewer"] if VIEWED[door] else None)
    before = len(site.written())
    try:
        name = "uptime" if opened.protocol == "mi" else "dlg.stats_active"
        assert opened.call(name).error is None
    finally:
        opened.close()
    assert len(site.written()) == before


def test_files_are_closed_to_others(site: Site) -> None:
    """Where no token is needed, the file's mode decides."""
    files = [site.daemon.fifo.command, Path(site.daemon.tables["jsonrpc_fifo"]["fifo_name"])]
    for table in ("jsonrpc_sock", "binrpc", "mi_datagram"):
        for text in site.daemon.tables[table]["listen"]:
            kind, _, path = text.partition(":")
            files += [Path(path)] if kind.startswith("unix") else []
    assert len(files) == 7
    for path in files:
        assert path.stat().st_mode & 0o007 == 0, path


# -- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", [door for door, shown in VIEWED.items() if shown])
@pytest.mark.parametrize(
    "token", ["", "dlgm_wrong", TOKENS["admin"][:-1]], ids=["empty", "unknown", "cut"]
)
def test_a_wrong_token(site: Site, crowd: Crowd, door: str, token: str) -> None:
    before = len(site.written())
    opened = site.open(door, token)
    try:
        answer = opened.call("dlg.terminate_dlg", [STAYS, *crowd.tags(STAYS)])
    finally:
        opened.close()
    assert answer.error == (401, "Unauthorized")
    site.daemon.wait_state(STAYS, 4)
    assert len(site.written()) == before


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Host": "evil.example.com"}, 403),
        ({"Origin": "https://evil.example.com"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
    ],
    ids=str,
)
def test_status(site: Site, crowd: Crowd, headers: dict[str, str], status: int) -> None:
    params = [STAYS, *crowd.tags(STAYS)]
    request = {"jsonrpc": "2.0", "method": "dlg.terminate_dlg", "params": params, "id": 1}
    good = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKENS['admin']}"}
    found, answered, _ = post(site.daemon.http_port, request, good | headers)
    assert found == status
    assert ("WWW-Authenticate" in answered) is (status == 401)
    site.daemon.wait_state(STAYS, 4)


def test_what_is_open_to_the_world_does_not_start(tmp_path: Path) -> None:
    config = tmp_path / "dlgmgmt.toml"
    config.write_text('[http]\nlisten = "0.0.0.0:0"\n')
    command = [sys.executable, "-m", "dlgmgmt", "serve", "--config", str(config)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert run.returncode == 2
    assert f"{config}:2: http.listen = '0.0.0.0:0' is refused: whoever reaches it" in run.stderr


def test_a_token_is_taken_back(site: Site) -> None:
    tokens = Path(site.daemon.tables["access"]["tokens_file"])
    token = new_token()
    old = tokens.read_text()
    request = {"jsonrpc": "2.0", "method": "core.version", "id": 1}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}

    def status() -> int:
        return post(site.daemon.http_port, request, headers)[0]

    def reload(text: str) -> None:
        tokens.write_text(text)
        site.daemon.process.send_signal(signal.SIGHUP)

    assert status() == 401
    reload(old + line_for("new", "viewer", token))
    poll(lambda: status() == 200, 10, lambda: "the token is not known")
    reload(old + line_for("new", "viewer", token) + "spoilt\n")
    poll(lambda: "not of the form" in site.daemon.stderr(), 10, site.daemon.stderr)
    assert status() == 200
    reload(old)
    poll(lambda: status() == 401, 10, lambda: "the token is still known")


# -- the audit log ---------------------------------------------------------------------------------

# Doors, and the role whose token is shown there; the door, user and role of the log.
KILLING = {
    "http": ("operator", "http", "the-operator", "operator"),
    "websocket": ("admin", "http", "the-admin", "admin"),
    "jsonrpc_fifo": (None, "jsonrpc_fifo", "", ""),
    "jsonrpc_sock/unixs": (None, "jsonrpc_sock", "me", ""),
    "jsonrpc_sock/unixd": ("operator", "jsonrpc_sock", "the-operator", "operator"),
    "jsonrpc_sock/tcp": ("operator", "jsonrpc_sock", "the-operator", "operator"),
    "jsonrpc_sock/udp": ("operator", "jsonrpc_sock", "the-operator", "operator"),
    "binrpc/unixs": (None, "binrpc", "me", ""),
    "binrpc/unixd": (None, "binrpc", "", ""),
    "mi-fifo": (None, "mi_fifo", "", ""),
    "mi_datagram/unix": (None, "mi_datagram", "", ""),
}


def test_one_line_for_each_kill(site: Site, phones: Phones) -> None:
    """Calls of sipp, each killed over another door; others end by themselves and are no lines."""
    daemon = site.daemon
    before = len(site.written())
    calls = {}
    for at, door in enumerate((*KILLING, "hung-up")):
        uas = phones.sipp("uas_answer")
        callid = f"{at}-{phones.callid}"
        uac = phones.sipp(
            "uac_wait_bye",
            remote=daemon.hostport,
            target=f"127.0.0.1:{uas.port}",
            callid=callid,
        )
        daemon.wait_state(callid, 4, legs=1)
        calls[door] = (callid, uas, uac)
    expected = []
    for door, (shown, logged, user, role) in KILLING.items():
        callid, uas, _ = calls[door]
        to_tag = f"uas{uas.port}-1"
        opened = site.open(door, None if shown is None else TOKENS[shown])
        name = "dlg_terminate_dlg" if opened.protocol == "mi" else "dlg.terminate_dlg"
        try:
            answer: Answer = opened.call(name, [callid, "uac-1", to_tag])
            assert answer.error is None, (door, answer)
            # A second one finds nothing to end, and is written down as such.
            again = opened.call(name, [callid, "uac-1", to_tag])
        finally:
            opened.close()
        assert again.error is not None
        expected += [
            (logged, user, role, name, callid, to_tag, 200),
            ("", "", "", name, callid, "", again.error[0]),
        ]
    for _, uas, uac in list(calls.values())[:-1]:
        uac.wait()
        uas.wait()
    lines = site.new_lines(before, len(expected))
    assert len(lines) == len(expected)
    done = [line for line in lines if line["code"] == 200]
    assert len(done) == len(KILLING)
    assert len({line["terminations"][0] for line in done}) == len(done)
    for line, (logged, user, role, name, callid, to_tag, code) in zip(lines, expected, strict=True):
        assert (line["command"], line["target"]["callid"], line["code"]) == (name, callid, code)
        if code != 200:
            assert line["terminations"] == []
            continue
        assert line["door"] == logged
        assert line["user"] == (me() if user == "me" else user)
        assert line["role"] == role
        assert line["target"]["to_tag"] == to_tag
        assert bool(line["address"]) is (logged == "http" or callid in tcp_or_udp(calls))
        [number] = line["terminations"]
        assert daemon.rpc.call("dlg.termination", number)["call-id"] == callid


def tcp_or_udp(calls: dict[str, Any]) -> list[str]:
    return [call[0] for door, call in calls.items() if door.endswith(("tcp", "udp"))]


def me() -> str:
    import getpass  # noqa: PLC0415 - here alone

    return getpass.getuser()


# -- HTTPS -----------------------------------------------------------------------------------------


def test_dlgctl_over_https(start_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    """With a token, with a certificate, and with neither."""
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    server, client = ours.issue(), theirs.issue("grafana.example.com")
    tokens = tmp_path / "tokens"
    tokens.write_text(
        line_for("alice", "operator", TOKENS["operator"])
        + "grafana viewer cert:DNS:grafana.example.com\n"
    )
    tokens.chmod(0o600)
    daemon = start_daemon(
        http={
            "certificate": str(server.certificate),
            "private_key": str(server.private_key),
            "client_ca": str(theirs.ca_file),
        },
        tables={"access": {"tokens_file": str(tokens)}},
    )

    def dlgctl(*options: str, token: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *(sys.executable, "-m", "dlgmgmt.cli.dlgctl", "stats", "--json"),
                *("--http", f"https://127.0.0.1:{daemon.http_port}/RPC", *options),
            ],
            env={"DLGCTL_TOKEN": token, "PYTHONPATH": f"{ROOT}:{ROOT / 'fifo'}"},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    trust = ("--cacert", str(ours.ca_file))
    good = dlgctl(*trust, token=TOKENS["operator"])
    assert json.loads(good.stdout)["all"] == 0, good.stderr
    shown = dlgctl(*trust, "--cert", str(client.certificate), "--key", str(client.private_key))
    assert json.loads(shown.stdout)["all"] == 0, shown.stderr
    for bad in (dlgctl(*trust), dlgctl(*trust, "--token", "wrong")):
        assert (bad.returncode, bad.stdout) == (1, "")
        assert "wants a valid token" in bad.stderr
    strangers = dlgctl(token=TOKENS["operator"])
    assert strangers.returncode == 1
    assert "CERTIFICATE_VERIFY_FAILED" in strangers.stderr or "certificate" in strangers.stderr
