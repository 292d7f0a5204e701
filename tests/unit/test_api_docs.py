"""The examples of docs/api.md, loaded as scripts and run over real calls."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from dlgmgmt.api import DialogApi
from dlgmgmt.dialog.callbacks import Callbacks, DlgCb
from dlgmgmt.routing.script import load
from tests.unit.routing.scripted import Scripted, hang_up
from tests.unit.routing.scripted import home as home  # noqa: PLC0414 - a fixture

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
COUNT, END = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def api(home: Scripted) -> DialogApi:
    world = home.world
    return DialogApi(world.table, world.terminator, Callbacks(world.table))


@pytest.fixture
def use(home: Scripted, api: DialogApi, tmp_path: Path) -> Callable[[str], None]:
    def put(code: str) -> None:
        path = tmp_path / "script.py"
        path.write_text(code)
        script = load(path)
        script.mod_init(api)
        home.routing.use(script)

    return put


def test_every_type_of_callback_and_every_call_is_told() -> None:
    for kind in DlgCb:
        assert f"`DLGCB_{kind.name}`" in TEXT
    calls = [name for name in vars(DialogApi) if name[0] != "_" and name.islower()]
    assert len(calls) == 6
    for name in calls:
        assert f"`{name}(" in TEXT


def test_counting_what_happens(
    home: Scripted, use: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    use("def default_route(msg, dlg):\n    pass\n\n" + COUNT)
    home.talk()
    assert home.world.view().variables == (("born", "yes"),)
    hang_up(home)
    home.alice.invite("1", callid="c2")
    home.bob.reply(home.bob.one("INVITE"), 486)
    assert capsys.readouterr().out.splitlines() == [
        "CONFIRMED c1 0",
        "TERMINATED c1 0",
        "{'calls': 2}",
        "FAILED c2 486",
        "{'calls': 1}",
    ]


def test_ending_a_call_by_info(home: Scripted, use: Callable[[str], None]) -> None:
    use(END)
    call = home.talk()
    home.alice.within(call.caller, "INFO", headers=("X-End: now",))
    got = home.answer_all()
    assert [sip.what for sip in got["alice"]] == ["BYE", "200"]
    assert got["bob"][0]["X-Ended-By"] == "INFO"
    assert home.world.state() == 0
