"""Properties that every codec has, the project's own and any that is installed besides."""

from collections.abc import Callable, Iterable
from typing import cast

import pytest
from hypothesis import given, target
from hypothesis import strategies as st

from improto.codec import Codec, available, load
from improto.errors import DecodeError
from improto.limits import Limits
from improto.messages import (
    COMMANDS,
    AnyMessage,
    Code,
    Conversations,
    Error,
    Field,
    Kind,
    OnlineUsers,
    Register,
    Role,
    SendMessage,
    Value,
)
from improto_conformance.strategies import messages, segmentations

LIMITS = Limits()
ROLES = st.sampled_from(Role)

every_codec = pytest.mark.parametrize("name", available())


def read(
    codec: Codec, sender: Role, pieces: Iterable[bytes], limit: int = LIMITS.roster
) -> list[AnyMessage | Code]:
    """Read a stream in pieces: the messages, and the codes of errors up to and with the first fatal one."""
    reader = codec.reader(sender)
    found: list[AnyMessage | Code] = []
    for piece in pieces:
        reader.feed(piece)
        while True:
            try:
                message = reader.next(limit)
            except DecodeError as error:
                found.append(Code(error.code))
                if error.fatal:
                    return found
            else:
                if message is None:
                    break
                found.append(message)
    return found


def stream(codec: Codec, trace: Iterable[AnyMessage]) -> bytes:
    """Write messages one behind the other."""
    return b"".join(codec.frame(codec.encode(message)) for message in trace)


def byte_by_byte(data: bytes) -> list[bytes]:
    """Cut after each byte."""
    return [data[i : i + 1] for i in range(len(data))]


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """Draw `data` with some bytes replaced, put in or taken out."""
    changed = bytearray(data)
    signs = st.sampled_from(b' "\\,=u[]{}(.\n\r\x00\x80\x91\xc1\xc4\xc7\xd9\xdd\xdf\xff')
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(changed)))
        new = bytes(draw(st.lists(st.one_of(st.integers(0, 255), signs), max_size=3)))
        changed[at : at + draw(st.integers(0, 3))] = new
    return bytes(changed)


@every_codec
@given(message=messages())
def test_round_trip(name: str, message: AnyMessage) -> None:
    """Every legal message comes back unchanged (CODEC-2)."""
    codec = load(name)
    assert codec.decode(codec.encode(message), message.FROM) == message


@every_codec
@given(message=messages())
def test_wrong_direction_is_unknown(name: str, message: AnyMessage) -> None:
    """A message from the end that does not send it is an unknown command, and the connection goes on."""
    codec = load(name)
    other = Role.SERVER if message.FROM is Role.CLIENT else Role.CLIENT
    with pytest.raises(DecodeError) as caught:
        codec.decode(codec.encode(message), other)
    assert caught.value.code == Code.UNKNOWN_COMMAND


@every_codec
@given(data=st.data(), sender=ROLES)
def test_segmentation_does_not_matter(name: str, data: st.DataObject, sender: Role) -> None:
    """A stream gives the same messages however it is cut into pieces."""
    codec = load(name)
    trace = data.draw(st.lists(messages(sender), max_size=4))
    assert read(codec, sender, data.draw(segmentations(stream(codec, trace)))) == trace


@every_codec
@pytest.mark.parametrize("sender", Role)
def test_whole_and_byte_by_byte(name: str, sender: Role) -> None:
    """All commands one behind the other are read from one piece as from single bytes."""
    codec = load(name)
    trace = [smallest(kind) for kind in COMMANDS.values() if kind.FROM is sender]
    data = stream(codec, trace)
    assert read(codec, sender, [data]) == trace
    assert read(codec, sender, byte_by_byte(data)) == trace


