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
from functools import partial, wraps
from inspect import getdoc
from typing import Any, ClassVar, Final, cast

try:
    from hypothesis import given, settings, target
except ImportError as error:
    raise ImportError(
        "the checks of codecs need the package hypothesis; pip install 'improto[conformance]'"
    ) from error
from hypothesis import strategies as st
from hypothesis.errors import HypothesisWarning

from improto.codec import Codec
from improto.errors import DecodeError, UsageError
from improto.limits import DEPTH, Limits
from improto.messages import (
    COMMANDS,
    AnyMessage,
    Code,
    Conversations,
    Error,
    Invite,
    OnlineUsers,
    Register,
    Role,
    SendMessage,
)
from improto_conformance.codecs.calls import (
    Watched,
    all_shown,
    attempt,
    decoded,
    encoded,
    framed,
    framed_payload,
    read_all,
    refused,
    require,
    shown,
)
from improto_conformance.codecs.extremes import AWKWARD, awkward, filled, least, smallest, worst_texts
from improto_conformance.codecs.reading import Found, drain
from improto_conformance.codecs.strategies import messages, mutations, segmentations
from improto_conformance.results import NotConformant

__all__ = ["CODEC_CHECKS", "CodecChecks", "Nested", "check_codec", "nesting"]

Nested = Callable[[int], bytes]
"""Makes a payload of the unknown command LATER with so many levels of nesting, including the outermost one."""

_LIMITS: Final = Limits()
_ROLES: Final = st.sampled_from(Role)
_SIZES: Final = (*range(130), *range(240, 260), 511, 512, 513, 999, 1000, 1001, 1023, 1024, 1025, 65_536)
"""Lengths and numbers around which formats write them in another way."""
_LITTLE: Final = 1024 * 1024
"""Bytes of memory that a reader may take for what is not here yet, and for what was here."""


def check_codec(codec: Codec, nested: Nested | None = None) -> None:
    """Run all checks of a codec; NotConformant says what is wrong.  `nested`: for a format that can nest.

    UsageError if `codec` is not a Codec.
    """
    for check in CODEC_CHECKS if nested is None else (*CODEC_CHECKS, _nesting(nested)):
        _try(check, codec)


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
            checks[nesting.__name__] = _nesting(cls.nested)
        for name, check in checks.items():
            setattr(cls, f"test_{name}", _test(check))


def _nesting(nested: Nested) -> Callable[[Codec], None]:
    return wraps(nesting)(partial(nesting, nested=nested))


def _try(check: Callable[[Codec], None], codec: Codec) -> None:
    """Run a check, and note at what it finds wrong what has to be so."""
    if not isinstance(cast(object, codec), Codec):
        raise UsageError(f"give the codec itself, such as load('json') or CborCodec(), and not {codec!r}")
    try:
        check(codec)
    except NotConformant as error:
        error.add_note(f"{check.__name__}: {getdoc(check)}")
        raise


def _test(check: Callable[[Codec], None]) -> Callable[[CodecChecks], None]:
    def test(self: CodecChecks) -> None:
        _try(check, self.codec)

    test.__doc__ = check.__doc__
    return test


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
        _require_same(codec, smallest(kind))


def awkward_texts(codec: Codec) -> None:
    """A text that looks like a number, a space, a line end, an escape or another character comes back unchanged (CODEC-2)."""
    for text in AWKWARD:
        for kind in COMMANDS.values():
            _require_carried(codec, filled(kind, partial(awkward, text), 1))


def each_length(codec: Codec) -> None:
    """A text of any length, and any number of users, members, conversations or names, comes back unchanged (CODEC-2)."""
    for size in _SIZES:
        users = [f"u{number}" for number in range(size)]
        for message in (
            SendMessage("7", "x" * min(size, _LIMITS.text)),
            OnlineUsers(dict.fromkeys(users, "")),
            Conversations({"7": tuple(users)}),
            Conversations(dict.fromkeys(users, ())),
            Invite(tuple(users[: _LIMITS.invited]) or ("b",)),
        ):
            try:
                _require_carried(codec, message)
            except NotConformant as error:
                words = str(error)
                if len(words) > 600:  # a large roster would fill the screen
                    words = f"{words[:300]} … {words[-300:]}"
                raise NotConformant(f"at the length or number {size}: {words}") from None


