"""Least-cost routing: the cheapest carrier first, the next one when it fails.

    [routing]
    script = "least_cost.py"

The prices stand in a file beside this one, carriers.txt: a line each with a prefix, a price and
the carrier's address, such as

    49  0.012  sip:192.0.2.10:5060
"""

from pathlib import Path
from typing import Any

RATES = Path(__file__).with_name("carriers.txt")


def read_rates() -> list[tuple[str, float, str]]:
    """Prefix, price and address of every line; a line that is wrong stops the start."""
    rates = []
    for line in RATES.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            prefix, price, address = line.split()
            rates.append((prefix, float(price), address))
    return rates


CARRIERS = read_rates()


def request_route(msg: Any, dlg: Any) -> None:
    """Call the carriers for the dialled prefix one after the other, the cheapest first."""
    if msg.has_totag():
        dlg.dlg_manage()
        msg.t_relay()
        return

    if msg.is_method("INVITE"):
        dialled = msg.get_pv("$rU") or ""
        offers = sorted(
            (price, address) for prefix, price, address in CARRIERS if dialled.startswith(prefix)
        )
        if not offers:
            msg.send_reply(404, "No carrier")
            return
        dlg.dlg_manage()
        for _, address in offers:
            # $rU: the dialled number stays, the carrier's address takes the place of the host.
            msg.append_branch(address.replace("sip:", "sip:$rU@", 1))
        msg.serial()

    msg.record_route()
    msg.t_relay()


def onreply_route(msg: Any, dlg: Any) -> None:
    """Note on the dialog which carrier took the call, and tell the caller which attempt it was."""
    if msg.is_method("INVITE") and msg.status == 200:
        dlg.set_var("carrier", "$si:$sp")
        msg.append_hf(f"X-Attempt: {msg.branch_index + 1}")
