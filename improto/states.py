"""The transition table: what may be sent on a connection in which state.

There is one table, not one for each role.  A command belongs to one direction only, so server and client
read the same row, and cannot disagree about it: for the client's commands, the server reads what it may
receive and the client what it may send, and for the server's commands the other way round.  If a row has no
entry for a command, that is a protocol error:

    who reads the row                        what a missing entry means
    a server that receives a request         ERROR `not-registered` or `already-registered`, no effect
    a client that receives a response        the message is reported and ignored
    either, about to send                    UsageError: the calling program's mistake

Whether somebody is registered is all that a connection has to remember.  Who is in which conversation, the hub
knows.  While an embedder decides about a REGISTER, the connection is REGISTERING, and the server handles nothing
else that it sends, so that no request can overtake another.  States change by this table only; but for the end of
the stream, which leads from any state to CLOSED.
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
    """The state of a connection."""

    OPEN = "open"
    """Nobody is registered yet: every connection begins like this."""
    REGISTERING = "registering"
    """A REGISTER was sent and is not answered yet."""
    REGISTERED = "registered"
    """A user is online on this connection."""
    CLOSED = "closed"
    """The client will send nothing more; the server sends at most what was due already."""


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
    # An ERROR may still come: it says why the connection ends, or what was wrong with the message that has ended it.
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
