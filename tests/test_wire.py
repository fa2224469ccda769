"""Tests of `improto.wire`: the bytes of one connection, seen from one of its ends."""

import ast
import math
from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from improto.codec import Codec, LengthCodec, LineCodec, build, detect, load_all
from improto.errors import DecodeError, UsageError
from improto.limits import Limits
from improto.messages import (
    AnyMessage,
    Code,
    Conversations,
    Error,
    Goodbye,
    Join,
    ListConversations,
    OnlineUsers,
    Register,
    Role,
    SendMessage,
    Status,
)
from improto.states import State
from improto.wire import Connection, Fault, Rate

REGISTER = Register("ann", "")
ROSTER = OnlineUsers({"ann": ""})


def read_literal(text: bytes, sender: Role) -> AnyMessage:
    """Read a message that is the Python literal of a command and its values."""
    try:
        literal: object = ast.literal_eval(text.decode())
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise DecodeError(Code.MALFORMED, "no literal") from error
    if not isinstance(literal, tuple) or len(cast(tuple[object, ...], literal)) != 2:
        raise DecodeError(Code.MALFORMED, "no pair")
    command, values = cast(tuple[object, object], literal)
    if not isinstance(command, str) or not isinstance(values, list):
        raise DecodeError(Code.MALFORMED, "no command with its values")
    return build(command, cast(list[object], values), sender)


class Words(LineCodec):
    """In the place of the ascii codec: the command, a space, and the literal of the values."""

    name = "ascii"

    def encode(self, message: AnyMessage) -> bytes:
        """Write command and literal."""
        return f"{message.COMMAND} {list(message.values())}".encode()

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read command and literal."""
        command, _, values = payload.strip().partition(b" ")
        return read_literal(b"('%s', %s)" % (command, values or b"[]"), sender)


class Braces(LineCodec):
    """In the place of the json codec: the literal between braces."""

    name = "json"

    def encode(self, message: AnyMessage) -> bytes:
        """Write the literal between braces."""
        return b"{" + repr((message.COMMAND, list(message.values()))).encode() + b"}"

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read the literal between braces."""
        return read_literal(payload.strip().removeprefix(b"{").removesuffix(b"}"), sender)


class Frames(LengthCodec):
    """In the place of the msgpack codec: the literal behind its length."""

    name = "msgpack"

    def encode(self, message: AnyMessage) -> bytes:
        """Write the literal."""
        return repr((message.COMMAND, list(message.values()))).encode()

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read the literal."""
        return read_literal(payload, sender)


WORDS, BRACES, FRAMES = Words(), Braces(), Frames()
ALL: list[Codec] = [WORDS, BRACES, FRAMES]


def framed(codec: Codec, *messages: AnyMessage) -> bytes:
    """Give the bytes of messages as they stand on a stream."""
    return b"".join(codec.frame(codec.encode(message)) for message in messages)


def server(*codecs: Codec, rate: Rate | None = None) -> Connection:
    """Give a server's end, for all codecs unless some are named."""
    return Connection(Role.SERVER, codecs or ALL, rate=rate)


def registered(codec: Codec = WORDS, rate: Rate | None = None) -> Connection:
    """Give a server's end on which somebody is registered."""
    connection = server(codec, rate=rate)
    connection.feed(framed(codec, REGISTER))
    assert connection.next(0.0) == REGISTER
    connection.sent(ROSTER)
    return connection


def drain(connection: Connection, now: float = 0.0) -> list[AnyMessage | Fault]:
    """Take everything out, answering each REGISTER at once."""
    taken: list[AnyMessage | Fault] = []
    while (result := connection.next(now)) is not None:
        taken.append(result)
        if isinstance(result, Register):
            connection.sent(ROSTER)
    return taken


def fault(connection: Connection, data: bytes, now: float = 0.0) -> Fault:
    """Feed `data` and give the fault that comes of it."""
    connection.feed(data)
    result = connection.next(now)
    assert isinstance(result, Fault)
    return result


# -- the codec ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("role", "codecs"), [(Role.SERVER, []), (Role.CLIENT, []), (Role.CLIENT, ALL)])
def test_wrong_number_of_codecs(role: Role, codecs: list[Codec]) -> None:
    """A connection without codec, and a client that would have to guess, are the caller's mistake."""
    with pytest.raises(UsageError):
        Connection(role, codecs)


