"""The layout by lines: that of Kamailio 5.6, as it was recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlgmgmt.interfaces.rpc_pretty import Pretty

RECORDED = Path(__file__).parents[2] / "data" / "rpc-5.6"
# Their floats are written with six digits after the point.
REPLIES = [
    path
    for path in sorted(RECORDED.glob("*/*/dgram/*.rep"))
    if path.stat().st_size and "float" not in path.name
]


@pytest.mark.parametrize("path", REPLIES, ids=lambda path: f"{path.parts[-4]}-{path.stem}")
def test_recorded_replies_come_out_as_they_were(path: Path) -> None:
    recorded = path.read_bytes().rstrip(b"\n")
    compact = json.dumps(json.loads(recorded), separators=(",", ":"), ensure_ascii=False).encode()
    assert Pretty().feed(compact) == recorded


def test_there_are_recordings() -> None:
    assert len(REPLIES) > 100


def test_pieces_make_the_same_layout_as_the_whole() -> None:
    pieces = [
        b'{"jsonrpc":"2.0","result":[',
        b'{"a":[]}',
        b',{"b":{}}',
        b',"x,y"',
        b'],"id":',
        b"1}",
    ]
    printer = Pretty()
    text = b"".join(printer.feed(piece) for piece in pieces)
    assert text == Pretty().feed(b"".join(pieces))
    assert json.loads(text) == {"jsonrpc": "2.0", "result": [{"a": []}, {"b": {}}, "x,y"], "id": 1}
    assert (
        b'"result":\t[{\n\t\t\t"a":\t[]\n\t\t}, {\n\t\t\t"b":\t{\n\t\t\t}\n\t\t}, "x,y"],\n' in text
    )


def test_brackets_and_quotes_in_text_are_left_alone() -> None:
    value = {'k"{[,:': ['{"a":1}', "\\", '\\"', "[,]"], "n": [1, -2.5, True, None]}
    compact = json.dumps(value, separators=(",", ":")).encode()
    assert json.loads(Pretty().feed(compact)) == value
