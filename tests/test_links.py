"""Tests of the links: how what the suite sends is cut into writes."""

import socket

import pytest

from improto.bindings.memory import Server
from improto.codec import Codec, load
from improto.server import Hub
from improto.service import Peer, Service
from improto_conformance.connections.links import CUTS, Link, SocketLink, cutting
from improto_conformance.profile import Profile
from improto_conformance.results import Verdict
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.runner import Settings, run
from improto_conformance.servers.targets import in_process

DATA = bytes(range(256)) * 2


class Noting(Service):
    """Notes what arrives, read by read."""

    def __init__(self) -> None:
        """Serve json."""
        super().__init__(Hub(), [load("json")])
        self.reads: list[bytes] = []

    def receive(self, peer: Peer, data: bytes) -> None:
        """Note it, and do nothing."""
        self.reads.append(data)


class Listening(Service):
    """Notes how much arrives with each read, and serves json."""

    reads: list[int]

    def receive(self, peer: Peer, data: bytes) -> None:
        """Note it."""
        self.reads.append(len(data))
        super().receive(peer, data)


class Forgetful(Service):
    """Loses the first bytes of a message if the read in which they came ended another one."""

    def receive(self, peer: Peer, data: bytes) -> None:
        """Receive what does not hang over."""
        end = data.rfind(b"\n") + 1
        super().receive(peer, data[:end] if end and len(data) - end < 9 else data)


def reads(cut: str, seed: str, *sent: bytes) -> list[bytes]:
    """Send in one of the ways, receive, and give what the server has read each time."""
    service = Noting()
    server = Server(service, prompt=True)

    def connect(timeout: float, codec: Codec) -> Link:
        return server.connect()

    link = cutting(connect, cut, seed)(1.0, load("ascii"))
    for data in sent:
        link.send(data)
    with pytest.raises(TimeoutError):
        link.receive(0.0)
    return service.reads


@pytest.mark.parametrize("cut", CUTS)
def test_all_arrives(cut: str) -> None:
    """All that is sent arrives once and in order, however it is cut."""
    assert b"".join(reads(cut, "x", DATA, b"", b"a", DATA)) == DATA + b"a" + DATA


def test_sampled() -> None:
    """Places are a matter of chance that the seed decides, and do not heed where a write ends."""
    runs = [reads("sampled", seed, DATA, DATA) for seed in "abcdefgh"]
    assert runs == [reads("sampled", seed, DATA, DATA) for seed in "abcdefgh"]
    assert len({tuple(map(len, run)) for run in runs}) > 4
    assert any(len(run) > 1 for run in runs)
    assert not any(DATA in run for run in runs)


def test_seed_of_a_run() -> None:
    """The seed of a run decides where each of its checks cuts, and the same one cuts there again."""

    def lengths(seed: int) -> list[int]:
        Listening.reads = []
        target = in_process(lambda: Listening(Hub(), [load("json")]))
        checks = [check for check in CHECKS if check.clause == "JOIN-3"]
        results = run(target, checks, Settings(Profile(["json"]), cuts=["sampled"], seed=seed))
        assert {result.verdict for result in results} == {Verdict.PASSED}
        return Listening.reads

    assert lengths(1) == lengths(1) != lengths(2)


def test_only_an_odd_cut_finds_it() -> None:
    """A server that fails only for pieces with the end of one message and the beginning of another is found."""
    checks = [check for check in CHECKS if check.clause.startswith(("LEAVE", "INVITE", "STATUS"))]

    def failed(cut: str) -> int:
        target = in_process(lambda: Forgetful(Hub(), [load("json")]))
        results = run(target, checks, Settings(Profile(["json"]), cuts=[cut], timeout=2.0))
        return sum(result.verdict is Verdict.FAILED for result in results)

    assert [failed(cut) for cut in ("whole", "bytes", "coalesced")] == [0, 0, 0]
    assert failed("sampled")


def test_nothing_follows_a_part() -> None:
    """Where the other end did not read in time, nothing is sent after the part of a message that it got."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        link = SocketLink(ours, 0.05)
        link.send(b"x" * 4_000_000)
        read = theirs.recv(4_000_000)
        link.send(b"y")
        link.half_close()
        while data := theirs.recv(4_000_000):
            read += data
    assert set(read) == set(b"x")
