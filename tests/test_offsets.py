"""Tests of where in a message errors say that they were seen, for each codec."""

import pytest

from improto.codec import load
from improto.errors import DecodeError
from improto.messages import Role
from improto_conformance.codecs.reading import read

PLACES: list[tuple[str, bytes, int | None]] = [
    ("ascii", b"JOIN \xc3\xa9", 5),
    ("ascii", b"JOIN 7\x7f", 6),
    ("ascii", b"join 7", 0),
    ("ascii", b'JOIN "7" (', 8),
    ("ascii", b'JOIN "\\x"', 6),
    ("ascii", b'JOIN "\\ud83d"', 5),
    ("ascii", b"JOIN", None),
    ("json", b'{"type":"JOIN","x":"\xff"}', 20),
    ("json", b'\xef\xbb\xbf{"type":"GOODBYE"}', 0),
    ("json", b'{"type":"JOIN","\xc3\xa9":"\\ud83d"}', 21),
    ("json", b'{"type":"JOIN","\xc3\xa9":x}', 20),
    ("json", b'{"type":"GOODBYE"} x', 19),
    ("json", b'{"type":"JOIN"}', None),
    ("json", b'{"type":"JOIN","x":[[[[]]]]}', 22),
    ("json", b'{"\xc3\xa9\\"[[[[":"JOIN","x":{"y":[{"z":[]}]}}', 34),
    ("json", b'{"type":"JOIN","x":[[[[}', 22),
    ("json", b'{"type":"JOIN","x":[{},{},{}}', 28),
    ("json", b'{"type":"JOIN","x":[{},{},{}', 28),
    ("json", b"{}[]{}[]{}]", 10),
    ("json", b'{"type":"\xc3\xa9\\"NaN","x":NaN}', 22),
    ("json", b'{"type":"JOIN","x":[0,-Infinity]}', 22),
    ("json", b'{"type":"JOIN","x":Infinity', 19),
    ("msgpack", b"\x91\xa7GOODBYE\xc0", 9),
    ("msgpack", b"\x92\xa4JOIN\xa3a\xff7", 8),
    ("msgpack", b"\x93\xa4JOIN\xc4\x03a\xff7\xd9\x03a\xff7", 14),
    ("msgpack", b"\x92\xadCONVERSATIONS\x81\xa17\x91\xda\x00\x02a\xed", 23),
    ("msgpack", b"\x92\xa4JOIN", 6),
    ("msgpack", b"\x92\xa4JOIN\xa37", 8),
    ("msgpack", b"\x92\xa4JOIN\xc4\x03a", 9),
    ("msgpack", b"\x92\xa4JOIN\xcf\x00", 8),
    ("msgpack", b"\x92\xa4JOIN\xc7", 7),
    ("msgpack", b"\x92\xa4JOIN\xc1", 6),
    ("msgpack", b"\xc1", 0),
    ("msgpack", b"\xa3a", 2),
    ("msgpack", b"\xd5\xffab", None),
    ("msgpack", b"\x92\xa5LATER\x91\x91\x91\x91\xc0", 11),
    ("msgpack", b"\x92\xa5LATER\x91\x91\x91\xdd", 11),
    ("msgpack", b"\x92\xa5LATER\x91\x91\x91\xde\x00", 12),
    ("msgpack", b"\x92\xa4JOIN\x07", None),
    ("pickle", b"JOIN (S'7'\nR", 11),
    ("pickle", b"JOIN (S'7'\nS7\nl.", 11),
    ("pickle", b"JOIN (l(.", 8),
    ("pickle", b"JOIN (I7\nI8\nl.", None),
    ("pickle", b"GOODBYE )R", 9),
    ("pickle", b"LIST_CONVERSATIONS (R", 20),
]


@pytest.mark.parametrize(("name", "payload", "place"), PLACES)
def test_offset(name: str, payload: bytes, place: int | None) -> None:
    """An error tells at which byte of the payload the fault was seen, if the codec knows it."""
    with pytest.raises(DecodeError) as caught:
        load(name).decode(payload, Role.CLIENT)
    assert caught.value.offset == place


@pytest.mark.parametrize(
    ("name", "stream", "place"),
    [
        ("ascii", b"GOODBYE\nJOIN )\n", 4),
        ("json", b'{"type":"GOODBYE"}\n{"type":}\n', 8),
        ("msgpack", b"\0\0\0\x09\x91\xa7GOODBYE\0\0\0\x0a\x91\xa7GOODBYE\xc0", 9),
        ("pickle", b"STATUS S'x'\n.JOIN (S'7'\nR", 11),
        ("pickle", b"GOODBYE )R", 1),
    ],
)
def test_offset_in_a_stream(name: str, stream: bytes, place: int) -> None:
    """On a stream the place counts from the beginning of the message, however it arrives."""
    for pieces in [stream], [stream[at : at + 1] for at in range(len(stream))]:
        error = read(load(name).reader(Role.CLIENT), pieces, 100)[-1]
        assert isinstance(error, DecodeError)
        assert error.offset == place
