"""Attacks on the msgpack codec: declared sizes, ext types, keys, depth, and more objects than bytes."""

from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Final

from improto.limits import Limits
from improto.messages import Code, Role
from improto_conformance.codecs.attacks.attack import MESSAGE, NOTHING, Attack, repeated

__all__ = ["ATTACKS"]

_GIBIBYTE: Final = 2**30
_LIMIT: Final = Limits().request
_ROSTER: Final = Limits().roster
_LATER: Final = b"\x92\xa5LATER"
_USERS: Final = b"\x92\xacONLINE_USERS"

# The heads that are followed by a length of four bytes.
_SIZED: Final = {"str": b"\xdb", "bin": b"\xc6", "ext": b"\xc9", "array": b"\xdd", "map": b"\xdf"}
# And those whose length is in them or shorter, with the greatest one.
_SHORTER: Final = {
    "fixstr": b"\xbf",
    "fixarray": b"\x9f",
    "fixmap": b"\x8f",
    "str 8": b"\xd9\xff",
    "str 16": b"\xda\xff\xff",
    "bin 8": b"\xc4\xff",
    "bin 16": b"\xc5\xff\xff",
    "ext 8": b"\xc7\xff\x05",
    "ext 16": b"\xc8\xff\xff\x05",
    "fixext 16": b"\xd8\x05",
    "array 16": b"\xdc\xff\xff",
    "map 16": b"\xde\xff\xff",
}


def _attack(
    name: str, title: str, payload: bytes, outcome: str = Code.MALFORMED, role: Role = Role.CLIENT
) -> Attack:
    """Make an attack of one payload."""
    frame = len(payload).to_bytes(4) + payload
    return Attack("msgpack", name, title, lambda: [frame], outcome, sender=role)


def _large(name: str, title: str, head: bytes, piece: bytes, times: int, outcome: str) -> Attack:
    """Make an attack of a server's payload that is as large as a roster may be."""

    def chunks() -> Iterator[bytes]:
        size = len(head) + len(piece) * times
        return chain([size.to_bytes(4) + head], repeated(piece, times))

    return Attack("msgpack", name, title, chunks, outcome, sender=Role.SERVER, limit=_ROSTER)


def _sized() -> Iterator[Attack]:
    for kind, head in _SIZED.items():
        declared = head + _GIBIBYTE.to_bytes(4)
        yield _attack(f"{kind}-of-a-gibibyte", f"the payload is the head of a {kind} of 1 GiB", declared)
        yield _attack(
            f"{kind}-of-a-gibibyte-as-field", f"a field is the head of a {kind} of 1 GiB", _LATER + declared
        )
        yield _attack(
            f"{kind}-of-a-gibibyte-begun",
            f"a field is a {kind} of 1 GiB, of which there are 60,000 bytes",
            _LATER + declared + b"\x05" * 60_000,
        )
        yield _attack(
            f"{kind}s-of-a-gibibyte",
            f"12,000 heads of a {kind} of 1 GiB, one after the other",
            b"\xdc\x2e\xe0" + declared * 12_000,
        )
        yield _attack(
            f"{kind}-of-a-gibibyte-as-key",
            f"a key is the head of a {kind} of 1 GiB",
            _USERS + b"\x81" + declared,
            role=Role.SERVER,
        )
    for kind, head in _SHORTER.items():
        yield _attack(
            kind.replace(" ", "-") + "-without-contents", f"a field is the head of a {kind}", _LATER + head
        )


def _framing() -> Iterator[Attack]:
    for name, length, words in (
        ("frame-of-a-gibibyte", _GIBIBYTE, "1 GiB"),
        ("frame-of-four-gibibytes", 2**32 - 1, "4 GiB less one"),
        ("frame-over-the-limit", _LIMIT + 1, "one byte more than the limit"),
    ):
        yield Attack(
            "msgpack",
            name,
            f"a frame's length is {words}; no byte of it follows",
            partial(repeated, length.to_bytes(4), 1),
            Code.TOO_LARGE,
            fatal=True,
        )
    yield Attack(
        "msgpack",
        "frame-byte-by-byte",
        "a frame as long as the limit that comes byte by byte and does not end",
        lambda: chain([_LIMIT.to_bytes(4)], (b"\x91" for _ in range(_LIMIT - 1))),
        NOTHING,
    )
    yield Attack(
        "msgpack",
        "empty-frames",
        "250,000 frames of no bytes",
        lambda: repeated(bytes(4), 250_000),
        Code.MALFORMED,
    )
    yield Attack(
        "msgpack",
        "many-messages",
        "100,000 messages at once",
        lambda: repeated(b"\x00\x00\x00\x09\x91\xa7GOODBYE", 100_000),
        MESSAGE,
    )
    yield _attack("trailing-byte", "one byte behind the array", b"\x91\xa7GOODBYE\xc0")
    yield _attack("trailing-message", "a second message in the frame", b"\x91\xa7GOODBYE" * 2)
    yield _attack("trailing-arrays", "60,000 arrays behind the array", b"\x91\xa7GOODBYE" + b"\x90" * 60_000)


