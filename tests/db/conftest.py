"""Database servers for the tests, each started once and when it is asked for first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.db.harness.databases import database, make
from tests.db.harness.fixtures import exchange, start
from tests.db.harness.servers import SERVERS, Server, missing

__all__ = ["database", "database_url", "exchange", "make", "running", "server", "start"]


@pytest.fixture(scope="session")
def _servers() -> Iterator[Callable[[str], Server]]:
    made: dict[str, Server] = {}

    def get(name: str) -> Server:
        if why := missing(name):
            pytest.skip(f"NO {name.upper()} WAS TESTED: {why}")
        if name not in made:
            made[name] = SERVERS[name]()
            made[name].start()
        return made[name]

    yield get
    for server in made.values():
        server.close()


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, _servers: Callable[[str], Server]) -> Iterator[Server]:
    """Each of the servers, running."""
    server = _servers(request.param)
    server.start()
    # Those of the tests before: nobody uses them any more.
    server.drop_databases()
    yield server
    # What a test has done to it concerns no other.
    server.resume()
    server.free()
    server.start()


@pytest.fixture
def running(_servers: Callable[[str], Server]) -> Iterator[Callable[[str], Server]]:
    """Gets servers by their names, for tests of several at once."""
    used: list[Server] = []

    def get(name: str) -> Server:
        used.append(_servers(name))
        used[-1].start()
        return used[-1]

    yield get
    for server in used:
        server.resume()
        server.free()
        server.start()


@pytest.fixture
def database_url(server: Server) -> Callable[[], str]:
    """Makes empty databases on the server."""
    return server.new_database
