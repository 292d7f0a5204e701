"""Pseudo-variables of the dialog: the manual's chapter 10.

Without a dialog they are None, except for $DLG_count and $dlg_ctx(...), and for $dlg_var(...),
which keeps what is set before the dialog exists. Readings within one template speak of one moment.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import MappingProxyType

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.views import DialogView, LegView
from dlgmgmt.routing.decision import MAX_PENDING, DialogContext, Value
from dlgmgmt.routing.errors import RouteError, ScriptLimit
from dlgmgmt.routing.pv_sip import Access, Getter
from dlgmgmt.routing.run import MAX_VALUE, Run

_KEY = re.compile(r"[A-Za-z0-9_.:\-]{1,64}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)
_MAX_FLAGS = 2**32
_MAX_SECONDS = 2**31


# -- readings --------------------------------------------------------------------------------------


def _count(run: Run) -> Value:
    counts = run.env.table.counts()
    return (
        counts.unconfirmed
        + counts.early
        + counts.confirmed
        + counts.confirmed_no_ack
        + counts.concurrent
    )


def _status(run: Run) -> Value:
    view = run.view()
    return int(view.state) if view is not None else None


def _lifetime(run: Run) -> Value:
    view = run.view()
    if view is None:
        return None
    if not view.start_ts:
        return 0
    return max(0, (view.end_ts or int(run.env.clock())) - view.start_ts)


PLAIN: MappingProxyType[str, Access] = MappingProxyType(
    {
        "DLG_count": (_count, None),
        "DLG_status": (_status, None),
        "DLG_lifetime": (_lifetime, None),
    }
)


def _of_view(get: Callable[[DialogView], Value]) -> Getter:
    def getter(run: Run) -> Value:
        view = run.view()
        if view is None:
            return None
        value = get(view)
        return None if value == "" else value

    return getter


def _of_leg(get: Callable[[LegView], Value]) -> Getter:
    def getter(run: Run) -> Value:
        leg = run.leg()
        if leg is None:
            return None
        value = get(leg)
        return None if value == "" else value

    return getter


def _from_cseq(run: Run) -> Value:
    leg, view = run.leg(), run.view()
    if leg is not None:
        return leg.caller_cseq
    return view.first_req_cseq if view is not None else None


ATTRIBUTES: MappingProxyType[str, Getter] = MappingProxyType(
    {
        "h_id": _of_view(lambda v: v.h_id),
        "h_entry": _of_view(lambda v: v.h_entry),
        "ref": _of_view(lambda v: v.ref_count),
        "state": _of_view(lambda v: int(v.state)),
        "to_rs": _of_leg(lambda leg: leg.callee_route_set),
        "from_rs": _of_view(lambda v: v.caller_route_set),
        "dflags": _of_view(lambda v: v.dflags),
        "sflags": _of_view(lambda v: v.sflags),
        "callid": _of_view(lambda v: v.callid),
        "to_uri": _of_view(lambda v: v.to_uri),
        "to_tag": _of_leg(lambda leg: leg.to_tag),
        "from_uri": _of_view(lambda v: v.from_uri),
        "from_tag": _of_view(lambda v: v.from_tag),
        "toroute": _of_view(lambda v: v.toroute),
        "lifetime": _of_view(lambda v: v.lifetime),
        "start_ts": _of_view(lambda v: v.start_ts),
        "to_cseq": _of_leg(lambda leg: leg.callee_cseq),
        "from_cseq": _from_cseq,
        "to_contact": _of_leg(lambda leg: leg.callee_contact),
        "from_contact": _of_view(lambda v: v.caller_contact),
        "to_bindaddr": _of_leg(lambda leg: leg.callee_bind_addr),
        "from_bindaddr": _of_view(lambda v: v.caller_bind_addr),
    }
)


def _dlg(arg: str) -> Access:
    getter = ATTRIBUTES.get(arg)
    if getter is None:
        raise ValueError(f"$dlg knows {', '.join(ATTRIBUTES)}")
    return getter, None


# -- $dlg_ctx --------------------------------------------------------------------------------------


def number(value: Value, what: str, limit: int, least: int = 0) -> int:
    """A number from ``least`` to below ``limit``, also written as text; RouteError otherwise."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = int(value)
    if not isinstance(value, int) or not least <= value < limit:
        raise RouteError(f"{what} takes a number from {least} to {limit - 1}, not {value!r:.80}")
    return int(value)


def _context(run: Run) -> DialogContext:
    return run.session.context


def _get_flags(run: Run) -> Value:
    view = run.view()
    return view.sflags if view is not None else _context(run).flags