@every_codec
@pytest.mark.parametrize("sender", Role)
def test_where_each_message_ends(name: str, sender: Role) -> None:
    """After each message, or what is none, a reader tells how many bytes lie behind it."""
    codec = load(name)
    other = Role.SERVER if sender is Role.CLIENT else Role.CLIENT
    # What a pickle says of no arguments comes with the next message.
    trace = [smallest(kind) for kind in COMMANDS.values() if kind.FIELDS]
    frames = [stream(codec, [message]) for message in trace]
    reader = codec.reader(sender)
    reader.feed(b"".join(frames))
    behind: list[int] = []
    for message in trace:
        if message.FROM is other:
            with pytest.raises(DecodeError):
                reader.next(LIMITS.roster)
        else:
            reader.next(LIMITS.roster)
        behind.append(reader.behind)
    assert behind == [sum(map(len, frames[at:])) for at in range(1, len(frames) + 1)]


@every_codec
@given(data=st.data(), sender=ROLES)
def test_incomplete_end_gives_nothing(name: str, data: st.DataObject, sender: Role) -> None:
    """A message whose end has not come is neither given nor refused, and those before it are given."""
    codec = load(name)
    first, last = (
        data.draw(messages(sender)),
        SendMessage("7", "x") if sender is Role.CLIENT else Error("x: y"),
    )
    whole = stream(codec, [first])
    frame = stream(codec, [last])
    part = frame[: data.draw(st.integers(0, len(frame) - 1))]
    assert read(codec, sender, [whole + part]) == [first]


@every_codec
@pytest.mark.parametrize("kind", COMMANDS.values(), ids=COMMANDS)
def test_trailing_data_in_a_payload(name: str, kind: type[AnyMessage]) -> None:
    """A second message in one payload is refused (CODEC-8)."""
    codec = load(name)
    payload = codec.encode(smallest(kind))
    with pytest.raises(DecodeError):
        codec.decode(payload + b"\n" + payload, kind.FROM)


@every_codec
@pytest.mark.parametrize("payload", [b"", b" ", b"\n", b"\r\n", b" \r \n"])
def test_blank_payload(name: str, payload: bytes) -> None:
    """A payload without a message is malformed (CODEC-9)."""
    with pytest.raises(DecodeError) as caught:
        load(name).decode(payload, Role.CLIENT)
    assert caught.value.code == Code.MALFORMED


@given(data=st.data(), sender=ROLES)
def test_all_codecs_tell_the_same(data: st.DataObject, sender: Role) -> None:
    """One trace, written in each codec, is read as the same messages (CODEC-3)."""
    trace = data.draw(st.lists(messages(sender), min_size=1, max_size=3))
    for name in available():
        codec = load(name)
        assert read(codec, sender, [stream(codec, trace)]) == trace


@every_codec
@given(payload=st.binary(max_size=80), sender=ROLES)
def test_random_payload(name: str, payload: bytes, sender: Role) -> None:
    """Any payload is a message or a DecodeError, nothing else."""
    try:
        load(name).decode(payload, sender)
    except DecodeError as error:
        code = error.code
    else:
        return
    assert code in {Code.MALFORMED, Code.UNKNOWN_COMMAND, Code.INVALID}


@every_codec
@given(data=st.data(), sender=ROLES)
def test_random_stream(name: str, data: st.DataObject, sender: Role) -> None:
    """Any bytes on a stream give messages or DecodeErrors, the same for each segmentation."""
    codec = load(name)
    content = data.draw(st.binary(max_size=60))
    limit = data.draw(st.sampled_from([10, 100, LIMITS.request]))
    pieces = data.draw(segmentations(content))
    assert read(codec, sender, pieces, limit) == read(codec, sender, byte_by_byte(content), limit)


@every_codec
@given(data=st.data(), message=messages())
def test_mutated_payload(name: str, data: st.DataObject, message: AnyMessage) -> None:
    """A damaged payload is a message that can be written again or a DecodeError; reading goes on if it is not fatal."""
    codec = load(name)
    payload = data.draw(mutated(codec.encode(message)))
    try:
        found = codec.decode(payload, message.FROM)
    except DecodeError as error:
        fatal = error.fatal
    else:
        assert codec.decode(codec.encode(found), message.FROM) == found
        fatal = True
    following = smallest(type(message))
    results = read(codec, message.FROM, [codec.frame(payload), stream(codec, [following])])
    # A payload that ends by itself, unframed, may reach into what follows once it is damaged.
    unframed = codec.frame(payload) == payload
    assert fatal or unframed or results[-1] == following


