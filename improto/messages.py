"""The message table: 13 commands, each a frozen dataclass, with everything else derived from them.

A message is what the lecture calls "a command string plus arguments".  Its class says who sends it
(`FROM`), what may happen to it while it waits for a slow reader (`DELIVERY`) and, by the annotation of each
field, what the field holds (`Kind`).  Codecs, limits, states and documentation read this table; none of
them lists the commands again.

Validity is checked in three places, each thing once.  *Here*, when a message is built: the types, and that
text can be written in UTF-8 at all.  In `limits`: the bounds, because they are configurable.  In `states`:
whether the message may be sent now.  So codecs and the hub can rely on each message that they get to be well
formed, whoever sent it.

Containers are copied when a message is built, so that nobody can change a message that somebody else holds; and a
text of a class of its own becomes a plain one, so that codecs need not ask how such a class shows or joins itself.
The order of map entries means nothing on the wire, but it is kept, so that output is deterministic.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import wraps
from itertools import chain
from typing import Annotated, Any, ClassVar, Final, NamedTuple, Self, TypeGuard, cast, final, get_type_hints

from improto.errors import InvalidMessage

__all__ = [
    "COMMANDS",
    "COMMAND_NAME",
    "ERROR_TEXT",
    "AnyMessage",
    "Code",
    "Conversations",
    "Delivery",
    "Error",
    "Field",
    "FromClient",
    "FromServer",
    "Goodbye",
    "Invitation",
    "Invite",
    "Join",
    "Kind",
    "Leave",
    "ListConversations",
    "Message",
    "OnlineUsers",
    "Register",
    "Request",
    "Response",
    "Role",
    "SendMessage",
    "Status",
    "Value",
    "well_formed",
]

COMMAND_NAME: Final = re.compile(r"[A-Z_]{1,20}")
"""What any command name looks like, known or not; use `fullmatch`."""
ERROR_TEXT: Final = 512
"""The most code points that a server's ERROR may have (LIMIT-16)."""


class Role(StrEnum):
    """One of the two ends of a connection."""

    CLIENT = "client"
    SERVER = "server"


class Delivery(StrEnum):
    """What may happen to a server's message while it waits for a slow reader."""

    REPLY = "reply"
    """It is never dropped and keeps its place."""
    SNAPSHOT = "snapshot"
    """It is dropped when a newer one is appended."""
    EVENT = "event"
    """It is never dropped; if too many bytes of events wait, the connection is ended."""


class Code(StrEnum):
    """The error codes, in order of precedence: if several apply, the first one is sent (ERROR-6).

    A code has a fixed meaning; the explanation behind it is free text.  The last three are *connection errors*: they
    answer no request, and are the last message before the server closes (ERROR-8).
    """

    TOO_LARGE = "too-large"
    MALFORMED = "malformed"
    UNKNOWN_COMMAND = "unknown-command"
    INVALID = "invalid"
    RATE_LIMITED = "rate-limited"
    NOT_REGISTERED = "not-registered"
    ALREADY_REGISTERED = "already-registered"
    FORBIDDEN = "forbidden"
    NAME_IN_USE = "name-in-use"
    NO_SUCH_USER = "no-such-user"
    NO_SUCH_CONVERSATION = "no-such-conversation"
    NOT_INVITED = "not-invited"
    NOT_MEMBER = "not-member"
    TOO_MANY = "too-many"
    TIMEOUT = "timeout"
    SLOW_CONSUMER = "slow-consumer"
    SHUTTING_DOWN = "shutting-down"


class Kind(Enum):
    """What a field holds, which decides on its form on the wire and on its bounds."""

    NAME = "name"
    STATUS = "status"
    TEXT = "text"
    CONVERSATION = "conversation id"
    EXPLANATION = "explanation"
    NAMES = "list of names"
    """In codecs with positional arguments, each name is one: `INVITE bo cy`."""
    ROSTER = "map from name to status"
    CONVERSATIONS = "map from conversation id to names"


Value = str | tuple[str, ...] | Mapping[str, str] | Mapping[str, tuple[str, ...]]
"""What a field can hold."""

_Name = Annotated[str, Kind.NAME]
_Status = Annotated[str, Kind.STATUS]
_Text = Annotated[str, Kind.TEXT]
_Conversation = Annotated[str, Kind.CONVERSATION]
_Explanation = Annotated[str, Kind.EXPLANATION]
_Names = Annotated[tuple[str, ...], Kind.NAMES]
_Roster = Annotated[Mapping[str, str], Kind.ROSTER]
_Conversations = Annotated[Mapping[str, tuple[str, ...]], Kind.CONVERSATIONS]


class Field(NamedTuple):
    """One argument of a command: its name, which is the same in Python and in JSON, and what it holds."""

    name: str
    kind: Kind


