"""Tests of `improto_codecs.faster_json`: that with the package orjson the json codec does what it does without."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from improto.codec import load
from improto.messages import AnyMessage, Conversations, Error, Invite, Message, OnlineUsers, Role
from improto_codecs import faster_json
from improto_codecs.canonical import Writer
from improto_conformance import copies
from improto_conformance.strategies import messages

pytest.importorskip("orjson")

PLAIN = copies.load(copies.without_orjson())
"""A copy of the reference in which orjson is not found."""

CHARACTERS = [*map(chr, range(0x3000)), "\ud7ff", "\ue000", "\ufeff", "\uffff", "\U00010000", "\U0010ffff"]
PIECES = st.sampled_from([*' "\\,:{}[]x', "\t", "\x00", "\x7f", "é", "😀", "null", "1", "1e999", "NaN", "\\n", "\\ud83d", '":"', '","', '"a"'])  # fmt: skip


class _Own(str):
    """A text that shows itself in another way."""

    __slots__ = ()

    def __str__(self) -> str:
        return "another"


def plain(message: AnyMessage) -> Any:
    """Give the same message of the copy."""
    return getattr(PLAIN.module("improto.messages"), type(message).__name__)(*message.values())


def outcome(codec: Any, payload: bytes, role: Any) -> object:
    """Decode; give the command and the fields, or how it is refused."""
    try:
        message = codec.decode(payload, role)
    except ValueError as error:
        return [str(error), vars(error)]
    return [message.COMMAND, message.values()]


def test_orjson_is_used() -> None:
    """With orjson it is what writes, and in the copy it is not, so that the other tests compare something."""
    writers: dict[type[AnyMessage], Writer] = {}
    assert faster_json.writers(writers) is not writers
    assert PLAIN.module("improto_codecs.faster_json").writers(writers) is writers


@given(message=messages())
def test_it_writes_the_same(message: AnyMessage) -> None:
    """Each message is written as without orjson."""
    assert load("json").encode(message) == PLAIN.codec("json").encode(plain(message))


def test_it_escapes_the_same() -> None:
    """Each character is escaped, or not, as without orjson."""
    for message in Error("".join(CHARACTERS)), OnlineUsers(dict.fromkeys(CHARACTERS, "here")):
        assert load("json").encode(message) == PLAIN.codec("json").encode(plain(message))


@pytest.mark.parametrize(
    "message",
    [
        Message("7", _Own("ann"), _Own("hi")),
        Invite((_Own("bo"),)),
        OnlineUsers({_Own("ann"): _Own("here")}),
        Conversations({_Own("7"): (_Own("bo"),)}),
    ],
)
def test_own_texts_are_written(message: AnyMessage) -> None:
    """Texts of a class of their own are written as they are, in the place of keys too, which orjson refuses."""
    assert load("json").encode(message) == PLAIN.codec("json").encode(plain(message))
    assert load("json").decode(load("json").encode(message), message.FROM) == message


@given(pieces=st.lists(PIECES, max_size=8), message=messages(), role=st.sampled_from(Role))
def test_it_reads_the_same(pieces: list[str], message: AnyMessage, role: Role) -> None:
    """Whatever stands where a roster should be is read, or refused, as without orjson."""
    roles = PLAIN.module("improto.messages").Role
    codec = PLAIN.codec("json")
    odd = ("{" + "".join(pieces) + "}").encode()
    for payload in load("json").encode(message), b'{"type":"ONLINE_USERS","users":%b}' % odd:
        assert outcome(load("json"), payload, role) == outcome(codec, payload, roles(role.value))
