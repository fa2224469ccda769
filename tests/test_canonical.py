"""Tests of `improto_codecs.canonical`: that the short way to read and write is the same as the long one."""

import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from improto.codec import Codec, load
from improto.errors import DecodeError
from improto.messages import COMMANDS, AnyMessage, Conversations, Invite, Kind, Message, OnlineUsers, Role
from improto_conformance.codecs.strategies import messages
from improto_conformance.vectors import vectors
from improto_conformance.vectors.values import read_bytes
from improto_conformance.zoo import copies

SHORT = "_READERS[sender](payload)"
LONG_ONLY = {
    "ascii": (SHORT, "None"),
    "json": (SHORT, "None"),
    "msgpack": (f"_read_roster(payload, sender) if roster else {SHORT}", "None"),
}
"""What a codec asks first for a message, and what to put in its place."""
every_short_codec = pytest.mark.parametrize("name", list(LONG_ONLY))
every_text_codec = pytest.mark.parametrize("name", ["ascii", "json"])

# Whatever means something in either form, and what is just outside of what may stand there.
PIECES = st.sampled_from([*' "\\,=:{}[]', "\t", "\x00", "\x1f", "\x7f", "é", "\ufeff", "😀", "users", "{}", "null", "1", "NaN",
    "\\n", "\\ud83d", "\\ude00", '":"', '","', "ONLINE_USERS", "MESSAGE", "GOODBYE", "type", "a=b", ' "a b"', "\r"])  # fmt: skip


HEADS = [
    b"\x80",
    b"\x81",
    b"\x90",
    b"\x93",
    b"\xa0",
    b"\xa1a",
    b"\xc0",
    b"\xc4\x00",
    b"\xc7\x00\x01",
    b"\xd4\x01\x00",
    b"\xd9\x01a",
    b"\xff",
]


class Outcome(NamedTuple):
    """What becomes of a payload: a command and its fields, or how it is refused."""

    command: str
    fields: object


def long_way(name: str) -> tuple[Codec, Callable[[str], Role]]:
    """Make a codec that always reads with the parser that knows every form, and the roles that it knows."""
    path = f"improto_codecs/{name}_codec.py"
    text = copies.source(path)
    assert text.count(LONG_ONLY[name][0]) == 1
    copy = copies.load({path: text.replace(*LONG_ONLY[name])})
    return copy.codec(name), copy.module("improto.messages").Role


LONG_WAY = {name: long_way(name) for name in LONG_ONLY}
PLAIN = copies.load({})
"""Where the short way is without other packages: what is installed may have a faster one."""


def outcome(codec: Codec, payload: bytes, sender: Role) -> Outcome:
    """Decode with any codec, also one of a copy, whose classes are others."""
    try:
        message = codec.decode(payload, sender)
    except ValueError as error:
        return Outcome("", (str(cast(Any, error).code), str(error), cast(Any, error).fatal))
    return Outcome(message.COMMAND, [(type(value), value) for value in message.values()])


def assert_same(name: str, payload: bytes, sender: Role) -> None:
    """Read in the short ways and in the long one."""
    codec, roles = LONG_WAY[name]
    expected = outcome(codec, payload, roles(sender.value))
    assert outcome(load(name), payload, sender) == expected
    assert (
        outcome(PLAIN.codec(name), payload, PLAIN.module("improto.messages").Role(sender.value)) == expected
    )


@every_short_codec
@given(message=messages())
def test_canonical_payloads_read_the_same(name: str, message: AnyMessage) -> None:
    """What is canonical is read as the same message in the short way as in the long one."""
    payload = load(name).encode(message)
    for sender in Role:
        assert_same(name, payload, sender)


@every_text_codec
@given(data=st.data(), message=messages())
def test_damaged_payloads_read_the_same(name: str, data: st.DataObject, message: AnyMessage) -> None:
    """What is nearly canonical is read as the same message, or refused with the same error."""
    text = load(name).encode(message).decode()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(PIECES) + text[at + data.draw(st.integers(0, 2)) :]
    assert_same(name, text.encode(), message.FROM)


@given(data=st.data(), message=messages())
def test_damaged_msgpack_reads_the_same(data: st.DataObject, message: AnyMessage) -> None:
    """Damaged msgpack is read as the same message, or refused with the same error."""
    payload = bytearray(load("msgpack").encode(message))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(payload)))
        payload[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.binary(max_size=2) | st.sampled_from(HEADS)
        )
    assert_same("msgpack", bytes(payload), message.FROM)


@pytest.mark.parametrize(
    "users",
    [b"\x80", b"\x81\xa1a\xa1b", b"\x82\xa1a\xa1b\xa1a\xa1c", b"\x81\xa1a\x80", b"\x81\xa1a\x90", b"\x81\xa1a\xc0", b"\x81\xc4\x01a\xa1b",
     b"\xde\x00\x01\xa1a\xa1b", b"\xdf\x00\x00\x00\x01\xa1a\xa1b", b"\xdf\xff\xff\xff\xff\xa1a\xa1b", b"\x81\xa1a\xa1b\xa1c", b"\x81\xa1a",
     b"\x81\xa1a\xa1\xff", b"\x81\x01\xa1b", b"\x81\xa1a\xd4\x01\x00", b"\x81\xa1a\xd6\xff\x00\x00\x00\x00", b"\xa1a", b"", b"\xde", b"\xde\x00"],
)  # fmt: skip
def test_msgpack_rosters_read_the_same(users: bytes) -> None:
    """Whatever stands where a roster should be is read, or refused, the same."""
    for sender in Role:
        assert_same("msgpack", b"\x92\xacONLINE_USERS" + users, sender)


