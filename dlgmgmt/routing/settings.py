"""Parameters of the routing scripts (``[routing]``)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class RoutingSettings:
    """What an operator can set in ``[routing]``.

    script: path of the Python file with the route functions, None for no script. time_limit:
    seconds that one run may take; beyond, it is given up. workers: threads that run scripts.
    max_queue: runs that may wait for a thread; beyond, a request is answered 503. load_limit:
    seconds that loading the script may take, ``mod_init`` included; beyond, it is refused.
    """

    script: str | None = None
    time_limit: float = 1.0
    workers: int = 4
    max_queue: int = 10_000
    load_limit: float = 30.0
