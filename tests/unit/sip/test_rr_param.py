"""The Record-Route parameter with the dialog's id goes by the name that the operator gives it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dlgmgmt.dialog.did import encode_did
from tests.unit.sip.conftest import Make
from tests.unit.sip.harness import DIALOGS, House, Side


def answered(home: House, cseq: int) -> Side:
    """One more dialog of Alice's call to Bob; both of its tags are those of the others."""
    home.alice.invite("1", cseq=cseq)
    home.bob.reply(home.bob.one("INVITE"), 200)
    side = home.alice.caller_side(home.alice.last("200"))
    home.alice.within(side, "ACK", cseq=cseq)
    home.bob.one("ACK")
    return side


@pytest.mark.parametrize("name", ["did", "xyz"])
@pytest.mark.parametrize("which", [0, 1])
def test_it_tells_dialogs_apart_that_have_the_same_tags(make: Make, name: str, which: int) -> None:
    # Without the detection of spirals each pass of a call makes a dialog.
    home = make(dialogs=replace(DIALOGS, rr_param=name, detect_spirals=False))
    sides = [answered(home, cseq) for cseq in (1, 2)]
    views = home.world.table.find("c1")
    for side, view in zip(sides, views, strict=True):
        did = encode_did(view.h_entry, view.h_id)
        assert side.routes == [f"<sip:10.0.0.1:5060;lr;{name}={did}>"]

    for side, other in ((sides[which], 1 - which), (sides[1 - which], None)):
        home.alice.within(side, "BYE")
        home.bob.reply(home.bob.one("BYE"), 200)
        home.alice.one("200")
        talking = [view.h_id for view in home.world.table.find("c1") if view.state == 4]
        assert talking == ([] if other is None else [views[other].h_id])


def test_under_another_name_it_says_nothing(make: Make) -> None:
    home = make(dialogs=replace(DIALOGS, rr_param="xyz", detect_spirals=False))
    answered(home, 1)
    second = answered(home, 2)
    second.routes = [route.replace("xyz=", "did=") for route in second.routes]
    home.alice.within(second, "BYE")
    home.bob.reply(home.bob.one("BYE"), 200)
    home.alice.one("200")
    # Call-ID and tags have found a dialog, and not the one whose id stood there.
    (left,) = [view for view in home.world.table.find("c1") if view.state == 4]
    assert encode_did(left.h_entry, left.h_id) in second.routes[0]
    home.world.kill()
    home.answer_all()
