"""What a codec is, and where codecs are found.

A codec turns one message into one *payload* and back.  On a message transport (WebSocket) a payload is
sent as it is; on a byte stream it is framed, and a *reader* cuts the stream into payloads again.  A codec
is a pure function of its input: it knows no connection, no role and no limits but what it is called with.

Readers are pulled, not pushed: `feed` only stores bytes, and each `next` takes at most one message out of
them.  So whoever reads decides after each message whether to go on, with which limit, and when somebody
else is to have a turn; and a stream gives the same messages however it was segmented.

To write a codec, subclass `LineCodec` or `LengthCodec`, which bring the framing, and write `encode` and
`decode`; make decoding end in `build` or `build_positional`, which apply the message table, the same for
all codecs.  Register it with an entry point in the group `improto.codecs`, named like the codec.

The core imports no codec.  Which codecs exist is looked up by name, when a program asks.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from typing import ClassVar, Final, cast

from improto.errors import DecodeError, InvalidMessage, RegistryError
from improto.messages import COMMAND_NAME, COMMANDS, AnyMessage, Code, Invite, Role

__all__ = [
    "ENTRY_POINTS",
    "Codec",
    "LengthCodec",
    "LineCodec",
    "Reader",
    "arguments",
    "available",
    "build",
    "build_positional",
    "detect",
    "find",
    "load",
]

ENTRY_POINTS: Final = "improto.codecs"
"""The entry-point group in which distributions offer codecs."""


class Reader(ABC):
    """Takes a stream apart into messages.

    Call `feed` with what arrives and `next` until it returns None.  `next` raises DecodeError for what is
    no message; if that is `fatal`, the stream is over, and the reader keeps and gives nothing more.
    """

    @abstractmethod
    def feed(self, data: bytes) -> None:
        """Store bytes that follow those fed before."""

    @abstractmethod
    def next(self, limit: int) -> AnyMessage | None:
        """Take the next message, of at most `limit` payload bytes, or return None if it is not all there."""

    @property
    @abstractmethod
    def behind(self) -> int:
        """How many of the bytes fed lie behind the message that `next` has just taken or refused, unless fatally."""


class Codec(ABC):
    """One way to write messages as bytes.  A codec has no state: one instance serves every connection."""

    name: ClassVar[str]
    """The name on command lines and in WebSocket subprotocols."""
    binary: ClassVar[bool] = False
    """Whether a payload is binary data rather than UTF-8 text: the type of a WebSocket frame."""

    @abstractmethod
    def encode(self, message: AnyMessage) -> bytes:
        """Give the canonical payload of `message`."""

    @abstractmethod
    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Give the message that `sender` put into one whole payload; DecodeError if it is none."""

    @abstractmethod
    def frame(self, payload: bytes) -> bytes:
        """Make of a payload what goes onto a byte stream."""

    @abstractmethod
    def reader(self, sender: Role) -> Reader:
        """Give a new reader for a byte stream that `sender` writes."""


class LineCodec(Codec):
    """A codec whose payloads are lines: they hold no line feed, and a line feed ends them.

    A carriage return before the line feed is accepted, and lines of nothing but `blank` are skipped.
    """

    blank: ClassVar[bytes] = b" "

    def frame(self, payload: bytes) -> bytes:
        """End the line."""
        return payload + b"\n"

    def reader(self, sender: Role) -> Reader:
        """Give a reader of lines."""
        return _LineReader(self, sender)


class LengthCodec(Codec):
    """A codec whose payloads are any bytes: four bytes with the length, most significant first, go ahead."""

    binary = True

    def frame(self, payload: bytes) -> bytes:
        """Put the length ahead."""
        return len(payload).to_bytes(4) + payload

    def reader(self, sender: Role) -> Reader:
        """Give a reader of length-prefixed payloads."""
        return _LengthReader(self, sender)


class _FramedReader(Reader):
    __slots__ = ("_buffer", "_codec", "_over", "_sender", "_start")
    _buffer: bytearray
    _start: int

    def __init__(self, codec: Codec, sender: Role) -> None:
        self._codec = codec
        self._sender = sender
        self._buffer = bytearray()
        self._start = 0  # where the next frame begins: frames are cut off together, not one by one
        self._over = False

    @property
    def behind(self) -> int:
        return len(self._buffer) - self._start

    def _too_large(self, limit: int) -> DecodeError:
        """End the stream: what is behind an over-long message may be anything, the rest of it too."""
        self._over = True
        self._buffer.clear()
        self._start = 0
        return DecodeError(Code.TOO_LARGE, f"a message may have at most {limit} bytes here", fatal=True)


class _LineReader(_FramedReader):
    __slots__ = ("_searched",)
    _codec: LineCodec

    def __init__(self, codec: LineCodec, sender: Role) -> None:
        super().__init__(codec, sender)
        self._searched = 0  # up to here there is no line feed: a search resumes, so small reads stay linear

    def feed(self, data: bytes) -> None:
        if self._over:
            return
        if self._start:
            del self._buffer[: self._start]
            self._searched -= self._start
            self._start = 0
        self._buffer += data

    def next(self, limit: int) -> AnyMessage | None:
        buffer = self._buffer
        while (end := buffer.find(b"\n", self._searched)) >= 0:
            line = bytes(buffer[self._start : end])
            self._start = self._searched = end + 1
            line = line.removesuffix(b"\r")
            if len(line) > limit:
                raise self._too_large(limit)
            if line.strip(self._codec.blank):
                return self._codec.decode(line, self._sender)
        self._searched = len(buffer)
        if self._searched - self._start > limit + 1:  # one more for a carriage return
            raise self._too_large(limit)
        return None


