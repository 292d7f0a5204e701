"""Routing scripts as files: what is loaded, and on which line it is wrong."""

from __future__ import annotations

import linecache
import os
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dlgmgmt.routing import default_script
from dlgmgmt.routing.routes import FUNCTIONS
from dlgmgmt.routing.script import (
    MAX_BYTES,
    PARAMETERS,
    ScriptError,
    check,
    describe,
    load,
    place,
    stack_line,
    stack_place,
    where,
)

File = Callable[[str], str]


@pytest.fixture
def file(tmp_path: Path) -> File:
    """Write a script, always to the same file; its path."""

    def write(text: str) -> str:
        path = tmp_path / "routes.py"
        path.write_bytes(textwrap.dedent(text).lstrip("\n").encode())
        return str(path)

    return write


def refusal(path: str, function: Callable[[str], object] = load) -> ScriptError:
    with pytest.raises(ScriptError) as caught:
        function(path)
    return caught.value


GOOD = """
    import dataclasses

    def request_route(msg, dlg):
        return msg, dlg

    def credit_over_route(event, dlg):
        return "over"

    def plain(event, dlg):
        return "plain"

    def _private_route(msg, dlg):
        pass
"""


def test_the_functions_of_a_script_are_its_attributes(file: File) -> None:
    script = load(file(GOOD))
    assert script.request_route(1, 2) == (1, 2)
    assert script.credit_over_route(None, None) == "over"
    assert script.plain(None, None) == "plain"
    assert script.route_names == ("request_route", "credit_over_route")
    for name in ("failure_route", "_private_route", "mod_init", "print"):
        assert not hasattr(script, name)


def test_what_the_daemon_calls_is_what_the_routes_run() -> None:
    assert tuple(PARAMETERS)[:-1] == FUNCTIONS
    assert tuple(PARAMETERS)[-1] == "mod_init"


def test_the_default_script_is_a_script() -> None:
    path = default_script.__file__
    check(path)
    assert load(path).route_names == ("request_route",)


def test_check_runs_nothing(file: File, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    path = file(f"open({str(mark)!r}, 'w').close()\ndef request_route(msg, dlg): pass\n")
    check(path)
    assert not mark.exists()
    load(path)
    assert mark.exists()


def test_loading_again_is_a_new_script_and_the_old_one_goes_on(file: File) -> None:
    text = "seen = []\ndef request_route(msg, dlg):\n    seen.append(msg)\n    return {0!r}, seen\n"
    old = load(file(text.format("old")))
    old.request_route(1, None)
    new = load(file(text.format("new")))
    assert new.request_route(2, None) == ("new", [2])
    assert old.request_route(3, None) == ("old", [1, 3])


def test_a_script_that_does_not_load_leaves_the_one_before(file: File) -> None:
    old = load(file("def request_route(msg, dlg):\n    raise KeyError(msg)  # the old line\n"))
    module = sys.modules[old.request_route.__module__]
    refusal(file("def request_route(msg, dlg):\n    pass\nraise ValueError\n"))
    assert sys.modules[old.request_route.__module__] is module
    # A traceback shows the lines that run, not those of the file as it is now.
    assert "the old line" in linecache.getline(old.path, 2)
    linecache.checkcache(old.path)
    assert "the old line" in linecache.getline(old.path, 2)


def test_a_script_knows_its_file_and_may_define_dataclasses(file: File) -> None:
    path = file(
        """
        from __future__ import annotations
        import dataclasses

        @dataclasses.dataclass
        class Plan:
            cost: int = 5

        def request_route(msg, dlg):
            return Plan().cost, __file__, __name__
        """
    )
    assert load(path).request_route(None, None) == (5, path, "dlgmgmt_script")


def test_mod_init_is_collected_and_enough(file: File) -> None:
    path = file("calls = []\ndef mod_init(api):\n    calls.append(api)\n    return calls\n")
    assert load(path).mod_init("api") == ["api"]


def test_a_byte_order_mark_and_crlf_are_taken(file: File) -> None:
    path = file("\ufeff# \u00e4\r\ndef request_route(msg, dlg):\r\n    return 1 / 0\r\n")
    with pytest.raises(ZeroDivisionError) as caught:
        load(path).request_route(None, None)
    assert where(caught.value, path) == 3
    assert linecache.getline(path, 3) == "    return 1 / 0\n"


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("x = 1\n\ndef request_route(msg, dlg)\n    pass\n", 3, "syntax error: expected ':'"),
        ("def request_route(msg, dlg):\n    pass\nreturn 5\n", 3, "'return' outside function"),
        ("def request_route(msg):\n    pass\n", 1, "def request_route(msg, dlg)"),
        ("\ndef event_route(event, dlg, more):\n    pass\n", 2, "def event_route(event, dlg)"),
        ("\ndef branch_route(msg, dlg, *, x):\n    pass\n", 2, "must take two parameters"),
        ("\n\ndef mod_init():\n    pass\n", 3, "one parameter: def mod_init(api)"),
        ("\nasync def request_route(msg, dlg):\n    pass\n", 2, "without async and yield"),
        ("def request_route(msg, dlg):\n    yield\n", 1, "without async and yield"),
        ("if True:\n    def request_route(msg):\n        pass\n", 2, "two parameters"),
        ("def requst_route(msg, dlg):\n    pass\n", 0, "none of request_route, branch_route"),
        ("", 0, "defines nothing that the daemon calls"),
    ],
)
def test_wrong_scripts_are_refused_with_the_line(
    file: File, text: str, line: int, message: str
) -> None:
    path = file("")
    Path(path).write_text(text)
    for function in (check, load):
        error = refusal(path, function)
        assert (error.file, error.line) == (path, line)
        assert message in error.message
        assert str(error).startswith(f"{path}:{line}: " if line else f"{path}: ")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("import os\n\n\nrequest_route = 5\n", 4, "request_route is no function"),
        ("failure_route = lambda msg: None\n", 1, "must take two parameters"),
        (
            "def none(f):\n    return lambda: f\n@none\ndef request_route(msg, dlg):\n    pass\n",
            4,
            "must take two parameters",
        ),
        ("from os.path import *\n", 0, "defines nothing that the daemon calls"),
        ("def request_route(msg, dlg):\n    pass\ndel request_route\n", 0, "defines nothing"),
        ("def request_route(msg, dlg):\n    pass\n\n1 / 0\n", 4, "ZeroDivisionError: division by"),
        ("import sys\nsys.exit(3)\ndef request_route(msg, dlg):\n    pass\n", 2, "SystemExit: 3"),
        ("import no_such_thing\ndef request_route(m, d): pass\n", 1, "ModuleNotFoundError"),
        (
            "import json\ndef f():\n    json.loads('x')\nf()\ndef request_route(m, d): pass\n",
            3,
            "JSONDecodeError",
        ),
    ],
)
def test_what_shows_only_when_it_runs_is_refused_with_the_line(
    file: File, text: str, line: int, message: str
) -> None:
    path = file("")
    Path(path).write_text(text)
    error = refusal(path)
    assert (error.file, error.line) == (path, line)
    assert message in error.message


