"""Tests of the ascii codec: its grammar, line by line, and what it refuses."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from improto.errors import DecodeError
from improto.messages import (
    COMMANDS,
    AnyMessage,
    Code,
    Conversations,
    Error,
    Goodbye,
    Invitation,
    Invite,
    Join,
    Leave,
    ListConversations,
    Message,
    OnlineUsers,
    Register,
    Role,
    SendMessage,
    Status,
)
from improto_codecs.ascii_codec import AsciiCodec
from improto_conformance.codecs.strategies import messages

CODEC = AsciiCodec()
BOTH = "\U0001f600"

CANONICAL: list[tuple[AnyMessage, bytes]] = [
    (Register("bo", "at work"), b'REGISTER bo "at work"'),
    (OnlineUsers({"bo": "", "cy lee": "x"}), b'ONLINE_USERS bo="" "cy lee"=x'),
    (OnlineUsers({}), b"ONLINE_USERS"),
    (OnlineUsers({"a,b": "c=d", "(": "\\"}), b'ONLINE_USERS "a,b"="c=d" (=\\'),
    (Status(""), b'STATUS ""'),
    (Status("\u00e9" + BOTH + "\x7f\n"), b'STATUS "\\u00e9\\ud83d\\ude00\\u007f\\n"'),
    (Goodbye(), b"GOODBYE"),
    (Invite(("bo", "cy lee")), b'INVITE bo "cy lee"'),
    (Invitation("7", "bo"), b"INVITATION 7 bo"),
    (ListConversations(), b"LIST_CONVERSATIONS"),
    (Conversations({"7": (), "8": ("bo", "c,y")}), b'CONVERSATIONS 7= 8=bo,"c,y"'),
    (Conversations({"a=b": ("",)}), b'CONVERSATIONS "a=b"=""'),
    (Join("7"), b"JOIN 7"),
    (SendMessage("7", "hi"), b"SEND_MESSAGE 7 hi"),
    (SendMessage("7", "a\\n=,"), b"SEND_MESSAGE 7 a\\n=,"),
    (SendMessage("7", 'say "a\\b"'), b'SEND_MESSAGE 7 "say \\"a\\\\b\\""'),
    (Message("7", "bo", "{}"), b'MESSAGE 7 bo "{}"'),
    (Leave("7"), b"LEAVE 7"),
    (Error("invalid: text is long"), b'ERROR "invalid: text is long"'),
]


def refusal(line: bytes, sender: Role = Role.CLIENT) -> str:
    """Give the code with which a line is refused, never fatally."""
    with pytest.raises(DecodeError) as caught:
        CODEC.decode(line, sender)
    assert not caught.value.fatal
    return caught.value.code


@pytest.mark.parametrize(("message", "line"), CANONICAL)
def test_canonical_form(message: AnyMessage, line: bytes) -> None:
    """Each message has its canonical line, and the line is read as the message (ASCII-7, ASCII-8, ASCII-12)."""
    assert CODEC.encode(message) == line
    assert CODEC.decode(line, message.FROM) == message


@given(messages())
def test_output_is_printable(message: AnyMessage) -> None:
    """What is sent is one line of printable ASCII (ASCII-4)."""
    assert all(0x20 <= byte <= 0x7E for byte in CODEC.encode(message))


@given(message=messages(), spaces=st.integers(1, 5))
def test_more_spaces(message: AnyMessage, spaces: int) -> None:
    """Spaces around a line mean nothing (ASCII-5)."""
    assert CODEC.decode(b" " * spaces + CODEC.encode(message) + b" " * spaces, message.FROM) == message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'  REGISTER   "bo"     at-work  ', Register("bo", "at-work")),
        (
            b'STATUS "\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00E9\\uD83D\\ude00"',
            Status('"\\/\b\f\n\r\tA\u00e9' + BOTH),
        ),
        (b'STATUS "\\ud7ff\\ue000\\uFFFF\\u0000"', Status("\ud7ff\ue000\uffff\0")),
        (b"STATUS a\\u0041", Status("a\\u0041")),
        (b"STATUS a(b)[c]{d}", Status("a(b)[c]{d}")),
        (b"STATUS \\", Status("\\")),
        (b"STATUS =,", Status("=,")),
        (b'JOIN "7"', Join("7")),
    ],
)
def test_other_forms_are_accepted(line: bytes, message: AnyMessage) -> None:
    """Quotes, escapes and spaces that are not canonical are read all the same (ASCII-4, ASCII-5, ASCII-6)."""
    assert CODEC.decode(line, message.FROM) == message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'  ONLINE_USERS   "bo"=x  ', OnlineUsers({"bo": "x"})),
        (b"ONLINE_USERS [a]={b}", OnlineUsers({"[a]": "{b}"})),
        (b'ONLINE_USERS ""=""', OnlineUsers({"": ""})),
        (b'CONVERSATIONS "7"="bo",cy 8=', Conversations({"7": ("bo", "cy"), "8": ()})),
        (b'CONVERSATIONS 7="a,b=",""', Conversations({"7": ("a,b=", "")})),
    ],
)
def test_other_forms_of_maps(line: bytes, message: AnyMessage) -> None:
    """Items of maps may be quoted, and each of the empty things is told from the others (ASCII-7, ASCII-8)."""
    assert CODEC.decode(line, Role.SERVER) == message


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"   ",
        b"\t",
        b"join 7",
        b"7 JOIN",
        b"JOIN7 7",
        b"A" * 21,
        b"JOIN\t7",
        b"JOIN 7\r",
        b"JOIN 7\n",
        b"\nJOIN 7",
        b"JOIN \xc3\xa9",
        b"JOIN 7\x7f",
        b"JOIN 7\x00",
        b"\xef\xbb\xbfJOIN 7",
        b"JOIN (7",
        b"JOIN )",
        b"JOIN [7]",
        b"JOIN ]",
        b"JOIN {",
        b"JOIN }",
        b'JOIN 7"',
        b'JOIN a"b',
        b'JOIN "7',
        b'JOIN "7"8',
        b'JOIN "7""8"',
        b'JOIN"7"',
        b'JOIN "\\x"',
        b'JOIN "\\"',
        b'JOIN "\\u12"',
        b'JOIN "\\u12g4"',
        b'JOIN "\\U0041"',
        b'JOIN "\\ud800"',
        b'JOIN "\\udc00"',
        b'JOIN "\\ude00\\ud83d"',
        b'JOIN "\\ud83d\\u0041"',
        b'JOIN "\\ud83d \\ude00"',
        b'JOIN "a\tb"',
        b'FROBNICATE "',
        b'GOODBYE ("',
        b"GOODBYE=",
    ],
)
def test_malformed(line: bytes) -> None:
    """What fits neither the grammar nor a command with fields is malformed, also without a known command (ASCII-11)."""
    assert refusal(line) == Code.MALFORMED


@pytest.mark.parametrize(
    "line",
    [
        b'ONLINE_USERS "a"',
        b"ONLINE_USERS a",
        b"ONLINE_USERS a=",
        b"ONLINE_USERS =a",
        b"ONLINE_USERS a=b=c",
        b"ONLINE_USERS a=b,c",
        b"ONLINE_USERS a=b a=c",
        b'ONLINE_USERS a=b "\\u0061"=c',
        b"CONVERSATIONS 7",
        b"CONVERSATIONS 7=a,",
        b"CONVERSATIONS 7=,a",
        b"CONVERSATIONS 7=a,,b",
        b"CONVERSATIONS 7=a 7=b",
        b'CONVERSATIONS 7= "7"=',
        b"ERROR",
        b"ERROR a b",
        b"MESSAGE 7 bo",
        b"INVITATION 7 bo x",
    ],
)
def test_invalid_from_a_server(line: bytes) -> None:
    """A known command with fields or keys that do not fit is invalid (ASCII-10, CODEC-10)."""
    assert refusal(line, Role.SERVER) == Code.INVALID


@pytest.mark.parametrize(
    "line", [b"JOIN", b"JOIN 7 8", b"GOODBYE x", b'GOODBYE ""', b"REGISTER bo", b"STATUS"]
)
def test_invalid_from_a_client(line: bytes) -> None:
    """A request with the wrong number of fields is invalid (ASCII-10, CODEC-5)."""
    assert refusal(line) == Code.INVALID


@pytest.mark.parametrize(
    "line",
    [b'ONLINE_USERS a="b" "c"=', b'CONVERSATIONS 7=a"', b'ONLINE_USERS a=""x', b'ONLINE_USERS a="b"="c"'],
)
def test_maps_that_are_not_even_fields(line: bytes) -> None:
    """A broken map whose parts are no fields either is malformed, whoever sends it (ASCII-11)."""
    assert refusal(line, Role.SERVER) == Code.MALFORMED
    assert refusal(line, Role.CLIENT) == Code.MALFORMED


@pytest.mark.parametrize(
    "line",
    [
        b"NOOP",
        b"_",
        b"A" * 20,
        b'LATER a "b c" d=e',
        b"ONLINE_USERS",
        b'ONLINE_USERS a=""',
        b'CONVERSATIONS 7="a","b" 7=',
        b"ONLINE_USERS a",
        b"ERROR x",
    ],
)
def test_unknown(line: bytes) -> None:
    """Another command, or one of the other end, with parts of the right form is unknown (ASCII-10)."""
    assert refusal(line) == Code.UNKNOWN_COMMAND


# The rules of `ascii.abnf`, word for word; only INVITE's 64 is left to the limits.
HEX = "[0-9A-Fa-f]"
BMP = rf"(?:[0-9A-CEFa-cef]{HEX}{{3}}|[Dd][0-7]{HEX}{{2}})"
PAIR = rf"[Dd][89ABab]{HEX}{{2}}\\u[Dd][C-Fc-f]{HEX}{{2}}"
QUOTED = rf'"(?:[\x20-\x21\x23-\x5B\x5D-\x7E]|\\(?:["\\/bfnrt]|u(?:{BMP}|{PAIR})))*"'
WORD = r"[\x21\x23-\x27\x2A-\x5A\x5C\x5E-\x7A\x7C\x7E][\x21\x23-\x7E]*"
FIELD = rf" +(?:{WORD}|{QUOTED})"
ITEM = rf"(?:[\x21\x23-\x2B\x2D-\x3C\x3E-\x7E]+|{QUOTED})"
NUMBERS = {
    "REGISTER": "{2}",
    "STATUS": "{1}",
    "GOODBYE": "{0}",
    "INVITE": "*",
    "INVITATION": "{2}",
    "LIST_CONVERSATIONS": "{0}",
    "JOIN": "{1}",
    "LEAVE": "{1}",
    "SEND_MESSAGE": "{2}",
    "MESSAGE": "{3}",
    "ERROR": "{1}",
}
RULES = [f"{command}(?:{FIELD}){number}" for command, number in NUMBERS.items()] + [
    rf"ONLINE_USERS(?: +{ITEM}={ITEM})*",
    rf"CONVERSATIONS(?: +{ITEM}=(?:{ITEM}(?:,{ITEM})*)?)*",
]
MESSAGE = re.compile(f" *(?:{'|'.join(RULES)}) *")
ANY_COMMAND = re.compile(f" *[A-Z_]{{1,20}}(?:{FIELD})* *")
PARTS = (
    *(
        " ",
        "  ",
        ' "',
        ' "',
        '"',
        '" ',
        "a b",
        '"a b"',
        '""',
        " a=b",
        ' "c"=',
        '="',
        "=",
        ",",
        "(",
        "]",
        "a",
        "7",
    ),
    *("\\", '\\"', "\\n", "\\x", "\\u00e9", "\\uD83D", "\\udE00", "\\u12", "\t", "\x7f", "\x80"),
)


@given(
    command=st.sampled_from([*COMMANDS, *COMMANDS, "LATER", "later", "A" * 21, ""]),
    rest=st.lists(st.sampled_from(PARTS), max_size=8).map("".join),
    sender=st.sampled_from(Role),
)
@settings(max_examples=1000)
def test_lines_are_judged_by_the_grammar(command: str, rest: str, sender: Role) -> None:
    """A line is a message, invalid, unknown or malformed just as the grammar says (ASCII-1, ASCII-10, ASCII-11)."""
    line = command + rest
    outcomes: set[str]
    if not ANY_COMMAND.fullmatch(line) and not MESSAGE.fullmatch(line):
        outcomes = {Code.MALFORMED}
    elif (known := COMMANDS.get(line.split(" ")[0])) is None or known.FROM is not sender:
        outcomes = {Code.UNKNOWN_COMMAND}
    elif not MESSAGE.fullmatch(line):
        outcomes = {Code.INVALID}
    else:
        # A key may stand twice, which no grammar tells.
        outcomes = {"read", Code.INVALID} if known in (OnlineUsers, Conversations) else {"read"}
    try:
        CODEC.decode(line.encode("latin-1"), sender)
        outcome = "read"
    except DecodeError as error:
        outcome = error.code
    assert outcome in outcomes


def test_blank_lines_are_skipped() -> None:
    """On a stream lines of spaces are skipped, and a tab is not a space (ASCII-2, ASCII-3)."""
    reader = CODEC.reader(Role.CLIENT)
    reader.feed(b"\n  \r\n\r\nGOODBYE\r\n\t\n")
    assert reader.next(100) == Goodbye()
    with pytest.raises(DecodeError):
        reader.next(100)


N = 100_000


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"JOIN" + b" a" * N, Code.INVALID),
        (b"LATER" + b' ""' * N, Code.UNKNOWN_COMMAND),
        (b"JOIN " + b"a" * N + b'"', Code.MALFORMED),
        (b"JOIN" + b" " * N + b"\x01", Code.MALFORMED),
        (b'JOIN "' + b"\\n" * N, Code.MALFORMED),
        (b"JOIN " + b'"\\' * N, Code.MALFORMED),
        (b"JOIN" + b' "' * (N + 1), Code.MALFORMED),
        (b"ONLINE_USERS" + b' a=""' * N, Code.UNKNOWN_COMMAND),
        (b"ONLINE_USERS" + b' a=""' * N + b' "', Code.MALFORMED),
        (b"CONVERSATIONS 7=" + b'"",' * N, Code.MALFORMED),
        (b"CONVERSATIONS 7=" + b"a," * N, Code.UNKNOWN_COMMAND),
        (b"A" * N, Code.MALFORMED),
    ],
)
def test_attacks(line: bytes, code: Code) -> None:
    """Lines made to be read again and again, with 100,000 parts, are refused like short ones."""
    assert refusal(line) == code


def test_many_arguments_are_read() -> None:
    """100,000 fields or entries are read; how many are allowed is a matter of limits."""
    assert CODEC.decode(b"INVITE" + b" a" * N, Role.CLIENT) == Invite(("a",) * N)
    roster = OnlineUsers({str(n): "" for n in range(N)})
    assert CODEC.decode(CODEC.encode(roster), Role.SERVER) == roster
