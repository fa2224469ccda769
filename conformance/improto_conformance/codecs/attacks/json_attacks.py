"""Attacks on the json codec: depth, numbers, strings, encodings, and large numbers of everything."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from improto.limits import Limits
from improto.messages import Code, Role
from improto_conformance.codecs.attacks.attack import MESSAGE, NOTHING, Attack, in_chunks, repeated

__all__ = ["ATTACKS"]

_LIMIT: Final = Limits().request
_ROSTER: Final = Limits().roster
_LATER: Final = b'{"type":"GOODBYE","later":%b}'


def _line(
    name: str, title: str, line: bytes, outcome: str = Code.MALFORMED, sender: Role = Role.CLIENT
) -> Attack:
    """Make an attack of one line."""
    return Attack("json", name, title, lambda: [line + b"\n"], outcome, sender=sender)


def _large(
    name: str, title: str, before: bytes, piece: bytes, times: int, behind: bytes, outcome: str
) -> Attack:
    """Make an attack of a server's line, which may be as long as a roster."""
    return Attack(
        "json",
        name,
        title,
        lambda: chain([before], repeated(piece, times), [behind, b"\n"]),
        outcome,
        sender=Role.SERVER,
        limit=_ROSTER,
    )


def _framing() -> Iterator[Attack]:
    yield Attack(
        "json",
        "line-without-end",
        "16 MiB without a line feed",
        lambda: chain([b'{"type":"STATUS","status":"'], repeated(b"x", 2**24)),
        Code.TOO_LARGE,
        fatal=True,
    )
    yield Attack(
        "json",
        "line-byte-by-byte",
        "an object as long as the limit that comes byte by byte and does not end",
        lambda: (b"{" for _ in range(_LIMIT)),
        NOTHING,
    )
    yield Attack(
        "json",
        "line-over-the-limit",
        "a line with one byte more than the limit",
        lambda: [b'{"type":"GOODBYE"}' + b" " * (_LIMIT - 17) + b"\n"],
        Code.TOO_LARGE,
        fatal=True,
    )
    yield Attack(
        "json", "blank-lines", "a million blank lines", lambda: repeated(b"\t\r\n", 1_000_000), NOTHING
    )
    yield Attack(
        "json",
        "many-messages",
        "100,000 messages at once",
        lambda: repeated(b'{"type":"GOODBYE"}\n', 100_000),
        MESSAGE,
    )
    yield Attack(
        "json", "many-errors", "100,000 lines of one brace", lambda: repeated(b"{\n", 100_000), Code.MALFORMED
    )
    yield _line(
        "white-space", "60,000 tabs before an object", b"\t" * 60_000 + b'{"type":"GOODBYE"}', MESSAGE
    )
    yield _line(
        "white-space-inside",
        "60,000 spaces within an object",
        b'{"type":' + b" " * 60_000 + b'"GOODBYE"}',
        MESSAGE,
    )
    yield _line("two-objects", "two objects on a line", b'{"type":"GOODBYE"}' * 2)


def _depth() -> Iterator[Attack]:
    for kind, opening, inside, closing in (
        ("arrays", b"[", b"", b"]"),
        ("objects", b'{"":', b"0", b"}"),
        ("pairs", b'[{"":', b"0", b"}]"),
    ):
        times = 60_000 // len(opening + closing)
        words = "arrays with an object" if kind == "pairs" else kind
        deep = opening * times + inside + closing * times
        yield _line(f"deep-{kind}", f"{times:,} {words} in each other, as the message", deep)
        yield _line(
            f"deep-{kind}-ignored",
            f"{times:,} {words} in each other, in a field that is ignored",
            _LATER % deep,
        )
        yield _line(
            f"deep-{kind}-open", f"{times:,} {words} that are not closed", _LATER[:-3] + opening * times
        )
    yield _line("four-levels-too-many", "one level too deep in an ignored field", _LATER % b"[[[[]]]]")
    yield _line("closing-brackets", "60,000 closing brackets", b"]" * 60_000)
    yield _line("mixed-brackets", "20,000 brackets of the wrong kind", b"[}" * 10_000)
    yield _line(
        "brackets-in-strings", "60,000 brackets in a string", _LATER % (b'"' + b"[{" * 30_000 + b'"'), MESSAGE
    )
    yield _line(
        "brackets-behind-quotes", "brackets that an escaped quote hides", _LATER % (b'"\\\\",[[[[[[[1]]]]]]]')
    )
    yield _large(
        "megabytes-deep",
        "2 MiB of open arrays",
        b'{"type":"ERROR","message":',
        b"[",
        2**21,
        b"",
        Code.MALFORMED,
    )


