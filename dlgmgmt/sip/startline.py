"""The first line of a message, where it is not of the form that all but a few have."""

from __future__ import annotations

import re
from typing import NamedTuple

from dlgmgmt.sip.errors import BadMessage, NotSip
from dlgmgmt.sip.grammar import TOKEN

_STATUS = re.compile(r"SIP/2\.0 ([1-6][0-9]{2})(?: ([^\r\n]*+))?", re.ASCII | re.IGNORECASE)
_REQUEST = re.compile(
    rf"({TOKEN})[ \t](.*)[ \t]SIP/([0-9]++)\.([0-9]++)[ \t]*+", re.ASCII | re.IGNORECASE
)


class StartLine(NamedTuple):
    """method and uri of a request, or status and reason of a reply.

    defect: what is wrong with a request line that still says which request it is.
    """

    method: str = ""
    uri: str = ""
    status: int = 0
    reason: str = ""
    defect: BadMessage | None = None


def read_start(line: str) -> StartLine:
    """Read a start line; raises NotSip if it is none.

    A request is refused rather than repaired: what is wrong with its first line would otherwise
    be forwarded, or be read in another way by the next hop (RFC 4475 3.1.2.7 to 3.1.2.10).
    """
    status = _STATUS.fullmatch(line)
    if status is not None:
        return StartLine(status=int(status[1]), reason=status[2] or "")
    request = _REQUEST.fullmatch(line)
    if request is None:
        # A reply with another version, or a status that there cannot be, is nobody's to answer.
        raise NotSip
    method, uri, *version = request.groups()
    uri = uri.strip()
    defect = None
    if version != ["2", "0"]:
        defect = BadMessage(505, "Version Not Supported")
    elif line[:-7] != f"{method} {uri} " or len(uri.split()) != 1:
        defect = BadMessage(400, "Bad request line")
    return StartLine(method, uri, defect=defect)
