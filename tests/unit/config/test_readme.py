"""The README lists every parameter with its default."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from dlgmgmt.config import Config, schema
from tests.unit.config.harness import read

README = (Path(__file__).parents[3] / "README.md").read_text()


def listing() -> str:
    (found,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    return str(found)


@pytest.mark.parametrize("table", ["ims_dialog", "routing"])
def test_each_parameter_is_there_with_its_default(tmp_path: Path, table: str) -> None:
    text = listing()
    part = text[text.index(f"[{table}]") :].partition("\n\n")[0]
    assert re.findall(r"^(?:# )?(\w+) = ", part, re.MULTILINE) == [*schema.TABLES[table]]
    given, nothing = read(tmp_path, part), read(tmp_path, "")

    def settings(config: Config) -> object:
        return config.dialog if table == "ims_dialog" else config.routing

    assert settings(given) == settings(nothing)
    assert given.warnings == ()


def test_the_examples_of_what_is_not_set_are_good(tmp_path: Path) -> None:
    (tmp_path / "routes.py").touch()
    text = re.sub(r"^# (?=dlg_flag|timeout_avp|script)", "", listing(), flags=re.MULTILINE)
    config = read(tmp_path, text)
    assert config.dialog.dlg_flag == 4
    assert config.dialog.timeout_avp == "$avp(i:10)"
    assert config.routing.script == str(tmp_path / "routes.py")
    assert "ims_dialog" in tomllib.loads(text)
