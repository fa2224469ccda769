"""Tests of what is said of the bytes that a server sends."""

import pickle
import random

import pytest

from improto.codec import available, load
from improto.messages import Conversations, Error, Invitation, Message, OnlineUsers
from improto_conformance.judging.sent import sent
from improto_conformance.transcripts.transcript import Entry, Event, Transcript

HARD = 'a,b="c" \\ \xe9\U0001f600\x7f\n'
MESSAGES = (
    OnlineUsers({HARD: "", "[bo]": HARD}),
    Invitation("7", HARD),
    Conversations({"7": (), "8": (HARD, "bo")}),
    Message("7", "(", ""),
    Error("invalid: \u2028"),
)
INVITATION = b"INVITATION (S'7'\nS'bo'\nl."


def frame(payload: bytes) -> bytes:
    """Put the length ahead."""
    return load("msgpack").frame(payload)


def clauses(codec: str, data: bytes, event: Event = Event.RECEIVED) -> list[str]:
    """Give the clauses that bytes to a client violate."""
    seen = Transcript("", [Entry("ann", event, "", 0.0, data)], {"ann": codec})
    return [complaint.clause for complaint in sent(seen)]


@pytest.mark.parametrize("codec", available())
def test_what_the_reference_writes(codec: str) -> None:
    """What our own codecs write is lawful, in whatever pieces it was noted, and also if the last is cut off."""
    writer = load(codec)
    data = b"".join(writer.frame(writer.encode(message)) for message in MESSAGES)
    assert clauses(codec, data) == []
    assert clauses(codec, data[:-3]) == []
    pieces = [Entry("ann", Event.RECEIVED, "", 0.0, data[at : at + 7]) for at in range(0, len(data), 7)]
    assert list(sent(Transcript("", pieces, {"ann": codec}))) == []


@pytest.mark.parametrize(
    ("codec", "data"),
    [
        ("ascii", b'  INVITATION  "7"   bo  \r\n \nLATER {what "ever\nCONVERSATIONS 7= "8"="a",b\n'),
        ("ascii", b'MESSAGE 7 bo "\\ud83d\\ude00\\/\\u0041"\nONLINE_USERS\nERROR plain\n'),
        (
            "json",
            b' { "conversation" : "7", "type":"INVITATION" ,"source":"\\u00e9"}\r\n\n{"type":"LATER","x":[1]}\n',
        ),
        ("msgpack", frame(b"\xdc\0\3\xd9\x0aINVITATION\xa17\xda\0\1x")),
        ("msgpack", frame(b"\x92\xa5LATER\xc0")),
        ("pickle", b"\r\n" + INVITATION + b"\nINVITATION \x80\x02K\x07U\x02bo\x86.LATER N."),
        (
            "pickle",
            b"ERROR " + pickle.dumps("x: y", 4) + b"CONVERSATIONS " + pickle.dumps({1: ("a",), "2": []}, 0),
        ),
    ],
)
def test_other_forms(codec: str, data: bytes) -> None:
    """Forms that the reference does not write, and commands that nobody knows, are lawful too."""
    assert clauses(codec, data) == []


