"""JSON laid out as Kamailio does: a key a line, tabs, the elements of an array behind each other.

kamctl passes its replies through a filter that goes by lines and expects this.
"""

from __future__ import annotations

import re

# A string with its colon where it is a key; a bracket or a comma; a number, true, false or null.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+":?|[{}\[\],]|[^"{}\[\],]++')


class Pretty:
    """Lays out one value, which may come in pieces that end between two tokens.

    The input is JSON without blanks, of which there are as many brackets as are matched.
    """

    def __init__(self) -> None:
        self._open: list[bytes] = []
        # An object has been opened and nothing of it is there yet.
        self._fresh = False

    def feed(self, text: bytes) -> bytes:
        """The layout of the next piece."""
        out: list[bytes] = []
        put = out.append
        tokens: list[bytes] = _TOKEN.findall(text)
        for token in tokens:
            if self._fresh and token != b"}":
                put(self._line())
            self._fresh = False
            if token in (b"{", b"["):
                put(token)
                self._open.append(token)
                self._fresh = token == b"{"
            elif token == b"}":
                self._open.pop()
                put(self._line())
                put(token)
            elif token == b"]":
                self._open.pop()
                put(token)
            elif token == b",":
                put(b", " if self._open[-1] == b"[" else b"," + self._line())
            else:
                put(token)
                if token.endswith(b":"):
                    put(b"\t")
        return b"".join(out)

    def _line(self) -> bytes:
        return b"\n" + b"\t" * len(self._open)
