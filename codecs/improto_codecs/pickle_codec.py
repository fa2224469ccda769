r"""The pickle codec: the lecture's own form, a command, a space and pickled arguments.

    REGISTER (S'alice'\nS'Available'\nl.

Programs written after the lecture call Python's unpickler on what arrives, and an unpickler does what the
bytes tell it: import a module, call a function.  To inspect the bytes first and unpickle them afterwards would
read them twice, in two ways, and trust that both agree.  So here they are read once, by an interpreter of our
own (`opcodes`), which knows numbers, texts, lists, tuples and maps, and has no code for anything else.

A pickle has no length before it.  Its end is the STOP opcode, which is found only by walking the opcodes: a `.` may
stand in a text, and the length of a FRAME says nothing about the message.  So the reader walks while bytes arrive.
After an opcode that it does not know, nobody can tell where the next message begins: so what is malformed on a
stream is fatal.  If a pickle has an end and is just no message, it is refused, and reading goes on behind it.

*Accepted* is what any pickler of the last 25 years writes for plain values: protocols 0 to 5, the byte strings
of Python 2, the halved characters of its narrow builds, tuples for lists, a bare value for a list of one,
integers for conversation ids.  *Sent* is what all of them read: protocol 0 without memo, and texts beyond ASCII
as UTF-8 with their length.

*Refused* as malformed: opcodes that load, call or build; sets, buffers and Python 3's bytes; values that nest
deeper than messages do or contain themselves; lone surrogates.  Refused as too large: pickles that are longer than
the limit, claim to be, or unfold to more.

*What the format cannot tell apart.*  A byte string of Python 2 may be UTF-8 or Latin-1: one that is valid UTF-8 is
read as that.  Conversation 1 is the same as conversation "1".  And the two commands without arguments have no clear
end: programs send them bare, with a space, or with an empty value, and the reader must not wait to find out which.
"""

import re
from collections.abc import Sequence
from enum import Enum, auto
from itertools import chain
from typing import ClassVar, Final, cast

from improto.codec import Codec, Reader, build, find
from improto.errors import DecodeError
from improto.limits import Limits
from improto.messages import (
    COMMANDS,
    AnyMessage,
    Code,
    Conversations,
    Error,
    Goodbye,
    Invite,
    Kind,
    ListConversations,
    OnlineUsers,
    Role,
)

from . import plain_pickles
from .opcodes import Machine, Map, Other, PickleValue, malformed, too_large

__all__ = ["PickleCodec"]

_BARE: Final = (Goodbye.COMMAND.encode(), ListConversations.COMMAND.encode())
_HEAD: Final = re.compile(rb"(?P<bare>%b)|(?P<name>[A-Z_]{0,20})(?P<behind>[\x00-\xff])?" % b"|".join(_BARE))
_LETTERS: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_LINE_ENDS: Final = frozenset(b"\r\n")
_SPACE: Final = 0x20
_IDLE: Final = Machine(0)  # runs nothing
_MAPS: Final = (Kind.ROSTER, Kind.CONVERSATIONS)
_KINDS: Final = {
    command: tuple([field.kind for field in message.FIELDS]) for command, message in COMMANDS.items()
}
_CANONICAL_DECIMAL: Final = re.compile(r"0|-?[1-9][0-9]{0,62}")
_ESCAPES: Final = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F)},
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
    ord("\\"): "\\\\",
    ord("'"): "\\'",
}