@every_text_codec
@given(pieces=st.lists(PIECES, max_size=6), command=st.sampled_from(list(COMMANDS)))
def test_odd_rosters_read_the_same(name: str, pieces: list[str], command: str) -> None:
    """Whatever stands where a roster should be is read, or refused, the same."""
    form = '{"type":"%s","users":%s}' if name == "json" else "%s %s"
    for inner in "".join(pieces), "{" + "".join(pieces) + "}":
        assert_same(name, (form % (command, inner)).encode(), Role.SERVER)


@every_short_codec
def test_vectors_read_the_same(name: str) -> None:
    """Each vector of the specification is read the same."""
    messages = [each.data for each in vectors().values() if each.kind == "message"]
    payloads = [read_bytes(each["bytes"]) for each in messages if each["codec"] == name]
    assert len(payloads) > 100
    for payload in payloads:
        for sender in Role:
            assert_same(name, payload, sender)


@pytest.mark.parametrize("sender", Role)
@pytest.mark.parametrize("inner", [b"{" * 5000, b"[" * 5000, b'{"a":' * 5000, b'{"a":' + b"[" * 5000])
def test_deep_rosters_are_not_parsed(inner: bytes, sender: Role) -> None:
    """What nests deeply where a roster should be is refused as malformed, and makes no parser recurse (LIMIT-17)."""
    for closed in b"", b"}}":
        payload = b'{"type":"ONLINE_USERS","users":' + inner + closed
        with pytest.raises(DecodeError, match="brackets"):
            load("json").decode(payload, sender)
        assert_same("json", payload, sender)


def expected_json(message: AnyMessage) -> str:
    """Write a message as the standard library does."""
    members = dict(zip([field.name for field in message.FIELDS], message.values(), strict=True))
    return json.dumps({"type": message.COMMAND, **members}, ensure_ascii=False, separators=(",", ":"))


def expected_ascii(message: AnyMessage) -> str:
    """Write a message text by text, as the grammar has it."""

    def written(texts: Iterable[str], odd: str, first: str = "") -> list[str]:
        bare = [text.isascii() and text.isprintable() and not set(text) & set(odd) for text in texts]
        return [
            text if plain and text and text[0] not in first else json.dumps(text)
            for text, plain in zip(texts, bare, strict=True)
        ]

    def words(texts: Iterable[str]) -> list[str]:
        return written(texts, ' "', "([{}])")

    def items(texts: Iterable[str]) -> list[str]:
        return written(texts, ' "=,')

    match message:
        case OnlineUsers(users):
            fields = list(map("=".join, zip(items(users), items(users.values()), strict=True)))
        case Conversations(conversations):
            fields = [f"{items([key])[0]}={','.join(items(names))}" for key, names in conversations.items()]
        case Invite(users):
            fields = words(users)
        case _:
            fields = words(cast("tuple[str, ...]", message.values()))
    return " ".join([message.COMMAND, *fields])


LONG = "x" * 100
ODD = ["", " ", "é", "😀", '"', "\\", "\x00", "\n", "\x7f", "a=b", "a,b", "[a", "a]", "\u2028", LONG, f"{LONG}\\", f'{LONG}"',
    f"{LONG}é", f"{LONG}\n", f"{LONG} \x7f", "a\\b"]  # fmt: skip


@given(message=messages())
@example(message=OnlineUsers({}))
@example(message=OnlineUsers({"a": ""}))
def test_written_as_if_text_by_text(message: AnyMessage) -> None:
    """What is written all at once is what would be written text by text (ASCII-12, JSON-2)."""
    assert load("json").encode(message).decode() == expected_json(message)
    assert load("ascii").encode(message).decode() == expected_ascii(message)


@pytest.mark.parametrize("text", ODD)
def test_odd_texts_are_written_as_if_text_by_text(text: str) -> None:
    """A text that needs an escape, or nearly does, gets it in each place, also amidst others that need none."""
    places: list[AnyMessage] = [
        Message("7", text, text),
        OnlineUsers({text: "here"}),
        OnlineUsers({"ann": text, "bo": "here"}),
        Conversations({"7": (text, "bo")}),
        Invite(("bo", text)),
    ]
    for message in places:
        assert load("json").encode(message).decode() == expected_json(message)
        assert load("ascii").encode(message).decode() == expected_ascii(message)


@every_short_codec
@pytest.mark.parametrize("kind", COMMANDS.values(), ids=COMMANDS)
def test_messages_that_were_read_are_frozen(name: str, kind: type[AnyMessage]) -> None:
    """A message that was read is of the class of its command and frozen like any other."""
    containers = {Kind.NAMES: ("bo",), Kind.ROSTER: {"bo": "x"}, Kind.CONVERSATIONS: {"7": ("bo",)}}
    message = cast(Callable[..., AnyMessage], kind)(*[containers.get(of, "a") for _, of in kind.FIELDS])
    found = load(name).decode(load(name).encode(message), kind.FROM)
    assert type(found) is kind
    assert found == message
    assert hash(found) == hash(message) if all(of not in containers for _, of in kind.FIELDS) else True
    for field, _ in kind.FIELDS:
        with pytest.raises(AttributeError):
            setattr(found, field, "x")
