"""Loading a script within a time limit: top level and ``mod_init`` are an operator's code too."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from dlgmgmt.routing.breaking import ScriptTimeout, break_loop, stack_of
from dlgmgmt.routing.modules import LoadedModules
from dlgmgmt.routing.script import Script, ScriptError, describe, load, stack_line, where

MAX_ABANDONED = 4
"""Loads that were given up and still run; beyond, no other is begun."""


class Loader:
    """Loads one script after the other, each on a thread of its own."""

    def __init__(self) -> None:
        self._abandoned: list[_Load] = []

    def load(
        self, path: str | os.PathLike[str], limit: float, init: Callable[[Script], None]
    ) -> Script:
        """The script, after ``init`` has run with it. limit: seconds. Raises ScriptError.

        What was loaded before is then as it was. A thread that loops in the script is ended; one
        that blocks cannot be, and is left alone.
        """
        self._abandoned = [load for load in self._abandoned if load.alive()]
        if len(self._abandoned) >= MAX_ABANDONED:
            raise ScriptError(
                str(Path(path)), 0, f"{MAX_ABANDONED} earlier loads still run: restart"
            )
        load = _Load(str(Path(path)), init)
        load.thread.start()
        if load.ended.wait(limit):
            return load.result()
        line = load.give_up()
        self._abandoned.append(load)
        raise ScriptError(load.path, line, f"not loaded within {limit:g} s")


class _Load:
    """One load."""

    def __init__(self, path: str, init: Callable[[Script], None]) -> None:
        self.path = path
        self._init = init
        self._modules = LoadedModules(path)
        self._script: Script | None = None
        self._error: ScriptError | None = None
        self.ended = threading.Event()
        # A daemon thread: a script that never finishes must not hold up the end.
        self.thread = threading.Thread(target=self._run, name="script-load", daemon=True)

    def _run(self) -> None:
        try:
            self._script = load(self.path, self._init, self._modules)
        except ScriptError as error:
            self._error = error
        except BaseException as error:  # noqa: BLE001 - exit() and whatever else a script raises
            self._error = ScriptError(self.path, where(error, self.path), describe(error))
        try:
            self.ended.set()
        except ScriptTimeout:
            # It came as the load ended.
            self.ended.set()

    def result(self) -> Script:
        """The script; raises what was wrong."""
        if self._script is None:
            raise self._error or ScriptError(self.path, 0, "not loaded")
        return self._script

    def give_up(self) -> int:
        """Take back what was loaded so far; the line that it is at."""
        line = stack_line(stack_of(self.thread), self.path)
        self._modules.undo()
        break_loop(self.thread, self.path)
        return line

    def alive(self) -> bool:
        """Whether it still runs; if it loops in the script now, it will not for long."""
        return self.thread.is_alive() and not (
            break_loop(self.thread, self.path) and self.ended.wait(0.1)
        )
