"""Rows of the commands about the daemon itself."""

from __future__ import annotations

from types import MappingProxyType

from dlgmgmt.commands import handlers_core as core
from dlgmgmt.commands.errors import Failure, MgmtProtocol
from dlgmgmt.commands.examples import OPENRPC, SIP_SOCKET
from dlgmgmt.commands.registry import Command, Example, Param

_RPC = MgmtProtocol.RPC

_METHOD = Param("method", "string", "name of a command", aliases=("name",))
_METHOD_ERRORS = MappingProxyType({(_RPC, Failure.TOO_FEW): (400, "Method Name Expected")})

_THREADS = (
    "The threads of the daemon, which is one process: their numbers are those that ps -L shows."
)

CORE = (
    Command(
        ("uptime",),
        ("core.uptime",),
        (),
        "view",
        "Since when the daemon runs.",
        core.uptime,
        "Uptime",
        Example(
            (),
            {
                "now": "Mon Nov 23 04:04:58 2026",
                "up_since": "Mon Nov 23 04:01:18 2026",
                "uptime": 220,
            },
        ),
    ),
    Command(
        ("version",),
        ("core.version",),
        (),
        "view",
        "Name and version of the daemon.",
        core.version,
        "Version",
        Example((), "dlgmgmt 0.1.0 (x86_64/linux)"),
    ),
    Command(
        (),
        ("core.info",),
        (),
        "view",
        "Name and version of the daemon, and what runs it.",
        core.info,
        "Build",
        Example(
            (),
            {
                "version": "dlgmgmt 0.1.0",
                "id": "x86_64/linux",
                "compiler": "Python 3.11.2",
                "compiled": "",
                "flags": "",
            },
        ),
    ),
    Command(
        ("which",),
        ("system.listMethods",),
        (),
        "view",
        "Names of all commands.",
        core.which,
        "CommandNames",
        Example((), ["core.uptime", "core.version"]),
    ),
    Command(
        (),
        ("system.methodHelp",),
        (_METHOD,),
        "view",
        "What a command does, and under it a line for each of its parameters.",
        core.method_help,
        "MethodHelp",
        Example(("dlg.list",), "Every dialog."),
        errors=_METHOD_ERRORS,
        failures=(Failure.NO_COMMAND,),
    ),
    Command(
        (),
        ("system.methodSignature",),
        (_METHOD,),
        "view",
        "The type of a command's answer and those of its parameters, once for each number of them "
        "that it takes.",
        core.method_signature,
        "Signatures",
        Example(("dlg.end_dlg",), [["struct", "int", "int"], ["struct", "int", "int", "string"]]),
        errors=_METHOD_ERRORS,
        failures=(Failure.NO_COMMAND,),
    ),
    Command(
        (),
        ("rpc.discover",),
        (
            Param(
                "method",
                "string",
                "describe this one alone or, for dlg, all whose names begin with dlg and a dot: "
                "the whole is too large for a datagram",
                required=False,
                aliases=_METHOD.aliases,
            ),
        ),
        "view",
        "The OpenRPC description of all commands.",
        core.discover,
        "OpenRpc",
        Example((), OPENRPC),
        failures=(Failure.NO_COMMAND,),
    ),
    Command(
        (),
        ("core.ps",),
        (),
        "view",
        f"{_THREADS} Numbers and descriptions in turn.",
        core.ps,
        "ThreadPairs",
        Example((), [4711, "management: commands and their interfaces"]),
    ),
    Command(
        ("ps",),
        ("core.psx",),
        (),
        "view",
        _THREADS,
        core.psx,
        "Threads",
        Example(
            (),
            [{"IDX": 0, "PID": 4711, "DSC": "management: commands and their interfaces"}],
        ),
    ),
    Command(
        (),
        ("core.psa",),
        (),
        "view",
        f"{_THREADS} Rank 0 is the main one, 1 signalling, -1 any other.",
        core.psa,
        "RankedThreads",
        Example(
            (),
            [
                {
                    "index": 0,
                    "pid": 4711,
                    "status": 1,
                    "rank": 0,
                    "description": "management: commands and their interfaces",
                }
            ],
        ),
    ),
    Command(
        ("arg",),
        ("core.arg",),
        (),
        "view",
        "The command line that started the daemon.",
        core.arguments,
        "Words",
        Example((), ["/usr/bin/dlgmgmt", "serve", "--config", "/etc/dlgmgmt.toml"]),
    ),
    Command(
        ("pwd",),
        ("core.pwd",),
        (),
        "view",
        "The directory that the daemon works in.",
        core.working_directory,
        "Words",
        Example((), ["/"]),
    ),
    Command(
        (),
        ("core.echo", "jsonrpc.echo"),
        (
            Param(
                "text",
                "string",
                "what is to come back; several",
                required=False,
                variadic=True,
            ),
        ),
        "view",
        "What was given, as strings.",
        core.echo,
        "Words",
        Example(("abc", 5), ["abc", "5"]),
    ),
    Command(
        (),
        ("core.modules",),
        (),
        "view",
        "Names of those modules of Kamailio whose work is done here.",
        core.modules,
        "Words",
        Example((), ["ims_dialog", "dialog"]),
    ),
    Command(
        (),
        ("cfg.list",),
        (),
        "view",
        "What can be configured, as lines of the form table: parameter.",
        core.parameters,
        "Words",
        Example((), ["ims_dialog: hash_size"]),
    ),
    Command(
        (),
        ("corex.list_sockets",),
        (),
        "view",
        "Where SIP is listened for.",
        core.sip_sockets,
        "SipSockets",
        Example((), [SIP_SOCKET, {**SIP_SOCKET, "PROTO": "tcp"}]),
    ),
    Command(
        (),
        ("ctl.listen",),
        (),
        "view",
        "Where BINRPC is listened for, four texts each: the protocol, the kind of socket, the path "
        "or the address, the port.",
        core.control_sockets,
        "Words",
        Example((), ["binrpc", "unix_stream", "/run/dlgmgmt/ctl", ""]),
    ),
    Command(
        (),
        ("ctl.who",),
        (),
        "view",
        "Who is connected by BINRPC, six texts each: as in ctl.listen, with the peer's address and "
        "port before the daemon's own.",
        core.control_clients,
        "Words",
        Example((), ["binrpc", "tcp", "127.0.0.1", "57876", "127.0.0.1", "2049"]),
    ),
)