class _LengthReader(_FramedReader):
    __slots__ = ()

    def feed(self, data: bytes) -> None:
        if self._over:
            return
        if self._start:
            del self._buffer[: self._start]
            self._start = 0
        self._buffer += data

    def next(self, limit: int) -> AnyMessage | None:
        head = self._start + 4
        if len(self._buffer) < head:
            return None
        length = int.from_bytes(self._buffer[self._start : head])
        if length > limit:  # refused at the header, before a byte of the payload is kept
            raise self._too_large(limit)
        if len(self._buffer) < head + length:
            return None
        payload = bytes(self._buffer[head : head + length])
        self._start = head + length
        return self._codec.decode(payload, self._sender)


def build(command: str, values: Sequence[object], sender: Role) -> AnyMessage:
    """Make a message of a command name and one value for each field.

    Raises DecodeError: `malformed` if it is no command name at all, `unknown-command` if `sender` has no such
    command, `invalid` if the values do not fit its fields.
    """
    message = find(command, sender)
    if len(values) != len(message.FIELDS):
        raise DecodeError(Code.INVALID, f"{command} takes {len(message.FIELDS)} arguments, not {len(values)}")
    try:
        return cast("Callable[..., AnyMessage]", message)(*values)
    except InvalidMessage as error:
        raise DecodeError(Code.INVALID, str(error)) from None


def build_positional(command: str, arguments: Sequence[object], sender: Role) -> AnyMessage:
    """Do as `build` for codecs that spread the names of INVITE out as so many arguments."""
    return build(command, [arguments] if command == Invite.COMMAND else arguments, sender)


def find(command: str, sender: Role) -> type[AnyMessage]:
    """Look a command up in the table; DecodeError `malformed` or `unknown-command` if `sender` has none such."""
    message = COMMANDS.get(command)
    if message is not None and message.FROM is sender:
        return message
    if not COMMAND_NAME.fullmatch(command):
        raise DecodeError(Code.MALFORMED, "a command name is 1 to 20 capital letters or underscores")
    raise DecodeError(Code.UNKNOWN_COMMAND, f"{command} is no command of a {sender}")


def arguments(message: AnyMessage) -> Sequence[object]:
    """Give the arguments as positional codecs write them: those of INVITE spread out."""
    return message.users if isinstance(message, Invite) else message.values()


def detect(data: bytes) -> str | None:
    """Name the codec that a client's first bytes are written in, or None if more bytes are needed to tell.

    `data` must not begin with SP, CR or LF, which a reader of any codec would skip.  DecodeError if it is none.
    """
    first = data[:1]
    if not first:
        return None
    if first == b"{":  # CODEC-12
        return "json"
    if first == b"\0":  # CODEC-13: the highest byte of a length: no limit reaches 2**24
        return "msgpack"
    if not (first.isalpha() and first.isupper()):  # CODEC-15
        raise DecodeError(Code.MALFORMED, "the first bytes belong to no codec", fatal=True)
    # CODEC-14.  A command name has at most 20 letters: so after 21 bytes it is clear whether a space follows it.
    sign = re.search(rb"[ \n]", data[:21])
    if sign is None:
        return "ascii" if len(data) >= 21 else None
    if sign[0] == b"\n":
        return "ascii"
    opcode = data[sign.end() : sign.end() + 1]
    return ("pickle" if opcode in _PICKLE_STARTS else "ascii") if opcode else None


_PICKLE_STARTS: Final = (b"\x80", b"(", b")", b"]", b"}")


@cache
def load(name: str, **options: bool) -> Codec:
    """Make the installed codec called `name`, with options that it knows.

    RegistryError if there is none of that name, or more than one, or if it lacks a package.
    """
    # Imported here: looking around in installed distributions reads files, which the rest of the core never does.
    from importlib.metadata import entry_points

    found = list(entry_points(group=ENTRY_POINTS, name=name))
    if not found:
        raise RegistryError(f"there is no codec {name!r}; choose one of: {', '.join(available())}")
    if len(found) > 1:
        owners = ", ".join(sorted(point.value for point in found))
        raise RegistryError(f"the codec name {name!r} is taken twice, by {owners}: uninstall one of them")
    try:
        codec: object = found[0].load()(**options)
    except ImportError as error:
        raise RegistryError(
            f"the codec {name!r} needs a package: pip install 'improto[{name}]' ({error})"
        ) from error
    except AttributeError as error:
        raise RegistryError(
            f"the codec {name!r} is not where its entry point says ({error}); install it anew"
        ) from error
    if not isinstance(codec, Codec) or codec.name != name:
        raise RegistryError(
            f"the entry point {name!r} is {found[0].value}, which is no codec of that name; "
            f"let it be what makes a Codec whose `name` is {name!r}"
        )
    return codec


def available() -> list[str]:
    """List the names of all codecs that some installed distribution offers, sorted."""
    from importlib.metadata import entry_points

    return sorted({point.name for point in entry_points(group=ENTRY_POINTS)})