def test_the_signature_may_be_wider(file: File) -> None:
    script = load(
        file(
            """
            def request_route(*args): return args
            def branch_route(msg, dlg, more=None): return msg, dlg, more
            class Route:
                def __call__(self, msg, dlg): return dlg, msg
            if True:
                onreply_route = Route()
            """
        )
    )
    assert script.request_route(1, 2) == (1, 2)
    assert script.branch_route(1, 2) == (1, 2, None)
    assert script.onreply_route(1, 2) == (2, 1)


def test_files_that_are_no_script(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    assert "cannot be read: No such file" in refusal(str(path)).message
    assert refusal(str(tmp_path)).message == "not a regular file"
    os.mkfifo(tmp_path / "fifo")
    assert refusal(str(tmp_path / "fifo")).message == "not a regular file"
    assert "cannot be read" in refusal("a\0b").message
    path.write_bytes(b"# fine\n# \xff\ndef request_route(msg, dlg): pass\n")
    error = refusal(str(path))
    assert (error.line, error.message) == (2, "not UTF-8: byte 0xff")
    path.write_bytes(b"def request_route(msg, dlg): pass\n".ljust(MAX_BYTES, b"#"))
    check(path)
    path.write_bytes(b"def request_route(msg, dlg): pass\n".ljust(MAX_BYTES + 1, b"#"))
    assert refusal(str(path)).message == "larger than 1048576 bytes"
    path.write_bytes(b"def request_route(msg, dlg): pass\n\0")
    assert "null byte" in refusal(str(path)).message


def test_deep_nesting_is_refused(file: File) -> None:
    path = file("x = " + "-" * 200_000 + "1\ndef request_route(msg, dlg): pass\n")
    assert refusal(path, check).file == path


def test_a_long_chain_of_elif_is_no_matter(file: File) -> None:
    chain = "if 0: pass\n" + "elif 0: pass\n" * 150
    check(file(chain + "else:\n    def request_route(msg, dlg): pass\n"))


# -- lines ---------------------------------------------------------------------------------------


RAISING = """
    import json

    def request_route(msg, dlg):
        helper(msg)

    def helper(text):
        json.loads(text)
"""


def test_the_line_of_an_exception_is_the_innermost_of_the_script(file: File) -> None:
    path = file(RAISING)
    with pytest.raises(ValueError, match="Expecting") as caught:
        load(path).request_route("x", None)
    assert where(caught.value, path) == 7
    assert place(caught.value, path) == f"{path}:7"


def test_an_exception_that_the_script_has_no_part_in(file: File) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        divmod(1, 0)
    assert where(caught.value, file("")) == 0
    assert place(caught.value, file("")).startswith(f"{__file__}:")
    assert where(ValueError("never raised"), file("")) == 0
    assert place(ValueError("never raised"), file("")) == file("")


def test_the_line_of_a_running_stack(file: File) -> None:
    path = file("def request_route(msg, dlg):\n    msg.set()\n    dlg.wait()\n")
    script = load(path)
    here, on = threading.Event(), threading.Event()
    thread = threading.Thread(target=script.request_route, args=(here, on))
    thread.start()
    try:
        assert here.wait(5)
        frame = None
        for _ in range(5000):
            frame = sys._current_frames()[thread.ident or 0]
            if stack_line(frame, path) == 3:
                break
            on.wait(0.001)
        assert stack_line(frame, path) == 3
        assert stack_place(frame, path) == f"{path}:3"
    finally:
        on.set()
        thread.join()
    assert stack_line(sys._getframe(), path) == 0
    assert stack_place(sys._getframe(), path).startswith(f"{__file__}:")
    assert stack_place(None, path) == path


def test_an_exception_is_described_on_one_line() -> None:
    class Rude(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert describe(ValueError("a\r\nb\x1b[2J")) == "ValueError: a  b [2J"
    assert describe(KeyError()) == "KeyError"
    assert describe(Rude()) == "Rude: (its message cannot be read)"
    assert len(describe(ValueError("x" * 5000))) < 320
