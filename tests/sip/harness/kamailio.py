"""Debian's kamailio as a second proxy: stateful, record-routing, with one fixed rule."""

from __future__ import annotations

import shutil
from pathlib import Path

from .certs import Authority
from .ports import free_port
from .programs import Program, accepts

BINARY = shutil.which("kamailio", path="/usr/sbin:/usr/bin")
_MODULES = sorted(Path("/usr/lib").glob("*/kamailio/modules"))
TLS_MODULE = next((path / "tls.so" for path in _MODULES if (path / "tls.so").exists()), None)

_LAST_WORDS = "Server MUST present valid certificate"

# A stateful relay with tm and rr. What it says in its log from "ERROR" up fails the test. One
# process for each transport: of two, one may overtake the other, and so a re-INVITE the ACK before
# it.
_CONFIG = """
debug=2
log_stderror=yes
fork=yes
children=1
tcp_children=1
auto_aliases=no
dns=no
rev_dns=no
tcp_connect_timeout=3
enable_tls=yes
mpath="@MODULES@/"
@LISTEN@
loadmodule "tls.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "maxfwd.so"
modparam("tls", "tls_method", "TLSv1.2+")
modparam("tls", "certificate", "@CERTIFICATE@")
modparam("tls", "private_key", "@KEY@")
modparam("tls", "ca_list", "@CA@")
modparam("tls", "verify_certificate", 1)
modparam("tls", "require_certificate", 1)
request_route {
    if (!mf_process_maxfwd_header("20")) { sl_send_reply("483", "Too Many Hops"); exit; }
    if (is_method("CANCEL")) { if (t_check_trans()) { t_relay(); } exit; }
    if (has_totag()) {
        if (loose_route()) { t_relay(); exit; }
        if (is_method("ACK")) { if (t_check_trans()) { t_relay(); } exit; }
        sl_send_reply("404", "Not here");
        exit;
    }
    t_check_trans();
    record_route();
    @RULE@
    if (!t_relay()) { sl_reply_error(); }
}
"""


class Kamailio:
    """One kamailio. next_hop: URI that every call goes to. Without it the user part of the
    Request-URI ends with a port of loopback and a transport: "hop-5090-tcp".
    """

    def __init__(self, folder: Path, authority: Authority, next_hop: str = "") -> None:
        assert BINARY is not None
        assert TLS_MODULE is not None
        folder.mkdir(parents=True, exist_ok=True)
        port, tls_port = free_port(), free_port()
        self._ports = {"udp": port, "tcp": port, "tls": tls_port}
        identity = authority.issue()
        rule = (
            f'$du = "{next_hop}";'
            if next_hop
            else '$du = "sip:127.0.0.1:" + $(rU{s.select,-2,-}) + ";transport=" '
            "+ $(rU{s.select,-1,-});"
        )
        text = _CONFIG
        for name, value in {
            "MODULES": TLS_MODULE.parent,
            "LISTEN": "\n".join(
                f"listen={kind}:127.0.0.1:{number}" for kind, number in self._ports.items()
            ),
            "CERTIFICATE": identity.certificate,
            "KEY": identity.private_key,
            "CA": authority.ca_file,
            "RULE": rule,
        }.items():
            text = text.replace(f"@{name}@", str(value))
        config = folder / "kamailio.cfg"
        config.write_text(text)
        command = [BINARY, "-f", str(config), "-DD", "-E", "-m", "64", "-M", "8"]
        command += ["-Y", str(folder), "-P", str(folder / "pid"), "-w", str(folder)]
        self._program = Program(command, folder / "kamailio.log", self._is_ready)

    def _is_ready(self, log: str) -> bool:
        """Whether it listens: TCP and TLS come last."""
        return _LAST_WORDS in log and all(
            accepts("127.0.0.1", self._ports[kind]) for kind in ("tcp", "tls")
        )

    def uri(self, kind: str) -> str:
        """The URI of a listener: "udp", "tcp" or "tls"."""
        return f"sip:{self.at(kind)}{'' if kind == 'udp' else f';transport={kind}'}"

    def where(self, kind: str) -> tuple[str, int]:
        """The address of a listener."""
        return "127.0.0.1", self._ports[kind]

    def at(self, kind: str) -> str:
        """The same as a URI writes it."""
        return f"127.0.0.1:{self._ports[kind]}"

    def check_log(self) -> None:
        """Fail if it has said that something went wrong."""
        bad = [
            line
            for line in self._program.log().splitlines()
            if any(word in line for word in (" ERROR: ", " CRITICAL: ", " BUG: ", " ALERT: "))
        ]
        assert not bad, "in kamailio's log:\n" + "\n".join(bad[:20])

    def stop(self) -> None:
        # Its processes complain of each other when they end.
        self.check_log()
        code = self._program.end()
        assert code == 0, f"kamailio ended with {code}:\n{self._program.log()[-4000:]}"
