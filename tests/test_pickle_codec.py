"""Tests of the pickle codec: what old programs sent, what attackers might, and what every unpickler reads."""

import ast
import json
import os
import pickle
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple, cast

import pytest

from improto.codec import build_positional, load
from improto.errors import DecodeError
from improto.limits import Limits
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

CODEC = PickleCodec()
LIMIT = Limits().request
CLIENT, SERVER = Role.CLIENT, Role.SERVER
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

Outcome = AnyMessage | tuple[str, bool]
"""A message, or the code of an error and whether it was fatal."""


def read(data: bytes, sender: Role = CLIENT, *, limit: int = LIMIT, step: int | None = None) -> list[Outcome]:
    """Read a stream, all at once or `step` bytes at a time, to its end or the first fatal error."""
    reader = CODEC.reader(sender)
    found: list[Outcome] = []
    for start in range(0, len(data), step or max(1, len(data))):
        reader.feed(data[start : start + step] if step else data)
        while True:
            try:
                message = reader.next(limit)
            except DecodeError as error:
                found.append((error.code, error.fatal))
                if error.fatal:
                    return found
                continue
            if message is None:
                break
            found.append(message)
    return found


def outcome(data: bytes, sender: Role = CLIENT, *, limit: int = LIMIT) -> Outcome:
    """Read the one outcome of a stream, which must not depend on how it was cut."""
    found = read(data, sender, limit=limit)
    assert read(data, sender, limit=limit, step=1) == found
    assert len(found) == 1
    return found[0]


MALFORMED = (Code.MALFORMED, True)
TOO_LARGE = (Code.TOO_LARGE, True)
INVALID = (Code.INVALID, False)
UNKNOWN = (Code.UNKNOWN_COMMAND, False)


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


def test_ids_as_integers() -> None:
    """Each opcode for integers writes a conversation id, also a long one, and keys of CONVERSATIONS."""
    for pickled, expected in [
        (b"I7\n", "7"),
        (b"I-7\n", "-7"),
        (b"I007\n", "7"),
        (b"L7L\n", "7"),
        (b"L7\n", "7"),
        (b"K\x07", "7"),
        (b"M\x00\x01", "256"),
        (b"J\xff\xff\xff\xff", "-1"),
        (b"\x8a\x05\x00\x00\x00\x00\x01", str(2**32)),
        (b"\x8b\x01\x00\x00\x00\x07", "7"),
        (b"\x8a\x00", "0"),
    ]:
        assert outcome(b"JOIN " + pickled + b".") == Join(expected)
    assert outcome(b"CONVERSATIONS (I1\n(ld.", SERVER) == Conversations({"1": ()})


@pytest.mark.parametrize(
    ("pickled", "text"),
    [
        (rb"S'a\\b\'c\"d\a\b\f\n\r\t\v\x41\101\0\q'" + b"\n", "a\\b'c\"d\a\b\f\n\r\t\vAA\0\\q"),
        (b'S"it\'s"\n', "it's"),
        (b"S'\xc3\xa9'\n", "é"),
        (b"S'\\xe9'\n", "é"),
        (b"S'\\777'\n", "ÿ"),
        (b"U\x02\xc3\xa9", "é"),
        (b"T\x01\x00\x00\x00\xe9", "é"),
        (b"V\\u20ac\\U0001f600\n", "€😀"),
        (b"V\xe9\\ud83d\\ude00\n", "é😀"),
        (b"X\x06\x00\x00\x00\xed\xa0\xbd\xed\xb8\x80", "😀"),
        (b"\x8c\x02\xc3\xa9", "é"),
        (b"\x8d\x02\x00\x00\x00\x00\x00\x00\x00\xc3\xa9", "é"),
        (b"X\x01\x00\x00\x00.", "."),
    ],
)
def test_texts(pickled: bytes, text: str) -> None:
    """Each opcode for text is read with its own escapes and encoding, and halved characters are joined."""
    assert outcome(b"STATUS " + pickled + b".") == Status(text)


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


@cache
def python2() -> tuple[str, str] | None:
    """Find a Python 2.7 that runs, and the version to ask a version manager for."""
    program = shutil.which("python2.7")
    for version in ("", "2.7.18"):
        if (
            program
            and not subprocess.run(
                [program, "-c", "0"], env=_environment(version), capture_output=True, check=False
            ).returncode
        ):
            return program, version
    return None


def _environment(version: str) -> dict[str, str]:
    return {**os.environ, **({"PYENV_VERSION": version} if version else {})}


_UNPICKLE = """
import json, sys, pickle, cPickle
for line in sys.stdin:
    data = line.strip().decode('hex')
    value = pickle.loads(data)
    assert value == cPickle.loads(data)
    print json.dumps(value)
"""


