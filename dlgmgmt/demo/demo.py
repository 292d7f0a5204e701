"""The demo: phones that place and take real calls through the proxy until they are stopped."""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass

from dlgmgmt.demo.call import Call
from dlgmgmt.demo.message import show
from dlgmgmt.demo.phone import DOMAIN, Phone
from dlgmgmt.demo.scripts import ANSWERING, GROUPS, LINES, Line, Pace, answering, place
from dlgmgmt.demo.transaction import Address, Timers

# After a call that somebody between the phones ended, so that its end can be seen in a listing.
PAUSE_AFTER_KILL = 3.0
PAUSE_AFTER_FAILURE = 5.0
FAREWELL = 1.0


@dataclass(frozen=True, slots=True)
class DemoRoute:
    """A route that the proxy needs: calls to ``user_prefix`` go to ``targets`` (SIP URIs)."""

    user_prefix: str
    targets: tuple[str, ...]
    fork: str = "parallel"


class Demo:
    """All the phones.

    proxy: host and port of the proxy. rng: all chance is drawn from it. pace: a factor on every
    human time (1.0: conversations of 20 to 60 s), SIP timers excepted.

    ``bind()`` before the proxy starts, so that ``routes()`` can be given to it; ``start()`` when
    it is up.
    """

    def __init__(
        self,
        proxy: Address,
        *,
        rng: random.Random,
        logger: logging.Logger,
        pace: float = 1.0,
        timers: Timers | None = None,
    ) -> None:
        self.proxy = proxy
        self._logger = logger
        self._pace = Pace(rng, pace)
        self._tasks: list[asyncio.Task[None]] = []
        self.phones: dict[str, Phone] = {}
        for user in dict.fromkeys([*(line.caller for line in LINES), *ANSWERING]):
            behaviour = ANSWERING.get(user)
            self.phones[user] = Phone(
                user,
                proxy,
                rng=rng,
                logger=logger,
                on_call=answering(behaviour, self._pace) if behaviour else None,
                timers=timers,
            )

    def bind(self) -> dict[str, Address]:
        """Bind every phone to a free loopback port: user to address; raises OSError."""
        host = "::1" if ":" in self.proxy[0] else "127.0.0.1"
        for phone in self.phones.values():
            if not phone.address[1]:
                phone.bind(host)
        return {user: phone.address for user, phone in self.phones.items()}

    def routes(self) -> list[DemoRoute]:
        """The proxy's routes to the phones; a group's forks to all of its phones."""
        bound = self.bind()
        members = {user: (user,) for user in bound} | GROUPS
        return [
            DemoRoute(name, tuple(f"sip:{show(bound[user])}" for user in users))
            for name, users in members.items()
        ]

    async def start(self) -> list[Address]:
        """Start calling; the addresses of the phones."""
        bound = self.bind()
        for phone in self.phones.values():
            await phone.start()
        for number, line in enumerate(LINES):
            self._tasks.append(asyncio.create_task(self._run(line, 0.1 * number)))
        return list(bound.values())

    async def stop(self) -> None:
        """Hang up everywhere, wait a second at most for the answers, close."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        try:
            async with asyncio.timeout(FAREWELL):
                for phone in self.phones.values():
                    await phone.settled()
        except TimeoutError:
            self._logger.info("demo: not every call could be ended")
        for phone in self.phones.values():
            phone.close()

    async def _run(self, line: Line, delay: float) -> None:
        phone = self.phones[line.caller]

        def dial() -> Call:
            return phone.call(f"sip:{line.callee}@{DOMAIN}")

        await asyncio.sleep(delay)
        while True:
            call = await place(line, self._pace, dial)
            pause = self._pace.draw(line.pause)
            if call.by_network:
                pause = PAUSE_AFTER_KILL * self._pace.factor
            elif not call.rang.is_set() and not call.answered.is_set():
                # Nobody there: a proxy that has not started or has ended.
                pause = PAUSE_AFTER_FAILURE * self._pace.factor
            await asyncio.sleep(pause)