def round_trip(codec: Codec) -> None:
    """Every legal message comes back unchanged (CODEC-2)."""

    @_drawing(messages())
    def tried(message: AnyMessage) -> None:
        _require_same(codec, message)


def _require_same(codec: Codec, message: AnyMessage) -> None:
    read = decoded(codec, encoded(codec, message), message.FROM)
    require(read == message, f"{shown(message)} was written, and {shown(read)} was read")


def _require_carried(codec: Codec, message: AnyMessage) -> None:
    """Require that a message comes back from a payload and from a stream."""
    _require_same(codec, message)
    _require_trace(codec, message.FROM, [framed(codec, message)], [message])


def encoding_is_deterministic(codec: Codec) -> None:
    """Equal messages always have the same payload, however often they are written."""

    @_drawing(messages())
    def tried(message: AnyMessage) -> None:
        payload = encoded(codec, message)
        again = encoded(codec, decoded(codec, payload, message.FROM))
        require(payload == again, f"{shown(message)} was written as {payload!r} and as {again!r}")


def wrong_direction(codec: Codec) -> None:
    """A message from the end that may not send it is an unknown command, and not a fatal error (CONN-9)."""

    @_drawing(messages())
    def tried(message: AnyMessage) -> None:
        error = refused(codec, encoded(codec, message), _other(message.FROM))
        require(
            error.code == Code.UNKNOWN_COMMAND and not error.fatal,
            f"{shown(message)} of the wrong end is {shown(error)}",
        )


def other_commands(codec: Codec) -> None:
    """A command of another name is unknown, and a name in small letters is malformed (CODEC-4)."""
    for kind in COMMANDS.values():
        payload, name = encoded(codec, smallest(kind)), kind.COMMAND.encode()
        if payload.count(name) != 1:
            continue  # the bytes do not show the name as it is
        # A format that can tell that its bytes were changed finds each of them malformed.
        for other, codes in (
            (b"X" * len(name), (Code.UNKNOWN_COMMAND, Code.MALFORMED)),
            (name.lower(), (Code.MALFORMED,)),
        ):
            changed = payload.replace(name, other)
            error = refused(codec, changed, kind.FROM)
            require(error.code in codes, f"{changed!r} is {shown(error)}, and has to be {codes[0]}")


def text_is_utf_8(codec: Codec) -> None:
    """A payload is UTF-8, unless the codec says that it is binary."""

    @_drawing(messages())
    def tried(message: AnyMessage) -> None:
        payload = encoded(codec, message)
        try:
            payload.decode()
        except UnicodeDecodeError:
            require(codec.binary, f"{payload!r} is not UTF-8: set `binary`")


# ---- How it reads a stream.


def pieces_do_not_matter(codec: Codec) -> None:
    """A stream gives the same messages however it is cut into pieces."""

    @_drawing(st.data(), _ROLES)
    def tried(data: st.DataObject, sender: Role) -> None:
        trace = data.draw(st.lists(messages(sender), max_size=4))
        pieces = data.draw(segmentations(framed(codec, *trace)))
        _require_trace(codec, sender, pieces, trace)


def byte_by_byte(codec: Codec) -> None:
    """All commands, one after the other, are read alike from one piece and from single bytes."""
    for sender in Role:
        trace = [smallest(kind) for kind in COMMANDS.values() if kind.FROM is sender]
        stream = framed(codec, *trace)
        _require_trace(codec, sender, [stream], trace)
        _require_trace(codec, sender, _single(stream), trace)


def _require_trace(codec: Codec, sender: Role, pieces: Sequence[bytes], trace: Sequence[AnyMessage]) -> None:
    found = read_all(codec, sender, pieces)
    require(
        found == trace,
        f"{all_shown(trace)} came in pieces of {[len(piece) for piece in pieces]} bytes and was read as {all_shown(found)}",
    )


