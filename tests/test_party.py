"""Tests of the suite's own clients: that no server keeps them for ever."""

import pytest

from improto.codec import Codec, load
from improto.messages import Conversations, OnlineUsers
from improto_conformance.connections.links import Link
from improto_conformance.servers.party import Party, Stuck, Waits
from improto_conformance.transcripts.transcript import Transcript

JSON = load("json")
ROSTER = JSON.frame(JSON.encode(OnlineUsers({"ann": "here"})))


class Source:
    """A link on which the same comes again and again."""

    def __init__(self, data: bytes, pause: float = 1.0) -> None:
        """Begin at no time; `pause` is the time between two pieces, in seconds."""
        self.data = data
        self.pause = pause
        self.time = 0.0

    def now(self) -> float:
        """Give the time."""
        return self.time

    def send(self, data: bytes) -> None:
        """Take nothing."""

    def receive(self, timeout: float) -> bytes:
        """Give it once more."""
        self.time += self.pause
        return self.data

    def half_close(self) -> None:
        """Do nothing."""

    def reset(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def party(link: Link, waits: Waits) -> Party:
    """Give a party on a link."""

    def connect(timeout: float, codec: Codec) -> Link:
        return link

    return Party("ann", connect, JSON, Transcript(), waits)


def test_other_things_without_end() -> None:
    """A server that sends ever more of what nobody waits for is given up, however quickly it sends."""
    link = Source(ROSTER * 100, 2**-10)
    with pytest.raises(Stuck, match="without end"):
        party(link, Waits(1e9)).wait_for(Conversations)
    assert link.time < 0.2


def test_many_rosters() -> None:
    """A server may send a roster every few milliseconds, for as long as anybody waits."""
    link = Source(ROSTER, 2**-8)
    with pytest.raises(Stuck, match="did not come"):
        party(link, Waits(60.0)).wait_for(Conversations)
    assert link.time > 60.0


@pytest.mark.parametrize("data", [ROSTER, b'{"a":1}\n', b" "])
def test_too_late(data: bytes) -> None:
    """What comes long after the time does not count, even if something has come all the while."""
    link, waits = Source(data), Waits(5.0)
    with pytest.raises(Stuck, match="did not come"):
        party(link, waits).wait_for(Conversations)
    assert waits.expired == 5.0
    assert link.time == 11.0  # the time to wait, and as much again for what had come by then


def test_over() -> None:
    """No wait begins any more once nobody wants to know."""
    link, waits = Source(ROSTER), Waits(5.0)
    waits.over.set()
    with pytest.raises(Stuck):
        party(link, waits).wait_for(OnlineUsers)
    assert link.time == 0.0


def test_hear() -> None:
    """Rosters and lists are not counted among what is waited for by number, and what has come before is."""
    link = Source(ROSTER + b'{"type":"ERROR","message":"not-member: no"}\n')
    ann = party(link, Waits(5.0))
    ann.hear(2)
    assert link.time == 2.0
    ann.hear(1)
    assert link.time == 2.0
