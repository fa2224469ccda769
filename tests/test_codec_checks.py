"""Tests of the checks of codecs: each finds a codec that is wrong in its own way, and none the codec that is right."""

import json
import re
import unicodedata
import unittest
from collections.abc import Callable, Iterator
from itertools import count
from typing import ClassVar, cast

import pytest
from hypothesis import Phase, settings

import improto_conformance
from improto.codec import Codec, LengthCodec, Reader, build
from improto.errors import DecodeError, UsageError
from improto.messages import (
    COMMANDS,
    AnyMessage,
    Code,
    Conversations,
    OnlineUsers,
    Role,
    SendMessage,
)
from improto_codecs.json_codec import JsonCodec
from improto_conformance import CodecChecks, NotConformant, check_codec
from improto_conformance.codecs.checks import CODEC_CHECKS, nesting

JSON = JsonCodec()
NUMBERS = count()


class Right(LengthCodec):
    """JSON behind its length."""

    name: ClassVar[str] = "right"
    binary: ClassVar[bool] = False

    def encode(self, message: AnyMessage) -> bytes:
        """Write JSON."""
        return JSON.encode(message)

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read JSON."""
        return JSON.decode(payload, sender)


class Refusing(Right):
    """Does not know the shortest texts."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read JSON without empty texts."""
        if b'""' in payload:
            raise DecodeError(Code.INVALID, "a text is empty")
        return JSON.decode(payload, sender)


class Cutting(Right):
    """Cuts texts."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read JSON, and keep the beginnings of texts."""
        found = JSON.decode(payload, sender)
        values = [value[:3] if isinstance(value, str) else value for value in found.values()]
        return cast("Callable[..., AnyMessage]", type(found))(*values)


class Tidy(Right):
    """Tidies texts up."""

    def __init__(self, tidy: Callable[[str], str]) -> None:
        """Do so with this."""
        self.tidy = tidy

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read JSON, and tidy up what is said in a conversation, and its id."""
        match JSON.decode(payload, sender):
            case SendMessage(conversation, text):
                return SendMessage(self.tidy(conversation), self.tidy(text))
            case found:
                return found


def number(text: str) -> str:
    """Write a number as Python does."""
    return str(int(text)) if text.isascii() and text.isdigit() else text


def nfc(text: str) -> str:
    """Compose what can be composed."""
    return unicodedata.normalize("NFC", text)


def unix(text: str) -> str:
    """Write line ends as on Unix."""
    return text.replace("\r\n", "\n")


class Numbering(Right):
    """Never writes the same twice."""

    def encode(self, message: AnyMessage) -> bytes:
        """Write JSON with a number in it."""
        return JSON.encode(message)[:-1] + b',"number":%d}' % next(NUMBERS)


class Padding(Right):
    """Wastes bytes."""

    def encode(self, message: AnyMessage) -> bytes:
        """Write JSON with twenty times as many spaces behind it."""
        payload = JSON.encode(message)
        return payload + b" " * 20 * len(payload)


class Forgiving(Right):
    """Takes no notice of who sends."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read JSON of either end."""
        try:
            return JSON.decode(payload, Role.CLIENT)
        except DecodeError:
            return JSON.decode(payload, Role.SERVER)


class Latin(Right):
    """Says that its bytes are UTF-8, and they are not."""

    binary = False

    def encode(self, message: AnyMessage) -> bytes:
        """Write JSON with all bytes changed."""
        return bytes(byte ^ 0x80 for byte in JSON.encode(message))


class Lavish(Right):
    """Reads what it can, whatever else there is."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read the JSON in front."""
        return JSON.decode(payload.partition(b"\n")[0], sender)


class Padded(Right):
    """Takes no notice of zeros at the end."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read the JSON ahead of them."""
        return JSON.decode(payload.rstrip(b"\0"), sender)


class Binary(Right):
    """Is none of the formats that people read, and yet takes the last of two keys."""

    binary: ClassVar[bool] = True


class Merging(Right):
    """Puts together what stands under one key."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read JSON, and keep all of each key."""
        found = JSON.decode(payload, sender)
        statuses = [str(status) for name, status in _pairs(payload) if name == "key1"]
        return OnlineUsers({"key1": "".join(statuses)}) if isinstance(found, OnlineUsers) else found


def _pairs(payload: bytes) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    json.loads(payload, object_pairs_hook=found.extend)
    return found


class Lost(Right):
    """Counts from the end."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read JSON, and say that the last byte is wrong."""
        try:
            return JSON.decode(payload, sender)
        except DecodeError as error:
            raise DecodeError(error.code, error.explanation, offset=-1) from None


