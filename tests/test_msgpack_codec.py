"""Tests of the msgpack codec: the canonical array, every form of it, and what is refused."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from improto.errors import DecodeError
from improto.messages import (
    AnyMessage,
    Code,
    Conversations,
    Error,
    Goodbye,
    Invite,
    Join,
    Message,
    OnlineUsers,
    Register,
    Role,
    Status,
)
from improto_codecs.msgpack_codec import MsgpackCodec

CODEC = MsgpackCodec()

CANONICAL: list[tuple[AnyMessage, bytes]] = [
    (Register("bo", ""), b"\x93\xa8REGISTER\xa2bo\xa0"),
    (OnlineUsers({"bo": "x"}), b"\x92\xacONLINE_USERS\x81\xa2bo\xa1x"),
    (OnlineUsers({}), b"\x92\xacONLINE_USERS\x80"),
    (Status("\u00e9"), b"\x92\xa6STATUS\xa2\xc3\xa9"),
    (Goodbye(), b"\x91\xa7GOODBYE"),
    (Invite(("bo", "cy")), b"\x93\xa6INVITE\xa2bo\xa2cy"),
    (Conversations({"7": (), "8": ("bo",)}), b"\x92\xadCONVERSATIONS\x82\xa17\x90\xa18\x91\xa2bo"),
    (Join("7"), b"\x92\xa4JOIN\xa17"),
    (Message("7", "bo", ""), b"\x94\xa7MESSAGE\xa17\xa2bo\xa0"),
    (Error("x" * 40), b"\x92\xa5ERROR\xd9\x28" + b"x" * 40),
]

# Everything that a peer may write in the place of a text, each well-formed.
OTHERS = [
    b"\xc0",
    b"\xc2",
    b"\xc3",
    b"\x07",
    b"\xff",
    b"\xcc\xff",
    b"\xcd\xff\xff",
    b"\xce\xff\xff\xff\xff",
    b"\xcf" + b"\xff" * 8,
    b"\xd0\x80",
    b"\xd1\x80\x00",
    b"\xd2\x80\x00\x00\x00",
    b"\xd3\x80" + bytes(7),
    b"\xca\x7f\xc0\x00\x00",
    b"\xcb\x7f\xf0" + bytes(6),
    b"\xc4\x00",
    b"\xc4\x017",
    b"\xc5\x00\x017",
    b"\xc6\x00\x00\x00\x017",
    b"\xc7\x00\x05",
    b"\xc7\x01\x057",
    b"\xc8\x00\x01\x057",
    b"\xc9\x00\x00\x00\x01\x057",
    b"\xd4\x05x",
    b"\xd5\x05xx",
    b"\xd6\x05xxxx",
    b"\xd6\xff\x00\x00\x00\x00",
    b"\xd7\xff" + bytes(8),
    b"\xd7\xff" + b"\xff" * 8,
    b"\xd4\xff\x00",
    b"\xd4\xfex",
    b"\xc7\x03\xff\x00\x00\x00",
    b"\xc7\x0c\xff" + b"\xff" * 12,
    b"\xd8\x05" + b"x" * 16,
    b"\x90",
    b"\x91\xa17",
    b"\xdc\x00\x00",
    b"\x80",
    b"\x81\xa17\xa0",
    b"\xde\x00\x00",
]


def refusal(payload: bytes, sender: Role = Role.CLIENT) -> str:
    """Give the code with which a payload is refused, never fatally."""
    with pytest.raises(DecodeError) as caught:
        CODEC.decode(payload, sender)
    assert not caught.value.fatal
    return caught.value.code


@pytest.mark.parametrize(("message", "payload"), CANONICAL)
def test_canonical_form(message: AnyMessage, payload: bytes) -> None:
    """Each message has its array, which is read as the message (MSGPACK-1, MSGPACK-3, MSGPACK-5)."""
    assert CODEC.encode(message) == payload
    assert CODEC.decode(payload, message.FROM) == message


def test_frame_has_its_length() -> None:
    """On a stream four bytes with the length go ahead (MSGPACK-2)."""
    assert CODEC.frame(CODEC.encode(Goodbye())) == b"\x00\x00\x00\x09\x91\xa7GOODBYE"


@pytest.mark.parametrize("array", [b"\x92", b"\xdc\x00\x02", b"\xdd\x00\x00\x00\x02"])
@pytest.mark.parametrize("text", [b"\xa17", b"\xd9\x017", b"\xda\x00\x017", b"\xdb\x00\x00\x00\x017"])
def test_longer_forms_of_text_and_array(array: bytes, text: bytes) -> None:
    """Texts and arrays are read in every form (MSGPACK-6)."""
    assert CODEC.decode(array + b"\xd9\x04JOIN" + text, Role.CLIENT) == Join("7")


@pytest.mark.parametrize("map", [b"\x81", b"\xde\x00\x01", b"\xdf\x00\x00\x00\x01"])
@pytest.mark.parametrize("array", [b"\x91", b"\xdc\x00\x01", b"\xdd\x00\x00\x00\x01"])
def test_longer_forms_of_map(map: bytes, array: bytes) -> None:
    """Maps are read in every form (MSGPACK-6)."""
    payload = b"\x92\xadCONVERSATIONS" + map + b"\xa17" + array + b"\xa2bo"
    assert CODEC.decode(payload, Role.SERVER) == Conversations({"7": ("bo",)})


@pytest.mark.parametrize("other", OTHERS, ids=bytes.hex)
def test_other_types_are_invalid(other: bytes) -> None:
    """Whatever else stands in the place of a text, in a field, list or map, is invalid (MSGPACK-4, MSGPACK-5)."""
    assert refusal(b"\x92\xa4JOIN" + other) == Code.INVALID
    assert refusal(b"\x93\xa6INVITE\xa2bo" + other) == Code.INVALID
    assert refusal(b"\x92\xacONLINE_USERS\x81\xa2bo" + other, Role.SERVER) == Code.INVALID
    assert refusal(b"\x92\xacONLINE_USERS\x81" + other + b"\xa0", Role.SERVER) == Code.INVALID
    assert refusal(b"\x92\xadCONVERSATIONS\x81\xa17\x91" + other, Role.SERVER) == Code.INVALID


@pytest.mark.parametrize("other", OTHERS, ids=bytes.hex)
def test_other_types_in_place_of_containers(other: bytes) -> None:
    """Whatever else stands in the place of a map is invalid, and so is what is no list in one (MSGPACK-5)."""
    if other[0] not in {0x80, 0x81, 0xDE}:
        assert refusal(b"\x92\xacONLINE_USERS" + other, Role.SERVER) == Code.INVALID
        assert refusal(b"\x92\xadCONVERSATIONS" + other, Role.SERVER) == Code.INVALID
    if other[0] not in {0x90, 0x91, 0xDC}:
        assert refusal(b"\x92\xadCONVERSATIONS\x81\xa17" + other, Role.SERVER) == Code.INVALID


@pytest.mark.parametrize("other", OTHERS, ids=bytes.hex)
def test_command_must_be_text(other: bytes) -> None:
    """An array that does not begin with a str, and a payload that is another value, are malformed (MSGPACK-9)."""
    assert refusal(b"\x91" + other) == Code.MALFORMED
    if other != b"\x91\xa17":
        assert refusal(other) == Code.MALFORMED


@pytest.mark.parametrize("other", OTHERS, ids=bytes.hex)
def test_unknown_commands_take_anything(other: bytes) -> None:
    """An unknown command with well-formed fields is unknown, before anything can be invalid."""
    assert refusal(b"\x92\xa5LATER" + other) == Code.UNKNOWN_COMMAND
    assert refusal(b"\x92\xa5ERROR" + other) == Code.UNKNOWN_COMMAND


@pytest.mark.parametrize(
    "fields",
    [
        b"",
        b"\xc1",
        b"\xa2x",
        b"\xa0\xa0",
        b"\xa0\xc0",
        b"\xa1\xff",
        b"\xa3\xed\xa0\x80",
        b"\xa2\xc0\x80",
        b"\x81\xa1\xff\xa0",
        b"\x82\xa1a\xa0\xa1a\xa1\xff",
        b"\x91\x91\x91\x91\xa0",
        b"\x91\x91\x91\x90",
        b"\x81\xa0\x91\x81\xa0\x80",
        b"\x81\x91\x91\x91\xa0\xa0",
        b"\x81\xa0",
        b"\xdc\x00",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff\xa0",
        b"\xdb\xff\xff\xff\xffx",
        b"\xc6\xff\xff\xff\xffx",
        b"\xc9\xff\xff\xff\xff\x05x",
        b"\xd8\x05x",
        b"\xc7\x00",
        b"\xcb\x00",
        b"\xcd\x00",
        b"\xd7\xff\x00",
        b"\xd4",
        b"\xd4\xff",
    ],
)
@pytest.mark.parametrize("command", [b"\xa4JOIN", b"\xa5LATER", b"\xa5ERROR"])
def test_malformed(command: bytes, fields: bytes) -> None:
    """What is cut off, followed by more, too deep or no UTF-8 is malformed for any command (MSGPACK-7, CODEC-6)."""
    assert refusal(b"\x92" + command + fields) == Code.MALFORMED


@pytest.mark.parametrize(
    "payload", [b"", b"\x90", b"\xdc\x00\x00", b"\x91\xa0", b"\x91\xa4join", b"\x91\xb5" + b"A" * 21]
)
def test_no_command(payload: bytes) -> None:
    """An empty frame, an empty array and a name that is none are malformed (MSGPACK-8, MSGPACK-9, CODEC-4)."""
    assert refusal(payload) == Code.MALFORMED


@pytest.mark.parametrize(
    "payload",
    [b"\x91\xa4JOIN", b"\x93\xa4JOIN\xa17\xa18", b"\x92\xa7GOODBYE\xa0", b"\x92\xa6INVITE\x91\xa2bo"],
)
def test_wrong_number_of_fields(payload: bytes) -> None:
    """Too many or too few fields, and INVITE with a list, are invalid (CODEC-5, MSGPACK-3)."""
    assert refusal(payload) == Code.INVALID


def test_key_twice_is_invalid() -> None:
    """A map that holds a key twice is invalid, also in two forms of the same text (CODEC-10)."""
    assert refusal(b"\x92\xacONLINE_USERS\x82\xa1a\xa0\xd9\x01a\xa1x", Role.SERVER) == Code.INVALID
    assert refusal(b"\x92\xadCONVERSATIONS\x82\xa17\x90\xa17\x90", Role.SERVER) == Code.INVALID


@given(
    st.recursive(
        st.sampled_from(OTHERS),
        lambda inner: st.lists(inner, max_size=3).map(
            lambda items: bytes([0x90 + len(items)]) + b"".join(items)
        ),
    ),
    st.data(),
)
def test_cut_off_anywhere(value: bytes, data: st.DataObject) -> None:
    """No part of a payload, and no payload with a byte more, is taken for the whole."""
    payload = b"\x92\xa5LATER" + value
    end = data.draw(st.integers(0, len(payload) - 1))
    assert refusal(payload[:end]) == Code.MALFORMED
    assert refusal(payload + data.draw(st.binary(min_size=1, max_size=3))) == Code.MALFORMED


N = 100_000


@pytest.mark.parametrize(
    "payload",
    [
        b"\x91" * N,
        b"\x81" * N,
        b"\x91" * N + b"\xc0",
        b"\xdd\xff\xff\xff\xff",
        b"\xdd\x7f\xff\xff\xff" + b"\xc0" * N,
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff" + b"x" * N,
        b"\xdc\xff\xff" * N,
        b"\xdd\xff\xff\xff\xff" * N,
        b"\xdf\xff\xff\xff\xff" * N,
        b"\x92\xa5LATER" + b"\x81\xa0" * N + b"\xc0",
        b"\x92\xa5LATER\xdd\x7f\xff\xff\xff" + b"\xc0" * N,
    ],
)
def test_attacks(payload: bytes) -> None:
    """Deep nesting and huge declared lengths are malformed, and take no memory (LIMIT-4, LIMIT-17)."""
    assert refusal(payload) == Code.MALFORMED


def test_many_arguments_and_keys() -> None:
    """100,000 fields or entries are read like few; how many are allowed is a matter of limits."""
    invite = Invite(("a",) * N)
    assert CODEC.decode(CODEC.encode(invite), Role.CLIENT) == invite
    roster = OnlineUsers({str(n): "" for n in range(N)})
    assert CODEC.decode(CODEC.encode(roster), Role.SERVER) == roster
    same = b"\x92\xacONLINE_USERS\xdf" + N.to_bytes(4) + b"\xa1a\xa0" * N
    assert refusal(same, Role.SERVER) == Code.INVALID


def test_missing_package_is_told() -> None:
    """Without the package the other codecs load, and asking for this one says what to install."""
    code = """if True:
        import sys
        sys.modules["msgpack"] = None
        from improto.codec import RegistryError, load
        load("ascii"), load("json")
        try:
            load("msgpack")
        except RegistryError as error:
            print(error)
    """
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'improto[msgpack]'" in run.stdout


@pytest.mark.parametrize("keys", [(b"\xa1a", b"\xc4\x01a"), (b"\xc4\x00", b"\xa0")], ids=["a", "nothing"])
def test_keys_that_may_not_be_compared(keys: tuple[bytes, bytes]) -> None:
    """A str and a bin of the same bytes as keys are refused also by a Python that does not compare the two (`-bb`)."""
    payload = b"\x92\xacONLINE_USERS\x82" + b"".join([key + b"\xa0" for key in keys])
    code = f"""if True:
        import sys
        sys.modules["msgspec"] = None
        from improto.codec import load
        from improto.errors import DecodeError
        from improto.messages import Role
        for sender in Role:
            try:
                load("msgpack").decode({payload!r}, sender)
            except DecodeError as error:
                print(error.code)
    """
    run = subprocess.run([sys.executable, "-bb", "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout.split() == [Code.UNKNOWN_COMMAND, Code.INVALID], run.stderr


@pytest.mark.skipif(
    "MSGPACK_PUREPYTHON" in os.environ, reason="these tests run without the extension already"
)
def test_same_without_the_extension() -> None:
    """The package's pure Python form, taken where its extension cannot be built, gives the same results."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__],
        env={**os.environ, "MSGPACK_PUREPYTHON": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
