"""Tests of codecs that write in other lawful forms."""

import pytest

from improto.codec import Codec, load
from improto.errors import DecodeError
from improto.messages import (
    AnyMessage,
    Code,
    Conversations,
    Error,
    Invitation,
    Message,
    OnlineUsers,
    Role,
)
from improto_conformance.judging.dialects import DIALECTS
from improto_spec import clauses

SENT: list[AnyMessage] = [
    OnlineUsers({"ann": "", "b o": 'a "b" = é,\U0001f600'}),
    Conversations({"7": ("ann", "b o"), "#=,": ()}),
    Invitation("7", "ann"),
    Message("07", "ann", "a\nb  \\ 'c'"),
    Error("invalid: é"),
]
CODECS = {name: codec for name, (_, codec) in DIALECTS.items()}
READERS = ("json-without-double-keys", "json-takes-the-first-key")
"""Those that only read otherwise."""


def test_clauses_exist() -> None:
    """Each is allowed by a clause that there is."""
    assert {clause for clause, _ in DIALECTS.values()} <= clauses().keys()


@pytest.mark.parametrize("message", SENT, ids=lambda message: message.COMMAND)
@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
def test_understood(codec: Codec, message: AnyMessage) -> None:
    """What it writes is the same message to the reference's codec, on a stream."""
    reader = load(codec.name).reader(Role.SERVER)
    reader.feed(codec.frame(codec.encode(message)) * 2)
    assert [reader.next(10_000) for _ in range(2)] == [message, message]


@pytest.mark.parametrize("name", [name for name in CODECS if name not in READERS])
def test_another_form(name: str) -> None:
    """At least one message has other bytes than the reference's."""
    codec = CODECS[name]
    own = [codec.frame(codec.encode(message)) for message in SENT]
    reference = load(codec.name)
    assert own != [reference.frame(reference.encode(message)) for message in SENT]


def test_double_keys() -> None:
    """An object with a key twice is malformed to one, another takes the first, and all others the last."""
    payload = b'{"type":"JOIN","conversation":"1","conversation":"2"}'
    with pytest.raises(DecodeError) as caught:
        CODECS["json-without-double-keys"].decode(payload, Role.CLIENT)
    assert caught.value.code == Code.MALFORMED
    assert CODECS["json-takes-the-first-key"].decode(payload, Role.CLIENT).values() == ("1",)
    assert CODECS["json-backwards"].decode(payload, Role.CLIENT).values() == ("2",)
