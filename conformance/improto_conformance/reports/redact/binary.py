"""Replaces the texts in msgpack or pickle bytes by others, and keeps the form of the bytes."""

import pickletools
import re
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Final

from improto_conformance.reports.redact.lines import in_json, rest

__all__ = ["packs", "pickles"]

_Mask = Callable[[str], str]


def packs(data: bytes, mask: _Mask) -> bytes:
    """Apply `mask` to all texts of a stream of MessagePack in frames."""
    made: list[bytes] = []
    frame = done = 0
    while frame + 4 <= len(data):
        place, frame = frame + 4, frame + 4 + int.from_bytes(data[frame : frame + 4], "big")
        whole = frame <= len(data)
        while place < min(frame, len(data)):
            begin, place = _extent(data, place)
            if begin < place:
                # What is between texts is heads and numbers, or anything if this is no message.
                made += [data[done:begin] if whole else rest(data[done:begin], mask)]
                made += [_masked_unicode(data[begin:place], mask)]
                done = begin + len(made[-1])
    return b"".join(made) + rest(data[done:], mask)


_SIZES: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_FIXED: Final = dict(zip(range(0xCA, 0xD4), (4, 8, 1, 2, 4, 8, 1, 2, 4, 8), strict=True)) | {
    **dict(zip(range(0xD4, 0xD9), (2, 3, 5, 9, 17), strict=True)),
    0xDC: 2,
    0xDD: 4,
    0xDE: 2,
    0xDF: 4,
}


def _extent(data: bytes, place: int) -> tuple[int, int]:
    """Give from where to where the text goes that begins in a place; what is no text has none, and its end."""
    head = data[place]
    if 0xA0 <= head < 0xC0:
        return place + 1, place + 1 + (head & 0x1F)
    if head in _SIZES:
        begin = place + 1 + _SIZES[head]
        return begin, begin + int.from_bytes(data[place + 1 : begin], "big")
    end = place + 1 + _FIXED.get(head, 0)
    return end, end


def pickles(data: bytes, mask: _Mask) -> bytes:
    """Apply `mask` to all texts and numbers of a stream of commands and pickles."""
    return b"".join(_messages(data, mask))


_HEAD: Final = re.compile(rb"GOODBYE|LIST_CONVERSATIONS|[A-Za-z_]+")  # CODEC-4: no other command begins so
_BARE: Final = (b"GOODBYE", b"LIST_CONVERSATIONS")
_NEXT: Final = re.compile(rb" ?(?:[A-Z_]{2}|\Z)")


def _messages(data: bytes, mask: _Mask) -> Iterator[bytes]:
    place = 0
    while place < len(data):
        head = _HEAD.search(data, place)
        if head is None:
            yield rest(data[place:], mask)
            return
        yield rest(data[place : head.start()], mask)
        yield _masked(head[0], mask)
        place = head.end()
        if data[place : place + 1] != b" " or (head[0] in _BARE and _NEXT.match(data, place)):
            continue
        yield b" "
        place += 1
        stream = BytesIO(data)
        stream.seek(place)
        try:
            for opcode, argument, begin in pickletools.genops(stream):
                place = stream.tell()
                yield _operation(opcode.name, argument, data[begin or 0 : place], mask)
        except (ValueError, UnicodeError):  # it goes no further, so what follows is anything
            yield rest(data[place:], mask)
            return


_PREFIXED: Final = {
    "BINSTRING": 5,
    "SHORT_BINSTRING": 2,
    "BINUNICODE": 5,
    "SHORT_BINUNICODE": 2,
    "BINUNICODE8": 9,
    "BINBYTES": 5,
    "SHORT_BINBYTES": 2,
    "BINBYTES8": 9,
    "BYTEARRAY8": 9,
}


def _operation(name: str, argument: object, data: bytes, mask: _Mask) -> bytes:
    if name in _PREFIXED:
        begin = _PREFIXED[name]
        masked = _masked if "STRING" in name else _masked_unicode
        return data[:begin] + masked(data[begin:], mask)
    match name:
        case "UNICODE":
            return b"V" + in_json(data[1:].decode("latin-1"), mask).encode("latin-1")
        case "STRING":
            return b"S" + _in_repr(data[1:], mask)
        case "INT" | "LONG" if data not in (b"I00\n", b"I01\n"):  # those are truth values
            return re.sub(rb"\d+", lambda digits: _masked(digits[0], mask), data)
        case "BININT" | "BININT1" | "BININT2" | "LONG1":
            size = len(data) - (2 if name == "LONG1" else 1)
            other = int(mask(str(argument)))
            fits = size and 0 <= other < 1 << (8 * size - (name in ("BININT", "LONG1")))
            return data[: len(data) - size] + other.to_bytes(size, "little") if fits else data
        case "GLOBAL" | "INST" | "PERSID":
            return data[:1] + rest(data[1:], mask)
        case _:
            return data


_BYTE: Final = re.compile(rb"\\x[0-9a-fA-F]{2}|\\[0-7]{1,3}|\\[\\'\"abfnrtv\n]|.", re.DOTALL)
_ESCAPES: Final = {b"n": 10, b"t": 9, b"r": 13, b"a": 7, b"b": 8, b"f": 12, b"v": 11, b"\n": 0}


def _in_repr(quoted: bytes, mask: _Mask) -> bytes:
    """Replace each byte of what Python 2 writes of a text, in the form in which it stands."""
    text = quoted.strip()[1:-1]
    units: list[bytes] = _BYTE.findall(text)
    values = bytes(map(_byte, units))
    made = b"".join(
        unit
        if old == new
        else (b"\\x%02x" % new if len(unit) == 4 else b"\\%03o" % new if len(unit) > 1 else bytes([new]))
        for unit, old, new in zip(units, values, _masked(values, mask), strict=True)
    )
    return quoted.replace(text, made) if text else quoted


def _byte(unit: bytes) -> int:
    if len(unit) == 1:
        return unit[0]
    if unit[1:2] == b"x":
        return bytes.fromhex(unit[2:].decode())[0]
    if unit[1:].isdigit():
        return int(unit[1:], 8) & 0xFF
    return _ESCAPES.get(unit[1:], unit[1])


def _masked(data: bytes, mask: _Mask) -> bytes:
    """Mask what Python 2 wrote: a text in UTF-8, or else in Latin-1."""
    try:
        return mask(data.decode()).encode()
    except UnicodeDecodeError:
        return mask(data.decode("latin-1")).encode("latin-1", "replace")


def _masked_unicode(data: bytes, mask: _Mask) -> bytes:
    """Mask a text in UTF-8; bytes that are none stay."""
    return mask(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
