"""What the client sessions of all bindings have in common.

That is what the user knows, and a call for each request that has no reply of its own.  The two that have one,
`register` and `list_conversations`, wait for it, and so each binding writes them in its own way.
"""

from typing import Generic, TypeVar

from improto.client import Client
from improto.messages import Invite, Join, Leave, Request, SendMessage, Status
from improto.states import State
from improto.user import User

__all__ = ["Calls"]

_Sent = TypeVar("_Sent")
"""What a call gives: None, or an awaitable of it."""


class Calls(Generic[_Sent]):
    """The requests that have no reply of their own, as calls; the base of each binding's `Session`.

    What comes of a call arrives later like all else, as an Error if it had no effect.  The call itself waits only
    until the system has taken the request.  InvalidMessage or UsageError, and nothing is sent, if the request may not
    be sent; Lost if there is no connection.
    """

    _user: User

    @property
    def state(self) -> State:
        """The state of the connection."""
        return self._user.state

    @property
    def view(self) -> Client:
        """What the user knows: who is online, invitations, conversations.  With threads, it may change while you look."""
        return self._user.view

    def invite(self, *usernames: str) -> _Sent:
        """Begin a conversation and invite users to it; an Invitation arrives that tells its id."""
        return self._send(Invite(usernames))

    def join(self, conversation: str) -> _Sent:
        """Become a member of a conversation."""
        return self._send(Join(conversation))

    def leave(self, conversation: str) -> _Sent:
        """Leave a conversation, or decline an invitation to it."""
        return self._send(Leave(conversation))

    def send(self, conversation: str, text: str) -> _Sent:
        """Say something in a conversation that the user has joined."""
        return self._send(SendMessage(conversation, text))

    def status(self, text: str) -> _Sent:
        """Change the user's status."""
        return self._send(Status(text))

    def _send(self, request: Request) -> _Sent:
        raise NotImplementedError