def where_messages_end(codec: Codec) -> None:
    """After each message, and what is refused, a reader tells how many bytes lie behind it."""
    # What a pickle says of no arguments comes with the next message.
    trace = [smallest(kind) for kind in COMMANDS.values() if kind.FIELDS]
    frames = [framed(codec, message) for message in trace]
    for sender in Role:
        reader = Watched(codec, sender)
        reader.feed(b"".join(frames))
        behind = [reader.behind for _ in drain(reader, _LIMITS.roster)]
        due = [sum(map(len, frames[at:])) for at in range(1, len(frames) + 1)]
        require(behind == due, f"`behind` is {behind} and not {due}")


def readers_share_nothing(codec: Codec) -> None:
    """What one reader was fed does not show in another one, since one codec serves all connections at once."""
    message, other = SendMessage("7", "x"), Register("b", "")
    frame = framed(codec, message)
    first, second = Watched(codec, Role.CLIENT), Watched(codec, Role.CLIENT)
    first.feed(frame[:-1])
    second.feed(framed(codec, other))
    found = [list(drain(reader, _LIMITS.request)) for reader in (first, second)]
    first.feed(frame[-1:])
    found.append(list(drain(first, _LIMITS.request)))
    require(
        found == [[], [other], [message]],
        f"of two readers at once, the first gave {all_shown(found[0])} for the beginning of {shown(message)} and "
        f"{all_shown(found[2])} for its end; the second gave {all_shown(found[1])} for {shown(other)}",
    )


def incomplete_end(codec: Codec) -> None:
    """A message whose end has not come is neither given nor refused; the messages before it are given."""

    @_drawing(st.data(), _ROLES)
    def tried(data: st.DataObject, sender: Role) -> None:
        first = data.draw(messages(sender))
        frame = framed(codec, SendMessage("7", "x") if sender is Role.CLIENT else Error("x: y"))
        part = frame[: data.draw(st.integers(0, len(frame) - 1))]
        _require_trace(codec, sender, [framed(codec, first) + part], [first])


def random_stream(codec: Codec) -> None:
    """Any bytes on a stream give messages or errors, the same ones in any pieces."""

    @_drawing(st.data(), _ROLES)
    def tried(data: st.DataObject, sender: Role) -> None:
        content = data.draw(st.binary(max_size=60))
        limit = data.draw(st.sampled_from([10, 100, _LIMITS.request]))
        pieces = data.draw(segmentations(content))
        _require_alike(codec, sender, pieces, limit)


def _require_alike(codec: Codec, sender: Role, pieces: Sequence[bytes], limit: int) -> None:
    some = all_shown(read_all(codec, sender, pieces, limit))
    single = all_shown(read_all(codec, sender, _single(b"".join(pieces)), limit))
    require(some == single, f"{pieces!r} is read as {some}, and byte by byte as {single}")


# ---- What it refuses.


def trailing_data(codec: Codec) -> None:
    """A second message in one payload is refused, and nothing but blanks is ignored after a message (CODEC-8)."""
    for kind in COMMANDS.values():
        message = smallest(kind)
        payload = encoded(codec, message)
        refused(codec, payload + b"\n" + payload, kind.FROM)
        for byte in set(range(0x100)) - set(b" \t\r\n"):
            followed = payload + bytes([byte])
            require(
                attempt(codec, followed, kind.FROM) != message,
                f"{followed!r} is read as {shown(message)}, whatever its last byte is",
            )


def key_twice(codec: Codec) -> None:
    """A map with a key twice is invalid or malformed; a text codec may instead take one of the two (CODEC-10, JSON-14)."""
    for kind, (one, other) in ((OnlineUsers, ("a", "b")), (Conversations, (("a",), ("b",)))):
        made = cast(Callable[[Mapping[str, object]], AnyMessage], kind)
        payload = encoded(codec, made({"key1": one, "key2": other}))
        if payload.count(b"key1") != 1 or payload.count(b"key2") != 1:
            continue  # the bytes do not show its texts as they are
        payload = payload.replace(b"key2", b"key1")
        found = attempt(codec, payload, Role.SERVER)
        if isinstance(found, DecodeError):
            right = found.code in (Code.INVALID, Code.MALFORMED)
        else:
            right = not codec.binary and found in (made({"key1": one}), made({"key1": other}))
        require(right, f"{payload!r} has a key twice, and is {shown(found)}")