@pytest.mark.parametrize("codec", ALL, ids=lambda codec: str(codec.name))
@pytest.mark.parametrize("before", [b"", b"\r\n", b" \r\n  \n"])
def test_codec_is_told_from_the_first_bytes(codec: Codec, before: bytes) -> None:
    """A server skips blanks and then tells the codec, one byte at a time (CODEC-11, CODEC-12, CODEC-13, CODEC-14)."""
    connection = server()
    for byte in before + framed(codec, REGISTER):
        assert connection.next(0.0) is None
        connection.feed(bytes([byte]))
    assert connection.next(0.0) == REGISTER
    assert connection.codec is codec


@pytest.mark.parametrize("first", [b"x", b"\x01", b"\xff", b"[", b"\xef\xbb\xbf{", b"1", b"\t{"])
def test_no_codec(first: bytes) -> None:
    """First bytes that belong to no codec end the connection, and nothing can be answered (CODEC-15, CODEC-16)."""
    connection = server()
    result = fault(connection, first)
    assert (result.code, result.fatal) == (Code.MALFORMED, True)
    assert connection.state is State.CLOSED
    with pytest.raises(UsageError):
        connection.encode(result.error)


def test_codec_that_is_not_spoken() -> None:
    """A codec that is recognised but not served ends the connection (CODEC-15)."""
    connection = server(WORDS, FRAMES)
    result = fault(connection, framed(BRACES, REGISTER))
    assert (result.code, result.fatal) == (Code.MALFORMED, True)
    assert connection.codec is None


@pytest.mark.parametrize("opcode", [b"\x80", b"(", b")", b"]", b"}"])
def test_pickle_is_recognised(opcode: bytes) -> None:
    """The byte after the first space tells pickle from ascii (CODEC-14)."""
    assert detect(b"REGISTER ") is None
    assert detect(b"REGISTER " + opcode) == "pickle"
    assert detect(b"REGISTER x") == "ascii"


def test_single_codec_is_not_guessed() -> None:
    """With one codec nothing is told from the first bytes: it is known from the start (CODEC-17)."""
    connection = server(FRAMES)
    assert connection.codec is FRAMES
    assert connection.encode(Error("timeout: ")) == framed(FRAMES, Error("timeout: "))


def test_encode_frames() -> None:
    """`encode` gives the framed bytes in the codec of the connection (CODEC-1)."""
    connection = server()
    connection.feed(framed(BRACES, REGISTER))
    assert connection.next(0.0) == REGISTER
    assert connection.encode(ROSTER) == framed(BRACES, ROSTER)


# -- faults ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "code"),
    [(b"REGISTER ['ann\n", Code.MALFORMED), (b"post x\n", Code.MALFORMED), (b"HELO\n", Code.UNKNOWN_COMMAND),
     (b"MESSAGE ['1', 'a', 'b']\n", Code.UNKNOWN_COMMAND)],
)  # fmt: skip
def test_no_second_chance_before_register(line: bytes, code: Code) -> None:
    """Before REGISTER, `malformed` and `unknown-command` end the connection, after it they do not (CONN-11, CONN-15)."""
    early = server(WORDS)
    result = fault(early, line)
    assert (result.code, result.fatal, early.state) == (code, True, State.CLOSED)
    late = registered()
    result = fault(late, line + framed(WORDS, Join("7")))
    assert (result.code, result.fatal, late.state) == (code, False, State.REGISTERED)
    assert late.next(0.0) == Join("7")


@pytest.mark.parametrize(
    ("message", "code"),
    [(Register("", ""), Code.INVALID), (Join(" "), Code.INVALID), (Join("7"), Code.NOT_REGISTERED)],
)
def test_other_faults_before_register_are_survived(message: AnyMessage, code: Code) -> None:
    """A bad value or a request too early leaves the connection as it was (CONN-14, REGISTER-5)."""
    connection = server(WORDS)
    result = fault(connection, framed(WORDS, message, REGISTER))
    assert (result.code, result.fatal) == (code, False)
    assert connection.next(0.0) == REGISTER


