"""POSIX extended regular expressions: what they find, and that nothing makes them slow."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlgmgmt.commands.ere import MAX_PATTERN, BadPattern, Pattern


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("", "", True),
        ("", "anything", True),
        ("ALICE.*5071", "sip:alice@127.0.0.1:5071", True),
        ("^sip:", "sip:alice@example.com", True),
        ("^alice", "sip:alice@example.com", False),
        (r"example\.com$", "sip:alice@example.com", True),
        (r"example\.com$", "sip:alice@exampleXcom", False),
        ("^$", "", True),
        ("^$", "x", False),
        ("^(a|bc)+$", "abcbca", True),
        ("^(a|bc)+$", "abcbc b", False),
        ("^[0-9]{3,4}$", "1234", True),
        ("^[0-9]{3,4}$", "12345", False),
        ("^a{2}$", "aa", True),
        ("^a{2,}$", "aaaaa", True),
        ("^a{0}b$", "b", True),
        ("[[:digit:]]+@", "sip:123@x", True),
        ("[^[:alnum:]]", "abc1", False),
        ("[]x]", "]", True),
        ("[^]x]", "]", False),
        ("[a-c-]", "-", True),
        ("[A-C]z", "bZ", True),
        (r"\+49", "sip:+49170@x", True),
        ("(sip|sips):", "SIPS:x", True),
        ("(|x)y", "y", True),
        ("a|", "", True),
        (".", "\udc80", True),
    ],
)
def test_what_is_found(pattern: str, text: str, found: bool) -> None:  # noqa: FBT001 - a table
    assert Pattern(pattern).found_in(text) is found


@pytest.mark.parametrize(
    "pattern",
    [
        *("(", ")", "a)", "[", "[]", "[a", "*", "+a", "a|*", "{1}", "a**", "a{", "a{x}", "a{1,2"),
        *("a{2,1}", "a{999}", "a{65}", "a{,3}", "\\", "\\1", "\\w", "[[:nope:]]", "[z-a]", "[a-"),
        "((a{60}){60}){60}",
        "(" * 40 + ")" * 40,
        "x" * (MAX_PATTERN + 1),
    ],
)
def test_what_is_no_expression(pattern: str) -> None:
    with pytest.raises(BadPattern):
        Pattern(pattern)


@st.composite
def patterns(draw: st.DrawFn, depth: int = 3) -> str:
    kind = draw(st.integers(0, 6 if depth else 2))
    if kind <= 1:
        return draw(st.sampled_from("abc"))
    if kind == 2:
        return draw(st.sampled_from([".", "[ab]", "[^a]", "[b-c]"]))
    inner = draw(patterns(depth - 1))
    if kind == 3:
        return f"({inner}){draw(st.sampled_from(['*', '+', '?', '{2}', '{1,3}', '{2,}']))}"
    other = draw(patterns(depth - 1))
    return f"({inner}|{other})" if kind == 4 else f"{inner}{other}"


@settings(deadline=None, max_examples=300)
@given(patterns(), st.text("abcC", max_size=12), st.booleans(), st.booleans())
def test_it_finds_what_the_standard_library_finds(
    pattern: str,
    text: str,
    start: bool,  # noqa: FBT001 - given by hypothesis
    end: bool,  # noqa: FBT001 - as above
) -> None:
    whole = f"{'^' * start}({pattern}){'$' * end}"
    compiled = Pattern(whole)
    for _ in range(2):
        # The second time from what it remembers.
        assert compiled.found_in(text) is bool(re.search(whole, text, re.IGNORECASE))


@pytest.mark.parametrize(
    "pattern", ["^(a+)+$", "(a|aa)+$", "(.*a){20}$", "(x+x+)+y", ".*.*.*.*.*.*=.*$"]
)
def test_no_text_makes_it_slow(pattern: str) -> None:
    compiled = Pattern(pattern)
    begun = time.perf_counter()
    for text in ("a" * 5000 + "!", "x" * 5000):
        compiled.found_in(text)
    assert time.perf_counter() - begun < 5
