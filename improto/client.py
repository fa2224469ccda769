"""One client's view: what a user knows from what was sent and received.  No bytes, no clock, no terminal.

    client.objection(request)        → why a request must not be sent now, or None
    client.sent(request, now)        a request goes out
    client.received(response, now)   a response came in → None, or why it makes no sense and was ignored
    client.overdue(now)              → whether to ask the server for a sign of life, or to give it up

Everything a client may show is here: who is online, the invitations, the conversations.  What the server
says is believed as far as it makes sense; what does not is ignored and reported, never raised (CLIENT-19).

JOIN and LEAVE have no reply.  So `joined` holds what the user has asked for, and each CONVERSATIONS puts it
right, but for what was asked after the LIST_CONVERSATIONS that it answers.

An ERROR does not say which request it answers.  `rate-limited` is taken for the answer to the LIST_CONVERSATIONS that has
waited longest, since a burst is refused from some request on (FLOW-11); if it was about a request before that, a
CONVERSATIONS that nobody waits for follows, and makes sense.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from improto.errors import UsageError
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
"""Seconds without a word from the server after which a client may ask for one (CONN-26)."""
WAIT: Final = 30.0
"""Seconds after which a server that was asked and did not answer counts as lost (CONN-27)."""


_MOST: Final = 1e6  # more than eleven days


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How many seconds a client waits for its server before CannotConnect or Lost, whatever it waits for."""

    connect: float = 10.0
    """For a connection, with TLS and WebSocket begun, each time that one is made."""
    reply: float = WAIT
    """For the reply to a call.  A server that says nothing at all is lost after `WAIT` in any case (CONN-27)."""
    write: float = 60.0
    """For room for what is sent."""
    goodbye: float = 1.0
    """For the end of the connection after GOODBYE (CLIENT-20), and for room for that."""

    def __post_init__(self) -> None:
        """Check that a clock can take them.  UsageError if not."""
        for seconds in (self.connect, self.reply, self.write, self.goodbye):
            if not 0 <= seconds < _MOST:  # which no NaN is
                raise UsageError(f"a time-out is from 0 to less than a million seconds, and not {seconds}")


class Liveness(Enum):
    """What `Client.overdue` advises."""

    FINE = "fine"
    ASK = "ask"
    """Send LIST_CONVERSATIONS."""
    LOST = "lost"
    """Close: the server is gone."""


class Client:
    """The view of one user on one connection.  See the module's text for the order of calls."""

    def __init__(self, now: float) -> None:
        """Begin knowing nothing."""
        self.username = ""
        self.status = ""
        self.online: Mapping[str, str] = {}
        """Name → status, from the last roster: replaced as a whole, never changed."""
        self.invitations: dict[str, str] = {}
        """Conversation → who invited, as long as neither JOIN nor LEAVE was sent; in the order of arrival."""
        self.joined: dict[str, None] = {}
        """The conversations that the user is in, in the order of joining."""
        self.conversations: Mapping[str, tuple[str, ...]] = {}
        """Conversation → members, from the last CONVERSATIONS."""
        self._ever_joined: dict[str, None] = {}  # also after LEAVE: messages may be on their way
        self._asked: deque[dict[str, bool]] = (
            deque()
        )  # for each list not yet received: joins and leaves since
        self._doubted: dict[str, bool] | None = None  # … and for the last one that seems to be refused
        self._heard = now
        self._asked_at: float | None = None

    def objection(self, request: Request) -> str | None:
        """Say why the server would refuse a request from a user who is in `joined` and nowhere else, or None."""
        if (
            isinstance(request, SendMessage) and request.conversation not in self.joined
        ):  # CLIENT-10, CLIENT-11
            return f"JOIN conversation {request.conversation} before you send to it"
        return None

    def sent(self, request: Request, now: float) -> None:
        """Note what the user has asked for."""
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
        """Note what the server said; give the reason if it makes no sense and was ignored."""
        self._heard = now
        match response:
            case OnlineUsers(users):
                if self.username not in users:
                    return f"a roster without {self.username}"
                self._registered_or_refused()
                self.online = users
            case Invitation(conversation, source):
                self.invitations[conversation] = source
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
        """Advise about a server that has said nothing for long."""
        if self._asked_at is not None and now - max(self._asked_at, self._heard) >= WAIT:
            return Liveness.LOST
        if self._asked_at is None and now - self._heard >= SILENCE:
            return Liveness.ASK
        return Liveness.FINE

    def _registered_or_refused(self) -> None:
        if not self.online:
            self._asked_at = None

    def _turn(self, conversation: str, *, member: bool) -> None:
        self.invitations.pop(conversation, None)
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
        self.invitations = {
            id: source for id, source in self.invitations.items() if id in self.conversations or id in later
        }
