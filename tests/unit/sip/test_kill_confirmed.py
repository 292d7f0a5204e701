"""Ending answered calls: BYE to both sides of every confirmed leg, and to nobody else."""

from __future__ import annotations

import pytest

from dlgmgmt.dialog.errors import NoSuchDialog
from tests.unit.sip.harness import ALICE, BOB, CAROL, House, Sip


def end(home: House, number: int) -> tuple[Sip, Sip]:
    """Both phones answer; the BYEs that they got."""
    to_alice, to_bob = home.alice.one("BYE"), home.bob.one("BYE")
    home.alice.reply(to_alice, 200)
    home.bob.reply(to_bob, 200)
    assert home.world.outcomes(number) == {
        ("caller", "bob"): "BYE 200",
        ("callee", "bob"): "BYE 200",
    }
    assert home.world.state() == 0
    assert home.world.sent() == []
    return to_alice, to_bob


def test_both_sides_get_a_bye_as_the_other_would_send_it(home: House) -> None:
    call = home.talk()
    number = home.world.kill()
    assert home.world.state() == 6
    to_alice, to_bob = end(home, number)

    assert to_alice.start == "BYE sip:alice@10.0.9.1:5060 SIP/2.0"
    assert to_alice["From"] == "<sip:1@b.example>;tag=bob"
    assert to_alice["To"] == "<sip:alice@a.example>;tag=alice"
    assert to_alice["CSeq"] == "2 BYE"

    assert to_bob.start == "BYE sip:bob@10.0.1.1:5060 SIP/2.0"
    assert to_bob["From"] == "<sip:alice@a.example>;tag=alice"
    assert to_bob["To"] == "<sip:1@b.example>;tag=bob"
    assert to_bob["CSeq"] == "2 BYE"

    for bye in (to_alice, to_bob):
        assert bye["Call-ID"] == call.sent["Call-ID"]
        assert bye["Max-Forwards"] == "70"
        assert bye["User-Agent"] == "dlgmgmt"
        assert bye.all("Reason") == ['SIP;cause=200;text="mi_terminated"']
        assert bye.all("Route") == []
        assert bye["Via"].startswith("SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK")
        assert bye["Content-Length"] == "0"
        assert bye.raw.endswith(b"\r\n\r\n")
    assert to_alice.branch != to_bob.branch


def test_the_byes_follow_the_route_set_of_their_side(home: House) -> None:
    """A proxy before us towards Alice, two behind us towards Bob."""
    home.bob.record_route = ("<sip:10.0.7.2;lr>", "<sip:10.0.7.1;lr>")
    sent = home.alice.invite("1", headers=("Record-Route: <sip:10.0.8.1;lr>, <sip:10.0.8.2;lr>",))
    invite = home.bob.one("INVITE")
    assert invite.all("Record-Route")[1:] == ["<sip:10.0.8.1;lr>, <sip:10.0.8.2;lr>"]
    home.bob.reply(invite, 200)
    ok = home.alice.last("200")
    home.alice.within(home.alice.caller_side(ok), "ACK", routes=["<sip:10.0.0.1;lr>"])
    home.bob.one("ACK")
    home.world.kill()
    to_alice, to_bob = home.world.take()
    assert to_alice.to == ("10.0.8.1", 5060)
    assert to_alice.sip.uri == "sip:alice@10.0.9.1:5060"
    assert to_alice.sip.all("Route") == ["<sip:10.0.8.1;lr>", "<sip:10.0.8.2;lr>"]
    assert to_bob.to == ("10.0.7.1", 5060)
    assert to_bob.sip.uri == "sip:bob@10.0.1.1:5060"
    assert to_bob.sip.all("Route") == ["<sip:10.0.7.1;lr>", "<sip:10.0.7.2;lr>"]
    home.alice.reply(to_alice.sip, 200)
    home.bob.reply(to_bob.sip, 200)
    assert home.world.state() == 0
    assert sent["CSeq"] == "1 INVITE"


