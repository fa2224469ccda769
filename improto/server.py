"""The hub: what a server knows and does, without bytes, sockets, clocks or chance.

    hub.receive(connection, request, now)   a registered user's request, or a REGISTER
    hub.disconnect(connection, now)         end of stream: an implied GOODBYE
    hub.decide(connection, refusal, now)    the embedder's answer to an `Ask`
    hub.kick(username, reason, now)         the embedder puts a user out
    hub.tick(now)                           time has passed; call it when the clock reaches `hub.due`

Each call is one input, and returns what follows from it, in order: `Send` a message to connections, `Close` a
connection, `Ask` the embedder.  A connection is a number that the caller has chosen and never uses for another one.

Everything that could differ between two runs is an input: time is `now` (in seconds of any clock that does
not go backwards), a user's identity is the connection's number, and the ids of conversations come from a
counter.  Nothing depends on the order of a set or on where the hub runs; so the same inputs give the same
outputs and the same `digest` everywhere, and a hub can be copied with `snapshot` and `restore`.

The hub takes for granted what the layers before it have checked: messages are well formed and in bounds
(`messages`, `limits`), and only registered connections send more than REGISTER (`states`).  Left for the hub are
the errors that depend on what other users did.  A request that is answered with ERROR has changed nothing.

Users are kept by name and not by connection, since the protocol speaks of names only.  All that a user was part of
ends when the user goes offline, so that whoever takes the name next inherits nothing.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Self, assert_never, cast

from improto.deadlines import check_seconds
from improto.errors import SnapshotError, UsageError
from improto.limits import Limits
from improto.messages import (
    ERROR_TEXT,
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
    Request,
    Response,
    SendMessage,
    Status,
)

__all__ = ["Ask", "Close", "Hub", "Output", "Policy", "Send"]


class Send(NamedTuple):
    """A message for some connections, in this order.  It is encoded once for each codec in use."""

    message: Response
    to: tuple[int, ...]
    first: bool = False
    """Whether this ONLINE_USERS is the answer to REGISTER, and so a reply rather than a snapshot."""


class Close(NamedTuple):
    """Nothing more follows for this connection: write what waits, then close it."""

    connection: int
    reason: str = "goodbye"
    """What `Observer.closed` is told: the code of the ERROR that was sent before, if there was one."""


class Ask(NamedTuple):
    """The embedder is to `decide` about this REGISTER; until then, nothing else that the connection sends is handled."""

    connection: int
    request: Register


Output = Send | Close | Ask
"""What follows from an input."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator of a server may choose.  Everything is data or a pure function, and has a plain default."""

    private: bool = False
    """Whether only invited users may JOIN a conversation, or even see it in CONVERSATIONS (JOIN-5, LIST-9)."""
    ask: bool = False
    """Whether the embedder decides about each REGISTER (REGISTER-8), as with `Server(admit=…)`."""
    replace: bool = False
    """Whether a REGISTER takes a name from the user who has it: only for embedders that authenticate users (REGISTER-7)."""
    settle: float = 1.0
    """Seconds within which a roster follows a change; more if the roster is large, see `roster_rate` (PRESENCE-6)."""
    roster_rate: float = 8 * 1024
    """Bytes of rosters that each client gets per second, on average."""
    repeat: float = 30.0
    """Seconds within which the roster is sent again without a change; more if it is large (PRESENCE-7)."""
    conversation_id: Callable[[int], str] = str
    """Makes the id of the n-th conversation (CONV-3, CONV-4).

    That has to be 1 to 64 printable ASCII characters without a space, and never the same twice.
    """

    def __post_init__(self) -> None:
        """Check the numbers.  UsageError if rosters would follow each other without end, or a clock cannot take a time."""
        check_seconds("settle", self.settle)
        check_seconds("repeat", self.repeat, zero=False)
        if not self.roster_rate > 0:  # written so that NaN is refused, too
            raise UsageError(f"roster_rate is more than 0 bytes per second, and not {self.roster_rate}")

    def interval(self, roster_bytes: int) -> float:
        """Give the presence interval P of a roster of this size: the seconds between two rosters while things change."""
        return max(self.settle, roster_bytes / self.roster_rate)


