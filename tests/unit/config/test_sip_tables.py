"""[sip] and the tables within it, and [trace]: defaults, good values, wrong ones."""

from __future__ import annotations

import dataclasses
import ipaddress
from pathlib import Path

import pytest
import trustme

from dlgmgmt.config import Config, schema
from dlgmgmt.sip.settings import AllowRule, Listener, SipSettings
from tests.unit.config.harness import problems, read

TIME = "allowed: seconds, a number from "
NUMBER = "allowed: an integer from "
SWITCH = "allowed: true or false (or 1 or 0)"
NETWORKS = "allowed: a list of 0 to 1024 networks or numeric addresses"
SERVERS = "allowed: a list of at most 8 numeric addresses"

# name: default; good TOML values and what they become; the wrong type, what is out of range; what
# the message says is allowed.
Row = tuple[object, dict[str, object], list[str], str]

PARAMETERS: dict[str, dict[str, Row]] = {
    "sip": {
        "udp_limit": (1300, {"0": 0, "65535": 65535}, ['"1300"', "-1", "65536"], NUMBER),
        "accept_alias": ("tls", {'"none"': "none", '"all"': "all"}, ["1", '"tcp"'], '"none" or'),
    },
    "sip.stream": {
        "connect_timeout": (5.0, {"1": 1.0}, ['"1"', "0"], TIME),
        "handshake_timeout": (5.0, {"0.5": 0.5}, ["true", "121"], TIME),
        "message_timeout": (10.0, {"600": 600.0}, ["[]", "0"], TIME),
        "idle_timeout": (600.0, {"0.5": 0.5}, ['""', "0", "nan"], TIME),
        "ping_interval": (0.0, {"0": 0.0, "30": 30.0}, ["false", "-1"], TIME),
        "max_connections": (10_000, {"1": 1}, ["1.5", "0"], NUMBER),
        "max_connections_per_peer": (200, {"1": 1}, ['"1"', "0"], NUMBER),
        "max_unsent": (1_048_576, {"65536": 65536}, ["1e6", "65535"], NUMBER),
    },
    "sip.tls": {
        "verify_client": ("none", {'"optional"': "optional"}, ["true", '"always"'], '"none" or'),
        "verify_server": (True, {"false": False, "0": False}, ['"no"', "2"], SWITCH),
        "minimum": ("1.2", {'"1.3"': "1.3"}, ["1.2", '"1.1"'], 'allowed: "1.2" or "1.3"'),
    },
    "sip.dns": {
        "servers": (
            (),
            {
                "[]": (),
                '["127.0.0.1", "127.0.0.1:5353"]': (("127.0.0.1", 53), ("127.0.0.1", 5353)),
                '["::1", "[::1]", "[::1]:5353"]': (("::1", 53), ("::1", 53), ("::1", 5353)),
            },
            ['"127.0.0.1"', "[1]", '["localhost"]', '["127.0.0.1:0"]', '["127.0.0.1:99999"]'],
            SERVERS,
        ),
        "timeout": (2.0, {"0.5": 0.5}, ['"2"', "0"], TIME),
        "attempts": (2, {"1": 1}, ["1.0", "0", "11"], NUMBER),
        "min_ttl": (0, {"60": 60}, ['"1"', "-1"], NUMBER),
        "max_ttl": (3600, {"1": 1}, ["true", "0"], NUMBER),
        "negative_ttl": (30, {"0": 0}, ["0.5", "-1"], NUMBER),
        "cache_size": (10_000, {"16": 16}, ['"16"', "15"], NUMBER),
        "back_off": (60.0, {"0": 0.0, "1.5": 1.5}, ['"1"', "-1"], TIME),
    },
    "sip.limits": {
        "rate": (500, {"0": 0, "15": 15}, ['"15"', "-1"], NUMBER),
        "burst": (1000, {"1": 1}, ["1.5", "0"], NUMBER),
        "packets": (5000, {"0": 0}, ["true", "-1"], NUMBER),
        "transactions": (50_000, {"0": 0}, ["[]", "-1"], NUMBER),
        "refusals": (20, {"0": 0}, ['"20"', "-1"], NUMBER),
        "retry_after": (5, {"3600": 3600}, ["0.5", "0", "3601"], NUMBER),
        "sources": (10_000, {"16": 16}, ['"16"', "15"], NUMBER),
        "trusted": (
            (),
            {
                '["10.0.0.0/8", "::1"]': (
                    ipaddress.ip_network("10.0.0.0/8"),
                    ipaddress.ip_network("::1/128"),
                )
            },
            ['"10.0.0.0/8"', "[10]", '["10.0.0.1/8"]', '["example.com"]', '["10.0.0.0/33"]'],
            NETWORKS,
        ),
    },
    "trace": {
        "enabled": (False, {"0": False}, ['"on"', "2"], SWITCH),
        "hep": (
            None,
            {'""': None, '"udp:[::1]:9060"': ("::1", 9060)},
            ["9060", '"127.0.0.1:9060"', '"tcp:127.0.0.1:9060"', '"udp:homer:9060"'],
            'allowed: a numeric address and a port, such as "udp:127.0.0.1:9060"',
        ),
        "hep_id": (2001, {"0": 0, "4294967295": 4294967295}, ['"1"', "4294967296"], NUMBER),
        "hep_password": ("", {'"secret"': "secret"}, ["1", r'"a\nb"'], "allowed: at most 255"),
        "ring_messages": (10_000, {"0": 0}, ["0.5", "-1"], NUMBER),
        "ring_bytes": (8_388_608, {"0": 0}, ['"8M"', "-1"], NUMBER),
    },
}

