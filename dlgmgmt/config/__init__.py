"""The configuration file: TOML in, checked settings of every room out.

Nothing is taken that is not known and in range, and all that is wrong is reported at once, with
file, line, parameter, value and what is allowed.
"""

from __future__ import annotations

from dlgmgmt.config.load import Config, load
from dlgmgmt.config.problems import ConfigError, Problem
from dlgmgmt.config.rundir import (
    RunDirectoryError,
    fifo_path,
    reply_path,
    run_directory,
)

__all__ = [
    "Config",
    "ConfigError",
    "Problem",
    "RunDirectoryError",
    "fifo_path",
    "load",
    "reply_path",
    "run_directory",
]