def test_a_strict_router_gets_the_request_uri(home: House) -> None:
    call = home.talk(headers=("Record-Route: <sip:10.0.8.1>",))
    home.world.kill()
    to_alice, to_bob = home.world.take()
    assert to_alice.to == ("10.0.8.1", 5060)
    assert to_alice.sip.uri == "sip:10.0.8.1"
    assert to_alice.sip.all("Route") == ["<sip:alice@10.0.9.1:5060>"]
    home.alice.reply(to_alice.sip, 200)
    home.bob.reply(to_bob.sip, 200)
    assert call.ok.status == 200


def test_the_cseq_follows_the_re_invites_of_both_sides(home: House) -> None:
    call = home.talk()
    call.caller.cseq = 41
    home.alice.within(call.caller, "INVITE")
    home.bob.reply(home.bob.one("INVITE"), 200)
    home.alice.last("200")
    home.alice.within(call.caller, "ACK")
    home.bob.one("ACK")
    call.callee.cseq = 6
    home.bob.within(call.callee, "INVITE")
    home.alice.reply(home.alice.one("INVITE"), 200)
    home.bob.last("200")
    home.bob.within(call.callee, "ACK")
    home.alice.one("ACK")
    to_alice, to_bob = end(home, home.world.kill())
    assert to_alice["CSeq"] == "8 BYE"
    assert to_bob["CSeq"] == "43 BYE"


def test_the_byes_go_to_the_contacts_of_the_last_re_invite(home: House) -> None:
    call = home.talk()
    home.bob.within(call.callee, "UPDATE", contact=False, headers=("Contact: <sip:b@10.0.1.9>",))
    home.alice.reply(home.alice.one("UPDATE"), 200, contact="sip:a@10.0.9.9:7000")
    home.bob.last("200")
    home.world.kill()
    to_alice, to_bob = home.world.take()
    assert (to_alice.to, to_alice.sip.uri) == (("10.0.9.9", 7000), "sip:a@10.0.9.9:7000")
    assert (to_bob.to, to_bob.sip.uri) == (("10.0.1.9", 5060), "sip:b@10.0.1.9")
    home.alice.reply(to_alice.sip, 200)
    home.bob.reply(to_bob.sip, 200)


def test_during_a_re_invite(home: House) -> None:
    call = home.talk()
    home.alice.within(call.caller, "INVITE")
    invite = home.bob.one("INVITE")
    home.alice.one("100")
    number = home.world.kill()
    to_alice, to_bob = home.alice.one("BYE"), home.bob.one("BYE")
    assert to_bob["CSeq"] == "3 BYE"
    home.bob.reply(to_bob, 200)
    home.bob.reply(invite, 487)
    home.bob.one("ACK")
    refused = home.alice.one("487")
    home.alice.reply(to_alice, 200)
    home.alice.ack_failure(call.sent, refused)
    assert set(home.world.outcomes(number).values()) == {"BYE 200"}
    assert home.world.state() == 0


def test_with_the_2xx_of_a_re_invite_on_its_way(home: House) -> None:
    call = home.talk()
    home.alice.within(call.caller, "INVITE")
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 200)
    home.alice.last("200")
    home.world.kill()
    byes = home.alice.one("BYE"), home.bob.one("BYE")
    home.alice.within(call.caller, "ACK")
    home.bob.one("ACK")
    home.alice.reply(byes[0], 200)
    home.bob.reply(byes[1], 200)
    assert home.world.state() == 0


def test_two_legs_get_two_byes_each(home: House) -> None:
    home.alice.invite("2")
    bob, carol = home.bob.one("INVITE"), home.carol.one("INVITE")
    home.dave.reply(home.dave.one("INVITE"), 486)
    home.dave.one("ACK")
    home.bob.reply(bob, 200)
    home.carol.reply(carol, 200)
    first, second = home.alice.inbox()[-2:]
    for ok in (first, second):
        home.alice.within(home.alice.caller_side(ok), "ACK")
    assert home.bob.one("ACK").tag("To") == "bob"
    assert home.carol.one("ACK").tag("To") == "carol"
    assert home.world.state() == 7
    number = home.world.kill("carol")
    got = home.answer_all()
    assert {name: [sip.what for sip in sips] for name, sips in got.items()} == {
        "alice": ["BYE", "BYE"],
        "bob": ["BYE"],
        "carol": ["BYE"],
    }
    assert sorted(sip.tag("From") for sip in got["alice"]) == ["bob", "carol"]
    assert set(home.world.outcomes(number)) == {
        ("caller", "bob"),
        ("callee", "bob"),
        ("caller", "carol"),
        ("callee", "carol"),
    }
    assert set(home.world.outcomes(number).values()) == {"BYE 200"}
    assert home.world.state() == 0


