"""Why a command is refused, and what each protocol's client is told.

A handler raises :class:`Refused` with a :class:`Failure`; the dispatcher turns it into the
:class:`CommandError` of the protocol that asked. A registry row overrides the texts below where
Kamailio's own clients expect others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from types import MappingProxyType

from dlgmgmt.dialog.views import DialogView


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
    AMBIGUOUS = "several dialogs are meant"
    UNEXPECTED = "not as many dialogs as expected"
    NO_SWEEP = "no such ending of many dialogs"
    NO_VARIABLE = "no such variable"
    NO_MEMBER = "the dialog is not in this profile"
    NO_MATCH = "no dialog fits"
    NO_PROFILE = "no such profile"
    NO_BRIDGE = "no such bridge"
    NO_ROOM = "too many of them exist"
    NO_COMMAND = "no command is called so"
    NO_STATISTICS = "no such statistics"
    NO_TERMINATION = "no such termination"
    NO_TRACE = "no message with this Call-ID is kept"
    NO_COLLECTOR = "there is no collector to send to"
    NO_DATABASE = "dialogs are kept in memory alone"
    OWNER_TAKEN = "the daemon of that name runs"
    DATABASE = "the database cannot do that now"
    INTERNAL = "the command failed"


class Refused(Exception):
    """What the binding of parameters and the handlers raise.

    detail: what exactly was wrong, in words of this program; "" if ``failure`` says it all.
    candidates: the dialogs that could have been meant.
    """

    def __init__(
        self, failure: Failure, detail: str = "", candidates: Sequence[DialogView] = ()
    ) -> None:
        super().__init__(detail or failure.value)
        self.failure = failure
        self.detail = detail
        self.candidates = tuple(candidates)


class CommandError(Exception):
    """The answer to a refused command, in the numbers and words of one protocol.

    ``text`` is what the protocol's clients know; ``detail`` is more exact, "" if there is no more
    or if it stands in the text. ``candidates`` are the dialogs that could have been meant.
    """

    def __init__(
        self,
        code: int,
        text: str,
        failure: Failure,
        detail: str = "",
        candidates: tuple[DialogView, ...] = (),
    ) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text
        self.failure = failure
        self.detail = detail
        self.candidates = candidates


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
        (_MI, Failure.AMBIGUOUS): (409, "{detail}"),
        (_MI, Failure.UNEXPECTED): (409, "{detail}"),
        (_MI, Failure.NO_SWEEP): (404, "Not found"),
        (_MI, Failure.NO_VARIABLE): (404, "Variable not found"),
        (_MI, Failure.NO_MEMBER): (404, "Not in this profile"),
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
        (_MI, Failure.NO_DATABASE): (400, "No database (db_mode 0)"),
        (_MI, Failure.OWNER_TAKEN): (409, "{detail}"),
        (_MI, Failure.DATABASE): (503, "{detail}"),
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
        (_RPC, Failure.AMBIGUOUS): (409, "{detail}"),
        (_RPC, Failure.UNEXPECTED): (409, "{detail}"),
        (_RPC, Failure.NO_SWEEP): (404, "Not found"),
        (_RPC, Failure.NO_VARIABLE): (404, "Variable not found"),
        (_RPC, Failure.NO_MEMBER): (404, "Not in this profile"),
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
        (_RPC, Failure.NO_DATABASE): (400, "No database (db_mode 0)"),
        (_RPC, Failure.OWNER_TAKEN): (409, "{detail}"),
        (_RPC, Failure.DATABASE): (503, "{detail}"),
        (_RPC, Failure.INTERNAL): (-32603, "Internal error"),
    }
)
