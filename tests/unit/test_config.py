"""The configuration file: what it takes, and how it says what it does not take."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dlgmgmt.config import Config, ConfigError, load
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.interfaces.settings import HttpSettings
from dlgmgmt.sip.settings import Listener, Route, SipSettings

CONTRACT = """\
[sip]
listen = ["udp:127.0.0.1:5060"]
server_header = "dlgmgmt"
[[sip.route]]                      # first match wins
user_prefix = "2"
targets = ["sip:127.0.0.1:5090", "sip:127.0.0.1:5091"]
fork = "parallel"                  # or "serial"
[[sip.route]]
targets = ["sip:127.0.0.1:5090"]
[mi_fifo]
fifo_name = "/run/dlgmgmt/dlgmgmt_fifo"
fifo_mode = "0660"
reply_dir = "/run/dlgmgmt/reply"
[http]
listen = "127.0.0.1:8080"
[ims_dialog]
hash_size = 4096
default_timeout = 43200
"""


def read(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "dlgmgmt.toml"
    path.write_text(text)
    return load(path, {})


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    prefix = f"{tmp_path}/dlgmgmt.toml:"
    shown = str(caught.value).split("\n")
    assert all(line.startswith(prefix) for line in shown)
    return [line.removeprefix(prefix) for line in shown]


def test_the_contract_of_the_issue_is_read(tmp_path: Path) -> None:
    config = read(tmp_path, CONTRACT)
    assert config.sip.listen == (Listener("udp", "127.0.0.1", 5060),)
    assert config.sip.routes == (
        Route(targets=("sip:127.0.0.1:5090", "sip:127.0.0.1:5091"), user_prefix="2"),
        Route(targets=("sip:127.0.0.1:5090",)),
    )
    assert config.fifo.fifo_name == "/run/dlgmgmt/dlgmgmt_fifo"
    assert config.fifo.fifo_mode == 0o660
    assert config.fifo.reply_dir == "/run/dlgmgmt/reply"
    assert (config.http.host, config.http.port) == ("127.0.0.1", 8080)
    assert config.dialog == DialogSettings()
    assert config.warnings == ()


def test_without_a_file_the_defaults_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    config = load(None, {"XDG_RUNTIME_DIR": "/run/user/1000"})
    assert config.sip == SipSettings()
    assert config.dialog == DialogSettings()
    assert config.http == HttpSettings()
    assert config.fifo.fifo_name == "/run/user/1000/dlgmgmt/dlgmgmt_fifo"
    assert config.fifo.reply_dir == "/run/user/1000/dlgmgmt/reply"


@pytest.mark.parametrize(
    ("uid", "env", "directory"),
    [
        (0, {"XDG_RUNTIME_DIR": "/run/user/0"}, "/run/dlgmgmt"),
        (1000, {"XDG_RUNTIME_DIR": "/run/user/1000", "TMPDIR": "/t"}, "/run/user/1000/dlgmgmt"),
        (1000, {"XDG_RUNTIME_DIR": "relative", "TMPDIR": "/t"}, "/t/dlgmgmt-1000"),
        (1000, {}, "/tmp/dlgmgmt-1000"),
    ],
)
def test_the_run_directory(
    uid: int, env: dict[str, str], directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert str(load(None, env).run_dir) == directory


def test_ipv6_and_several_sockets(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        '[sip]\nlisten = ["udp:[::1]:5060", "udp:127.0.0.1:0", "udp:127.0.0.1:0"]\n'
        '[http]\nlisten = "[::1]:0"\n',
    )
    assert config.sip.listen[0] == Listener("udp", "::1", 5060)
    assert len(config.sip.listen) == 3
    assert (config.http.host, config.http.port) == ("::1", 0)


def test_routes_keep_case_of_users_but_not_of_domains(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        '[[sip.route]]\ndomain = "IMS.Example.com"\nuser_prefix = "Al"\nfork = "serial"\n'
        'targets = ["sip:[::1]:5090;lr", "sip:gw.example.com"]\n',
    )
    assert config.sip.routes == (
        Route(
            targets=("sip:[::1]:5090;lr", "sip:gw.example.com"),
            domain="ims.example.com",
            user_prefix="Al",
            fork="serial",
        ),
    )


def test_hash_size_is_rounded_down_with_a_warning(tmp_path: Path) -> None:
    config = read(tmp_path, "[ims_dialog]\nhash_size = 5000\n")
    assert config.dialog.hash_size == 4096
    assert config.warnings == (
        (
            f"{tmp_path}/dlgmgmt.toml:2: ims_dialog.hash_size = 5000 is not a power of two, "
            "rounded down to 4096"
        ),
    )


def test_a_route_behind_an_open_one_is_warned_about(tmp_path: Path) -> None:
    target = 'targets = ["sip:127.0.0.1"]\n'
    text = f'[[sip.route]]\n{target}[[sip.route]]\nuser_prefix = "2"\n{target}'
    (warning,) = read(tmp_path, text).warnings
    assert ":3: this sip.route is never reached: the one on line 1 takes every" in warning


def test_extra_headers_are_taken_as_header_lines(tmp_path: Path) -> None:
    config = read(tmp_path, '[ims_dialog]\ndlg_extra_hdrs = "Hint: credit expired\\r\\n"\n')
    assert config.dialog.dlg_extra_hdrs == "Hint: credit expired\r\n"


def test_everything_wrong_is_reported_at_once(tmp_path: Path) -> None:
    text = """\
