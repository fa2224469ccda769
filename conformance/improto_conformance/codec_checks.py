"""Checks of any codec: that it carries every message, and that it withstands any input.

    from improto_conformance import CodecChecks, check_codec

    class TestMyCodec(CodecChecks):         # one test for each check, for pytest or unittest
        codec = MyCodec()

    check_codec(MyCodec())                  # or all checks in one call, which needs neither of them

The package `hypothesis` must be installed: it makes the messages, and damages the bytes.
"""

import tracemalloc
import unittest
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final, cast

from hypothesis import given, settings, target
from hypothesis import strategies as st
from hypothesis.errors import HypothesisWarning

from improto.codec import Codec, Reader
from improto.errors import DecodeError
from improto.limits import DEPTH, Limits
from improto.messages import (
    COMMANDS,
    ERROR_TEXT,
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
from improto_conformance.embed import NotConformant
from improto_conformance.reading import Found, drain, read
from improto_conformance.strategies import messages, mutations, segmentations

__all__ = ["CODEC_CHECKS", "CodecChecks", "Nested", "check_codec", "nesting"]

Nested = Callable[[int], bytes]
"""Makes a payload of the unknown command LATER with so many levels of nesting, including the outermost one."""

_LIMITS: Final = Limits()
_ROLES: Final = st.sampled_from(Role)
_CODES: Final = (Code.TOO_LARGE, Code.MALFORMED, Code.UNKNOWN_COMMAND, Code.INVALID)
_LITTLE: Final = 1024 * 1024
"""Bytes of memory that a reader may take for what is not here yet, and for what was here."""


def check_codec(codec: Codec, nested: Nested | None = None) -> None:
    """Run all checks of a codec; NotConformant says what is wrong.  `nested`: for a format that can nest."""
    for check in CODEC_CHECKS:
        check(codec)
    if nested is not None:
        nesting(codec, nested)


class CodecChecks(unittest.TestCase):
    """One test for each check.  Subclass it, and set `codec`, and `nested` if the format can nest."""

    codec: ClassVar[Codec]

    @staticmethod
    def nested(levels: int) -> bytes:
        """Make a payload as `Nested` says, if the format can nest; else leave this as it is."""
        raise NotImplementedError

    def __init_subclass__(cls, **options: Any) -> None:
        """Give the subclass its tests."""
        super().__init_subclass__(**options)
        checks: dict[str, Callable[[Codec], None]] = {check.__name__: check for check in CODEC_CHECKS}
        if cls.nested is not CodecChecks.nested:
            checks[nesting.__name__] = partial(nesting, nested=cls.nested)
        for name, check in checks.items():
            setattr(cls, f"test_{name}", _test(check))


def _test(check: Callable[[Codec], None]) -> Callable[[CodecChecks], None]:
    def test(self: CodecChecks) -> None:
        check(self.codec)

    test.__doc__ = check.__doc__
    return test


def _require(condition: bool, complaint: str) -> None:
    if not condition:
        raise NotConformant(complaint)


def _drawing(*drawn: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], None]:
    """Call the decorated function at once, many times with drawn values, and at last with the simplest one that fails."""

    def run(tried: Callable[..., None]) -> None:
        with warnings.catch_warnings():
            # The longest legal text has a long representation, which is not a fault.
            warnings.filterwarnings("ignore", "Generating overly large repr", HypothesisWarning)
            # Not random, so that a codec always gets the same verdict.
            settings(deadline=None, derandomize=True, report_multiple_bugs=False)(given(*drawn)(tried))()

    return run


# ---- What it carries.


def each_command(codec: Codec) -> None:
    """Each of the 13 commands is carried, with the smallest legal values in its fields."""
    for kind in COMMANDS.values():
        _require_same(codec, _smallest(kind))


def awkward_texts(codec: Codec) -> None:
    """A text that looks like a number, a space, a line end, an escape or another character comes back unchanged (CODEC-2)."""
    for text in _AWKWARD:
        for kind in COMMANDS.values():
            _require_same(codec, _made(kind, partial(_awkward, text), 1))


def round_trip(codec: Codec) -> None:
    """Every legal message comes back unchanged (CODEC-2)."""

    @_drawing(messages())
    def tried(message: AnyMessage) -> None:
        _require_same(codec, message)


