"""The ascii codec: one line of printable ASCII per message, for people at a terminal.

`SEND_MESSAGE 7 "hi, bo"`: a command and its fields, bare where that is unambiguous, else a JSON string.
The normative grammar is `ascii.abnf` of the specification.

What it cannot carry: nothing that is legal; what is not printable ASCII takes an escape of 6 or 12 bytes.

What it refuses: raw bytes outside 20-7E, tabs, unknown or unpaired escapes and open quotes are `malformed`;
a command with fields of the wrong number, or a map with a key twice, is `invalid`.

All patterns are possessive, so each line is read once, or twice if it is no map where a map is due.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import ClassVar, Final, cast

from improto.codec import LineCodec, arguments, build, build_positional, find
from improto.errors import DecodeError
from improto.messages import COMMAND_NAME, COMMANDS, AnyMessage, Code, Conversations, OnlineUsers, Role

__all__ = ["AsciiCodec"]

_HEX: Final = "[0-9A-Fa-f]"
# ASCII-9: surrogate escapes come in pairs only.
_CODE: Final = (
    rf"(?:[0-9A-CEFa-cef]{_HEX}{{3}}|[Dd][0-7]{_HEX}{{2}}"
    rf"|[Dd][89ABab]{_HEX}{{2}}\\u[Dd][C-Fc-f]{_HEX}{{2}})"
)
_PLAIN: Final = r"[ !#-\[\]-~]*+"
_QUOTED: Final = rf'"{_PLAIN}(?:\\(?:["\\/bfnrt]|u{_CODE}){_PLAIN})*+"'
_WORD: Final = r"[!#-'*-Z\\^-z|~][!#-~]*+"  # ASCII-6
_ATOM: Final = r"[!#-+\--<>-~]++"
_ITEM: Final = rf"(?:{_ATOM}|{_QUOTED})"

_IS_WORD: Final = re.compile(_WORD)
_IS_ATOM: Final = re.compile(_ATOM)
_EACH_ITEM: Final = re.compile(_ITEM)
# ASCII-5: any number of spaces goes ahead of a part, and each part ends at a space or at the end.
_FIELD: Final = re.compile(rf" ++({_WORD}|{_QUOTED})(?= |\Z)")
_USER: Final = re.compile(rf" ++({_ITEM})=({_ITEM})(?= |\Z)")
_CONVERSATION: Final = re.compile(rf" ++({_ITEM})=((?:{_ITEM}(?:,{_ITEM})*+)?+)(?= |\Z)")


class AsciiCodec(LineCodec):
    """Messages as lines of printable ASCII."""

    name: ClassVar[str] = "ascii"
    blank: ClassVar[bytes] = b" "  # ASCII-3

    def encode(self, message: AnyMessage) -> bytes:
        """Give the canonical line (ASCII-12), without its end."""
        parts = [message.COMMAND]
        match message:
            case OnlineUsers(users):  # ASCII-7, ASCII-8
                parts += [f"{_item(name)}={_item(status)}" for name, status in users.items()]
            case Conversations(conversations):
                parts += [
                    f"{_item(key)}={','.join(map(_item, names))}" for key, names in conversations.items()
                ]
            case _:
                parts += [_quote_unless(_IS_WORD, cast(str, field)) for field in arguments(message)]
        return " ".join(parts).encode("ascii")

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read one line without its end; DecodeError if it does not fit the grammar."""
        try:
            line = payload.decode("ascii").strip(" ")
        except UnicodeDecodeError:
            raise DecodeError(Code.MALFORMED, "a byte is not ASCII") from None  # ASCII-11
        if not line:
            raise DecodeError(Code.MALFORMED, "the message is blank")  # CODEC-9
        command = line.partition(" ")[0]
        if not COMMAND_NAME.fullmatch(command):
            raise DecodeError(
                Code.MALFORMED, "a command name is 1 to 20 capital letters or underscores"
            )  # CODEC-4
        known = COMMANDS.get(command)
        if known is OnlineUsers or known is Conversations:
            pattern, value = (_USER, _text) if known is OnlineUsers else (_CONVERSATION, _texts)
            pairs = _parts(pattern, line, len(command))
            if pairs is not None:
                return _build_map(command, pairs, value, sender)
        fields = _parts(_FIELD, line, len(command))
        if fields is None:
            raise DecodeError(
                Code.MALFORMED, "a field is neither a bare word nor a quoted string"
            )  # ASCII-11
        if known is OnlineUsers or known is Conversations:
            find(command, sender)
            raise DecodeError(Code.INVALID, f"{command} takes entries key=value")  # ASCII-10
        return build_positional(command, [_text(field[1]) for field in fields], sender)  # ASCII-1, ASCII-10


def _parts(pattern: re.Pattern[str], line: str, start: int) -> list[re.Match[str]] | None:
    """Match `pattern` again and again up to the end of `line`; None if it does not get there."""
    found: list[re.Match[str]] = []
    while start < len(line):
        part = pattern.match(line, start)
        if part is None:
            return None
        found.append(part)
        start = part.end()
    return found


def _build_map(
    command: str, pairs: Sequence[re.Match[str]], value: Callable[[str], object], sender: Role
) -> AnyMessage:
    entries = {_text(pair[1]): value(pair[2]) for pair in pairs}
    find(command, sender)
    if len(entries) < len(pairs):
        raise DecodeError(Code.INVALID, "a key stands twice in the map")  # CODEC-10
    return build(command, [entries], sender)


def _text(written: str) -> str:
    if not written.startswith('"'):
        return written  # ASCII-6: a backslash in it means itself
    return cast(str, json.loads(written)) if "\\" in written else written[1:-1]  # ASCII-4


def _texts(written: str) -> list[str]:
    return [_text(item) for item in _EACH_ITEM.findall(written)]


def _item(text: str) -> str:
    return _quote_unless(_IS_ATOM, text)


def _quote_unless(bare: re.Pattern[str], text: str) -> str:
    return text if bare.fullmatch(text) else json.dumps(text)  # ASCII-4, ASCII-8: DEL is escaped too