[sip]
listen = [
  "udp:127.0.0.1:5060",   # a = b
  "sctp:127.0.0.1:5060",
]
t1 = "fast"
[[sip.route]]
targets = ["sip:127.0.0.1"]
[[sip.route]]
fork = "both"
targets = []
[ims_dialog]
hash_size = 0
hashsize = 3
db_mode = 4
[snmp]
[http]
listen = "localhost:80"
"""
    found = problems(tmp_path, text)
    starts = [
        "2: sip.listen = ['udp:127.0.0.1:5060', 'sctp:127.0.0.1:5060'] is refused; ",
        "6: sip.t1 = 'fast' is refused; allowed: seconds, a number from 0.01 to 10",
        '10: sip.route.fork = \'both\' is refused; allowed: "parallel" or "serial"',
        "11: sip.route.targets = [] is refused; allowed: a list of 1 to 64 sip: URIs",
        "13: ims_dialog.hash_size = 0 is refused; allowed: an integer from 1 to",
        "14: unknown parameter ims_dialog.hashsize = 3 (did you mean hash_size?); allowed: ",
        "15: ims_dialog.db_mode = 4 is refused; allowed: an integer from 0 to 3",
        "16: unknown table snmp; allowed: sip, mi_fifo, mi_datagram, http, ",
        "18: http.listen = 'localhost:80' is refused; allowed: a numeric address and a port",
    ]
    assert len(found) == len(starts)
    for line, start in zip(found, starts, strict=True):
        assert line.startswith(start)


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("sip", "t1 = true"),
        ("sip", "t1 = nan"),
        ("sip", "t1 = -1"),
        ("sip", "t1 = 5\nt2 = 4"),
        ("sip", "max_message = 70000"),
        ("sip", 'server_header = "a\\r\\nb"'),
        ("sip", 'server_header = ""'),
        ("sip", "listen = []"),
        ("sip", 'listen = "udp:127.0.0.1:5060"'),
        ("sip", 'listen = ["udp:example.com:5060"]'),
        ("sip", 'listen = ["udp:::1:5060"]'),
        ("sip", 'listen = ["udp:[127.0.0.1]:5060"]'),
        ("sip", 'listen = ["udp:127.0.0.1:5060", "udp:127.0.0.1:5060"]'),
        ("sip", "listen = [5060]"),
        ("sip", "route = 3"),
        ("sip", 'max_branches = 1\n[[sip.route]]\ntargets = ["sip:10.0.0.1", "sip:10.0.0.2"]'),
        ("[sip.route]", 'targets = ["sips:127.0.0.1"]'),
        ("[sip.route]", 'targets = ["sip:127.0.0.1;transport=tcp"]'),
        ("[sip.route]", 'targets = ["tel:1"]'),
        ("[sip.route]", 'targets = ["sip:127.0.0.1:99999"]'),
        ("[sip.route]", 'user_prefix = "2"'),
        ("[sip.route]", 'targets = ["sip:127.0.0.1"]\ndomain = "a b"'),
        ("mi_fifo", "fifo_mode = 660"),
        ("mi_fifo", 'fifo_mode = "0880"'),
        ("mi_fifo", 'fifo_mode = "4660"'),
        ("mi_fifo", 'fifo_name = "relative"'),
        ("mi_fifo", 'fifo_name = "/run/../etc/x"'),
        ("mi_fifo", 'reply_dir = "/run/\\u001b"'),
        ("mi_fifo", 'fifo_user = "no such user"'),
        ("mi_fifo", 'fifo_group = "no such group"'),
        ("mi_fifo", "fifo_user = -1"),
        ("http", 'listen = "127.0.0.1"'),
        ("http", 'listen = "127.0.0.1:65536"'),
        ("http", "max_batch = 0"),
        ("ims_dialog", "hash_size = 4096.0"),
        ("ims_dialog", "hash_size = true"),
        ("ims_dialog", "default_timeout = 0"),
        ("ims_dialog", 'rr_param = "a b"'),
        ("ims_dialog", "detect_spirals = 2"),
        ("ims_dialog", 'dlg_extra_hdrs = "no header"'),
        ("ims_dialog", 'dlg_extra_hdrs = "Via: mine\\r\\n"'),
    ],
)
def test_what_is_refused(tmp_path: Path, table: str, line: str) -> None:
    (problem,) = problems(tmp_path, f"[{table}]\n{line}\n")
    number, _, message = problem.partition(": ")
    assert int(number) in (1, 2, 3, 4)
    assert "allowed: " in message or "needs at least one" in message
    assert message.isascii()
    assert message.isprintable()


def test_a_table_that_is_a_value(tmp_path: Path) -> None:
    assert problems(tmp_path, "sip = 3\n") == ["1: sip = 3 is refused; allowed: a table, [sip]"]


def test_hostile_names_and_values_are_escaped_and_cut(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, f'[sip]\n"\\u001b[2J\\u202e" = "{"x" * 500}"\n')
    assert problem.isprintable()
    assert problem.isascii()
    assert len(problem) < 500


@pytest.mark.parametrize(
    ("text", "line"),
    [("[sip]\nt1 = \n", 2), ("[sip\n", 1), ("a = 1\na = 2\n", 2), ('x = """\n\n', 3)],
)
def test_broken_toml_names_the_line(tmp_path: Path, text: str, line: int) -> None:
    (problem,) = problems(tmp_path, text)
    assert problem.startswith(f"{line}: not valid TOML: ")