def _numbers() -> Iterator[Attack]:
    for name, title, value in (
        ("nan", "NaN", b"NaN"),
        ("infinity", "Infinity", b"Infinity"),
        ("minus-infinity", "-Infinity", b"-Infinity"),
        ("nan-within", "NaN in an array", b"[NaN]"),
        ("leading-zero", "a number with a zero ahead", b"007"),
        ("hexadecimal", "a hexadecimal number", b"0x7"),
        ("plus", "a number with a plus sign", b"+7"),
        ("bare-point", "a number that ends with its point", b"7."),
        ("underscores", "a number with underscores", b"1_000"),
        ("other-digits", "a number in Arabic digits", "\u0667".encode()),
        ("minus-signs", "60,000 minus signs", b"-" * 60_000),
    ):
        yield _line(name, f"{title} in a field that is ignored", _LATER % value)
    for name, title, value in (
        ("overflowing", "1e400", b"1e400"),
        ("underflowing", "1e-400", b"1e-400"),
        ("huge-exponent", "a number with an exponent of 60,000 digits", b"1e" + b"9" * 60_000),
        ("huge-integer", "an integer of 60,000 digits", b"9" * 60_000),
        ("huge-negative", "a negative integer of 60,000 digits", b"-" + b"9" * 60_000),
        ("huge-fraction", "a fraction of 60,000 digits", b"0." + b"3" * 60_000),
        ("minus-zero", "-0", b"-0"),
        ("many-numbers", "15,000 numbers with exponents", b"[" + b",".join([b"1e9"] * 15_000) + b"]"),
    ):
        yield _line(name, f"{title} in a field that is ignored", _LATER % value, MESSAGE)
        yield _line(
            f"{name}-as-id",
            f"{title} as a conversation's id",
            b'{"type":"JOIN","conversation":%b}' % value,
            Code.INVALID,
        )
    yield _large(
        "huge-integer-as-status",
        "an integer of 4 million digits as a status in a roster",
        b'{"type":"ONLINE_USERS","users":{"":',
        b"9",
        2**22,
        b"}}",
        Code.INVALID,
    )


def _strings() -> Iterator[Attack]:
    for name, title, value in (
        ("lone-surrogate", "the first half of a pair", b'"\\ud83d"'),
        ("lone-second-half", "the second half of a pair", b'"\\ude00"'),
        ("surrogates-swapped", "the halves of a pair in the wrong order", b'"\\ude00\\ud83d"'),
        ("surrogates-apart", "a pair in two strings", b'["\\ud83d","\\ude00"]'),
        ("surrogate-as-key", "a lone surrogate in a key", b'{"\\ud83d":0}'),
        ("surrogates", "9,000 first halves of pairs", b'"' + b"\\ud83d" * 9_000 + b'"'),
        ("escape-unknown", "an escape that there is not", b'"\\x41"'),
        ("escape-short", "an escape of three digits", b'"\\u123"'),
        ("escape-signed", "an escape with a sign for a digit", b'"\\u+123"'),
        ("escape-at-the-end", "a backslash as the last byte", b'"\\'),
        ("string-open", "a string that is not closed", b'"'),
        ("quotes", "60,000 quotes", b'"' * 60_001),
        ("quotes-escaped", "30,000 escaped quotes in a string that is not closed", b'"' + b'\\"' * 30_000),
        ("backslashes", "60,001 backslashes in a string", b'"' + b"\\" * 60_001 + b'"'),
        ("nul", "a NUL in a string", b'"\0"'),
        ("tab", "a tab in a string", b'"\t"'),
        ("apostrophes", "a string in apostrophes", b"'x'"),
    ):
        yield _line(name, f"{title}, in a field that is ignored", _LATER % value)
    yield _line(
        "escapes",
        "10,000 escaped NULs",
        b'{"type":"STATUS","status":"' + b"\\u0000" * 10_000 + b'"}',
        MESSAGE,
    )
    yield _line(
        "pairs",
        "5,000 escaped pairs",
        b'{"type":"STATUS","status":"' + b"\\ud83d\\ude00" * 5_000 + b'"}',
        MESSAGE,
    )