def blank_payload(codec: Codec) -> None:
    """A payload without a message is malformed (CODEC-9)."""
    for payload in b"", b" ", b"\n", b"\r\n", b" \r \n":
        error = refused(codec, payload, Role.CLIENT)
        require(error.code == Code.MALFORMED, f"the payload {payload!r} is {shown(error)}")


def random_payload(codec: Codec) -> None:
    """Any payload is a message or an error that codecs may raise, and never a fatal one."""

    @_drawing(st.binary(max_size=80), _ROLES)
    def tried(payload: bytes, sender: Role) -> None:
        attempt(codec, payload, sender)


def one_wrong_byte(codec: Codec) -> None:
    """A payload with one byte replaced gives a message that can be written again, or an error that codecs may raise."""
    for kind in COMMANDS.values():
        payload = encoded(codec, filled(kind, lambda field: least(field) or "x", 1))
        for at in range(len(payload)):
            for byte in range(0x100):
                found = attempt(codec, payload[:at] + bytes([byte]) + payload[at + 1 :], kind.FROM)
                if not isinstance(found, DecodeError):
                    _require_same(codec, found)


def mutated_payload(codec: Codec) -> None:
    """A damaged payload gives a message that can be written again, or an error; the next message is read nevertheless."""

    @_drawing(st.data(), messages())
    def tried(data: st.DataObject, message: AnyMessage) -> None:
        payload = data.draw(mutations(encoded(codec, message)))
        found = attempt(codec, payload, message.FROM)
        if not isinstance(found, DecodeError):
            _require_same(codec, found)
            return
        frame = framed_payload(codec, payload)
        following = smallest(type(message))
        last = read_all(codec, message.FROM, [frame, framed(codec, following)])[-1:]
        # A payload that ends by itself, unframed, may reach into what follows once it is damaged.
        require(frame == payload or last == [following], f"behind {payload!r} no message is read")


def mutated_stream(codec: Codec) -> None:
    """A damaged stream gives messages and errors, the same ones in any pieces, and nothing after a fatal error."""

    @_drawing(st.data(), _ROLES)
    def tried(data: st.DataObject, sender: Role) -> None:
        trace = data.draw(st.lists(messages(sender), min_size=1, max_size=3))
        stream = data.draw(mutations(framed(codec, *trace)))
        _require_alike(codec, sender, data.draw(segmentations(stream)), _LIMITS.request)


# ---- Its bounds.


def limit_is_exact(codec: Codec) -> None:
    """A payload of exactly the limit is read, and one byte more is too large and fatal (LIMIT-1, LIMIT-2)."""
    for size in 1, 30, 3000:
        message = SendMessage("7", "x" * size)
        frame = framed(codec, message)
        limit = len(encoded(codec, message))
        for pieces in [frame], _single(frame):
            found = read_all(codec, Role.CLIENT, pieces, limit)
            require(found == [message], f"{limit} bytes at a limit of {limit} are {all_shown(found)}")
            _require_too_large(codec, pieces, limit - 1)


def each_message_has_its_limit(codec: Codec) -> None:
    """The limit is an argument of the call, so it may differ from one message to the next."""
    short, long = SendMessage("7", "x"), SendMessage("7", "x" * 100)
    reader = Watched(codec, Role.CLIENT)
    reader.feed(framed(codec, short, long))
    for message in short, long:
        found = next(drain(reader, len(encoded(codec, message))), None)
        require(found == message, "the limit of a message is kept for the next one")


def endless_message(codec: Codec) -> None:
    """A message that does not end is refused soon after the limit, not stored for ever (LIMIT-4)."""
    begun = framed(codec, SendMessage("7", "x" * 4000))[:2000]
    _require_too_large(codec, [begun, *_single(b"x" * 200)], 2000)


