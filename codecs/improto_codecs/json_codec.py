"""The json codec: one JSON object per message, on one line.

`{"type":"SEND_MESSAGE","conversation":"7","text":"hi, bo"}`: the fields are named as in Python.

What it cannot carry: nothing that is legal.  Control characters take an escape of up to 6 bytes.

What it refuses: anything but a JSON object in plain UTF-8 with a text `type` is `malformed`, and so are nesting
above `DEPTH` and lone surrogates, even in members that are ignored; a missing field or a value of another type
is `invalid`.  Of duplicate keys the last one counts.  Numbers are never converted, so that a long one costs nothing.

Nesting is measured before anything is parsed, so that no input makes the parser recurse deeply.

With the packages of `pip install 'improto[fast]'`, the same is read and written faster.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from json.encoder import encode_basestring
from typing import ClassVar, Final, Never, cast

from improto.codec import LineCodec, build, find
from improto.errors import DecodeError
from improto.limits import DEPTH
from improto.messages import COMMANDS, AnyMessage, Code, Kind, OnlineUsers, Role
from improto_codecs import faster
from improto_codecs.canonical import Maker, Reader, Writer, flat, maker, roster_writer, unpacking, writer

__all__ = ["JsonCodec"]

_ANY_ESCAPE: Final = re.compile(r"\\.", re.DOTALL)
# A string without an end goes up to the end of the text; else each later quote would be tried again, in quadratic time.
_STRING: Final = re.compile(r'"[^"]*+"?')
_NO_BRACKETS: Final = re.compile(r"[^\[\]{}]++")
_BRACKET: Final = re.compile(r'"[^"]*+"?|[\[\]{}]')
_CLOSED: Final = {"[": "]", "{": "}"}
_CONSTANT: Final = re.compile(r'"[^"]*+"?|NaN|-?Infinity')
_INNERMOST: Final = re.compile(r"\[\]|\{\}")
# Group 1 is the escape of a surrogate that is not half of a pair.
_ESCAPE: Final = re.compile(r"\\(?:u[Dd][89ABab]..\\u[Dd][C-Fc-f]..|(u[Dd][89A-Fa-f])|.)", re.DOTALL)
# A table for `bytes.translate` that changes all bytes that need an escape in a string, but for quotes.
_ESCAPED: Final = bytes(0x22 if byte < 0x20 or byte == 0x5C else byte for byte in range(256))
_UNESCAPED: Final = bytes(byte for byte in range(0x20, 0x100) if byte not in b'"\\')


class JsonCodec(LineCodec):
    """Messages as JSON objects."""

    name: ClassVar[str] = "json"
    blank: ClassVar[bytes] = b" \t\r"  # JSON-5

    def encode(self, message: AnyMessage) -> bytes:
        """Give the canonical object: the type first, then the fields in order, without white space."""
        return _WRITERS[type(message)](message)

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read one object; DecodeError if it is none or not a message."""
        message = _READERS[sender](payload)
        if message is not None:
            return message
        try:
            text = payload.decode()
        except UnicodeDecodeError as error:  # JSON-10
            raise DecodeError(Code.MALFORMED, "the bytes are not valid UTF-8", offset=error.start) from None
        if text.startswith("\ufeff"):
            raise DecodeError(Code.MALFORMED, "a byte order mark goes ahead", offset=0)  # JSON-8
        # Most messages hold too few brackets to nest too deeply.
        if text.count("{") + text.count("[") > DEPTH and _too_deep(text):
            raise DecodeError(  # LIMIT-17
                Code.MALFORMED,
                f"brackets nest above {DEPTH} levels or are unpaired",
                offset=_offset(text, _wrong_bracket(text)),
            )
        if "\\u" in text:
            lone = next((escape for escape in _ESCAPE.finditer(text) if escape[1]), None)
            if lone is not None:  # LIMIT-24
                raise DecodeError(
                    Code.MALFORMED, "a text holds a lone surrogate", offset=_offset(text, lone.start())
                )
        try:
            parsed: object = _DECODER.decode(text)  # JSON-6
        except ValueError as error:  # JSON-7, CODEC-9
            at = (
                error.pos
                if isinstance(error, json.JSONDecodeError)
                else next(_outside(_CONSTANT, text)).start()
            )
            raise DecodeError(
                Code.MALFORMED, f"the message is not JSON ({error})", offset=_offset(text, at)
            ) from None
        if not isinstance(parsed, dict):
            raise DecodeError(Code.MALFORMED, "the message is not an object")  # JSON-7
        members = cast("dict[str, object]", parsed)  # JSON-14: the last of duplicate keys
        command = members.get("type")
        if not isinstance(command, str):
            raise DecodeError(Code.MALFORMED, "the object has no text `type`")  # JSON-7
        fields = find(command, sender).FIELDS  # CODEC-4
        try:
            values = [members[field.name] for field in fields]
        except KeyError as missing:
            raise DecodeError(Code.INVALID, f"{missing.args[0]} is missing") from None  # JSON-12
        return build(command, values, sender)  # JSON-11, JSON-13


def _offset(text: str, at: int) -> int:
    """Give the byte at which a character of the payload stands."""
    return len(text[:at].encode())


