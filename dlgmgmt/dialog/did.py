"""The dialog id that travels in Record-Route: ``<entry>.<id>``, hexadecimal, last digit first."""

from __future__ import annotations

import re

_DID = re.compile(r"([0-9a-f]{1,8})\.([0-9a-f]{1,8})", re.ASCII)


def encode_did(h_entry: int, h_id: int) -> str:
    """Write ids as the ims_dialog module does: entry 0xf2c, id 0x2eef give "c2f.fee2"."""
    return f"{h_id:x}.{h_entry:x}"[::-1]


def decode_did(text: str) -> tuple[int, int] | None:
    """Return (h_entry, h_id), or None if ``text`` is not a dialog id."""
    match = _DID.fullmatch(text)
    if match is None:
        return None
    return int(match[1][::-1], 16), int(match[2][::-1], 16)