def _encodings() -> Iterator[Attack]:
    goodbye = '{"type":"GOODBYE"}'
    for name, title, line in (
        ("byte-order-mark", "a byte order mark ahead", b"\xef\xbb\xbf" + goodbye.encode()),
        ("byte-order-marks", "20,000 byte order marks", b"\xef\xbb\xbf" * 20_000),
        ("utf-16", "UTF-16 with a byte order mark", goodbye.encode("utf-16")),
        ("utf-16-le", "UTF-16 without one", goodbye.encode("utf-16-le")),
        ("utf-32", "UTF-32", goodbye.encode("utf-32-be")),
        ("utf-7", "a brace in UTF-7", b'+AHs-"type":"GOODBYE"}'),
        ("latin-1", "a letter in Latin-1", _LATER % b'"\xe9"'),
        ("overlong-utf-8", "a quote in two bytes of UTF-8", _LATER % b'"\xc0\xa2"'),
        ("surrogate-in-utf-8", "a surrogate in UTF-8", _LATER % b'"\xed\xa0\xbd"'),
        (
            "pair-in-utf-8",
            "a pair of surrogates in UTF-8, as CESU-8 has it",
            _LATER % b'"\xed\xa0\xbd\xed\xb8\x80"',
        ),
        ("beyond-unicode", "UTF-8 beyond Unicode", _LATER % b'"\xf4\x90\x80\x80"'),
        ("half-a-character", "half a character at the end", goodbye.encode() + b"\xe2\x82"),
        ("continuation-bytes", "60,000 continuation bytes", b"\x80" * 60_000),
        ("no-break-space", "a no-break space ahead", b"\xc2\xa0" + goodbye.encode()),
    ):
        yield _line(name, title, line)


def _many() -> Iterator[Attack]:
    def later(values: Iterable[bytes]) -> bytes:
        return b'{"type":"GOODBYE",%b}' % b",".join(values)

    yield _line(
        "keys",
        "7,000 keys, all different",
        b'{"type":"GOODBYE"' + b"".join(b',"%x":0' % n for n in range(7_000)) + b"}",
        MESSAGE,
    )
    yield _line("keys-twice", "a key 12,000 times", later([b'"":0'] * 12_000), MESSAGE)
    yield _line(
        "type-twice",
        "a type 3,000 times, of which the last counts",
        b"{" + b'"type":"LATER",' * 3_000 + b'"type":"GOODBYE"}',
        MESSAGE,
    )
    yield _line(
        "names",
        "15,000 names in an INVITE, which is for limits to refuse",
        b'{"type":"INVITE","users":[' + b",".join([b'"a"'] * 15_000) + b"]}",
        MESSAGE,
    )
    yield Attack(
        "json",
        "ten-thousand-keys",
        "a roster of 10,000 keys",
        lambda: chain(
            [b'{"type":"ONLINE_USERS","users":{"":""'],
            in_chunks(b',"%d":""' % n for n in range(10_000)),
            [b"}}\n"],
        ),
        MESSAGE,
        sender=Role.SERVER,
        limit=_ROSTER,
    )
    n = 2**21
    for kind, piece in (
        ("arrays", b"[],"),
        ("objects", b"{},"),
        ("arrays-of-arrays", b"[[]],"),
        ("numbers", b"0,"),
        ("strings", b'"",'),
        ("nulls", b"null,"),
    ):
        yield _large(
            f"megabytes-of-{kind}",
            f"2 MiB of {kind.replace('-', ' ')}, in an unknown command",
            b'{"type":"LATER","":[',
            piece,
            n // len(piece),
            b"0]}",
            Code.UNKNOWN_COMMAND,
        )


ATTACKS: Final = (*_framing(), *_depth(), *_numbers(), *_strings(), *_encodings(), *_many())
"""All of them."""
