"""The msgpack codec: one MessagePack array per message, behind four bytes with its length.

`["SEND_MESSAGE", "7", "hi, bo"]`: the command and its fields in order; the names of INVITE are its fields.

What it cannot carry: nothing that is legal.

What it refuses: whatever is not exactly one array that begins with a str, nests up to `DEPTH` levels and
holds only valid UTF-8 in its strs, is `malformed`; bin, ext, nil, numbers and bool in the place of a text,
and maps with a key twice or a key that is no text, are `invalid`.  A timestamp (ext -1) that breaks the
rules of MessagePack for timestamps is `malformed`.

The headers are walked before the package `msgpack` unpacks anything: it takes memory for each list by its
declared length, which costs an attacker three bytes a list if lists may nest deeply.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import ClassVar, Final, cast

from improto.codec import LengthCodec, arguments, build_positional
from improto.errors import DecodeError
from improto.limits import DEPTH
from improto.messages import AnyMessage, Code, Role

__all__ = ["MsgpackCodec"]

# The package brings no types, so it is imported by name and the two functions are given theirs.
_msgpack = import_module("msgpack")
_pack = cast(Callable[..., bytes], _msgpack.packb)
_unpack = cast(Callable[..., object], _msgpack.unpackb)

# Of each first byte from C0: how many bytes the value has, or if negative, how many of a length come first.
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


class MsgpackCodec(LengthCodec):
    """Messages as MessagePack arrays."""

    name: ClassVar[str] = "msgpack"

    def encode(self, message: AnyMessage) -> bytes:
        """Give the array in its shortest form."""
        return _pack([message.COMMAND, *arguments(message)])  # MSGPACK-1, MSGPACK-3, MSGPACK-5

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read one array; DecodeError if it is none or not a message."""
        _check_structure(payload)
        size = len(payload)
        try:
            unpacked = _unpack(
                payload,
                raw=False,
                strict_map_key=False,
                object_pairs_hook=_map,
                ext_hook=_Ext,
                max_str_len=size,
                max_bin_len=size,
                max_ext_len=size,
                max_array_len=size,
                max_map_len=size,
            )
        # The structure is whole, so what is left is UTF-8 (a ValueError) and timestamps out of range.
        except (ValueError, OverflowError) as error:
            raise DecodeError(Code.MALFORMED, f"a value cannot be read ({error})") from None  # MSGPACK-9
        if not isinstance(unpacked, list) or not unpacked:
            raise DecodeError(Code.MALFORMED, "the message is not an array with a command")  # MSGPACK-9
        command, *fields = cast(list[object], unpacked)
        if not isinstance(command, str):
            raise DecodeError(Code.MALFORMED, "the command is not a str")  # MSGPACK-9
        return build_positional(command, fields, sender)  # MSGPACK-4, CODEC-4


class _Ext:
    """Stands for an ext value, which no field takes."""

    def __init__(self, code: int, data: bytes) -> None:
        pass


class _UnusableMap:
    """Stands for a map that no field takes, so that what is wrong with it counts after all that is malformed."""


def _map(pairs: Iterable[tuple[object, object]]) -> object:
    """Make a dict of what was read, or a stand-in if it is no map of texts to texts or arrays."""
    entries = list(pairs)
    # An empty bin would pass for an empty list, since both are sequences.
    if not all(isinstance(key, str) and isinstance(value, str | list) for key, value in entries):
        return _UnusableMap()  # MSGPACK-4, MSGPACK-5
    made = dict(entries)
    return made if len(made) == len(entries) else _UnusableMap()  # CODEC-10


def _check_structure(payload: bytes) -> None:
    """Walk the headers; DecodeError if they do not make exactly one value of at most `DEPTH` levels."""
    size = len(payload)
    at = 0
    left = 1  # values to come in the innermost container
    outer: list[int] = []  # and in those around it
    while True:
        while not left:
            if not outer:
                if at < size:
                    raise DecodeError(Code.MALFORMED, "bytes follow the message")  # MSGPACK-7, CODEC-8
                return
            left = outer.pop()
        left -= 1
        if at >= size:
            raise _cut_off()  # MSGPACK-8, MSGPACK-9, CODEC-9
        head = payload[at]
        at += 1
        if head < 0x80 or head >= 0xE0:
            continue
        if head < 0xA0:
            values = (head & 15) * (2 if head < 0x90 else 1)
        elif head < 0xC0:
            at += head & 31
            if at > size:
                raise _cut_off()
            continue
        else:  # MSGPACK-6: every form
            if head == 0xC1:
                raise DecodeError(Code.MALFORMED, "C1 is no MessagePack")
            length = _SIZES[head - 0xC0]
            if length < 0:
                start = at
                at -= length
                length = int.from_bytes(payload[start:at]) + (0xC7 <= head <= 0xC9)
            if head < 0xDC:
                at += length
            if at > size:
                raise _cut_off()
            if head < 0xDC:
                continue
            values = length * (2 if head >= 0xDE else 1)
        if len(outer) == DEPTH:
            raise DecodeError(Code.MALFORMED, f"arrays and maps nest above {DEPTH} levels")  # LIMIT-17
        if values > size - at:  # LIMIT-4: each value has one byte at least
            raise _cut_off()
        outer.append(left)
        left = values


def _cut_off() -> DecodeError:
    return DecodeError(Code.MALFORMED, "the message is cut off")
