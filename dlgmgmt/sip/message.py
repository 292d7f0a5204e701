"""A SIP message: parsed once, every byte kept.

The header section is cut into lines, and each line is known by its name; values are read when
they are asked for. What the proxy does not own is never rebuilt: a forwarded message is the
received lines with a few of them replaced. Text is decoded with ``surrogateescape``, so that any
byte comes out as it came in.
"""

from __future__ import annotations

import re

from dlgmgmt.sip import grammar
from dlgmgmt.sip.errors import BadMessage
from dlgmgmt.sip.grammar import TOKEN, Via
from dlgmgmt.sip.headers import NAMES, Edits, edit_lines, read_name
from dlgmgmt.sip.startline import read_start

_LINE_END = re.compile(r"\r?\n")
# The look-behind keeps it linear: a run of blanks is tried once, from its first one.
_FOLD = re.compile(r"(?<![ \t])[ \t]*+(?:\r?\n[ \t]++)++")
_CSEQ = re.compile(rf"([0-9]{{1,10}})\s++({TOKEN})", re.ASCII)
_END = re.compile(rb"\r?\n\r?\n")

MAX_HEADERS = 256

_NOWHERE = ("", 0)

_METHODS = frozenset(
    [
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "OPTIONS",
        "REGISTER",
        "PRACK",
        "UPDATE",
        "INFO",
        "SUBSCRIBE",
        "NOTIFY",
        "REFER",
        "MESSAGE",
        "PUBLISH",
    ]
)


