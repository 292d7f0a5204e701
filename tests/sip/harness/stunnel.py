"""TLS for programs that only speak TCP: stunnel, with OpenSSL, on both of its sides.

Debian's sipp is built without TLS. Its calls go out in the clear to a port on which stunnel waits,
and what comes for it over TLS reaches it in the clear.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from .certs import Authority
from .ports import free_port
from .programs import Program

BINARY = shutil.which("stunnel4", path="/usr/bin:/usr/sbin")

_HEAD = """
foreground = yes
pid =
syslog = no
debug = info
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
sslVersionMin = TLSv1.2
cert = {certificate}
key = {key}
CAfile = {ca}
verifyChain = yes
"""


class Stunnel:
    """plain: the port of the program itself. remote: address over TLS that the program calls.

    port: where others reach the program over TLS. local: where the program finds ``remote``.
    """

    def __init__(
        self, folder: Path, authority: Authority, plain: int, remote: tuple[str, int] | None = None
    ) -> None:
        assert BINARY is not None
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        identity = authority.issue()
        text = _HEAD.format(
            certificate=identity.certificate, key=identity.private_key, ca=authority.ca_file
        )
        text += f"[in]\naccept = 127.0.0.1:{self.port}\nconnect = 127.0.0.1:{plain}\n"
        text += "requireCert = yes\n"
        self.local = 0
        if remote is not None:
            self.local = free_port()
            host, port = remote
            text += f"[out]\nclient = yes\naccept = 127.0.0.1:{self.local}\n"
            text += f"connect = {host}:{port}\ncheckIP = {host}\n"
        config = folder / f"stunnel-{plain}.conf"
        config.write_text(text)
        self._program = Program(
            [BINARY, str(config)],
            folder / f"stunnel-{plain}.log",
            lambda log: "Accepting new connections" in log,
        )

    def log(self) -> str:
        return self._program.log()

    def stop(self) -> None:
        self._program.kill()