ROWS = [(table, name) for table, rows in PARAMETERS.items() for name in rows]
GOOD = [(table, name, text) for table, name in ROWS for text in PARAMETERS[table][name][1]]
WRONG = [(table, name, text) for table, name in ROWS for text in PARAMETERS[table][name][2]]


def settings(config: Config, table: str) -> object:
    return config.sip if table == "sip" else getattr(config.sip, table.removeprefix("sip."))


def test_the_list_above_is_complete() -> None:
    files = {"certificate", "private_key", "ca_file"}
    for name, readers in {**schema.WITHIN_SIP, "trace": schema.TRACE}.items():
        rows = PARAMETERS[name if name == "trace" else f"sip.{name}"]
        fields = {field.name for field in dataclasses.fields(getattr(SipSettings(), name))}
        assert {*rows, *(files if name == "tls" else ())} == fields == {*readers}


@pytest.mark.parametrize(("table", "name"), ROWS)
def test_the_default(tmp_path: Path, table: str, name: str) -> None:
    assert getattr(settings(read(tmp_path, ""), table), name) == PARAMETERS[table][name][0]


@pytest.mark.parametrize(("table", "name", "text"), GOOD)
def test_a_good_value(tmp_path: Path, table: str, name: str, text: str) -> None:
    value = PARAMETERS[table][name][1][text]
    found = getattr(settings(read(tmp_path, f"[{table}]\n{name} = {text}\n"), table), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("table", "name", "text"), WRONG)
def test_a_wrong_value(tmp_path: Path, table: str, name: str, text: str) -> None:
    (problem,) = problems(tmp_path, f"# here\n[{table}]\n\n{name} = {text}\n")
    assert problem.startswith(f"dlgmgmt.toml:4: {table}.{name} = ")
    assert " is refused" in problem
    assert PARAMETERS[table][name][3] in problem
    assert problem.isascii()


def test_unknown_names(tmp_path: Path) -> None:
    text = (
        "[sip.stream]\nidle = 5\n[sip.tsl]\n[[sip.allow]]\nform = 1\n[trace]\nhep_pasword = 'x'\n"
    )
    stream, table, no_listen, no_from, rule, trace = problems(tmp_path, text)
    assert stream.startswith("dlgmgmt.toml:2: unknown parameter sip.stream.idle = 5; allowed: ")
    assert table.startswith("dlgmgmt.toml:3: unknown parameter sip.tsl = {} (did you mean tls?)")
    assert no_listen == "dlgmgmt.toml:4: sip.allow has no listen; a rule needs listen and from"
    assert no_from == "dlgmgmt.toml:4: sip.allow has no from; a rule needs listen and from"
    assert rule.startswith("dlgmgmt.toml:5: unknown parameter sip.allow.form = 1 (did you mean ")
    assert "(did you mean hep_password?)" in trace


