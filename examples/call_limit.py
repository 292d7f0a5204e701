"""At most two calls per caller at a time, counted by a dialog profile.

    [ims_dialog]
    profiles_with_value = "caller"

    [routing]
    script = "call_limit.py"

A call leaves its profiles the moment it ends, whatever ends it: there is nothing to count down.
"""

from typing import Any

LIMIT = 2


def request_route(msg: Any, dlg: Any) -> None:
    """Refuse a new call of somebody who has his share already."""
    if msg.has_totag():
        dlg.dlg_manage()
        msg.t_relay()
        return

    if msg.is_method("INVITE"):
        # Counted from the first INVITE, so that two calls at the same moment cannot both slip in.
        dlg.dlg_manage()
        dlg.set_dlg_profile("caller", "$fu")
        if dlg.get_profile_size("caller", "$fu") > LIMIT:
            # The dialog ends with this answer, and leaves the profile with it.
            msg.append_to_reply("Retry-After: 60")
            msg.send_reply(486, "Too many calls")
            return

    msg.record_route()
    msg.t_relay()
