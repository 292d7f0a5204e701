"""Finding the modparam lines of a kamailio.cfg."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlgmgmt.config.kamailio import Given, parse


def values(text: str) -> list[tuple[int, str, str | int]]:
    parsed = parse(text)
    assert parsed.notes == []
    return [(item.line, item.name, item.value) for item in parsed.given]


def refused(text: str) -> str:
    parsed = parse(text)
    assert parsed.given == []
    (note,) = parsed.notes
    assert note.wrong
    return note.message


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("5", 5),
        ("-1", -1),
        ("0x1F", 31),
        ('"text"', "text"),
        (r'"a\r\n\t\"b\\\x41\101"', 'a\r\n\t"b\\AA'),
        (r"'a\r\n\"b'", r"a\r\n\"b"),
        ('"a" "b"', "ab"),
        ('"a // b /* c */ # d"', "a // b /* c */ # d"),
        ('"two\nlines"', "two\nlines"),
    ],
)
def test_values(written: str, value: str | int) -> None:
    assert values(f'modparam("dialog", "x", {written})') == [(1, "x", value)]


@pytest.mark.parametrize(
    ("module", "taken"),
    [
        ("ims_dialog", "ims_dialog"),
        ("dialog", "dialog"),
        ("dialog_ng", "dialog_ng"),
        ("tm|dialog", "dialog"),
        ("ims_dialog | dialog", "ims_dialog"),
        ("tm", None),
        ("dialplan", None),
        ("", None),
    ],
)
def test_modules(module: str, taken: str | None) -> None:
    parsed = parse(f'modparam("{module}", "hash_size", 4)')
    assert parsed.notes == []
    assert [item.module for item in parsed.given] == ([taken] if taken else [])


@pytest.mark.parametrize(
    "text",
    [
        '# modparam("dialog", "x", 1)',
        'route { } // modparam("dialog", "x", 1)',
        '/* modparam("dialog", "x", 1)\n modparam("dialog", "y", 1) */',
        r'xlog("modparam(\"dialog\", \"x\", 1)");',
        'xlog(\'modparam("dialog", "x", 1)\');',
        'my_modparam("dialog", "x", 1)',
        "modparam",
        "modparam(",
        'modparam(dialog, "x", 1)',
    ],
)
def test_what_is_no_modparam(text: str) -> None:
    assert values(text) == []


def test_several_on_a_line_and_one_over_several() -> None:
    text = 'modparam("dialog","a",1)modparam("dialog" ,"b", 2);\nmodparam(\n"dialog", # c\n"c",\n3)'
    assert values(text) == [(1, "a", 1), (1, "b", 2), (2, "c", 3)]


def test_lines_are_counted_over_everything() -> None:
    text = '/*\n*/ "a\nb" #!define X \\\n  7\n\nmodparam("dialog", "x", X)'
    assert values(text) == [(6, "x", 7)]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("#!define NAME 4", 4),
        ('!!define NAME "four"', "four"),
        ("#!trydef NAME 4 # comment", 4),
        ("#!substdef '!x!y!'\n#!substdef \"!NAME!8!g\"", 8),
        ('#!substdefs "/NAME/eight/"', "eight"),
    ],
)
def test_names_of_values(line: str, value: str | int) -> None:
    assert [v for _, _, v in values(f'{line}\nmodparam("dialog", "x", NAME)')] == [value]


def test_substitutions_within_strings() -> None:
    text = '#!substdef "!HOST!db1!g"\nmodparam("dialog", "db_url", "mysql://u:p@HOST/x")'
    assert values(text) == [(2, "db_url", "mysql://u:p@db1/x")]


def test_single_quotes_are_raw() -> None:
    assert parse(r"""modparam('dialog', 'x', 'a\n')""").given == [
        Given(1, "dialog", "x", r"a\n", raw=True)
    ]


def test_conditional_lines_are_taken_with_a_warning() -> None:
    text = """\
#!ifdef WITH_A
#!ifndef WITH_B
modparam("dialog", "a", 1)
#!else
modparam("dialog", "b", 2)
#!endif
modparam("dialog", "c", 3)
#!endif
modparam("dialog", "d", 4)
"""
    parsed = parse(text)
    assert [item.name for item in parsed.given] == ["a", "b", "c", "d"]
    assert [(note.line, note.message, note.wrong) for note in parsed.notes] == [
        (3, f"{WARNING.format('a')}#!ifndef WITH_B (line 2)", False),
        (5, f"{WARNING.format('b')}#!ifndef WITH_B (line 2), #!else", False),
        (7, f"{WARNING.format('c')}#!ifdef WITH_A (line 1)", False),
    ]


WARNING = "warning: dialog.{} is taken, though its line is within "


def test_a_name_with_two_values_is_warned_about() -> None:
    text = '#!define X 1\n#!redefine X 2\nmodparam("dialog", "x", X)'
    parsed = parse(text)
    assert [item.value for item in parsed.given] == [2]
    (note,) = parsed.notes
    assert note == (
        3,
        "warning: X has more than one possible value, that of line 2 is taken",
        False,
    )


@pytest.mark.parametrize("line", ['include_file "b.cfg"', '#!import_file "b.cfg"'])
def test_other_files_are_not_followed(line: str) -> None:
    (note,) = parse(f"\n{line}\n").notes
    assert note.line == 2
    assert not note.wrong
    assert "_file is not followed" in note.message


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('modparam("dialog", "x", NAME)', "dialog.x is refused: its value NAME is no #!define"),
        (
            '#!define NAME f(1)\nmodparam("dialog", "x", NAME)',
            "dialog.x is refused: the #!define NAME of line 1 is no plain value",
        ),
        ('modparam("dialog", "x")', "dialog.x is refused: , is missing; allowed: modparam("),
        ('modparam("dialog", "x", )', "dialog.x is refused: its value is missing or is ')'"),
        ('modparam("dialog", "x", 1', "dialog.x is refused: ) is missing"),
        ('modparam("dialog", x, 1)', "modparam(dialog) is refused: a string is expected, not 'x'"),
        ('modparamx("dialog", "x", "$def(X)")', "dialog.x is refused: modparamx has variables"),
        ('modparam("tm", "a", 1)\nxlog("open', "a string that begins here, or one before it"),
    ],
)
def test_what_cannot_be_used(text: str, why: str) -> None:
    assert refused(text).startswith(why)


def test_substitutions_do_not_grow_without_end() -> None:
    lines = "".join(f'#!substdef "!{c}!{c * 50}!"\n' for c in "abc")
    big = refused(f'{lines}modparam("dialog", "x", "{"abc" * 1000}")')
    assert "its value gets too long" in big


_PIECES = st.sampled_from(
    ['modparam("dialog"', ",", '"x"', "'", '"', "\\", "#!define A 1\n", "#!else\n", "/*", "*/", "A"]
)


@given(st.one_of(st.text(), st.lists(_PIECES).map("".join)))
def test_no_text_breaks_it(text: str) -> None:
    parsed = parse(text)
    last = text.count("\n") + 1
    lines = [item.line for item in parsed.given] + [note.line for note in parsed.notes]
    assert all(1 <= line <= last for line in lines)
