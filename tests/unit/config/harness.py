"""Configuration files for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlgmgmt.config import Config, ConfigError, load


def read(folder: Path, text: str, *modparams: str) -> Config:
    path = folder / "dlgmgmt.toml"
    path.write_text(text)
    return load(path, {}, modparams)


def problems(folder: Path, text: str, *modparams: str) -> list[str]:
    """What is wrong, each line without the folder."""
    with pytest.raises(ConfigError) as caught:
        read(folder, text, *modparams)
    return [line.removeprefix(f"{folder}/") for line in str(caught.value).split("\n")]
