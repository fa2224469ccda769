"""The ascii codec: one line of printable ASCII per message, for people at a terminal.

`SEND_MESSAGE 7 "hi, bo"`: a command and its fields, bare where that is unambiguous, else a JSON string.
The normative grammar is `ascii.abnf` of the specification.

What it cannot carry: nothing that is legal.  A character that is not printable ASCII takes an escape of 6 or 12 bytes.

What it refuses: raw bytes outside 20-7E (so tabs, too), unknown or unpaired escapes and open quotes are `malformed`;
a command with the wrong number of fields, or a map with a key twice, is `invalid`.

A quoted string of the grammar is exactly a JSON string in printable ASCII, so the scanner of `json` reads it.
One pattern for whole lines would not do: the `re` of early 3.11 mismatches possessive groups, and greedy ones take
memory for each repetition.  So patterns match one part at a time, and each line is read once, or twice if it holds
something else where a map should be.
"""

import json
import re
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii
from typing import ClassVar, Final, cast

from improto.codec import LineCodec, build, build_positional, find
from improto.errors import DecodeError
from improto.messages import (
    COMMANDS,
    AnyMessage,
    Code,
    Conversations,
    Invite,
    Kind,
    OnlineUsers,
    Role,
    well_formed,
)
from improto_codecs import faster
from improto_codecs.canonical import Maker, Reader, Writer, flat, maker, roster_writer, unpacking, writer

__all__ = ["AsciiCodec"]

_COMMAND: Final = re.compile(r" *+([A-Z_]{1,20})(?![^ ])")  # CODEC-4
_WORD: Final = r"[!#-'*-Z\\^-z|~][!#-~]*+"  # ASCII-6
_ATOM: Final = r"[!#-+\--<>-~]++"  # ASCII-7
_IS_WORD: Final = re.compile(_WORD)
_IS_ATOM: Final = re.compile(_ATOM)
# What stands before each text; a bare text is matched as well, as group 1, else a quote comes next.
_FIELD: Final = re.compile(rf' ++(?:({_WORD})|(?="))')  # ASCII-5
_KEY: Final = re.compile(rf' ++(?:({_ATOM})|(?="))')
_VALUE: Final = re.compile(rf'=(?:({_ATOM})|(?="))')
_NEXT: Final = re.compile(rf',(?:({_ATOM})|(?="))')
_NONE: Final = re.compile(r"=(?![^ ])")  # ASCII-8
_STRINGS: Final = json.JSONDecoder()
_ASCII: Final = bytes(range(0x7F))
_ATOMS: Final = bytes(byte for byte in range(0x21, 0x7F) if byte not in b'",=')


