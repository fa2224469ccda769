"""Tests of the pickle codec: what old programs sent, what every unpickler reads, and what is wrong in shape."""

import ast
import json
import pickle
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, cast

import pytest

from improto.codec import build_positional, load
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
from improto_codecs.pickle_codec import PickleCodec
from pickles import CLIENT, CODEC, INVALID, LIMIT, MALFORMED, SERVER, TOO_LARGE, UNKNOWN, outcome, read
from runtimes import CPYTHON2, needs_cpython2

TRICKY = 'it\'s "q" \\ \\n\n\r\t\x00\x1a\x7f.'

SAMPLES: list[AnyMessage] = [
    Register("alice", "Available"),
    OnlineUsers({"alice": TRICKY, "Renée": "日本 😀", "": ""}),
    Status(TRICKY),
    Goodbye(),
    Invite(("bo", "Renée", "it's")),
    Invitation("7", "alice"),
    ListConversations(),
    Conversations({"1": ("alice", "bo"), "x-2": (), "03": ("é",)}),
    Join("0"),
    SendMessage("7", TRICKY),
    Message("7", "alice", "€ 😀" + TRICKY),
    Leave("7"),
    Error("no-such-user: it's zoë"),
]


class Row(NamedTuple):
    """One message that a real pickler wrote."""

    payload: bytes
    message: AnyMessage


_LITERAL = re.compile(r"""(u?)('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(\d+)L\b""")


def _literal(match: re.Match[str]) -> str:
    # Python 2's literals in Python 3's words: a long loses its L, a byte string gets a b.
    return match[3] or match[2] if match[3] or match[1] else "b" + match[2]


def _plain(value: object) -> object:
    """Give what the codec should make of a pickled value."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("latin-1")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list | tuple):
        return tuple(_plain(item) for item in cast(Iterable[object], value))
    if isinstance(value, Mapping):
        return {_plain(k): _plain(v) for k, v in cast(Mapping[object, object], value).items()}
    return value


def _row(line: str) -> Row:
    data = cast(dict[str, str], json.loads(line))
    text = data["repr"] if data["runtime"].startswith("cpython3") else _LITERAL.sub(_literal, data["repr"])
    value = _plain(ast.literal_eval(text))
    arguments = (
        () if value is None else cast(tuple[object, ...], value if isinstance(value, tuple) else (value,))
    )
    command = data["message"]
    return Row(bytes.fromhex(data["hex"]), build_positional(command, arguments, COMMANDS[command].FROM))


CORPUS = [
    _row(line)
    for line in (Path(__file__).parent / "data" / "pickle-legacy.jsonl").read_text("ascii").splitlines()
]


# ---- What old programs sent.


def test_corpus_is_whole() -> None:
    """The corpus has rows for all 13 commands."""
    assert {row.message.COMMAND for row in CORPUS} == set(COMMANDS)


@pytest.mark.parametrize("row", CORPUS, ids=range(len(CORPUS)))
def test_corpus(row: Row) -> None:
    """What a real pickler wrote is read, whole, one byte at a time, and with another message behind it."""
    sender = row.message.FROM
    assert CODEC.decode(row.payload, sender) == row.message
    assert read(row.payload, sender) == [row.message]
    assert read(row.payload, sender, step=1) == [row.message]
    trailing: AnyMessage = Status("next") if sender is CLIENT else Error("next")
    for gap in (b"", b"\r\n"):
        stream = row.payload + gap + CODEC.encode(trailing)
        assert read(stream, sender) == [row.message, trailing]
        assert read(stream, sender, step=1) == [row.message, trailing]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("message", SAMPLES, ids=lambda message: message.COMMAND)
def test_every_protocol(message: AnyMessage, protocol: int) -> None:
    """What this Python pickles, in each protocol, as lists and as tuples, is read."""
    for value in (expected(message), _tuples(expected(message))):
        data = message.COMMAND.encode() + b" " + pickle.dumps(value, protocol)
        assert read(data, message.FROM) == read(data, message.FROM, step=1) == [message]
        assert CODEC.decode(data, message.FROM) == message


# ---- What every unpickler reads.


def _tuples(value: object) -> object:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in cast(dict[str, object], value).items()}
    return tuple(cast(list[object], value)) if isinstance(value, list) else value


def expected(message: AnyMessage) -> object:
    """Give the value that an unpickler finds behind the command."""
    if isinstance(message, Invite):
        return list(message.users)
    if isinstance(message, OnlineUsers):
        return dict(message.users)
    if isinstance(message, Conversations):
        return {key: list(names) for key, names in message.conversations.items()}
    return message.message if isinstance(message, Error) else list(message.values())


_UNPICKLE = """
import json, sys, pickle, cPickle
for line in sys.stdin:
    data = line.strip().decode('hex')
    value = pickle.loads(data)
    assert value == cPickle.loads(data)
    print json.dumps(value)