def memory_is_not_taken_ahead(codec: Codec) -> None:
    """The beginning of a long message takes little memory, whatever length it declares (LIMIT-4)."""
    begun = framed(codec, SendMessage("7", "x" * 16 * _LITTLE))[:64]
    reader = Watched(codec, Role.CLIENT)

    def work() -> None:
        reader.feed(begun)
        require(reader.next(2**32) is None, f"{begun!r} is no whole message")

    _require_little(work, "the beginning of a message")


def memory_is_given_back(codec: Codec) -> None:
    """Bytes that have been read are not kept, however long the stream is (LIMIT-4)."""
    message = SendMessage("7", "x" * 8192)
    frame = framed(codec, message)
    reader = Watched(codec, Role.CLIENT)

    def work() -> None:
        for _ in range(4 * _LITTLE // len(frame)):
            reader.feed(frame)
            found = list(drain(reader, _LIMITS.request))
            require(found == [message], f"{shown(message)} is {all_shown(found)} in a long stream")

    _require_little(work, "to read messages of 8 KiB, one after the other,")


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
    require(most - before < _LITTLE, f"{what} takes {most - before} bytes of memory")


def _require_too_large(codec: Codec, pieces: Sequence[bytes], limit: int) -> None:
    """Require that a reader refuses a message over the limit, and reads nothing after it."""
    reader = Watched(codec, Role.CLIENT)
    found: list[Found] = []
    for piece in pieces:
        reader.feed(piece)
        found += drain(reader, limit)
    reader.feed(framed(codec, SendMessage("7", "")))
    found += drain(reader, limit)
    first, more = (found[0], found[1:]) if found else (None, [])
    require(
        isinstance(first, DecodeError) and first.code == Code.TOO_LARGE and first.fatal,
        f"what is longer than {limit} bytes is {all_shown(found)}, and has to be too large and fatal",
    )
    require(not more, f"behind a fatal error a reader gives {all_shown(more)}")


def drawn_messages_fit(codec: Codec) -> None:
    """A search for large legal requests and events finds none that is over its limit (LIMIT-19, LIMIT-3)."""

    @_drawing(messages())
    def tried(message: AnyMessage) -> None:
        if not isinstance(message, OnlineUsers | Conversations):
            target(float(len(encoded(codec, message))), label="payload bytes")
            _require_fit(codec, message)


def largest_messages_fit(codec: Codec) -> None:
    """The longest of each request and event is carried and fits in its limit, and REGISTER in the greeting's."""
    worst = worst_texts(codec)
    for kind in COMMANDS.values():
        message = filled(kind, worst.__getitem__)
        _require_same(codec, message)
        if not isinstance(message, OnlineUsers | Conversations):
            _require_fit(codec, message)


def _require_fit(codec: Codec, message: AnyMessage) -> None:
    size = len(encoded(codec, message))
    limit = _LIMITS.greeting if isinstance(message, Register) else _LIMITS.request
    require(size <= limit, f"{shown(message)[:200]} has {size} bytes; the limit is {limit}")


def nesting(codec: Codec, nested: Nested) -> None:
    """A payload that nests deeper than is allowed is malformed, however deep it is (LIMIT-17)."""
    for levels, code in (
        (DEPTH, Code.UNKNOWN_COMMAND),
        (DEPTH + 1, Code.MALFORMED),
        (100, Code.MALFORMED),
        (100_000, Code.MALFORMED),
    ):
        error = attempt(codec, nested(levels), Role.CLIENT)
        require(
            isinstance(error, DecodeError) and error.code == code,
            f"{levels} levels are {shown(error)}, and have to be {code}",
        )


CODEC_CHECKS: Final[Sequence[Callable[[Codec], None]]] = (
    each_command,
    awkward_texts,
    each_length,
    round_trip,
    encoding_is_deterministic,
    wrong_direction,
    other_commands,
    text_is_utf_8,
    pieces_do_not_matter,
    byte_by_byte,
    where_messages_end,
    readers_share_nothing,
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


def _other(role: Role) -> Role:
    return Role.SERVER if role is Role.CLIENT else Role.CLIENT


def _single(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]