def _shapes() -> Iterator[Attack]:
    for kind, head, close in (
        ("arrays", b"\x91", b"\xc0"),
        ("maps", b"\x81\xa0", b"\xc0"),
        ("keys", b"\x81", b"\xc0"),
    ):
        yield _attack(f"deep-{kind}", f"30,000 {kind} in each other", head * 30_000 + close)
        yield _attack(
            f"five-levels-of-{kind}",
            f"{kind} in an unknown field, one level too deep",
            _LATER + head * 4 + close,
        )
    yield _attack("deep-declared", "arrays of 65,535 in each other, 20,000 times", b"\xdc\xff\xff" * 20_000)
    yield _attack(
        "key-twice",
        "a map with the same key 20,000 times",
        _USERS + b"\xde\x4e\x20" + b"\xa1a\xa0" * 20_000,
        Code.INVALID,
        Role.SERVER,
    )
    for kind, key in (
        ("nil", b"\xc0"),
        ("integer", b"\x07"),
        ("nan", b"\xcb\x7f\xf8" + bytes(6)),
        ("bin", b"\xc4\x01a"),
        ("array", b"\x90"),
        ("map", b"\x80"),
        ("ext", b"\xd4\x05x"),
        ("timestamp", b"\xd6\xff" + bytes(4)),
    ):
        yield _attack(
            f"{kind}-as-key",
            f"keys of a map are a {kind}, three times",
            _USERS + b"\x83" + (key + b"\xa0") * 3,
            Code.INVALID,
            Role.SERVER,
        )
    colliding = b"".join(b"\xcf" + (n * (2**61 - 1)).to_bytes(8) + b"\xa0" for n in range(8))
    yield _attack(
        "colliding-keys",
        "numbers of the same hash as keys, 6,000 times",
        _USERS + b"\xde\x17\x70" + colliding * 750,
        Code.INVALID,
        Role.SERVER,
    )
    yield _attack(
        "many-keys",
        "10,000 keys, all of them in place",
        _USERS + b"\xde\x27\x10" + b"".join(b"\xa4%04d\xa0" % n for n in range(10_000)),
        MESSAGE,
        Role.SERVER,
    )
    yield _attack(
        "many-names",
        "30,000 names in an INVITE, which is for limits to refuse",
        b"\xdc\x75\x31\xa6INVITE" + b"\xa1a" * 30_000,
        MESSAGE,
    )


def _values() -> Iterator[Attack]:
    for name, title, value in (
        ("timestamp-32", "a timestamp of 4 bytes", b"\xd6\xff" + b"\xff" * 4),
        ("timestamp-64", "a timestamp with more nanoseconds than there are", b"\xd7\xff" + b"\xff" * 8),
        ("timestamp-96", "a timestamp beyond the year 9999", b"\xc7\x0c\xff" + b"\xff" * 12),
        ("timestamp-odd", "a timestamp of three bytes", b"\xc7\x03\xff" + bytes(3)),
        ("ext-empty", "an ext without data", b"\xc7\x00\x05"),
        ("ext-negative", "an ext of a reserved type", b"\xd4\x80x"),
        ("nan", "a NaN", b"\xcb\x7f\xf8" + bytes(6)),
        ("largest-integer", "the largest integer", b"\xcf" + b"\xff" * 8),
        ("bin", "a bin for text", b"\xc4\x017"),
        ("nil", "nil for text", b"\xc0"),
        ("empty-map", "a map for text", b"\x80"),
        ("empty-array", "an array for text", b"\x90"),
    ):
        yield _attack(name, f"{title} in place of an id", b"\x92\xa4JOIN" + value, Code.INVALID)
    for name, title, value in (
        ("never-used", "the byte that is no type", b"\xc1"),
        ("overlong-utf-8", "UTF-8 longer than need be", b"\xa2\xc0\x80"),
        ("surrogate", "a surrogate in UTF-8", b"\xa3\xed\xa0\x80"),
        ("beyond-unicode", "UTF-8 beyond Unicode", b"\xa4\xf4\x90\x80\x80"),
        ("half-a-character", "half a character at the end of a str", b"\xa1\xc3"),
    ):
        yield _attack(name, f"{title}, in an unknown command", _LATER + value)
    yield _attack(
        "timestamps",
        "10,000 timestamps",
        b"\xdc\x27\x11\xa5LATER" + (b"\xd6\xff" + b"\xff" * 4) * 10_000,
        Code.UNKNOWN_COMMAND,
    )


def _many() -> Iterator[Attack]:
    """More objects than any message has, for as many bytes."""
    n = 2**21
    head = b"\xa5LATER\xdd"
    for kind, piece in (
        ("nils", b"\xc0"),
        ("arrays", b"\x90"),
        ("maps", b"\x80"),
        ("strs", b"\xa0"),
        ("arrays-of-arrays", b"\x91\x90"),
        ("exts", b"\xd4\x05x"),
    ):
        times = n // len(piece)
        yield _large(
            f"megabytes-of-{kind}",
            f"2 MiB of {kind.replace('-', ' ')} in an unknown command",
            b"\x92" + head + times.to_bytes(4),
            piece,
            times,
            Code.UNKNOWN_COMMAND,
        )
    for kind, piece in (("arrays-under-arrays", b"\x90\x90"), ("maps-under-maps", b"\x80\x80")):
        times = n // len(piece)
        yield _large(
            f"megabytes-of-map-of-{kind}",
            f"2 MiB of {kind.replace('-', ' ')} in an unknown command",
            b"\x92\xa5LATER\xdf" + times.to_bytes(4),
            piece,
            times,
            Code.UNKNOWN_COMMAND,
        )
    for kind, piece in (("arrays", b"\x90"), ("strs", b"\xa1a")):
        times = n // (1 + len(piece))
        yield _large(
            f"megabytes-of-map-of-{kind}",
            f"2 MiB of {kind} in a list, all under the same key",
            b"\x92\xadCONVERSATIONS\xdf" + times.to_bytes(4),
            b"\xa0" + piece,
            times,
            Code.INVALID,
        )


ATTACKS: Final = (*_framing(), *_sized(), *_shapes(), *_values(), *_many())