"""


@needs_cpython2
def test_python2_reads_it() -> None:
    """Both unpicklers of Python 2.7 read the canonical encoding of every message."""
    assert CPYTHON2 is not None
    pickles = [CODEC.encode(message).split(b" ", 1)[1].hex() for message in SAMPLES]
    done = subprocess.run(
        [*CPYTHON2, "-c", _UNPICKLE],
        input="\n".join(pickles) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        expected(message) for message in SAMPLES
    ]


@pytest.mark.parametrize("message", SAMPLES, ids=lambda message: message.COMMAND)
def test_python3_reads_it(message: AnyMessage) -> None:
    """Python 3's unpickler reads the canonical encoding, and so does this codec."""
    payload = CODEC.encode(message)
    command, pickled = payload.split(b" ", 1)
    assert command.decode() == message.COMMAND
    assert pickle.loads(pickled) == expected(message)
    assert read(payload, message.FROM) == read(payload, message.FROM, step=1) == [message]
    assert CODEC.decode(payload, message.FROM) == message
    assert CODEC.frame(payload) == payload


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        (Register("alice", "it's"), b"REGISTER (S'alice'\nS'it\\'s'\nl."),
        (Status("é\n"), b"STATUS (X\x03\x00\x00\x00\xc3\xa9\nl."),
        (Goodbye(), b"GOODBYE (l."),
        (Error("é"), b"ERROR X\x02\x00\x00\x00\xc3\xa9."),
        (OnlineUsers({"a": "7"}), b"ONLINE_USERS (S'a'\nS'7'\nd."),
        (Conversations({"7": ("a",)}), b"CONVERSATIONS (S'7'\n(S'a'\nld."),
    ],
)
def test_canonical_bytes(message: AnyMessage, payload: bytes) -> None:
    """The canonical encoding is protocol 0 without memo, with ASCII quoted and other text counted."""
    assert CODEC.encode(message) == payload


def test_integer_ids() -> None:
    """With `integer_ids`, ids that are canonical decimals, and nothing else, are written as integers."""
    codec = PickleCodec(integer_ids=True)
    assert codec.encode(Join("7")) == b"JOIN (I7\nl."
    assert codec.encode(Join("-7")) == b"JOIN (I-7\nl."
    for text in ("07", "-0", "x", "+1", "1_0"):
        assert codec.encode(Join(text)) == CODEC.encode(Join(text))
    assert codec.encode(Message("7", "8", "9")) == b"MESSAGE (I7\nS'8'\nS'9'\nl."
    roster = OnlineUsers({"7": "8"})
    assert codec.encode(roster) == CODEC.encode(roster)
    for message in SAMPLES:
        assert codec.decode(codec.encode(message), message.FROM) == message
    listed = Conversations({"7": ("8",), "x": ()})
    assert codec.encode(listed) == b"CONVERSATIONS (I7\n(S'8'\nlS'x'\n(ld."


def test_entry_point() -> None:
    """The codec is found by its name and is binary."""
    assert isinstance(load("pickle"), PickleCodec)
    assert CODEC.binary


@pytest.mark.parametrize(
    "data",
    [
        b"status N.",
        b" ",
        b"STATUS\n",
        b"STATUS\tN.",
        b"A" * 21,
        b"{",
        b"\x00",
        b"GET / HTTP/1.1\r\n",
        b"S1 N.",
    ],
)
def test_no_command(data: bytes) -> None:
    """Bytes that are no command name and a space are malformed and fatal."""
    assert outcome(data) == MALFORMED


# ---- Sizes.


def test_limit_is_exact() -> None:
    """A message of exactly the limit is read, one more byte is too large."""
    for text in ("x" * 100, "é" * 100):
        payload = CODEC.encode(Status(text))
        assert outcome(payload, limit=len(payload)) == Status(text)
        assert outcome(payload, limit=len(payload) - 1) == TOO_LARGE
    # What stands between messages does not count.
    assert read(b"\r\n" * 50 + b"JOIN I1\n.", limit=9, step=1) == [Join("1")]


# ---- Wrong in shape.