def test_wrong_number_of_fields_is_survived() -> None:
    """A known command with a wrong number of fields is `invalid`, also before REGISTER (CODEC-5)."""
    connection = server(WORDS)
    result = fault(connection, b"REGISTER ['ann']\n" + framed(WORDS, REGISTER))
    assert (result.code, result.fatal) == (Code.INVALID, False)
    assert connection.next(0.0) == REGISTER


def test_second_register() -> None:
    """REGISTER on a registered connection is `already-registered` and changes nothing (REGISTER-3)."""
    connection = registered()
    result = fault(connection, framed(WORDS, REGISTER))
    assert (result.code, result.fatal, connection.state) == (Code.ALREADY_REGISTERED, False, State.REGISTERED)


def test_invalid_comes_before_the_state() -> None:
    """Of a bad value and a wrong state the bad value is answered (ERROR-6)."""
    assert fault(registered(), framed(WORDS, Register("", ""))).code is Code.INVALID


def test_client_survives_malformed_lines() -> None:
    """A client goes on after a malformed line, also before it is registered (CLIENT-18)."""
    connection = Connection(Role.CLIENT, [WORDS])
    result = fault(connection, b"(\n" + framed(WORDS, Error("forbidden: no")))
    assert (result.code, result.fatal) == (Code.MALFORMED, False)
    assert connection.next(0.0) == Error("forbidden: no")


def test_client_ignores_unknown_commands() -> None:
    """A client reports a command that it does not know, and stays (CLIENT-6)."""
    connection = Connection(Role.CLIENT, [WORDS])
    result = fault(connection, b"TYPING ['ann']\n")
    assert (result.code, result.fatal) == (Code.UNKNOWN_COMMAND, False)


def test_client_does_not_check_bounds() -> None:
    """A client takes values that its own limits forbid, since the server's may be others (LIMIT-26)."""
    connection = Connection(Role.CLIENT, [WORDS])
    connection.sent(REGISTER)
    roster = OnlineUsers({"a" * 1000: "s" * 1000})
    connection.feed(framed(WORDS, roster))
    assert connection.next(0.0) == roster


def test_error_of_a_fault() -> None:
    """A fault is answered with its code and explanation, kept within 512 characters (ERROR-2, LIMIT-16)."""
    assert Fault(Code.INVALID, "no", fatal=False).error == Error("invalid: no")
    assert len(Fault(Code.INVALID, "x" * 1000, fatal=False).error.message) == 512


# -- sizes ----------------------------------------------------------------------------------------------------


def padded(size: int, codec: Codec = WORDS) -> bytes:
    """Give a framed STATUS whose payload has `size` bytes, by its status."""
    bare = len(codec.encode(Status("")))
    return framed(codec, Status("s" * (size - bare)))


@pytest.mark.parametrize("codec", ALL, ids=lambda codec: str(codec.name))
def test_greeting_limit(codec: Codec) -> None:
    """Before REGISTER a payload may have 4 KiB and no byte more (LIMIT-3, LIMIT-1)."""
    assert fault(server(codec), padded(4096, codec)).code is Code.INVALID
    result = fault(server(codec), padded(4097, codec))
    assert (result.code, result.fatal) == (Code.TOO_LARGE, True)


@pytest.mark.parametrize("codec", ALL, ids=lambda codec: str(codec.name))
def test_request_limit(codec: Codec) -> None:
    """After REGISTER a payload may have 64 KiB and no byte more (LIMIT-2, CONN-24)."""
    assert fault(registered(codec), padded(65536, codec)).code is Code.INVALID
    connection = registered(codec)
    result = fault(connection, padded(65537, codec))
    assert (result.code, result.fatal, connection.state) == (Code.TOO_LARGE, True, State.CLOSED)


@pytest.mark.parametrize("codec", ALL, ids=lambda codec: str(codec.name))
def test_limit_is_that_of_the_moment(codec: Codec) -> None:
    """A long request that comes in one piece with REGISTER has the larger limit (LIMIT-2, CONN-5)."""
    long = SendMessage("7", "t" * 8000)
    connection = server(codec)
    connection.feed(framed(codec, REGISTER, long, Join("7")))
    assert drain(connection) == [REGISTER, long, Join("7")]


@pytest.mark.parametrize("before", [b"J" * 4098, b"REGISTER ['" + b"a" * 5000])
def test_unfinished_line_is_bounded(before: bytes) -> None:
    """A line that is too long is refused before its end has come (LIMIT-4)."""
    assert fault(server(WORDS), before).code is Code.TOO_LARGE


