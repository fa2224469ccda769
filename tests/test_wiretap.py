"""What is taken down of a connection, whatever its ends say."""

import pytest

from improto.codec import available, load
from improto.messages import AnyMessage, Join, ListConversations, OnlineUsers, Register
from improto_conformance.judging.verdict import judged
from improto_conformance.pairs.wiretap import Recording
from improto_conformance.transcripts.transcript import Event, Transcript

CODECS = available()
ANN = Register("ann", "x")
ROSTER = OnlineUsers({"ann": "x"})


def framed(codec: str, *messages: AnyMessage) -> bytes:
    """Write messages as they stand on a stream."""
    return b"".join(load(codec).frame(load(codec).encode(message)) for message in messages)


def shown(seen: Transcript) -> list[tuple[str, Event, object]]:
    """Give what happened, without times and bytes."""
    return [(entry.party, entry.event, entry.item) for entry in seen.entries]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_pieces(codec: str, size: int) -> None:
    """However a stream comes, its messages are told with the bytes of each, and the codec by the first ones."""
    recording = Recording()
    tap = recording.connect()
    up, down = framed(codec, ANN, Join("7")), framed(codec, ROSTER, ROSTER)
    for at in range(0, len(up), size):
        tap.from_client(up[at : at + size])
    for at in range(0, len(down), size):
        tap.from_server(down[at : at + size])
    seen = recording.transcript
    assert shown(seen) == [
        ("ann", Event.SENT, ANN),
        ("ann", Event.SENT, Join("7")),
        ("ann", Event.RECEIVED, ROSTER),
        ("ann", Event.RECEIVED, ROSTER),
    ]
    assert seen.codecs == {"ann": codec}
    assert [entry.data for entry in seen.entries] == [
        framed(codec, entry.item) for entry in seen.entries if not isinstance(entry.item, str | bytes)
    ]


def test_blanks_before_the_first_message() -> None:
    """What a server skips while it looks for the codec is skipped, and kept with the first message."""
    recording = Recording()
    tap = recording.connect()
    tap.from_client(b"\r\n ")
    tap.from_client(framed("msgpack", ANN))
    (entry,) = recording.transcript.entries
    assert (entry.item, entry.data) == (ANN, b"\r\n " + framed("msgpack", ANN))


def test_extension() -> None:
    """What a server sends of an extension is no nonsense once the client is registered, but before that it is (CLIENT-6)."""
    recording, hello = Recording(), b'{"type":"_ACME_HELLO"}\n'
    tap = recording.connect()
    tap.from_client(framed("json", ANN))
    for data in (
        hello,
        framed("json", ROSTER),
        hello,
        framed("json", ROSTER),
        b'{"type":"GOODBYE"}\n',
        hello,
    ):
        tap.from_server(data)
    tap.server_ended()
    events = [entry.event for entry in recording.transcript.entries]
    assert events == [Event.SENT, Event.FAULT, Event.RECEIVED, Event.RECEIVED, Event.FAULT, Event.CLOSED]
    assert [entry.data for entry in recording.transcript.entries[3:]] == [
        hello + framed("json", ROSTER),
        b'{"type":"GOODBYE"}\n',
        hello,
    ]


def test_malformed_and_on() -> None:
    """What is no message is kept as bytes or as nonsense, and where the framing is intact the next one is read."""
    recording = Recording(["json"])
    tap = recording.connect()
    tap.from_client(b"oops\n" + framed("json", ANN))
    tap.from_server(b"oops\n" + framed("json", ROSTER))
    assert [entry.event for entry in recording.transcript.entries] == [
        Event.RAW,
        Event.SENT,
        Event.FAULT,
        Event.RECEIVED,
    ]
    assert recording.transcript.entries[0].item == b"oops\n"


def test_malformed_for_good() -> None:
    """Where the framing is lost, the client's bytes are kept as they come, and the server's are told of once."""
    recording = Recording(["pickle"])
    tap = recording.connect()
    for _ in range(2):
        tap.from_client(b"oops")
        tap.from_server(b"oops")
    assert [entry.event for entry in recording.transcript.entries] == [Event.RAW, Event.FAULT, Event.RAW]