def test_python2_reads_it() -> None:
    """Both unpicklers of Python 2.7 read the canonical encoding of every message."""
    found = python2()
    if found is None:
        pytest.skip("there is no python2.7 that runs")
    program, version = found
    pickles = [CODEC.encode(message).split(b" ", 1)[1].hex() for message in SAMPLES]
    done = subprocess.run(
        [program, "-c", _UNPICKLE],
        input="\n".join(pickles) + "\n",
        env=_environment(version),
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


# ---- Refused opcodes.

ALLOWED = frozenset(b"(.IJKLMNFGSTUVX\x80\x95\x8a\x8b\x88\x89\x8c\x8dl]ae)td}su\x85\x86\x87pqrghj\x94")


@pytest.mark.parametrize("opcode", sorted(set(range(256)) - ALLOWED), ids=hex)
def test_every_other_opcode(opcode: int) -> None:
    """An opcode off the list is malformed, wherever it stands."""
    for before in (b"", b"\x80\x02", b"(S'a'\n"):
        assert outcome(b"STATUS " + before + bytes([opcode]) + b"\x01a\n.") == MALFORMED


def test_nothing_is_executed(tmp_path: Path) -> None:
    """Pickles that would call a function are refused and call nothing, under unknown commands too."""
    victim = tmp_path / "executed"
    name = str(victim).encode()
    for attack in (
        b"cos\nmkdir\n(S'" + name + b"'\ntR.",
        b"(S'" + name + b"'\nios\nmkdir\n.",
        b"(cos\nmkdir\nS'" + name + b"'\no.",
        b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93\x8c" + bytes([len(name)]) + name + b"\x85R.",
    ):
        for command in (b"STATUS ", b"GOODBYE_NOT ", b"WHATEVER "):
            found = read(command + attack)
            assert found[-1] == MALFORMED
    assert not victim.exists()


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x06N.",
        b"N\x80\x02.",
        b"\x80\x02\x80\x02N.",
        b".",
        b"NN.",
        b"(N.",
        b"l.",
        b"t.",
        b"a.",
        b"]a.",
        b"](a.",
        b"s.",
        b"}Ns.",
        b"}(NNs.",
        b"]NNs.",
        b"}Na.",
        b")Na.",
        b"(Ne.",
        b"}(Nu.",
        b"(Nd.",
        b"\x85.",
        b"N\x86.",
        b"NN\x87.",
        b"N(\x85.",
        b"p0\n.",
        b"N(p0\n.",
        b"q\x00.",
        b"\x94.",
        b"g0\n.",
        b"Np0\ng1\n.",
        b"h\x00.",
        b"j\x00\x00\x00\x00.",
        b"Np-1\n.",
        b"Np 1\n.",
        b"Np\n.",
        b"I\n.",
        b"I 1\n.",
        b"I+1\n.",
        b"I1_0\n.",
        b"I1L\n.",
        b"I1\r\n.",
        b"I\xd9\xa1\n.",
        b"L1LL\n.",
        b"LL\n.",
        b"Fx\n.",
        b"F1_0.0\n.",
        b"Sa\n.",
        b"S\n.",
        b"S'\n.",
        b"S'a\n.",
        b"S'a\"\n.",
        b"S'a'b\n.",
        b"S'a'b'\n.",
        b"S'a' \n.",
        b"S'a\\'\n.",
        b"S'\\x4'\n.",
        b"S'\\xzz'\n.",
        b"T\xff\xff\xff\xff.",
        b"\x8b\xff\xff\xff\xff.",
        b"V\\u12\n.",
        b"V\\U00110000\n.",
        b"V\\ud800\n.",
        b"V\\ude00\\ud83d\n.",
        b"X\x03\x00\x00\x00\xed\xa0\x80.",
        b"X\x01\x00\x00\x00\xff.",
        b"X\x02\x00\x00\x00\xc0\x80.",
        b"(((((lllll.",
        b"]]]]]aaaa.",
        b")\x85\x85\x85\x85.",
        b"]q\x00h\x00a.",
        b"]q\x00h\x00\x85a.",
        b"}q\x00Nh\x00s.",
    ],
)
@pytest.mark.parametrize("command", [b"STATUS ", b"WHATEVER "])
def test_malformed(pickled: bytes, command: bytes) -> None:
    """A pickle that no pickler writes is malformed and fatal, under unknown commands too."""
    assert outcome(command + pickled) == MALFORMED


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


