"""Parameters of the HTTP interface (``[http]``)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class HttpSettings:
    """Where JSON-RPC over HTTP listens, and what one client may use. Times in seconds.

    host: numeric address without brackets. port: 0 takes any free one. max_body: bytes of one
    request body; a larger one is answered 413. max_batch: members of one JSON-RPC batch.
    max_depth: nesting of arrays and objects in a request. max_connections: open at once; further
    ones are answered 503. read_timeout: for one whole request to arrive. write_timeout: without
    progress on a reply that the client does not read. keepalive_timeout: of an idle connection.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    max_body: int = 1_048_576
    max_batch: int = 100
    max_depth: int = 32
    max_connections: int = 512
    read_timeout: float = 10.0
    write_timeout: float = 30.0
    keepalive_timeout: float = 75.0
