"""What loading a script changes in the interpreter, and taking it back: sys.path and sys.modules.

A script may import what lies beside it. Its folder is the last place where modules are looked
for, so that no file there hides one that the daemon needs. What was found there is forgotten
before the script is loaded anew, and so read anew with it.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
import types

NAME = "dlgmgmt_script"
"""The script's own module."""


class _State:
    """lock: guards all of this module. known: names that belong to others, whatever their folder.

    folder: the one that a script has put on sys.path, "" for none.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.known: frozenset[str] = frozenset()
        self.folder = ""


_STATE = _State()


class LoadedModules:
    """The modules of one script while it is loaded: :meth:`begin`, and :meth:`undo` if it fails."""

    def __init__(self, file: str) -> None:
        self._folder = os.path.realpath(os.path.dirname(file) or ".")  # noqa: PTH120 - as sys.path has it
        self._before: dict[str, types.ModuleType] = {}
        self._was = ""
        self._begun = False
        self._over = False

    def begin(self, module: types.ModuleType) -> None:
        """Let ``module`` be the script, and let it find what is in its folder."""
        with _STATE.lock:
            if self._over:
                raise RuntimeError("this load has been given up")
            if not _STATE.known:
                # Before the first script: all that is here came without one.
                _STATE.known = frozenset(_tops())
            self._begun = True
            self._was = _STATE.folder
            for name in _names({self._folder, self._was}):
                self._before[name] = sys.modules.pop(name)
            self._look_in(self._folder)
            # Classes look their module up there while they are made: dataclasses do.
            sys.modules[NAME] = module

    def undo(self) -> None:
        """Put everything back as it was; once."""
        with _STATE.lock:
            begun, self._begun, self._over = self._begun, False, True
            if not begun:
                return
            for name in _names({self._folder}):
                del sys.modules[name]
            sys.modules.update(self._before)
            self._look_in(self._was)

    @staticmethod
    def _look_in(folder: str) -> None:
        if _STATE.folder and _STATE.folder != folder and _STATE.folder in sys.path:
            sys.path.remove(_STATE.folder)
        if folder and folder not in sys.path:
            sys.path.append(folder)
            _STATE.folder = folder
        elif folder != _STATE.folder:
            # It is there already, by somebody else's doing.
            _STATE.folder = ""
        # A file may be newer than what was last seen of its folder.
        importlib.invalidate_caches()


def _tops() -> set[str]:
    return {name.partition(".")[0] for name in list(sys.modules)}


def _names(folders: set[str]) -> list[str]:
    """The script's module, and the modules that were found in these folders, with their parts."""
    tops = {NAME}
    for name, module in list(sys.modules.items()):
        if "." not in name and name not in _STATE.known and _folder_of(module) in folders - {""}:
            tops.add(name)
    return [name for name in list(sys.modules) if name.partition(".")[0] in tops]


def _folder_of(module: types.ModuleType) -> str:
    """Where a top-level module was found; "" for what is no Python file or package of its own."""
    try:
        file, path = getattr(module, "__file__", None), list(getattr(module, "__path__", ()))
    except Exception:  # noqa: BLE001 - anybody may put anything there
        return ""
    if path:
        return os.path.realpath(os.path.dirname(str(path[0])))  # noqa: PTH120 - as above
    if not isinstance(file, str) or not file.endswith((".py", ".pyc")):
        # Machine code cannot be loaded twice.
        return ""
    return os.path.realpath(os.path.dirname(file))  # noqa: PTH120 - as above