def test_what_is_no_text_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "binary.toml"
    path.write_bytes(b"[sip]\n# \xff\n")
    with pytest.raises(ConfigError, match=r"binary\.toml:2: not UTF-8"):
        load(path, {})


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*/none\.toml: No such file"):
        load(tmp_path / "none.toml", {})
    with pytest.raises(ConfigError, match=r"cannot read .*: Is a directory"):
        load(tmp_path, {})
    (tmp_path / "large.toml").write_text("#" * 2_000_000)
    with pytest.raises(ConfigError, match="is larger than"):
        load(tmp_path / "large.toml", {})


def test_a_plain_users_run_directory_is_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dlgmgmt.config.rundir import RunDirectoryError, private_directory  # noqa: PLC0415

    mine = tmp_path / "mine"
    private_directory(mine)
    private_directory(mine)
    assert stat.S_IMODE(mine.stat().st_mode) == 0o700

    planted = tmp_path / "link"
    planted.symlink_to(mine)
    with pytest.raises(RunDirectoryError, match="link is not a directory"):
        private_directory(planted)
    mine.chmod(0o777)
    with pytest.raises(RunDirectoryError, match="can be written by other users"):
        private_directory(mine)
    with pytest.raises(RunDirectoryError, match=f"cannot make directory {tmp_path}/a/b"):
        private_directory(tmp_path / "a" / "b")
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(RunDirectoryError, match=f"belongs to another user \\(uid {owner}\\)"):
        private_directory(mine)
