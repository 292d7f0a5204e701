"""A routing that takes its time: what is decided, and what comes before it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.sip.headers import Edits
from dlgmgmt.sip.hooks import DropPlan, Failed, RelayPlan, ReplyPlan
from dlgmgmt.sip.hop import Target
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.pending import PendingRequest
from tests.unit.sip.harness import BOB, CAROL, House, Sip

BOB_URI = "sip:bob@10.0.1.1"
CAROL_URI = "sip:carol@10.0.1.2"


@dataclass
class Slow:
    """Remembers what it is asked; the tests decide later."""

    requests: bool = True
    replies: bool = False
    failures: bool = False
    asked: list[PendingRequest] = field(default_factory=list)
    heard: list[tuple[int, Message, Callable[[Message | None], None]]] = field(default_factory=list)
    lost: list[tuple[tuple[int, ...], int, Failed]] = field(default_factory=list)

    def request(self, pending: PendingRequest) -> None:
        pending.state = "mine"
        self.asked.append(pending)

    def reply(
        self, state: object, branch: int, reply: Message, then: Callable[[Message | None], None]
    ) -> None:
        assert state == "mine"
        self.heard.append((branch, reply, then))

    def failed(self, state: object, codes: tuple[int, ...], best: int, then: Failed) -> None:
        assert state == "mine"
        self.lost.append((codes, best, then))

    def timed_out(self, dialog: Dialog, then: Callable[[], None]) -> bool:
        del dialog, then
        return False


@pytest.fixture
def slow(home: House) -> Slow:
    routing = Slow()
    home.world.proxy.forwarder.routing = routing
    return routing


def relay(home: House, slow: Slow, *uris: str, track: bool = True, parallel: bool = True) -> None:
    pending = slow.asked.pop()
    forwarder = home.world.proxy.forwarder
    dialog = None
    if track:
        dialog, _ = forwarder.open(pending.incoming.msg, "udp:10.0.0.1:5060")
    targets = tuple(Target(uri) for uri in uris)
    pending.decide(RelayPlan(targets, parallel=parallel, record="", dialog=dialog), dialog)


def test_a_request_waits_for_its_decision_and_then_goes_where_it_says(
    home: House, slow: Slow
) -> None:
    home.alice.invite("1")
    home.alice.one("100")
    assert home.world.sent() == []
    relay(home, slow, CAROL_URI)
    invite = home.carol.one("INVITE")
    assert invite.uri == CAROL_URI
    assert ";lr;did=" in invite["Record-Route"]
    home.carol.reply(invite, 180)
    home.alice.one("180")
    assert home.world.state() == 2
    home.carol.reply(invite, 486)
    home.carol.one("ACK")
    home.alice.one("486")
    assert home.world.state() == 0


def test_an_untracked_call_is_relayed_and_not_listed(home: House, slow: Slow) -> None:
    home.alice.invite("1")
    relay(home, slow, BOB_URI, track=False)
    invite = home.bob.one("INVITE")
    assert invite["Record-Route"].endswith(";lr>")
    assert home.world.state() == 0
    home.bob.reply(invite, 200)
    assert home.alice.last("200").contact.startswith("sip:bob@")


def test_without_record_route_the_proxy_stays_out_of_the_dialog(home: House, slow: Slow) -> None:
    home.alice.invite("1")
    slow.asked.pop().decide(RelayPlan((Target(BOB_URI),)), None)
    assert home.bob.one("INVITE")["Record-Route"] == ""


def test_an_empty_plan_goes_where_the_configured_routes_lead(home: House, slow: Slow) -> None:
    home.alice.invite("2")
    relay(home, slow)
    assert [to for _, to in home.world.sent()][1:3] == [BOB, CAROL]


def test_the_answer_of_a_routing_is_sent_with_its_headers(home: House, slow: Slow) -> None:
    sent = home.alice.invite("1")
    home.alice.one("100")
    slow.asked.pop().decide(ReplyPlan(403, "Not Today", "X-Why: limit\r\n"), None)
    reply = home.alice.one("403")
    assert reply.start == "SIP/2.0 403 Not Today"
    assert reply["X-Why"] == "limit"
    home.alice.ack_failure(sent, reply)


def test_a_dialog_opened_for_a_refused_call_has_failed(home: House, slow: Slow) -> None:
    home.alice.invite("1")
    pending = slow.asked.pop()
    dialog, _ = home.world.proxy.forwarder.open(pending.incoming.msg, "udp:10.0.0.1:5060")
    assert home.world.state() == 1
    pending.decide(ReplyPlan(486), dialog)
    assert home.world.state() == 0
    assert home.world.table.counts().failed == 1


def test_a_dropped_request_is_neither_forwarded_nor_answered(home: House, slow: Slow) -> None:
    home.alice.invite("1", method="MESSAGE")
    slow.asked.pop().decide(DropPlan(), None)
    assert home.world.sent() == []


def test_a_cancel_before_the_decision_ends_the_call(home: House, slow: Slow) -> None:
    sent = home.alice.invite("1")
    home.alice.one("100")
    home.alice.cancel(sent)
    assert [sip.what for sip in home.alice.inbox()] == ["200", "487"]
    relay(home, slow, BOB_URI)
    assert home.bob.inbox() == []
    assert home.world.state() == 0


def test_a_kill_before_the_decision_ends_the_call(home: House, slow: Slow) -> None:
    sent = home.alice.invite("1")
    home.alice.one("100")
    pending = slow.asked.pop()
    dialog, _ = home.world.proxy.forwarder.open(pending.incoming.msg, "udp:10.0.0.1:5060")
    home.world.kill_early()
    pending.decide(RelayPlan((Target(BOB_URI),), record="", dialog=dialog), dialog)
    assert home.bob.inbox() == []
    home.alice.ack_failure(sent, home.alice.one("488"))
    assert home.world.state() == 0


def test_a_bad_target_is_answered_and_leaves_nothing(home: House, slow: Slow) -> None:
    home.alice.invite("1", uri="tel:+1234")
    home.alice.one("100")
    relay(home, slow)
    home.alice.one("416")
    assert home.world.state() == 0


def test_edits_of_all_branches_and_of_one(home: House, slow: Slow) -> None:
    home.alice.invite("2", headers=("X-Old: 1", "Subject: s"))
    pending = slow.asked.pop()
    one = Target(BOB_URI, edits=Edits(("X-Bob: 1",), frozenset({"subject"})))
    plan = RelayPlan((one, Target(CAROL_URI)), edits=Edits(("X-All: yes",), frozenset({"x-old"})))
    pending.decide(plan, None)
    bob, carol = home.bob.one("INVITE"), home.carol.one("INVITE")
    assert (bob["X-Old"], bob["X-All"], bob["X-Bob"], bob["Subject"]) == ("", "yes", "1", "")
    assert (carol["X-All"], carol["X-Bob"], carol["Subject"]) == ("yes", "", "s")
    assert bob["Max-Forwards"] == carol["Max-Forwards"] == "69"
    assert bob.body == carol.body == b"v=0\r\n"


def test_a_destination_is_where_it_goes_and_not_what_it_says(home: House, slow: Slow) -> None:
    home.alice.invite("1")
    target = Target("sip:someone@far.example", destination="sip:10.0.1.2")
    slow.asked.pop().decide(RelayPlan((target,)), None)
    assert home.carol.one("INVITE").uri == "sip:someone@far.example"


def test_sequential_requests_are_asked_for_too(home: House, slow: Slow) -> None:
    home.alice.invite("1")
    relay(home, slow, BOB_URI)
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 200)
    side = home.alice.caller_side(home.alice.last("200"))
    home.alice.within(side, "ACK")
    home.bob.one("ACK")
    home.alice.within(side, "BYE")
    assert home.bob.inbox() == []
    pending = slow.asked.pop()
    found = home.world.proxy.forwarder.find(pending.incoming.msg)
    assert found is not None
    assert found[0].callid == "c1"
    assert not found[1]
    pending.decide(RelayPlan(edits=Edits(("X-Seen: 1",))), None)
    bye = home.bob.one("BYE")
    assert bye["X-Seen"] == "1"
    home.bob.reply(bye, 200)
    home.alice.one("200")
    assert home.world.state() == 0


# -- replies ---------------------------------------------------------------------------------------


def test_replies_wait_are_changed_and_kept_back(home: House, slow: Slow) -> None:
    slow.replies = True
    home.alice.invite("1")
    relay(home, slow, BOB_URI)
    home.alice.one("100")
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 180)
    home.bob.reply(invite, 183)
    assert home.alice.inbox() == []
    (_, ringing, then), (_, _, drop) = slow.heard
    then(ringing.edited(Edits(("X-Ring: 1",))))
    drop(None)
    assert home.alice.one("180")["X-Ring"] == "1"
    slow.heard.clear()
    home.bob.reply(invite, 200)
    branch, answer, then = slow.heard.pop()
    assert branch == 0
    then(answer)
    home.alice.one("200")
    assert home.world.state() == 5
    home.world.kill()


def test_a_cancel_crosses_a_reply_that_waits(home: House, slow: Slow) -> None:
    slow.replies = True
    sent = home.alice.invite("1")
    relay(home, slow, BOB_URI)
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 180)
    home.alice.cancel(sent)
    home.alice.inbox()
    assert home.bob.inbox() == []
    _, ringing, then = slow.heard.pop()
    then(ringing)
    cancel = home.bob.one("CANCEL")
    home.bob.reply(cancel, 200)
    home.bob.reply(invite, 487)
    _, final, then = slow.heard.pop()
    then(final)
    assert home.alice.last("487").status == 487
    assert home.world.state() == 0


def relayed_to_bob(home: House, slow: Slow) -> Sip:
    """What Bob gets of Alice's call."""
    relay(home, slow, BOB_URI)
    return home.bob.one("INVITE")


