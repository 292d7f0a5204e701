"""The MI FIFO's binding: a request to the dispatcher, its result to a reply tree."""

from __future__ import annotations

from dlgmgmt.commands.dispatcher import Caller, Dispatcher
from dlgmgmt.commands.errors import CommandError, Failure, MgmtProtocol
from dlgmgmt.interfaces.mi_render import dialogs, render
from mi_fifo import MiReply, MiRequest

_CALLER = Caller("MI FIFO", door="mi_fifo")
# The framing's own errors, whose replies do not end with an empty line.
_FRAMING = frozenset({Failure.UNKNOWN_COMMAND, Failure.INTERNAL})


class MiBinding:
    """Answers MI requests; call it on the management thread."""

    def __init__(self, dispatcher: Dispatcher, caller: Caller = _CALLER) -> None:
        self._dispatcher = dispatcher
        self._caller = caller

    def __call__(self, request: MiRequest) -> MiReply:
        """Run the command; a listing is taken from the table while the reply is written."""
        try:
            result = self._dispatcher.call(
                MgmtProtocol.MI, request.command, request.params, self._caller
            )
        except CommandError as error:
            now = int(self._dispatcher.context.clock())
            candidates = dialogs(error.candidates, now)
            return MiReply(error.code, error.text, candidates, error.failure not in _FRAMING)
        return MiReply(200, "OK", render(result))
