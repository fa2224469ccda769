"""The msgpack codec: one MessagePack array per message, behind four bytes with its length.

`["SEND_MESSAGE", "7", "hi, bo"]`: the command and its fields in order; for INVITE, the names are the fields.

What it cannot carry: nothing that is legal.

What it refuses: anything is `malformed` but exactly one array that begins with a str, nests at most `DEPTH` levels
and holds only valid UTF-8 in its strs; bin, ext, nil, numbers and bool in the place of a text, and maps with a key
twice or a key that is no text, are `invalid`.

The headers are walked before the package `msgpack` unpacks anything.  For it takes memory for each list by its
declared length: with lists that nest deeply, an attacker could claim the memory of a long list with three bytes each.

Messages that hold nothing but texts, as most do, and rosters are unpacked without a walk, under bounds that leave no
room for such lists; if that fails, they are walked and unpacked once more.

One packer is used for all messages, which takes half the time of making one for each.  That is safe with threads only
in the compiled form of the package, during which no other thread runs; in the pure Python form, one is made each time.
"""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import ClassVar, Final, cast

from improto.codec import LengthCodec, arguments, build_positional
from improto.errors import DecodeError
from improto.limits import DEPTH
from improto.messages import COMMANDS, AnyMessage, Code, Invite, OnlineUsers, Role
from improto_codecs import faster
from improto_codecs.canonical import Maker, Reader, Writer, flat, maker, writer

__all__ = ["MsgpackCodec"]

# The package has no type hints, so it is imported by name, and its functions are given theirs here.
_msgpack = import_module("msgpack")
_compiled: Final = cast(str, _msgpack.Packer.__module__).endswith("_cmsgpack")
_pack = cast(Callable[..., bytes], _msgpack.Packer().pack if _compiled else _msgpack.packb)
_unpack = cast(Callable[..., object], _msgpack.unpackb)
# Here the type is a guess, and what follows raises TypeError or LookupError if it is wrong.
_unpack_texts = cast(Callable[..., list[str]], _msgpack.unpackb)

# For each first byte from C0 on: how many bytes follow; or, if negative, how many bytes of a length come first.
_SIZES: Final = (
    *(0, 0, 0, 0),  # nil, never used, false, true
    *(-1, -2, -4),  # bin
    *(-1, -2, -4),  # ext, and one byte for its type
    *(4, 8),  # float
    *(1, 2, 4, 8),  # unsigned
    *(1, 2, 4, 8),  # signed
    *(2, 3, 5, 9, 17),  # ext of fixed size
    *(-1, -2, -4),  # str
    *(-2, -4),  # array
    *(-2, -4),  # map
)
_FIXED_EXTS: Final = range(0xD4, 0xD9)
_EXTS: Final = range(0xC7, 0xCA)
_STRS: Final = range(0xD9, 0xDC)
_CONTAINERS: Final = (*range(0x80, 0xA0), *range(0xDC, 0xE0))
_FLAT: Final = bytes(head for head in range(256) if head not in (*_CONTAINERS, *_EXTS, *_FIXED_EXTS))