class Calm(Right):
    """Finds everything invalid that it cannot read."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read JSON, and call what is none invalid."""
        try:
            return JSON.decode(payload, sender)
        except DecodeError:
            raise DecodeError(Code.INVALID, "it cannot be read") from None


class Careless(Right):
    """Lets out what its parser raises."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read JSON as most programs do."""
        members = json.loads(payload)
        return build(members.pop("type"), list(members.values()), sender)


class Western(Right):
    """Does not expect other encodings."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read JSON out of text."""
        return JSON.decode(payload.decode().encode(), sender)


class Abrupt(Right):
    """Gives up at the first error."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read JSON, and find all errors fatal."""
        try:
            return JSON.decode(payload, sender)
        except DecodeError as error:
            raise DecodeError(error.code, error.explanation, fatal=True) from None


class Failing(Right):
    """Writes nothing."""

    def encode(self, message: AnyMessage) -> bytes:
        """Fail."""
        raise ZeroDivisionError


class Textual(Right):
    """Takes text for bytes."""

    def encode(self, message: AnyMessage) -> bytes:
        """Write text."""
        return cast(bytes, JSON.encode(message).decode())


class Narrow(Right):
    """Has two bytes for a length, which is not enough for a roster."""

    def frame(self, payload: bytes) -> bytes:
        """Put the length ahead."""
        return bytes(2) + len(payload).to_bytes(2) + payload


class Loose(Right):
    """Frames by means of something else than bytes."""

    def frame(self, payload: bytes) -> bytes:
        """Give what can be changed."""
        return cast(bytes, bytearray(super().frame(payload)))


class Closed(Right):
    """Has no reader."""

    def reader(self, sender: Role) -> Reader:
        """Fail."""
        raise NotImplementedError


class Escaping(Right):
    """Takes a length of 255 for the sign that a longer one follows."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read JSON, and miss something."""
        found = JSON.decode(payload, sender)
        if isinstance(found, SendMessage) and len(found.text) == 255:
            raise DecodeError(Code.MALFORMED, "the message is cut off")
        return found


class Few(Right):
    """Counts users, or members, in one byte."""

    def __init__(self, kind: type[AnyMessage]) -> None:
        """Do so in these messages."""
        self.kind = kind

    def encode(self, message: AnyMessage) -> bytes:
        """Write JSON, if the number fits."""
        if isinstance(message, self.kind):
            payload = JSON.encode(message)
            bytes([payload.count(b'":"' if self.kind is OnlineUsers else b",")])
        return JSON.encode(message)


class Ignorant(Right):
    """Finds invalid what it does not know."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read JSON, and call what is of no command invalid."""
        try:
            return JSON.decode(payload, sender)
        except DecodeError as error:
            if error.code == Code.UNKNOWN_COMMAND and not any(name.encode() in payload for name in COMMANDS):
                raise DecodeError(Code.INVALID, "there is no such command") from None
            raise


class Shouting(Right):
    """Writes all commands in capital letters."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read JSON, whatever the letters of its type are."""
        return JSON.decode(re.sub(rb'"[a-z_]+"', lambda found: _raised(found[0]), payload, count=2), sender)


def _raised(word: bytes) -> bytes:
    return word if word == b'"type"' else word.upper()


class Silent(Right):
    """Reads nothing."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Give nothing."""
        return cast(AnyMessage, None)


class OwnReader(Reader):
    """Reads as the reader of a right codec does; others are made of it."""

    def __init__(self, sender: Role) -> None:
        """Begin with nothing."""
        self.sender = sender
        self.inner = Right().reader(sender)

    def feed(self, data: bytes) -> None:
        """Pass it on."""
        self.inner.feed(data)

    def next(self, limit: int) -> AnyMessage | None:
        """Pass it on."""
        return self.inner.next(limit)

    @property
    def behind(self) -> int:
        """Pass it on."""
        return self.inner.behind


class Forgetful(OwnReader):
    """Forgets what was not complete."""

    def feed(self, data: bytes) -> None:
        """Begin anew."""
        self.inner = Right().reader(self.sender)
        self.inner.feed(data)


class Impatient(OwnReader):
    """Does not wait for the rest."""

    def next(self, limit: int) -> AnyMessage | None:
        """Refuse what is not complete."""
        found = self.inner.next(limit)
        if found is None and self.inner.behind:
            raise DecodeError(Code.MALFORMED, "the message is not complete", fatal=True)
        return found


class Uncounted(OwnReader):
    """Does not count."""

    @property
    def behind(self) -> int:
        """Give no number that means anything."""
        return 0


class Uncountable(OwnReader):
    """Cannot count."""

    @property
    def behind(self) -> int:
        """Fail."""
        raise NotImplementedError


