"""Text on terminals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlgmgmt.cli.text import cut, duration, table, visible, width


@given(st.text())
def test_nothing_invisible_is_left(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    assert visible(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain %s {} text", "plain %s {} text"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\x9b", r"\x9b"),
        ("a\u202eb\u2066c", r"a\u202eb\u2066c"),
        ("a\u2028b\nc\td", r"a\u2028b\x0ac\x09d"),
        ("\udcff", r"\udcff"),
        ("\U000e0041", r"\U000e0041"),
        ("a\u00a0b", r"a\xa0b"),
        ("Zoë 日本", "Zoë 日本"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text(), st.integers(1, 40))
def test_a_cut_text_fits(text: str, room: int) -> None:
    shown = visible(text)
    assert width(cut(shown, room)) <= max(room, 1)


def test_wide_characters_keep_the_columns_aligned() -> None:
    lines = table(("A", "B"), [("日本", "x"), ("abc", "y")], room=None)
    assert lines == ["A     B", "日本  x", "abc   y"]


def test_a_table_is_narrowed_at_its_widest_column() -> None:
    lines = table(("ID", "TEXT"), [("1", "x" * 100)], room=20)
    assert lines == ["ID  TEXT", "1   " + "x" * 15 + "~"]
    assert table(("ID", "TEXT"), [("1", "x" * 100)], room=3)[1] == "1   xxxxxxx~"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0s"), (59, "59s"), (245, "4m05s"), (7380, "2h03m"), (273_600, "3d04h")],
)
def test_duration(seconds: int, shown: str) -> None:
    assert duration(seconds) == shown
