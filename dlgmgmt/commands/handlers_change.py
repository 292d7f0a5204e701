"""Handlers of the commands that change a dialog: its variables, flags, profiles and timeout."""

from __future__ import annotations

from dlgmgmt.commands.errors import Failure, Refused
from dlgmgmt.commands.filters import flag
from dlgmgmt.commands.handlers_query import the_one
from dlgmgmt.commands.registry import Call
from dlgmgmt.commands.results_query import Changed, Flag, Variables
from dlgmgmt.dialog import query
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.profiles import NoSuchProfile

_SHOWN = 200


def _chosen(call: Call) -> Dialog:
    """The dialog that is meant, by its numbers or its Call-ID and tags; raises Refused."""
    values = call.values
    by_numbers = "h_entry" in values or "h_id" in values
    if by_numbers and not ("h_entry" in values and "h_id" in values):
        raise Refused(Failure.TOO_FEW, "h_entry and h_id go together")
    if by_numbers and "callid" in values:
        raise Refused(Failure.BAD_VALUE, "callid, or h_entry and h_id, not both")
    if not by_numbers and "callid" not in values:
        raise Refused(Failure.TOO_FEW, "callid, or h_entry and h_id, is missing")
    if by_numbers:
        place = call.number("h_entry"), call.number("h_id")
    else:
        view = the_one(call)
        place = view.h_entry, view.h_id
    dialog = call.context.table.dialog(*place)
    if dialog is None or not query.is_alive(dialog):
        raise Refused(Failure.NO_DIALOG)
    return dialog


def var_set(call: Call) -> Changed:
    """Set a variable, or remove it."""
    dialog = _chosen(call)
    try:
        call.context.table.set_var(dialog, call.text("key"), call.optional_text("value"))
    except ValueError as error:
        raise Refused(Failure.BAD_VALUE, str(error)) from None
    return Changed()


def var_get(call: Call) -> Variables:
    """One variable, or all."""
    values = call.context.table.vars(_chosen(call))
    key = call.optional_text("key")
    if key is None:
        return Variables(values)
    if key not in values:
        raise Refused(Failure.NO_VARIABLE)
    return Variables({key: values[key]})


def flag_set(call: Call) -> Flag:
    """Set a flag."""
    number, dialog = flag(call), _chosen(call)
    call.context.table.set_flag(dialog, number)
    return Flag(number, on=True)


def flag_reset(call: Call) -> Flag:
    """Clear a flag."""
    number, dialog = flag(call), _chosen(call)
    call.context.table.reset_flag(dialog, number)
    return Flag(number, on=False)


def flag_get(call: Call) -> Flag:
    """Tell whether a flag is set."""
    number, dialog = flag(call), _chosen(call)
    return Flag(number, on=call.context.table.is_flag_set(dialog, number))


def profile_set(call: Call) -> Changed:
    """Put a dialog into a profile, if it is not in it with this value."""
    name, value, dialog = call.text("profile"), call.optional_text("value"), _chosen(call)
    profiles = call.context.table.profiles
    try:
        # From scripts each insertion counts; an operator who repeats himself means one.
        needs_value = value is None and profiles.has_value(name)
        if needs_value or not profiles.contains(dialog, name, value):
            profiles.insert(dialog, name, value)
    except NoSuchProfile:
        raise Refused(Failure.NO_PROFILE, name[:_SHOWN]) from None
    except ValueError as error:
        raise Refused(Failure.BAD_VALUE, str(error)) from None
    return Changed()


def profile_unset(call: Call) -> Changed:
    """Take a dialog out of a profile; Refused(NO_MEMBER) if it was not in it."""
    name, value, dialog = call.text("profile"), call.optional_text("value"), _chosen(call)
    profiles = call.context.table.profiles
    try:
        if profiles.has_value(name) and value is None:
            raise Refused(Failure.BAD_VALUE, f"profile {name[:_SHOWN]} needs a value")
        if not profiles.remove(dialog, name, value):
            raise Refused(Failure.NO_MEMBER)
        while profiles.remove(dialog, name, value):
            pass  # a script may have put it in more than once
    except NoSuchProfile:
        raise Refused(Failure.NO_PROFILE, name[:_SHOWN]) from None
    return Changed()


def timeout_set(call: Call) -> Changed:
    """How long a dialog may last, from now on where it is answered."""
    dialog = _chosen(call)
    try:
        call.context.table.set_lifetime(dialog, call.number("seconds"))
    except ValueError as error:
        raise Refused(Failure.BAD_VALUE, str(error)) from None
    return Changed()
