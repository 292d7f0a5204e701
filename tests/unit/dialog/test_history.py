"""What a dialog remembers of its ended legs, when there were more than it keeps."""

from __future__ import annotations

from dlgmgmt.dialog.model import MAX_HISTORY
from tests.unit.dialog.harness import Core


def test_a_leg_that_was_hung_up_is_remembered_though_many_others_have_failed() -> None:
    core = Core()
    dialog = core.invite()
    for number in range(MAX_HISTORY + 5):
        core.tracker.branch_failed(dialog, number, 486, f"busy{number}", "rejected")
    for branch, tag in ((90, "bob"), (91, "carol")):
        core.answer(dialog, tag, branch=branch)
        core.down("ACK", 10, tag)
    core.down("BYE", 11, "carol")
    (before,) = core.table.find("c1")
    assert len(before.history) == MAX_HISTORY
    assert before.history[-1].to_tag == "carol"
    # Its 2xx was on the way once more.
    assert core.reply(dialog, 200, "carol", branch=91) is None
    (after,) = core.table.find("c1")
    assert [leg.to_tag for leg in after.legs] == ["bob"]
    # And what it says belongs to the call still.
    assert core.up("INFO", 5, "carol") is not None


def test_no_more_than_the_limit_are_remembered() -> None:
    core = Core()
    dialog = core.invite()
    tags = [f"tag{number}" for number in range(MAX_HISTORY + 4)]
    for branch, tag in enumerate(tags):
        core.answer(dialog, tag, branch=branch)
        core.down("ACK", 10, tag)
    for tag in tags[:-1]:
        core.down("BYE", 11, tag)
    (view,) = core.table.find("c1")
    assert [ended.to_tag for ended in view.history] == tags[:MAX_HISTORY]