def _require_same(codec: Codec, message: AnyMessage) -> None:
    read = _decoded(codec, _encoded(codec, message), message.FROM)
    _require(read == message, f"{_shown(message)} was written, and {_shown(read)} was read")


def encoding_is_deterministic(codec: Codec) -> None:
    """Equal messages always have the same payload, however often they are written."""

    @_drawing(messages())
    def tried(message: AnyMessage) -> None:
        payload = _encoded(codec, message)
        again = _encoded(codec, _decoded(codec, payload, message.FROM))
        _require(payload == again, f"{_shown(message)} was written as {payload!r} and as {again!r}")


def wrong_direction(codec: Codec) -> None:
    """A message from the end that may not send it is an unknown command, and not a fatal error (CONN-9)."""

    @_drawing(messages())
    def tried(message: AnyMessage) -> None:
        error = _refused(codec, _encoded(codec, message), _other(message.FROM))
        _require(
            error.code == Code.UNKNOWN_COMMAND and not error.fatal,
            f"{_shown(message)} of the wrong end is {_shown(error)}",
        )


def text_is_utf_8(codec: Codec) -> None:
    """A payload is UTF-8, unless the codec says that it is binary."""

    @_drawing(messages())
    def tried(message: AnyMessage) -> None:
        payload = _encoded(codec, message)
        try:
            payload.decode()
        except UnicodeDecodeError:
            _require(codec.binary, f"{payload!r} is not UTF-8: set `binary`")


# ---- How it reads a stream.


def pieces_do_not_matter(codec: Codec) -> None:
    """A stream gives the same messages however it is cut into pieces."""

    @_drawing(st.data(), _ROLES)
    def tried(data: st.DataObject, sender: Role) -> None:
        trace = data.draw(st.lists(messages(sender), max_size=4))
        pieces = data.draw(segmentations(_stream(codec, *trace)))
        _require_trace(codec, sender, pieces, trace)


def byte_by_byte(codec: Codec) -> None:
    """All commands, one after the other, are read alike from one piece and from single bytes."""
    for sender in Role:
        trace = [_smallest(kind) for kind in COMMANDS.values() if kind.FROM is sender]
        stream = _stream(codec, *trace)
        _require_trace(codec, sender, [stream], trace)
        _require_trace(codec, sender, _single(stream), trace)


def _require_trace(codec: Codec, sender: Role, pieces: Sequence[bytes], trace: Sequence[AnyMessage]) -> None:
    found = _read(codec, sender, pieces)
    _require(
        found == trace,
        f"{_all_shown(trace)} came in pieces of {[len(piece) for piece in pieces]} bytes and was read as {_all_shown(found)}",
    )


def where_messages_end(codec: Codec) -> None:
    """After each message, and what is refused, a reader tells how many bytes lie behind it."""
    # What a pickle says of no arguments comes with the next message.
    trace = [_smallest(kind) for kind in COMMANDS.values() if kind.FIELDS]
    frames = [_stream(codec, message) for message in trace]
    for sender in Role:
        reader = _Watched(codec, sender)
        reader.feed(b"".join(frames))
        behind = [reader.behind for _ in drain(reader, _LIMITS.roster)]
        due = [sum(map(len, frames[at:])) for at in range(1, len(frames) + 1)]
        _require(behind == due, f"`behind` is {behind} and not {due}")


def incomplete_end(codec: Codec) -> None:
    """A message whose end has not come is neither given nor refused; the messages before it are given."""

    @_drawing(st.data(), _ROLES)
    def tried(data: st.DataObject, sender: Role) -> None:
        first = data.draw(messages(sender))
        frame = _stream(codec, SendMessage("7", "x") if sender is Role.CLIENT else Error("x: y"))
        part = frame[: data.draw(st.integers(0, len(frame) - 1))]
        _require_trace(codec, sender, [_stream(codec, first) + part], [first])


def random_stream(codec: Codec) -> None:
    """Any bytes on a stream give messages or errors, the same ones in any pieces."""

    @_drawing(st.data(), _ROLES)
    def tried(data: st.DataObject, sender: Role) -> None:
        content = data.draw(st.binary(max_size=60))
        limit = data.draw(st.sampled_from([10, 100, _LIMITS.request]))
        pieces = data.draw(segmentations(content))
        _require_alike(codec, sender, pieces, limit)


