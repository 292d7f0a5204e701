"""Handlers of the commands that list dialogs in one form or another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dlgmgmt.commands.errors import Failure, Refused
from dlgmgmt.commands.registry import Call
from dlgmgmt.commands.results import (
    BriefListing,
    ContextListing,
    ContextMatches,
    ContextView,
    DialogListing,
    DialogMatches,
    ImsListing,
    ProfileSize,
)
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.profiles import NoSuchProfile
from dlgmgmt.dialog.views import DialogView

Pair = tuple[Dialog, DialogView]
"""A dialog and its copy."""

BRIEF_DEFAULT = "ftcFT"
"""The letters of dlg.briefing if it is told none."""

_SHOWN = 200


def list_all(call: Call) -> DialogListing:
    """Every dialog, copied while the listing is read."""
    context = call.context
    table = context.table
    return DialogListing(table.iter_views(), table.iter_snapshots(), int(context.clock()))


def find(call: Call) -> DialogMatches:
    """The dialogs with a Call-ID, and a From tag if one is given; possibly none."""
    context = call.context
    views = context.table.find(call.text("callid"), call.optional_text("from_tag"))
    return DialogMatches(tuple(views), int(context.clock()))


def list_or_find(call: Call) -> DialogListing | DialogMatches:
    """Every dialog, or those with a Call-ID; Refused(NO_DIALOG) if it names none."""
    if "callid" not in call.values:
        return list_all(call)
    matches = find(call)
    if not matches.views:
        raise Refused(Failure.NO_DIALOG)
    return matches


def with_context(call: Call, batches: Iterable[list[Pair]]) -> Iterator[list[ContextView]]:
    """The dialogs with what their callbacks write; those run here, without a lock."""
    describe = call.context.describe
    return ([ContextView(view, describe(dialog)) for dialog, view in batch] for batch in batches)


def list_all_ctx(call: Call) -> ContextListing:
    """As list_all, with their context."""
    context = call.context
    return ContextListing(with_context(call, context.table.iter_pairs()), int(context.clock()))


def find_ctx(call: Call) -> ContextMatches:
    """As find, with their context."""
    context = call.context
    pairs = context.table.find_pairs(call.text("callid"), call.optional_text("from_tag"))
    (found,) = with_context(call, [pairs])
    return ContextMatches(tuple(found), int(context.clock()))


def list_or_find_ctx(call: Call) -> ContextListing | ContextMatches:
    """As list_or_find, with their context."""
    if "callid" not in call.values:
        return list_all_ctx(call)
    matches = find_ctx(call)
    if not matches.found:
        raise Refused(Failure.NO_DIALOG)
    return matches


def briefing(call: Call) -> BriefListing:
    """Every dialog with the fields that the letters name; those that are none name nothing."""
    fields = call.optional_text("fields")
    if fields is None or fields.isdecimal():
        # A number names no field: the real server then shows what it shows without.
        fields = BRIEF_DEFAULT
    return BriefListing(call.context.table.iter_views(), fields)


def list_ims(call: Call) -> ImsListing:
    """Every dialog as ims_dialog's own RPC lists it."""
    table = call.context.table
    return ImsListing(table.iter_views(), table.size)


def profile_size(call: Call) -> ProfileSize:
    """How many dialogs a profile has, with the value if one is given."""
    name, value = _profile(call)
    try:
        count = call.context.table.profiles.size(name, value)
    except NoSuchProfile:
        raise Refused(Failure.NO_PROFILE, name[:_SHOWN]) from None
    return ProfileSize(name, value or "", count)


def profile_list(call: Call) -> DialogListing:
    """The dialogs of a profile, with the value if one is given."""
    name, value = _profile(call)
    profiles = call.context.table.profiles
    try:
        batches, kept = profiles.iter_views(name, value), profiles.iter_snapshots(name, value)
    except NoSuchProfile:
        raise Refused(Failure.NO_PROFILE, name[:_SHOWN]) from None
    return DialogListing(batches, kept, int(call.context.clock()))


def _profile(call: Call) -> tuple[str, str | None]:
    """An empty value is none, as in the dialog module."""
    return call.text("profile"), call.optional_text("value") or None
