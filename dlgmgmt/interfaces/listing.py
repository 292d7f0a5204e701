"""The JSON of a listing, dialog by dialog, kept until the dialog changes.

A wall of dashboards asks for thousands of dialogs every second, of which a few have changed. What
is left of a dialog in its snapshot is its text, cut where the clock shows: the duration and the
seconds that are left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

from dlgmgmt.dialog.events import DialogEvent
from dlgmgmt.dialog.views import DialogView, Snapshot
from dlgmgmt.interfaces.rpc_render import JSON, dialog_item

_DURATION = b'"duration":'
_LEFT = b'"timeout_left":'


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
