from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mi_fifo import (
    MiNode,
    MiReply,
    MiTemplate,
    MiText,
    command_failed,
    command_not_available,
    escape,
    parse_error,
    parse_tree,
    prerender,
    render,
)
from tests.unit.mi_fifo.harness import DATA


def rendered(reply: MiReply) -> bytes:
    return b"".join(render(reply))


def test_an_empty_list_is_eight_bytes() -> None:
    assert rendered(MiReply(200, "OK")) == b"200 OK\n\n"


def test_a_tree() -> None:
    leg = MiNode("leg", "x", children=[MiNode("to_tag", "b"), MiText("plain")])
    node = MiNode("dialog", None, [("hash", "1:2"), ("n", 3)], [MiNode("state", 0), leg])
    assert rendered(MiReply(200, "OK", [node, MiNode("did", "")])) == (
        b"200 OK\ndialog::  hash=1:2 n=3\n\tstate:: 0\n\tleg:: x\n\t\tto_tag:: b\n\t\tplain\n"
        b"did:: \n\n"
    )


def test_errors_of_the_framing_have_no_empty_line() -> None:
    assert rendered(command_not_available("x")) == b"500 command 'x' not available\n"
    assert rendered(parse_error("x")) == b"400 parse error in command 'x'\n"
    assert rendered(command_failed("x")) == b"500 command 'x' failed\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é \\x", "plain é \\x"),
        ("a\nstate:: 4", "a\\x0astate:: 4"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("\x9b31m\x7f\r\t", "\\x9b31m\\x7f\\x0d\\x09"),
        ("\u202eabc\u2028", "\\u202eabc\\u2028"),
        ("\udcff", "\\xff"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_nothing_unprintable_is_shown(text: str, shown: str) -> None:
    assert escape(text) == shown
    node = MiNode("name", text, [("attr", text)], [MiText(text)])
    assert rendered(MiReply(200, text, [node])).decode() == (
        f"200 {shown}\nname:: {shown} attr={shown}\n\t{shown}\n\n"
    )


@given(st.text(), st.text(), st.text())
def test_no_value_forges_a_line(name: str, value: str, attribute: str) -> None:
    data = rendered(MiReply(200, value, [MiNode(name, value, [(name, attribute)]), MiText(value)]))
    lines = data.decode().split("\n")
    assert len(lines) == 5
    assert all(line.isprintable() for line in lines)


def test_items_rendered_before_are_sent_as_they_are() -> None:
    nodes = [MiNode("a", "b", (), [MiNode("c", "\n")])]
    kept = prerender(nodes)
    assert rendered(MiReply(200, "OK", [kept, kept])) == rendered(MiReply(200, "OK", nodes * 2))


@given(st.text(), st.text() | st.integers(), st.text())
def test_a_template_renders_as_its_node_does(name: str, value: str | int, attribute: str) -> None:
    template = MiTemplate(name, [name, "n"], [name, "%d", "last"])
    node = MiNode(
        name,
        None,
        [(name, attribute), ("n", 1)],
        [MiNode(name, value), MiNode("%d", 2), MiNode("last", "")],
    )
    assert template.fill(attribute, 1, value, 2, "") == prerender([node])


def test_a_long_reply_comes_in_chunks_and_its_nodes_are_taken_one_by_one() -> None:
    taken = 0

    def nodes() -> Iterator[MiNode]:
        nonlocal taken
        for number in range(100_000):
            taken += 1
            yield MiNode("node", number)

    chunks = render(MiReply(200, "OK", nodes()), chunk_size=4096)
    first = next(chunks)
    assert first.startswith(b"200 OK\nnode:: 0\n")
    assert len(first) < 4096 + 20
    assert taken < 400
    assert sum(map(len, chunks)) + len(first) == 8 + sum(
        len(f"node:: {n}\n") for n in range(100_000)
    )


# The real program died over one request: that capture is empty.
REPLIES = sorted(path for path in (DATA / "ims_dialog").glob("*.rep") if path.stat().st_size)


@pytest.mark.parametrize("path", REPLIES, ids=lambda path: path.stem)
def test_a_captured_tree_is_rendered_byte_for_byte(path: Path) -> None:
    data = path.read_bytes()
    first, *lines = data.decode().split("\n")
    code, _, text = first.partition(" ")
    final_blank = len(lines) > 1
    tree = parse_tree(lines[: -2 if final_blank else -1])
    assert rendered(MiReply(int(code), text, tree, final_blank)) == data


@given(st.lists(st.text(st.sampled_from("\t:= ax"), max_size=12)))
def test_any_lines_are_a_tree_with_a_node_for_each(lines: list[str]) -> None:
    assert nodes(parse_tree(lines)) == len(lines)


def nodes(tree: Sequence[MiNode | MiText]) -> int:
    return sum(1 + (nodes(node.children) if isinstance(node, MiNode) else 0) for node in tree)
