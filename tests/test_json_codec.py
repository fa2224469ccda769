"""Tests of the json codec: the canonical object, what else is read, and what is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from improto.errors import DecodeError
from improto.limits import DEPTH
from improto.messages import (
    AnyMessage,
    Code,
    Conversations,
    Error,
    Goodbye,
    Invite,
    Join,
    ListConversations,
    Message,
    OnlineUsers,
    Register,
    Role,
    SendMessage,
    Status,
)
from improto_codecs.json_codec import JsonCodec
from improto_conformance.codecs.strategies import messages

CODEC = JsonCodec()

CANONICAL: list[tuple[AnyMessage, str]] = [
    (Register("bo", ""), '{"type":"REGISTER","username":"bo","status":""}'),
    (OnlineUsers({"bo": "", "é": "x"}), '{"type":"ONLINE_USERS","users":{"bo":"","é":"x"}}'),
    (Status('"\n\x7f\u2028😀'), '{"type":"STATUS","status":"\\"\\n\x7f\u2028😀"}'),
    (Goodbye(), '{"type":"GOODBYE"}'),
    (Invite(("bo", "cy")), '{"type":"INVITE","users":["bo","cy"]}'),
    (ListConversations(), '{"type":"LIST_CONVERSATIONS"}'),
    (Conversations({"7": (), "8": ("bo",)}), '{"type":"CONVERSATIONS","conversations":{"7":[],"8":["bo"]}}'),
    (Join("7"), '{"type":"JOIN","conversation":"7"}'),
    (SendMessage("7", "[{"), '{"type":"SEND_MESSAGE","conversation":"7","text":"[{"}'),
    (Message("7", "bo", ""), '{"type":"MESSAGE","conversation":"7","sender":"bo","text":""}'),
    (Error("invalid: x"), '{"type":"ERROR","message":"invalid: x"}'),
]


def refusal(payload: bytes, sender: Role = Role.CLIENT) -> str:
    """Give the code with which a payload is refused, never fatally."""
    with pytest.raises(DecodeError) as caught:
        CODEC.decode(payload, sender)
    assert not caught.value.fatal
    return caught.value.code


@pytest.mark.parametrize(("message", "text"), CANONICAL)
def test_canonical_form(message: AnyMessage, text: str) -> None:
    """Each message has its canonical object, and the object is read as the message (JSON-1, JSON-2, JSON-3)."""
    assert CODEC.encode(message) == text.encode()
    assert CODEC.decode(text.encode(), message.FROM) == message


@given(messages())
def test_output_is_one_line(message: AnyMessage) -> None:
    """What is sent holds no raw control characters, so no line break (JSON-4)."""
    assert all(byte >= 0x20 for byte in CODEC.encode(message))


@given(message=messages(), data=st.data())
def test_other_writers(message: AnyMessage, data: st.DataObject) -> None:
    """The order of keys, white space, escapes and further members do not matter (JSON-6, JSON-11)."""
    members = [*json.loads(CODEC.encode(message)).items(), ("later", [{"x": [None, 1.5, True]}])]
    shuffled = dict(data.draw(st.permutations(members)))
    text = json.dumps(shuffled, ensure_ascii=data.draw(st.booleans()), separators=(" ,\t", "\r: "))
    assert CODEC.decode(f" \t\r{text}\r\t ".encode(), message.FROM) == message


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b" ",
        b"{",
        b"}",
        b"{}}",
        b"{]",
        b"[}",
        b'{"type":"GOODBYE"} x',
        b'{"type":"GOODBYE"}{"type":"GOODBYE"}',
        b'{"type":"GOODBYE",}',
        b"{'type':'GOODBYE'}",
        b'{type:"GOODBYE"}',
        b'{"type":"GOODBYE"',
        b'{"type":"GOODBYE',
        b'{"type":"GOODBYE\\',
        b'["GOODBYE"]',
        b'"GOODBYE"',
        b"1",
        b"null",
        b"{}",
        b'{"type":null}',
        b'{"type":7}',
        b'{"type":["GOODBYE"]}',
        b'{"Type":"GOODBYE"}',
        b'{"type":""}',
        b'{"type":"goodbye"}',
        b'{"type":"GOODBYE "}',
        b'{"type":"AAAAAAAAAAAAAAAAAAAAA"}',
        b'\xef\xbb\xbf{"type":"GOODBYE"}',
        '{"type":"GOODBYE"}'.encode("utf-16-le"),
        '{"type":"GOODBYE"}'.encode("utf-16"),
        b'\x0b{"type":"GOODBYE"}',
        b'{"type":"GOODBYE"}\x00',
        b'\xc2\xa0{"type":"GOODBYE"}',
    ],
)
def test_malformed(payload: bytes) -> None:
    """What is no object with a command as the text `type` is malformed (JSON-7, JSON-8, CODEC-4, CODEC-9)."""
    assert refusal(payload) == Code.MALFORMED


@pytest.mark.parametrize(
    "value",
    [
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"[NaN]",
        b"01",
        b"1.",
        b"+1",
        b"0x1",
        b"tru",
        b'"\xff"',
        b'"\xc0\x80"',
        b'"\xed\xa0\x80"',
        b'"\xf4\x90\x80\x80"',
        b'"\xe2\x82"',
        b'"\n"',
        b'"\t"',
        b'"\x00"',
        b'"\\x41"',
        b'"\\u12"',
        b'"\\ud800"',
        b'"\\uDFFF"',
        b'"\\ude00\\ud83d"',
        b'"\\ud83d\\u0041"',
        b'"\\ud83d\\\\ude00"',
        b'"\\\\\\ud83d"',
        b'{"\\ud800":1}',
        b'{"a":{"b":"\\udc00"}}',
        b"[[[[1]]]]",
        b"[[[[]]]]",
        b'{"a":[{"b":[]}]}',
    ],
)
@pytest.mark.parametrize(
    "member",
    [b'{"type":"GOODBYE","later":%s}', b'{"later":%s,"type":"LATER"}', b'{"type":"STATUS","status":%s}'],
)
def test_malformed_wherever_it_stands(value: bytes, member: bytes) -> None:
    """A bad value is malformed in ignored members and unknown commands too (JSON-9, JSON-10, LIMIT-17, CODEC-6)."""
    assert refusal(member % value) == Code.MALFORMED


@pytest.mark.parametrize(
    "value",
    [
        b"[[[1]]]",
        b'"[[[[[["',
        b'"\\"[[[[[["',
        b'"\\\\"',
        b'"\\ud83d\\ude00"',
        b'"\\\\ud800"',
        b"1e400",
        b"-1e-400",
        b"9" * 10_000,
        b'"\xef\xbb\xbf"',
        b'"\\u0000"',
        b'{"x":1,"x":2}',
    ],
)
def test_harmless_wherever_it_stands(value: bytes) -> None:
    """Ignored members may hold whatever is JSON within the depth, with numbers of any size (JSON-11)."""
    assert CODEC.decode(b'{"later":%s,"type":"GOODBYE"}' % value, Role.CLIENT) == Goodbye()


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"JOIN"}',
        '{"type":"JOIN","Conversation":"7"}',
        '{"type":"JOIN","conversation":7}',
        '{"type":"JOIN","conversation":7.5}',
        '{"type":"JOIN","conversation":1e400}',
        '{"type":"JOIN","conversation":null}',
        '{"type":"JOIN","conversation":true}',
        '{"type":"JOIN","conversation":["7"]}',
        '{"type":"JOIN","conversation":{}}',
        '{"type":"REGISTER","username":"bo"}',
        '{"type":"INVITE","users":"bo"}',
        '{"type":"INVITE","users":{"bo":""}}',
        '{"type":"INVITE","users":[1]}',
        '{"type":"INVITE","users":[["bo"]]}',
        '{"type":"INVITE","users":null}',
    ],
)
def test_invalid(text: str) -> None:
    """A missing field or a value of another type is invalid, never converted (JSON-12, JSON-13)."""
    assert refusal(text.encode()) == Code.INVALID


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"ONLINE_USERS","users":[]}',
        '{"type":"ONLINE_USERS","users":{"bo":null}}',
        '{"type":"ONLINE_USERS","users":{"bo":[]}}',
        '{"type":"CONVERSATIONS","conversations":{"7":"bo"}}',
        '{"type":"CONVERSATIONS","conversations":{"7":{}}}',
        '{"type":"CONVERSATIONS","conversations":{"7":[7]}}',
        '{"type":"CONVERSATIONS","conversations":[]}',
    ],
)
def test_invalid_from_a_server(text: str) -> None:
    """Maps of another shape are invalid (JSON-3, JSON-13)."""
    assert refusal(text.encode(), Role.SERVER) == Code.INVALID


def test_unknown_comes_before_invalid() -> None:
    """The fields of an unknown command do not matter."""
    assert refusal(b'{"type":"NOOP","conversation":7}') == Code.UNKNOWN_COMMAND
    assert refusal(b'{"type":"ERROR"}') == Code.UNKNOWN_COMMAND


def test_last_of_duplicate_keys_counts() -> None:
    """Of a key that stands twice the last value is taken (JSON-14)."""
    text = b'{"type":"GOODBYE","type":"JOIN","conversation":7,"conversation":"8"}'
    assert CODEC.decode(text, Role.CLIENT) == Join("8")


def test_blank_lines_are_skipped() -> None:
    """On a stream lines of white space are skipped, and CR LF ends lines too (JSON-4, JSON-5)."""
    reader = CODEC.reader(Role.CLIENT)
    reader.feed(b'\n \t\r\n\r\r\n {"type":"GOODBYE"}\t\r\r\n\t\n')
    assert reader.next(100) == Goodbye()
    assert reader.next(100) is None


Nest = list["Nest"] | dict[str, "Nest"] | None


def depth(value: Nest) -> int:
    """Count the levels of arrays and objects."""
    if value is None:
        return 0
    inner = value if isinstance(value, list) else value.values()
    return 1 + max(map(depth, inner), default=0)


def nests() -> st.SearchStrategy[Nest]:
    """Draw arrays and objects in one another, with brackets in their keys."""

    def around(inner: st.SearchStrategy[Nest]) -> st.SearchStrategy[Nest]:
        return st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text('a[]{}"\\'), inner, max_size=2))

    return st.recursive(st.none(), around)


@given(nests())
def test_depth_is_exact(value: Nest) -> None:
    """An ignored member is refused exactly if the object nests above the depth (LIMIT-17)."""
    payload = json.dumps({"type": "GOODBYE", "later": value}).encode()
    if 1 + depth(value) > DEPTH:
        assert refusal(payload) == Code.MALFORMED
    else:
        assert CODEC.decode(payload, Role.CLIENT) == Goodbye()


N = 100_000


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * N,
        b'{"a":' * N,
        b'{"type":"GOODBYE","later":' + b"[" * N + b"]" * N + b"}",
        b'{"type":"GOODBYE","later":' + b'{"a":' * N + b"1" + b"}" * N + b"}",
        b'{"type":"' + b'\\"' * N,
        b'"' * N,
        b"\\" * N,
        b'{"type":"' + b"\\" * (N + 1),
        b"[]" * N,
    ],
)
def test_attacks(payload: bytes) -> None:
    """Deep nesting and open strings are malformed, and never a RecursionError."""
    assert refusal(payload) == Code.MALFORMED


def test_many_members() -> None:
    """100,000 members, equal or not, and 100,000 names are read like few."""
    same = b'"a":"",' * N
    other = b"".join(b'"%d":"",' % n for n in range(N))
    assert CODEC.decode(b"{" + same + other + b'"type":"GOODBYE"}', Role.CLIENT) == Goodbye()
    names = b",".join([b'"a"'] * N)
    assert CODEC.decode(b'{"type":"INVITE","users":[' + names + b"]}", Role.CLIENT) == Invite(("a",) * N)
