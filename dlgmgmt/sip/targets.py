"""Where a request within a dialog, or one that a script has routed, is sent."""

from __future__ import annotations

from dlgmgmt.dialog.model import Direction
from dlgmgmt.dialog.tracker import Match
from dlgmgmt.sip.errors import BadMessage
from dlgmgmt.sip.hooks import RelayPlan
from dlgmgmt.sip.hop import Hop, Target, forward_target


def planned(plan: RelayPlan | None, hop: Hop, usual: Target | None) -> list[Target]:
    """The targets of a plan, with the Route values that remain. usual: without a plan."""
    if plan is None or not plan.targets:
        return [usual] if usual is not None else []
    found = []
    for target in plan.targets:
        through = forward_target(target.uri, hop.routes) if target.uri else usual
        if through is not None:
            found.append(
                through._replace(
                    destination=target.destination or through.destination, edits=target.edits
                )
            )
    return found


def routed(hop: Hop) -> Target | None:
    """Where a sequential request says that it goes; None if that is here. Raises BadMessage."""
    if hop.routes or hop.own_uri is None:
        return forward_target(hop.uri, hop.routes)
    return None


def followed(match: Match | None) -> Target | None:
    """Where the dialog says that a request for this address goes; None if it does not know.

    A peer that ignores Record-Route sends to us what is meant for the other side.
    """
    if match is None or match.leg is None:
        return None
    if match.direction is Direction.DOWNSTREAM:
        uri, routes = match.leg.callee_contact, match.leg.callee_route_set
    else:
        uri, routes = match.dialog.caller_contact, match.dialog.caller_route_set
    try:
        return forward_target(uri, routes) if uri else None
    except BadMessage:
        return None