def test_declared_length_is_bounded() -> None:
    """A length over the limit is refused before a byte of the payload has come (LIMIT-4, MSGPACK-10)."""
    assert fault(server(FRAMES), (4097).to_bytes(4)).code is Code.TOO_LARGE


# -- pace -----------------------------------------------------------------------------------------------------


def test_registering_pauses() -> None:
    """While REGISTER waits for its answer nothing is handled, and then all of it in order (REGISTER-9)."""
    connection = server(WORDS)
    connection.feed(framed(WORDS, REGISTER, Join("7"), ListConversations()))
    assert connection.next(0.0) == REGISTER
    assert not connection.ready
    assert connection.next(0.0) is None
    connection.feed(framed(WORDS, Goodbye()))
    connection.sent(ROSTER)
    assert connection.ready
    assert drain(connection) == [Join("7"), ListConversations(), Goodbye()]


def test_refused_register_may_be_repeated() -> None:
    """After an ERROR to REGISTER the next REGISTER is handled (REGISTER-5)."""
    connection = server(WORDS)
    connection.feed(framed(WORDS, REGISTER, Register("bo", "")))
    assert connection.next(0.0) == REGISTER
    connection.sent(Error("name-in-use: "))
    assert connection.next(0.0) == Register("bo", "")


def test_nothing_after_goodbye() -> None:
    """What follows GOODBYE is neither handled nor answered (GOODBYE-6)."""
    connection = registered()
    connection.feed(framed(WORDS, Goodbye(), Join("7")))
    assert connection.next(0.0) == Goodbye()
    connection.feed(framed(WORDS, Join("7")))
    assert connection.next(0.0) is None
    assert not connection.ready


def test_nothing_after_a_fatal_fault() -> None:
    """What follows a fatal fault is not read (CONN-24)."""
    connection = registered()
    connection.feed(padded(70000) + framed(WORDS, Join("7")))
    assert [type(result) for result in drain(connection)] == [Fault]


def test_nothing_after_close() -> None:
    """What arrives on a connection that was closed is dropped."""
    connection = registered()
    connection.close()
    connection.feed(framed(WORDS, Join("7")))
    assert connection.next(0.0) is None


def test_incomplete_message_is_not_handled() -> None:
    """A message without its end is no message (CONN-21)."""
    connection = registered()
    connection.feed(framed(WORDS, Join("7"))[:-1])
    assert connection.next(0.0) is None


def test_misuse_is_told_with_what_to_do() -> None:
    """Whoever sends too early is told where it stands what may be sent, and when it can be written."""
    with pytest.raises(
        UsageError, match=r"client does not send STATUS .* is open; see `states\.TRANSITIONS`"
    ):
        Connection(Role.CLIENT, [WORDS]).sent(Status("x"))
    with pytest.raises(UsageError, match="take the peer's first message with `next` before"):
        server().encode(ROSTER)


def test_rate_limit() -> None:
    """A burst is allowed, then as much as the rate gives; what is beyond it has no effect (FLOW-11)."""
    connection = registered(rate=Rate(per_second=2.0, burst=3))  # REGISTER took the first of the three
    connection.feed(framed(WORDS, *[Join("7")] * 10))
    assert [connection.next(0.0) for _ in range(2)] == [Join("7")] * 2
    refused = connection.next(0.0)
    assert isinstance(refused, Fault)
    assert (refused.code, refused.fatal) == (Code.RATE_LIMITED, False)
    assert isinstance(connection.next(0.25), Fault)
    assert connection.next(0.5) == Join("7")
    assert isinstance(connection.next(0.5), Fault)


def test_rate_does_not_save_up_more_than_the_burst() -> None:
    """A long silence earns no more than one burst (FLOW-11)."""
    connection = registered(rate=Rate(per_second=1.0, burst=2))
    connection.feed(framed(WORDS, *[Join("7")] * 3))
    results = [connection.next(1000.0) for _ in range(3)]
    assert results[:2] == [Join("7")] * 2
    assert isinstance(results[2], Fault)