class AsciiCodec(LineCodec):
    """Messages as lines of printable ASCII."""

    name: ClassVar[str] = "ascii"
    blank: ClassVar[bytes] = b" "  # ASCII-3

    def encode(self, message: AnyMessage) -> bytes:
        """Give the canonical line (ASCII-12), without its end."""
        return _WRITERS[type(message)](message)

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read one line without its end; DecodeError if it does not fit the grammar."""
        message = _READERS[sender](payload)
        if message is not None:
            return message
        # ASCII-11.  The scanner of JSON would accept DEL in a string; the other controls are refused below anyway.
        if not payload.isascii() or b"\x7f" in payload:
            at = len(payload) - len(payload.lstrip(_ASCII))
            raise DecodeError(Code.MALFORMED, "a byte is not printable ASCII", offset=at)
        line = payload.decode("ascii").rstrip(" ")  # ASCII-5
        start = _COMMAND.match(line)
        if start is None:  # CODEC-4, CODEC-9
            raise DecodeError(
                Code.MALFORMED, "a line begins with 1 to 20 capital letters or underscores", offset=0
            )
        command, at = start[1], start.end()
        if command == OnlineUsers.COMMAND or command == Conversations.COMMAND:
            return _read_map(command, line, at, sender)
        return build_positional(command, _read_fields(line, at), sender)  # ASCII-1, ASCII-10


def _read_fields(line: str, at: int) -> list[str]:
    """Read fields from `at` to the end (ASCII-1)."""
    fields: list[str] = []
    while at < len(line):
        field, at = _read(_FIELD, line, at)
        fields.append(field)
    return fields


def _read_map(command: str, line: str, at: int, sender: Role) -> AnyMessage:
    read = _read_roster if command == OnlineUsers.COMMAND else _read_lists
    entries: list[tuple[str, object]] | None
    try:
        entries = read(line, at)
    except DecodeError:
        entries = None  # with the exception, all that was read is let go of
    if entries is None:
        _read_fields(line, at)  # ASCII-11: malformed if it is not even fields
        find(command, sender)
        raise DecodeError(Code.INVALID, f"{command} takes entries key=value")  # ASCII-10
    find(command, sender)
    made = dict(entries)
    if len(made) < len(entries):
        raise DecodeError(Code.INVALID, "a key stands twice in the map")  # CODEC-10
    return build(command, [made], sender)


def _read_roster(line: str, at: int) -> list[tuple[str, object]]:
    """Read entries `key=item` from `at` to the end."""
    entries: list[tuple[str, object]] = []
    while at < len(line):
        key, at = _read(_KEY, line, at)
        value, at = _read(_VALUE, line, at)
        entries.append((key, value))
    return entries


def _read_lists(line: str, at: int) -> list[tuple[str, object]]:
    """Read entries `key=` and any number of items from `at` to the end."""
    entries: list[tuple[str, object]] = []
    while at < len(line):
        key, at = _read(_KEY, line, at)
        items: list[str] = []
        if _NONE.match(line, at):
            at += 1
        else:
            item, at = _read(_VALUE, line, at)
            items.append(item)
            while line.startswith(",", at):
                item, at = _read(_NEXT, line, at)
                items.append(item)
        entries.append((key, items))
    return entries


def _read(ahead: re.Pattern[str], line: str, at: int) -> tuple[str, int]:
    """Read a text at `at`, and what stands before it; give the text and where it ends."""
    found = ahead.match(line, at)
    if found is None:
        raise _unreadable(at)
    if found[1] is not None:
        return found[1], found.end()  # ASCII-6: a backslash in it means itself
    try:
        text, end = cast("tuple[str, int]", _STRINGS.raw_decode(line, found.end()))  # ASCII-4
    except json.JSONDecodeError as error:
        raise _unreadable(error.pos) from None
    if not well_formed(text):
        raise DecodeError(  # ASCII-9
            Code.MALFORMED, "an escape of a surrogate is not half of a pair", offset=found.end()
        )
    return text, end


def _unreadable(at: int) -> DecodeError:
    return DecodeError(Code.MALFORMED, f"the line cannot be read from character {at + 1} on", offset=at)


def _field(text: str) -> str:
    return text if " " not in text and _IS_WORD.fullmatch(text) else _quoted(text)


def _item(text: str) -> str:
    return text if _IS_ATOM.fullmatch(text) else _quoted(text)


def _quoted(text: str) -> str:
    if len(text) > 99:
        return _long(text)
    return encode_basestring_ascii(text)  # ASCII-4, ASCII-8: DEL is escaped, too


def _plain_long(text: str) -> str:
    """Quote a long text.  To find that it needs no escapes takes half the time of looking for them one by one."""
    if '"' not in text and text.isascii():
        raw = text.encode()
        if raw.translate(_ESCAPED) is raw:
            return f'"{text}"'
    return encode_basestring_ascii(text)


_long: Final = faster.ascii_text(_plain_long)


def _writer(message: type[AnyMessage]) -> Writer:
    """Make the writer of a class whose fields are all texts."""
    fields = [
        f"(short(text) if len(text) < 100 else long(text)) if ' ' in (text := message.{name}) else field(text)"
        if kind is Kind.TEXT  # mostly some words
        else f"text if (text := message.{name}).isalnum() and text.isascii() else field(text)"
        for name, kind in message.FIELDS
    ]
    used = {"short": encode_basestring_ascii, "long": _long, "field": _field}
    return writer(f"' '.join(({', '.join([repr(message.COMMAND), *fields])},)).encode()", used)


def _write_names(message: Invite) -> bytes:
    return " ".join([message.COMMAND, *map(_field, message.users)]).encode()


def _write_lists(message: Conversations) -> bytes:
    lists = message.conversations.items()
    return " ".join(
        [message.COMMAND, *["=".join((_item(key), ",".join(map(_item, names)))) for key, names in lists]]
    ).encode()


def _write_roster(message: OnlineUsers) -> bytes:
    written = ["=".join((_item(name), _item(status))) for name, status in message.users.items()]
    return " ".join([message.COMMAND, *written]).encode()


_WRITERS: Final[Mapping[type[AnyMessage], Writer]] = {
    **{message: _writer(message) for message in COMMANDS.values()},
    Invite: _write_names,
    Conversations: _write_lists,
    # ASCII-7, ASCII-8
    OnlineUsers: roster_writer("ONLINE_USERS ", "=", " ", "", _ATOMS, _write_roster, empty=False),
}


def _reader(sender: Role) -> Reader:
    """Make the reader of canonical lines (ASCII-12) from `sender` that hold no backslash and no lists.

    Of texts only the last one may be quoted; a line with a name that needs quotes goes to the parser.
    """
    makers: dict[str, Maker] = {}
    for message in flat(sender):
        names = [name for name, _ in message.FIELDS]
        fit = [f"({name}.isalnum() or is_word({name}))" for name in names[:-1]]
        ahead = unpacking(", ".join(["_", *names]), " and ".join(fit) or "True")
        makers[message.COMMAND] = maker(message, names, ahead, is_word=_IS_WORD.fullmatch)
    most = 1 + max(len(message.FIELDS) for message in flat(sender))
    rosters = sender is OnlineUsers.FROM

    def read(payload: bytes) -> AnyMessage | None:
        if rosters and payload.startswith(_ROSTER):
            return _canonical_roster(payload)
        if payload.translate(_ESCAPED) is not payload:  # if nothing is changed, no copy is made
            return None
        line = payload.decode()
        parts = line.split('"', 3)
        words = parts[0].split(" ", most)
        try:
            make = makers[words[0]]
        except KeyError:
            return None
        last = words[-1]
        if len(parts) == 3:  # one quoted text, at the end, behind a space
            if last or parts[2]:
                return None
            words[-1] = parts[1]
        elif len(parts) != 1 or not (last.isalnum() or _IS_WORD.fullmatch(last)):
            return None
        return make(words)

    return read


def _canonical_roster(payload: bytes) -> AnyMessage | None:
    """Read a roster with bare names and without escapes; None if it is something else."""
    marks = payload.translate(None, _ATOMS)
    count = len(marks) // 2
    if marks == b" =" * count:
        texts = iter(payload.decode().replace("=", " ").split(" "))
        next(texts)  # the command
        users = dict(zip(texts, texts, strict=True))
        if len(users) < count or "" in users or not all(users.values()):  # CODEC-10, ASCII-8
            return None
        return OnlineUsers.trusted(users)
    if payload.translate(_ESCAPED) is not payload:
        return None
    found = _ENTRIES.findall(payload.decode(), len(_ROSTER) - 1)
    users = {name: status or quoted for name, status, quoted, _ in found}
    return OnlineUsers.trusted(users) if len(users) == len(found) and not found[-1][-1] else None


# The last group takes all that is left where no entry begins.
_ENTRIES: Final = re.compile(rf' ({_ATOM})=(?:({_ATOM})|"([^"]*+)")|(.++)')
# A table for `bytes.translate` that changes backslashes and all that is not printable ASCII.
_ESCAPED: Final = bytes(byte if 0x20 <= byte <= 0x7E and byte != 0x5C else 0x22 for byte in range(256))
_ROSTER: Final = b"ONLINE_USERS "
_READERS: Final = {sender: _reader(sender) for sender in Role}
