r"""A call lasts as long as its caller's credit, which an AVP brings to the dialog.

    [ims_dialog]
    timeout_avp = "$avp(credit)"
    dlg_extra_hdrs = "X-Ended-By: credit\r\n"

    [routing]
    script = "credit_timer.py"

Whoever calls says in X-Credit how many seconds are left; a real script would ask its billing here
(for longer than time_limit it may not). Both phones are told when the time is over.
"""

import logging
from typing import Any

LOG = logging.getLogger("credit")

MOST = 3600


def request_route(msg: Any, dlg: Any) -> None:
    """Give a new call the seconds that its caller can pay for."""
    if msg.has_totag():
        dlg.dlg_manage()
        msg.t_relay()
        return

    if msg.is_method("INVITE"):
        credit = msg.get_header("X-Credit") or "0"
        seconds = min(int(credit), MOST) if credit.isdecimal() and len(credit) < 9 else 0
        if seconds == 0:
            msg.send_reply(402, "Payment Required")
            return
        msg.set_pv("$avp(credit)", seconds)
        dlg.dlg_manage()
        dlg.dlg_set_property("timeout-noreset")
        msg.set_pv("$dlg_ctx(timeout_route)", "spent_route")
        # The callee need not know what the caller has.
        msg.remove_hf("X-Credit")

    msg.record_route()
    msg.t_relay()


def spent_route(event: Any, dlg: Any) -> None:
    """The credit is spent; the BYEs follow."""
    del dlg
    LOG.warning("credit of %s is spent", event.pv("$dlg(from_uri)"))