class PickleCodec(Codec):
    """The lecture's pickled messages."""

    name: ClassVar[str] = "pickle"
    binary: ClassVar[bool] = True

    def __init__(self, *, integer_ids: bool = False) -> None:
        """With `integer_ids`, write conversation ids that are decimal numbers as integers.  Both forms are read."""
        self._integer_ids = integer_ids

    def encode(self, message: AnyMessage) -> bytes:
        """Give the command, a space and the pickle that every pickler reads."""
        return b"%b %b." % (message.COMMAND.encode(), self._arguments(message))  # PICKLE-1

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Give the message in one whole payload; DecodeError, which is never fatal, if there is none.

        The size of the payload is for the caller to check; what it unfolds to is held to the default limit.
        """
        plain = plain_pickles.read(payload, 0, len(payload), sender)
        if plain is not None and plain[1] == len(payload):
            return plain[0]
        limit = max(len(payload), Limits().payload(sender, registered=True))
        try:
            return _PickleReader(sender).whole(payload, limit)
        except DecodeError as error:
            raise DecodeError(error.code, error.explanation, offset=error.offset) from None

    def frame(self, payload: bytes) -> bytes:
        """Give the payload as it is, since a pickle tells where it ends."""
        return payload

    def reader(self, sender: Role) -> Reader:
        """Give a reader that walks the opcodes as they arrive."""
        return _PickleReader(sender)

    def _arguments(self, message: AnyMessage) -> bytes:
        if isinstance(message, Invite):
            return _list(message.users)
        if isinstance(message, Error):  # PICKLE-2
            return _text(message.message)
        if isinstance(message, OnlineUsers):
            return b"(%bd" % _texts([*chain.from_iterable(message.users.items())])
        if isinstance(message, Conversations):
            return b"(%bd" % b"".join(
                [self._id(id) + _list(names) for id, names in message.conversations.items()]
            )
        values = cast("tuple[str, ...]", message.values())
        if self._integer_ids and message.FIELDS and message.FIELDS[0].kind is Kind.CONVERSATION:
            return b"(%bl" % (self._id(values[0]) + _texts(values[1:]))
        return _list(values)  # PICKLE-31: the empty one too

    def _id(self, conversation: str) -> bytes:
        if self._integer_ids and _CANONICAL_DECIMAL.fullmatch(conversation):  # PICKLE-32
            return b"I%b\n" % conversation.encode()
        return _text(conversation)


def _list(texts: Sequence[str]) -> bytes:
    return b"(%bl" % _texts(texts)  # PICKLE-29


def _texts(texts: Sequence[str]) -> bytes:
    together = "".join(texts)
    if texts and _is_plain(together):  # a look at all of them together costs no more than one at each
        return ("S'" + "'\nS'".join(texts) + "'\n").encode()
    return b"".join(map(_text, texts))


def _text(text: str) -> bytes:
    if text.isascii():  # PICKLE-30
        return b"S'%b'\n" % (text if _is_plain(text) else text.translate(_ESCAPES)).encode()
    data = text.encode()
    return b"X" + len(data).to_bytes(4, "little") + data


def _is_plain(text: str) -> bool:
    """Tell whether a quoted string holds all of `text` as it is."""
    return text.isascii() and text.isprintable() and "'" not in text and "\\" not in text


class _Phase(Enum):
    """Where in the stream a reader is."""

    BETWEEN = auto()
    """Before a command."""
    ARGUMENTS = auto()
    """In the pickle that follows a command."""
    BARE = auto()
    """Behind a command without arguments, which has been returned."""
    EMPTY = auto()
    """In the pickle of no arguments that follows such a command."""
    DEAD = auto()
    """Behind a fatal error."""


class _PickleReader(Reader):
    __slots__ = ("_buffer", "_command", "_machine", "_phase", "_position", "_sender")

    def __init__(self, sender: Role) -> None:
        self._sender = sender
        self._phase = _Phase.BETWEEN
        self._buffer = bytearray()
        self._position = 0  # up to here all was read; these bytes are cut off together, when more arrive
        self._command = ""
        self._machine = _IDLE

    def feed(self, data: bytes) -> None:
        if self._phase is _Phase.DEAD:
            return
        if self._position:
            del self._buffer[: self._position]
            self._position = 0
        self._buffer += data

    def next(self, limit: int) -> AnyMessage | None:
        if self._phase is _Phase.BETWEEN:
            self._skip_line_ends()
            plain = plain_pickles.read(self._buffer, self._position, limit, self._sender)
            if plain is not None:
                message, self._position = plain
                return message
        try:
            return self._next(limit)
        except DecodeError as error:
            if error.fatal:
                self._phase = _Phase.DEAD
                self._buffer.clear()
                self._position = 0
                self._machine = _IDLE
            raise

    @property
    def behind(self) -> int:
        return len(self._buffer) - self._position

    def whole(self, payload: bytes, limit: int) -> AnyMessage:
        """Read `payload`, which is one message and nothing else."""
        if payload[:1] in (b"\r", b"\n"):
            raise malformed("a payload begins with a command")
        self.feed(payload)
        # Not the error itself, which would hold a reference to this frame.
        refused: tuple[str, str] | None = None
        message: AnyMessage | None = None
        try:
            message = self._next(limit)
        except DecodeError as error:
            if error.fatal:
                raise
            refused = error.code, error.explanation
        if self._phase is _Phase.BARE:
            self._finish_bare(limit, before=len(self._command) + 1)
        # Malformed is reported before unknown or invalid (ERROR-6), so look for the end first.
        if not self._at_end():
            raise malformed("a payload is one whole message and nothing behind it")
        if message is None:
            raise DecodeError(*refused) if refused else malformed("a payload ends within a message")
        return message

    def _at_end(self) -> bool:
        rest = bytes(self._buffer[self._position :])
        if self._phase is _Phase.BARE:  # one space may follow, with nothing behind it
            return rest in (b"", b" ")
        return not rest and self._phase is not _Phase.EMPTY

    def _next(self, limit: int) -> AnyMessage | None:
        while True:
            match self._phase:
                case _Phase.BETWEEN:
                    self._skip_line_ends()
                    if not self._begin(limit):
                        return None
                    if self._command.encode() in _BARE:  # PICKLE-19
                        return build(self._command, (), self._sender)
                case _Phase.ARGUMENTS:
                    value = self._run(limit)
                    return None if value is None else _message(self._command, value, self._sender)
                case _Phase.BARE | _Phase.EMPTY:
                    if not self._finish_bare(limit):
                        return None
                case _Phase.DEAD:
                    return None

    def _skip_line_ends(self) -> None:
        while self._position < len(self._buffer) and self._buffer[self._position] in _LINE_ENDS:
            self._position += 1  # PICKLE-18

    def _begin(self, limit: int) -> bool:
        """Read a command; tell whether it has arrived in full."""
        head = _HEAD.match(self._buffer, self._position)
        assert head is not None  # it may be empty
        bare, name, behind = head.groups()
        size = head.end() - self._position
        if size > limit:
            raise too_large(limit)
        if bare is None:
            if behind is None:
                return False
            if not name or behind != b" ":  # PICKLE-17
                raise malformed("a message begins with 1 to 20 capital letters or underscores, and a space")
        self._command = (bare or name).decode()
        self._position += size
        self._phase = _Phase.ARGUMENTS if bare is None else _Phase.BARE
        self._machine = Machine(size)
        return True

    def _run(self, limit: int) -> PickleValue | None:
        """Go on with the pickle; give its value if it has come to STOP."""
        self._position = self._machine.run(self._buffer, self._position, limit)
        value = self._machine.result
        if value is not None:
            self._phase = _Phase.BETWEEN
            self._machine = _IDLE  # lets go of stack and memo
        return value

    def _finish_bare(self, limit: int, before: int = 0) -> bool:
        """Read what may follow a command without arguments; tell whether it is known to be over.

        On a stream, that is a message of its own.  In a payload, it follows `before` bytes of the same message.
        """
        if self._phase is _Phase.BARE:
            ahead = self._buffer[self._position : self._position + 3]
            follows = _follows(ahead)
            if follows is None:
                return False
            self._position += ahead[0] == _SPACE
            self._machine = Machine(before)  # LIMIT-1
            self._phase = follows
            if follows is _Phase.BETWEEN:
                return True
        value = self._run(limit)
        if value is None:
            return False
        if not _is_empty(value):  # PICKLE-23
            raise malformed(f"{self._command} takes no arguments")
        return True


def _follows(ahead: bytes | bytearray) -> _Phase | None:
    """Tell from up to three bytes what follows a command without arguments, or None if they are too few."""
    if not ahead:
        return None
    if ahead[0] != _SPACE:
        return _Phase.BETWEEN
    if len(ahead) == 1:
        return None
    if ahead[1] in _LINE_ENDS:  # PICKLE-22
        return _Phase.BETWEEN
    if ahead[1] not in _LETTERS:  # PICKLE-20
        return _Phase.EMPTY
    if len(ahead) == 2:
        return None
    command = ahead[2] in _LETTERS or ahead[2] == _SPACE  # PICKLE-21
    return _Phase.BETWEEN if command else _Phase.EMPTY


def _is_empty(value: PickleValue) -> bool:
    if isinstance(value, Map):
        return not value.flat
    return value is Other.NONE or (isinstance(value, str | list | tuple) and not value)


def _message(command: str, value: PickleValue, sender: Role) -> AnyMessage:
    """Make a message of a command and what was pickled behind it."""
    message = find(command, sender)
    kinds = _KINDS[command]
    if message is Invite:
        if not isinstance(value, list | tuple):  # PICKLE-14
            raise DecodeError(Code.INVALID, f"{command} takes a list of names")
        return build(command, [value], sender)
    if kinds[0] in _MAPS:
        return build(command, [_map(kinds[0], value)], sender)
    values: list[PickleValue]
    if isinstance(value, list | tuple):  # PICKLE-11, PICKLE-13
        values = list(value)
    elif len(kinds) == 1:  # PICKLE-12
        values = [value]
    else:
        raise DecodeError(Code.INVALID, f"{command} takes a list of {len(kinds)} arguments")
    # If there are too many, `build` refuses them.
    values[: len(kinds)] = [_field(kind, item) for kind, item in zip(kinds, values, strict=False)]
    return build(command, values, sender)


def _field(kind: Kind, value: PickleValue) -> PickleValue:
    if isinstance(value, Other):  # PICKLE-16
        raise DecodeError(Code.INVALID, f"{value.value} stands in place of the {kind.value}")
    if isinstance(value, int) and kind in (Kind.CONVERSATION, Kind.CONVERSATIONS):  # PICKLE-15
        return str(value)
    return value


def _map(kind: Kind, value: PickleValue) -> dict[str, PickleValue]:
    if not isinstance(value, Map):
        raise DecodeError(Code.INVALID, f"a {kind.value} is not a map")
    keys = [raw if isinstance(raw, str) else _key(kind, raw) for raw in value.flat[::2]]
    entries = dict(zip(keys, value.flat[1::2], strict=True))
    if len(entries) < len(keys):  # CODEC-10
        raise DecodeError(Code.INVALID, f"a key of a {kind.value} stands there twice")
    return entries


def _key(kind: Kind, value: PickleValue) -> str:
    key = _field(kind, value)
    if not isinstance(key, str):
        raise DecodeError(Code.INVALID, f"a key of a {kind.value} is no text")
    return key
