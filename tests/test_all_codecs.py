"""Tests of all codecs by the checks that anybody's codec can be tested by, and of what they have in common."""

import gc
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from improto.codec import available, load
from improto.errors import DecodeError
from improto.limits import Limits
from improto.messages import Conversations, Join, Message, OnlineUsers, Role
from improto_conformance import CodecChecks
from improto_conformance.codecs.reading import read
from improto_conformance.codecs.strategies import messages


class TestAscii(CodecChecks):
    """Lines of printable ASCII, which do not nest."""

    codec = load("ascii")


class TestJson(CodecChecks):
    """Objects on lines."""

    codec = load("json")

    @staticmethod
    def nested(levels: int) -> bytes:
        """Nest arrays in the object."""
        return b'{"type":"LATER","field":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


class TestMsgpack(CodecChecks):
    """Arrays behind their length."""

    codec = load("msgpack")

    @staticmethod
    def nested(levels: int) -> bytes:
        """Nest arrays in the array."""
        return b"\x92\xa5LATER" + b"\x91" * (levels - 2) + b"\x90"


class TestPickle(CodecChecks):
    """Commands and pickles."""

    codec = load("pickle")

    @staticmethod
    def nested(levels: int) -> bytes:
        """Nest lists."""
        return b"LATER " + b"(" * levels + b"l" * levels + b"."


def test_no_codec_is_left_out() -> None:
    """Each codec that is installed is checked here."""
    assert sorted(kind.codec.name for kind in CodecChecks.__subclasses__()) == available()


@given(data=st.data(), sender=st.sampled_from(Role))
def test_all_codecs_tell_the_same(data: st.DataObject, sender: Role) -> None:
    """One trace, written in each codec, is read as the same messages (CODEC-3)."""
    trace = data.draw(st.lists(messages(sender), min_size=1, max_size=3))
    for name in available():
        codec = load(name)
        stream = b"".join(codec.frame(codec.encode(message)) for message in trace)
        assert read(codec.reader(sender), [stream], Limits().roster) == trace


class _Markup(str):
    """A text as template engines have it, which escapes what it is added to, and shows itself otherwise."""

    __slots__ = ()

    def __add__(self, other: str) -> str:
        return str(self) + other.replace('"', "&#34;")

    def __radd__(self, other: str) -> str:
        return other.replace('"', "&#34;") + str(self)

    def __format__(self, _: str) -> str:
        return "markup"


@pytest.mark.parametrize("name", available())
@pytest.mark.parametrize("text", ["hi", "hi, bo", "it's " * 30, "\u00e9 " * 60, 'say "hi" ' * 20])
def test_markup_is_written_as_other_text(name: str, text: str) -> None:
    """A text of a class with additions of its own is written as one of `str`."""
    codec = load(name)
    own = _Markup(text)
    assert codec.encode(Message("7", own, own)) == codec.encode(Message("7", text, text))
    assert codec.encode(OnlineUsers({own: own})) == codec.encode(OnlineUsers({text: text}))
    assert codec.encode(Conversations({"7": (own,)})) == codec.encode(Conversations({"7": (text,)}))


@pytest.mark.parametrize("name", available())
def test_what_is_refused_is_let_go_of(name: str) -> None:
    """A refused payload leaves nothing to the garbage collector, which a program may have switched off."""
    codec = load(name)
    payload = codec.encode(Join("7"))

    def errors() -> list[object]:
        return [thing for thing in gc.get_objects() if type(thing) is DecodeError]

    gc.disable()
    before = errors()  # what other tests have left
    try:
        for sender in Role:
            for refused in payload, payload[:-1], payload + payload:
                with suppress(DecodeError):
                    codec.decode(refused, sender)
        assert errors() == before
    finally:
        gc.enable()
