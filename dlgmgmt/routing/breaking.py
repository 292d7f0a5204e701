"""Ending a loop of a script from another thread."""

from __future__ import annotations

import ctypes
import sys
import threading
from types import FrameType


class ScriptTimeout(BaseException):
    """Raised within a run that has been given up. No Exception: a script rarely catches it."""


def stack_of(thread: threading.Thread | None) -> FrameType | None:
    """The innermost frame of a running thread; None if it does not run."""
    if thread is None or thread.ident is None:
        return None
    return sys._current_frames().get(thread.ident)  # noqa: SLF001 - the one way to see it


def break_loop(thread: threading.Thread | None, path: str) -> bool:
    """Raise ScriptTimeout in a thread that is seen to run code of the script. False: it is not.

    Only where that is the script's own code and nothing of others has called it back: within the
    daemon's or the library's functions it could leave a lock taken or a record half changed. The
    caller sees to it that the thread cannot end meanwhile.
    """
    # The second look is the one that counts: hardly anything runs between it and the call.
    for _ in range(2):
        if not _only_script(stack_of(thread), path):
            return False
    if thread is None or thread.ident is None:
        return False
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident), ctypes.py_object(ScriptTimeout)
    )
    return True


def _only_script(frame: FrameType | None, path: str) -> bool:
    """Whether the innermost frames are the script's and none further out is."""
    if frame is None or frame.f_code.co_filename != path:
        return False
    while frame is not None and frame.f_code.co_filename == path:
        frame = frame.f_back
    while frame is not None:
        if frame.f_code.co_filename == path:
            return False
        frame = frame.f_back
    return True
