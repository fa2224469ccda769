"""Messages at the edges of what is legal: the smallest ones, those that take the most bytes, and those with awkward texts."""

from collections.abc import Callable, Mapping
from typing import Final, cast

from improto.codec import Codec
from improto.limits import Limits
from improto.messages import ERROR_TEXT, AnyMessage, Error, Field, Kind, Register, SendMessage, Value
from improto_conformance.codecs.calls import encoded

__all__ = ["AWKWARD", "awkward", "filled", "least", "smallest", "worst_texts"]

_LIMITS: Final = Limits()

AWKWARD: Final = (
    " x ", "\t", "x\r\ny\rz\n", "x\r", "\0", "x\x1a", "\x7f", "\x85", "\u2028", "\ufeffx", "\uffff", "\U0010ffff",
    "0", "007", "+1", "-0", "1.0", "1e3", "1_000", "0x10", "null", "None", "true", "NaN", "2026-01-02", "x" * 64,
    "\xe9", "e\u0301", "\u212a", "\ufb01", "\u0130", "\xdf", "\U0001f600", "\u200bx", "\xa0x",
    '"', "'", "`", "\\", "\\n", "\\u0041", "\\xe9", "%41", "&amp;", "<!--", "\x1b[0m", "#x", "x,y", "x:y", "x=y", "x y",
    "{}", "[]", "()", "${x}", "b'x'",
)  # fmt: skip
"""Texts that programs easily take for something else."""

# All of ASCII, Latin-1 and Greek, and the ends of what UTF-8 writes in three and in four bytes.
_CHARACTERS: Final = (
    *map(chr, range(0x400)),
    *"\u0800\u2028\u20ac\ufeff\uffff\U00010000\U0001f600\U0010ffff",
)
_FIELDS: Final[Mapping[Kind, Callable[[str], AnyMessage]]] = {
    Kind.NAME: lambda text: Register(text, ""),
    Kind.STATUS: lambda text: Register("b", text),
    Kind.CONVERSATION: lambda text: SendMessage(text, ""),
    Kind.TEXT: lambda text: SendMessage("7", text),
    Kind.EXPLANATION: Error,
}
"""For each kind of text, a message that contains it."""


def smallest(kind: type[AnyMessage]) -> AnyMessage:
    """Make a message of a kind with the shortest texts."""
    return filled(kind, least)


def awkward(text: str, field: Kind) -> str:
    """Give a text if it is legal in such a field, or else the shortest one that is."""
    return text if _legal(field, text) else least(field)


def least(field: Kind) -> str:
    """Give the shortest legal text for a field."""
    return {Kind.NAME: "b", Kind.CONVERSATION: "7"}.get(field, "")


def filled(kind: type[AnyMessage], text: Callable[[Kind], str], entries: int | None = None) -> AnyMessage:
    """Make a message from texts for its fields, with so many entries; otherwise with the most names and empty maps."""

    def value(field: Field) -> Value:
        match field.kind:
            case Kind.NAMES:
                return (text(Kind.NAME),) * (entries or _LIMITS.invited)
            case Kind.ROSTER if entries:
                return {text(Kind.NAME): text(Kind.STATUS)}
            case Kind.CONVERSATIONS if entries:
                return {text(Kind.CONVERSATION): (text(Kind.NAME),)}
            case Kind.ROSTER | Kind.CONVERSATIONS:
                return {}
            case _:
                return text(field.kind)

    return cast(Callable[..., AnyMessage], kind)(*map(value, kind.FIELDS))


def worst_texts(codec: Codec) -> dict[Kind, str]:
    """Find, for each kind of text, the legal text of one repeated character that takes the most bytes."""
    texts = [character * n for character in _CHARACTERS for n in (64, 256, ERROR_TEXT)]
    texts += [character * (_LIMITS.text // len(character.encode())) for character in _CHARACTERS]
    return {
        kind: max(
            (text for text in texts if _legal(kind, text)),
            key=lambda text: len(encoded(codec, field(text))),
        )
        for kind, field in _FIELDS.items()
    }


def _legal(kind: Kind, text: str) -> bool:
    return _LIMITS.complaint(_FIELDS[kind](text)) is None