def _too_deep(text: str) -> bool:
    """Tell whether brackets outside of strings nest above `DEPTH`, or do not match, in which case it is no JSON."""
    strings = _ANY_ESCAPE.sub("", text)  # now each quote begins or ends a string
    brackets = _NO_BRACKETS.sub("", _STRING.sub("", strings))
    for _ in range(DEPTH):
        brackets = _INNERMOST.sub("", brackets)
    return bool(brackets)


def _wrong_bracket(text: str) -> int:
    """Give the place of the first bracket that nests too deeply or closes none of its kind; the end if there is none."""
    opened: list[str] = []
    for found in _outside(_BRACKET, text):
        bracket = found[0]
        if bracket in "[{":
            opened.append(bracket)
        if len(opened) > DEPTH or (bracket in "]}" and (not opened or _CLOSED[opened.pop()] != bracket)):
            return found.start()
    return len(text)


def _outside(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Find what a pattern matches outside of strings.  It has to match strings, too, which here hold no escapes."""
    return (found for found in pattern.finditer(_ANY_ESCAPE.sub("__", text)) if found[0][0] != '"')


def _number(_: str) -> int:
    return 0  # JSON-13: no field takes a number, so its value never matters


def _constant(name: str) -> Never:
    raise ValueError(f"{name} is no JSON")  # JSON-9


def _reader(sender: Role) -> Reader:
    """Make the reader of canonical objects (JSON-2, JSON-3) from `sender` that hold no backslash and no lists."""
    makers: dict[str, Maker] = {}
    for message in flat(sender):
        names = [name for name, _ in message.FIELDS]
        # Cut at its quotes, an object gives what is before, between and behind them: `{`, type, `:`, … `}`.
        cut = ", ".join(
            [
                "start, kind, colon, _",
                *[f"comma_{name}, key_{name}, colon_{name}, {name}" for name in names],
                "end",
            ]
        )
        keys = "".join(
            [f" and key_{name} == {name!r} and comma_{name} == ',' and colon_{name} == ':'" for name in names]
        )
        fit = f"start == '{{' and kind == 'type' and colon == ':' and end == '}}'{keys}"
        makers[message.COMMAND] = maker(message, names, unpacking(cut, fit))
    most = 4 + 4 * max(len(message.FIELDS) for message in flat(sender))
    rosters = sender is OnlineUsers.FROM

    def read(payload: bytes) -> AnyMessage | None:
        if rosters and payload.startswith(_ROSTER):
            return _canonical_roster(payload)
        if payload.translate(_ESCAPED) is not payload:  # if nothing is changed, no copy is made
            return None
        try:
            whole = payload.decode()
        except UnicodeDecodeError:
            return None
        parts = whole.split('"', most)
        try:
            make = makers[parts[3]]
        except LookupError:
            return None
        return make(parts)

    return read


def _canonical_roster(payload: bytes) -> AnyMessage | None:
    """Read a roster without escapes; None if it is something else, or holds more brackets, and so might nest deeply."""
    try:
        written = payload.decode()
        if "\\" in written or "[" in written or written.count("{") > 2:
            return None
        users, end = _scan(written, len(_ROSTER) - 1)
        "".join(users.values())
    except (StopIteration, TypeError, ValueError):
        return None
    return OnlineUsers.trusted(users) if written[end:] == "}" else None


def _writer(message: type[AnyMessage]) -> Writer:
    """Make the writer of a class."""
    values = {
        name: _WRITTEN.get(kind, "short({})").format(f"message.{name}") for name, kind in message.FIELDS
    }
    members = [f'"{name}":{{{value}}}' for name, value in values.items()]
    form = ",".join([f'"type":"{message.COMMAND}"', *members])  # JSON-2, JSON-3
    return writer(
        f"f'{{{{{form}}}}}'.encode()", {"short": encode_basestring, "long": _text, "any": _ENCODER.encode}
    )


def _text(text: str) -> str:
    """Write a long text.  To find that it needs no escapes takes half the time of looking for them one by one."""
    if '"' not in text:
        raw = text.encode()
        if raw.translate(_ESCAPED) is raw:
            return f'"{text}"'
    return encode_basestring(text)


# Made once, since making them takes longer than reading a message.
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_DECODER: Final = json.JSONDecoder(parse_int=_number, parse_float=_number, parse_constant=_constant)
_WRITTEN: Final = {
    Kind.TEXT: "short(text) if len(text := {}) < 100 else long(text)",
    **dict.fromkeys([Kind.NAMES, Kind.ROSTER, Kind.CONVERSATIONS], "any({})"),
}
_write_roster: Final = roster_writer(
    '{"type":"ONLINE_USERS","users":{"', '":"', '","', '"}}', _UNESCAPED, _writer(OnlineUsers), empty=True
)
_WRITERS: Final[Mapping[type[AnyMessage], Writer]] = {
    message: faster.json_writer(message, _write_roster if message is OnlineUsers else _writer(message))
    for message in COMMANDS.values()
}
_ROSTER: Final = b'{"type":"ONLINE_USERS","users":{'
_scan = cast("Callable[[str, int], tuple[dict[str, str], int]]", vars(_DECODER)["scan_once"])
_READERS: Final = {sender: faster.json_reader(sender, _reader(sender)) for sender in Role}