@pytest.mark.parametrize("data", [b"!", b"GET / HTTP/1.1\r\n"])
def test_no_codec(data: bytes) -> None:
    """Bytes of another protocol are kept as bytes."""
    recording = Recording()
    tap = recording.connect()
    tap.from_client(data)
    tap.from_client(data)
    assert {(entry.party, entry.event, entry.item) for entry in recording.transcript.entries} == {
        ("connection 1", Event.RAW, data)
    }


def test_server_first() -> None:
    """A server that speaks before the codec is known is told of (CODEC-16)."""
    recording = Recording()
    tap = recording.connect()
    tap.from_server(b"hello\n")
    tap.from_client(framed("json", ANN))
    assert [entry.event for entry in recording.transcript.entries] == [Event.FAULT, Event.SENT]


def test_too_large() -> None:
    """What the server has refused as too large before its end is there before the ERROR."""
    recording = Recording()
    tap = recording.connect()
    tap.from_client(b"REGISTER " + b"x" * 5000)
    tap.from_server(b'ERROR "too-large: no"\n')
    tap.server_ended()
    events = [Event.RAW, Event.RECEIVED, Event.CLOSED]
    assert [entry.event for entry in recording.transcript.entries] == events
    assert recording.transcript.entries[0].item == b"REGISTER " + b"x" * 5000
    assert judged(recording.transcript, alone=True).blames == ()


def test_blown_up() -> None:
    """A pickle that holds more than it has bytes is kept as bytes, which the judge reads by the server's limits."""
    recording = Recording(["pickle"])
    tap = recording.connect()
    name = b"X\xe8\x03\x00\x00" + b"x" * 1000 + b"q\x00"
    tap.from_client(b"INVITE (" + name + b"h\x00" * 100 + b"l.")
    assert [entry.event for entry in recording.transcript.entries] == [Event.RAW]


def test_ends() -> None:
    """Half-close, close and reset are noted with the bytes of what was not finished; the server's close once."""
    recording = Recording()
    tap = recording.connect()
    tap.from_client(framed("json", ANN) + b'{"type"')
    tap.from_server(b'{"typ')
    tap.client_ended()
    tap.server_ended()
    tap.server_ended()
    tap.client_broke()
    assert [(entry.event, entry.data) for entry in recording.transcript.entries[1:]] == [
        (Event.HALF_CLOSED, b'{"type"'),
        (Event.CLOSED, b'{"typ'),
        (Event.RESET, b'{"type"'),
    ]
    assert tap.closed


def test_silence() -> None:
    """Of a connection on which nothing is said nothing is noted."""
    recording = Recording()
    tap = recording.connect()
    tap.client_ended()
    tap.server_ended()
    assert recording.transcript == Transcript()


def test_settled() -> None:
    """Who broke off may be online until a roster shows otherwise that is certainly newer."""
    recording = Recording(["ascii"])
    ann, bo = recording.connect(), recording.connect()
    for tap, name in ((ann, "ann"), (bo, "bo")):
        tap.from_client(f"REGISTER {name} x\n".encode())
    ann.client_broke()
    assert not recording.settled
    bo.from_server(b"ONLINE_USERS bo=x\n")  # it may have been on its way
    assert not recording.settled
    cy = recording.connect()
    cy.from_server(b"ONLINE_USERS ann=x bo=x cy=x\n")
    assert not recording.settled
    cy.from_server(b"ONLINE_USERS bo=x cy=x\n")
    assert recording.settled
    bo.server_ended()
    bo.client_broke()
    assert recording.settled


def test_labels() -> None:
    """Each connection has a label of its own, by its first name; nobody can call itself the server."""
    recording = Recording(["ascii"])
    for name in ("ann", "ann", "server", '"connection 5"'):
        recording.connect().from_client(f"REGISTER {name} x\n".encode())
    recording.connect().from_client(framed("ascii", ListConversations()))
    labels = [entry.party for entry in recording.transcript.entries]
    assert labels == ["ann", "ann (2)", "server (2)", "connection 5", "connection 5 (2)"]


@pytest.mark.parametrize(("entries", "size"), [(2, 1000), (1000, 60)])
def test_full(entries: int, size: int) -> None:
    """A recording that is full keeps what it has, and no more."""
    recording = Recording(["ascii"], entries=entries, size=size)
    tap = recording.connect()
    for _ in range(5):
        tap.from_client(b"REGISTER ann x\nLIST_CONVERSATIONS\n")
    tap.client_ended()
    assert recording.full
    assert len(recording.take().entries) == 2
    assert recording.take().entries == []
