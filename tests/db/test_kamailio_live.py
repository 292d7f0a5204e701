"""What Debian's kamailio writes about calls that are up when it is killed, read at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlgmgmt.storage import importer_dialog, importer_ims
from dlgmgmt.storage.importer import Found, source
from dlgmgmt.storage.url import parse_url
from tests.db.harness.kamailio_db import BINARY, DIALOG, IMS, MODULES, Written, record

pytestmark = pytest.mark.skipif(
    BINARY is None or MODULES is None,
    reason="kamailio, kamailio-sqlite-modules or kamailio-ims-modules is not installed",
)
READERS = {IMS: importer_ims.read, DIALOG: importer_dialog.read}


@pytest.fixture(params=READERS, scope="module")
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Written]:
    ways = ("plain", "rich", "fork", "moved")
    found = record(tmp_path_factory.mktemp(request.param), request.param, ways)
    yield found
    found.hang_up()


def test_every_call_is_read_as_its_phones_know_it(written: Written) -> None:
    found = Found()
    with source(parse_url(written.url)) as connection:
        calls = [call.record for call in READERS[written.module](connection, time.time(), found)]
    assert found.faults == []
    assert (found.early, found.ended) == (0, 0)
    records = {record.callid: record for record in calls}
    assert list(records) == [call.callid for call in written.calls]
    for call in written.calls:
        record = records[call.callid]
        invite = call.callees[0].got_one("INVITE")
        answers = call.caller.got(200, "INVITE")
        assert record.from_tag == invite.from_tag
        assert record.from_uri in invite.get("From")
        assert record.to_uri in invite.get("To")
        assert record.caller_contact == invite.contact
        assert record.caller_bind_addr == f"udp:127.0.0.1:{written.port}"
        assert 7100 < record.timeout - time.time() <= 7200
        legs = {leg.to_tag: leg for leg in record.legs}
        assert len(legs) == (2 if call.callid.startswith("fork") and written.module == IMS else 1)
        leg = legs[answers[0].to_tag]
        assert leg.callee_contact == answers[0].contact
        assert leg.acked


def test_profiles_variables_and_flags(written: Written) -> None:
    with source(parse_url(written.url)) as connection:
        records = [
            call.record for call in READERS[written.module](connection, time.time(), Found())
        ]
    rich = next(record for record in records if record.callid.startswith("rich"))
    assert sorted(rich.variables) == [("more", "yes"), ("who", "alice & co")]
    assert rich.sflags & 8
    assert rich.toroute == "GONE"
    if written.module == DIALOG:
        assert rich.profiles == (("caller", "alice"), ("inbound", None))
        assert (rich.timeout_bye, rich.timeout_noreset, rich.keepalive) == (True, True, 1)


def test_numbers_for_a_bye_that_the_phones_take(written: Written) -> None:
    """The callee has sent a re-INVITE and an UPDATE; what goes to the caller must be above them."""
    with source(parse_url(written.url)) as connection:
        records = [
            call.record for call in READERS[written.module](connection, time.time(), Found())
        ]
    moved = next(record for record in records if record.callid.startswith("moved"))
    call = next(call for call in written.calls if call.callid == moved.callid)
    used = max(message.cseq for message in call.caller.got("UPDATE"))
    (leg,) = moved.legs
    total = 0 if leg.shifts is None else leg.shifts[1][0][-1][1]
    assert leg.callee_cseq + total + 1 > used > 1


def test_the_phones_still_wait(written: Written) -> None:
    for call in written.calls:
        assert call.caller.process.poll() is None
        assert call.callees[0].process.poll() is None
        assert not call.caller.got("BYE")


def test_the_file_is_left_as_it_was(written: Written) -> None:
    before = Path(written.database).read_bytes()
    with source(parse_url(written.url)) as connection:
        list(READERS[written.module](connection, time.time(), Found()))
    assert Path(written.database).read_bytes() == before