class Startled(OwnReader):
    """Lets out an exception of its own."""

    def next(self, limit: int) -> AnyMessage | None:
        """Fail at what is too long."""
        try:
            return self.inner.next(limit)
        except DecodeError as error:
            raise ValueError(error.explanation) from None


class Trimming(OwnReader):
    """Takes a carriage return at the end of a text for a part of the line end."""

    def next(self, limit: int) -> AnyMessage | None:
        """Leave it out."""
        match self.inner.next(limit):
            case SendMessage(conversation, text):
                return SendMessage(conversation, text.removesuffix("\r"))
            case found:
                return found


class Together(OwnReader):
    """Has one memory for all connections."""

    newest: Reader

    def __init__(self, sender: Role) -> None:
        """Begin with nothing, which is then what all have."""
        super().__init__(sender)
        Together.newest = self.inner

    def feed(self, data: bytes) -> None:
        """Keep it for the newest."""
        self.newest.feed(data)

    def next(self, limit: int) -> AnyMessage | None:
        """Give what the newest has."""
        return self.newest.next(limit)


class Stuck(OwnReader):
    """Does not drop what it refuses."""

    refused: DecodeError | None = None

    def next(self, limit: int) -> AnyMessage | None:
        """Refuse the same again."""
        try:
            if self.refused is None:
                return self.inner.next(limit)
        except DecodeError as error:
            self.refused = error
        assert self.refused is not None
        raise self.refused


class Generous(OwnReader):
    """Takes a byte more than the limit."""

    def next(self, limit: int) -> AnyMessage | None:
        """Shift the limit."""
        return self.inner.next(limit + 1)


class Unlimited(OwnReader):
    """Takes everything."""

    def next(self, limit: int) -> AnyMessage | None:
        """Drop the limit."""
        return self.inner.next(2**32)


class Stubborn(OwnReader):
    """Keeps the first limit."""

    limit: int = 0

    def next(self, limit: int) -> AnyMessage | None:
        """Keep the limit."""
        self.limit = self.limit or limit
        return self.inner.next(self.limit)


class Undead(OwnReader):
    """Goes on behind fatal errors."""

    def next(self, limit: int) -> AnyMessage | None:
        """Begin anew after an error."""
        try:
            return self.inner.next(limit)
        except DecodeError:
            self.inner = Right().reader(self.sender)
            raise


class Prepared(OwnReader):
    """Makes room for all that is to come."""

    room = bytearray()

    def feed(self, data: bytes) -> None:
        """Believe the length."""
        if not self.room:
            self.room = bytearray(int.from_bytes(data[:4]))
        self.inner.feed(data)


class Hoarding(OwnReader):
    """Keeps all that it has read."""

    read = b""

    def feed(self, data: bytes) -> None:
        """Keep it."""
        self.read += data
        self.inner.feed(data)


def reading_by(kind: type[OwnReader]) -> Right:
    """Make a codec with another reader."""

    class Codec(Right):
        def reader(self, sender: Role) -> Reader:
            return kind(sender)

    return Codec()


def nested(levels: int) -> bytes:
    """Nest arrays in an object."""
    return b'{"type":"LATER","field":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


WRONG: list[tuple[str, Right]] = [
    ("each_command", Refusing()),
    *[("awkward_texts", Tidy(tidy)) for tidy in (str.strip, number, nfc, unix)],
    ("awkward_texts", reading_by(Trimming)),
    ("each_length", Escaping()),
    ("each_length", Few(OnlineUsers)),
    ("each_length", Few(Conversations)),
    ("round_trip", Cutting()),
    ("encoding_is_deterministic", Numbering()),
    ("wrong_direction", Forgiving()),
    ("other_commands", Ignorant()),
    ("other_commands", Shouting()),
    ("text_is_utf_8", Latin()),
    ("pieces_do_not_matter", reading_by(Forgetful)),
    ("byte_by_byte", reading_by(Forgetful)),
    ("where_messages_end", reading_by(Uncounted)),
    ("where_messages_end", reading_by(Stuck)),
    ("readers_share_nothing", reading_by(Together)),
    ("incomplete_end", reading_by(Impatient)),
    ("random_stream", reading_by(Impatient)),
    ("trailing_data", Lavish()),
    ("trailing_data", Padded()),
    ("key_twice", Binary()),
    ("key_twice", Merging()),
    ("blank_payload", Calm()),
    ("random_payload", Careless()),
    ("random_payload", Abrupt()),
    ("random_payload", Lost()),
    ("one_wrong_byte", Western()),
    ("mutated_payload", Careless()),
    ("mutated_stream", reading_by(Forgetful)),
    ("limit_is_exact", reading_by(Generous)),
    ("limit_is_exact", reading_by(Undead)),
    ("each_message_has_its_limit", reading_by(Stubborn)),
    ("endless_message", reading_by(Unlimited)),
    ("memory_is_not_taken_ahead", reading_by(Prepared)),
    ("memory_is_given_back", reading_by(Hoarding)),
    ("drawn_messages_fit", Padding()),
    ("largest_messages_fit", Padding()),
]


