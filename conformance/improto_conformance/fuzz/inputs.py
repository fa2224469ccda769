"""Makes the inputs: streams that were legal, or were attacks, and have been damaged.

An input depends only on the codec, the seed and its number.
"""

from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from typing import Final, NamedTuple, cast

from improto.codec import Codec, load
from improto.messages import COMMANDS, AnyMessage, Kind, Role
from improto_conformance.codecs.attacks import ATTACKS
from improto_conformance.vectors import vectors
from improto_conformance.vectors.values import read_bytes

__all__ = ["Input", "made"]

_EACH: Final = 25  # messages of each command
_LONGEST: Final = 2048  # most bytes of a source of inputs, so that inputs are short and many
_NUMBERS: Final = (
    b"\0",
    b"\1",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff" * 4,
    b"\xff" * 8,
)
_BREAKS: Final = (b" ", b"\n", b"\r", b"\r\n", b"\xef\xbb\xbf", b"\xc0\x80", b"\xed\xa0\xbd")
_TOKENS: Final = {
    "ascii": rb'" "" = =, , ( [ ] } \ \" \n \x \u \u0041 \ud83d \ude00 key= "key"='.split(),
    "json": rb'" "" { } [ ] [[[[[ , : \ \" \n \x \u \u0041 \ud83d \ude00 "type": null true NaN -Infinity -0 1e400 01'.split(),
    "msgpack": [bytes([head]) for head in (0x80, 0x81, 0x90, 0x91, 0x92, 0xA0, 0xA1, *range(0xC0, 0xE0))],
    "pickle": [
        *(bytes([code]) for code in (*range(0x21, 0x7F), *range(0x80, 0x9A))),
        *(
            b"cos\nsystem\n",
            b"(lp0\n",
            b"p0\n",
            b"g0\n",
            b"q\0",
            b"h\0",
            b"I01\n",
            b"L1L\n",
            b"S'x'\n",
            b"Vx\n",
        ),
        *(b"\x80\2", b"\x80\4\x95" + bytes(8), b"X\1\0\0\0x", b"\x8c\1x", b"U\1x", b"\\x41", b"\\u0041"),
    ],
}
"""Byte sequences with a meaning in a codec, besides command names; for other codecs, chance has to find them."""


class Input(NamedTuple):
    """One stream, and one way in which it may arrive."""

    sender: Role
    data: bytes
    pieces: Sequence[bytes]


def made(name: str, seed: int, number: int) -> Input:
    """Make the input of this number for a codec."""
    chance = Random(seed << 40 | number)
    sender = chance.choice((Role.CLIENT, Role.SERVER))
    codec, payloads, streams, tokens = _material(name, sender)
    if chance.random() < 0.5:  # framed correctly, so that only the payload is damaged
        data = codec.frame(_damaged(chance, chance.choice(payloads), payloads, tokens))
    else:
        whole = b"".join(chance.choice(streams) for _ in range(chance.choice((1, 1, 2, 3))))
        data = _damaged(chance, whole, streams, tokens)
    return Input(sender, data, _cut(chance, data))


