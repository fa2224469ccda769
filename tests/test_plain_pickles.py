"""Tests of the patterns for the commonest pickles: they and the interpreter read the same."""

import json
import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from improto.errors import DecodeError
from improto.limits import Limits
from improto.messages import (
    AnyMessage,
    Conversations,
    Error,
    Invitation,
    Invite,
    Join,
    Leave,
    Message,
    OnlineUsers,
    Register,
    Role,
    SendMessage,
    Status,
)
from improto_codecs import plain_pickles
from improto_codecs.pickle_codec import PickleCodec
from improto_conformance.codecs.strategies import messages
from improto_conformance.vectors import vectors
from improto_conformance.vectors.values import read_bytes

CODEC = PickleCodec()
LIMIT = Limits().request

Outcome = tuple[AnyMessage | tuple[str, str, bool], int]
"""A message, or the code, words and fatality of an error, and how many bytes have been read by then."""


def outcomes(data: bytes, sender: Role, limit: int, *, step: int) -> list[Outcome]:
    """Read a stream in pieces of `step` bytes, to its end or the first fatal error."""
    reader = CODEC.reader(sender)
    found: list[Outcome] = []
    for start in range(0, len(data), step):
        reader.feed(data[start : start + step])
        fed = min(start + step, len(data))
        while True:
            try:
                message = reader.next(limit)
            except DecodeError as error:
                found.append(((error.code, error.explanation, error.fatal), fed - reader.behind))
                if error.fatal:  # the reader keeps nothing then
                    return [*found[:-1], (found[-1][0], 0)]
                continue
            if message is None:
                break
            found.append((message, fed - reader.behind))
    return found


def agree(data: bytes, sender: Role, limit: int = LIMIT) -> list[Outcome]:
    """Give what is read of a whole stream, where patterns match, and see that the interpreter reads the same.

    No pattern matches what arrives byte by byte: a command is taken before its pickle is there.
    """
    found = outcomes(data, sender, limit, step=max(1, len(data)))
    assert found == outcomes(data, sender, limit, step=1)
    return found


def pickled(message: AnyMessage, protocol: int) -> bytes:
    """Write a message whose fields are all texts as a program on this Python would."""
    return message.COMMAND.encode() + b" " + pickle.dumps(list(message.values()), protocol)


def ways(message: AnyMessage) -> list[bytes]:
    """Write such a message in our own way and in all of this Python."""
    return [CODEC.encode(message), *(pickled(message, protocol) for protocol in range(6))]


PLAIN: list[AnyMessage] = [
    Register("alice", "Available"),
    Status("qX.e."),
    Invitation("7", "Ann-Marie"),
    Join("1234"),
    SendMessage("7", "~ hello }"),
    Message("7", "alice", "x" * 200),
    Leave("0"),
]


@pytest.mark.parametrize("message", PLAIN, ids=lambda message: message.COMMAND)
def test_matched(message: AnyMessage) -> None:
    """Each way to write a plain message is matched, to its end, also between other bytes."""
    for data in ways(message):
        assert plain_pickles.read(data, 0, LIMIT, message.FROM) == (message, len(data))
        stream = bytearray(b"(l." + data + data)
        assert plain_pickles.read(stream, 3, LIMIT, message.FROM) == (message, 3 + len(data))


@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
def test_matched_beyond_ascii(protocol: int) -> None:
    """Texts beyond ASCII are matched where they are written in UTF-8 behind their length."""
    message = Message("7", "Zoë", "€ 😀 é")
    data = pickled(message, protocol)
    assert plain_pickles.read(data, 0, LIMIT, Role.SERVER) == (message, len(data))


@pytest.mark.parametrize("message", PLAIN, ids=lambda message: message.COMMAND)
def test_nothing_else_matches(message: AnyMessage) -> None:
    """A message that is not whole, or over the limit, or sent by the wrong side, is left to the interpreter."""
    other = Role.CLIENT if message.FROM is Role.SERVER else Role.SERVER
    for data in ways(message):
        assert plain_pickles.read(data, 0, len(data), message.FROM) is not None
        assert plain_pickles.read(data, 0, len(data) - 1, message.FROM) is None
        assert plain_pickles.read(data, 0, LIMIT, other) is None
        assert all(
            plain_pickles.read(data[:size], 0, LIMIT, message.FROM) is None for size in range(len(data))
        )