@pytest.fixture(autouse=True)
def _no_simplest_fault() -> Iterator[None]:
    """Let a check fail with the first fault that it finds: looking for the simplest takes a minute."""
    before = settings.default
    # What is right is tried with more messages in the tests of our own codecs.
    settings.register_profile("first", before, phases=[Phase.generate], database=None, max_examples=50)
    settings.load_profile("first")
    yield
    settings.register_profile("before", before)
    settings.load_profile("before")


def test_what_is_right_passes() -> None:
    """A codec that is right passes all checks."""
    check_codec(Right(), nested)


@pytest.mark.parametrize(("name", "codec"), WRONG, ids=[name for name, _ in WRONG])
def test_what_is_wrong_fails(name: str, codec: Right) -> None:
    """A codec that is wrong fails the check that is about it."""
    check = {check.__name__: check for check in CODEC_CHECKS}[name]
    with pytest.raises(NotConformant):
        check(codec)


def test_what_looks_alike() -> None:
    """What is different is shown as different, though it looks alike."""
    with pytest.raises(NotConformant, match=r"e\\u0301.* was written, and .*\\xe9.* was read"):
        check_codec(Tidy(nfc))


@pytest.mark.parametrize(
    ("codec", "words"),
    [
        (Failing(), "is legal, and raises ZeroDivisionError"),
        (Textual(), "is written as str; give bytes"),
        (Silent(), "is read as None; give a message, or raise DecodeError"),
        (Narrow(), "bytes raises OverflowError.* when it is framed"),
        (Loose(), "is framed as bytearray; give bytes"),
        (Closed(), r"`reader` raises NotImplementedError\(\)"),
        (reading_by(Uncountable), r"`behind` raises NotImplementedError\(\)"),
        (reading_by(Startled), r"`next` raises ValueError\(.*\); raise DecodeError"),
    ],
)
def test_what_is_no_codec(codec: Right, words: str) -> None:
    """A codec whose methods do something else altogether is told which one, and what to do."""
    with pytest.raises(NotConformant, match=words):
        check_codec(codec)


@pytest.mark.parametrize("value", [Right, "json", None], ids=repr)
def test_what_is_no_codec_at_all(value: object) -> None:
    """The class of a codec, or its name, is not taken for a codec that is wrong."""
    with pytest.raises(UsageError, match="give the codec itself"):
        check_codec(cast(Codec, value))


def test_what_has_to_be_so() -> None:
    """A complaint comes with a note that says which check it is, and what that demands."""
    with pytest.raises(NotConformant) as caught:
        check_codec(Tidy(nfc))
    assert "awkward_texts: " in caught.value.__notes__[0]


def test_each_check_has_failed() -> None:
    """Each check finds some codec wrong."""
    assert [check.__name__ for check in CODEC_CHECKS] == list(dict.fromkeys(name for name, _ in WRONG))


def test_depth() -> None:
    """A codec that nests as deep as its parser can is found wrong."""
    with pytest.raises(NotConformant, match="5 levels are unknown-command, and have to be malformed"):
        nesting(
            Careless(),
            lambda levels: b'{"type":"LATER","":' + b"[" * min(levels, 200) + b"]" * min(levels, 200) + b"}",
        )


def test_class() -> None:
    """A class has a test for each check, one about depth if it can nest, and none by itself."""

    class Flat(CodecChecks):
        codec = Right()

    class Deep(CodecChecks):
        codec = Right()
        nested = staticmethod(nested)

    names = unittest.defaultTestLoader.getTestCaseNames
    assert len(names(CodecChecks)) == 0
    assert len(names(Flat)) == len(CODEC_CHECKS)
    assert set(names(Deep)) - set(names(Flat)) == {"test_nesting"}
    assert vars(Flat)["test_round_trip"].__doc__ == "Every legal message comes back unchanged (CODEC-2)."

    result = unittest.TestResult()
    Deep("test_nesting").run(result)
    assert result.testsRun == 1
    assert result.wasSuccessful()


def test_public_names() -> None:
    """What the package offers for codecs is imported when it is used."""
    assert improto_conformance.CodecChecks is CodecChecks
    assert improto_conformance.check_codec is check_codec