def _require_alike(codec: Codec, sender: Role, pieces: Sequence[bytes], limit: int) -> None:
    some = _all_shown(_read(codec, sender, pieces, limit))
    single = _all_shown(_read(codec, sender, _single(b"".join(pieces)), limit))
    _require(some == single, f"{pieces!r} is read as {some}, and byte by byte as {single}")


# ---- What it refuses.


def trailing_data(codec: Codec) -> None:
    """A second message in one payload is refused, and nothing but blanks is ignored after a message (CODEC-8)."""
    for kind in COMMANDS.values():
        message = _smallest(kind)
        payload = _encoded(codec, message)
        _refused(codec, payload + b"\n" + payload, kind.FROM)
        for byte in set(range(0x100)) - set(b" \t\r\n"):
            followed = payload + bytes([byte])
            _require(
                _tried(codec, followed, kind.FROM) != message,
                f"{followed!r} is read as {_shown(message)}, whatever its last byte is",
            )


def key_twice(codec: Codec) -> None:
    """A map with a key twice is invalid or malformed; a text codec may instead take one of the two (CODEC-10, JSON-14)."""
    for kind, (one, other) in ((OnlineUsers, ("a", "b")), (Conversations, (("a",), ("b",)))):
        made = cast(Callable[[Mapping[str, object]], AnyMessage], kind)
        payload = _encoded(codec, made({"key1": one, "key2": other}))
        if payload.count(b"key1") != 1 or payload.count(b"key2") != 1:
            continue  # the bytes do not show its texts as they are
        payload = payload.replace(b"key2", b"key1")
        found = _tried(codec, payload, Role.SERVER)
        if isinstance(found, DecodeError):
            right = found.code in (Code.INVALID, Code.MALFORMED)
        else:
            right = not codec.binary and found in (made({"key1": one}), made({"key1": other}))
        _require(right, f"{payload!r} has a key twice, and is {_shown(found)}")


def blank_payload(codec: Codec) -> None:
    """A payload without a message is malformed (CODEC-9)."""
    for payload in b"", b" ", b"\n", b"\r\n", b" \r \n":
        error = _refused(codec, payload, Role.CLIENT)
        _require(error.code == Code.MALFORMED, f"the payload {payload!r} is {_shown(error)}")


def random_payload(codec: Codec) -> None:
    """Any payload is a message or an error that codecs may raise, and never a fatal one."""

    @_drawing(st.binary(max_size=80), _ROLES)
    def tried(payload: bytes, sender: Role) -> None:
        _tried(codec, payload, sender)


def one_wrong_byte(codec: Codec) -> None:
    """A payload with one byte replaced gives a message that can be written again, or an error that codecs may raise."""
    for kind in COMMANDS.values():
        payload = _encoded(codec, _made(kind, lambda field: _least(field) or "x", 1))
        for at in range(len(payload)):
            for byte in range(0x100):
                found = _tried(codec, payload[:at] + bytes([byte]) + payload[at + 1 :], kind.FROM)
                if not isinstance(found, DecodeError):
                    _require_same(codec, found)


def mutated_payload(codec: Codec) -> None:
    """A damaged payload gives a message that can be written again, or an error; the next message is read nevertheless."""

    @_drawing(st.data(), messages())
    def tried(data: st.DataObject, message: AnyMessage) -> None:
        payload = data.draw(mutations(_encoded(codec, message)))
        found = _tried(codec, payload, message.FROM)
        if not isinstance(found, DecodeError):
            _require_same(codec, found)
            return
        frame = codec.frame(payload)
        following = _smallest(type(message))
        last = _read(codec, message.FROM, [frame, _stream(codec, following)])[-1:]
        # A payload that ends by itself, unframed, may reach into what follows once it is damaged.
        _require(frame == payload or last == [following], f"behind {payload!r} no message is read")


def mutated_stream(codec: Codec) -> None:
    """A damaged stream gives messages and errors, the same ones in any pieces, and nothing after a fatal error."""

    @_drawing(st.data(), _ROLES)
    def tried(data: st.DataObject, sender: Role) -> None:
        trace = data.draw(st.lists(messages(sender), min_size=1, max_size=3))
        stream = data.draw(mutations(_stream(codec, *trace)))
        _require_alike(codec, sender, data.draw(segmentations(stream)), _LIMITS.request)


