"""Tests of `improto_codecs.faster`: that with the extra `fast` the codecs do what they do without."""

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from improto.codec import load
from improto.messages import AnyMessage, Error, Message, OnlineUsers, Role
from improto_codecs import faster
from improto_conformance.codecs.strategies import messages
from improto_conformance.zoo import copies

pytest.importorskip("msgspec")
pytest.importorskip("orjson")

PLAIN = copies.load({})
"""A copy of the reference that does not find the packages."""
FASTER = ["ascii", "json", "msgpack"]

CHARACTERS = [*map(chr, range(0x3000)), "\ud7ff", "\ue000", "\ufeff", "\uffff", "\U00010000", "\U0010ffff"]
PIECES = [*' "\\,:{}[]x=', "\t", "\x00", "\x7f", "é", "😀", "null", "1", "1e999", "NaN", "\\n", "\\ud83d", '":"', '","', '"a"', ' "a":"b",', '"type":"ERROR",', '"text":"x"', ' a=b', '"users":{"a":"b"}', '[' * 40]  # fmt: skip


def plain(message: AnyMessage) -> Any:
    """Give the same message of the copy."""
    return getattr(PLAIN.module("improto.messages"), type(message).__name__)(*message.values())


def outcome(codec: Any, payload: bytes, role: Any) -> object:
    """Decode; give the command and the fields, or how it is refused."""
    try:
        message = codec.decode(payload, role)
    except ValueError as error:
        return [str(error), vars(error)]
    return [message.COMMAND, repr(message.values())]


def alike(name: str, payload: bytes, role: Role) -> bool:
    """Tell whether a payload is read, or refused, as without the packages."""
    roles = PLAIN.module("improto.messages").Role
    return outcome(load(name), payload, role) == outcome(PLAIN.codec(name), payload, roles(role.value))


def test_the_packages_are_used() -> None:
    """With the packages there are faster ways, and in the copy not, so that the other tests compare something."""
    for module, kept in (faster, False), (PLAIN.module("improto_codecs.faster"), True):
        ways = [
            module.ascii_text(plain),
            module.json_reader(Role.SERVER, plain),
            module.json_writer(OnlineUsers, plain),
            module.json_writer(Message, plain),
            module.msgpack_reader(Role.SERVER, plain),
            module.msgpack_writer(Message, plain),
            module.msgpack_map(plain),
        ]
        assert [way is plain for way in ways] == [kept] * len(ways)


def test_an_old_package_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A msgspec whose errors are no ValueErrors, as before 0.21, is not used: they would come out of the codecs."""
    (tmp_path / "improto_old_msgspec.py").write_text(
        "from msgspec import *\nclass DecodeError(Exception): pass\n", encoding="utf-8"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    path = "improto_codecs/faster.py"
    old = copies.load({path: copies.source(path).replace('"msgspec"', '"improto_old_msgspec"')})
    assert old.module("improto_codecs.faster").json_writer(Message, plain) is plain


@pytest.mark.parametrize("name", FASTER)
@given(message=messages())
def test_they_write_the_same(name: str, message: AnyMessage) -> None:
    """Each message is written as without the packages."""
    assert load(name).encode(message) == PLAIN.codec(name).encode(plain(message))


@pytest.mark.parametrize("name", FASTER)
def test_they_escape_the_same(name: str) -> None:
    """Each character is escaped, or not, as without the packages."""
    texts = ["".join(CHARACTERS), *["x" * 100 + character for character in CHARACTERS[:0x100]]]
    odd: list[AnyMessage] = [OnlineUsers(dict.fromkeys(CHARACTERS, "here")), *map(Error, texts)]
    for message in odd:
        assert load(name).encode(message) == PLAIN.codec(name).encode(plain(message))


@pytest.mark.parametrize("name", FASTER)
@given(message=messages(), role=st.sampled_from(Role), data=st.data())
def test_they_read_the_same(name: str, message: AnyMessage, role: Role, data: st.DataObject) -> None:
    """Each message, whole or with a part of it replaced by something odd, is read, or refused, as without them."""
    payload = load(name).encode(message)
    assert alike(name, payload, role)
    start = data.draw(st.integers(0, len(payload)))
    end = data.draw(st.integers(start, min(len(payload), start + 8)))
    odd = "".join(data.draw(st.lists(st.sampled_from(PIECES), max_size=4))).encode()
    assert alike(name, payload[:start] + odd + payload[end:], role)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(
    "payload",
    [
        b'{"type":"ERROR","message":"a","message":"b"}',
        b'{"type":"ERROR","message":1,"message":"b"}',
        b'{"type":"ERROR","message":"b","type":"STATUS","status":"c"}',
        b'{"type":"ERROR","message":"b","x":"\xff"}',
        b'{"type":"ERROR","message":"b","x":%b}' % (b"[" * 100 + b"]" * 100),
        b'{"x":%b,"type":"ERROR","message":"b"}' % (b"[" * 100_000 + b"]" * 100_000),
        b'{"x":%b' % (b'{"":' * 100_000),
        b'{"message":"b","type":"ERROR"}',
        b' {"type" : "ERROR", "message" : "b" }\t',
        b'{"t\\u0079pe":"ERROR","m\\u0065ssage":"b\\n\\u00e9\\ud83d\\ude00"}',
        b'{"type":"ONLINE_USERS","users":{"a":"b","\\u0061":"c"}}',
        b'{"type":"ONLINE_USERS","users":{"a":"b","c":{"d":"e"}}}',
        b'{"type":"GOODBYE"}',
        b'{"type":"GOODBYE","users":[]}',
        b'{"type":"INVITE","users":["a","b"]}',
        b'{"type":"INVITE","users":{"a":"b"}}',
        b'{"type":"CONVERSATIONS","conversations":{"a":[],"b":["c"],"a":["d"]}}',
        b'{"type":"ERROR","message":"b"}{"type":"ERROR","message":"b"}',
        b'\xef\xbb\xbf{"type":"ERROR","message":"b"}',
        b"ONLINE_USERS",
        b"ONLINE_USERS ",
        b"ONLINE_USERS a=b a=c",
        b"ONLINE_USERS a=b  c=d",
        b"ONLINE_USERS a=b c=d ",
        b"ONLINE_USERS a= b=c",
        b"ONLINE_USERS =a b=c",
        b"ONLINE_USERS a=b=c",
        b"ONLINE_USERS a b=c",
        b"ONLINE_USERS a,b=c",
        b"ONLINE_USERS a:b={c}",
        b"\x92\xa5ERROR\xa1b",
        b"\xdc\x00\x02\xd9\x05ERROR\xdb\x00\x00\x00\x01b",
        b"\xdd\xff\xff\xff\xff\xa5ERROR\xa1b",
        b"\x92\xa5ERROR\xc4\x01b",
        b"\x92\xa5ERROR\xa1\xff",
        b"\x92\xa5ERROR\xa1bc",
        b"\x92\xa5ERROR\xdd\xff\xff\xff\xff",
        b"\x93\xa5ERROR\xa1b\xc0",
        b"\x92\xacONLINE_USERS\x82\xa1a\xa1b\xa1a\xa1c",
        b"\x92\xacONLINE_USERS\xdf\xff\xff\xff\xff\xa1a\xa1b",
        b"\x92\xacONLINE_USERS\x81\xc4\x01a\xa1b",
        b"\x92\xacONLINE_USERS\x80",
        b"\x91" * 100_000,
    ],
)
def test_odd_payloads_are_read_the_same(payload: bytes, role: Role) -> None:
    """What differs between parsers in other places is read, or refused, as without the packages."""
    for name in FASTER:
        assert alike(name, payload, role)
