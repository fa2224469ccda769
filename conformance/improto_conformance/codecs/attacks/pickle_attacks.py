"""Attacks on the pickle codec: opcodes that load, call or build; sizes, sharing, depth, numbers, and wrong combinations."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Final

from improto.limits import Limits
from improto.messages import Code, Role
from improto_conformance.codecs.attacks.attack import MESSAGE, NOTHING, Attack, in_chunks, repeated

__all__ = ["ATTACKS"]

_GIBIBYTE: Final = 2**30
_LIMIT: Final = Limits().request
_ROSTER: Final = Limits().roster
_FATAL: Final = (Code.MALFORMED, Code.TOO_LARGE)
_STATUS: Final = b"STATUS "
_USERS: Final = b"ONLINE_USERS "
# Python's hash of an integer is the rest by this prime: its multiples all have the hash 0.
_HASH_PRIME: Final = 2**61 - 1


def _sent(
    name: str,
    title: str,
    chunks: Callable[[], Iterable[bytes]],
    outcome: str = Code.MALFORMED,
    *,
    sender: Role = Role.CLIENT,
    limit: int = _LIMIT,
) -> Attack:
    return Attack("pickle", name, title, chunks, outcome, outcome in _FATAL, sender, limit)


def _attack(
    name: str,
    title: str,
    data: bytes,
    outcome: str = Code.MALFORMED,
    *,
    sender: Role = Role.CLIENT,
    limit: int = _LIMIT,
) -> Attack:
    """Make an attack of bytes that come at once."""
    return _sent(name, title, lambda: [data], outcome, sender=sender, limit=limit)


def _filled(before: bytes, piece: bytes, times: int, behind: bytes = b"") -> Callable[[], Iterator[bytes]]:
    return lambda: chain([before], repeated(piece, times), [behind])


def _large(
    name: str, title: str, before: bytes, piece: bytes, times: int, behind: bytes, outcome: str
) -> Attack:
    """Make an attack of a server's message, which may be as long as a roster."""
    return _sent(
        name, title, _filled(before, piece, times, behind), outcome, sender=Role.SERVER, limit=_ROSTER
    )


