"""Which lines of the program an input reaches: what reaches a new one is worth changing further."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any


class Coverage:
    """Lines of ``modules``, given by name."""

    def __init__(self, *modules: str) -> None:
        self._files: dict[str, set[int]] = {}
        self.possible = 0
        for name in modules:
            spec = importlib.util.find_spec(name)
            assert spec is not None
            assert spec.origin is not None
            self._files[spec.origin] = set()
            text = Path(spec.origin).read_text()
            self.possible += len(_lines(compile(text, spec.origin, "exec"), inside=False))

    @property
    def reached(self) -> int:
        """Lines reached so far."""
        return sum(len(lines) for lines in self._files.values())

    def watch(self, work: Callable[[], None]) -> bool:
        """Run ``work``; whether it reached a line that none had reached before."""
        before = self.reached
        old = sys.gettrace()
        sys.settrace(self._call)
        try:
            work()
        finally:
            sys.settrace(old)
        return self.reached > before

    def _call(self, frame: FrameType, _event: str, _arg: Any) -> Callable[..., Any] | None:
        lines = self._files.get(frame.f_code.co_filename)
        if lines is None:
            return None

        def line(frame: FrameType, event: str, _arg: Any) -> Callable[..., Any]:
            if event == "line":
                lines.add(frame.f_lineno)
            return line

        return line


def _lines(code: CodeType, *, inside: bool) -> set[int]:
    """Lines of the functions of a module; what runs at import is none of an input's doing."""
    found: set[int] = set()
    if inside:
        found |= {line for *_, line in code.co_lines() if line and line != code.co_firstlineno}
    for const in code.co_consts:
        if isinstance(const, CodeType):
            # The body of a class runs at import too.
            function = bool(const.co_flags & 0x2)
            found |= _lines(const, inside=function)
    return found