@every_codec
@pytest.mark.parametrize("size", [1, 30, 3000])
def test_limit_is_exact(name: str, size: int) -> None:
    """A payload of exactly the limit is read, and one byte more is too large and fatal (LIMIT-1, LIMIT-2)."""
    codec = load(name)
    message = SendMessage("7", "x" * size)
    payload = codec.encode(message)
    assert read(codec, Role.CLIENT, [codec.frame(payload)], len(payload)) == [message]
    for pieces in [codec.frame(payload)], byte_by_byte(codec.frame(payload)):
        assert read(codec, Role.CLIENT, pieces, len(payload) - 1) == [Code.TOO_LARGE]


@every_codec
def test_endless_message_is_too_large(name: str) -> None:
    """A message that does not end is refused soon after the limit, not stored for ever (LIMIT-4)."""
    codec = load(name)
    begun = codec.frame(codec.encode(SendMessage("7", "x" * 4000)))[:2000]
    assert read(codec, Role.CLIENT, [begun, *byte_by_byte(b"x" * 200)], 2000) == [Code.TOO_LARGE]


@every_codec
@given(message=messages())
def test_drawn_requests_and_events_fit(name: str, message: AnyMessage) -> None:
    """No legal request or event that a search for large ones finds is over its limit (LIMIT-19, LIMIT-3)."""
    size = len(load(name).encode(message))
    if not isinstance(message, OnlineUsers | Conversations):
        target(float(size), label="payload bytes")
        assert size <= (LIMITS.greeting if isinstance(message, Register) else LIMITS.request)


def smallest(kind: type[AnyMessage]) -> AnyMessage:
    """Make a message of a kind with the least that is legal in its fields."""
    return make(kind, lambda field: {Kind.NAME: "b", Kind.CONVERSATION: "7"}.get(field, ""))


def make(kind: type[AnyMessage], text: Callable[[Kind], str]) -> AnyMessage:
    """Make a message of a kind out of texts for its fields, the longest lists of names and empty maps."""

    def value(field: Field) -> Value:
        match field.kind:
            case Kind.NAMES:
                return (text(Kind.NAME) or "b",) * LIMITS.invited
            case Kind.ROSTER | Kind.CONVERSATIONS:
                return {}
            case _:
                return text(field.kind)

    return cast(Callable[..., AnyMessage], kind)(*map(value, kind.FIELDS))


def worst_texts(codec: Codec) -> dict[Kind, str]:
    """Find, for each kind of text, the legal one that takes most bytes, out of one character again and again."""
    # All of ASCII, Latin-1 and Greek, and the ends of what UTF-8 writes in three and in four bytes.
    characters = [*map(chr, range(0x400)), *"\u0800\u2028\u20ac\ufeff\uffff\U00010000\U0001f600\U0010ffff"]
    texts = [character * n for character in characters for n in (64, 256, 512)]
    texts += [character * (LIMITS.text // len(character.encode())) for character in characters]
    fields: dict[Kind, Callable[[str], AnyMessage]] = {
        Kind.NAME: lambda text: Register(text, ""),
        Kind.STATUS: lambda text: Register("b", text),
        Kind.CONVERSATION: lambda text: SendMessage(text, ""),
        Kind.TEXT: lambda text: SendMessage("7", text),
        Kind.EXPLANATION: Error,
    }
    return {
        kind: max(
            (text for text in texts if LIMITS.complaint(field(text)) is None),
            key=lambda text: len(codec.encode(field(text))),
        )
        for kind, field in fields.items()
    }


@every_codec
def test_every_legal_request_and_event_fits(name: str) -> None:
    """The longest of each request and event fits in its limit, and REGISTER in the greeting's (LIMIT-19, LIMIT-3)."""
    codec = load(name)
    worst = worst_texts(codec)
    for kind in COMMANDS.values():
        message = make(kind, worst.__getitem__)
        assert LIMITS.complaint(message) is None
        size = len(codec.encode(message))
        if kind is Register:
            assert size <= LIMITS.greeting
        if not isinstance(message, OnlineUsers | Conversations):
            assert size <= LIMITS.request