def well_formed(text: str) -> bool:
    """Tell whether `text` can be written in UTF-8, that is, whether it holds no lone surrogate."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Base:
    """What all 13 messages have in common."""

    __slots__ = ()
    COMMAND: ClassVar[str]
    FROM: ClassVar[Role]
    FIELDS: ClassVar[tuple[Field, ...]]

    def values(self) -> tuple[Value, ...]:
        """Give the arguments in the order of the fields."""
        raise NotImplementedError  # `_methods` writes one for each class

    @classmethod
    def trusted(cls, *values: Any) -> Self:
        """Make a message of values that were checked before, without a look at them.

        Texts have to be plain and well formed, and containers of the types that the fields hold, and nobody else's.
        """
        raise NotImplementedError  # and another one


class FromClient(_Base):
    """The base of all that clients send: `isinstance` is faster with this class than with the union `Request`."""

    __slots__ = ()
    FROM: ClassVar[Role] = Role.CLIENT


class FromServer(_Base):
    """The base of all that servers send, as the union `Response`."""

    __slots__ = ()
    FROM: ClassVar[Role] = Role.SERVER


@final
@dataclass(frozen=True, slots=True)
class Register(FromClient):
    """Ask to be known by a name.  Answered with the first ONLINE_USERS, or with ERROR."""

    COMMAND: ClassVar[str] = "REGISTER"
    username: _Name
    status: _Status


@final
@dataclass(frozen=True, slots=True)
class OnlineUsers(FromServer):
    """Tell the whole roster: everybody who is registered, oneself included, each with a status.

    The first one answers REGISTER, and is delivered as a *reply*; each later one takes the place of those before it.
    """

    COMMAND: ClassVar[str] = "ONLINE_USERS"
    DELIVERY: ClassVar[Delivery] = Delivery.SNAPSHOT
    users: _Roster


@final
@dataclass(frozen=True, slots=True)
class Status(FromClient):
    """Change one's status.  No reply; rosters show it."""

    COMMAND: ClassVar[str] = "STATUS"
    status: _Status


@final
@dataclass(frozen=True, slots=True)
class Goodbye(FromClient):
    """Go offline.  No reply; the server closes."""

    COMMAND: ClassVar[str] = "GOODBYE"


@final
@dataclass(frozen=True, slots=True)
class Invite(FromClient):
    """Make a new conversation and invite users to it.  Answered with one's own INVITATION, or with ERROR."""

    COMMAND: ClassVar[str] = "INVITE"
    users: _Names


@final
@dataclass(frozen=True, slots=True)
class Invitation(FromServer):
    """Tell each invited user, and the initiator, of a new conversation; `source` is the initiator."""

    COMMAND: ClassVar[str] = "INVITATION"
    DELIVERY: ClassVar[Delivery] = Delivery.EVENT
    conversation: _Conversation
    source: _Name


@final
@dataclass(frozen=True, slots=True)
class ListConversations(FromClient):
    """Ask for the conversations.  Always answered with CONVERSATIONS: the protocol's barrier."""

    COMMAND: ClassVar[str] = "LIST_CONVERSATIONS"


@final
@dataclass(frozen=True, slots=True)
class Conversations(FromServer):
    """List every conversation that the user may see, with its members in the order of joining."""

    COMMAND: ClassVar[str] = "CONVERSATIONS"
    DELIVERY: ClassVar[Delivery] = Delivery.REPLY
    conversations: _Conversations


@final
@dataclass(frozen=True, slots=True)
class Join(FromClient):
    """Become a member of a conversation.  No reply."""

    COMMAND: ClassVar[str] = "JOIN"
    conversation: _Conversation


@final
@dataclass(frozen=True, slots=True)
class SendMessage(FromClient):
    """Say something to all members of a conversation, oneself included."""

    COMMAND: ClassVar[str] = "SEND_MESSAGE"
    conversation: _Conversation
    text: _Text


@final
@dataclass(frozen=True, slots=True)
class Message(FromServer):
    """Tell what somebody said in a conversation; to the sender, its own copy is the acknowledgement."""

    COMMAND: ClassVar[str] = "MESSAGE"
    DELIVERY: ClassVar[Delivery] = Delivery.EVENT
    conversation: _Conversation
    sender: _Name
    text: _Text


@final
@dataclass(frozen=True, slots=True)
class Leave(FromClient):
    """Leave a conversation, or decline an invitation to it.  No reply."""

    COMMAND: ClassVar[str] = "LEAVE"
    conversation: _Conversation


@final
@dataclass(frozen=True, slots=True)
class Error(FromServer):
    """Tell that a request had no effect, or that the connection is about to end; `message` is `code: explanation`."""

    COMMAND: ClassVar[str] = "ERROR"
    DELIVERY: ClassVar[Delivery] = Delivery.EVENT
    message: _Explanation

    @classmethod
    def of(cls, code: str, explanation: str) -> Self:
        """Make an ERROR with a code, cut to `ERROR_TEXT`: an explanation may quote something long, or be an embedder's."""
        return cls(f"{code}: {explanation}"[:ERROR_TEXT])

    @property
    def code(self) -> str | None:
        """The code, a plain text that need not be one of `Code`; None if there is none, as in what old servers send.

        Compare it by `==`: it is never the member of `Code` itself.
        """
        code, colon, _ = self.message.partition(": ")
        return code if colon and _CODE.fullmatch(code) else None


