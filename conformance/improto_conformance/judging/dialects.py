"""Codecs that write the same messages in other lawful forms than the reference, or that read in another lawful way.

A suite that takes the reference's bytes for the only right ones would fail everybody who uses another library.
"""

import json
import pickle
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final, NoReturn

from improto.codec import Codec, LengthCodec, arguments, load
from improto.errors import DecodeError
from improto.messages import AnyMessage, Code, Conversations, Error, OnlineUsers, Role
from improto_codecs.ascii_codec import AsciiCodec
from improto_codecs.json_codec import JsonCodec
from improto_codecs.pickle_codec import PickleCodec

__all__ = ["DIALECTS", "FirstJson"]

Members = dict[str, Any]


class _Json(JsonCodec):
    """JSON from the given writer, in lines that end in `end`."""

    def __init__(self, write: Callable[[Members], str], end: bytes = b"\n") -> None:
        self._write = write
        self._end = end

    def encode(self, message: AnyMessage) -> bytes:
        names = [field.name for field in message.FIELDS]
        members = {"type": message.COMMAND, **dict(zip(names, message.values(), strict=True))}
        return self._write(members).encode()

    def frame(self, payload: bytes) -> bytes:
        return payload + self._end


class _StrictJson(JsonCodec):
    """Treats an object with a key twice as malformed (JSON-14)."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        message = super().decode(payload, sender)
        try:
            json.loads(payload, object_pairs_hook=_unique, parse_int=float)
        except ValueError as error:
            raise DecodeError(Code.MALFORMED, str(error)) from None
        return message


class FirstJson(JsonCodec):
    """Takes the first of two keys (JSON-14)."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        try:
            # Numbers may be of any size; their value does not matter.
            first = json.loads(payload.decode(), object_pairs_hook=_first, parse_int=len, parse_float=len)
        except (ValueError, RecursionError):
            return super().decode(payload, sender)
        return super().decode(json.dumps(first).encode(), sender)


def _first(pairs: list[tuple[str, object]]) -> Members:
    return dict(reversed(pairs))


def _unique(pairs: list[tuple[str, object]]) -> Members:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key stands twice")
    return made


class _Ascii(AsciiCodec):
    """Lines of quoted items, with `gap` between them and `end` at the end."""

    def __init__(self, gap: str = " ", end: bytes = b"\n") -> None:
        self._gap = gap
        self._end = end

    def encode(self, message: AnyMessage) -> bytes:
        parts = [message.COMMAND]
        match message:
            case OnlineUsers(users):
                parts += [f"{json.dumps(name)}={json.dumps(status)}" for name, status in users.items()]
            case Conversations(conversations):
                parts += [
                    f"{json.dumps(id)}={','.join(map(json.dumps, names))}"
                    for id, names in conversations.items()
                ]
            case _:
                parts += [json.dumps(field) for field in arguments(message)]
        return self._gap.join(parts).encode()

    def frame(self, payload: bytes) -> bytes:
        return payload + self._end


class _Pickle(PickleCodec):
    """Pickles from Python's own pickler."""

    def __init__(self, protocol: int, shape: Callable[[Iterable[object]], object] = list) -> None:
        super().__init__()
        self._protocol = protocol
        self._shape = shape

    def encode(self, message: AnyMessage) -> bytes:
        values: list[Any] = [*arguments(message)]
        if isinstance(message, OnlineUsers | Conversations):
            value: object = {
                key: item if isinstance(item, str) else self._shape(item) for key, item in values[0].items()
            }
        else:
            value = values[0] if isinstance(message, Error) else self._shape(values)
        return message.COMMAND.encode() + b" " + pickle.dumps(value, self._protocol)


class _LongMsgpack(LengthCodec):
    """MessagePack with each length in four bytes (MSGPACK-6)."""

    name: ClassVar[str] = "msgpack"

    def encode(self, message: AnyMessage) -> bytes:
        return _long([message.COMMAND, *arguments(message)])

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        return load("msgpack").decode(payload, sender)


def _long(value: object) -> bytes:
    match value:
        case str():
            data = value.encode()
            return b"\xdb" + len(data).to_bytes(4) + data
        case Mapping():
            entries: list[bytes] = [_long(key) + _long(item) for key, item in value.items()]  # pyright: ignore
            return b"\xdf" + len(entries).to_bytes(4) + b"".join(entries)
        case list() | tuple():
            items: list[bytes] = [_long(item) for item in value]  # pyright: ignore
            return b"\xdd" + len(items).to_bytes(4) + b"".join(items)
        case _:
            return _unwritable(value)


def _unwritable(value: object) -> NoReturn:
    raise TypeError(f"no message holds a {type(value).__name__}")


def _spaced(members: Members) -> str:
    return f" \t{json.dumps(members, ensure_ascii=False, separators=(' , ', ' :  '))} "


def _backwards(members: Members) -> str:
    return json.dumps(dict(list(members.items())[::-1]))


DIALECTS: Final[Mapping[str, tuple[str, Codec]]] = {
    "json-with-spaces": ("JSON-6", _Json(_spaced, b"\r\n")),
    "json-backwards": ("JSON-6", _Json(_backwards, b"\n \r\n\n")),
    "json-of-ascii": ("JSON-6", _Json(lambda members: json.dumps(members, ensure_ascii=True))),
    "json-without-double-keys": ("JSON-14", _StrictJson()),
    "json-takes-the-first-key": ("JSON-14", FirstJson()),
    "everything-in-quotes": ("ASCII-5", _Ascii()),
    "ascii-with-spaces": ("ASCII-5", _Ascii("   ", b"  \r\n\r\n \n")),
    "msgpack-in-long-forms": ("MSGPACK-6", _LongMsgpack()),
    "pickles-of-protocol-0": ("PICKLE-28", _Pickle(0)),
    "pickles-of-protocol-2": ("PICKLE-28", _Pickle(2)),
    "pickles-of-protocol-5": ("PICKLE-28", _Pickle(5)),
    "pickles-of-tuples": ("PICKLE-28", _Pickle(4, tuple)),
    "pickles-with-integers": ("PICKLE-32", PickleCodec(integer_ids=True)),
}
"""The clause that allows each, and the codec."""