@pytest.mark.parametrize(
    ("data", "sender"),
    [
        *(
            (b"JOIN " + value + b".", CLIENT)
            for value in (b"I01\n", b"I00\n", b"\x88", b"\x89", b"N", b"F1.0\n")
        ),
        (b"JOIN G?\xf0\x00\x00\x00\x00\x00\x00.", CLIENT),
        (b"JOIN (I01\nl.", CLIENT),
        (b"JOIN (l.", CLIENT),
        (b"JOIN (I1\nI2\nl.", CLIENT),
        (b"JOIN }.", CLIENT),
        (b"JOIN ](I1\nla.", CLIENT),
        (b"STATUS I1\n.", CLIENT),
        (b"REGISTER S'a'\n.", CLIENT),
        (b"REGISTER (S'a'\nNl.", CLIENT),
        (b"REGISTER (S'a'\nI1\nl.", CLIENT),
        (b"INVITE S'bo'\n.", CLIENT),
        (b"INVITE (I1\nl.", CLIENT),
        (b"INVITE N.", CLIENT),
        (b"INVITE }.", CLIENT),
        (b"ERROR (S'a'\nS'b'\nl.", SERVER),
        (b"ERROR I1\n.", SERVER),
        (b"ONLINE_USERS (l.", SERVER),
        (b"ONLINE_USERS (I1\nS'a'\nd.", SERVER),
        (b"ONLINE_USERS (S'a'\nNd.", SERVER),
        (b"ONLINE_USERS ((lS'a'\nd.", SERVER),
        (b"ONLINE_USERS (S'a'\nS'x'\nS'a'\nS'y'\nd.", SERVER),
        (b"CONVERSATIONS (I1\n(lS'1'\n(ld.", SERVER),
        (b"CONVERSATIONS (I01\n(ld.", SERVER),
        (b"CONVERSATIONS (I1\nS'bo'\nd.", SERVER),
        (b"CONVERSATIONS (I1\n(I1\nld.", SERVER),
        (b"CONVERSATIONS (I1\n}d.", SERVER),
    ],
)
def test_invalid(data: bytes, sender: Role) -> None:
    """What is read to STOP and is wrong in shape is invalid, and the next message is read."""
    following: AnyMessage = Leave("7") if sender is CLIENT else Error("x")
    for step in (None, 1):
        assert read(data + CODEC.encode(following), sender, step=step) == [INVALID, following]
    with pytest.raises(DecodeError) as caught:
        CODEC.decode(data, sender)
    assert caught.value.code == Code.INVALID


def test_error_in_a_list() -> None:
    """An ERROR whose text stands in a list or tuple of one is read."""
    for pickled in (b"(S'a: b'\nl.", b"(S'a: b'\nt.", b"S'a: b'\n."):
        assert outcome(b"ERROR " + pickled, SERVER) == Error("a: b")


def test_unknown_commands() -> None:
    """Unknown commands and those of the other direction are walked to STOP, and reading goes on."""
    for data, sender in (
        (b"WHATEVER (I1\nN}l.", CLIENT),
        (b"ERROR S'a'\n.", CLIENT),
        (b"JOIN I1\n.", SERVER),
    ):
        assert outcome(data, sender) == UNKNOWN
        following: AnyMessage = Leave("7") if sender is CLIENT else Error("x")
        assert read(data + CODEC.encode(following), sender, step=1) == [UNKNOWN, following]


def test_after_a_fatal_error() -> None:
    """After a fatal error a reader gives nothing more, whatever it is fed."""
    reader = CODEC.reader(CLIENT)
    reader.feed(b"STATUS c" + b"JOIN I1\n.")
    with pytest.raises(DecodeError):
        reader.next(LIMIT)
    reader.feed(b"JOIN I1\n.")
    assert reader.next(LIMIT) is None
    assert reader.next(LIMIT) is None


def test_limit_may_grow() -> None:
    """The limit is that of the call, so a message begun under a small one may end under a larger one."""
    payload = CODEC.encode(Status("x" * 100))
    reader = CODEC.reader(CLIENT)
    reader.feed(payload[:20])
    assert reader.next(20) is None
    reader.feed(payload[20:])
    assert reader.next(LIMIT) == Status("x" * 100)


# ---- Commands without arguments.

