"""One client's view: what a user knows from what was sent and received.  No bytes, no clock, no terminal.

    client.objection(request)        → why a request must not be sent now, or None
    client.sent(request, now)        a request was sent
    client.received(response, now)   a response came in → None, or why it makes no sense and was ignored
    client.overdue(now)              → whether to ask the server for a sign of life, or to give it up

All that a client may show its user is here: who is online, the invitations, the conversations.  What the server
says is believed as far as it makes sense; what does not is ignored and reported, never raised (CLIENT-19).

JOIN and LEAVE have no reply.  So `joined` holds what the user has asked for, and each CONVERSATIONS corrects it, but
for what was asked after the LIST_CONVERSATIONS that it answers.

An ERROR does not say which request it answers.  `rate-limited` is taken for the answer to the LIST_CONVERSATIONS that
has waited longest, since a server that refuses a request of a burst refuses those behind it as well (FLOW-11).  If it
was about an earlier request after all, a CONVERSATIONS follows for which nobody waits any more, and which is accepted.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from improto.deadlines import check_seconds
from improto.messages import (
    Code,
    Conversations,
    Error,
    Invitation,
    Join,
    Leave,
    ListConversations,
    Message,
    OnlineUsers,
    Register,
    Request,
    Response,
    SendMessage,
    Status,
)

__all__ = ["SILENCE", "WAIT", "Client", "Liveness", "Timeouts"]

SILENCE: Final = 60.0
"""Seconds of silence after which a client may ask its server for a sign of life (CONN-26)."""
WAIT: Final = 30.0
"""Seconds after which a server that was asked for one and did not answer counts as lost (CONN-27)."""


_INVITED: Final = 2 * 1024 * 1024  # bytes that invitations may take …
_INVITATION: Final = 256  # … and that each takes, roughly, beside its texts


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How many seconds a client waits for its server, before CannotConnect or Lost is raised."""

    connect: float = 10.0
    """For a connection to be made, TLS and WebSocket included; each time anew."""
    reply: float = WAIT
    """For the reply to a call.  A server that says nothing at all counts as lost after `WAIT` in any case (CONN-27)."""
    write: float = 60.0
    """For the system to take what is sent."""
    goodbye: float = 1.0
    """For GOODBYE to be sent and the server to end the connection (CLIENT-20); then it is closed, and nothing raised."""

    def __post_init__(self) -> None:
        """Check that they are numbers that a clock can take.  UsageError if not."""
        for name in ("connect", "reply", "write", "goodbye"):
            check_seconds(name, getattr(self, name))


class Liveness(Enum):
    """What `Client.overdue` advises."""

    FINE = "fine"
    ASK = "ask"
    """Send LIST_CONVERSATIONS."""
    LOST = "lost"
    """Close: the server is gone."""


class Client:
    """What one user knows on one connection.  See the module's text for the order of calls."""

    def __init__(self, now: float) -> None:
        """Begin knowing nothing."""
        self.username = ""
        self.status = ""
        self.online: Mapping[str, str] = {}
        """Name → status, from the last roster.  Each roster is a new mapping; none is changed."""
        self.invitations: dict[str, str] = {}
        """Conversation → who invited the user, until JOIN or LEAVE was sent for it; in the order of arrival.

        They take at most two megabytes, which is thousands of them; beyond that, the oldest ones are forgotten.
        """
        self._invited = 0  # bytes that the invitations take
        self.joined: dict[str, None] = {}
        """The conversations that the user is in, as keys in the order of joining."""
        self.conversations: Mapping[str, tuple[str, ...]] = {}
        """Conversation → members, from the last CONVERSATIONS."""
        self._ever_joined: dict[str, None] = {}  # also after LEAVE: messages may be on their way
        # For each CONVERSATIONS that is to come: what was joined (True) and left (False) since it was asked for …
        self._asked: deque[dict[str, bool]] = deque()
        # … and the same for the last one that seems to be refused.
        self._doubted: dict[str, bool] | None = None
        self._heard = now
        self._asked_at: float | None = None

    def objection(self, request: Request) -> str | None:
        """Say why a request must not be sent now, or None: a message needs a conversation that is in `joined`."""
        if isinstance(request, SendMessage) and request.conversation not in self.joined:
            return f"JOIN conversation {request.conversation} before you send to it"  # CLIENT-10, CLIENT-11
        return None

    def sent(self, request: Request, now: float) -> None:
        """Note a request that was sent."""
        match request:
            case Register(username, status):
                self.username, self.status = username, status
                self._asked_at = now
            case Status(status):
                self.status = status
            case Join(conversation):
                self._turn(conversation, member=True)
            case Leave(conversation):
                self._turn(conversation, member=False)
            case ListConversations():
                self._asked.append({})
                self._asked_at = self._asked_at or now
            case _:
                pass

    def received(self, response: Response, now: float) -> str | None:
        """Note what the server said; give the reason if that makes no sense and was ignored."""
        self._heard = now
        match response:
            case OnlineUsers(users):
                if self.username not in users:
                    return f"a roster without {self.username}"
                self._registered_or_refused()
                self.online = users
            case Invitation(conversation, source):
                self._forget(conversation)
                self.invitations[conversation] = source
                self._invited += _size(conversation, source)
                while self._invited > _INVITED and len(self.invitations) > 1:
                    self._forget(next(iter(self.invitations)))
            case Conversations(conversations):
                if not self._asked and self._doubted is None:
                    return "a list of conversations that nobody asked for"
                self._asked_at = None
                self.conversations = conversations
                self._put_right(self._asked.popleft() if self._asked else self._doubted or {})
            case Message(conversation, _, _):
                if conversation not in self._ever_joined:  # CLIENT-19
                    return f"a message for conversation {conversation}, which {self.username} never joined"
            case Error():
                self._registered_or_refused()
                if response.code == Code.RATE_LIMITED and self._asked:
                    self._asked_at = None
                    self._doubted = self._asked.popleft()
        return None

    def overdue(self, now: float) -> Liveness:
        """Say what to do about a server that may have been silent for too long."""
        if self._asked_at is not None and now - max(self._asked_at, self._heard) >= WAIT:
            return Liveness.LOST
        if self._asked_at is None and now - self._heard >= SILENCE:
            return Liveness.ASK
        return Liveness.FINE

    def _registered_or_refused(self) -> None:
        if not self.online:
            self._asked_at = None

    def _forget(self, conversation: str) -> None:
        """Drop an invitation, if there is one."""
        source = self.invitations.pop(conversation, None)
        if source is not None:
            self._invited -= _size(conversation, source)

    def _turn(self, conversation: str, *, member: bool) -> None:
        self._forget(conversation)
        if member:
            self.joined[conversation] = self._ever_joined[conversation] = None
        else:
            self.joined.pop(conversation, None)
        for later in self._asked:
            later[conversation] = member
        if self._doubted is not None:
            self._doubted[conversation] = member

    def _put_right(self, later: dict[str, bool]) -> None:
        listed = {id: self.username in members for id, members in self.conversations.items()} | later
        self.joined = {id: None for id in self.joined if listed.get(id)}  # CLIENT-10: nothing joins but JOIN
        for id in [id for id in self.invitations if id not in self.conversations and id not in later]:
            self._forget(id)


def _size(conversation: str, source: str) -> int:
    return len(conversation) + len(source) + _INVITATION
