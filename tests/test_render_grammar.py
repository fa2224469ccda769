"""Tests of the generated grammar: an ABNF parser that knows nothing of us, and the codec, judge lines alike."""

from typing import Literal

import pytest
from abnf import ParseError, Rule
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from improto.codec import Reader
from improto.errors import DecodeError
from improto.limits import Limits
from improto.messages import COMMANDS, AnyMessage, Code, Conversations, Invite, OnlineUsers, Role
from improto_codecs.ascii_codec import AsciiCodec
from improto_conformance.codecs.strategies import messages
from improto_spec.render import grammar

CODEC = AsciiCodec()

Verdict = Literal["line", "other", "neither"]


class Grammar(Rule):
    """The rules of `ascii.abnf`, and those of RFC 5234 that every grammar has."""


Grammar.load_grammar(grammar.render())


def fits(rule: str, line: bytes) -> bool:
    """Tell whether the grammar derives the whole of `line` from `rule`."""
    try:
        Grammar(rule).parse_all(line.decode("latin-1"))
    except ParseError:
        return False
    return True


def by_grammar(line: bytes) -> Verdict:
    """Judge a line, with its end, as the comments of the grammar tell a receiver to."""
    if fits("line", line):
        return "line"
    return "other" if fits("other", line) else "neither"


def by_codec(line: bytes) -> Verdict:
    """Judge a line, with its end, by what the codec's readers make of it, whichever end sent it."""
    outcomes = [outcome(CODEC.reader(sender), line) for sender in Role]
    if "read" in outcomes:
        return "line"
    if Code.MALFORMED not in outcomes:
        return "other"
    assert outcomes == [Code.MALFORMED] * 2, "the bytes alone decide what is malformed"
    return "neither"


def outcome(reader: Reader, line: bytes) -> str:
    """Give the code with which a line is refused, or `read`."""
    reader.feed(line)
    try:
        message = reader.next(1_000_000)
    except DecodeError as error:
        # No grammar tells that a key stands twice (CODEC-10).
        return "read" if "twice" in error.explanation else error.code
    if isinstance(message, Invite) and not 1 <= len(message.users) <= Limits().invited:
        return Code.INVALID  # LIMIT-14, which here is not the codec's business
    return "read"


def test_ends_in_one_newline() -> None:
    """The file ends in one newline, and is the same each time."""
    assert grammar.render().endswith("\n")
    assert not grammar.render().endswith("\n\n")
    assert grammar.render() == grammar.render()


@pytest.mark.parametrize(
    "rule", ["line", "other", "payload", "message", "command", "field", "item", "word", "atom", "quoted"]
)
def test_rules_are_there(rule: str) -> None:
    """The rules that the specification speaks of are defined."""
    assert Grammar.get(rule) is not None


def test_every_command_is_there() -> None:
    """Each command of the table stands in the grammar once."""
    assert [grammar.render().count(f'%s"{command}"') for command in COMMANDS] == [1] * len(COMMANDS)


@given(messages())
@settings(max_examples=200, deadline=None)
def test_what_is_sent_fits(message: AnyMessage) -> None:
    """Whatever the codec writes is a line of the grammar, and read again (ASCII-1)."""
    line = CODEC.frame(CODEC.encode(message))
    assume(len(line) < 1000)  # of longer ones, the parser needs a stack that is deeper
    assert by_grammar(line) == by_codec(line) == "line"


