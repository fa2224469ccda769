"""Attacks on the ascii codec: lines without end, bytes that are not text, quotes, escapes, and large numbers of everything."""

from collections.abc import Iterator
from itertools import chain
from typing import Final

from improto.limits import Limits
from improto.messages import Code, Role
from improto_conformance.codecs.attacks.attack import MESSAGE, NOTHING, Attack, in_chunks, repeated

__all__ = ["ATTACKS"]

_LIMIT: Final = Limits().request
_ROSTER: Final = Limits().roster
_MANY: Final = 100_000


def _line(
    name: str, title: str, line: bytes, outcome: str = Code.MALFORMED, sender: Role = Role.CLIENT
) -> Attack:
    """Make an attack of one line."""
    return Attack("ascii", name, title, lambda: [line + b"\n"], outcome, sender=sender)


def _large(name: str, title: str, head: bytes, piece: bytes, times: int, outcome: str) -> Attack:
    """Make an attack of a server's line, which may be as long as a roster."""
    return Attack(
        "ascii",
        name,
        title,
        lambda: chain([head], repeated(piece, times), [b"\n"]),
        outcome,
        sender=Role.SERVER,
        limit=_ROSTER,
    )


def _framing() -> Iterator[Attack]:
    yield Attack(
        "ascii",
        "line-without-end",
        "16 MiB without a line feed",
        lambda: repeated(b"JOIN ", 2**24 // 5),
        Code.TOO_LARGE,
        fatal=True,
    )
    yield Attack(
        "ascii",
        "line-byte-by-byte",
        "a line as long as the limit that comes byte by byte and does not end",
        lambda: (b"J" for _ in range(_LIMIT)),
        NOTHING,
    )
    yield Attack(
        "ascii",
        "line-over-the-limit",
        "a line with one byte more than the limit",
        lambda: [b"STATUS " + b"x" * (_LIMIT - 6) + b"\n"],
        Code.TOO_LARGE,
        fatal=True,
    )
    yield Attack(
        "ascii",
        "commands-in-a-long-line",
        "a line over the limit, at whose end a command stands that must not be found there",
        lambda: [b"x" * _LIMIT, b"xx", b"\nJOIN 7\n"],
        Code.TOO_LARGE,
        fatal=True,
    )
    yield Attack(
        "ascii", "blank-lines", "a million blank lines", lambda: repeated(b" \r\n", 1_000_000), NOTHING
    )
    yield Attack(
        "ascii", "many-messages", "100,000 messages at once", lambda: repeated(b"GOODBYE\n", _MANY), MESSAGE
    )
    yield Attack(
        "ascii",
        "many-errors",
        "100,000 lines that are no messages",
        lambda: repeated(b'J "\n', _MANY),
        Code.MALFORMED,
    )
    yield _line("carriage-returns", "60,000 carriage returns and a line feed", b"\r" * 60_000)
    yield _line(
        "spaces-inside",
        "60,000 spaces between a command and its field",
        b"JOIN" + b" " * 60_000 + b"7",
        MESSAGE,
    )
    yield _line("spaces-behind", "60,000 spaces behind a message", b"GOODBYE" + b" " * 60_000, MESSAGE)


def _bytes() -> Iterator[Attack]:
    for name, title, line in (
        ("carriage-return-inside", "a carriage return within a line", b"JOIN 7\rJOIN 8"),
        ("carriage-return-in-quotes", "a carriage return in quotes", b'JOIN "7\r"'),
        ("nul", "a NUL at the end", b"JOIN 7\0"),
        ("nul-first", "a NUL at the beginning", b"\0JOIN 7"),
        ("nuls", "60,000 NULs", bytes(60_000)),
        ("tab", "a tab for a space", b"JOIN\t7"),
        ("escape-sequence", "a sequence that colours a terminal", b'JOIN "\x1b[31m7"'),
        ("delete", "a DEL in quotes", b'JOIN "\x7f"'),
        ("latin-1", "a letter in Latin-1", b'JOIN "\xe9"'),
        ("utf-8", "a letter in UTF-8", 'JOIN "é"'.encode()),
        ("byte-order-mark", "a byte order mark ahead", b"\xef\xbb\xbfJOIN 7"),
        (
            "utf-16",
            "a line in UTF-16, whose line feed is the half of a character",
            "JOIN 7".encode("utf-16-le"),
        ),
        ("telnet-command", "a telnet negotiation", b"\xff\xfb\x01JOIN 7"),
    ):
        yield _line(name, title, line)
    yield _line("other-protocol", "the request of a browser", b"GET / HTTP/1.1\r", Code.UNKNOWN_COMMAND)


def _quotes() -> Iterator[Attack]:
    for name, title, line in (
        ("open-quote", "a quote that is not closed", b'JOIN "7'),
        ("open-quotes", "60,000 quotes", b"JOIN " + b'"' * 60_000),
        (
            "open-quote-with-spaces",
            "20,000 quotes with spaces between, the last one open",
            b"JOIN" + b' "' * 20_001,
        ),
        ("open-quote-escaped", "a quote that is closed by an escaped one", b'JOIN "7\\"'),
        ("quote-in-a-word", "a quote within a bare word", b'JOIN a"b'),
        ("text-behind-a-quote", "a word without a space behind a quote", b'JOIN "7"8'),
        ("escape-at-the-end", "a backslash as the last byte", b'JOIN "\\'),
        ("escapes-open", "30,000 escapes in a quote that is not closed", b'JOIN "' + b"\\n" * 30_000),
        ("backslashes-odd", "60,001 backslashes in quotes", b'JOIN "' + b"\\" * 60_001 + b'"'),
        ("escape-unknown", "an escape that there is not", b'JOIN "\\x41"'),
        ("escape-short", "an escape of three digits", b'JOIN "\\u123"'),
        ("escape-signed", "an escape with a sign for a digit", b'JOIN "\\u+123"'),
        (
            "escape-underscored",
            "an escape with an underscore, which Python allows in numbers",
            b'JOIN "\\u1_23"',
        ),
        ("escape-of-a-surrogate", "an escape of a lone surrogate", b'JOIN "\\ud83d"'),
        ("surrogates-swapped", "the halves of a pair in the wrong order", b'JOIN "\\ude00\\ud83d"'),
        ("surrogates-apart", "a pair with a letter between its halves", b'JOIN "\\ud83dx\\ude00"'),
        (
            "surrogates-in-two-texts",
            "a pair whose halves are two fields",
            b'SEND_MESSAGE "\\ud83d" "\\ude00"',
        ),
        ("surrogates", "10,000 first halves of pairs", b'JOIN "' + b"\\ud83d" * 10_000 + b'"'),
        ("surrogate-last", "10,000 letters and half a pair", b'JOIN "' + b"x" * 10_000 + b'\\ud83d"'),
    ):
        yield _line(name, title, line)
    yield _line("escapes", "30,000 escapes", b'STATUS "' + b"\\n" * 30_000 + b'"', MESSAGE)
    yield _line("pairs", "5,000 escaped pairs", b'STATUS "' + b"\\ud83d\\ude00" * 5_000 + b'"', MESSAGE)
    yield _line(
        "nul-escaped", "a text of 10,000 escaped NULs", b'STATUS "' + b"\\u0000" * 10_000 + b'"', MESSAGE
    )


def _maps() -> Iterator[Attack]:
    for name, title, line, outcome in (
        ("key-twice", "the same key 16,000 times", b"ONLINE_USERS" + b" a=b" * 16_000, Code.INVALID),
        ("key-twice-escaped", "the same key bare and escaped", b'ONLINE_USERS a=b "\\u0061"=c', Code.INVALID),
        ("key-alone", "a key without a value", b"ONLINE_USERS a", Code.INVALID),
        ("value-alone", "a value without a key", b"ONLINE_USERS =a", Code.INVALID),
        ("equal-signs", "60,000 equal signs", b"ONLINE_USERS " + b"=" * 60_000, Code.INVALID),
        ("commas", "60,000 commas in a list", b"CONVERSATIONS 7=" + b"," * 60_000, Code.INVALID),
        (
            "broken-at-the-end",
            "15,000 entries, of which the last is none",
            b"ONLINE_USERS" + b" a=b" * 15_000 + b' "',
            Code.MALFORMED,
        ),
        ("many-keys", "9,000 keys", b"ONLINE_USERS" + b"".join(b" %d=x" % n for n in range(9_000)), MESSAGE),
    ):
        yield _line(name, title, line, outcome, Role.SERVER)


def _many() -> Iterator[Attack]:
    yield _line("fields", "30,000 fields", b"JOIN" + b" a" * 30_000, Code.INVALID)
    yield _line("quoted-fields", "15,000 quoted fields", b"JOIN" + b' ""' * 15_000, Code.INVALID)
    yield _line("long-command", "a command of 60,000 letters", b"A" * 60_000)
    yield _large("hundred-thousand-arguments", "100,000 fields", b"ERROR", b" ab", _MANY, Code.INVALID)
    yield _large("hundred-thousand-quoted", "100,000 quoted fields", b"ERROR", b' "a"', _MANY, Code.INVALID)
    yield _large(
        "hundred-thousand-unknown",
        "100,000 fields of an unknown command",
        b"LATER",
        b" ab",
        _MANY,
        Code.UNKNOWN_COMMAND,
    )
    yield _large(
        "hundred-thousand-items", "a list of 100,000 names", b"CONVERSATIONS 7=ab", b",ab", _MANY, MESSAGE
    )
    yield _large(
        "hundred-thousand-doubles",
        "100,000 entries with the same key",
        b"ONLINE_USERS",
        b" a=b",
        _MANY,
        Code.INVALID,
    )
    yield Attack(
        "ascii",
        "million-lists-and-a-quote",
        "a million empty lists, and a quote that opens nothing",
        lambda: chain([b"CONVERSATIONS"], repeated(b" a=", 2**20), [b' "\n']),
        Code.MALFORMED,
        sender=Role.SERVER,
        limit=_ROSTER,
    )
    yield Attack(
        "ascii",
        "hundred-thousand-keys",
        "100,000 keys",
        lambda: chain([b"CONVERSATIONS"], in_chunks(b" %d=" % n for n in range(_MANY)), [b"\n"]),
        MESSAGE,
        sender=Role.SERVER,
        limit=_ROSTER,
    )


ATTACKS: Final = (*_framing(), *_bytes(), *_quotes(), *_maps(), *_many())
"""All of them."""