BARE = [Goodbye(), ListConversations()]
bare = pytest.mark.parametrize("command", BARE, ids=lambda command: command.COMMAND)
EMPTY_VALUES: tuple[object, ...] = ([], (), {}, None, "")
EMPTY = [
    *(pickle.dumps(value, protocol) for value in EMPTY_VALUES for protocol in range(6)),
    *(
        b"(l.",
        b"(lp0\n.",
        b"(t.",
        b"(d.",
        b"N.",
        b"S''\n.",
        b"S''\np0\n.",
        b'S""\n.',
        b"V\n.",
        b"U\x00.",
        b"T\0\0\0\0.",
    ),
]


@bare
def test_complete_at_the_last_letter(command: AnyMessage) -> None:
    """A command without arguments is returned when its last letter is there, and not before."""
    reader = CODEC.reader(CLIENT)
    data = command.COMMAND.encode()
    reader.feed(data[:-1])
    assert reader.next(LIMIT) is None
    reader.feed(data[-1:])
    assert reader.next(LIMIT) == command
    assert reader.next(LIMIT) is None


@bare
@pytest.mark.parametrize(
    "between", [b"", b" ", b"\r\n", b" \r\n", b" \n", *(b" " + empty for empty in EMPTY)]
)
def test_what_may_follow(command: AnyMessage, between: bytes) -> None:
    """A space, a line end or one empty value may follow, and then any command, however it is cut."""
    for following in (
        Status("x"),
        SendMessage("7", "x"),
        Leave("7"),
        Invite(("a",)),
        Goodbye(),
        ListConversations(),
    ):
        data = command.COMMAND.encode() + between + CODEC.encode(following)
        assert read(data) == read(data, step=1) == [command, following]


@bare
def test_a_name_of_one_letter_may_follow(command: AnyMessage) -> None:
    """A letter or underscore that a space follows is a command, also where it could be an opcode."""
    for name in (b"S", b"N", b"_"):
        data = command.COMMAND.encode() + b" " + name + b" N."
        assert read(data) == read(data, step=1) == [command, UNKNOWN]


@bare
@pytest.mark.parametrize(
    "value", [b"I1\n.", b"(I1\nl.", b"S'a'\n.", b"\x89.", b"I00\n.", b"(NNd.", b"c", b" (l.", b"x"]
)
def test_what_must_not_follow(command: AnyMessage, value: bytes) -> None:
    """A value that is not empty, or no value, is malformed, as a message of its own."""
    data = command.COMMAND.encode() + b" " + value
    assert read(data) == read(data, step=1) == [command, MALFORMED]


def test_only_one_value_is_swallowed() -> None:
    """A second empty value, or one without a space before it, is malformed."""
    for data in (b"GOODBYE (l.(l.", b"GOODBYE(l.", b"GOODBYE (l. (l."):
        assert read(data) == read(data, step=1) == [Goodbye(), MALFORMED]


def test_swallowed_value_is_bounded() -> None:
    """An empty value that is no end of bytes is refused at the limit."""
    data = b"GOODBYE (" + b"N" * 100
    assert read(data, limit=50) == read(data, limit=50, step=1) == [Goodbye(), TOO_LARGE]


def test_goodbye_of_a_server() -> None:
    """A server's GOODBYE is unknown, and what may follow it is swallowed all the same."""
    data = b"GOODBYE (l." + CODEC.encode(Error("x"))
    assert read(data, SERVER) == read(data, SERVER, step=1) == [UNKNOWN, Error("x")]


# ---- One whole payload.


@bare
def test_payload_without_arguments(command: AnyMessage) -> None:
    """A payload of a command without arguments is bare, or has a space, or a space and an empty value."""
    for rest in (b"", b" ", *(b" " + empty for empty in EMPTY)):
        assert CODEC.decode(command.COMMAND.encode() + rest, CLIENT) == command


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\r\n",
        b"\nJOIN I1\n.",
        b"JOIN",
        b"JOIN ",
        b"JOIN I1\n",
        b"JOIN I1\n.\n",
        b"JOIN I1\n.JOIN I1\n.",
        b"JOIN N.x",
        b"WHATEVER N.x",
        b"GOODBY",
        b"GOODBYE  ",
        b"GOODBYE\n",
        b"GOODBYE (",
        b"GOODBYE S",
        b"GOODBYE S'",
        b"GOODBYE I1\n.",
        b"GOODBYE (l.x",
        b"GOODBYE JOIN I1\n.",
    ],
)
def test_payload_is_one_message(payload: bytes) -> None:
    """A payload that is less or more than one message is malformed, and as it was framed not fatal."""
    with pytest.raises(DecodeError) as caught:
        CODEC.decode(payload, CLIENT)
    assert (caught.value.code, caught.value.fatal) == (Code.MALFORMED, False)