def test_a_fork_answered_by_the_second_phone(home: House) -> None:
    home.alice.invite("2")
    invites = [home.bob.one("INVITE"), home.carol.one("INVITE"), home.dave.one("INVITE")]
    for phone, invite in zip([home.bob, home.carol, home.dave], invites, strict=True):
        phone.reply(invite, 180)
    home.carol.reply(invites[1], 200)
    ok = home.alice.last("200")
    for phone, invite in ((home.bob, invites[0]), (home.dave, invites[2])):
        phone.reply(phone.one("CANCEL"), 200)
        phone.reply(invite, 487)
        phone.one("ACK")
    home.alice.within(home.alice.caller_side(ok), "ACK")
    home.carol.one("ACK")
    number = home.world.kill("carol")
    assert home.world.sent() == [("BYE", ALICE), ("BYE", CAROL)]
    assert home.world.outcomes(number) == {
        ("caller", "carol"): "BYE pending",
        ("callee", "carol"): "BYE pending",
    }


@pytest.mark.parametrize("tags", [("alice", "bobby"), ("mallory", "bob"), ("", ""), ("alice", "")])
def test_wrong_tags_send_nothing_and_change_nothing(home: House, tags: tuple[str, str]) -> None:
    home.talk()
    before = home.world.view()
    with pytest.raises(NoSuchDialog) as refused:
        home.world.terminator.by_tags("c1", *tags, reason="x")
    assert refused.value.callid_known
    assert home.world.sent() == []
    assert home.world.view() == before
    end(home, home.world.kill())


def test_twice(home: House) -> None:
    home.talk()
    number = home.world.kill()
    with pytest.raises(NoSuchDialog):
        home.world.kill()
    end(home, number)


def test_a_dead_phone_is_recorded_and_the_dialog_leaves(home: House) -> None:
    home.talk()
    number = home.world.kill()
    home.alice.reply(home.alice.one("BYE"), 200)
    home.world.advance(33.0)
    assert [sip.what for sip in home.bob.inbox()] == ["BYE"] * 11
    assert home.world.outcomes(number) == {
        ("caller", "bob"): "BYE 200",
        ("callee", "bob"): "BYE timeout",
    }
    assert home.world.state() == 0


@pytest.mark.parametrize("status", [200, 202, 301, 401, 407, 481, 500, 603])
def test_any_final_answer_says_that_the_side_was_told(home: House, status: int) -> None:
    home.talk()
    number = home.world.kill()
    home.alice.reply(home.alice.one("BYE"), 100)
    bye = home.bob.one("BYE")
    home.bob.reply(bye, status)
    assert home.world.outcomes(number) == {
        ("caller", "bob"): "BYE pending",
        ("callee", "bob"): f"BYE {status}",
    }


def test_a_side_that_cannot_be_reached_does_not_save_the_other(home: House) -> None:
    home.talk()
    home.world.sockets[0].broken.add(ALICE)
    number = home.world.kill()
    home.bob.reply(home.bob.one("BYE"), 200)
    assert home.world.outcomes(number) == {
        ("caller", "bob"): "BYE unsendable",
        ("callee", "bob"): "BYE 200",
    }
    assert home.world.state() == 0


@pytest.mark.parametrize(
    "header",
    [
        "Record-Route: <sip:x y>",
        "Record-Route: not a route",
        "Record-Route: <<",
        "Record-Route: <tel:+1;lr>",
        "Record-Route: ;;;",
    ],
)
def test_a_route_set_that_cannot_be_read_does_not_save_the_other_side(
    home: House, header: str
) -> None:
    home.talk(headers=(header,))
    number = home.world.kill()
    home.bob.reply(home.bob.one("BYE"), 200)
    assert home.world.outcomes(number) == {
        ("caller", "bob"): "BYE unsendable",
        ("callee", "bob"): "BYE 200",
    }
    assert home.world.state() == 0