def _set_flags(run: Run, value: Value) -> None:
    flags = number(value, "$dlg_ctx(flags)", _MAX_FLAGS)
    _context(run).flags = flags
    dialog, table = run.dialog, run.env.table
    if dialog is not None:
        for n in range(32):
            (table.set_flag if flags >> n & 1 else table.reset_flag)(dialog, n)
    run.forget_view()


def _get_timeout(run: Run) -> Value:
    view = run.view()
    return view.lifetime if view is not None else _context(run).timeout


def set_timeout(run: Run, value: Value, what: str = "$dlg_ctx(timeout)") -> None:
    """The timeout of the dialog, or of the one that is to be; 0 leaves the default."""
    seconds = number(value, what, _MAX_SECONDS)
    _context(run).timeout = seconds
    dialog = run.dialog
    if dialog is not None and seconds > 0:
        run.env.table.set_lifetime(dialog, seconds)
    run.forget_view()


def _set_timeout_bye(run: Run, value: Value) -> None:
    on = number(value, "$dlg_ctx(timeout_bye)", 2) == 1
    _context(run).timeout_bye = on
    if run.dialog is not None:
        run.env.table.set_timeout_bye(run.dialog, on)
    run.forget_view()


def _get_timeout_route(run: Run) -> Value:
    view = run.view()
    return (view.toroute if view is not None else _context(run).timeout_route) or None


def _set_timeout_route(run: Run, value: Value) -> None:
    name = "" if value is None else str(value)
    if name and not _is_function(run, name):
        raise RouteError(f"the script has no function {name[:80]!r} for a timeout route")
    _context(run).timeout_route = name
    if run.dialog is not None:
        run.env.table.set_toroute(run.dialog, name)
    run.forget_view()


def _is_function(run: Run, name: str) -> bool:
    usable = name.isidentifier() and not name.startswith("_")
    return usable and callable(getattr(run.functions, name, None))


def _set_on(run: Run, value: Value) -> None:
    _context(run).on = number(value, "$dlg_ctx(on)", _MAX_SECONDS)


def _direction(run: Run) -> Value:
    if run.dialog is None:
        return 0
    return 2 if run.session.dir_upstream else 1


_CONTEXT: MappingProxyType[str, Access] = MappingProxyType(
    {
        "on": (lambda run: _context(run).on, _set_on),
        "set": (lambda run: int(run.dialog is not None), None),
        "dir": (_direction, None),
        "flags": (_get_flags, _set_flags),
        "timeout": (_get_timeout, set_timeout),
        "timeout_bye": (lambda run: int(_context(run).timeout_bye), _set_timeout_bye),
        "timeout_route": (_get_timeout_route, _set_timeout_route),
    }
)


def _dlg_ctx(arg: str) -> Access:
    access = _CONTEXT.get(arg)
    if access is None:
        raise ValueError(f"$dlg_ctx knows {', '.join(_CONTEXT)}")
    return access


# -- $dlg_var --------------------------------------------------------------------------------------


def get_var(run: Run, key: str) -> str | None:
    """A variable of the dialog, or of the one that is to be."""
    dialog = run.dialog
    if dialog is None:
        return _context(run).variables.get(key)
    return run.env.table.get_var(dialog, key)


def set_var(run: Run, key: str, value: Value) -> None:
    """Set or remove (None) a variable of the dialog, or of the one that is to be."""
    if _KEY.fullmatch(key) is None:
        raise RouteError("a dialog variable is named with letters, digits, _ . : -, 64 at most")
    text = None if value is None else str(value)
    dialog = run.dialog
    if text is not None and len(text) > MAX_VALUE:
        raise ScriptLimit(f"a dialog variable of {len(text)} characters, more than {MAX_VALUE}")
    if dialog is not None:
        put_var(run, dialog, key, text)
        return
    waiting = _context(run).variables
    if text is None:
        waiting.pop(key, None)
    elif key not in waiting and len(waiting) >= MAX_PENDING:
        raise ScriptLimit(f"more than {MAX_PENDING} dialog variables")
    else:
        waiting[key] = text


def put_var(run: Run, dialog: Dialog, key: str, text: str | None) -> None:
    """Set or remove a variable of this dialog; raises ScriptLimit."""
    try:
        run.env.table.set_var(dialog, key, text)
    except ValueError as error:
        raise ScriptLimit(str(error)) from error
    run.forget_view()


def _dlg_var(arg: str) -> Access:
    if _KEY.fullmatch(arg) is None:
        raise ValueError("a dialog variable is named with letters, digits, _ . : -, 64 at most")
    return lambda run: get_var(run, arg), lambda run, value: set_var(run, arg, value)


WITH_ARGUMENT: MappingProxyType[str, Callable[[str], Access]] = MappingProxyType(
    {"dlg": _dlg, "dlg_ctx": _dlg_ctx, "dlg_var": _dlg_var}
)