def held(home: House, slow: Slow, status: int, *uris: str) -> Sip:
    """Bob rings, and his final reply waits; what Alice sent."""
    slow.replies = True
    sent = home.alice.invite("1")
    relay(home, slow, BOB_URI, *uris)
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 180)
    _, ringing, then = slow.heard.pop()
    then(ringing)
    home.bob.reply(invite, status)
    home.alice.inbox()
    home.bob.inbox()
    return sent


@pytest.mark.parametrize("status", [200, 486])
def test_a_cancel_crosses_a_final_reply_that_waits(home: House, slow: Slow, status: int) -> None:
    sent = held(home, slow, status)
    home.alice.cancel(sent)
    home.alice.one("200")
    assert home.bob.inbox() == []
    _, final, then = slow.heard.pop()
    then(final)
    home.alice.one(str(status))
    if status == 200:
        home.world.kill()
    assert home.world.proxy.counters.errors == 0


def test_a_kill_while_a_busy_waits(home: House, slow: Slow) -> None:
    held(home, slow, 486)
    number = home.world.kill_early()
    home.alice.one("488")
    _, final, then = slow.heard.pop()
    then(final)
    assert home.world.outcomes(number)["callee", "bob"] == "CANCEL 486"
    assert home.bob.inbox() == []
    assert home.world.state() == 0