@dataclass(slots=True)
class _Conversation:
    id: str
    initiator: int
    """The connection of the user who began it.  Not the name, which may belong to somebody else by now."""
    people: dict[str, None]
    """Online users who were ever invited or have ever joined, also if they have declined or left."""
    invited: dict[str, None]
    """Users who hold an invitation that they have neither taken up nor declined."""
    members: dict[str, int] = field(default_factory=dict[str, int])
    """Member → connection, in the order of joining."""
    receivers: tuple[int, ...] | None = None
    """The members' connections, made when somebody says something; the same object until members come or go."""

    def drop(self, name: str) -> bool:
        """End somebody's membership and invitation; tell whether there was a membership."""
        self.invited.pop(name, None)
        self.receivers = None
        return self.members.pop(name, None) is not None


@dataclass(slots=True)
class _User:
    name: str
    connection: int
    conversations: dict[str, None] = field(default_factory=dict[str, None])
    """The ids of the conversations whose `people` include the user."""
    initiated: int = 0
    """How many of the living conversations the user began."""


_VERSION: Final = 1
_PER_ENTRY: Final = 16  # what any codec needs around one name, status or id in a map


def _size(text: str) -> int:
    """Give at least as many bytes as `text` takes in any codec: more if it has to be escaped."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text and "'" not in text:
        return len(text) + _PER_ENTRY
    return 3 * len(text.encode("utf-16-le")) + _PER_ENTRY


class Hub:
    """All users and conversations of one server.  See the module's text."""

    def __init__(self, policy: Policy | None = None, limits: Limits | None = None) -> None:
        """Begin with nobody online."""
        self.policy = policy or Policy()
        self.limits = limits or Limits()
        self._users: dict[str, _User] = {}
        self._online: dict[str, str] = {}  # name → status, as in a roster
        self._by_connection: dict[int, _User] = {}
        self._asked: dict[int, Register] = {}  # those about which the embedder has not decided
        self._conversations: dict[str, _Conversation] = {}
        self._made = 0  # how many conversations were ever made, so that no id is used again
        self._changed = False  # whether the roster has changed since everybody got it
        self._rostered = 0.0  # when everybody got it
        self._roster_bytes = 0
        self._list_bytes = 0
        self.due: float | None = None
        """When `tick` will have something to do; None if never, unless there is another input."""

    # -- inputs -------------------------------------------------------------------------------------------

    def receive(self, connection: int, request: Request, now: float) -> list[Output]:
        """Let a request take effect.  UsageError if a connection that is not registered sends more than REGISTER."""
        if isinstance(request, Register):
            return self._register(connection, request, now)
        user = self._by_connection.get(connection)
        if user is None:
            if isinstance(request, Goodbye):  # GOODBYE-7
                return [*self.disconnect(connection, now), Close(connection)]
            raise UsageError(
                f"connection {connection} is not registered; check messages against the states first"
            )
        match request:
            case SendMessage():
                return self._send_message(user, request)
            case ListConversations():
                return [self._list(user)]
            case Join():
                return self._join(user, request)
            case Leave():
                return self._leave(user, request)
            case Invite():
                return self._invite(user, request)
            case Status():
                return self._status(user, request)
            case Goodbye():
                return [*self.disconnect(connection, now), Close(connection)]
            case _:
                assert_never(request)

    def disconnect(self, connection: int, now: float) -> list[Output]:
        """Take whoever is on this connection offline; nothing happens if nobody is."""
        self._asked.pop(connection, None)
        user = self._by_connection.pop(connection, None)  # GOODBYE-2, GOODBYE-4
        if user is None:
            return []
        status = self._online.pop(user.name)
        del self._users[user.name]
        self._roster_bytes -= _size(user.name) + _size(status)
        self._changed = True
        self._reckon()
        for id in user.conversations:  # GOODBYE-8, GOODBYE-9
            conversation = self._conversations[id]
            del conversation.people[user.name]
            self._drop(conversation, user.name)
        return []

    def decide(self, connection: int, refusal: str | None, now: float) -> list[Output]:
        """Admit the user who wants to register on this connection, or refuse and give `refusal` as the reason.

        An answer that comes after the connection has ended is ignored.  InvalidMessage, and nothing is changed, if no
        message can hold the reason.
        """
        refused = None if refusal is None else _error(connection, Code.FORBIDDEN, refusal)
        request = self._asked.pop(connection, None)
        if request is None:
            return []
        if refused is not None:  # REGISTER-10
            return [refused]
        return self._admit(connection, request, now)

    def kick(self, username: str, reason: str, now: float) -> list[Output]:
        """Put a user out, with an ERROR that gives the reason.

        UsageError if nobody has that name, InvalidMessage if no message can hold the reason; nothing is changed then.
        """
        user = self._users.get(username)
        if user is None:
            raise UsageError(f"nobody is online as {username!r}; see `Hub.online`")
        return [
            _error(user.connection, Code.FORBIDDEN, reason),
            *self.disconnect(user.connection, now),
            Close(user.connection, Code.FORBIDDEN),
        ]

    def tick(self, now: float) -> list[Output]:
        """Do what is due at `now`: send the roster to everybody."""
        if self.due is None or now < self.due:
            return []
        self._changed = False
        self._rostered = now  # PRESENCE-4, PRESENCE-7
        self._reckon()
        return [Send(self._roster(), tuple(self._by_connection))]

    def _reckon(self) -> None:
        """Work out when the next roster is due."""
        if not self._users:
            self.due = None
            return
        interval = self.policy.interval(self._roster_bytes)  # PRESENCE-6, PRESENCE-8
        self.due = self._rostered + (interval if self._changed else max(self.policy.repeat, interval))

    # -- what can be seen ---------------------------------------------------------------------------------

    @property
    def online(self) -> Mapping[str, str]:
        """Name → status of everybody who is registered, in the order of registration."""
        return self._online.copy()

    @property
    def newest(self) -> int:
        """The highest connection number in the state, or 0: a service on a restored hub gives new ones higher numbers."""
        initiators = [conversation.initiator for conversation in self._conversations.values()]
        return max([0, *self._by_connection, *self._asked, *initiators])

    def snapshot(self) -> dict[str, Any]:
        """Give the whole state as data that JSON can hold, from which `restore` makes an equal hub."""
        return {
            "version": _VERSION,
            "users": [
                [u.name, u.connection, self._online[u.name], list(u.conversations)]
                for u in self._users.values()
            ],
            "asked": [[connection, r.username, r.status] for connection, r in self._asked.items()],
            "conversations": [
                [c.id, c.initiator, list(c.people), list(c.invited), list(c.members)]
                for c in self._conversations.values()
            ],
            "made": self._made,
            "changed": self._changed,
            "rostered": float(self._rostered),  # a clock may count in integers, which JSON writes otherwise
        }

    def digest(self) -> str:
        """Give a fingerprint of the state: hubs that were given the same inputs have the same fingerprint."""
        return hashlib.sha256(json.dumps(self.snapshot(), separators=(",", ":")).encode()).hexdigest()

    @classmethod
    def restore(
        cls, snapshot: Mapping[str, Any], policy: Policy | None = None, limits: Limits | None = None
    ) -> Self:
        """Make a hub that goes on from `snapshot`.  SnapshotError if that is damaged or of another version of improto.

        Its users are still online, each by the number of the connection: `kick` those whose connections have gone, which
        in a new process are all, before a `Service` is made of the hub.  Then no id of a conversation is given twice even
        across the restart (CONV-3), and no observer is told of users who are not there.  For these calls any `now` will
        do.  That of later calls has to go on from the clock of the old hub, unless nobody is online any more.
        """
        if not isinstance(cast(object, snapshot), Mapping) or snapshot.get("version") != _VERSION:
            raise SnapshotError(
                f"the snapshot is not of version {_VERSION}; take it with this version of improto"
            )
        hub = cls(policy, limits)
        try:
            hub._load(snapshot)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise SnapshotError(f"the snapshot is damaged ({error!r}); take a new one") from error
        return hub

    def _load(self, snapshot: Mapping[str, Any]) -> None:
        self._made = int(snapshot["made"])
        self._changed = bool(snapshot["changed"])
        self._rostered = float(snapshot["rostered"])
        self._asked = {
            int(connection): Register(name, status) for connection, name, status in snapshot["asked"]
        }
        for name, connection, status, conversations in snapshot["users"]:
            user = _User(name, int(connection), dict.fromkeys(conversations))
            self._users[name] = self._by_connection[user.connection] = user
            self._online[name] = status
            self._roster_bytes += _size(name) + _size(status)
        for id, initiator, people, invited, members in snapshot["conversations"]:
            conversation = _Conversation(
                id,
                int(initiator),
                dict.fromkeys(people),
                dict.fromkeys(invited),
                {name: self._users[name].connection for name in members},
            )
            self._conversations[id] = conversation
            self._list_bytes += _size(id) + sum(map(_size, members))
            if initiator in self._by_connection:
                self._by_connection[initiator].initiated += 1
        self._check(snapshot)
        self._reckon()

    def _check(self, snapshot: Mapping[str, Any]) -> None:
        """ValueError if the state that was loaded is no state, or would not be written as it was."""
        OnlineUsers(self._online)  # what no message can hold must not be in it
        Conversations(dict.fromkeys(self._conversations, ()))
        if any(snapshot[part] != value for part, value in self.snapshot().items()):
            raise ValueError("something stands there twice, or has another type")
        if len(self._by_connection) < len(self._users) or self._asked.keys() & self._by_connection:
            raise ValueError("two users have one connection")
        conversations = self._conversations.values()
        people = {(name, conversation.id) for conversation in conversations for name in conversation.people}
        if people != {(user.name, id) for user in self._users.values() for id in user.conversations}:
            raise ValueError("users and conversations do not fit each other")
        if not all(each.people.keys() >= each.invited.keys() | each.members.keys() for each in conversations):
            raise ValueError("a conversation has members, or invited users, who are not among its people")
        if not all(each.members or each.invited for each in conversations):
            raise ValueError("a conversation has ended")
        if self._made < len(conversations):  # CONV-3
            raise ValueError("more conversations are there than were ever made")

    # -- registration and presence ------------------------------------------------------------------------

    def _register(self, connection: int, request: Register, now: float) -> list[Output]:
        if connection in self._by_connection or connection in self._asked:
            raise UsageError(
                f"connection {connection} has sent REGISTER; check messages against the states first"
            )
        if self.policy.ask:  # REGISTER-8
            self._asked[connection] = request
            return [Ask(connection, request)]
        return self._admit(connection, request, now)

    def _admit(self, connection: int, request: Register, now: float) -> list[Output]:
        outputs: list[Output] = []
        holder = self._users.get(request.username)
        if holder is not None and not self.policy.replace:  # REGISTER-4, REGISTER-6
            return [_error(connection, Code.NAME_IN_USE, "somebody is online by that name; choose another")]
        added = _size(request.username) + _size(request.status)
        freed = 0 if holder is None else _size(holder.name) + _size(self._online[holder.name])
        if self._roster_bytes - freed + added > self.limits.roster:  # LIMIT-21
            return [_error(connection, Code.TOO_MANY, "the server is full; try again later")]
        if holder is not None:  # REGISTER-7
            outputs += self.kick(holder.name, "you have connected from elsewhere", now)
        self._changed = bool(self._users)  # if nobody else is online, nobody needs a roster but the newcomer
        if not self._changed:
            self._rostered = now
        user = _User(request.username, connection)
        self._users[user.name] = self._by_connection[connection] = user
        self._online[user.name] = request.status
        self._roster_bytes += added
        self._reckon()
        outputs.append(Send(self._roster(), (connection,), first=True))  # REGISTER-2
        return outputs

    def _status(self, user: _User, request: Status) -> list[Output]:
        before = self._online[user.name]
        growth = _size(request.status) - _size(before)
        if self._roster_bytes + growth > self.limits.roster:  # LIMIT-21
            return [_error(user.connection, Code.TOO_MANY, "the roster is full; use a shorter status")]
        if request.status != before:  # STATUS-5
            self._online[user.name] = request.status  # STATUS-2
            self._roster_bytes += growth
            self._changed = True
            self._reckon()
        return []

    def _roster(self) -> OnlineUsers:
        return OnlineUsers.trusted(self._online.copy())  # PRESENCE-2, PRESENCE-3

    # -- conversations ------------------------------------------------------------------------------------

    def _invite(self, user: _User, request: Invite) -> list[Output]:
        # INVITE-4
        invited = list(dict.fromkeys(name for name in request.users if name != user.name))
        if not invited:  # INVITE-5
            return [_error(user.connection, Code.INVALID, "users must name at least one other user")]
        unknown = [name for name in invited if name not in self._users]
        if unknown:  # INVITE-6
            return [_error(user.connection, Code.NO_SUCH_USER, self._fitting(unknown))]
        if user.initiated >= self.limits.living:  # LIMIT-18
            return [
                _error(
                    user.connection, Code.TOO_MANY, f"you have begun {user.initiated} conversations; end one"
                )
            ]
        id = self.policy.conversation_id(self._made + 1)  # INVITE-3, CONV-3
        # Made before anything changes: it raises if no message can hold the id.
        invitation = Invitation(id, user.name)
        id = invitation.conversation
        if self._list_bytes + _size(id) > self.limits.roster:  # LIMIT-21
            return [
                _error(
                    user.connection, Code.TOO_MANY, "the server has too many conversations; try again later"
                )
            ]
        self._made += 1
        self._list_bytes += _size(id)
        user.initiated += 1
        people = [self._users[name] for name in (user.name, *invited)]
        names = dict.fromkeys(person.name for person in people)
        self._conversations[id] = _Conversation(id, user.connection, people=names, invited=names.copy())
        for person in people:
            person.conversations[id] = None
        return [Send(invitation, tuple([person.connection for person in people]))]

    def _fitting(self, names: Iterable[str]) -> str:
        """Say that nobody has these names; list as many of them as an ERROR can hold (INVITE-7)."""
        text = "nobody is online by the name of "
        room = ERROR_TEXT - len(f"{Code.NO_SUCH_USER}: {text}") - len(", …")
        listed = ""
        for name in names:
            addition = f", {name}" if listed else name
            if len(listed) + len(addition) > room:
                return f"{text}{listed}, …"
            listed += addition
        return text + listed

    def _join(self, user: _User, request: Join) -> list[Output]:
        conversation = self._conversations.get(request.conversation)
        if conversation is None:
            return [_no_such_conversation(user.connection)]
        if self.policy.private and user.name not in conversation.people:  # JOIN-4, JOIN-6, JOIN-7
            return [
                _error(user.connection, Code.NOT_INVITED, "only who is invited may join this conversation")
            ]
        if user.name in conversation.members:  # JOIN-9
            return []
        if self._list_bytes + _size(user.name) > self.limits.roster:  # LIMIT-21
            return [_error(user.connection, Code.TOO_MANY, "the conversations are full; try again later")]
        conversation.members[user.name] = user.connection  # JOIN-2, JOIN-3, LIST-8
        conversation.receivers = None
        conversation.invited.pop(user.name, None)
        conversation.people[user.name] = None
        user.conversations[conversation.id] = None
        self._list_bytes += _size(user.name)
        return []

    def _leave(self, user: _User, request: Leave) -> list[Output]:
        conversation = self._conversations.get(request.conversation)
        if conversation is None:
            return [_no_such_conversation(user.connection)]
        if user.name not in conversation.members and user.name not in conversation.invited:  # LEAVE-6
            return [
                _error(user.connection, Code.NOT_MEMBER, "you are neither in this conversation nor invited")
            ]
        self._drop(conversation, user.name)  # LEAVE-2, LEAVE-4
        return []

    def _drop(self, conversation: _Conversation, name: str) -> None:
        """End somebody's part in a conversation, and the conversation itself if that was the last part in it."""
        if conversation.drop(name):
            self._list_bytes -= _size(name)
        if conversation.members or conversation.invited:  # CONV-1, CONV-2
            return
        del self._conversations[conversation.id]
        self._list_bytes -= _size(conversation.id)
        for person in conversation.people:
            self._users[person].conversations.pop(conversation.id, None)
        initiator = self._by_connection.get(conversation.initiator)
        if initiator is not None:
            initiator.initiated -= 1

    def _send_message(self, user: _User, request: SendMessage) -> list[Output]:
        conversation = self._conversations.get(request.conversation)
        if conversation is None:
            return [_no_such_conversation(user.connection)]
        if user.name not in conversation.members:  # SEND-6
            return [_error(user.connection, Code.NOT_MEMBER, "JOIN the conversation before you send to it")]
        message = Message.trusted(conversation.id, user.name, request.text)  # MESSAGE-2, MESSAGE-3, MESSAGE-4
        if conversation.receivers is None:
            conversation.receivers = tuple(conversation.members.values())
        return [Send(message, conversation.receivers)]  # SEND-2, SEND-3, SEND-4

    def _list(self, user: _User) -> Send:
        shown = {
            conversation.id: tuple(conversation.members)
            for conversation in self._conversations.values()
            if not self.policy.private or user.name in conversation.people  # LIST-5, LIST-9
        }
        return Send(Conversations.trusted(shown), (user.connection,))


def _error(connection: int, code: Code, explanation: str) -> Send:
    return Send(Error.of(code, explanation), (connection,))


def _no_such_conversation(connection: int) -> Send:  # JOIN-8, LEAVE-5, SEND-5
    return _error(connection, Code.NO_SUCH_CONVERSATION, "no conversation has that id, or it has ended")
