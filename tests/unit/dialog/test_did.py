from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlgmgmt.dialog.did import decode_did, encode_did

_NUMBER = st.integers(0, 0xFFFFFFFF)


def test_the_example_of_the_module() -> None:
    assert encode_did(0xF2C, 0x2EEF) == "c2f.fee2"
    assert decode_did("c2f.fee2") == (0xF2C, 0x2EEF)


def test_zeros_survive() -> None:
    assert encode_did(0, 0x10) == "0.01"
    assert decode_did("0.01") == (0, 0x10)


@given(_NUMBER, _NUMBER)
def test_every_id_comes_back(h_entry: int, h_id: int) -> None:
    assert decode_did(encode_did(h_entry, h_id)) == (h_entry, h_id)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a",
        "a.",
        ".a",
        "a.b.c",
        "A.b",
        "g.1",
        "-1.1",
        " a.b",
        "a.b\n",
        "123456789.1",
        "٣.1",
    ],
)
def test_anything_else_is_no_did(text: str) -> None:
    assert decode_did(text) is None


@given(st.text())
def test_decoding_never_raises(text: str) -> None:
    ids = decode_did(text)
    assert ids is None or all(0 <= number <= 0xFFFFFFFF for number in ids)
