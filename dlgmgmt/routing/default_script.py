"""The default routing script: stay on the path, track every call, relay.

It is an ordinary script. Copy it, name your copy in the configuration file

    [routing]
    script = "my_script.py"

and change it: the daemon then runs the copy. A script is Python; the daemon calls these functions
of it, and each may be left out:

    request_route(msg, dlg)   every request: decides whether and where it goes
    branch_route(msg, dlg)    every branch of a relayed request, before it is sent
    onreply_route(msg, dlg)   every reply to a relayed request
    failure_route(msg, dlg)   a request all of whose branches have failed: may try others
    event_route(event, dlg)   what becomes of a dialog: event.name is dialog:start, dialog:end,
                              dialog:failed or dialog:expired

msg is the message, dlg its dialog. Texts that you pass may hold pseudo-variables: "$fu" is the
caller's URI, "$hdr(Subject)" a header, "$avp(name)" a value that you have set.
"""

from typing import Any


def request_route(msg: Any, dlg: Any) -> None:
    """Every request comes here; what is called takes effect when the function returns."""
    if msg.has_totag():
        # A request within a dialog (ACK, BYE, re-INVITE, ...): it knows its way by its Route.
        # dlg_manage() finds the dialog, so that dlg and $dlg(...) speak of it.
        dlg.dlg_manage()
        msg.t_relay()
        return

    if msg.is_method("INVITE"):
        # A new call. From here on it is listed, counted and can be ended.
        dlg.dlg_manage()

    if msg.is_method("INVITE|SUBSCRIBE|REFER"):
        # What follows within the dialog shall come by here as well.
        msg.record_route()

    # To the configured routes, or where the Request-URI says.
    msg.t_relay()