class Message:
    """A request (``method`` and ``uri`` set) or a reply (``status`` and ``reason`` set).

    header_lines: in order, without line ends (a folded header is one of them, its inner line
    ends kept). names: their lower-case long names. repeats: how many lines bear a name that an
    earlier one has. body: as received, cut to Content-Length. defect: what is wrong with a message
    whose start line could be read. source: numeric host and port that it came from, if it came
    from the network. as_received: what a script has made this one of, None if it has not.
    """

    __slots__ = (
        "_callid",
        "_cseq",
        "_from_tag",
        "_line_of",
        "_max_forwards",
        "_to_tag",
        "as_received",
        "body",
        "defect",
        "header_lines",
        "method",
        "names",
        "reason",
        "repeats",
        "source",
        "status",
        "uri",
    )

    def __init__(self, data: bytes) -> None:
        """Parse ``data``; raises NotSip if it has no SIP start line.

        Any other fault is kept in ``defect``, so that a bad request can still be answered from
        the headers that could be read.
        """
        # bytes.find is far faster than a pattern; bare line feeds are the rare case.
        cut, skip = data.find(b"\r\n\r\n"), 4
        if cut < 0:
            bare = _END.search(data)
            cut, skip = (bare.start(), bare.end() - bare.start()) if bare else (-1, 0)
        head, self.body = (data, b"") if cut < 0 else (data[:cut], data[cut + skip :])
        text = head.decode("utf-8", "surrogateescape")
        lines = text.split("\r\n")
        ends = len(lines) - 1
        # Counted in the bytes, where a single character is found far faster.
        plain = head.count(b"\n") == ends and head.count(b"\r") == ends
        if not plain:
            lines = _LINE_END.split(text)
        self.defect = self._start(lines[0])
        self.header_lines: list[str] = []
        # None stands for a name while the lines are read, and for none afterwards.
        self.names: list[str | None] = []
        self._line_of: dict[str | None, str] = {}
        self.repeats = 0
        self._callid = ""
        self._cseq: tuple[int, str] | None = None
        self._from_tag: str | None = None
        self._to_tag: str | None = None
        self._max_forwards: int | None = None
        self.source = _NOWHERE
        self.as_received: Message | None = None
        try:
            self._scan(lines)
            self._check_ends(plain=plain, ended=cut >= 0)
            self._cut_body()
        except BadMessage as error:
            self.defect = self.defect or error

    def _start(self, line: str) -> BadMessage | None:
        # The common forms are read without a pattern: this runs for every message.
        if line.startswith("SIP/2.0 ") and line[8:11].isdecimal() and line[11:12] == " ":
            if line.isascii() and "100" <= line[8:11] < "700":
                self.method = self.uri = ""
                self.status, self.reason = int(line[8:11]), line[12:]
                return None
        elif line.endswith(" SIP/2.0"):
            method, _, uri = line[:-8].partition(" ")
            if (
                method in _METHODS
                and uri
                and uri.isascii()
                and uri.isprintable()
                and " " not in uri
            ):
                self.method, self.uri = method, uri
                self.status, self.reason = 0, ""
                return None
        self.method, self.uri, self.status, self.reason, defect = read_start(line)
        return defect

    def _scan(self, lines: list[str]) -> None:
        del lines[0]
        if len(lines) > MAX_HEADERS:
            raise BadMessage(400, "Too many headers")
        known = NAMES
        names = [known.get(line[: line.find(":") + 1]) for line in lines]
        if None not in names:
            self.header_lines, self.names = lines, names
            self._index()
            return
        try:
            self._scan_odd(lines, names)
        finally:
            # What stands before a malformed line is what the refusal is made of.
            self._index()

    def _index(self) -> None:
        # Reversed, so that the first line of a name is the one that stays.
        self._line_of = dict(zip(self.names[::-1], self.header_lines[::-1], strict=True))
        self.repeats = len(self.names) - len(self._line_of)

    def _scan_odd(self, lines: list[str], names: list[str | None]) -> None:
        for line, name in zip(lines, names, strict=True):
            if name is None and line[:1] in (" ", "\t") and self.header_lines:
                self.header_lines[-1] += "\r\n" + line
                continue
            self.names.append(name or read_name(line))
            self.header_lines.append(line)

    def _check_ends(self, *, plain: bool, ended: bool) -> None:
        if not ended:
            raise BadMessage(400, "No end of headers")
        if plain:
            return
        lines = (self.reason, *self.header_lines)
        if any("\r" in line.replace("\r\n", "") for line in lines):
            raise BadMessage(400, "Bare carriage return")

    def _cut_body(self) -> None:
        text = self.get("content-length")
        if text is None:
            return
        if self.repeats and self.names.count("content-length") > 1:
            raise BadMessage(400, "Several Content-Length headers")
        if not (text.isascii() and text.isdigit()) or len(text) > 9:
            raise BadMessage(400, "Bad Content-Length")
        length = int(text)
        if length > len(self.body):
            raise BadMessage(400, "Body shorter than Content-Length")
        if length < len(self.body):
            self.body = self.body[:length]

    # -- reading headers -----------------------------------------------------------------------

    def get(self, name: str) -> str | None:
        """The first value of a header by its lower-case long name, unfolded; None if absent."""
        line = self._line_of.get(name)
        if line is None:
            return None
        return _value(line)

    def all(self, name: str) -> list[str]:
        """Every element of a comma-separated header, over all of its lines, in order."""
        if name not in self._line_of:
            return []
        found: list[str] = []
        for known, line in zip(self.names, self.header_lines, strict=True):
            if known == name:
                found += grammar.split_list(_value(line))
        return found

    def line(self, name: str) -> str:
        """The first header line of that name as it stands, with CRLF; "" if absent."""
        line = self._line_of.get(name)
        return "" if line is None else line + "\r\n"

    def lines(self, name: str) -> str:
        """All header lines of that name as they stand, each with CRLF."""
        if name not in self._line_of:
            return ""
        both = zip(self.names, self.header_lines, strict=True)
        return "".join([line + "\r\n" for known, line in both if known == name])

    def need(self, name: str) -> str:
        """A header that must be there; BadMessage otherwise."""
        value = self.get(name)
        if not value:
            raise BadMessage(400, f"Missing {name} header")
        return value

    @property
    def callid(self) -> str:
        """The Call-ID (RFC 3261 20.8), printable ASCII."""
        if not self._callid:
            value = self.need("call-id")
            if not (value.isascii() and value.isprintable()) or " " in value:
                raise BadMessage(400, "Bad Call-ID header")
            self._callid = value
        return self._callid

    @property
    def cseq(self) -> tuple[int, str]:
        """CSeq number and method (RFC 3261 20.16)."""
        if self._cseq is None:
            value = self.need("cseq")
            number, _, method = value.partition(" ")
            if method in _METHODS and number.isdecimal() and value.isascii() and len(number) < 10:
                self._cseq = int(number), method
                return self._cseq
            match = _CSEQ.fullmatch(value)
            if match is None or int(match[1]) >= 2**31:
                raise BadMessage(400, "Bad CSeq header")
            self._cseq = int(match[1]), match[2]
        return self._cseq

    @property
    def max_forwards(self) -> int | None:
        """Max-Forwards (RFC 3261 20.22), None if absent; BadMessage unless from 0 to 255."""
        if self._max_forwards is None:
            text = self.get("max-forwards")
            if text is None:
                return None
            if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > 255:
                raise BadMessage(400, "Bad Max-Forwards header")
            self._max_forwards = int(text)
        return self._max_forwards

    @property
    def from_uri(self) -> str:
        """The URI of the From header."""
        return grammar.name_addr(self.need("from"), "From").uri

    @property
    def from_tag(self) -> str:
        """The From tag, "" if absent."""
        if self._from_tag is None:
            self._from_tag = grammar.party_tag(self.need("from"), "From")
        return self._from_tag

    @property
    def to_uri(self) -> str:
        """The URI of the To header."""
        return grammar.name_addr(self.need("to"), "To").uri

    @property
    def to_tag(self) -> str:
        """The To tag, "" if absent."""
        if self._to_tag is None:
            self._to_tag = grammar.party_tag(self.need("to"), "To")
        return self._to_tag

    @property
    def contact_uri(self) -> str:
        """The URI of the first Contact, "" if there is none or it is ``*``."""
        value = self.get("contact")
        if not value or value == "*":
            return ""
        if value[0] == "<" and '"' not in value and "," not in value:
            # The common form.
            uri = value[1:].partition(">")[0]
            if uri.isprintable() and " " not in uri and ">" in value and "?" not in uri:
                return uri
        contacts = grammar.split_list(value)
        uri = grammar.name_addr(contacts[0], "Contact").uri if contacts else ""
        if len(uri.split(None, 1)) > 1:
            # It becomes a Request-URI one day, where a blank would end it.
            raise BadMessage(400, "Bad Contact header")
        # 19.1.5: headers are no part of it either. A user part may have a question mark.
        end = uri.find("?", uri.rfind("@") + 1)
        return uri if end < 0 else uri[:end]

    def top_via(self) -> Via:
        """The topmost Via value."""
        return grammar.via(self.top_via_text())

    def via_branch(self) -> str:
        """The branch of the topmost Via value, "" if there is none."""
        line = self._line_of.get("via")
        if line is None:
            return ""
        start = line.find(";branch=")
        if start < 0 or '"' in line or 0 <= line.find(",") < start:
            return grammar.branch_of(self.top_via().params)
        value = line[start + 8 :]
        for end in (";", ","):
            if end in value:
                value = value[: value.find(end)]
        return value.strip()

    def top_via_text(self) -> str:
        """The text of the topmost Via value."""
        value = self.need("via")
        return value[: grammar.first_part_end(value)].strip()

    def edited(self, edits: Edits) -> Message:
        """A copy with other headers; the message itself stays as it is."""
        new = Message.__new__(Message)
        for name in Message.__slots__:
            setattr(new, name, getattr(self, name))
        new.set_lines(*edit_lines(self.names, self.header_lines, edits))
        return new

    def set_lines(self, names: list[str | None], lines: list[str]) -> None:
        """Replace all header lines."""
        self.names, self.header_lines = names, lines
        self._index()

    # -- writing ---------------------------------------------------------------------------------

    def set_top_via(self, text: str) -> None:
        """Put ``text`` in the place of the topmost Via value."""
        index = self.names.index("via")
        line = self.header_lines[index]
        colon = line.find(":") + 1
        value = line[colon:]
        end = grammar.first_part_end(value)
        line = f"{line[:colon]} {text}{value[end:]}"
        self.header_lines[index] = self._line_of["via"] = line

    def without_top_via(self, extra: str = "") -> bytes:
        """The message for the next hop of a reply: the topmost Via value removed.

        extra: header lines to add at the end, each with CRLF.
        """
        index = self.names.index("via")
        lines = self.header_lines.copy()
        line = lines[index]
        if "," in line and (end := _first_value_end(line)) < len(line):
            lines[index] = f"Via: {line[end + 1 :].lstrip()}"
        else:
            del lines[index]
        text = "\r\n".join(lines)
        return self.encode(f"SIP/2.0 {self.status} {self.reason}\r\n{text}\r\n{extra}")

    def encode(self, head: str) -> bytes:
        """``head`` (start line and headers, each with CRLF) with this message's body."""
        return head.encode("utf-8", "surrogateescape") + b"\r\n" + self.body


def _value(line: str) -> str:
    text = line[line.find(":") + 1 :]
    # Before it is stripped: a last line of nothing but blanks is a fold too.
    return (_FOLD.sub(" ", text) if "\n" in text else text).strip(" \t")


def _first_value_end(line: str) -> int:
    colon = line.find(":") + 1
    return colon + grammar.first_part_end(line[colon:])