def _tried(codec: Codec, payload: bytes, sender: Role) -> Found:
    try:
        found = codec.decode(payload, sender)
    except DecodeError as error:
        _require(
            error.code in _CODES, f"{payload!r} is refused by the code {error.code}; use {', '.join(_CODES)}"
        )
        _require(not error.fatal, f"the payload {payload!r} is refused fatally; a payload is framed already")
        _require(
            error.offset is None or 0 <= error.offset <= len(payload),
            f"the payload {payload!r} is refused at its byte {error.offset}, which it has not",
        )
        return error
    except Exception as error:
        raise NotConformant(f"{payload!r} raises {error!r}; raise DecodeError") from error
    if not isinstance(cast(object, found), AnyMessage):
        raise NotConformant(f"{payload!r} is read as {found!r}; give a message, or raise DecodeError")
    return found


# ---- Its bounds.


def limit_is_exact(codec: Codec) -> None:
    """A payload of exactly the limit is read, and one byte more is too large and fatal (LIMIT-1, LIMIT-2)."""
    for size in 1, 30, 3000:
        message = SendMessage("7", "x" * size)
        frame = _stream(codec, message)
        limit = len(_encoded(codec, message))
        for pieces in [frame], _single(frame):
            found = _read(codec, Role.CLIENT, pieces, limit)
            _require(found == [message], f"{limit} bytes at a limit of {limit} are {_all_shown(found)}")
            _require_too_large(codec, pieces, limit - 1)


def each_message_has_its_limit(codec: Codec) -> None:
    """The limit is an argument of the call, so it may differ from one message to the next."""
    short, long = SendMessage("7", "x"), SendMessage("7", "x" * 100)
    reader = _Watched(codec, Role.CLIENT)
    reader.feed(_stream(codec, short, long))
    for message in short, long:
        found = next(drain(reader, len(_encoded(codec, message))), None)
        _require(found == message, "the limit of a message is kept for the next one")


def endless_message(codec: Codec) -> None:
    """A message that does not end is refused soon after the limit, not stored for ever (LIMIT-4)."""
    begun = _stream(codec, SendMessage("7", "x" * 4000))[:2000]
    _require_too_large(codec, [begun, *_single(b"x" * 200)], 2000)


def memory_is_not_taken_ahead(codec: Codec) -> None:
    """The beginning of a long message takes little memory, whatever length it declares (LIMIT-4)."""
    begun = _stream(codec, SendMessage("7", "x" * 16 * _LITTLE))[:64]
    reader = _Watched(codec, Role.CLIENT)

    def work() -> None:
        reader.feed(begun)
        _require(reader.next(2**32) is None, f"{begun!r} is no whole message")

    _require_little(work, "the beginning of a message")