@pytest.mark.parametrize(
    ("codec", "data", "clause"),
    [
        ("ascii", b"INVITATION 7\tbo\n", "ASCII-1"),
        ("ascii", b"invitation 7 bo\n", "ASCII-1"),
        ("ascii", b"INVITATION 7 bo cy\n", "ASCII-1"),
        ("ascii", b'INVITATION 7 "b\\x6f"\n', "ASCII-4"),
        ("ascii", b'INVITATION 7 "\xc3\xa9"\n', "ASCII-4"),
        ("ascii", b"INVITATION 7 \xe9\n", "ASCII-4"),
        ("ascii", b'INVITATION 7 "bo\n', "ASCII-4"),
        ("ascii", b"INVITATION 7 (bo\n", "ASCII-6"),
        ("ascii", b'INVITATION 7 b"o\n', "ASCII-6"),
        ("ascii", b"ONLINE_USERS bo:away\n", "ASCII-7"),
        ("ascii", b"CONVERSATIONS 7=a,,b\n", "ASCII-7"),
        ("ascii", b"MESSAGE 7 bo \n", "ASCII-8"),
        ("ascii", b'INVITATION 7 "\\ud83d"\n', "ASCII-9"),
        ("ascii", b"ERROR invalid: x\n", "ERROR-1"),
        ("json", b'["INVITATION","7","bo"]\n', "JSON-1"),
        ("json", b'{"type":"invitation","conversation":"7","source":"bo"}\n', "JSON-1"),
        ("json", b'{"type":"INVITATION","conversation":NaN,"source":"bo"}\n', "JSON-1"),
        ("json", b'{"type":"INVITATION","conversation":"7","from":"bo"}\n', "JSON-2"),
        ("json", b'{"type":"ONLINE_USERS","users":["bo"]}\n', "JSON-3"),
        ("json", b'{"type":"ONLINE_USERS","users":{"bo":null}}\n', "JSON-3"),
        ("json", b'{"type":"CONVERSATIONS","conversations":{"7":"bo"}}\n', "JSON-3"),
        ("json", b'{"type":"INVITATION",\n"conversation":"7","source":"bo"}\n', "JSON-4"),
        ("json", b'\xef\xbb\xbf{"type":"LATER"}\n', "JSON-8"),
        ("json", b'{"type":"MESSAGE","conversation":"7","sender":"bo","text":"\xe9"}\n', "JSON-10"),
        ("json", b'{"type":"INVITATION","conversation":7,"source":"bo"}\n', "CODEC-7"),
        ("json", b'{"type":"LATER","a":1,"a":2}\n', "CODEC-7"),
        ("json", b'{"type":"INVITATION","conversation":"7","source":"bo","x":1}\n', "CONN-12"),
        ("json", b'{"type":"ERROR","message":["x: y"]}\n', "ERROR-1"),
        ("msgpack", frame(b"\x81\xa5ERROR\xa4x: y"), "MSGPACK-1"),
        ("msgpack", frame(b"\x92\xaaINVITATION\xa17"), "MSGPACK-1"),
        ("msgpack", frame(b"\x92\xa5ERROR\xa4x: y\n"), "MSGPACK-2"),
        ("msgpack", frame(b"\x93\xaaINVITATION\x07\xa3bo!"), "MSGPACK-4"),
        ("msgpack", frame(b"\x92\xc4\5ERROR\xa3x: "), "MSGPACK-4"),
        ("msgpack", frame(b"\x92\xacONLINE_USERS\x91\x92\xa1a\xa0"), "MSGPACK-5"),
        ("msgpack", frame(b"\x93\xa5ERROR\xa4x: y\xa0"), "CONN-12"),
        ("msgpack", frame(b"\x92\xa5ERROR\x91\xa4x: y"), "ERROR-1"),
        ("pickle", b"INVITATION" + INVITATION[11:], "PICKLE-1"),
        ("pickle", b"INVITATION S'7'\n.", "PICKLE-2"),
        ("pickle", b"ONLINE_USERS (l.", "PICKLE-2"),
        ("pickle", b"CONVERSATIONS (S'7'\nS'bo'\nd.", "PICKLE-2"),
        ("pickle", b"ERROR (S'x: y'\nl.", "ERROR-1"),
        ("pickle", b"INVITATION (S'7'\nS'bo'\nNl.", "CONN-12"),
        ("pickle", b"INVITATION (NS'bo'\nl.", "CODEC-7"),
        ("pickle", b"ERROR C\4x: y.", "CODEC-7"),
        ("pickle", b"ERROR cos\nsystem\n.", "CODEC-7"),
        ("pickle", b"(S'INVITATION'\nS'7'\nS'bo'\nl.", "LECTURE-5"),
    ],
)
def test_violations(codec: str, data: bytes, clause: str) -> None:
    """What nobody may send is found, by the clause that it violates."""
    assert clauses(codec, data)[:1] == [clause]


@pytest.mark.parametrize(
    ("codec", "data", "clause"),
    [
        ("ascii", b"ONLINE_USERS", "ASCII-2"),
        ("json", b'{"type":"LATER"}', "JSON-4"),
        ("msgpack", b"\x92\xa5ERROR\xa4x: y", "MSGPACK-2"),
        ("pickle", b"ERROR S'x: y'\n", "CODEC-7"),
    ],
)
def test_what_does_not_end(codec: str, data: bytes, clause: str) -> None:
    """What does not end is wrong only if no more came while it was waited for."""
    assert clauses(codec, data) == []
    assert clauses(codec, data, Event.FAULT) == [clause]


def test_hostile_pickles() -> None:
    """Nothing that a server sends costs much, or is run."""
    bomb = b"ONLINE_USERS }()q\x00" + b"(h\x00h\x00tq\x00" * 61 + b"u."
    assert clauses("pickle", bomb) == ["PICKLE-2"]
    assert clauses("pickle", b"ERROR S'x: y'\nr\xff\xff\xff\x7f.") == []
    assert clauses("pickle", b"INVITATION (L" + b"9" * 5000 + b"L\nS'bo'\nl.") == []
    assert clauses("json", b"[" * 100_000 + b"\n") == ["JSON-1"]


@pytest.mark.parametrize("codec", available())
def test_anything(codec: str) -> None:
    """Whatever comes is judged, and nothing is raised."""
    chance = random.Random(codec)
    writer = load(codec)
    good = b"".join(writer.frame(writer.encode(message)) for message in MESSAGES)
    for _ in range(300):
        data = bytearray(good)
        for _ in range(chance.randint(1, 6)):
            data[chance.randrange(len(data))] = chance.choice(b"\0\n .'\"\\(]}Nl\x80\xc1\xff7")
        clauses(codec, bytes(data), Event.FAULT)