def test_mark_and_depth_bounds() -> None:
    """Four marks may be open and four containers nested, and no more."""
    assert outcome(b"STATUS ((((llll.") == INVALID
    assert outcome(b"STATUS ]]]]aaa.") == INVALID
    # The fifth level comes by way of the memo, after its parent has been built.
    assert outcome(b"STATUS ]q\x00\x85\x85\x85q\x01h\x00]a\x86.") == MALFORMED


# ---- Sizes.


def test_limit_is_exact() -> None:
    """A message of exactly the limit is read, one more byte is too large."""
    for text in ("x" * 100, "é" * 100):
        payload = CODEC.encode(Status(text))
        assert outcome(payload, limit=len(payload)) == Status(text)
        assert outcome(payload, limit=len(payload) - 1) == TOO_LARGE
    # What stands between messages does not count.
    assert read(b"\r\n" * 50 + b"JOIN I1\n.", limit=9, step=1) == [Join("1")]


@pytest.mark.parametrize(
    "header",
    [
        b"X\xff\xff\xff\xff",
        b"X\x00\x00\x01\x00",
        b"T\xff\xff\xff\x7f",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x8b\xff\xff\xff\x7f",
    ],
)
def test_declared_length(header: bytes) -> None:
    """A length past the limit is refused at the header, before a byte of the text has come."""
    assert outcome(b"STATUS " + header) == TOO_LARGE


def test_endless_line() -> None:
    """A line argument that never ends is refused at the limit, not kept."""
    for opcode in (b"S'", b"V", b"I", b"L", b"p", b"F"):
        data = b"STATUS " + opcode + b"1" * 100
        assert outcome(data, limit=50) == TOO_LARGE


def test_endless_ops() -> None:
    """Opcodes that never come to STOP are refused at the limit."""
    assert outcome(b"STATUS " + b"N" * 100, limit=50) == TOO_LARGE
    assert outcome(b"STATUS " + b"]" * LIMIT) == TOO_LARGE
    assert outcome(b"STATUS N" + b"\x94" * LIMIT) == TOO_LARGE


def test_frame_length_is_ignored() -> None:
    """The length of a FRAME neither limits nor ends a message."""
    for length in (b"\xff" * 8, b"\x00" * 8):
        assert outcome(b"JOIN \x80\x04\x95" + length + b"K\x07.") == Join("7")


def test_memo_bomb() -> None:
    """A value that unfolds past the limit by sharing is too large, and is never unfolded."""
    first = b"]q\x00(" + b"U\x01a" * 200 + b"e"
    second = b"(" + b"h\x00" * 100 + b"lq\x01"
    third = b"(" + b"h\x01" * 100 + b"l"
    assert outcome(b"INVITE " + first + second + b"\x86.") == INVALID
    assert outcome(b"INVITE " + first + second + third + b"\x87.") == TOO_LARGE
    nested = b"INVITE ]\x94" + b"".join(b"h%bh%b\x86\x94" % (bytes([i]), bytes([i])) for i in range(200))
    assert outcome(nested + b"\x86" * 200 + b".") == TOO_LARGE


def test_legal_sharing_is_read() -> None:
    """A roster whose users share one long status is read although it unfolds, as long as it fits."""
    status = "s" * 256
    roster = OnlineUsers({f"user{i}": status for i in range(200)})
    data = b"ONLINE_USERS " + pickle.dumps(dict(roster.users), 2)
    assert outcome(data, SERVER) == roster
    assert CODEC.decode(data, SERVER) == roster


def test_long_numbers() -> None:
    """Integers of more digits than any id are read and invalid, whatever their length."""
    assert outcome(b"JOIN I" + b"9" * 64 + b"\n.") == Join("9" * 64)
    for digits in (65, 4000, 5000, 60000):
        assert outcome(b"JOIN I" + b"9" * digits + b"\n.") == INVALID
    assert outcome(b"JOIN \x8b\x00\x80\x00\x00" + b"\x7f" * 0x8000 + b".") == INVALID


@pytest.mark.parametrize("number", [b"0", b"9" * 64, b"0" * 64])
def test_memo_number(number: bytes) -> None:
    """A memo number of 1 to 64 digits is read, in PUT and in GET (PICKLE-26)."""
    assert outcome(b"INVITE (S'bo'\np" + number + b"\ng" + number + b"\nl.") == Invite(("bo", "bo"))


@pytest.mark.parametrize("number", [b"0" * 65, b"9" * 65, b"-0", b"-1", b"+1", b""])
def test_no_memo_number(number: bytes) -> None:
    """A memo number with a sign or with more than 64 digits, be they zeros, is malformed (PICKLE-26)."""
    assert outcome(b"INVITE (S'bo'\np" + number + b"\nl.") == MALFORMED
    assert outcome(b"INVITE (S'bo'\np0\ng" + number + b"\nl.") == MALFORMED


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
