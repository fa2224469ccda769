"""The transition table: what may be sent on a connection in which state.

There is one table, not one for each role.  A command belongs to one direction only, so server and client
read the same row and never disagree about it: the server reads it for what it *receives* of the client's
commands and *sends* of its own, the client the other way round.  A missing entry is the protocol error:

    who reads the row                        what a missing entry means
    a server that receives a request         ERROR `not-registered` or `already-registered`, no effect
    a client that receives a response        the message is reported and ignored
    either, about to send                    UsageError: the calling program's mistake

Being registered is the only thing that a connection has to remember.  Who is in which conversation is the
hub's business, and an embedder's slow decision about a REGISTER is REGISTERING, in which a server reads
nothing: so no request can overtake another.  A state only ever comes from this
table, but for the end of a stream, which is CLOSED from anywhere.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from improto.messages import (
    AnyMessage,
    Code,
    Conversations,
    Error,
    Goodbye,
    Invitation,
    Invite,
    Join,
    Leave,
    ListConversations,
    Message,
    OnlineUsers,
    Register,
    SendMessage,
    Status,
)

__all__ = ["TRANSITIONS", "State", "after", "out_of_state"]


class State(StrEnum):
    """Where a connection stands."""

    OPEN = "open"
    """Nobody is registered on it: the state in which it begins."""
    REGISTERING = "registering"
    """A REGISTER has been sent and not been answered."""
    REGISTERED = "registered"
    """Somebody is online on it."""
    CLOSED = "closed"
    """Nothing more will be sent by the client; the server sends at most what was already due."""


TRANSITIONS: Final[Mapping[State, Mapping[type[AnyMessage], State]]] = {
    State.OPEN: {
        Register: State.REGISTERING,
        Goodbye: State.CLOSED,
        Error: State.OPEN,
    },
    State.REGISTERING: {
        Goodbye: State.CLOSED,
        OnlineUsers: State.REGISTERED,
        Error: State.OPEN,
    },
    State.REGISTERED: {
        Status: State.REGISTERED,
        Goodbye: State.CLOSED,
        Invite: State.REGISTERED,
        ListConversations: State.REGISTERED,
        Join: State.REGISTERED,
        SendMessage: State.REGISTERED,
        Leave: State.REGISTERED,
        OnlineUsers: State.REGISTERED,
        Invitation: State.REGISTERED,
        Conversations: State.REGISTERED,
        Message: State.REGISTERED,
        Error: State.REGISTERED,
    },
    # The server's last word: why the connection ends, or what was wrong with the message that ended it.
    State.CLOSED: {
        Error: State.CLOSED,
    },
}
"""State → command → next state."""


def after(state: State, message: type[AnyMessage]) -> State | None:
    """Give the state that follows when `message` is sent in `state`, or None if it may not be sent there."""
    return TRANSITIONS[state].get(message)


def out_of_state(state: State) -> Code:
    """Name the error of a request that the table does not allow in `state`."""
    return Code.ALREADY_REGISTERED if state is State.REGISTERED else Code.NOT_REGISTERED