def _damaged(chance: Random, data: bytes, others: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        chance.choice(_DAMAGES)(chance, changed, others, tokens)
    return bytes(changed)


def _cut(chance: Random, data: bytes) -> list[bytes]:
    if chance.random() < 0.2:
        size = chance.randint(1, 16)
        return [data[at : at + size] for at in range(0, len(data), size)]
    cuts = sorted(chance.randint(0, len(data)) for _ in range(chance.randint(1, 4)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


# ---- What inputs are made from.


class _Material(NamedTuple):
    codec: Codec
    payloads: list[bytes]
    streams: list[bytes]
    tokens: list[bytes]


@cache
def _material(name: str, sender: Role) -> _Material:
    """Collect the material for a codec."""
    codec = load(name)
    payloads = [codec.encode(message) for message in _drawn() if message.FROM is sender]
    streams: list[bytes] = []
    for vector in vectors().values():
        kinds = {"message": payloads, "stream": streams}
        if vector.kind in kinds and vector.data["codec"] == name and vector.data["from"] == sender:
            kinds[vector.kind].append(read_bytes(vector.data["bytes"]))
    for attack in ATTACKS.values():
        if attack.codec == name and attack.sender is sender:
            streams.append(next(iter(attack.chunks())))
    payloads = [payload for payload in payloads if len(payload) <= _LONGEST]
    streams = [*(stream[:_LONGEST] for stream in streams), *map(codec.frame, payloads)]
    commands = [command.encode() for command in COMMANDS]
    return _Material(codec, payloads, streams, [*_TOKENS.get(name, ()), *_BREAKS, *_NUMBERS, *commands])


_CHARACTERS: Final = "abcXYZ_019 \"'\\/,=()[]{}.|#:\t\r\n\0\x7f\x85\u2028\u00e9\u20ac\uffff\U0001f600"


@cache
def _drawn() -> list[AnyMessage]:
    """Make random messages of all commands, always the same ones."""
    chance = Random(0)

    def text() -> str:
        return "".join(chance.choices(_CHARACTERS, k=chance.choice((0, 1, 3, 10, 60))))

    def texts() -> list[str]:
        return [text() for _ in range(chance.choice((0, 1, 2, 5)))]

    def value(kind: Kind) -> object:
        match kind:
            case Kind.NAMES:
                return tuple(texts())
            case Kind.ROSTER:
                return {name: text() for name in texts()}
            case Kind.CONVERSATIONS:
                return {id: tuple(texts()) for id in texts()}
            case _:
                return text()

    kinds = cast("Sequence[Callable[..., AnyMessage]]", list(COMMANDS.values()))
    fields = [[kind for _, kind in message.FIELDS] for message in COMMANDS.values()]
    return [make(*map(value, each)) for _ in range(_EACH) for make, each in zip(kinds, fields, strict=True)]


# ---- Damages.

_Damage = Callable[[Random, bytearray, Sequence[bytes], Sequence[bytes]], None]
"""Takes chance, what to damage, other streams or payloads, and tokens."""


def _span(chance: Random, data: bytearray, longest: int) -> slice:
    start = chance.randint(0, len(data))
    return slice(start, min(len(data), start + chance.randint(1, longest)))


def _flip(chance: Random, data: bytearray, others: Sequence[bytes], tokens: Sequence[bytes]) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _replace(chance: Random, data: bytearray, others: Sequence[bytes], tokens: Sequence[bytes]) -> None:
    if data:
        data[chance.randrange(len(data))] = chance.randrange(256)


def _insert(chance: Random, data: bytearray, others: Sequence[bytes], tokens: Sequence[bytes]) -> None:
    at = chance.randint(0, len(data))
    data[at:at] = chance.choice(tokens)


def _overwrite(chance: Random, data: bytearray, others: Sequence[bytes], tokens: Sequence[bytes]) -> None:
    token = chance.choice(tokens)
    at = chance.randint(0, len(data))
    data[at : at + len(token)] = token


def _remove(chance: Random, data: bytearray, others: Sequence[bytes], tokens: Sequence[bytes]) -> None:
    del data[_span(chance, data, 16)]


def _truncate(chance: Random, data: bytearray, others: Sequence[bytes], tokens: Sequence[bytes]) -> None:
    del data[chance.randint(0, len(data)) :]


def _repeat(chance: Random, data: bytearray, others: Sequence[bytes], tokens: Sequence[bytes]) -> None:
    span = _span(chance, data, 64)
    data[span.stop : span.stop] = data[span] * chance.choice((1, 2, 10, 100))


def _splice(chance: Random, data: bytearray, others: Sequence[bytes], tokens: Sequence[bytes]) -> None:
    other = bytearray(chance.choice(others))
    data[_span(chance, data, 64)] = other[_span(chance, other, 64)]


_DAMAGES: Final[Sequence[_Damage]] = (
    *(_flip, _replace, _insert, _insert, _overwrite, _remove, _truncate, _repeat, _splice),
)
