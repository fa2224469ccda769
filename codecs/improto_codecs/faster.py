"""What the codecs do faster with the packages `msgspec` (≥ 0.21) and `orjson`, if both are installed.

Bytes and messages are exactly the same with them and without.  Each function takes the plain way to do something, and
gives the faster way, or the plain one if a package is missing.

msgspec gets a type for each message, made from the message table, with the fields of that message and no others, and
reads nothing that does not fit one of them; the rest goes to the parsers of the codecs, which know every form.  orjson
writes rosters, and long texts of the codec ascii.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, Final, Union, cast

from improto.messages import COMMANDS, AnyMessage, Kind, OnlineUsers, Role
from improto_codecs.canonical import Reader, Writer, flat, maker, writer

__all__ = [
    "ascii_text",
    "json_reader",
    "json_writer",
    "msgpack_map",
    "msgpack_reader",
    "msgpack_writer",
]

_msgspec: ModuleType | None
_orjson: ModuleType | None
try:
    _msgspec, _orjson = import_module("msgspec"), import_module("orjson")
except ImportError:
    _msgspec = _orjson = None
else:
    # Before 0.21 it raised errors that the codecs do not catch; and any version may be here because of another package.
    if not issubclass(_msgspec.DecodeError, ValueError):
        _msgspec = _orjson = None

_CONTAINERS: Final = {
    Kind.NAMES: tuple[str, ...],
    Kind.ROSTER: dict[str, str],
    Kind.CONVERSATIONS: dict[str, tuple[str, ...]],
}


def ascii_text(plain: Callable[[str], str]) -> Callable[[str], str]:
    """Write a text as a JSON string in printable ASCII."""
    if _orjson is None:
        return plain
    dumps = cast("Callable[[str], bytes]", _orjson.dumps)

    def write(text: str) -> str:
        return dumps(text).decode() if text.isascii() and "\x7f" not in text else plain(text)

    return write


def json_reader(sender: Role, plain: Reader) -> Reader:
    """Read payloads of the codec json."""
    if _msgspec is None:
        return plain
    kinds = [kind for kind in COMMANDS.values() if kind.FROM is sender]
    return _reader(_msgspec.json, {_struct(_msgspec, kind): kind for kind in kinds})


def json_writer(message: type[AnyMessage], plain: Writer) -> Writer:
    """Write payloads of the codec json."""
    if _msgspec is None or _orjson is None:
        return plain
    if message is OnlineUsers:
        whole = f'dumps({{"type":"{message.COMMAND}","users":message.users}})'
        return writer(whole, {"dumps": _orjson.dumps})
    return _writer(_msgspec.json, message, _struct(_msgspec, message))


def msgpack_reader(sender: Role, plain: Reader) -> Reader:
    """Read payloads of the codec msgpack that hold texts and no containers."""
    if _msgspec is None:
        return plain
    return _reader(_msgspec.msgpack, {_struct(_msgspec, kind, array=True): kind for kind in flat(sender)})


def msgpack_writer(message: type[AnyMessage], plain: Writer) -> Writer:
    """Write payloads of the codec msgpack, but for INVITE, whose names are arguments of their own."""
    if _msgspec is None or Kind.NAMES in [field.kind for field in message.FIELDS]:
        return plain
    return _writer(_msgspec.msgpack, message, _struct(_msgspec, message, array=True))


def msgpack_map(plain: Callable[[bytes], dict[str, str]]) -> Callable[[bytes], dict[str, str]]:
    """Read a MessagePack map from str to str.  ValueError if it is something else."""
    return plain if _msgspec is None else _msgspec.msgpack.Decoder(dict[str, str]).decode


def _struct(msgspec: ModuleType, message: type[AnyMessage], *, array: bool = False) -> type:
    """Make a type with the fields of a message and no others, whose first member or item is the command."""
    fields = [(name, _CONTAINERS.get(kind, str)) for name, kind in message.FIELDS]
    return cast(
        type,
        msgspec.defstruct(
            message.__name__,
            fields,
            tag_field="type",
            tag=message.COMMAND,
            array_like=array,
            forbid_unknown_fields=True,
            frozen=True,
            gc=any(kind in _CONTAINERS for _, kind in message.FIELDS),
        ),
    )


def _reader(form: Any, kinds: Mapping[type, type[AnyMessage]]) -> Reader:
    decode: Callable[[bytes], object] = form.Decoder(cast("Any", Union)[tuple(kinds)]).decode
    makers = {
        struct: maker(kind, [f"parts.{field.name}" for field in kind.FIELDS])
        for struct, kind in kinds.items()
    }

    def read(payload: bytes) -> AnyMessage | None:
        try:
            parts = decode(payload)
        except (ValueError, RecursionError):  # it skips all that stands before the type, however deep
            return None
        return makers[type(parts)](parts)

    return read


def _writer(form: Any, message: type[AnyMessage], struct: type) -> Writer:
    values = ", ".join([f"message.{field.name}" for field in message.FIELDS])
    return writer(f"encode(Struct({values}))", {"encode": form.Encoder().encode, "Struct": struct})