@pytest.mark.parametrize("table", ["stream", "tls", "dns", "limits"])
def test_a_table_that_is_a_value(tmp_path: Path, table: str) -> None:
    (problem,) = problems(tmp_path, f"[sip]\n{table} = 3\n")
    assert problem == (
        f"dlgmgmt.toml:2: sip.{table} = 3 is refused; allowed: a table, [sip.{table}]"
    )


def test_a_lower_bound_above_the_upper_one(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "[sip.dns]\nmin_ttl = 61\nmax_ttl = 60\n")
    assert problem.startswith("dlgmgmt.toml:2: sip.dns.min_ttl = 61 is refused; allowed: min_ttl ")


def test_traces_need_somewhere_to_go(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "[trace]\nenabled = true\n")
    assert problem == (
        "dlgmgmt.toml:2: trace.enabled = true is refused; allowed: false without trace.hep"
    )
    config = read(tmp_path, '[trace]\nenabled = true\nhep = "udp:127.0.0.1:9060"\n')
    assert config.sip.trace.enabled


def test_the_trace_password_is_never_shown(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, f'[trace]\nhep_password = "{"secret" * 50}"\n')
    assert "secret" not in problem
    assert "secret" not in repr(read(tmp_path, '[trace]\nhep_password = "secret"\n'))


# -- listeners and routes --------------------------------------------------------------------------


def test_every_transport_is_listened_on(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        '[sip]\nlisten = ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060", "ws:[::1]:80"]\n',
    )
    assert config.sip.listen == (
        Listener("udp", "127.0.0.1", 5060),
        Listener("tcp", "127.0.0.1", 5060),
        Listener("ws", "::1", 80),
    )


@pytest.mark.parametrize(
    "sockets", ['"tcp:127.0.0.1:5060", "ws:127.0.0.1:5060"', '"sctp:127.0.0.1:5060"', '"tcp:a:1"']
)
def test_sockets_that_are_refused(tmp_path: Path, sockets: str) -> None:
    (problem,) = problems(tmp_path, f"[sip]\nlisten = [{sockets}]\n")
    assert "allowed: a list of 1 to 32 different sockets, udp, tcp, tls, ws or wss" in problem


def test_a_target_over_a_transport_needs_a_listener_of_it(tmp_path: Path) -> None:
    route = '[[sip.route]]\nfix_contact = true\ntargets = ["sip:127.0.0.1:5090;transport=TCP"]\n'
    (problem,) = problems(tmp_path, route)
    assert problem.startswith("dlgmgmt.toml:3: sip.route.targets = ")
    assert "sip.listen has no tcp socket" in problem
    assert problem.endswith("allowed: transports of sip.listen, udp")
    config = read(tmp_path, f'[sip]\nlisten = ["tcp:127.0.0.1:0"]\n{route}')
    assert config.sip.routes[0].fix_contact


# -- [[sip.allow]] ---------------------------------------------------------------------------------


def test_rules(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        '[sip]\nlisten = ["udp:127.0.0.1:5060", "udp:[::1]:5060"]\n'
        '[[sip.allow]]\nlisten = "udp:127.0.0.1:5060"\nfrom = ["10.0.0.0/8", "192.0.2.7"]\n'
        '[[sip.allow]]\nlisten = "udp:[::1]:5060"\nfrom = ["2001:db8::/32"]\n',
    )
    network = ipaddress.ip_network
    assert config.sip.allow == (
        AllowRule(
            Listener("udp", "127.0.0.1", 5060), (network("10.0.0.0/8"), network("192.0.2.7/32"))
        ),
        AllowRule(Listener("udp", "::1", 5060), (network("2001:db8::/32"),)),
    )