Request = Register | Status | Goodbye | Invite | ListConversations | Join | SendMessage | Leave
"""What clients send."""
Response = OnlineUsers | Invitation | Conversations | Message | Error
"""What servers send."""
AnyMessage = Request | Response

COMMANDS: Final[Mapping[str, type[AnyMessage]]] = {
    message.COMMAND: message
    for message in (
        Register,
        OnlineUsers,
        Status,
        Goodbye,
        Invite,
        Invitation,
        ListConversations,
        Conversations,
        Join,
        SendMessage,
        Message,
        Leave,
        Error,
    )
}
"""The table itself: the class of each command, in the lecture's order."""

_CODE = re.compile(r"[a-z][a-z-]*")


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidMessage(field, f"must be text, not {type(value).__name__}")
    text = str.__str__(value)
    if not well_formed(text):
        raise InvalidMessage(field, "must be text that UTF-8 can hold, without lone surrogates")
    return text


def _all_texts(values: Sequence[str]) -> bool:
    """Tell whether all are plain, well-formed texts, as fast as they can be joined; but not which one is not."""
    return _PLAIN.issuperset(map(type, values)) and well_formed("".join(values))


# A container of the usual type is copied and checked in one go.  Any other, or one that holds something wrong, is
# gone through item by item, so that the error can say what is wrong.


def _names(field: str, value: object) -> tuple[str, ...]:
    if type(value) in _LISTS:
        copy = tuple(cast("Iterable[str]", value))
        if _all_texts(copy):
            return copy
    if isinstance(value, str | bytes | bytearray) or not isinstance(value, Sequence):
        raise InvalidMessage(field, f"must be a list of texts, not {type(value).__name__}")
    return tuple([_text(field, item) for item in cast("Sequence[object]", value)])


def _is_dict(value: object) -> TypeGuard[dict[Any, Any]]:
    return type(value) is dict


def _roster(field: str, value: object) -> Mapping[str, str]:
    if _is_dict(value):
        copy: dict[str, str] = value.copy()
        if _all_texts([*copy, *copy.values()]):
            return copy
    return {_text(field, name): _text(field, status) for name, status in _mapping(field, value).items()}


def _conversations(field: str, value: object) -> Mapping[str, tuple[str, ...]]:
    if _is_dict(value) and _LISTS.issuperset(map(type, value.values())):
        lists = cast("dict[str, Iterable[str]]", value)
        copy = dict(zip(lists, map(tuple, lists.values()), strict=True))
        if _all_texts([*copy, *chain.from_iterable(copy.values())]):
            return copy
    return {_text(field, key): _names(field, names) for key, names in _mapping(field, value).items()}


def _mapping(field: str, value: object) -> Mapping[object, object]:
    if not isinstance(value, Mapping):
        raise InvalidMessage(field, f"must be a map, not {type(value).__name__}")
    return cast("Mapping[object, object]", value)


_LISTS: Final = frozenset({list, tuple})
_PLAIN: Final = frozenset({str})
_CHECKS: Mapping[Kind, Callable[[str, object], Value]] = {
    Kind.NAMES: _names,
    Kind.ROSTER: _roster,
    Kind.CONVERSATIONS: _conversations,
}


def _fields(message: type[AnyMessage]) -> tuple[Field, ...]:
    hints = get_type_hints(message, include_extras=True)
    return tuple(
        Field(name, annotation.__metadata__[0])
        for name, annotation in hints.items()
        if hasattr(annotation, "__metadata__")
    )


def _methods(message: type[AnyMessage]) -> Iterable[tuple[str, Callable[..., Any]]]:
    """Compile `__init__`, `values` and `trusted` for a class.

    The `__init__` that `dataclass` makes for a frozen class looks up each slot by its name, which takes most of
    the time of building a message; this one has the slots at hand.  It checks types and text, and takes
    private copies of containers.
    """
    names = [field.name for field in message.FIELDS]
    lines = [f"def __init__({', '.join(['self', *names])}):", " pass"]
    for name, kind in message.FIELDS:
        # A text in plain ASCII, as most are, needs no call.
        unsure = "" if kind in _CHECKS else f"if type({name}) is not str or not {name}.isascii(): "
        lines += [f" {unsure}{name} = check_{name}({name!r}, {name})", f" set_{name}(self, {name})"]
    lines += ["def values(self):", f" return ({''.join(f'self.{name}, ' for name in names)})"]
    lines += [f"def trusted({', '.join(names)}):", " made = new(Message)"]
    lines += [*[f" set_{name}(made, {name})" for name in names], " return made"]
    used: dict[str, Any] = {"new": object.__new__, "Message": message}
    used |= {f"check_{name}": _CHECKS.get(kind, _text) for name, kind in message.FIELDS}
    used |= {f"set_{name}": vars(message)[name].__set__ for name in names}
    exec("\n".join(lines), used)
    yield "__init__", wraps(vars(message)["__init__"])(used["__init__"])
    yield "values", wraps(_Base.values)(used["values"])
    yield "trusted", staticmethod(wraps(_Base.trusted)(used["trusted"]))


for _message in COMMANDS.values():
    _message.FIELDS = _fields(_message)
    for _name, _method in _methods(_message):
        type.__setattr__(_message, _name, _method)
