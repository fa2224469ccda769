"""What a codec is, and where codecs are found.

A codec turns one message into one *payload* and back.  On a message transport (WebSocket) a payload is
sent as it is; on a byte stream it is framed, and a *reader* cuts the stream into payloads again.  A codec
is a pure function of its arguments: it knows of no connection, role or limit but those that it is given.

Readers are pulled, not pushed: `feed` only stores bytes, and each `next` takes at most one message out of
them.  So the caller decides after each message whether to go on, with which limit, and when somebody else
gets a turn; and a stream gives the same messages, however it was cut into pieces.

To write a codec, subclass `LineCodec` or `LengthCodec`, which bring the framing, and write `encode` and
`decode`.  Let decoding end in `build` or `build_positional`, which apply the message table in the same way
for all codecs.  Register the codec with an entry point in the group `improto.codecs` that has its name.

The core imports no codec: they are looked up by name, when a program asks for one.
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
    "load_all",
]

ENTRY_POINTS: Final = "improto.codecs"
"""The entry-point group in which distributions offer codecs."""


class Reader(ABC):
    """Cuts a stream of bytes into messages.

    Call `feed` with the bytes that arrive, and `next` until it returns None.  `next` raises DecodeError for
    bytes that are no message; if that is `fatal`, the stream is over, and the reader gives nothing more.
    """

    @abstractmethod
    def feed(self, data: bytes) -> None:
        """Store bytes that follow those fed before."""

    @abstractmethod
    def next(self, limit: int) -> AnyMessage | None:
        """Take the next message, of at most `limit` payload bytes, or return None if it is not all there.

        If it is longer, DecodeError `too-large`, fatal, as soon as that is known (LIMIT-4).
        """

    @property
    @abstractmethod
    def behind(self) -> int:
        """How many bytes are left behind the message that `next` has just given, or refused without ending the stream."""


class Codec(ABC):
    """One way to write messages as bytes.  A codec has no state: one instance serves all connections."""

    name: ClassVar[str]
    """The name on command lines and in WebSocket subprotocols."""
    binary: ClassVar[bool] = False
    """Whether a payload is binary data rather than UTF-8 text, which decides on the type of its WebSocket message."""

    @abstractmethod
    def encode(self, message: AnyMessage) -> bytes:
        """Give the canonical payload of `message`."""

    @abstractmethod
    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Give the message in one whole payload that `sender` has sent; DecodeError if there is none."""

    @abstractmethod
    def frame(self, payload: bytes) -> bytes:
        """Give a payload as it is written to a byte stream."""

    @abstractmethod
    def reader(self, sender: Role) -> Reader:
        """Give a new reader for a byte stream that `sender` writes."""


class LineCodec(Codec):
    """A codec whose payloads are lines: they hold no line feed, and are followed by one.

    A carriage return before the line feed is accepted, and blank lines are skipped.
    """

    blank: ClassVar[bytes] = b" "
    """A line that holds nothing but these bytes is blank."""

    def frame(self, payload: bytes) -> bytes:
        """End the line."""
        return payload + b"\n"

    def reader(self, sender: Role) -> Reader:
        """Give a reader of lines."""
        return _LineReader(self, sender)


class LengthCodec(Codec):
    """A codec whose payloads may be any bytes: four bytes before each give its length, most significant byte first."""

    binary = True

    def frame(self, payload: bytes) -> bytes:
        """Put the length before the payload."""
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

    def feed(self, data: bytes) -> None:
        if self._over:
            return
        if self._start:
            del self._buffer[: self._start]
            self._start = 0
        self._buffer += data

    @property
    def behind(self) -> int:
        return len(self._buffer) - self._start

    def _too_large(self, limit: int) -> DecodeError:
        """End the stream: nobody knows whether what follows is the rest of the message that is too long, or another one."""
        self._over = True
        self._buffer.clear()
        self._start = 0
        return DecodeError(Code.TOO_LARGE, f"a message may have at most {limit} bytes here", fatal=True)


class _LineReader(_FramedReader):
    __slots__ = ("_searched",)
    _codec: LineCodec

    def __init__(self, codec: LineCodec, sender: Role) -> None:
        super().__init__(codec, sender)
        self._searched = 0  # so many bytes of the line hold no line feed: small reads stay linear

    def next(self, limit: int) -> AnyMessage | None:
        buffer = self._buffer
        while (end := buffer.find(b"\n", self._start + self._searched)) >= 0:
            line = bytes(buffer[self._start : end])
            self._start = end + 1
            self._searched = 0
            line = line.removesuffix(b"\r")
            if len(line) > limit:
                raise self._too_large(limit)
            if line.strip(self._codec.blank):
                return self._codec.decode(line, self._sender)
        self._searched = len(buffer) - self._start
        if self._searched > limit + 1:  # one more for a carriage return
            raise self._too_large(limit)
        return None


class _LengthReader(_FramedReader):
    __slots__ = ()

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
    """Make a message from the name of its command and one value for each field.

    DecodeError `malformed` if `command` is no command name at all, `unknown-command` if `sender` has no such
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
    """Do the same as `build`, for codecs in which each name of INVITE is an argument of its own."""
    return build(command, [arguments] if command == Invite.COMMAND else arguments, sender)


def find(command: str, sender: Role) -> type[AnyMessage]:
    """Look up a command of `sender`; DecodeError `malformed` or `unknown-command` if there is none of that name."""
    message = COMMANDS.get(command)
    if message is not None and message.FROM is sender:
        return message
    if not COMMAND_NAME.fullmatch(command):
        raise DecodeError(Code.MALFORMED, "a command name is 1 to 20 capital letters or underscores")
    raise DecodeError(Code.UNKNOWN_COMMAND, f"{command} is no command of a {sender}")


def arguments(message: AnyMessage) -> Sequence[object]:
    """Give a message's arguments for codecs in which each name of INVITE is an argument of its own."""
    return message.users if isinstance(message, Invite) else message.values()


def detect(data: bytes) -> str | None:
    """Tell by a client's first bytes the name of its codec, or None if more bytes are needed.

    `data` must not begin with SP, CR or LF, which are to be skipped (CODEC-11).  DecodeError if it is no codec's.
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
    """Give the installed codec called `name`, made with its own options, such as `integer_ids` of pickle.

    RegistryError if there is none of that name, or more than one, or if a package is missing that it needs.
    """
    # Imported here, since this looks into files of installed distributions, and nothing else in the core does I/O.
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
            f"the codec {name!r} is not where its entry point says ({error}); install it again"
        ) from error
    if not isinstance(codec, Codec) or codec.name != name:
        raise RegistryError(
            f"the entry point {name!r} is {found[0].value}, which makes no codec of that name; "
            f"let it name a subclass of Codec whose `name` is {name!r}"
        )
    return codec


def load_all() -> list[Codec]:
    """Give all installed codecs, sorted by name, but for those that lack a package.

    RegistryError if one of them cannot be loaded for another reason.
    """
    codecs: list[Codec] = []
    for name in available():
        try:
            codecs.append(load(name))
        except RegistryError as error:
            if not isinstance(error.__cause__, ImportError):
                raise
    return codecs


def available() -> list[str]:
    """List the names of all codecs that installed distributions offer, sorted, also of those that lack a package."""
    from importlib.metadata import entry_points

    return sorted({point.name for point in entry_points(group=ENTRY_POINTS)})