@pytest.mark.parametrize(
    "data",
    [
        b"JOIN ]q\x00X\x02\x00\x00\x007q\x01a.q\x01a.",  # the text goes on behind what looks like its end
        b"JOIN ]q\x00X\x00\x00\x00\x007q\x01a.",
        b"JOIN \x80\x04\x95\0\0\0\0\0\0\0\0]\x94\x8c\x027\x94a.\x94a.",
        b"JOIN \x80\x04\x95\0\0\0\0\0\0\0\0]\x94\x8c\x007\x94a.",
        b"JOIN \x80\x02]q\x00X\x01\x00\x00\x00\xffq\x01a.",
        b"JOIN \x80\x02]q\x00X\x06\x00\x00\x00\xed\xa0\xbd\xed\xb8\x80q\x01a.",
        b"JOIN \x80\x04\x95\0\0\0\0\0\0\0\0]\x94\x8c\x06\xed\xa0\xbd\xed\xb8\x80\x94a.",
        b"JOIN \x80\x04\x95\0\0\0\0\0\0\0\0]\x94\x8c\x02\xc3\x94\x94a.",
        b"JOIN (S'7''\nl.",
        b"JOIN (S'\\'\nl.",
        b"JOIN (S'\\x41'\nl.",
        b"JOIN (S'7'\r\nl.",
        b"JOIN (lp0\nV\\u0041\np1\na.",
        b"JOIN (lp0\nV7\np\na.",
        b"JOIN (lp0\nV7\np" + b"0" * 65 + b"\na.",
        b"JOIN (lp0\nV7\np" + b"0" * 64 + b"\na.",
        b"JOIN (S'7'\nS'8'\nl.",
        b"STATUS (S''\nl.",
        b"\r\n\nJOIN (S'7'\nl.\r\nLEAVE (S'7'\nl.",
        b"JOIN (S'7'\nl.JOIN cos\nsystem\n.",
        b"GOODBYE JOIN (S'7'\nl.",
        b"GOODBYE (l.JOIN (S'7'\nl.",
        b"JOIN  (S'7'\nl.",
        b"join (S'7'\nl.",
    ],
)
def test_close_to_a_pattern(data: bytes) -> None:
    """What only looks like a pattern is read as the interpreter reads it."""
    assert agree(data, Role.CLIENT)


@settings(deadline=None)  # byte by byte takes long
@given(messages(), st.integers(0, 5), st.booleans())
def test_pickled(message: AnyMessage, protocol: int, tupled: bool) -> None:
    """Whatever this Python pickles is read the same by patterns and interpreter, with a message behind it."""
    values: Sequence[object] = message.values()
    shape = values[0] if isinstance(message, Invite | OnlineUsers | Conversations | Error) else list(values)
    data = message.COMMAND.encode() + b" " + pickle.dumps(tuple(values) if tupled else shape, protocol)
    agree(data + data, message.FROM)
    agree(data[:-1], message.FROM)


@settings(deadline=None)  # byte by byte takes long
@given(messages(), messages())
def test_encoded(message: AnyMessage, following: AnyMessage) -> None:
    """Whatever this codec encodes is read the same by patterns and interpreter."""
    data = CODEC.encode(message)
    assert [read for read, _ in agree(data, message.FROM)] == [message]
    agree(data + CODEC.encode(following), message.FROM)


_TOKENS = [
    b"q\x01",
    b"\x94",
    b"X\x01\0\0\0",
    b"\x8c\x01",
    b"S'",
    b"'\n",
    b"V",
    b"\np1\n",
    b"a",
    b"(",
    b"e.",
    b"l.",
]


@settings(deadline=None)  # byte by byte takes long
@given(
    st.sampled_from(PLAIN),
    st.sampled_from(range(7)),
    st.lists(
        st.tuples(
            st.integers(0, 60),
            st.integers(0, 2),
            st.one_of(st.sampled_from(_TOKENS), st.binary(max_size=3)),
        ),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from([LIMIT, LIMIT, 60, 30]),
)
def test_mutated(message: AnyMessage, way: int, edits: list[tuple[int, int, bytes]], limit: int) -> None:
    """A pattern's message with other bytes here and there is read, or refused, as the interpreter does it."""
    data = ways(message)[way]
    for position, removed, inserted in edits:
        data = data[:position] + inserted + data[position + removed :]
    agree(data + ways(message)[way], message.FROM, limit)


def test_recorded() -> None:
    """What old picklers wrote, and every vector, is read the same by patterns and interpreter."""
    corpus = Path(__file__).parent / "data" / "pickle-legacy.jsonl"
    recorded = [bytes.fromhex(json.loads(line)["hex"]) for line in corpus.read_text("ascii").splitlines()]
    recorded += [
        read_bytes(vector.data["bytes"])
        for vector in vectors().values()
        if vector.kind in ("message", "stream") and vector.data["codec"] == "pickle"
    ]
    for data in recorded:
        if len(data) < 4096:  # the long ones are made of the same
            for sender in Role:
                agree(data, sender)
