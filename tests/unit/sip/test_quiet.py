"""Lines that strangers can provoke are logged once a second."""

from __future__ import annotations

import logging

import pytest

from dlgmgmt.sip import quiet
from dlgmgmt.sip.quiet import Quiet

NAME = "dlgmgmt.test"


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(clock: Clock, caplog: pytest.LogCaptureFixture) -> Quiet:
    caplog.set_level(logging.INFO, NAME)
    quiet.forget()
    return Quiet(logging.getLogger(NAME), clock)


def test_a_kind_is_logged_once_a_second_and_what_was_left_out_is_told(
    log: Quiet, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(2000):
        log.info("bad message from %s", number)
        clock.now += 1 / 1024
    assert caplog.messages == [
        "bad message from 0",
        "bad message from 1024 (and 1023 more like it before)",
    ]


def test_kinds_do_not_silence_each_other(log: Quiet, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        log.info("bad message from %s", "a")
        log.warning("too many calls")
    assert caplog.messages == ["bad message from a", "too many calls"]
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]


def test_what_nothing_followed_is_told_in_the_end(
    log: Quiet, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        log.warning("bad message from %s", "a")
    quiet.flush(clock)
    assert len(caplog.messages) == 1
    clock.now += 1
    quiet.flush(clock)
    quiet.flush(clock)
    assert caplog.messages[1:] == ["2 more were not logged of: bad message from %s"]
    assert caplog.records[1].levelno == logging.WARNING
    log.warning("bad message from %s", "b")
    assert len(caplog.messages) == 2


def test_tracebacks_are_bounded_too(
    log: Quiet, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        try:
            int("x")
        except ValueError:
            log.exception("failed on %s", "INVITE")
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.levelno == logging.ERROR


def test_a_level_that_is_off_leaves_nothing_to_tell(
    log: Quiet, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, NAME)
    log.info("x")
    log.info("x")
    caplog.set_level(logging.INFO, NAME)
    clock.now += 5
    quiet.flush(clock)
    assert caplog.messages == []