# Each would run `true` in a shell, or make or load something, if an unpickler read it.
_CALLS: Final = {
    "global": ("GLOBAL and REDUCE", b"cos\nsystem\n(S'true'\ntR."),
    "inst": ("INST", b"(S'true'\nios\nsystem\n."),
    "obj": ("GLOBAL and OBJ", b"(cos\nsystem\nS'true'\no."),
    "stack-global": ("STACK_GLOBAL and REDUCE", b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R."),
    "stack-global-alone": (
        "STACK_GLOBAL with names from the memo",
        b"U\x02osq\x00U\x06systemq\x01h\x00h\x01\x93.",
    ),
    "global-alone": ("GLOBAL of a module that is not imported yet", b"cantigravity\nfly\n."),
    "global-of-builtins": ("GLOBAL of `eval` and REDUCE", b"c__builtin__\neval\n(S'1'\ntR."),
    "global-without-end": ("GLOBAL whose lines do not end", b"c" + b"x" * 60_000),
    "reduce": ("REDUCE of a text", b"S'os.system'\n(S'true'\ntR."),
    "newobj": ("NEWOBJ", b"\x80\x02ccollections\nOrderedDict\n)\x81."),
    "newobj-alone": ("NEWOBJ of a text", b"U\x01a)\x81."),
    "newobj-ex": ("NEWOBJ_EX", b"\x80\x04\x8c\x0bcollections\x8c\x0bOrderedDict\x93)}\x92."),
    "newobj-ex-alone": ("NEWOBJ_EX of a text", b"U\x01a)}\x92."),
    "build": ("BUILD of a list", b"]}b."),
    "build-of-object": ("BUILD of an object", b"(ccollections\nOrderedDict\no}b."),
    "ext1": ("EXT1 of an extension that is registered and has been loaded", b"\x80\x02\x82\x01(S'true'\ntR."),
    "ext2": ("EXT2 of it", b"\x80\x02\x83\x01\x00(S'true'\ntR."),
    "ext4": ("EXT4 of it", b"\x80\x02\x84\x01\x00\x00\x00(S'true'\ntR."),
    "persid": ("PERSID", b"Pid\n."),
    "binpersid": ("BINPERSID", b"U\x02idQ."),
    "dup": ("DUP", b"]2."),
    "dup-bomb": ("a list doubled by 60,000 times DUP and APPEND", b"]" + b"2a" * 30_000 + b"."),
    "pop": ("POP", b"U\x01aU\x01b0."),
    "pop-mark": ("POP_MARK", b"U\x01a(U\x01b1."),
    "empty-set": ("EMPTY_SET and ADDITEMS", b"\x80\x04\x8f(U\x01a\x90."),
    "frozenset": ("FROZENSET", b"\x80\x04(U\x01a\x91."),
    "bytes": ("BINBYTES", b"\x80\x03B\x01\x00\x00\x00a."),
    "short-bytes": ("SHORT_BINBYTES", b"\x80\x03C\x01a."),
    "bytes-of-a-gibibyte": ("BINBYTES8 of 1 GiB", b"\x80\x04\x8e" + _GIBIBYTE.to_bytes(8, "little")),
    "bytearray-of-a-gibibyte": ("BYTEARRAY8 of 1 GiB", b"\x80\x05\x96" + _GIBIBYTE.to_bytes(8, "little")),
    "next-buffer": ("NEXT_BUFFER", b"\x80\x05\x97."),
    "readonly-buffer": ("READONLY_BUFFER", b"\x80\x05\x97\x98."),
    "no-opcode": ("a byte that is no opcode", b"\xff."),
}


def _calls() -> Iterator[Attack]:
    for name, (words, pickled) in _CALLS.items():
        yield _attack(name, words, _STATUS + pickled)
    for name, words, before in (
        ("in-an-unknown-command", "of an unknown command", b"LATER "),
        ("in-the-others-command", "of a command that only the other side may send", _USERS),
        ("behind-goodbye", "behind a command that has no arguments", b"GOODBYE "),
        ("in-a-list", "in a list, behind plain texts", b"INVITE (S'bo'\nS'cy'\n"),
        ("in-a-frame", "in a frame", b"STATUS \x80\x04\x95\x15\0\0\0\0\0\0\0"),
    ):
        yield _attack(f"global-{name}", f"GLOBAL and REDUCE {words}", before + _CALLS["global"][1])


# The opcodes that are read and have a length ahead, and the bytes of the length.
_COUNTED: Final = {
    "binunicode": (b"X", 4),
    "binunicode8": (b"\x8d", 8),
    "binstring": (b"T", 4),
    "long4": (b"\x8b", 4),
}


def _sizes() -> Iterator[Attack]:
    for kind, (opcode, width) in _COUNTED.items():
        head = opcode + _GIBIBYTE.to_bytes(width, "little")
        words = kind.upper()
        yield _attack(f"{kind}-of-a-gibibyte", f"{words} of 1 GiB", _STATUS + head, Code.TOO_LARGE)
        yield _attack(
            f"{kind}-of-a-gibibyte-begun",
            f"{words} of 1 GiB, of which there are 60,000 bytes",
            _STATUS + head + b"1" * 60_000,
            Code.TOO_LARGE,
        )
        yield _attack(f"{kind}-cut", f"{words} whose length is cut off", _STATUS + head[:-1], NOTHING)
    for kind, head, words, outcome in (
        ("binunicode", b"X" + b"\xff" * 4, "greatest-length", Code.TOO_LARGE),
        ("binunicode8", b"\x8d" + b"\xff" * 8, "greatest-length", Code.TOO_LARGE),
        ("binstring", b"T" + b"\xff" * 4, "negative-length", Code.MALFORMED),
        ("long4", b"\x8b" + b"\xff" * 4, "negative-length", Code.MALFORMED),
    ):
        title = f"{kind.upper()} whose length has each bit set"
        yield _attack(f"{kind}-of-{words}", title, _STATUS + head, outcome)
    for kind, head in (("short-binunicode", b"\x8c"), ("short-binstring", b"U"), ("long1", b"\x8a")):
        words = f"{kind.upper()} of 255 bytes, of which there is none"
        yield _attack(f"{kind}-without-contents", words, _STATUS + head + b"\xff", NOTHING)
    for kind, head in (
        ("string", b"S'"),
        ("unicode", b"V"),
        ("int", b"I"),
        ("long", b"L"),
        ("float", b"F"),
        ("put", b"]p"),
        ("get", b"]p0\ng"),
    ):
        title = f"16 MiB of {kind.upper()} without a line feed"
        yield _sent(f"{kind}-without-end", title, _filled(_STATUS + head, b"1", 2**24), Code.TOO_LARGE)


def _framing() -> Iterator[Attack]:
    def framed(length: int) -> bytes:
        return b"STATUS \x80\x04\x95" + length.to_bytes(8, "little")

    hello = b"\x8c\x05hello\x94."
    for name, title, head in (
        ("frame-of-a-gibibyte", "FRAME of 1 GiB before a text", framed(_GIBIBYTE)),
        ("frame-of-greatest-length", "FRAME whose length has each bit set", framed(2**64 - 1)),
        ("frame-across-a-text", "FRAME that ends within a text", framed(4)),
        ("frame-of-nothing", "FRAME of no bytes", framed(0)),
        ("frame-in-a-frame", "FRAME in a FRAME", framed(20) + b"\x95" + bytes(8)),
        ("frames", "7,000 FRAMEs before a text", _STATUS + (b"\x95" + bytes(8)) * 7_000),
    ):
        yield _attack(name, title, head + hello, MESSAGE)
    yield _attack("frame-cut", "FRAME whose length is cut off", framed(0)[:-1], NOTHING)
    endless = _filled(_STATUS, b"\x95" + bytes(8), 2**20)
    yield _sent("frames-without-end", "FRAMEs without end", endless, Code.TOO_LARGE)
    yield _attack("proto-in-mid-stream", "PROTO behind a text", b"STATUS U\x01a\x80\x02.")
    yield _attack("proto-behind-a-frame", "PROTO behind FRAME", framed(2) + b"\x80\x04N.")
    yield _attack("proto-twice", "PROTO twice", b"STATUS \x80\x02\x80\x02N.")
    yield _attack("proto-255", "PROTO of version 255", b"STATUS \x80\xffN.")
    yield _attack("trailing-bytes", "bytes behind a message that are no other", b"STATUS U\x01a.\0\0\0\0")
    stops = b"STATUS T\x60\xea\0\0" + b"." * 60_000 + b"."
    yield _attack("stop-in-texts", "60,000 full stops in a text", stops, MESSAGE)
    yield _attack("stop-alone", "STOP without a value", b"STATUS .")


def _streams() -> Iterator[Attack]:
    for name, title, before, piece, times, outcome in (
        ("no-stop", "opcodes that never come to STOP", _STATUS, b"N", 2**20, Code.TOO_LARGE),
        ("name-without-end", "a mebibyte of capital letters", b"", b"A", 2**20, Code.MALFORMED),
        ("line-ends", "a million line feeds", b"", b"\n", 10**6, NOTHING),
        ("many-messages", "100,000 messages at once", b"", b"JOIN (S'7'\nl.", 100_000, MESSAGE),
        ("many-interpreted", "100,000 messages with integers", b"", b"JOIN I7\n.", 100_000, MESSAGE),
        ("many-bare", "100,000 commands without arguments", b"", b"GOODBYE (l.", 100_000, MESSAGE),
        ("many-errors", "100,000 unknown commands", b"", b"LATER N.", 100_000, Code.UNKNOWN_COMMAND),
    ):
        yield _sent(name, title, _filled(before, piece, times), outcome)
    yield _sent(
        "text-byte-by-byte",
        "a text of 60,000 bytes that comes byte by byte",
        lambda: chain([b"STATUS T\x60\xea\0\0"], (b"x" for _ in range(60_000)), [b"."]),
        MESSAGE,
    )
    yield _sent(
        "line-byte-by-byte",
        "a quoted text of 60,000 bytes that comes byte by byte",
        lambda: chain([b"STATUS S'"], (b"x" for _ in range(60_000)), [b"'\n."]),
        MESSAGE,
    )
    yield _sent(
        "opcodes-byte-by-byte",
        "30,000 texts that come byte by byte",
        lambda: chain([b"INVITE ("], (byte for _ in range(30_000) for byte in (b"U", b"\0")), [b"l."]),
        MESSAGE,
    )
    yield _sent(
        "quarter-mebibyte-in-16-bytes",
        "a text of 256 KiB in pieces of 16 bytes",
        lambda: chain([b"ERROR S'"], (b"0123456789abcdef" for _ in range(2**14)), [b"'\n."]),
        MESSAGE,
        sender=Role.SERVER,
        limit=_ROSTER,
    )


def _memo() -> Iterator[Attack]:
    huge = b"\xff" * 4
    put = b"STATUS U\x01ar" + huge
    yield _attack("put-far-away", "LONG_BINPUT of the greatest number", put + b".", MESSAGE)
    yield _attack(
        "put-far-away-and-get",
        "LONG_BINPUT of the greatest number, and LONG_BINGET of it",
        b"INVITE (U\x01ar" + huge + b"j" + huge + b"l.",
        MESSAGE,
    )
    yield _sent(
        "puts-far-away",
        "12,000 LONG_BINPUTs of great numbers",
        lambda: in_chunks(
            [
                b"STATUS U\x01a",
                *(b"r" + (2**32 - n).to_bytes(4, "little") for n in range(1, 12_001)),
                b".",
            ]
        ),
        MESSAGE,
    )
    many = b"STATUS ]p" + b"9" * 60_000 + b"\n."
    yield _attack("put-of-many-digits", "PUT of a number of 60,000 digits", many)
    yield _attack("get-of-nothing", "BINGET of what was not put", b"STATUS h\x07.")
    yield _attack("get-far-away", "LONG_BINGET of what was not put", b"STATUS j" + huge + b".")
    yield _attack("put-of-nothing", "BINPUT without a value", b"STATUS q\0.")
    yield _attack("memoize-of-nothing", "MEMOIZE without a value", b"STATUS \x94.")
    yield _large(
        "memoized", "a value memoised a million times", b"L N", b"\x94", 2**20, b".", Code.UNKNOWN_COMMAND
    )
    yield _large(
        "memoized-until-the-memo-grows",
        "a value memoised 1.4 million times, when Python has just enlarged the memo",
        b"L N",
        b"\x94",
        2**22 // 3 + 2**14,
        b".",
        Code.UNKNOWN_COMMAND,
    )
    title = "a value memoised 16 million times"
    yield _large("memoized-too-often", title, b"L N", b"\x94", 2**24 - 20, b".", Code.TOO_LARGE)
    yield _sent(
        "memo-numbers-that-collide",
        "100,000 PUTs whose numbers have the hash 0 in Python",
        lambda: in_chunks(
            chain([b"LATER N"], (b"p%d\n" % (n * _HASH_PRIME) for n in range(1, 100_001)), [b"."])
        ),
        Code.UNKNOWN_COMMAND,
        sender=Role.SERVER,
        limit=_ROSTER,
    )


def _bombs() -> Iterator[Attack]:
    doubled = b"".join(b"(h%ch%clq%c" % (n, n, n + 1) for n in range(100))
    bomb = b"INVITE (]q\0" + doubled + b"l."
    yield _attack("memo-bomb", "a list doubled 100 times through the memo", bomb, Code.TOO_LARGE)
    lists = b"(]q\0(" + b"U\x01a" * 100 + b"e(" + b"h\0" * 100 + b"lq\x01(" + b"h\x01" * 100 + b"ll."
    title = "a million texts in a hundred lists of a hundred lists of a hundred"
    yield _attack("memo-bomb-of-lists", title, b"INVITE " + lists, Code.TOO_LARGE)
    maps = b"(}q\0(" + b"U\x01aN" * 100 + b"u(" + b"Nh\0" * 100 + b"dq\x01(" + b"Nh\x01" * 100 + b"dl."
    title = "a million texts in a hundred maps of a hundred maps of a hundred"
    yield _attack("memo-bomb-of-maps", title, b"INVITE " + maps, Code.TOO_LARGE)
    pairs = b"INVITE )" + b"q\0h\0\x86" * 10_000 + b"."
    yield _attack("memo-bomb-of-pairs", "10,000 pairs, each twice the one before", pairs, Code.TOO_LARGE)
    text = b"T\xe8\x03\0\0" + b"x" * 1000 + b"q\0"
    title = "a text of 1,000 bytes got 10,000 times"
    got = b"INVITE (" + text + b"h\0" * 10_000 + b"l."
    yield _attack("long-text-many-times", title, got, Code.TOO_LARGE)
    title = "a text of 1,000 bytes got 10,000 times as key and as value"
    got = b"ONLINE_USERS (" + text + b"N" + b"h\0h\0" * 10_000 + b"d."
    yield _attack("long-key-many-times", title, got, Code.TOO_LARGE, limit=_LIMIT, sender=Role.SERVER)
    title = "a text of 1,000 bytes got a million times"
    before = b"CONVERSATIONS (" + text + b"("
    yield _large("long-text-million-times", title, before, b"h\0", 10**6, b"ld.", Code.TOO_LARGE)
    title = "a text of 10 bytes got 2 million times"
    yield _large(
        "text-million-times", title, b"ERROR (U\x0a0123456789q\0", b"h\0", 2**21, b"l.", Code.TOO_LARGE
    )


def _depth() -> Iterator[Attack]:
    server = Role.SERVER
    for name, title, data, sender in (
        ("list-in-itself", "a list that contains itself", b"INVITE ]q\0h\0a.", Role.CLIENT),
        ("map-in-itself", "a map that contains itself", _USERS + b"}q\0U\x01ah\0s.", server),
        ("map-as-its-own-key", "a map that is a key in itself", _USERS + b"}q\0h\0Ns.", server),
        ("list-in-its-tuple", "a list that contains its tuple", b"INVITE ]q\0h\0\x85q\x01a.", Role.CLIENT),
        ("lists-in-each-other", "two lists in each other", b"INVITE ]q\0]q\x01h\0aa.", Role.CLIENT),
        ("deep-lists", "30,000 lists", b"INVITE " + b"]" * 30_000 + b"a" * 29_999 + b".", Role.CLIENT),
        ("deep-tuples", "30,000 tuples", b"INVITE )" + b"\x85" * 29_999 + b".", Role.CLIENT),
        ("deep-maps", "15,000 maps", b"INVITE " + b"}N" * 15_000 + b"}" + b"s" * 15_000 + b".", Role.CLIENT),
        ("deep-keys", "15,000 maps as keys", b"INVITE }" + b"q\0}h\0Ns" * 9_000 + b".", Role.CLIENT),
    ):
        yield _attack(
            name, title + (" in each other" if name.startswith("deep") else ""), data, sender=sender
        )
    yield _attack("open-marks", "60,000 open marks", _STATUS + b"(" * 60_000)
    listed = b"CONVERSATIONS "
    for name, title, before, piece, times, behind, outcome in (
        (
            "deepest-tuples",
            "a million tuples in each other",
            listed + b")",
            b"\x85",
            2**20,
            b".",
            Code.MALFORMED,
        ),
        ("million-open-marks", "a million open marks", listed, b"(", 2**20, b".", Code.MALFORMED),
        ("million-lists", "a million empty lists", listed + b"(", b"]", 2**20, b"l.", Code.INVALID),
        ("million-tuples", "a million empty tuples", listed + b"(", b")", 2**20, b"l.", Code.INVALID),
        (
            "million-maps",
            "a million empty maps, as keys too",
            listed + b"(",
            b"}",
            2**20,
            b"d.",
            Code.INVALID,
        ),
        (
            "million-lists-left",
            "a million empty lists on the stack",
            listed,
            b"]",
            2**20,
            b".",
            Code.MALFORMED,
        ),
        ("most-lists", "as many lists as may be", listed + b"(", b"]", 2**23, b"l.", Code.INVALID),
        ("most-maps", "as many maps as may be", listed + b"(", b"}", 2**23, b"d.", Code.INVALID),
        (
            "million-memoized",
            "a million memoised maps",
            listed + b"(",
            b"}\x94",
            2**20,
            b"d.",
            Code.INVALID,
        ),
        ("too-many-lists", "16 million empty lists", listed + b"(", b"]", 2**24 - 20, b"l.", Code.TOO_LARGE),
    ):
        yield _large(name, title, before, piece, times, behind, outcome)


def _numbers() -> Iterator[Attack]:
    nines = b"9" * 60_000
    halves = b"9" * 30_000
    for name, title, pickled, outcome in (
        ("int-of-many-digits", "INT of 60,000 digits", b"I" + nines + b"\n", Code.INVALID),
        ("long-of-many-digits", "LONG of 60,000 digits", b"L" + nines + b"L\n", Code.INVALID),
        (
            "long4-of-many-bytes",
            "LONG4 of 60,000 bytes",
            b"\x8b\x60\xea\0\0" + b"\x7f" * 60_000,
            Code.INVALID,
        ),
        ("long1-of-many-bytes", "LONG1 of 255 bytes", b"\x8a\xff" + b"\x7f" * 255, Code.INVALID),
        ("leading-zeros", "INT with 60,000 zeros in front", b"I" + b"0" * 60_000 + b"7\n", MESSAGE),
        ("long-with-two-l", "LONG that ends with two L", b"L1LL\n", Code.MALFORMED),
        ("float-of-many-digits", "FLOAT of 60,000 digits", b"F" + nines + b"\n", Code.INVALID),
        ("float-with-a-letter", "FLOAT of 60,000 digits and a letter", b"F" + nines + b"x\n", Code.MALFORMED),
        (
            "float-with-a-point-and-a-letter",
            "FLOAT of 30,000 digits, a point, as many digits and a letter",
            b"F" + halves + b"." + halves + b"x\n",
            Code.MALFORMED,
        ),
        ("nan", "NaN as an id", b"Fnan\n", Code.INVALID),
        ("infinity", "infinity as an id", b"G\x7f\xf0" + bytes(6), Code.INVALID),
        ("bool", "true as an id", b"\x88", Code.INVALID),
        ("old-bool", "true as an id, in protocol 0", b"I01\n", Code.INVALID),
    ):
        yield _attack(name, title, b"JOIN " + pickled + b".", outcome)
    for name, digits in (
        ("plus", b"+1"),
        ("blank", b" 1"),
        ("underscore", b"1_0"),
        ("hexadecimal", b"0x10"),
        ("exponent", b"1e9"),
        ("foreign-digits", b"\xd9\xa1"),
        ("carriage-return", b"1\r"),
        ("two-signs", b"--1"),
        ("no-digits", b""),
        ("nul", b"1\0"),
    ):
        yield _attack(f"int-with-{name}", f"INT of `{repr(digits)[2:-1]}`", b"JOIN I" + digits + b"\n.")
    large = "INT of 16 million digits"
    yield _large("int-of-most-digits", large, b"CONVERSATIONS I", b"9", 2**24 - 20, b"\n.", Code.INVALID)
    yield _large(
        "nan-keys", "a million keys that are NaN", _USERS + b"(", b"Fnan\nN", 10**6, b"d.", Code.INVALID
    )
    yield _sent(
        "integer-keys-that-collide",
        "100,000 integer keys that have the hash 0 in Python",
        lambda: in_chunks(
            chain([b"CONVERSATIONS ("], (b"I%d\n]" % (n * _HASH_PRIME) for n in range(1, 100_001)), [b"d."])
        ),
        MESSAGE,
        sender=Role.SERVER,
        limit=_ROSTER,
    )


def _texts() -> Iterator[Attack]:
    for name, title, pickled, outcome in (
        ("lone-surrogate-in-unicode", "a lone surrogate in UNICODE", b"V\\ud800\n", Code.MALFORMED),
        ("halves-reversed", "the halves of a character reversed", b"V\\ude00\\ud83d\n", Code.MALFORMED),
        ("lone-surrogate-in-binunicode", "the same in BINUNICODE", b"X\3\0\0\0\xed\xa0\x80", Code.MALFORMED),
        ("lone-surrogate-in-bytes", "the same in bytes, as Latin-1", b"U\3\xed\xa0\x80", MESSAGE),
        ("bad-utf-8", "BINUNICODE of bytes that are not UTF-8", b"X\2\0\0\0\xc0\x80", Code.MALFORMED),
        ("beyond-unicode", "UNICODE beyond Unicode", b"V\\U00110000\n", Code.MALFORMED),
        ("broken-escape-in-unicode", "UNICODE with a broken escape", b"V\\u12\n", Code.MALFORMED),
    ):
        yield _attack(name, title, _STATUS + pickled + b".", outcome)
    for name, quoted in (
        ("none", b"a"),
        ("one", b"'"),
        ("nothing", b""),
        ("not-closed", b"'a"),
        ("two-kinds", b"'a\""),
        ("closed-early", b"'a'b'"),
        ("two-strings", b"'a' 'b'"),
        ("sum", b"'a'+'b'"),
        ("escaped-at-the-end", b"'a\\'"),
        ("blank-behind", b"'a' "),
        ("prefix", b"u'a'"),
        ("code", b"__import__('os').system('true')"),
        ("broken-escape", b"'\\x4'"),
    ):
        yield _attack(f"quotes-{name}", f"STRING of `{quoted.decode()}`", _STATUS + b"S" + quoted + b"\n.")
    for name, title, before, piece, behind, outcome in (
        ("backslashes", "backslashes in STRING", b"S'", b"\\\\", b"'\n.", MESSAGE),
        ("octal-escapes", "octal escapes in STRING", b"S'", b"\\101", b"'\n.", MESSAGE),
        ("no-escapes", "escapes in STRING that mean nothing", b"S'", b"\\q", b"'\n.", MESSAGE),
        (
            "escaped-quotes-not-closed",
            "escaped quotes in STRING, not closed",
            b"S'",
            b"\\'",
            b"\n.",
            Code.MALFORMED,
        ),
        ("unicode-escapes", "escapes in UNICODE", b"V", b"\\u0041", b"\n.", MESSAGE),
        ("halves", "halves of characters in UNICODE", b"V", b"\\ud83d\\ude00", b"\n.", MESSAGE),
        ("lone-halves", "lone halves in UNICODE", b"V", b"\\ud83d", b"\n.", Code.MALFORMED),
    ):
        times = 2**22 // len(piece)
        yield _large(name, f"4 MiB of {title}", b"ERROR " + before, piece, times, behind, outcome)


def _fitting() -> Iterator[Attack]:
    for name, title, pickled in (
        ("setitem-on-a-list", "SETITEM on a list", b"]U\x01aU\x01bs."),
        ("setitems-on-a-list", "SETITEMS on a list", b"](U\x01aU\x01bu."),
        ("setitem-on-a-text", "SETITEM on a text", b"U\x01aU\x01aU\x01bs."),
        ("append-to-a-map", "APPEND to a map", b"}U\x01aa."),
        ("append-to-a-text", "APPEND to a text", b"U\x01aU\x01aa."),
        ("appends-to-a-tuple", "APPENDS to a tuple", b")(U\x01ae."),
        ("append-to-nothing", "APPEND without a list", b"U\x01aa."),
        ("appends-without-a-mark", "APPENDS without MARK", b"]U\x01ae."),
        ("list-without-a-mark", "LIST without MARK", b"U\x01al."),
        ("tuple-across-a-mark", "TUPLE2 of values on both sides of MARK", b"U\x01a(U\x01b\x86."),
        ("append-across-a-mark", "APPEND across MARK", b"](U\x01aa."),
        ("put-across-a-mark", "BINPUT of what lies below MARK", b"U\x01a(q\0l."),
        ("key-without-a-value", "DICT of three values", b"(U\x01aU\x01bU\x01cd."),
        ("junk-on-the-stack", "a value too many at STOP", b"NU\x01a."),
        ("much-junk-on-the-stack", "60,000 values too many at STOP", b"N" * 60_000 + b"U\x01a."),
        ("open-mark-at-stop", "an open mark at STOP", b"U\x01a(."),
    ):
        yield _attack(name, title, _STATUS + pickled)
    twice = _USERS + b"(S'bo'\nS'x'\nS'bo'\nS'y'\nd."
    yield _attack("key-twice", "a name twice in a roster", twice, Code.INVALID, sender=Role.SERVER)
    same = b"CONVERSATIONS (I1\n(lS'1'\n(ld."
    yield _attack("key-as-integer-too", "1 and '1' as keys", same, Code.INVALID, sender=Role.SERVER)
    title = "a name a million times in a roster"
    yield _large("key-million-times", title, _USERS + b"(", b"U\x01aN", 10**6, b"d.", Code.INVALID)
    yield _attack("many-names", "12,000 names", b"INVITE (" + b"U\x02bo" * 12_000 + b"l.", MESSAGE)
    yield _attack("many-fields", "20,000 fields", b"JOIN (" + b"U\x017" * 20_000 + b"l.", Code.INVALID)
    yield _attack("text-as-list", "a text in place of a list of names", b"INVITE S'bo'\n.", Code.INVALID)
    yield _attack("value-behind-goodbye", "a value that is not empty behind GOODBYE", b"GOODBYE (I1\nl.")
    yield _attack("no-command", "a request of another protocol", b"GET / HTTP/1.1\r\n\r\n")


ATTACKS: Final = (
    *_calls(),
    *_sizes(),
    *_framing(),
    *_streams(),
    *_memo(),
    *_bombs(),
    *_depth(),
    *_numbers(),
    *_texts(),
    *_fitting(),
)
