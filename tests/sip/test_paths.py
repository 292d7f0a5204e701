"""Calls on every path: transports, address families, a second proxy on either side, two daemons.

On each path a call is made and hung up by each side in turn, with a re-INVITE and an UPDATE in
between, and one is ended by an operator while it rings and one when it has been answered. The
phones are sipp; each judges what it gets, and fails if anything is missing.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sip.harness import kamailio, stunnel
from tests.sip.harness.daemon import LINGER
from tests.sip.harness.paths import Country, Way
from tests.sip.harness.phones import Phones

pytestmark = pytest.mark.skipif(
    None in (kamailio.BINARY, kamailio.TLS_MODULE, stunnel.BINARY),
    reason="needs kamailio, kamailio-tls-modules and stunnel4 (Debian packages)",
)

WAYS = [
    Way("udp", "udp"),
    Way("tcp", "tcp"),
    Way("tls", "tls"),
    Way("udp", "tcp"),
    Way("tcp", "udp"),
    Way("udp", "tls"),
    Way("tls", "udp"),
    Way("udp", "udp6"),
    Way("udp6", "udp"),
    Way("tcp6", "udp"),
    Way("tls", "tcp6"),
    Way("udp", "udp", before="udp"),
    Way("tcp", "udp", before="tcp"),
    Way("udp", "tcp", before="tls"),
    Way("udp", "udp", behind="udp"),
    Way("udp", "tcp", behind="tcp"),
    Way("tcp", "udp", behind="tls"),
    Way("udp", "udp", before="udp", behind="udp"),
    Way("tls", "tls", before="tls", behind="tls"),
    Way("udp", "udp", second="udp"),
    Way("udp", "tcp", second="tls"),
    Way("tcp", "udp", second="tcp", killer="far"),
]
FILL = {"RING": "100", "TALK": "100", "CODE": "488"}
everywhere = pytest.mark.parametrize("way", WAYS, ids=str)


@pytest.fixture(scope="module")
def whole_country(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Country]:
    country = Country(tmp_path_factory.mktemp("paths"))
    yield country
    try:
        for daemon in (country.near, country.far):
            daemon.wait_empty(LINGER)
    finally:
        country.stop()


@pytest.fixture
def country(whole_country: Country) -> Iterator[Country]:
    yield whole_country
    whole_country.put_up()
    whole_country.check_logs()


@everywhere
@pytest.mark.parametrize(
    ("caller", "callee"),
    [("uac_modify", "uas_modified"), ("uac_modified_wait_bye", "uas_modify_hangup")],
    ids=["by-caller", "by-callee"],
)
def test_a_whole_call(country: Country, phones: Phones, way: Way, caller: str, callee: str) -> None:
    uac, uas = country.place(way, phones, caller, callee, FILL)
    uac.wait()
    uas.wait()
    for daemon in country.daemons(way):
        daemon.wait_ended(phones.callid)
    changed = uas if caller == "uac_modify" else uac
    assert len({message.branch for message in changed.got("INVITE")}) == (
        2 if changed is uas else 1
    )
    changed.got_one("UPDATE")
    changed.got_one("BYE")


@everywhere
def test_killed_while_it_rings(country: Country, phones: Phones, way: Way) -> None:
    killer = country.killer(way)
    uac, uas = country.place(way, phones, "uac_rejected", "uas_cancelled", FILL)
    killer.wait_state(phones.callid, 2, legs=1)
    order = killer.order_kill(phones.callid)
    uac.wait()
    uas.wait()
    killer.wait_outcomes(order, {"caller": "acknowledged", "callee": "487"})
    for daemon in country.daemons(way):
        daemon.wait_ended(phones.callid)
    uac.got_one(488)
    uas.got_one("CANCEL")
    uas.got_one("ACK")


@everywhere
def test_killed_after_the_answer(country: Country, phones: Phones, way: Way) -> None:
    killer = country.killer(way)
    uac, uas = country.place(way, phones, "uac_wait_bye", "uas_answer", FILL)
    for daemon in country.daemons(way):
        daemon.wait_state(phones.callid, 4, legs=1)
    order = killer.order_kill(phones.callid)
    uac.wait()
    uas.wait()
    killer.wait_outcomes(order, {"caller": "200", "callee": "200"})
    for daemon in country.daemons(way):
        daemon.wait_ended(phones.callid)
    for sipp in (uac, uas):
        assert sipp.got_one("BYE").get("Reason").endswith(';text="mi_terminated"')
