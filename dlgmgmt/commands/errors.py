"""Why a command is refused, and what each protocol's client is told.

A handler raises :class:`Refused` with a :class:`Failure`; the dispatcher turns it into the
:class:`CommandError` of the protocol that asked. A registry row overrides the texts below where
Kamailio's own clients expect others.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType


class MgmtProtocol(Enum):
    """The protocol families that commands have names and error texts for."""

    MI = "mi"
    RPC = "rpc"


class Failure(Enum):
    """Why a command was refused."""

    UNKNOWN_COMMAND = "no such command"
    FORBIDDEN = "not permitted"
    TOO_FEW = "a required parameter is missing"
    TOO_MANY = "too many parameters"
    UNKNOWN_PARAMETER = "a parameter with an unknown name"
    BAD_VALUE = "a parameter's value is not of its type"
    BAD_HEADERS = "the extra headers cannot be sent"
    BAD_MATCH = "dialogs cannot be matched in this way"
    BAD_STATE = "the dialog cannot be in this state"
    BAD_ADDRESS = "an address that cannot be called"
    BAD_TO = "an address that nobody can be referred to"
    NO_CALLID = "no dialog with this Call-ID"
    NO_DIALOG = "no such dialog"
    NO_MATCH = "no dialog fits"
    NO_PROFILE = "no such profile"
    NO_BRIDGE = "no such bridge"
    NO_ROOM = "too many of them exist"
    NO_COMMAND = "no command is called so"
    NO_STATISTICS = "no such statistics"
    NO_TERMINATION = "no such termination"
    NO_TRACE = "no message with this Call-ID is kept"
    NO_COLLECTOR = "there is no collector to send to"
    INTERNAL = "the command failed"


class Refused(Exception):
    """What the binding of parameters and the handlers raise.

    detail: what exactly was wrong, in words of this program; "" if ``failure`` says it all.
    """

    def __init__(self, failure: Failure, detail: str = "") -> None:
        super().__init__(detail or failure.value)
        self.failure = failure
        self.detail = detail


class CommandError(Exception):
    """The answer to a refused command, in the numbers and words of one protocol.

    ``text`` is what the protocol's clients know; ``detail`` is more exact, "" if there is no more
    or if it stands in the text.
    """

    def __init__(self, code: int, text: str, failure: Failure, detail: str = "") -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text
        self.failure = failure
        self.detail = detail


ErrorTexts = Mapping[tuple[MgmtProtocol, Failure], tuple[int, str]]

_MI, _RPC = MgmtProtocol.MI, MgmtProtocol.RPC

DEFAULT_TEXTS: ErrorTexts = MappingProxyType(
    {
        (_MI, Failure.UNKNOWN_COMMAND): (500, "command '{name}' not available"),
        (_MI, Failure.FORBIDDEN): (403, "Forbidden"),
        (_MI, Failure.TOO_FEW): (400, "Too few or too many arguments"),
        (_MI, Failure.TOO_MANY): (400, "Too few or too many arguments"),
        (_MI, Failure.UNKNOWN_PARAMETER): (400, "Bad parameter"),
        (_MI, Failure.BAD_VALUE): (400, "Bad parameter"),
        (_MI, Failure.BAD_HEADERS): (400, "Bad parameter"),
        (_MI, Failure.NO_CALLID): (404, "Requested Dialog not found"),
        (_MI, Failure.NO_DIALOG): (404, "Requested Dialog not found"),
        (_MI, Failure.BAD_MATCH): (400, "{detail}"),
        (_MI, Failure.BAD_STATE): (500, "Invalid state value"),
        (_MI, Failure.BAD_ADDRESS): (500, "Server Internal Error"),
        (_MI, Failure.BAD_TO): (500, "Bad To value"),
        (_MI, Failure.NO_MATCH): (404, "Not found"),
        (_MI, Failure.NO_PROFILE): (404, "Profile not found"),
        (_MI, Failure.NO_BRIDGE): (404, "Bridge not found"),
        (_MI, Failure.NO_ROOM): (503, "Too many exist"),
        (_MI, Failure.NO_COMMAND): (400, "command not found"),
        (_MI, Failure.NO_STATISTICS): (404, "Statistics Not Found"),
        (_MI, Failure.NO_TERMINATION): (404, "Termination not found"),
        (_MI, Failure.NO_TRACE): (404, "Trace not found"),
        (_MI, Failure.NO_COLLECTOR): (400, "No collector"),
        (_MI, Failure.INTERNAL): (500, "command '{name}' failed"),
        # JSON-RPC 2.0 section 5.1; the 4xx numbers are Kamailio's.
        (_RPC, Failure.UNKNOWN_COMMAND): (-32601, "Method not found"),
        (_RPC, Failure.FORBIDDEN): (403, "Forbidden"),
        (_RPC, Failure.TOO_FEW): (-32602, "Invalid params"),
        (_RPC, Failure.TOO_MANY): (-32602, "Invalid params"),
        (_RPC, Failure.UNKNOWN_PARAMETER): (-32602, "Invalid params"),
        (_RPC, Failure.BAD_VALUE): (-32602, "Invalid params"),
        (_RPC, Failure.BAD_HEADERS): (-32602, "Invalid params"),
        (_RPC, Failure.NO_CALLID): (404, "Dialog not found"),
        (_RPC, Failure.NO_DIALOG): (404, "Dialog not found"),
        (_RPC, Failure.BAD_MATCH): (500, "{detail}"),
        (_RPC, Failure.BAD_STATE): (500, "Invalid state value"),
        (_RPC, Failure.BAD_ADDRESS): (500, "Invalid parameters"),
        (_RPC, Failure.BAD_TO): (500, "Invalid parameters"),
        (_RPC, Failure.NO_MATCH): (404, "Not found"),
        (_RPC, Failure.NO_PROFILE): (404, "Profile not found: {detail}"),
        (_RPC, Failure.NO_BRIDGE): (404, "Bridge not found"),
        (_RPC, Failure.NO_ROOM): (503, "Too many exist"),
        (_RPC, Failure.NO_COMMAND): (400, "command not found"),
        (_RPC, Failure.NO_STATISTICS): (404, "Statistics Not Found"),
        (_RPC, Failure.NO_TERMINATION): (404, "Termination not found"),
        (_RPC, Failure.NO_TRACE): (404, "Trace not found"),
        (_RPC, Failure.NO_COLLECTOR): (400, "No collector"),
        (_RPC, Failure.INTERNAL): (-32603, "Internal error"),
    }
)
