"""The dispatcher: look up, check permission, bind parameters, run the handler, map errors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dlgmgmt.commands.audit import (
    Audit,
    AuditRecord,
    bounded,
    shown_arguments,
    target_of,
    terminations_of,
)
from dlgmgmt.commands.binding import Argument, bind, quoted
from dlgmgmt.commands.context import CommandContext
from dlgmgmt.commands.errors import (
    DEFAULT_TEXTS,
    CommandError,
    Failure,
    MgmtProtocol,
    Refused,
)
from dlgmgmt.commands.registry import Call, Command, Permission, Registry, Value
from dlgmgmt.commands.results import Result, TerminationOrdered, Working
from dlgmgmt.commands.results_database import DatabaseResult
from dlgmgmt.dialog.views import TerminationView

_LOG = logging.getLogger(__name__)

ALL_PERMISSIONS: frozenset[Permission] = frozenset({"view", "operate", "admin"})


@dataclass(slots=True, frozen=True)
class Caller:
    """Who asks. label: for the log, such as "fifo" or an address.

    user, role: of the token or certificate; user may also be the account at the other end of a
    unix socket; "" if unknown. door: the interface, such as "http". address: of the peer, host and
    port, "" if it has none.
    """

    label: str
    permissions: frozenset[Permission] = ALL_PERMISSIONS
    user: str = ""
    door: str = ""
    address: str = ""
    role: str = ""


@dataclass(slots=True)
class _Understood:
    """What became of the arguments. values: None as long as they are not bound."""

    values: dict[str, Value] | None = None
    further: tuple[str, ...] = ()


class Dispatcher:
    """Runs commands. Handlers run on the thread that calls :meth:`call`.

    audit: is told of every command whose permission is not "view", those refused included.
    """

    def __init__(
        self, registry: Registry, context: CommandContext, audit: Audit | None = None
    ) -> None:
        self.registry = registry
        self.context = context
        self._audit = audit
        self._names = {protocol: registry.names(protocol) for protocol in MgmtProtocol}

    def call(
        self, protocol: MgmtProtocol, name: str, arguments: Sequence[Argument], caller: Caller
    ) -> Result:
        """Run the command that ``protocol`` calls ``name``.

        Raises CommandError with the protocol's own code and text; the reason is logged here,
        once. Nothing else is raised for what a client can cause.
        """
        command = self.registry.lookup(protocol, name)
        understood = _Understood()
        answer = self._answer(command, protocol, name, arguments, caller, understood)
        if command is not None and command.permission != "view":
            if not isinstance(answer, CommandError):
                _LOG.info("%s %s from %s: done", protocol.value, name, caller.label)
            if self._audit is not None:
                self._audit.record(self._record(name, arguments, caller, understood, answer))
        if isinstance(answer, CommandError):
            raise answer
        if isinstance(answer, Working):
            return self._told(answer, command, protocol, name, caller)
        return answer

    def _told(
        self,
        working: Working,
        command: Command | None,
        protocol: MgmtProtocol,
        name: str,
        caller: Caller,
    ) -> Working:
        """Work that tells of its failure in the words of the protocol."""

        def look() -> tuple[DatabaseResult, bool]:
            try:
                return working.look()
            except Refused as refused:
                raise self._error(command, protocol, name, caller, refused) from None

        return replace(working, look=look)

    def _answer(
        self,
        command: Command | None,
        protocol: MgmtProtocol,
        name: str,
        arguments: Sequence[Argument],
        caller: Caller,
        understood: _Understood,
    ) -> Result | CommandError:
        try:
            return self._run(command, protocol, name, arguments, caller, understood)
        except Refused as refused:
            return self._error(command, protocol, name, caller, refused)
        except Exception:  # noqa: BLE001 - a broken handler must not end the interface
            _LOG.exception("%s %s from %s failed", protocol.value, quoted(name), caller.label)
            return self.failed(protocol, name)

    def _record(
        self,
        name: str,
        arguments: Sequence[Argument],
        caller: Caller,
        understood: _Understood,
        answer: Result | CommandError,
    ) -> AuditRecord:
        values = understood.values or {}
        ended = () if isinstance(answer, CommandError) else terminations_of(answer)
        reason = values.get("reason", "")
        return AuditRecord(
            time=self.context.clock(),
            user=caller.user,
            role=caller.role,
            door=caller.door,
            address=caller.address,
            command=name,
            target=target_of(values, ended),
            arguments=shown_arguments(understood.values, understood.further, arguments),
            reason=bounded(str(reason)),
            code=answer.code if isinstance(answer, CommandError) else 200,
            text=bounded(answer.text) if isinstance(answer, CommandError) else "OK",
            terminations=tuple(view.id for view in ended),
        )

    def _run(
        self,
        command: Command | None,
        protocol: MgmtProtocol,
        name: str,
        arguments: Sequence[Argument],
        caller: Caller,
        understood: _Understood,
    ) -> Result:
        if command is None:
            raise Refused(Failure.UNKNOWN_COMMAND)
        if command.permission not in caller.permissions:
            raise Refused(Failure.FORBIDDEN, f"needs the permission {command.permission}")
        values, further = bind(command, protocol, arguments)
        understood.values, understood.further = values, further
        names = self._names[protocol]
        call = Call(self.context, values, further, names, self.registry)
        if self._audit is not None and command.permission != "view":
            call = replace(call, ended=self._each(name, arguments, caller, understood))
        return command.handler(call)

    def _each(
        self,
        name: str,
        arguments: Sequence[Argument],
        caller: Caller,
        understood: _Understood,
    ) -> Callable[[TerminationView], None]:
        """Writes down each dialog that a command for many of them ends."""

        def ended(view: TerminationView) -> None:
            if self._audit is not None:
                answer = TerminationOrdered(view)
                self._audit.record(self._record(name, arguments, caller, understood, answer))

        return ended

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
        refused: Refused,
    ) -> CommandError:
        failure, detail = refused.failure, refused.detail
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
        told = text.format(name=name, detail=detail)
        more = "" if "{detail}" in text else detail
        return CommandError(code, told, failure, more, refused.candidates)
