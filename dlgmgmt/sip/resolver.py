"""Asks DNS what ``selection`` wants to know, and remembers the answers.

The asking is dnspython's: random ids and ports, retries, truncated answers again over TCP, garbage
and answers of others ignored, loops of CNAMEs and compression found. Here it is bounded, shared and
cached. Everything runs on the signalling thread; what is known is answered at once.

A name in ``/etc/hosts`` has the addresses that stand there, and is asked for no NAPTR or SRV: who
writes a name there wants to say himself where it leads. Names of which DNS knows an address alone
may be completed from the search list of ``/etc/resolv.conf``, as the system does. Other sources of
nsswitch.conf are not consulted.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
import random
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import dns.asyncbackend
import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.resolver
from dns.rdata import Rdata
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV

from dlgmgmt.sip.hosts import HOSTS, RESOLV_CONF, Hosts, Watched
from dlgmgmt.sip.selection import (
    Answers,
    Candidate,
    Listening,
    Naptr,
    Plan,
    Question,
    Records,
    Srv,
    Step,
    Steps,
    find,
)
from dlgmgmt.sip.settings import DnsSettings

_LOG = logging.getLogger(__name__)

MAX_LOOKUPS = 64
"""Next hops that are being looked up at once; one more fails at once."""
MAX_QUESTIONS = 64
"""Questions under way at once, each with a socket; the others wait."""
MAX_RECORDS = 256
"""Records read of one answer: 64 kB may hold thousands."""
MAX_ALIASES = 8
"""CNAMEs followed from one answer to the next."""
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
        self._resolv_conf = Watched(resolv_conf, monotonic)
        self._dns: dns.asyncresolver.Resolver | None = None
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
            self._dns = None
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
            _LOG.info("too many look-ups under way, %r is not looked up", asked.host)
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
            settings = self._settings
            # Twice what one question may take: if one gets no answer, the procedure goes on.
            async with asyncio.timeout(2 * _lifetime(settings, self._servers())):
                while True:
                    questions = steps.send(await self._answers(questions))
        except StopIteration as stop:
            found = stop.value
        except TimeoutError:
            _LOG.info("the look-up of %r takes too long", asked.host)
        except Exception:  # noqa: BLE001 - logged
            # A hostile answer may hit upon a fault; the calls that wait must have theirs.
            _LOG.exception("the look-up of %r failed", asked.host)
        for done in self._waiting.pop(asked, ()):
            try:
                done(found)
            except Exception:  # noqa: BLE001 - logged
                # The others that wait must still be told.
                _LOG.exception("a call whose next hop was looked up failed")

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
                records, ttl = await self._query(question)
            except (dns.exception.DNSException, OSError, UnicodeError) as error:
                self.failures += 1
                _LOG.info("%s %r: %s", question.kind, question.name, error)
                records, ttl = (), min(settings.negative_ttl, FAILURE_SECONDS)
            except Exception:  # noqa: BLE001 - logged
                # dnspython reads what strangers send.
                self.failures += 1
                _LOG.exception("%s %r", question.kind, question.name)
                records, ttl = (), min(settings.negative_ttl, FAILURE_SECONDS)
            else:
                low, high = settings.min_ttl, settings.max_ttl
                ttl = max(ttl, low)
                ttl = min(ttl, high if records else settings.negative_ttl)
        self._keep(question, records, ttl)
        return records

    async def _query(self, question: Question) -> tuple[Records, float]:
        """Records and seconds that they last."""
        resolver = self._servers()
        settings = self._settings
        search = question.kind in ("A", "AAAA") and not settings.servers
        name, life = question.name, float("inf")
        for _ in range(MAX_ALIASES):
            try:
                answer = await resolver.resolve(
                    f"{name}." if not search else name,
                    question.kind,
                    raise_on_no_answer=False,
                    lifetime=_lifetime(settings, resolver),
                    search=search,
                    backend=dns.asyncbackend.get_backend("asyncio"),
                )
            except dns.resolver.NXDOMAIN as error:
                said: Any = error  # the class has no types
                for response in said.responses().values():
                    life = min(life, response.resolve_chaining().minimum_ttl)
                return (), life
            chain = answer.chaining_result
            life = min(life, chain.minimum_ttl)
            if answer.rrset is not None:
                some = itertools.islice(answer.rrset, MAX_RECORDS)
                records = (_record(each, question.kind) for each in some)
                return tuple(each for each in records if each is not None), life
            if chain.canonical_name == answer.qname:
                return (), life
            # The server has the alias and not what it stands for.
            name, search = _text(chain.canonical_name), False
        return (), life

    def _servers(self) -> dns.asyncresolver.Resolver:
        settings = self._settings
        changed = not settings.servers and self._resolv_conf.changed()
        if self._dns is None or changed:
            self._dns = _resolver(settings, self._resolv_conf.path)
        return self._dns


def _resolver(settings: DnsSettings, resolv_conf: str) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=False)
    if settings.servers:
        resolver.nameservers = [
            dns.nameserver.Do53Nameserver(host, port) for host, port in settings.servers
        ]
    else:
        try:
            resolver.read_resolv_conf(resolv_conf)
        except (dns.exception.DNSException, OSError, ValueError) as error:
            # As the system's resolver does without a usable file.
            _LOG.warning("%s: %s: 127.0.0.1 is asked", resolv_conf, error)
            resolver.nameservers = ["127.0.0.1"]
    resolver.timeout = settings.timeout
    return resolver


def _lifetime(settings: DnsSettings, resolver: dns.asyncresolver.Resolver) -> float:
    """Seconds for one question: each attempt asks the next server, and each server is asked."""
    return settings.timeout * max(settings.attempts, min(len(resolver.nameservers), 3))


def _record(data: Rdata, kind: str) -> Naptr | Srv | str | None:
    """A record as ``selection`` knows it, None for one of another kind."""
    if isinstance(data, A | AAAA):
        return data.address if kind == ("A" if isinstance(data, A) else "AAAA") else None
    if isinstance(data, SRV):
        return Srv(data.priority, data.weight, data.port, _text(data.target))
    if isinstance(data, NAPTR):
        flags, service = (
            data.flags.decode("ascii", "replace"),
            data.service.decode("ascii", "replace"),
        )
        return Naptr(data.order, data.preference, flags, service, _text(data.replacement))
    return None


def _text(name: dns.name.Name) -> str:
    """A name in lower case without its final dot; "" for the root."""
    return name.to_text(omit_final_dot=True).lower() if len(name) > 1 else ""
