"""Replaces texts by other texts of the same length in every form, so that different texts stay different.

Each letter and digit is replaced by one of its kind that takes as many bytes in UTF-8, in an escape and in Latin-1.  The
replacement depends on the whole text and on a key that is thrown away, so no two texts share a pattern.  Whatever makes a
text valid or invalid is kept: its length, spaces, punctuation and control characters.
"""

import secrets
import string
import unicodedata
from functools import cache
from hashlib import shake_256
from typing import Final

from improto.messages import COMMANDS, Code

__all__ = ["KEPT", "Masks"]

KEPT: Final = frozenset(
    {"type", "true", "false", "null", "NaN", "Infinity"}
    | {*COMMANDS, *Code, *(field.name for message in COMMANDS.values() for field in message.FIELDS)}
)
"""Words of the protocol, which are never replaced."""

_TRIES: Final = 10_000


class Masks:
    """The replacements of one run: the same text is replaced by the same text everywhere."""

    def __init__(self, key: bytes | None = None) -> None:
        """Begin without any; with a given key, they are always the same."""
        self._key = secrets.token_bytes(32) if key is None else key
        self._given: dict[str, str] = {}
        self._taken: set[str] = set()

    def text(self, text: str, suffix: str = "") -> str:
        """Give the replacement of a text; if the text ends in `suffix`, its replacement ends in that of the suffix."""
        if suffix and text != suffix and text.endswith(suffix):
            return self.text(text.removesuffix(suffix)) + self.text(suffix)
        code, colon, rest = text.partition(": ")
        if colon and code in KEPT:  # of an ERROR only the explanation is anybody's
            return f"{code}: {self.text(rest, suffix)}"
        if text in KEPT or not any(map(_pool, text)):
            return text
        if text not in self._given:
            found = (self._scrambled(text, count) for count in range(_TRIES))
            good = (other for other in found if other not in self._taken and other != text)
            other = next(good, None)
            if other is None:  # there are few of its kind
                other = text if text not in self._taken else self._scrambled(text, _TRIES)
            self._given[text] = other
            self._taken.add(other)
        return self._given[text]

    def _scrambled(self, text: str, count: int) -> str:
        noise = shake_256(b"%d." % count + self._key + text.encode("utf-8", "surrogatepass")).digest(
            3 * len(text)
        )
        made: list[str] = []
        for place, letter in enumerate(text):
            pool = _pool(letter)
            if pool is _DIGITS and place == 0:
                pool = _FIRST if letter != "0" else "0"  # a leading zero makes another number, or none
            number = int.from_bytes(noise[3 * place : 3 * place + 3], "big")
            made.append(pool[number % len(pool)] if pool else letter)
        return "".join(made)


_DIGITS: Final = string.digits
_FIRST: Final = string.digits[1:]
_LATIN: Final = "".join(chr(code) for code in range(0xC0, 0x100) if chr(code).isalpha())
_SHORT: Final = "".join(chr(code) for code in range(0x100, 0x800) if chr(code).isalpha())
_MIDDLE: Final = "".join(map(chr, range(0x4E00, 0x9FA6)))
_LONG: Final = "".join(map(chr, range(0x20000, 0x2A6D7)))


@cache
def _pool(letter: str) -> str:
    """Give the letters of the same kind; none if the letter is to be kept."""
    if letter.isascii():
        kinds = (string.ascii_lowercase, string.ascii_uppercase, _DIGITS)
        return next((kind for kind in kinds if letter in kind), "")
    if unicodedata.category(letter)[0] in "CZ":
        return ""
    code = ord(letter)
    return _LATIN if code < 0x100 else _SHORT if code < 0x800 else _MIDDLE if code < 0x10000 else _LONG
