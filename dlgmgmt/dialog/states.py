r"""The dialog state machine, as one table.

States carry the numbers of the ims_dialog module, which every interface shows. A dialog is made
by an initial INVITE and starts UNCONFIRMED::

    UNCONFIRMED(1) --18x--> EARLY(2) --2xx--> CONFIRMED_NA(5) --ACK--> CONFIRMED(4)
         \_____________2xx_______________________/       \              /
                                                          \--2xx of another leg--> CONCURRENT(7)

and every state leads to DELETED(6): a failure before an answer, a BYE, a timeout or an
operator's order after it. An event that the table does not hold for a state is refused with
:class:`IllegalEvent` and counted; it changes nothing.

Leaving CONCURRENT goes beyond the module's documentation, which ends the whole dialog with the
first BYE: a caller who got two answers hangs up the one that he does not want, and the call that
goes on must stay known. So a BYE that leaves more than one confirmed leg keeps the state, one
that leaves a single leg returns to CONFIRMED (or CONFIRMED_NA if its ACK has not been seen), and
only the last one ends the dialog.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from types import MappingProxyType


class State(IntEnum):
    """Dialog states, numbered as ims_dialog numbers them."""

    UNCONFIRMED = 1
    EARLY = 2
    CONFIRMED = 4
    CONFIRMED_NA = 5
    DELETED = 6
    CONCURRENT = 7


ANSWERED = frozenset({State.CONFIRMED, State.CONFIRMED_NA, State.CONCURRENT})

STATE_NAMES = MappingProxyType(
    {
        State.UNCONFIRMED: "unconfirmed",
        State.EARLY: "early",
        State.CONFIRMED: "confirmed",
        State.CONFIRMED_NA: "confirmed, ACK not seen",
        State.DELETED: "deleted",
        State.CONCURRENT: "concurrently confirmed",
    }
)


class Event(Enum):
    """What can happen to a dialog."""

    PROVISIONAL = "1xx with a To-tag"
    ANSWER = "first 2xx"
    ANSWER_OTHER_LEG = "2xx with another To-tag"
    ACK = "ACK"
    FAILURE = "final failure to the caller"
    BYE_LAST_LEG = "BYE on the last confirmed leg"
    BYE_ONE_OF_MANY = "BYE, several confirmed legs remain"
    BYE_LEAVES_ACKED_LEG = "BYE, one acknowledged leg remains"
    BYE_LEAVES_UNACKED_LEG = "BYE, one unacknowledged leg remains"
    REQUEST_WITHIN = "PRACK, UPDATE, INFO, re-INVITE, ..."
    TIMEOUT = "dialog timeout"
    TERMINATE = "ended by an operator"

    # Each member is one object: no need to go through its name, as Enum does in Python.
    __hash__ = object.__hash__


_S, _E = State, Event

TRANSITIONS: MappingProxyType[tuple[State, Event], State] = MappingProxyType(
    {
        (_S.UNCONFIRMED, _E.PROVISIONAL): _S.EARLY,
        (_S.EARLY, _E.PROVISIONAL): _S.EARLY,
        (_S.UNCONFIRMED, _E.ANSWER): _S.CONFIRMED_NA,
        (_S.EARLY, _E.ANSWER): _S.CONFIRMED_NA,
        (_S.CONFIRMED, _E.ANSWER_OTHER_LEG): _S.CONCURRENT,
        (_S.CONFIRMED_NA, _E.ANSWER_OTHER_LEG): _S.CONCURRENT,
        (_S.CONCURRENT, _E.ANSWER_OTHER_LEG): _S.CONCURRENT,
        (_S.CONFIRMED_NA, _E.ACK): _S.CONFIRMED,
        # The ACKs of the second leg, and retransmissions, change only the leg.
        (_S.CONFIRMED, _E.ACK): _S.CONFIRMED,
        (_S.CONCURRENT, _E.ACK): _S.CONCURRENT,
        (_S.UNCONFIRMED, _E.FAILURE): _S.DELETED,
        (_S.EARLY, _E.FAILURE): _S.DELETED,
        (_S.CONFIRMED, _E.BYE_LAST_LEG): _S.DELETED,
        (_S.CONFIRMED_NA, _E.BYE_LAST_LEG): _S.DELETED,
        (_S.CONCURRENT, _E.BYE_LAST_LEG): _S.DELETED,
        (_S.CONCURRENT, _E.BYE_ONE_OF_MANY): _S.CONCURRENT,
        (_S.CONCURRENT, _E.BYE_LEAVES_ACKED_LEG): _S.CONFIRMED,
        (_S.CONCURRENT, _E.BYE_LEAVES_UNACKED_LEG): _S.CONFIRMED_NA,
        (_S.EARLY, _E.REQUEST_WITHIN): _S.EARLY,
        (_S.CONFIRMED, _E.REQUEST_WITHIN): _S.CONFIRMED,
        # A callee may send UPDATE or INFO, and a caller a re-INVITE, while the ACK is on its way.
        (_S.CONFIRMED_NA, _E.REQUEST_WITHIN): _S.CONFIRMED_NA,
        (_S.CONCURRENT, _E.REQUEST_WITHIN): _S.CONCURRENT,
        (_S.UNCONFIRMED, _E.TIMEOUT): _S.DELETED,
        (_S.EARLY, _E.TIMEOUT): _S.DELETED,
        (_S.CONFIRMED, _E.TIMEOUT): _S.DELETED,
        (_S.CONFIRMED_NA, _E.TIMEOUT): _S.DELETED,
        (_S.CONCURRENT, _E.TIMEOUT): _S.DELETED,
        (_S.UNCONFIRMED, _E.TERMINATE): _S.DELETED,
        (_S.EARLY, _E.TERMINATE): _S.DELETED,
        (_S.CONFIRMED, _E.TERMINATE): _S.DELETED,
        (_S.CONFIRMED_NA, _E.TERMINATE): _S.DELETED,
        (_S.CONCURRENT, _E.TERMINATE): _S.DELETED,
    }
)


class IllegalEvent(Exception):
    """An event that the current state does not allow.

    state: the dialog's state, unchanged. event: what was refused.
    """

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"{event.value} in state {int(state)} ({STATE_NAMES[state]})")
        self.state = state
        self.event = event


def next_state(state: State, event: Event) -> State:
    """The state that ``event`` leads to from ``state``; raises IllegalEvent if there is none."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalEvent(state, event) from None