LINES = [
    b"\n",
    b"   \r\n",
    b"GOODBYE\r\n",
    b'  REGISTER   "bo"     at-work  \r\n',
    b'STATUS "\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00E9\\uD83D\\ude00"\n',
    b'STATUS "\\ud7ff\\ue000\\uFFFF\\u0000"\n',
    b'STATUS "\\uDBFF\\uDC00\\ud800\\udfff"\n',
    b"STATUS a\\u12\n",
    b"STATUS a(b)[c]{d}\n",
    b"STATUS =,\n",
    b'STATUS ""\n',
    b'JOIN "7"\n',
    b'INVITE bo "cy lee"\n',
    b"INVITE" + b" a" * 64 + b"\n",
    b'MESSAGE 7 "cy lee" ~\n',
    b"ONLINE_USERS\n",
    b'  ONLINE_USERS   "bo"=x  \n',
    b'ONLINE_USERS [a]={b} ""="" \\=\\\n',
    b"ONLINE_USERS a=b a=c\n",
    b'CONVERSATIONS "7"="bo",cy 8=\n',
    b'CONVERSATIONS 7="a,b=","" 9= 8=a,b,c\n',
]
OTHERS = [
    b"GOODBYE x\n",
    b"REGISTER bo\n",
    b"INVITE\n",
    b"INVITE" + b" a" * 65 + b"\n",
    b"ONLINE_USERS a\n",
    b"ONLINE_USERS a=\n",
    b"ONLINE_USERS a=b,c\n",
    b"ONLINE_USERS a=b=c\n",
    b"CONVERSATIONS 7=a,\n",
    b"CONVERSATIONS 7=,a\n",
    b'LATER a "b c" d=e\r\n',
    b"_\n",
    b"A" * 20 + b"\n",
]
NEITHER = [
    b"\t\n",
    b"\r\r\n",
    b"join 7\n",
    b"A" * 21 + b"\n",
    b"JOIN\t7\n",
    b"JOIN 7\r\r\n",
    *(b"JOIN " + bracket.encode() + b"7\n" for bracket in "()[]{}"),
    b'JOIN a"b\n',
    b'JOIN "7\n',
    b'JOIN "7""8"\n',
    b'JOIN"7"\n',
    b"JOIN \xc3\xa9\n",
    b"JOIN 7\x7f\n",
    b'JOIN "\\x"\n',
    b'JOIN "\\U0041"\n',
    b'JOIN "\\ud800"\n',
    b'JOIN "\\ude00\\ud83d"\n',
    b'JOIN "\\udc00\\udc00"\n',
    b'JOIN "\\ud83d\\ue000"\n',
    b'ONLINE_USERS a="b" "c"=\n',
    b'CONVERSATIONS 7=a"\n',
]


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        *((line, "line") for line in LINES),
        *((line, "other") for line in OTHERS),
        *((line, "neither") for line in NEITHER),
    ],
)
def test_lines(line: bytes, verdict: Verdict) -> None:
    """What is accepted, and what is refused in either way, is so for grammar and codec (ASCII-10, ASCII-11)."""
    assert by_grammar(line) == verdict
    assert by_codec(line) == verdict


# Without LF, which would make two lines of one.
BYTES = st.one_of(
    st.sampled_from(b' "\\=,([{}])uUdD89AaFf0bnrt/_AZ\r\t'),
    st.integers(0, 255).filter(lambda byte: byte != 0x0A),
)


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """Draw lines that are a few bytes away from good ones."""
    maps = st.builds(OnlineUsers, st.just({"bo": "x", "c,y": ""})) | st.builds(
        Conversations, st.just({"7": ("bo", "c y"), "8": ()})
    )
    awkward = st.sampled_from([line for line in LINES if 3 < len(line) < 60])
    encoded = st.one_of(maps, messages()).map(CODEC.encode)
    # Cut, so that a parser that tries everything is soon done.
    line = bytearray(draw(awkward | encoded).rstrip(b"\r\n")[:40])
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(line)))
        match draw(st.sampled_from(["insert", "delete", "replace", "swap", "again"])):
            case "insert":
                line.insert(at, draw(BYTES))
            case "delete":
                del line[at : at + draw(st.integers(1, 3))]
            case "replace":
                line[at : at + 1] = [draw(BYTES)]
            case "swap":
                line[at : at + 2] = line[at : at + 2][::-1]
            case _:
                line[at:at] = line[at : at + draw(st.integers(1, 8))]
    return bytes(line) + draw(st.sampled_from([b"\n", b"\r\n"]))


@given(mutants())
@settings(max_examples=300, deadline=None)
def test_mutated_lines(line: bytes) -> None:
    """Grammar and codec judge alike what is nearly right (ASCII-1, ASCII-10, ASCII-11)."""
    assert by_grammar(line) == by_codec(line)


@pytest.mark.parametrize(
    "payload", [b"", b" ", b"GOODBYE", b" GOODBYE  ", b"GOODBYE\r", b"GOODBYE\n", b"JOIN", b"JOIN 7"]
)
def test_payloads(payload: bytes) -> None:
    """A payload of a message transport fits the rule `payload` exactly if the codec decodes it: no line end, no blank."""
    try:
        CODEC.decode(payload, Role.CLIENT)
        decoded = True
    except DecodeError:
        decoded = False
    assert fits("payload", payload) is decoded