@pytest.mark.parametrize(
    ("listen", "source", "why"),
    [
        ('"udp:127.0.0.1:5070"', '["10.0.0.0/8"]', ": sip.listen does not have it; allowed: "),
        ('"127.0.0.1:5060"', '["10.0.0.0/8"]', "; allowed: a socket of sip.listen"),
        ("3", '["10.0.0.0/8"]', "; allowed: a socket of sip.listen"),
        ('"udp:127.0.0.1:5060"', '["2001:db8::/32"]', "2001:db8::/32 is of another address"),
        ('"udp:127.0.0.1:5060"', "[]", "; allowed: a list of 1 to 1024 networks"),
        ('"udp:127.0.0.1:5060"', '["10.0.0.1/8"]', "10.0.0.1/8 has bits set beyond its length"),
    ],
)
def test_rules_that_are_refused(tmp_path: Path, listen: str, source: str, why: str) -> None:
    (problem,) = problems(tmp_path, f"[[sip.allow]]\nlisten = {listen}\nfrom = {source}\n")
    assert problem.startswith(
        ("dlgmgmt.toml:2: sip.allow.listen", "dlgmgmt.toml:3: sip.allow.from")
    )
    assert why in problem


# -- [sip.tls] -------------------------------------------------------------------------------------

AUTHORITY = trustme.CA()
MINE = AUTHORITY.issue_cert("sip.example.com")
OTHER = AUTHORITY.issue_cert("other.example.com")


def files(folder: Path) -> None:
    (folder / "ca.pem").write_bytes(AUTHORITY.cert_pem.bytes())
    (folder / "cert.pem").write_bytes(MINE.cert_chain_pems[0].bytes())
    (folder / "cert.key").write_bytes(MINE.private_key_pem.bytes())
    (folder / "other.key").write_bytes(OTHER.private_key_pem.bytes())
    (folder / "text.pem").write_text("no PEM")


def test_certificates_are_found_beside_the_configuration(tmp_path: Path) -> None:
    files(tmp_path)
    config = read(
        tmp_path,
        '[sip]\nlisten = ["tls:127.0.0.1:0", "wss:127.0.0.1:0"]\n[sip.tls]\n'
        f'certificate = "cert.pem"\nprivate_key = "cert.key"\nca_file = "{tmp_path}/ca.pem"\n',
    )
    tls = config.sip.tls
    assert (tls.certificate, tls.private_key, tls.ca_file) == (
        f"{tmp_path}/cert.pem",
        f"{tmp_path}/cert.key",
        f"{tmp_path}/ca.pem",
    )


def test_a_secure_listener_needs_a_certificate(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, '[sip]\nlisten = ["tls:127.0.0.1:0", "wss:127.0.0.1:0"]\n')
    assert problem == (
        "dlgmgmt.toml:2: sip.listen has tls and wss, which needs sip.tls.certificate and "
        "sip.tls.private_key"
    )


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('certificate = "none.pem"\nprivate_key = "cert.key"', "certificate|cannot read '"),
        ('certificate = "."\nprivate_key = "cert.key"', "certificate|; allowed: "),
        ('certificate = 3\nprivate_key = "cert.key"', "certificate|; allowed: "),
        ('certificate = "cert.pem"', "certificate|sip.tls.private_key is missing"),
        ('private_key = "cert.key"', "private_key|sip.tls.certificate is missing"),
        ('certificate = "text.pem"\nprivate_key = "cert.key"', "certificate|no certificate in it"),
        ('certificate = "cert.pem"\nprivate_key = "text.pem"', "private_key|not a key, without"),
        ('certificate = "cert.pem"\nprivate_key = "other.key"', "private_key|not a key, without"),
        ('ca_file = "text.pem"', "ca_file|no certificates in it"),
        ('ca_file = "a\\u0000b"', "ca_file|; allowed: the path of a PEM file"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, lines: str, said: str) -> None:
    files(tmp_path)
    name, _, why = said.partition("|")
    found = problems(tmp_path, f"[sip.tls]\n{lines}\n")
    assert any(f": sip.tls.{name} = " in line and why in line for line in found)
    assert all("allowed: the path of a PEM file, relative to the" in line for line in found)
