"""Databases that Debian's kamailio wrote about real calls: loaded whole, hung up on the wire."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.db.harness.kamailio_db import BINARY, DIALOG, IMS, MODULES, Written, record
from tests.db.harness.stage import Stage
from tests.sip.harness.daemon import ROOT, poll

NEEDS = pytest.mark.skipif(
    BINARY is None or MODULES is None,
    reason="kamailio, kamailio-sqlite-modules or kamailio-ims-modules is not installed",
)
PROFILES = {"profiles_with_value": ["caller"], "profiles_no_value": ["inbound"]}


@pytest.fixture
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Written]:
    """A database of kamailio's, whose phones wait for a BYE."""
    found = record(tmp_path / "kamailio", request.param)
    yield found
    found.hang_up()


def taking_over(folder: Path, written: Written, url: str) -> Stage:
    """A daemon where kamailio was."""
    stage = Stage(folder / "own", url, 1, ims=PROFILES, script="")
    stage.move(written.port)
    return stage


@NEEDS
@pytest.mark.parametrize("written", [IMS], indirect=True)
def test_the_tables_of_ims_dialog_are_taken_over_as_they_are(
    written: Written, tmp_path: Path
) -> None:
    stage = taking_over(tmp_path, written, written.url)
    stage.start()
    try:
        status = stage.wait_loaded()
        assert (status["loaded"], status["skipped"]) == (3, 0)
        _check(stage, written)
        _kill(stage, written)
        stage.stop()
        assert stage.rows() == {}
    finally:
        stage.end()


@NEEDS
@pytest.mark.parametrize("written", [DIALOG], indirect=True)
def test_the_table_of_the_dialog_module_is_imported(written: Written, tmp_path: Path) -> None:
    stage = taking_over(tmp_path, written, f"sqlite:///{tmp_path}/own.sqlite")
    command = [sys.executable, "-m", "dlgmgmt", "db", "import"]
    command += ["--from", written.url, "--url", stage.url]
    done = subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": f"{ROOT / 'fifo'}:{ROOT}"}, capture_output=True,
        text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    stage.start()
    try:
        assert stage.wait_loaded()["loaded"] == 3
        _check(stage, written)
        rich = stage.listing()["rich@kamailio.example.com"]
        assert sorted(map(str, rich["profiles"])) == sorted(["inbound", str({"caller": "alice"})])
        assert stage.rpc.call("dlg.profile_get_size", "caller", "alice") == 1
        _kill(stage, written)
        stage.stop()
        assert stage.rows() == {}
    finally:
        stage.end()


def _check(stage: Stage, written: Written) -> None:
    """What the phones know of their calls is what is listed."""
    listed = stage.listing()
    assert listed.keys() == {call.callid for call in written.calls}
    for call in written.calls:
        item = listed[call.callid]
        invite = call.callees[0].got_one("INVITE")
        ok = call.caller.got_one(200, "INVITE")
        assert item["caller"]["tag"] == invite.from_tag
        assert item["from_uri"] in invite.get("From")
        assert item["to_uri"] in invite.get("To")
        # ims_dialog's tables have the legs that were cancelled too, and do not say so.
        (leg,) = [each for each in item["legs"] if each["to_tag"] == ok.to_tag]
        assert leg["contact"] == ok.contact
        assert (leg["caller_cseq"], leg["callee_cseq"]) == (1, 1)
        assert item["caller"]["contact"] == invite.contact
        assert item["timeout_left"] > 7000
    variables = [
        pair for each in listed["rich@kamailio.example.com"]["variables"] for pair in each.items()
    ]
    assert sorted(variables) == [("more", "yes"), ("who", "alice & co")]
    assert listed["rich@kamailio.example.com"]["sflags"] & 8


def _kill(stage: Stage, written: Written) -> None:
    for call in written.calls:
        assert stage.end_call(call.callid)
        for phone in (call.caller, call.callees[0]):
            phone.wait()
            bye = phone.got("BYE")[0]
            # ims_dialog's tables do not follow the numbers, so the daemon's begin higher.
            assert bye.cseq == (1002 if written.module == IMS else 2)
            assert "mi_terminated" in bye.get("Reason")
    poll(lambda: not stage.listing(), 15, lambda: f"{stage.listing()}")