def memory_is_given_back(codec: Codec) -> None:
    """Bytes that have been read are not kept, however long the stream is (LIMIT-4)."""
    message = SendMessage("7", "x" * 8192)
    frame = _stream(codec, message)
    reader = _Watched(codec, Role.CLIENT)

    def work() -> None:
        for _ in range(4 * _LITTLE // len(frame)):
            reader.feed(frame)
            found = list(drain(reader, _LIMITS.request))
            _require(found == [message], f"{_shown(message)} is {_all_shown(found)} in a long stream")

    _require_little(work, "a stream whose messages were taken")


def _require_little(work: Callable[[], None], what: str) -> None:
    """Require that something takes little memory at any time, as far as Python knows."""
    traced = tracemalloc.is_tracing()
    if not traced:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        work()
        _, most = tracemalloc.get_traced_memory()
    finally:
        if not traced:
            tracemalloc.stop()
    _require(most - before < _LITTLE, f"{what} takes {most - before} bytes of memory")


def _require_too_large(codec: Codec, pieces: Sequence[bytes], limit: int) -> None:
    """Require that a reader refuses a message over the limit, and reads nothing after it."""
    reader = _Watched(codec, Role.CLIENT)
    found: list[Found] = []
    for piece in pieces:
        reader.feed(piece)
        found += drain(reader, limit)
    reader.feed(_stream(codec, SendMessage("7", "")))
    found += drain(reader, limit)
    first, more = (found[0], found[1:]) if found else (None, [])
    _require(
        isinstance(first, DecodeError) and first.code == Code.TOO_LARGE and first.fatal,
        f"what is longer than {limit} bytes is {_all_shown(found)}, and has to be too large and fatal",
    )
    _require(not more, f"behind a fatal error a reader gives {_all_shown(more)}")


def drawn_messages_fit(codec: Codec) -> None:
    """A search for large legal requests and events finds none that is over its limit (LIMIT-19, LIMIT-3)."""

    @_drawing(messages())
    def tried(message: AnyMessage) -> None:
        if not isinstance(message, OnlineUsers | Conversations):
            target(float(len(_encoded(codec, message))), label="payload bytes")
            _require_fit(codec, message)


def largest_messages_fit(codec: Codec) -> None:
    """The longest of each request and event is carried and fits in its limit, and REGISTER in the greeting's."""
    worst = _worst_texts(codec)
    for kind in COMMANDS.values():
        message = _made(kind, worst.__getitem__)
        _require_same(codec, message)
        if not isinstance(message, OnlineUsers | Conversations):
            _require_fit(codec, message)


def _require_fit(codec: Codec, message: AnyMessage) -> None:
    size = len(_encoded(codec, message))
    limit = _LIMITS.greeting if isinstance(message, Register) else _LIMITS.request
    _require(size <= limit, f"{_shown(message)[:200]} has {size} bytes; the limit is {limit}")


def nesting(codec: Codec, nested: Nested) -> None:
    """A payload that nests deeper than is allowed is malformed, however deep it is (LIMIT-17)."""
    for levels, code in (
        (DEPTH, Code.UNKNOWN_COMMAND),
        (DEPTH + 1, Code.MALFORMED),
        (100, Code.MALFORMED),
        (100_000, Code.MALFORMED),
    ):
        error = _tried(codec, nested(levels), Role.CLIENT)
        _require(
            isinstance(error, DecodeError) and error.code == code, f"{levels} levels are {_shown(error)}"
        )


CODEC_CHECKS: Final[Sequence[Callable[[Codec], None]]] = (
    each_command,
    awkward_texts,
    round_trip,
    encoding_is_deterministic,
    wrong_direction,
    text_is_utf_8,
    pieces_do_not_matter,
    byte_by_byte,
    where_messages_end,
    incomplete_end,
    random_stream,
    trailing_data,
    key_twice,
    blank_payload,
    random_payload,
    one_wrong_byte,
    mutated_payload,
    mutated_stream,
    limit_is_exact,
    each_message_has_its_limit,
    endless_message,
    memory_is_not_taken_ahead,
    memory_is_given_back,
    drawn_messages_fit,
    largest_messages_fit,
)
"""All checks that need only the codec."""


# ---- Messages and their bytes.


# Texts that programs easily take for something else.
_AWKWARD: Final = (
    " x ", "\t", "x\r\ny\rz\n", "\0", "x\x1a", "\x7f", "\x85", "\u2028", "\ufeffx", "\uffff", "\U0010ffff",
    "0", "007", "+1", "-0", "1.0", "1e3", "1_000", "0x10", "null", "None", "true", "NaN", "2026-01-02", "x" * 64,
    "\xe9", "e\u0301", "\u212a", "\ufb01", "\u0130", "\xdf", "\U0001f600", "\u200bx", "\xa0x",
    '"', "'", "`", "\\", "\\n", "\\u0041", "\\xe9", "%41", "&amp;", "<!--", "\x1b[0m", "#x", "x,y", "x:y", "x=y", "x y",
    "{}", "[]", "()", "${x}", "b'x'",
)  # fmt: skip


def _smallest(kind: type[AnyMessage]) -> AnyMessage:
    return _made(kind, _least)


def _awkward(text: str, field: Kind) -> str:
    return text if _legal(field, text) else _least(field)


def _least(field: Kind) -> str:
    return {Kind.NAME: "b", Kind.CONVERSATION: "7"}.get(field, "")


def _made(kind: type[AnyMessage], text: Callable[[Kind], str], entries: int | None = None) -> AnyMessage:
    """Make a message from texts for its fields, with so many entries; otherwise with the most names and empty maps."""

    def value(field: Field) -> Value:
        match field.kind:
            case Kind.NAMES:
                return (text(Kind.NAME),) * (entries or _LIMITS.invited)
            case Kind.ROSTER if entries:
                return {text(Kind.NAME): text(Kind.STATUS)}
            case Kind.CONVERSATIONS if entries:
                return {text(Kind.CONVERSATION): (text(Kind.NAME),)}
            case Kind.ROSTER | Kind.CONVERSATIONS:
                return {}
            case _:
                return text(field.kind)

    return cast(Callable[..., AnyMessage], kind)(*map(value, kind.FIELDS))


# All of ASCII, Latin-1 and Greek, and the ends of what UTF-8 writes in three and in four bytes.
_CHARACTERS: Final = (
    *map(chr, range(0x400)),
    *"\u0800\u2028\u20ac\ufeff\uffff\U00010000\U0001f600\U0010ffff",
)


_FIELDS: Final[Mapping[Kind, Callable[[str], AnyMessage]]] = {
    Kind.NAME: lambda text: Register(text, ""),
    Kind.STATUS: lambda text: Register("b", text),
    Kind.CONVERSATION: lambda text: SendMessage(text, ""),
    Kind.TEXT: lambda text: SendMessage("7", text),
    Kind.EXPLANATION: Error,
}
"""For each kind of text, a message that contains it."""


def _worst_texts(codec: Codec) -> dict[Kind, str]:
    """Find, for each kind of text, the legal text of one repeated character that takes the most bytes."""
    texts = [character * n for character in _CHARACTERS for n in (64, 256, ERROR_TEXT)]
    texts += [character * (_LIMITS.text // len(character.encode())) for character in _CHARACTERS]
    return {
        kind: max(
            (text for text in texts if _legal(kind, text)),
            key=lambda text: len(_encoded(codec, field(text))),
        )
        for kind, field in _FIELDS.items()
    }


def _legal(kind: Kind, text: str) -> bool:
    return _LIMITS.complaint(_FIELDS[kind](text)) is None


def _other(role: Role) -> Role:
    return Role.SERVER if role is Role.CLIENT else Role.CLIENT


def _stream(codec: Codec, *trace: AnyMessage) -> bytes:
    return b"".join(codec.frame(_encoded(codec, message)) for message in trace)


def _single(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


class _Watched(Reader):
    """A codec's reader, which is found out if it gives something again and again."""

    def __init__(self, codec: Codec, sender: Role) -> None:
        self._reader = codec.reader(sender)
        self._left = 0  # bytes that nothing was given for

    def feed(self, data: bytes) -> None:
        self._left += len(data)
        self._reader.feed(data)

    def next(self, limit: int) -> AnyMessage | None:
        _require(
            self._left >= 0, "a reader gives more than it was fed: have it drop what it gives or refuses"
        )
        self._left -= 1
        found = self._reader.next(limit)
        self._left += found is None
        return found

    @property
    def behind(self) -> int:
        return self._reader.behind


def _read(codec: Codec, sender: Role, pieces: Sequence[bytes], limit: int = _LIMITS.roster) -> list[Found]:
    try:
        return read(_Watched(codec, sender), pieces, limit)
    except NotConformant:
        raise
    except Exception as error:
        raise NotConformant(f"a stream of {pieces!r} raises {error!r}; raise DecodeError") from error


def _encoded(codec: Codec, message: AnyMessage) -> bytes:
    try:
        payload = cast(object, codec.encode(message))
    except Exception as error:
        raise NotConformant(f"{_shown(message)} is legal, and raises {error!r} when it is written") from error
    if not isinstance(payload, bytes):
        raise NotConformant(f"{_shown(message)} is written as {type(payload).__name__}; give bytes")
    return payload


def _decoded(codec: Codec, payload: bytes, sender: Role) -> AnyMessage:
    found = _tried(codec, payload, sender)
    if isinstance(found, DecodeError):
        raise NotConformant(f"{payload!r}, which the codec has written, is refused: {found}")
    return found


def _refused(codec: Codec, payload: bytes, sender: Role) -> DecodeError:
    found = _tried(codec, payload, sender)
    if not isinstance(found, DecodeError):
        raise NotConformant(f"{payload!r} of a {sender} has to be refused, and was read as {found}")
    return found


def _shown(found: Found) -> str:
    if isinstance(found, DecodeError):
        return f"{found.code}, fatal" if found.fatal else str(found.code)
    return ascii(found)  # since things that look alike may differ


def _all_shown(found: Sequence[Found]) -> list[str]:
    return [_shown(one) for one in found]
