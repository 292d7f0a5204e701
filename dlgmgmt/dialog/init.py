"""What makes a dialog: its initial INVITE."""

from __future__ import annotations

from typing import NamedTuple


class DialogInit(NamedTuple):
    """What the initial INVITE says of a dialog; lifetime in seconds."""

    callid: str
    from_tag: str
    from_uri: str
    to_uri: str
    req_uri: str
    cseq: int
    contact: str
    route_set: tuple[str, ...]
    bind_addr: str
    lifetime: int
