"""Replaces the texts in json or ascii bytes by others, quoted or not, and keeps the form of the bytes."""

import json
import re
from collections.abc import Callable, Collection
from typing import Final

__all__ = ["in_json", "lines", "rest"]

_Mask = Callable[[str], str]

# A quoted text, or one that is not closed; a number; else whatever is bare.
_QUOTED: Final = r'"(?P<quoted>(?:[^"\\\n]|\\.)*)(?:"|$|(?=\n))'
_PARTS: Final = {
    "json": re.compile(rf"{_QUOTED}|(?P<number>(?<!\w)\d[\d.eE+-]*(?!\w))|\w+", re.MULTILINE),
    "ascii": re.compile(rf'{_QUOTED}|(?P<number>(?!))|[^\s"]+', re.MULTILINE),
}
_UNIT: Final = re.compile(
    r"\\u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\.|.", re.DOTALL
)


def lines(data: bytes, codec: str, known: Collection[str], mask: _Mask) -> bytes:
    """Apply `mask` to all texts; `known`: those that are in messages there."""

    def other(found: re.Match[str]) -> str:
        quoted, all_of_it = found["quoted"], found[0]
        if quoted is not None:
            return all_of_it.replace(quoted, in_json(quoted, mask)) if quoted else all_of_it
        if found["number"] is not None:
            return re.sub(r"\d+", lambda digits: mask(digits[0]), all_of_it)
        if codec == "json" or all_of_it in known:
            return mask(all_of_it)
        return re.sub(r"[^=,]+", lambda part: mask(part[0]), all_of_it)  # ASCII-7

    text = data.decode("utf-8", "surrogateescape")
    return _PARTS[codec].sub(other, text).encode("utf-8", "surrogateescape")


def in_json(quoted: str, mask: _Mask) -> str:
    """Replace each letter of a text of JSON in the form in which it stands: itself, or an escape."""
    units = _UNIT.findall(quoted)
    letters = [_letter(unit) for unit in units]
    return "".join(
        unit if letter == other else _written(unit, other)
        for unit, letter, other in zip(units, letters, mask("".join(letters)), strict=True)
    )


def rest(data: bytes, mask: _Mask) -> bytes:
    """Apply `mask` to whatever looks like words and numbers in bytes that cannot be read."""

    def other(found: re.Match[bytes]) -> bytes:
        word = found[0].decode("utf-8", "surrogateescape")
        return (in_json(word, mask) if word[0] == "\\" else mask(word)).encode("utf-8", "surrogateescape")

    return _WORD.sub(other, data)


# The letter after a backslash belongs to an escape, even if the escape is wrong.
_WORD: Final = re.compile(
    rb"(?:\\u\w{4}|\\U\w{8})+|(?<!\\)[A-Za-z_]{3,}|[0-9]{3,}|(?:[\xc3-\xf4][\x80-\xbf]{1,3}){2,}"
)


def _letter(unit: str) -> str:
    if unit[0] == "\\" and unit[1:2] == "U":
        return chr(min(int.from_bytes(bytes.fromhex(unit[2:])), 0x10FFFF))
    if len(unit) == 1:
        return unit
    try:
        return str(json.loads(f'"{unit}"'))
    except ValueError:  # an escape that JSON does not have
        return "\\"


def _written(unit: str, letter: str) -> str:
    if len(unit) == 1:
        return letter
    if unit[1] == "U":
        return f"\\U{ord(letter):08x}"
    escape = json.dumps(letter).strip('"') if ord(letter) > 0x7E else f"\\u{ord(letter):04x}"
    return escape if unit == unit.lower() else escape.upper().replace("\\U", "\\u")