@pytest.mark.parametrize("contact", ["tel:+1", "sips:bob@10.0.1.1", "sip:b@10.0.1.1;transport=tcp"])
def test_a_contact_that_udp_cannot_reach(home: House, contact: str) -> None:
    home.alice.invite("1")
    home.bob.reply(home.bob.one("INVITE"), 200, contact=contact)
    ok = home.alice.last("200")
    home.alice.within(home.alice.caller_side(ok), "ACK", uri="sip:bob@10.0.1.1")
    home.bob.one("ACK")
    number = home.world.kill()
    home.alice.reply(home.alice.one("BYE"), 200)
    assert home.world.outcomes(number)["callee", "bob"] == "BYE unsendable"
    assert home.world.state() == 0


def test_byes_that_cross_are_answered_by_the_phones(home: House) -> None:
    call = home.talk()
    home.world.kill()
    home.bob.within(call.callee, "BYE")
    ours, theirs = home.alice.inbox()
    assert (ours["CSeq"], theirs["CSeq"]) == ("2 BYE", "101 BYE")
    home.alice.reply(ours, 200)
    home.alice.reply(theirs, 481)
    to_bob, answer = home.bob.inbox()
    assert (to_bob.what, answer.what) == ("BYE", "481")
    home.bob.reply(to_bob, 481)
    assert home.world.state() == 0


def test_a_call_that_hung_up_cannot_be_killed(home: House) -> None:
    call = home.talk()
    home.bob.within(call.callee, "BYE")
    with pytest.raises(NoSuchDialog) as refused:
        home.world.kill()
    assert refused.value.callid_known
    home.alice.reply(home.alice.one("BYE"), 200)
    home.bob.one("200")
    assert home.world.state() == 0


def test_the_timeout_ends_the_call(home: House) -> None:
    home.talk()
    home.world.jump(3590)
    assert home.world.sent() == []
    home.world.jump(15)
    assert home.world.state() == 6
    (order,) = home.world.table.terminations()
    to_alice, to_bob = end(home, order.id)
    for bye in (to_alice, to_bob):
        assert bye["Reason"] == 'SIP;cause=408;text="dialog_timeout"'
    assert home.world.table.counts().expired == 1


def test_the_order_tells_at_once_what_it_is_about_to_do(home: House) -> None:
    home.talk()
    home.world.defer()
    view = home.world.terminator.by_tags("c1", "alice", "bob", reason="why")
    assert home.world.sent() == []
    assert [(side.side, side.outcome) for side in view.sides] == [
        ("caller", "pending"),
        ("callee", "pending"),
    ]
    assert home.world.state() == 6
    home.world.execute()
    assert home.world.sent() == [("BYE", ALICE), ("BYE", BOB)]


@pytest.mark.parametrize("side", ["caller", "callee"])
def test_only_one_side_is_told(home: House, side: str) -> None:
    """After a REFER, say, when the other side is already gone."""
    home.talk()
    view = home.world.view()
    order = home.world.terminator.by_id(view.h_entry, view.h_id, reason="referred", only=side)
    home.world.execute()
    told, other = (home.alice, home.bob) if side == "caller" else (home.bob, home.alice)
    bye = told.one("BYE")
    assert bye["Reason"] == 'SIP;cause=200;text="referred"'
    told.reply(bye, 200)
    home.world.advance(40.0)
    assert other.inbox() == []
    assert home.world.outcomes(order.id) == {(side, "bob"): "BYE 200"}
    assert home.world.state() == 0


def test_an_early_call_ends_whole_whichever_side_is_named(home: House) -> None:
    sent, invite = home.ring()
    view = home.world.view()
    home.world.terminator.by_id(view.h_entry, view.h_id, reason="gone", only="callee")
    home.world.execute()
    home.alice.ack_failure(sent, home.alice.one("488"))
    home.bob.reply(home.bob.one("CANCEL"), 200)
    home.bob.reply(invite, 487)
    home.bob.one("ACK")
    assert home.world.state() == 0
