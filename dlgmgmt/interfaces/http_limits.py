"""What one HTTP client may use: requests a second, requests at once, connections."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MAX_CLIENTS = 4096
"""Clients whose rate is remembered; the one that was silent for longest is forgotten first."""


@functools.lru_cache(maxsize=1024)
def client_of(host: str) -> str:
    """Which client an address belongs to: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False))


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class RequestLimits:
    """rate: requests a second. burst: of them at once. at_once: under way; 0: no limit.

    monotonic: clock in seconds.
    """

    def __init__(
        self,
        rate: int,
        burst: int,
        at_once: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.refused = 0
        self._rate = rate
        self._burst = burst
        self._at_once = at_once
        self._monotonic = monotonic
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._under_way: Counter[str] = Counter()

    def wait(self, host: str) -> int:
        """Take a request of ``host`` into account: 0, or the seconds after which to come again."""
        client = client_of(host)
        if self._at_once and self._under_way[client] >= self._at_once:
            self.refused += 1
            return 1
        if not self._rate:
            return 0
        now = self._monotonic()
        bucket = self._buckets.get(client)
        if bucket is None:
            bucket = self._buckets[client] = _Bucket(self._burst, now)
            if len(self._buckets) > MAX_CLIENTS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(client)
        bucket.left = min(self._burst, bucket.left + (now - bucket.at) * self._rate)
        bucket.at = now
        if bucket.left < 1:
            self.refused += 1
            return math.ceil((1 - bucket.left) / self._rate)
        bucket.left -= 1
        return 0

    @contextlib.contextmanager
    def under_way(self, host: str) -> Iterator[None]:
        """A request of ``host`` is being answered."""
        client = client_of(host)
        self._under_way[client] += 1
        try:
            yield
        finally:
            self._under_way[client] -= 1
            if not self._under_way[client]:
                del self._under_way[client]
