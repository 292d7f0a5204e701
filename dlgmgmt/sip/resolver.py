"""Asks DNS what ``selection`` wants to know, and remembers the answers.

``nameservers`` does the asking; here it is bounded, shared and cached. Everything runs on the
signalling thread; what is known is answered at once.

A name in ``/etc/hosts`` has the addresses that stand there, and is asked for no NAPTR or SRV: who
writes a name there wants to say himself where it leads. Names of which DNS knows an address alone
may be completed from the search list of ``/etc/resolv.conf``, as the system does. Other sources of
nsswitch.conf are not consulted.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
from collections import OrderedDict
from collections.abc import Callable, Sequence

from dlgmgmt.sip.hosts import HOSTS, RESOLV_CONF, Hosts
from dlgmgmt.sip.nameservers import NameServers, NoAnswer
from dlgmgmt.sip.quiet import Quiet
from dlgmgmt.sip.selection import (
    Answers,
    Candidate,
    Listening,
    Plan,
    Question,
    Records,
    Step,
    Steps,
    find,
)
from dlgmgmt.sip.settings import DnsSettings

_QUIET = Quiet(logging.getLogger(__name__))

MAX_LOOKUPS = 64
"""Next hops that are being looked up at once; one more fails at once."""
MAX_QUESTIONS = 64
"""Questions under way at once, each with a socket; the others wait."""
FAILURE_SECONDS = 5.0
"""How long it is remembered that the servers did not answer, at most (RFC 2308 7)."""

Done = Callable[[Sequence[Candidate]], None]


class Resolver:
    """Follows plans. rng: shares the load between servers of different weight.

    monotonic: clock in seconds. hosts, resolv_conf: the system's files. hits, misses: questions
    that the cache could answer or not. failures: questions that no server answered. refused:
    look-ups that were too many.
    """

    def __init__(
        self,
        settings: DnsSettings,
        *,
        monotonic: Callable[[], float],
        rng: random.Random,
        hosts: str = HOSTS,
        resolv_conf: str = RESOLV_CONF,
    ) -> None:
        self.hits = 0
        self.misses = 0
        self.failures = 0
        self.refused = 0
        self._settings = settings
        self._monotonic = monotonic
        self._rng = rng
        self._hosts = Hosts(hosts, monotonic)
        self._resolv_conf = resolv_conf
        self._servers = NameServers(settings, monotonic, resolv_conf)
        self._cache: OrderedDict[Question, tuple[float, Records]] = OrderedDict()
        self._waiting: dict[Plan, list[Done]] = {}
        self._asking: dict[Question, asyncio.Task[Records]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(MAX_QUESTIONS)

    def __len__(self) -> int:
        """Answers remembered."""
        return len(self._cache)

    @property
    def under_way(self) -> int:
        """Next hops that are being looked up."""
        return len(self._waiting)

    def use(self, settings: DnsSettings) -> None:
        """Go on with other settings; what was learnt with the old ones is forgotten."""
        if settings != self._settings:
            self._settings = settings
            self._servers = NameServers(settings, self._monotonic, self._resolv_conf)
            self._cache.clear()

    def close(self) -> None:
        """Give up what is under way; nobody is told. A loop that stands still runs for it."""
        self._waiting.clear()
        tasks = (*self._tasks, *self._asking.values())
        for task in tasks:
            task.cancel()
        if tasks and not (loop := tasks[0].get_loop()).is_running():
            loop.run_until_complete(asyncio.wait(tasks))

    # -- the procedure ---------------------------------------------------------------------------

    def find(self, asked: Plan, listening: Listening, done: Done) -> None:
        """Call ``done`` with the servers of a plan, best first; at once where all is known."""
        waiting = self._waiting.get(asked)
        if waiting is not None:
            waiting.append(done)
            return
        if asked.host.endswith(".invalid"):
            # RFC 6761 6.4: nobody knows such a name; RFC 7118 gives them to browsers.
            done(())
            return
        wanted = asked
        if asked.step is not Step.NOTHING and self._hosts.addresses(asked.host) is not None:
            wanted = asked._replace(step=Step.ADDRESS)
            if not asked.default:
                done(())
                return
        steps = find(wanted, listening, self._rng)
        try:
            questions = next(steps)
            while (answers := self._known(questions)) is not None:
                questions = steps.send(answers)
        except StopIteration as stop:
            done(stop.value)
            return
        if len(self._waiting) >= MAX_LOOKUPS:
            self.refused += 1
            _QUIET.info("too many look-ups under way, %r is not looked up", asked.host)
            done(())
            return
        self._waiting[asked] = [done]
        # Not create_task: a datagram is read within the selector, which a task does not wake.
        begin = functools.partial(self._begin, asked, steps, questions)
        asyncio.get_running_loop().call_soon_threadsafe(begin)

    def _begin(self, asked: Plan, steps: Steps, questions: tuple[Question, ...]) -> None:
        if asked not in self._waiting:
            return
        task = asyncio.get_running_loop().create_task(self._follow(asked, steps, questions))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, asked: Plan, steps: Steps, questions: tuple[Question, ...]) -> None:
        found: Sequence[Candidate] = ()
        try:
            # Twice what one question may take: if one gets no answer, the procedure goes on.
            async with asyncio.timeout(2 * self._servers.patience):
                while True:
                    questions = steps.send(await self._answers(questions))
        except StopIteration as stop:
            found = stop.value
        except TimeoutError:
            _QUIET.info("the look-up of %r takes too long", asked.host)
        except Exception:  # noqa: BLE001 - logged
            # A hostile answer may hit upon a fault; the calls that wait must have theirs.
            _QUIET.exception("the look-up of %r failed", asked.host)
        for done in self._waiting.pop(asked, ()):
            try:
                done(found)
            except Exception:  # noqa: BLE001 - logged
                # The others that wait must still be told.
                _QUIET.exception("a call whose next hop was looked up failed")

    # -- answers ---------------------------------------------------------------------------------

    def _known(self, questions: tuple[Question, ...]) -> Answers | None:
        """The answers, if all are known."""
        answers: dict[Question, Records] = {}
        for question in questions:
            records = self._recall(question)
            if records is None:
                return None
            answers[question] = records
        self.hits += len(answers)
        return answers

    def _recall(self, question: Question) -> Records | None:
        if question.kind in ("A", "AAAA"):
            known = self._hosts.addresses(question.name)
            if known is not None:
                wide = question.kind == "AAAA"
                return tuple(address for address in known if (":" in address) == wide)
        kept = self._cache.get(question)
        if kept is None:
            return None
        if kept[0] <= self._monotonic():
            del self._cache[question]
            return None
        self._cache.move_to_end(question)
        return kept[1]

    def _keep(self, question: Question, records: Records, ttl: float) -> None:
        if ttl <= 0 or self._settings.cache_size <= 0:
            return
        self._cache[question] = self._monotonic() + ttl, records
        self._cache.move_to_end(question)
        while len(self._cache) > self._settings.cache_size:
            self._cache.popitem(last=False)

    async def _answers(self, questions: tuple[Question, ...]) -> Answers:
        answers: dict[Question, Records] = {}
        tasks: dict[Question, asyncio.Task[Records]] = {}
        for question in questions:
            records = self._recall(question)
            if records is not None:
                self.hits += 1
                answers[question] = records
            else:
                tasks[question] = self._asking.get(question) or self._ask(question)
        if tasks:
            # wait() leaves the questions alone when the time is up: others may wait for them.
            await asyncio.wait(tasks.values())
        for question, task in tasks.items():
            answers[question] = () if task.cancelled() else task.result()
        return answers

    def _ask(self, question: Question) -> asyncio.Task[Records]:
        self.misses += 1
        task = asyncio.get_running_loop().create_task(self._answer(question))
        self._asking[question] = task
        task.add_done_callback(lambda _: self._asking.pop(question, None))
        return task

    # -- asking ----------------------------------------------------------------------------------

    async def _answer(self, question: Question) -> Records:
        """What the servers say; nothing if they do not."""
        settings = self._settings
        async with self._slots:
            try:
                records, ttl = await self._servers.ask(question)
            except NoAnswer as error:
                self.failures += 1
                _QUIET.info("%s %r: %s", question.kind, question.name, error)
                records, ttl = (), min(settings.negative_ttl, FAILURE_SECONDS)
            else:
                low, high = settings.min_ttl, settings.max_ttl
                ttl = max(ttl, low)
                ttl = min(ttl, high if records else settings.negative_ttl)
        self._keep(question, records, ttl)
        return records
