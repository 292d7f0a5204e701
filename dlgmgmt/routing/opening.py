"""Making the dialog of a call, and giving it what the script has said of it before."""

from __future__ import annotations

import logging

from dlgmgmt.dialog.errors import TableFull
from dlgmgmt.routing.errors import RouteError
from dlgmgmt.routing.pv import compile_spec
from dlgmgmt.routing.pv_dialog import number, put_var
from dlgmgmt.routing.run import Run
from dlgmgmt.sip.errors import BadMessage
from dlgmgmt.sip.quiet import Quiet

_QUIET = Quiet(logging.getLogger(__name__))


def open_dialog(run: Run) -> bool:
    """Make the dialog of an initial INVITE, once per transaction; False if that is refused."""
    session = run.session
    if session.dialog is not None:
        return True
    if run.message is None:
        return False
    value = compile_spec(run.env.settings.ruri_pvar).get(run)
    req_uri = run.message.uri if value is None else str(value)
    try:
        session.dialog = run.env.open_dialog(run.message, session, req_uri=req_uri)
    except TableFull:
        run.refused = 503, "Service Unavailable"
        return False
    except BadMessage as error:
        run.refused = error.status, error.reason
        return False
    session.dir_upstream = False
    run.choose_own()
    _settle(run)
    return True


def _settle(run: Run) -> None:
    """Carry over what was waiting for the dialog."""
    session, table = run.session, run.env.table
    dialog, context = session.dialog, session.context
    if dialog is None:
        return
    for name, value in session.pending:
        table.profiles.insert(dialog, name, value)
    session.pending.clear()
    for key, text in context.variables.items():
        put_var(run, dialog, key, text)
    context.variables.clear()
    for n in range(32):
        if context.flags >> n & 1:
            table.set_flag(dialog, n)
    apply_timeout(run)
    if context.timeout:
        table.set_lifetime(dialog, context.timeout)
    if context.timeout_route:
        table.set_toroute(dialog, context.timeout_route)
    if context.timeout_bye:
        table.set_timeout_bye(dialog, True)
    if context.keep_caller or context.keep_callee:
        table.set_keepalive(dialog, context.keep_caller, context.keep_callee)
    if context.timeout_noreset:
        table.set_timeout_noreset(dialog, True)
    run.forget_view()


def apply_timeout(run: Run) -> None:
    """Give the dialog the seconds that ``timeout_avp`` holds, unless it has them already."""
    name = run.env.settings.timeout_avp
    if name is None:
        return
    value = compile_spec(name).get(run)
    if value is None or value == run.timeout:
        return
    if run.session.dialog is None and run.sequential:
        run.find_dialog()
    dialog = run.session.dialog
    if dialog is None:
        return
    run.timeout = value
    try:
        seconds = number(value, name, 2**31)
    except RouteError:
        seconds = 0
    if seconds == 0:
        _QUIET.warning("%s holds no number of seconds: %.80r; the timeout stays", name, value)
        return
    run.env.table.set_lifetime(dialog, seconds)
    run.forget_view()
