"""Parameters of the MI FIFO (``[mi_fifo]``)."""

from __future__ import annotations

from dataclasses import dataclass, field

from mi_fifo.grammar import Limits


@dataclass(slots=True, frozen=True)
class FifoSettings:
    """Settings of a FifoServer. Times in seconds.

    fifo_name: path of the command FIFO. reply_dir: the directory of the reply FIFOs.
    fifo_mode: permission bits of the command FIFO. fifo_user, fifo_group: its owner and group, by
    name or decimal number; None leaves them as they come. limits: sizes in bytes.
    request_deadline: from the first byte of a command to its final empty line. quote_grace: silence
    after which an empty line inside an open quote is taken for the end of a broken command.
    open_deadline: how long a reply waits for its reader to open the FIFO. write_deadline: how long
    a full reply FIFO may stay full. reply_deadline: for a whole reply. max_replies: replies under
    way at once; a command beyond it is dropped. watch_interval: between two looks at whether the
    FIFO is still there. stop_grace: for replies under way when the server stops.
    """

    fifo_name: str
    reply_dir: str
    fifo_mode: int = 0o660
    fifo_user: str | None = None
    fifo_group: str | None = None
    limits: Limits = field(default_factory=Limits)
    request_deadline: float = 2.0
    quote_grace: float = 0.5
    open_deadline: float = 1.0
    write_deadline: float = 3.0
    reply_deadline: float = 300.0
    max_replies: int = 256
    watch_interval: float = 1.0
    stop_grace: float = 1.0
