"""Which function may be called in which route: one table, and the guard that reads it.

Where the manual names the routes of a function, they are these, and no others. For the rest
Kamailio's dialog, tm, sl and rr modules document them. Notes on single rows:

- ``unset_dlg_profile``: the manual allows branch, reply and failure routes. Its chapter 3 shows
  profiles to the request route as well, but seeing them is ``is_in_profile``; nothing there asks
  for a removal, so the row stays as the manual has it.
- ``event``: event routes and timeout routes have a dialog and no message. What the dialog module
  allows in any route is allowed there, save what needs a message (``dlg_manage``,
  ``is_known_dlg``) and ``unset_dlg_profile``.
- ``record_route``: rr allows branch and failure routes too. Here one Record-Route is part of the
  transaction: it cannot differ between branches, and a later branch has that of the first.
- ``drop``: in an onreply route for provisional replies alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Concatenate, ParamSpec, TypeVar

from dlgmgmt.routing.errors import RouteError

REQUEST = "request"
BRANCH = "branch"
ONREPLY = "onreply"
FAILURE = "failure"
EVENT = "event"

TITLES = MappingProxyType(
    {
        REQUEST: "request_route",
        BRANCH: "branch_route",
        ONREPLY: "onreply_route",
        FAILURE: "failure_route",
        EVENT: "event_route",
    }
)

_MESSAGE = (REQUEST, BRANCH, ONREPLY, FAILURE)
_ANY = (*_MESSAGE, EVENT)

ALLOWED: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        # Manual, chapter 6.
        "set_dlg_profile": _ANY,
        "unset_dlg_profile": (BRANCH, ONREPLY, FAILURE),
        "is_in_profile": _ANY,
        "get_profile_size": _ANY,
        "dlg_isflagset": _ANY,
        "dlg_setflag": _ANY,
        "dlg_resetflag": _ANY,
        "dlg_terminate": _ANY,
        "dlg_refer": _ANY,
        "dlg_manage": (REQUEST,),
        "dlg_bridge": _ANY,
        "dlg_get": _ANY,
        "is_known_dlg": _MESSAGE,
        # The dialog module's further functions.
        "dlg_set_timeout": _ANY,
        "dlg_set_property": _ANY,
        "set_var": _ANY,
        "get_var": _ANY,
        # The message.
        "ruri": (REQUEST, BRANCH, FAILURE),
        "set_destination": (REQUEST, BRANCH, FAILURE),
        "append_branch": (REQUEST, FAILURE),
        "serial": (REQUEST, FAILURE),
        "parallel": (REQUEST, FAILURE),
        "t_relay": (REQUEST, FAILURE),
        "send_reply": (REQUEST, FAILURE),
        "append_to_reply": (REQUEST, FAILURE),
        "record_route": (REQUEST,),
        "loose_route": (REQUEST,),
        "t_check_status": (ONREPLY, FAILURE),
        "drop": (REQUEST, BRANCH, ONREPLY),
        "append_hf": _MESSAGE,
        "remove_hf": _MESSAGE,
        "setflag": _MESSAGE,
        "resetflag": _MESSAGE,
        "isflagset": _MESSAGE,
    }
)


def check(function: str, route: str) -> None:
    """Raise RouteError unless ``function`` may be called in ``route``."""
    allowed = ALLOWED[function]
    if route not in allowed:
        where = ", ".join(TITLES[name] for name in allowed)
        raise RouteError(f"{function} cannot be used in {TITLES[route]}, only in {where}")


_P = ParamSpec("_P")
_R = TypeVar("_R")


def restricted(function: Callable[Concatenate[Any, _P], _R]) -> Callable[Concatenate[Any, _P], _R]:
    """A method of an object whose ``_run`` has a ``route``, guarded by the method's row."""
    name = function.__name__

    @functools.wraps(function)
    def guarded(self: Any, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        check(name, self._run.route)
        return function(self, *args, **kwargs)

    return guarded
