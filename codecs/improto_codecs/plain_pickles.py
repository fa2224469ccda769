r"""Patterns of the most frequent pickles: lists of texts, as this codec and today's picklers write them.

    MESSAGE (S'7'\nS'alice'\nS'hello'\nl.

An interpreter of opcodes in Python takes longer for each opcode than an unpickler in C for a whole message.  So
the most frequent messages, those whose fields are all texts, do without it: for each such command and each way to
write it there is a pattern, which matches a whole message or leaves it to the interpreter (`opcodes`).  The
interpreter can read everything, and a pattern refuses nothing.

Both agree about every message that a pattern matches, because a pattern leaves nothing open: it spells out every
opcode, and the only arguments that may differ are texts without control characters, and numbers of memo entries that
are never used.  Where a text has its length before it, the two are compared.  And a pattern that does not match takes
no longer than one that does, since there is only one place where each text can end.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, cast

from improto.messages import COMMANDS, AnyMessage, Kind, Role

__all__ = ["read"]


def read(data: bytes | bytearray, position: int, limit: int, sender: Role) -> tuple[AnyMessage, int] | None:
    """Give the message of at most `limit` bytes at `position`, and where it ends; None if no pattern matches it."""
    space = data.find(b" ", position, position + _LONGEST)
    pattern = _PATTERNS[sender].get(bytes(data[position : space + 3]))
    match = pattern and pattern.match(data, space + 1)
    if not pattern or not match or match.end() - position > limit:
        return None
    texts = match.groups()
    if pattern.counted:
        lengths, texts = texts[::2], texts[1::2]
        if [*map(ord, lengths)] != [*map(len, texts)]:  # the text goes on behind what looked like an opcode
            return None
    try:
        return pattern.message(*[text.decode() for text in texts]), match.end()
    except UnicodeDecodeError:  # it may be surrogate halves, which the interpreter joins
        return None


class _Pattern(NamedTuple):
    match: Callable[[bytes | bytearray, int], re.Match[bytes] | None]
    """Captures the texts, each after its length if `counted`."""
    counted: bool
    message: Callable[..., AnyMessage]


class _Form(NamedTuple):
    """One way to write a list of texts.

    `several` and `single` are patterns of a list of several texts and of one, with `%b` in place of the texts.
    """

    starts: tuple[bytes, ...]
    """The first two bytes."""
    text: bytes
    several: bytes
    single: bytes
    counted: bool


# Each text ends before BINPUT (`q`) and its number; no text holds a character like that number, so the right `q` is found.
_BINUNICODE: Final = rb"X([\x00-\xff])\x00\x00\x00([^\x00-\x1f]*)q[\x00-\x1f]"
# Each text ends before MEMOIZE, a byte that also occurs within characters of several bytes: so these are spelled out.
_SHORT_BINUNICODE: Final = (
    rb"\x8c([\x00-\xff])"
    rb"([ -\x7f]*+(?:(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]|[\xf0-\xf4][\x80-\xbf]{2})[\x80-\xbf][ -\x7f]*+)*+)"
    rb"\x94"
)

_FORMS: Final = (
    # This codec.
    _Form((b"(S",), rb"S'([ -&(-[\]-~]*+)'\n", rb"\(%bl\.", rb"\(%bl\.", counted=False),
    # Protocol 0.
    _Form((b"(l",), rb"V([ -[\]-~]*+)\np[0-9]{1,64}\na", rb"\(lp0\n%b\.", rb"\(lp0\n%b\.", counted=False),
    # Protocols 1 to 3.
    _Form(
        (b"]q", b"\x80\x02", b"\x80\x03"),
        _BINUNICODE,
        rb"(?:\x80[\x02\x03])?\]q\x00\(%be\.",
        rb"(?:\x80[\x02\x03])?\]q\x00%ba\.",
        counted=True,
    ),
    # Protocols 4 and 5.
    _Form(
        (b"\x80\x04", b"\x80\x05"),
        _SHORT_BINUNICODE,
        rb"\x80[\x04\x05]\x95[\x00-\xff]{8}\]\x94\(%be\.",
        rb"\x80[\x04\x05]\x95[\x00-\xff]{8}\]\x94%ba\.",
        counted=True,
    ),
)
_TEXTS: Final = (Kind.NAME, Kind.STATUS, Kind.TEXT, Kind.CONVERSATION)
_LONGEST: Final = max(map(len, COMMANDS)) + 1


def _patterns(sender: Role) -> Iterator[tuple[bytes, _Pattern]]:
    """Give each pattern with what its messages begin with: the command, a space, and two bytes of the pickle."""
    for command, message in COMMANDS.items():
        if (
            message.FROM is sender
            and message.FIELDS
            and all(field.kind in _TEXTS for field in message.FIELDS)
        ):
            count = len(message.FIELDS)
            for starts, text, several, single, counted in _FORMS:
                pattern = re.compile((single if count == 1 else several) % (text * count))
                for start in starts:
                    yield (
                        command.encode() + b" " + start,
                        _Pattern(pattern.match, counted, cast("Callable[..., AnyMessage]", message)),
                    )


_PATTERNS: Final = {sender: dict(_patterns(sender)) for sender in Role}