def test_rate_limit_loses_patience() -> None:
    """Whoever goes on after `patience` refusals in a row is closed; one success begins anew (FLOW-12)."""
    connection = registered(rate=Rate(per_second=1.0, burst=1, patience=2))
    connection.feed(framed(WORDS, *[Join("7")] * 6))
    fatal = [result.fatal if isinstance(result := connection.next(now), Fault) else None
             for now in (0.0, 0.0, 1.0, 1.0, 1.0, 1.0)]  # fmt: skip
    assert fatal == [False, False, None, False, False, True]
    assert connection.state is State.CLOSED


def test_rate_comes_before_the_state() -> None:
    """Of too many requests and a wrong state the former is answered (ERROR-6)."""
    connection = server(WORDS, rate=Rate(per_second=1.0, burst=1))
    assert fault(connection, framed(WORDS, Join("7"))).code is Code.NOT_REGISTERED
    assert fault(connection, framed(WORDS, Join("7"))).code is Code.RATE_LIMITED


# -- whatever the peer sends ----------------------------------------------------------------------------------

MESSAGES: list[AnyMessage] = [REGISTER, Join("7"), Goodbye(), ListConversations(), Conversations({}), ROSTER]
PIECES = st.lists(
    st.binary(max_size=40)
    | st.sampled_from(MESSAGES).flatmap(
        lambda message: st.sampled_from([framed(codec, message) for codec in ALL])
    )
    | st.sampled_from([b"\n", b"{", b"\0\0\0\1", b"REGISTER ", b"\xff"])
)


@given(PIECES, st.sampled_from(Role), st.sampled_from([[WORDS], [BRACES], [FRAMES], ALL]))
def test_never_raises(pieces: list[bytes], role: Role, codecs: list[Codec]) -> None:
    """Whatever arrives, `feed` and `next` give messages and faults, never an exception (CONN-19)."""
    connection = Connection(role, codecs if role is Role.SERVER else codecs[:1])
    for piece in pieces:
        connection.feed(piece)
        for result in drain(connection) if role is Role.SERVER else iter(lambda: connection.next(0.0), None):
            assert result is not None
            if isinstance(result, Fault):
                assert result.error.code == result.code
    assert connection.next(0.0) is None


@given(PIECES, st.sampled_from([[WORDS], [BRACES], [FRAMES], ALL]), st.integers(1, 7))
def test_segmentation_does_not_matter(pieces: list[bytes], codecs: list[Codec], step: int) -> None:
    """The same bytes give the same messages and faults, however they were cut (CONN-4, CONN-5)."""
    data = b"".join(pieces)
    whole, cut = server(*codecs), server(*codecs)
    whole.feed(data)
    expected = drain(whole)
    taken: list[AnyMessage | Fault] = []
    for start in range(0, len(data), step):
        cut.feed(data[start : start + step])
        taken += drain(cut)
    assert taken == expected
    assert cut.state is whole.state


def test_limits_that_make_guessing_impossible() -> None:
    """With several codecs no request may have 2**24 bytes: its length would not begin with 00 (CODEC-13)."""
    codecs = load_all()
    with pytest.raises(UsageError, match="lower limit"):
        Connection(Role.SERVER, codecs, Limits(request=2**24))
    Connection(Role.SERVER, codecs[:1], Limits(request=2**24))
    Connection(Role.SERVER, codecs, Limits(request=2**24 - 1))


def test_agreeing() -> None:
    """Where the transport agrees on a codec, there is none before it does, though only one is spoken (WS-3)."""
    connection = Connection(Role.SERVER, [WORDS], agreeing=True)
    assert connection.codec is None
    assert connection.next(0.0) is None
    connection.agree(FRAMES)
    assert connection.codec is FRAMES
    connection.feed(framed(FRAMES, REGISTER))
    assert connection.next(0.0) == REGISTER


@pytest.mark.parametrize(
    "make",
    [
        lambda: Rate(per_second=0.0, burst=1),
        lambda: Rate(per_second=math.nan, burst=1),
        lambda: Rate(per_second=1.0, burst=0),
        lambda: Rate(per_second=1.0, burst=1, patience=-1),
    ],
)
def test_rates_that_cannot_be(make: Callable[[], Rate]) -> None:
    """A rate that would never allow a request, or close whoever sends one, is refused when it is made."""
    with pytest.raises(UsageError, match="a burst of 1 or more"):
        make()
