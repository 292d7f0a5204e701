"""Loading a script: what lies beside it, what it leaves when it fails, and how long it may take."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dlgmgmt.routing.loading import MAX_ABANDONED, Loader
from dlgmgmt.routing.script import Script, ScriptError, load

ROUTE = "def request_route(msg, dlg):\n    return {}\n"


@pytest.fixture(autouse=True)
def interpreter() -> Iterator[None]:
    """The path and the modules as they were."""
    path, modules = sys.path.copy(), sys.modules.copy()
    yield
    sys.path[:] = path
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]
    sys.modules.update(modules)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    # Named after the test: modules are found by name in the whole process.
    return tmp_path


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def nothing(script: Script) -> None:
    del script


def blocked(stop: threading.Event) -> Callable[[Script], None]:
    def init(script: Script) -> None:
        del script
        stop.wait(60)

    return init


def answer(script: Script) -> object:
    return script.request_route(None, None)


# -- modules beside the script ---------------------------------------------------------------------


def test_a_script_may_import_what_lies_beside_it(folder: Path) -> None:
    write(folder, "besides.py", "VALUE = 1\n")
    write(folder, "parted/__init__.py", "from parted.part import VALUE\n")
    write(folder, "parted/part.py", "VALUE = 2\n")
    text = "import besides, parted\n" + ROUTE.format("besides.VALUE + parted.VALUE")
    assert answer(load(write(folder, "script.py", text))) == 3


def test_a_route_may_import_too(folder: Path) -> None:
    write(folder, "lazily.py", "VALUE = 5\n")
    text = "def request_route(msg, dlg):\n    import lazily\n    return lazily.VALUE\n"
    assert answer(load(write(folder, "script.py", text))) == 5


def test_a_reload_reads_them_anew_and_the_old_script_keeps_its_own(folder: Path) -> None:
    path = write(
        folder, "script.py", "import anew, kit.tool\n" + ROUTE.format("anew.A + kit.tool.A")
    )
    write(folder, "anew.py", "A = 1\n")
    write(folder, "kit/__init__.py", "")
    write(folder, "kit/tool.py", "A = 10\n")
    old = load(path)
    write(folder, "anew.py", "A = 2  # longer\n")
    write(folder, "kit/tool.py", "A = 20  # longer\n")
    new = load(path)
    assert (answer(old), answer(new)) == (11, 22)


def test_a_load_that_fails_leaves_the_modules_of_the_one_before(folder: Path) -> None:
    path = write(folder, "script.py", "import undone\n" + ROUTE.format("undone.A"))
    write(folder, "undone.py", "A = 1\n")
    load(path)
    was = sys.modules["undone"], sys.modules["dlgmgmt_script"]
    write(folder, "undone.py", "A = 2  # longer\n")
    write(folder, "fresh.py", "")
    write(folder, "script.py", "import undone, fresh\nraise ValueError('no')\n" + ROUTE.format(1))
    with pytest.raises(ScriptError, match="ValueError: no"):
        load(path)
    assert (sys.modules["undone"], sys.modules["dlgmgmt_script"]) == was
    assert "fresh" not in sys.modules


def test_no_file_beside_the_script_hides_a_module_of_the_daemon(folder: Path) -> None:
    import json  # noqa: PLC0415 - the one that must be found

    write(folder, "json.py", "raise AssertionError\n")
    write(folder, "colorsys.py", "raise AssertionError\n")
    sys.modules.pop("colorsys", None)
    text = "import json, colorsys\n" + ROUTE.format("json, colorsys.__file__")
    found, late = load(write(folder, "script.py", text)).request_route(None, None)
    assert found is json
    assert not late.startswith(str(folder))


def test_only_the_folder_of_the_script_in_force_is_on_the_path(folder: Path) -> None:
    before = sys.path.copy()
    first = write(folder, "first/script.py", ROUTE.format(1))
    second = write(folder, "second/script.py", ROUTE.format(2))
    broken = write(folder, "third/script.py", "raise ValueError\n" + ROUTE.format(3))
    load(first)
    assert sys.path[-1] == str(first.parent)
    load(second)
    with pytest.raises(ScriptError):
        load(broken)
    assert [entry for entry in sys.path if entry not in before] == [str(second.parent)]


def test_modules_that_others_have_imported_are_left_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(folder, "script.py", ROUTE.format(1))
    load(path)
    # A checkout with the daemon in it, and a script beside it.
    monkeypatch.setattr(sys.modules["dlgmgmt"], "__file__", str(folder / "dlgmgmt" / "__init__.py"))
    monkeypatch.setattr(sys.modules["dlgmgmt"], "__path__", [str(folder / "dlgmgmt")])
    before = sys.modules["dlgmgmt"]
    load(path)
    assert sys.modules["dlgmgmt"] is before


# -- the time limit --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("while True:\n    pass\n" + ROUTE.format(1), (1, 2)),
        ("import hanging\n" + ROUTE.format(1), (1,)),
    ],
)
def test_a_script_that_does_not_end_is_refused_with_its_line(
    folder: Path, text: str, line: tuple[int, ...]
) -> None:
    stop = threading.Event()
    write(folder, "hanging.py", "import threading\nthreading.stop.wait(60)\n")
    threading.stop = stop  # type: ignore[attr-defined]  # where the module finds it
    loader = Loader()
    good = loader.load(write(folder, "good.py", ROUTE.format(7)), 30, nothing)
    module = sys.modules["dlgmgmt_script"]
    try:
        with pytest.raises(ScriptError, match=r"not loaded within 0\.2 s") as refused:
            loader.load(write(folder, "script.py", text), 0.2, nothing)
        assert refused.value.line in line
        assert sys.modules["dlgmgmt_script"] is module
        assert answer(good) == 7
    finally:
        stop.set()
        del threading.stop  # type: ignore[attr-defined]  # as above


def test_mod_init_counts_too(folder: Path) -> None:
    stop = threading.Event()
    path = write(folder, "script.py", ROUTE.format(1))
    with pytest.raises(ScriptError, match="not loaded within"):
        Loader().load(path, 0.1, blocked(stop))
    stop.set()


def test_a_loop_is_ended_so_that_it_takes_no_more_time(folder: Path) -> None:
    path = write(folder, "script.py", "while True:\n    pass\n" + ROUTE.format(1))
    loader = Loader()
    before = set(threading.enumerate())
    for _ in range(MAX_ABANDONED + 2):
        with pytest.raises(ScriptError, match="not loaded within"):
            loader.load(path, 0.1, nothing)
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


def test_no_more_than_so_many_blocked_loads(folder: Path) -> None:
    stop = threading.Event()
    path = write(folder, "script.py", ROUTE.format(1))
    loader = Loader()
    before = set(threading.enumerate())
    for _ in range(MAX_ABANDONED):
        with pytest.raises(ScriptError, match="not loaded within"):
            loader.load(path, 0.05, blocked(stop))
    with pytest.raises(ScriptError, match="4 earlier loads still run: restart"):
        loader.load(path, 30, nothing)
    stop.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    assert answer(loader.load(path, 30, nothing)) == 1


def test_a_load_that_ends_after_it_was_given_up_changes_nothing(folder: Path) -> None:
    stop = threading.Event()
    loader = Loader()
    loader.load(write(folder, "good.py", ROUTE.format(7)), 30, nothing)
    module = sys.modules["dlgmgmt_script"]
    before = set(threading.enumerate())
    path = write(folder, "script.py", ROUTE.format(1))
    with pytest.raises(ScriptError, match="not loaded within"):
        loader.load(path, 0.05, blocked(stop))
    stop.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    assert sys.modules["dlgmgmt_script"] is module


@pytest.mark.parametrize("text", ["exit(1)", "raise KeyboardInterrupt", "1 / 0"])
def test_whatever_it_raises_refuses_it(folder: Path, text: str) -> None:
    with pytest.raises(ScriptError) as refused:
        Loader().load(write(folder, "script.py", f"\n{text}\n{ROUTE.format(1)}"), 30, nothing)
    assert refused.value.line == 2
