"""The dispatcher: look up, check permission, bind parameters, run the handler, map errors."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from dlgmgmt.commands.binding import Argument, bind, quoted
from dlgmgmt.commands.context import CommandContext
from dlgmgmt.commands.errors import (
    DEFAULT_TEXTS,
    CommandError,
    Failure,
    MgmtProtocol,
    Refused,
)
from dlgmgmt.commands.registry import Call, Command, Permission, Registry
from dlgmgmt.commands.results import Result

_LOG = logging.getLogger(__name__)

ALL_PERMISSIONS: frozenset[Permission] = frozenset({"view", "operate"})


@dataclass(slots=True, frozen=True)
class Caller:
    """Who asks. label: for the log, such as "fifo" or an address."""

    label: str
    permissions: frozenset[Permission] = ALL_PERMISSIONS


class Dispatcher:
    """Runs commands. Handlers run on the thread that calls :meth:`call`."""

    def __init__(self, registry: Registry, context: CommandContext) -> None:
        self.registry = registry
        self.context = context
        self._names = {protocol: registry.names(protocol) for protocol in MgmtProtocol}

    def call(
        self, protocol: MgmtProtocol, name: str, arguments: Sequence[Argument], caller: Caller
    ) -> Result:
        """Run the command that ``protocol`` calls ``name``.

        Raises CommandError with the protocol's own code and text; the reason is logged here,
        once. Nothing else is raised for what a client can cause.
        """
        command = self.registry.lookup(protocol, name)
        try:
            result = self._run(command, protocol, arguments, caller)
        except Refused as refused:
            raise self._error(
                command, protocol, name, caller, refused.failure, refused.detail
            ) from None
        except Exception:  # noqa: BLE001 - a broken handler must not end the interface
            _LOG.exception("%s %s from %s failed", protocol.value, quoted(name), caller.label)
            raise self.failed(protocol, name) from None
        if command is not None and command.permission == "operate":
            _LOG.info("%s %s from %s: done", protocol.value, name, caller.label)
        return result

    def _run(
        self,
        command: Command | None,
        protocol: MgmtProtocol,
        arguments: Sequence[Argument],
        caller: Caller,
    ) -> Result:
        if command is None:
            raise Refused(Failure.UNKNOWN_COMMAND)
        if command.permission not in caller.permissions:
            raise Refused(Failure.FORBIDDEN, f"needs the permission {command.permission}")
        values, further = bind(command, protocol, arguments)
        return command.handler(Call(self.context, values, further, self._names[protocol]))

    def failed(self, protocol: MgmtProtocol, name: str) -> CommandError:
        """The answer to a command that broke for a reason that is not the client's business."""
        code, text = DEFAULT_TEXTS[protocol, Failure.INTERNAL]
        return CommandError(code, text.format(name=name), Failure.INTERNAL)

    @staticmethod
    def _error(
        command: Command | None,
        protocol: MgmtProtocol,
        name: str,
        caller: Caller,
        failure: Failure,
        detail: str,
    ) -> CommandError:
        if command is None:
            code, text = DEFAULT_TEXTS[protocol, failure]
        else:
            code, text = command.error_text(protocol, failure)
        _LOG.info(
            "%s %s from %s refused: %d, %s%s",
            protocol.value,
            quoted(name),
            caller.label,
            code,
            failure.value,
            f" ({ascii(detail)[1:-1]})" if detail else "",
        )
        return CommandError(code, text.format(name=name), failure, detail)
