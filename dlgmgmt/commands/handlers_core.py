"""Handlers of the commands about the daemon itself: names, version, uptime, threads, sockets."""

from __future__ import annotations

from collections.abc import Iterator

from dlgmgmt.commands.errors import Failure, MgmtProtocol, Refused
from dlgmgmt.commands.openrpc import openrpc_document
from dlgmgmt.commands.registry import Call, Command, Param
from dlgmgmt.commands.results_system import (
    Build,
    CommandNames,
    ControlSockets,
    Directory,
    Document,
    MethodHelp,
    Signatures,
    SipSockets,
    Threads,
    Uptime,
    Version,
    Words,
)
from dlgmgmt.commands.schemas import SCHEMAS
from dlgmgmt.commands.system import MODULES, command_line, directory, threads

# What JSON's types are called where signatures come from (XML-RPC).
_TYPES = {"object": "struct", "integer": "int", "number": "double"}


def which(call: Call) -> CommandNames:
    """The commands that there are."""
    return CommandNames(call.names)


def uptime(call: Call) -> Uptime:
    """Since when the daemon runs."""
    return Uptime(int(call.context.clock()), int(call.context.start_time))


def version(call: Call) -> Version:
    """Which program this is."""
    context = call.context
    return Version(context.program, context.version, context.platform, context.runtime)


def info(call: Call) -> Build:
    """Which program this is, as an object."""
    context = call.context
    return Build(context.program, context.version, context.platform, context.runtime)


def ps(_call: Call) -> Threads:
    """Numbers and descriptions of the threads, in turn."""
    return Threads(tuple(threads()), "pairs")


def psx(_call: Call) -> Threads:
    """The threads, each an object."""
    return Threads(tuple(threads()), "indexed")


def psa(_call: Call) -> Threads:
    """The threads, each an object with all that is known of it."""
    return Threads(tuple(threads()), "full")


def arguments(_call: Call) -> Words:
    """The command line."""
    return Words(command_line())


def working_directory(_call: Call) -> Directory:
    """Where the daemon works."""
    return Directory(directory())


def echo(call: Call) -> Words:
    """What was given."""
    first = call.optional_text("text")
    return Words(() if first is None else (first, *call.further))


def modules(_call: Call) -> Words:
    """Kamailio's names for what is here."""
    return Words(MODULES)


def parameters(call: Call) -> Words:
    """Everything that can be configured, as ``table: name``."""
    return Words(tuple(f"{table}: {name}" for table, name in call.context.system.parameters))


def sip_sockets(call: Call) -> SipSockets:
    """Where SIP is listened for."""
    return SipSockets(tuple(call.context.system.sip_sockets()))


def control_sockets(call: Call) -> ControlSockets:
    """Where BINRPC is listened for."""
    return ControlSockets(tuple(call.context.system.control_sockets()))


def control_clients(call: Call) -> ControlSockets:
    """Who is connected to them."""
    return ControlSockets(tuple(call.context.system.control_clients()))


def method_help(call: Call) -> MethodHelp:
    """What a command does; Refused(NO_COMMAND)."""
    command = _command(call)
    shown = [f"{each.name}: {each.doc}" for each in command.params]
    return MethodHelp("\n".join((command.doc, *shown)))


def method_signature(call: Call) -> Signatures:
    """Types of a command's answer and parameters; Refused(NO_COMMAND)."""
    return Signatures(tuple(_signatures(_command(call))))


def discover(call: Call) -> Document:
    """The OpenRPC description of all commands, or of some; Refused(NO_COMMAND)."""
    of = call.optional_text("method") or ""
    document = openrpc_document(call.registry, of) if call.registry is not None else {}
    if of and not document.get("methods"):
        raise Refused(Failure.NO_COMMAND)
    return Document(document)


def _command(call: Call) -> Command:
    registry = call.registry
    found = None if registry is None else registry.lookup(MgmtProtocol.RPC, call.text("method"))
    if found is None:
        raise Refused(Failure.NO_COMMAND)
    return found


def _signatures(command: Command) -> Iterator[tuple[str, ...]]:
    """One for each number of parameters, the fewest first."""
    kind = SCHEMAS[command.result].get("type", "object")
    given = [_type(each) for each in command.params]
    fewest = max((at for at, each in enumerate(command.params, 1) if each.required), default=0)
    for number in range(fewest, len(given) + 1):
        yield (_TYPES.get(str(kind), str(kind)), *given[:number])


def _type(param: Param) -> str:
    return _TYPES.get(param.type, param.type)