def test_a_kill_while_an_answer_waits(home: House, slow: Slow) -> None:
    held(home, slow, 200)
    number = home.world.kill_early()
    home.alice.one("488")
    _, final, then = slow.heard.pop()
    then(final)
    assert home.alice.inbox() == []
    ack, bye = home.bob.inbox()
    assert (ack.what, bye.what) == ("ACK", "BYE")
    home.bob.reply(bye, 200)
    assert home.world.outcomes(number)["callee", "bob"] == "BYE 200"
    assert home.world.state() == 0


def test_an_answer_waits_while_another_branch_refuses_for_all(home: House, slow: Slow) -> None:
    held(home, slow, 200, CAROL_URI)
    _, answer, answered = slow.heard.pop()
    home.carol.reply(home.carol.one("INVITE"), 603)
    _, refusal, refused = slow.heard.pop()
    refused(refusal)
    answered(answer)
    home.alice.one("200")
    assert home.world.state() == 5
    home.world.kill()


def test_two_answers_wait(home: House, slow: Slow) -> None:
    held(home, slow, 200, CAROL_URI)
    invite = home.carol.one("INVITE")
    home.carol.reply(invite, 180)
    home.carol.reply(invite, 200)
    (_, first, then), (_, ringing, rang), (_, second, late) = slow.heard
    then(first)
    rang(ringing)
    late(second)
    assert [sip.tag("To") for sip in home.alice.inbox()] == ["bob", "carol"]
    assert {leg.to_tag for leg in home.world.view().legs} == {"bob", "carol"}
    home.world.kill()