class MsgpackCodec(LengthCodec):
    """Messages as MessagePack arrays."""

    name: ClassVar[str] = "msgpack"

    def encode(self, message: AnyMessage) -> bytes:
        """Give the array in its shortest form."""
        return _WRITERS[type(message)](message)  # MSGPACK-1, MSGPACK-3, MSGPACK-5

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read one array; DecodeError if it is none or not a message."""
        try:
            roster = payload.startswith(_ROSTER)
            message = _read_roster(payload, sender) if roster else _READERS[sender](payload)
        # BytesWarning: under `python -bb`, when a bin and a str with the same bytes are keys of one map.
        except (BytesWarning, LookupError, TypeError, ValueError):
            message = None  # it holds something else than texts
        if message is not None:
            return message
        # If only the array's own header is left without the bytes of flat arrays, there are no containers or exts in it.
        if len(payload.translate(None, _FLAT)) != 1:
            payload = _walk(payload)
        try:
            # Tuples, since all empty ones are the same object.
            unpacked = _unpack(
                payload, strict_map_key=False, use_list=False, object_pairs_hook=_map, ext_hook=_Ext
            )
        except ValueError:  # MSGPACK-7, MSGPACK-8, MSGPACK-9
            _walk(payload, texts=True)  # raises, and tells where the fault is …
            unpacked = None  # … unless the payload is a timestamp and nothing else
        if not isinstance(unpacked, tuple) or not unpacked:
            raise DecodeError(Code.MALFORMED, "the message is not an array with a command")  # MSGPACK-9
        command, *fields = cast("tuple[object, ...]", unpacked)
        if not isinstance(command, str):
            raise DecodeError(Code.MALFORMED, "the command is not a str")  # MSGPACK-9
        return build_positional(command, fields, sender)  # MSGPACK-4, CODEC-4


def _read_roster(payload: bytes, sender: Role) -> AnyMessage | None:
    """Read a roster of nothing but texts; None, LookupError, TypeError or ValueError if it is something else."""
    at = len(_ROSTER)
    head = payload[at]
    size = head & 15 if head >> 4 == 8 else int.from_bytes(payload[at + 1 : at + _MAP_HEADS[head]])
    users = _unpack_map(payload[at:])
    # CODEC-10
    return OnlineUsers.trusted(users) if sender is OnlineUsers.FROM and len(users) == size else None


class _Ext:
    """Stands for an ext value, which no field accepts."""

    def __init__(self, code: int, data: bytes) -> None:
        pass


_NOTHING: Final[dict[object, object]] = {}
"""Every empty map, so that its one byte makes no object.  It is never changed: a message copies it."""


class _UnusableMap:
    """Stands for a map that no field accepts.  So it is refused as invalid, but after all that is malformed."""


def _map(pairs: Iterable[tuple[object, object]]) -> object:
    """Make a dict of the pairs of a map, or a stand-in if the map is not one from texts to texts or arrays."""
    entries = list(pairs)
    if not entries:
        return _NOTHING
    # An empty bin would pass for an empty array, since both are sequences.
    if not all(isinstance(key, str) and isinstance(value, str | tuple) for key, value in entries):
        return _UnusableMap()  # MSGPACK-4, MSGPACK-5
    made = dict(entries)
    return made if len(made) == len(entries) else _UnusableMap()  # CODEC-10


def _walk(payload: bytes, *, texts: bool = False) -> bytes:
    """Walk the headers; DecodeError if they do not make exactly one value of at most `DEPTH` levels.

    With `texts`, also if a text is not UTF-8.  Gives the payload, with each timestamp turned into another ext: the
    package would read timestamps, and raise at odd ones, while here they are refused like any ext.
    """
    plain = bytearray(payload)
    size = len(payload)
    at = 0
    left = 1  # values to come in the innermost container
    outer: list[int] = []  # and in those around it
    while True:
        while not left:
            if not outer:
                if at > size:
                    raise _cut_off(size)
                if at < size:  # MSGPACK-7, CODEC-8
                    raise DecodeError(Code.MALFORMED, "bytes follow the message", offset=at)
                return bytes(plain)
            left = outer.pop()
        left -= 1
        if at >= size:
            raise _cut_off(size)  # MSGPACK-8, MSGPACK-9, CODEC-9
        head = payload[at]
        at += 1
        if head < 0x80 or head >= 0xE0:
            continue
        if head < 0xA0:
            values = (head & 15) * (2 if head < 0x90 else 1)
        elif head < 0xC0:
            at += head & 31
            if texts:
                _check_text(payload, at - (head & 31), at)
            continue
        else:  # MSGPACK-6: every form
            length = _SIZES[head - 0xC0]
            if head == 0xC1:  # MSGPACK-9
                raise DecodeError(Code.MALFORMED, "no value begins with the byte C1", offset=at - 1)
            if length < 0:
                start = at
                at -= length
                length = int.from_bytes(payload[start:at]) + (head in _EXTS)
            if head < 0xDC:
                if (head in _EXTS or head in _FIXED_EXTS) and at < size:
                    plain[at] = 0  # the ext's type, MSGPACK-4
                at += length
                if texts and head in _STRS:
                    _check_text(payload, at - length, at)
                continue
            values = length * (2 if head >= 0xDE else 1)
        if values > size - at:  # LIMIT-4: each value has one byte at least
            raise _cut_off(size)
        if len(outer) == DEPTH:  # LIMIT-17
            raise DecodeError(Code.MALFORMED, f"arrays and maps nest above {DEPTH} levels", offset=at)
        outer.append(left)
        left = values


def _check_text(payload: bytes, start: int, end: int) -> None:
    try:
        payload[start:end].decode()
    except UnicodeDecodeError as error:  # MSGPACK-9
        raise DecodeError(Code.MALFORMED, "a text is not valid UTF-8", offset=start + error.start) from None


def _cut_off(at: int) -> DecodeError:
    return DecodeError(Code.MALFORMED, "the message is cut off", offset=at)


def _plain_map(packed: bytes) -> dict[str, str]:
    users = cast("dict[str, str]", _unpack(packed, max_array_len=0, max_ext_len=0))
    "".join(users)
    "".join(users.values())
    return users


def _plain_reader(sender: Role) -> Reader:
    makers: dict[tuple[str, int], Maker] = {}
    for message in flat(sender):
        size = 1 + len(message.FIELDS)
        makers[message.COMMAND, size] = maker(message, [f"parts[{at}]" for at in range(1, size)])
    most = 1 + max(len(message.FIELDS) for message in COMMANDS.values())

    def read(payload: bytes) -> AnyMessage | None:
        texts = _unpack_texts(payload, max_array_len=most, max_map_len=0, max_ext_len=0)
        "".join(texts)
        return makers[texts[0], len(texts)](texts)

    return read


def _plain_writer(message: type[AnyMessage]) -> Writer:
    if message is Invite:
        return lambda message: _pack([message.COMMAND, *arguments(message)])
    parts = ["message.COMMAND", *[f"message.{name}" for name, _ in message.FIELDS]]
    return writer(f"pack([{', '.join(parts)}])", {"pack": _pack})


_READERS: Final = {sender: faster.msgpack_reader(sender, _plain_reader(sender)) for sender in Role}
_WRITERS: Final[Mapping[type[AnyMessage], Writer]] = {
    message: faster.msgpack_writer(message, _plain_writer(message)) for message in COMMANDS.values()
}
_unpack_map: Final = faster.msgpack_map(_plain_map)
# The headers of an array of two and of a text, and the command.
_ROSTER: Final = b"\x92" + bytes([0xA0 + len(OnlineUsers.COMMAND)]) + OnlineUsers.COMMAND.encode()
_MAP_HEADS: Final = {0xDE: 3, 0xDF: 5}
"""How long the headers of large maps are."""
