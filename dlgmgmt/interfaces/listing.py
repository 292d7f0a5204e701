"""Listings for all doors: batch by batch, in whatever encoding.

The JSON of the plain listing is kept dialog by dialog until the dialog changes: a wall of
dashboards asks for thousands of dialogs every second, of which a few have changed. What is left of
a dialog in its snapshot is its text, cut where the clock shows: the duration and the seconds that
are left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, cast

from dlgmgmt.commands.results import (
    BriefListing,
    ChosenListing,
    ContextListing,
    DialogListing,
    ImsListing,
    Listing,
)
from dlgmgmt.dialog.events import DialogEvent
from dlgmgmt.dialog.views import DialogView, Snapshot
from dlgmgmt.interfaces.rpc_items import brief_item, context_item, dialog_item, ims_item
from dlgmgmt.interfaces.rpc_render import JSON

_DURATION = b'"duration":'
_LEFT = b'"timeout_left":'


class JsonText(NamedTuple):
    """A listing as JSON. batches: some objects each, with commas between them; none is empty."""

    opening: bytes
    batches: Iterator[bytes]
    closing: bytes


def json_text(listing: Listing) -> JsonText:
    """The JSON of a listing, made while ``batches`` is read."""
    if isinstance(listing, DialogListing):
        now = listing.now
        plain = (json_items(batch, now) for batch in listing.snapshots if batch)
        return JsonText(b"[", plain, b"]")
    batches = (JSON.encode(batch)[1:-1] for batch in records(listing))
    wrapping = around(listing)
    if wrapping is None:
        return JsonText(b"[", batches, b"]")
    members, name = wrapping
    opening = JSON.encode({**members, name: []}).removesuffix(b"]}")
    return JsonText(opening, batches, b"]}")


def records(listing: Listing) -> Iterator[list[object]]:
    """The records of a listing, batch by batch, none of which is empty; any encoder takes them."""
    match listing:
        case DialogListing(batches, _, now) | ChosenListing(batches, now):
            return ([dialog_item(view, now) for view in batch] for batch in batches if batch)
        case ContextListing(found, now):
            return ([context_item(each, now) for each in batch] for batch in found if batch)
        case BriefListing(batches, fields):
            return ([brief_item(view, fields) for view in batch] for batch in batches if batch)
        case ImsListing(batches, _):
            return ([ims_item(view) for view in batch] for batch in batches if batch)


def around(listing: Listing) -> tuple[dict[str, object], str] | None:
    """The object that holds the array: its members before it, and the array's name.

    None where the array itself is the result.
    """
    if isinstance(listing, ImsListing):
        return {"Size": listing.size}, "Dialogs"
    return None


class Fragment(NamedTuple):
    """The text around the two numbers. start_ts, timeout: Unix seconds, 0 for none."""

    head: bytes
    start_ts: int
    middle: bytes
    timeout: int
    tail: bytes


def json_items(snapshots: Sequence[Snapshot], now: int) -> bytes:
    """The dialogs as JSON objects with commas between them; now: Unix seconds."""
    parts = []
    for snapshot in snapshots:
        fragment = snapshot.rendered
        if not isinstance(fragment, Fragment):
            view = snapshot.view
            if view is not None and view.end_ts:
                # Its duration stands still, and it will leave soon: not worth keeping.
                parts.append(JSON.encode(dialog_item(view, now)))
                continue
            fragment = render_snapshot(snapshot)
        head, start_ts, middle, timeout, tail = fragment
        duration = now - start_ts if 0 < start_ts <= now else 0
        left = timeout - now if timeout > now else 0
        parts.append(b"%b%d%b%d%b" % (head, duration, middle, left, tail))
    return b",".join(parts)


def render_snapshot(snapshot: Snapshot) -> Fragment:
    """Render a snapshot's view and keep the outcome in its place."""
    view = snapshot.view
    # Another thread may be here with the same snapshot: it sets the one before it unsets the other.
    done = snapshot.rendered
    if view is None or isinstance(done, Fragment):
        return cast("Fragment", done)
    fragment = _fragment(view)
    snapshot.rendered = fragment
    snapshot.view = None
    return fragment


def _fragment(view: DialogView) -> Fragment:
    item = dialog_item(view, 0)
    item.duration = item.timeout_left = 0
    text = JSON.encode(item)
    # No text of a SIP message can look like these: its quotes come out escaped. Names of profiles
    # and variables are keys too; they stand after the one and before the other.
    duration = text.index(_DURATION) + len(_DURATION)
    left = text.rindex(_LEFT) + len(_LEFT)
    return Fragment(
        text[:duration],
        view.start_ts,
        text[duration + 1 : left],
        view.timeout,
        text[left + 1 :],
    )


def render_early(
    snapshot: Callable[[int, int], Snapshot | None],
) -> Callable[[DialogEvent], None]:
    """A listener that renders the event's dialog at once. snapshot: the table's own.

    Meant for dialogs that have just been confirmed, and will stay as they are for most of their
    life: the first listing then neither works nor takes memory for each of them.
    """

    def listener(event: DialogEvent) -> None:
        found = snapshot(event.h_entry, event.h_id)
        if found is not None and found.rendered is None:
            render_snapshot(found)

    return listener