def test_an_answer_that_waits_is_not_given_up(home: House, slow: Slow) -> None:
    sent, invite = home.alice.invite("1"), relayed_to_bob(home, slow)
    slow.replies = True
    home.bob.reply(invite, 180)
    slow.heard[-1][2](slow.heard[-1][1])
    home.alice.cancel(sent)
    home.bob.one("CANCEL")
    home.alice.inbox()
    home.world.advance(64 * home.world.stack.t1 - 1)
    home.bob.reply(invite, 200)
    home.world.advance(2)
    assert home.alice.inbox() == []
    slow.heard[-1][2](slow.heard[-1][1])
    home.alice.one("200")
    assert home.world.state() == 5
    home.world.kill()


# -- failure ---------------------------------------------------------------------------------------


def failed(home: House, slow: Slow) -> None:
    """Bob is busy, and the routing is asked."""
    slow.failures = True
    home.alice.invite("1")
    relay(home, slow, BOB_URI)
    home.bob.reply(home.bob.one("INVITE"), 486)
    home.bob.one("ACK")
    home.alice.one("100")
    assert home.world.sent() == []
    assert slow.lost[-1][:2] == ((486,), 486)


def test_a_failed_call_goes_on_to_the_next_target(home: House, slow: Slow) -> None:
    failed(home, slow)
    slow.lost.pop()[2](RelayPlan((Target(CAROL_URI),)))
    invite = home.carol.one("INVITE")
    home.carol.reply(invite, 200)
    home.alice.one("200")
    assert home.world.state() == 5
    home.world.kill("carol")


def test_a_failed_call_is_answered_otherwise(home: House, slow: Slow) -> None:
    failed(home, slow)
    slow.lost.pop()[2](ReplyPlan(480, "Later"))
    assert home.alice.one("480").start == "SIP/2.0 480 Later"
    assert home.world.state() == 0


def test_a_failed_call_is_answered_as_ever(home: House, slow: Slow) -> None:
    failed(home, slow)
    slow.lost.pop()[2](None)
    home.alice.one("486")
    assert home.world.state() == 0


def test_the_second_failure_is_asked_for_too(home: House, slow: Slow) -> None:
    failed(home, slow)
    slow.lost.pop()[2](RelayPlan((Target(CAROL_URI),)))
    home.carol.reply(home.carol.one("INVITE"), 603)
    home.carol.one("ACK")
    codes, best, then = slow.lost.pop()
    assert (codes, best) == ((486, 603), 603)
    then(None)
    home.alice.one("603")


def test_a_kill_while_the_routing_thinks(home: House, slow: Slow) -> None:
    failed(home, slow)
    home.world.kill_early()
    home.alice.one("488")
    slow.lost.pop()[2](RelayPlan((Target(CAROL_URI),)))
    assert home.carol.inbox() == []
    assert home.world.state() == 0


def test_a_caller_who_gave_up_is_not_connected(home: House, slow: Slow) -> None:
    slow.failures = True
    sent = home.alice.invite("1")
    relay(home, slow, BOB_URI)
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 180)
    home.alice.cancel(sent)
    home.bob.reply(home.bob.one("CANCEL"), 200)
    home.bob.reply(invite, 487)
    assert slow.lost == []
    assert home.alice.last("487").status == 487


def test_a_request_other_than_invite_is_never_cancelled(home: House, slow: Slow) -> None:
    home.alice.invite("1", method="MESSAGE")
    relay(home, slow, BOB_URI, CAROL_URI, track=False)
    home.bob.reply(message := home.bob.one("MESSAGE"), 100)
    home.carol.reply(home.carol.one("MESSAGE"), 603)
    assert home.world.sent() == []
    home.bob.reply(message, 486)
    home.alice.one("603")
