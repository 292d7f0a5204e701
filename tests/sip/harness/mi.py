"""A tiny MI FIFO client of the tests' own, so that the daemon's client proves nothing here."""

from __future__ import annotations

import itertools
import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_names = itertools.count(1)


@dataclass
class Dialog:
    """One ``dialog`` node of dlg_list with its ``dialog_out`` nodes."""

    hash: str
    fields: dict[str, str] = field(default_factory=dict)
    legs: list[dict[str, str]] = field(default_factory=list)

    @property
    def state(self) -> int:
        return int(self.fields["state"])

    @property
    def callid(self) -> str:
        return self.fields["callid"]

    def leg(self, to_tag: str) -> dict[str, str]:
        found = [leg for leg in self.legs if leg["to_tag"] == to_tag]
        assert len(found) == 1, f"{len(found)} legs of tag {to_tag}"
        return found[0]

    @property
    def tags(self) -> set[str]:
        return {leg["to_tag"] for leg in self.legs}


def parse_list(reply: bytes) -> list[Dialog]:
    """The dialogs of a ``200 OK`` reply of dlg_list."""
    first, *lines = reply.decode().split("\n")
    assert first == "200 OK", reply
    assert lines[-2:] == ["", ""] or lines == [""], f"the reply is cut off: {reply[-80:]!r}"
    dialogs: list[Dialog] = []
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith("dialog::  hash="):
            dialogs.append(Dialog(line.removeprefix("dialog::  hash=")))
            fields = dialogs[-1].fields
        elif line.startswith("dialog_out::  hash="):
            fields = {"hash": line.removeprefix("dialog_out::  hash=")}
            dialogs[-1].legs.append(fields)
        elif line:
            name, sep, value = line.removeprefix("\t").partition(":: ")
            assert line.startswith("\t"), f"odd line {line!r}"
            assert sep, f"odd line {line!r}"
            fields[name] = value
    return dialogs


class Fifo:
    """The command FIFO and the directory of the reply FIFOs."""

    def __init__(self, command: Path, reply_dir: Path) -> None:
        self.command = command
        self.reply_dir = reply_dir

    def write(self, data: bytes) -> None:
        """Put bytes into the command FIFO, as a shell's ``>`` does."""
        handle = self._open(time.monotonic() + 10)
        try:
            os.set_blocking(handle, True)
            os.write(handle, data)
        finally:
            os.close(handle)

    def _open(self, end: float) -> int:
        while True:
            try:
                return os.open(self.command, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                # Recreated, or its reader is between two opens.
                assert time.monotonic() < end, "nobody reads the command FIFO"
                time.sleep(0.01)

    @contextmanager
    def reply_fifo(self, name: str = "") -> Iterator[ReplyFifo]:
        path = self.reply_dir / (name or f"t_{os.getpid()}_{next(_names)}")
        os.mkfifo(path, 0o660)
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            yield ReplyFifo(path.name, handle)
        finally:
            os.close(handle)
            path.unlink()

    def raw(self, request: bytes, *, timeout: float = 10.0, name: str = "") -> bytes:
        """Send ``request`` with ``@NAME@`` replaced by a fresh reply FIFO; b"" if none came."""
        with self.reply_fifo(name) as reply:
            self.write(request.replace(b"@NAME@", reply.name.encode()))
            return reply.read(timeout)

    def call(self, command: str, *params: str, timeout: float = 10.0) -> bytes:
        """One command; returns the whole reply, and fails if none came."""
        lines = [f":{command}:@NAME@", *params, "", ""]
        reply = self.raw("\n".join(lines).encode(), timeout=timeout)
        assert reply, f"no reply to {command} {params}"
        return reply

    def status(self, command: str, *params: str) -> str:
        """The first line of a command's reply."""
        return self.call(command, *params).decode().split("\n", 1)[0]

    def list(self, *params: str) -> list[Dialog]:
        """dlg_list; an unknown call gives an empty list."""
        reply = self.call("dlg_list", *params)
        if reply == b"404 Nu such dialog\n\n":
            return []
        return parse_list(reply)


class ReplyFifo:
    def __init__(self, name: str, handle: int) -> None:
        self.name = name
        self.handle = handle

    def read(self, timeout: float) -> bytes:
        """Everything up to the moment when the daemon closes; b"" after ``timeout`` seconds."""
        end = time.monotonic() + timeout
        poller = select.poll()
        poller.register(self.handle, select.POLLIN)
        data = b""
        while (left := end - time.monotonic()) > 0:
            events = poller.poll(left * 1000)
            if not events:
                break
            chunk = os.read(self.handle, 65_536)
            data += chunk
            if not chunk:
                return data
        assert not data, f"a reply that does not end: {data[-200:]!r}"
        return b""


def quoted(value: str) -> str:
    """A parameter in double quotes, which may hold line ends."""
    return '"' + value.replace('"', '\\"') + '"'
