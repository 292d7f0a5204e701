"""Finding the line of a key in TOML text."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dlgmgmt.config.lines import Path, key_lines, line_of

TEXT = '''\
# comment [not.a.table]
top = """
[sip]
t1 = 3 \\"""
"""
"quoted key".inner = 1

[sip] # trailing ]
a = [ "x]", # b = 2
  'y = ["', {c = 1} ]
b = """ends with a quote""""
c = {
}
[[sip.route]]
targets = []
[[sip.route]]
targets = []
[sip.route.deep]
x = 1
['literal "x"'.y]
z = 1
'''.replace("{\n}", "{ k = 1 }")


def test_every_kind_of_statement() -> None:
    tomllib.loads(TEXT)
    lines = key_lines(TEXT)
    expected: dict[Path, int] = {
        ("top",): 2,
        ("quoted key", "inner"): 6,
        ("sip",): 8,
        ("sip", "a"): 9,
        ("sip", "b"): 11,
        ("sip", "c"): 12,
        ("sip", "route", 0): 13,
        ("sip", "route", 0, "targets"): 14,
        ("sip", "route", 1): 15,
        ("sip", "route", 1, "targets"): 16,
        ("sip", "route", 1, "deep", "x"): 18,
        ('literal "x"', "y", "z"): 20,
    }
    assert {path: lines.get(path) for path in expected} == expected
    assert ("sip", "t1") not in lines
    assert ("b",) not in lines


def test_a_key_of_an_inline_table_has_the_line_of_the_table() -> None:
    lines = key_lines("\nsip = { t1 = 3 }\n")
    assert line_of(lines, ("sip", "t1")) == 2
    assert line_of(lines, ("unknown",)) == 1


_KEYS = st.sampled_from(["a", "b-1", "c_2", '"q [x] = #"', "'l #= ['"])
_VALUES = st.sampled_from(
    [
        "1",
        "true",
        '"a = b"',
        '"\\"] #"',
        "'x\"['",
        "[1, [2,\n 3], # ]\n]",
        '{ x = "}" }',
        "1979-05-27",
        '"""a\n[b]\nc = 1"""',
        "'''a\n'' [b]\nc = 1'''",
        '""',
    ]
)


@given(st.lists(st.tuples(_KEYS, _VALUES), unique_by=lambda pair: pair[0]), st.booleans())
def test_each_key_is_found_where_it_was_written(
    pairs: list[tuple[str, str]],
    crowded: bool,  # noqa: FBT001 - drawn
) -> None:
    text = "[t]\n"
    wanted: dict[str, int] = {}
    for key, value in pairs:
        text += "" if crowded else "# c = 1 [\n\n"
        name = next(iter(tomllib.loads(f"{key} = 1")))
        wanted[name] = text.count("\n") + 1
        text += f"  {key} = {value} # end\n"
    data: dict[str, Any] = tomllib.loads(text)
    assert set(data["t"]) == set(wanted)
    lines = key_lines(text)
    assert {path[1]: line for path, line in lines.items() if len(path) == 2} == wanted


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    assert all(line >= 1 for line in key_lines(text).values())
