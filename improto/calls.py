"""What the `Session` of each binding has in common: what the user knows, and a call for each request without a sure reply."""

from typing import Generic, TypeVar

from improto.client import Client
from improto.messages import Invite, Join, Leave, Request, SendMessage, Status
from improto.states import State
from improto.user import User

__all__ = ["Calls"]

_Sent = TypeVar("_Sent")
"""What a call gives: nothing, or what is to be awaited."""


class Calls(Generic[_Sent]):
    """The requests that have no sure reply, as calls that each binding's `Session` has.

    What comes of them arrives, an Error if they had no effect.  Each waits until the system takes the request.
    InvalidMessage or UsageError, and nothing is sent, if it may not be sent; Lost if there is no connection.
    """

    _user: User

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self._user.state

    @property
    def view(self) -> Client:
        """What the user knows: who is online, invitations, conversations.  With threads, it changes while you look."""
        return self._user.view

    def invite(self, *usernames: str) -> _Sent:
        """Begin a conversation; an Invitation arrives that tells its id."""
        return self._send(Invite(usernames))

    def join(self, conversation: str) -> _Sent:
        """Become a member."""
        return self._send(Join(conversation))

    def leave(self, conversation: str) -> _Sent:
        """Be a member no more, or decline an invitation."""
        return self._send(Leave(conversation))

    def send(self, conversation: str, text: str) -> _Sent:
        """Say something to the members, of whom the user has to be one."""
        return self._send(SendMessage(conversation, text))

    def status(self, text: str) -> _Sent:
        """Change the status."""
        return self._send(Status(text))

    def _send(self, request: Request) -> _Sent:
        raise NotImplementedError
