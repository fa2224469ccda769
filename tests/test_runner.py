"""Tests of the runner: which checks it runs against a server, and in what order."""

import socket
from collections.abc import Callable
from functools import partial

import pytest

from improto.codec import Codec, load
from improto.limits import Limits
from improto.messages import Conversations, OnlineUsers
from improto.server import Hub
from improto.service import Service
from improto_conformance.connections.links import Link, SocketLink
from improto_conformance.profile import Profile
from improto_conformance.results import Verdict
from improto_conformance.servers.check import Check
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.runner import Settings, conduct, run
from improto_conformance.servers.stage import Stage
from improto_conformance.servers.targets import Target, in_process
from improto_conformance.transcripts.transcript import Transcript


def made(name: str = "REGISTER-2/one", stimulus: Callable[[Stage], None] = lambda stage: None) -> Check:
    """Make a check that nothing keeps from passing."""
    return Check(name, "REGISTER-2", "passes", stimulus, judgement=lambda seen: ())


def target() -> Target:
    """Give the reference in this process."""
    return in_process(lambda: Service(Hub(), [load("json"), load("ascii")]))


@pytest.mark.parametrize(
    ("wants", "times"),
    [
        ({}, 2),
        ({"codecs": ("json",)}, 1),
        ({"codecs": ("pickle",)}, 0),
        ({"needs": ("json", "pickle")}, 0),
        ({"policy": "private"}, 0),
        ({"defaults": True}, 0),
    ],
)
def test_what_applies(wants: dict[str, object], times: int) -> None:
    """A check runs once in each codec that is declared, unless what is declared makes it senseless."""
    check = made()
    for field, value in wants.items():
        setattr(check, field, value)
    assert (
        len(conduct(target(), [check], Settings(Profile(["ascii", "json"], limits=Limits(name=32))))) == times
    )


def test_alone() -> None:
    """Checks that have to be alone run before all others."""
    order: list[str] = []

    def note(name: str, stage: Stage) -> None:
        order.append(name)

    checks = [made(f"REGISTER-2/{name}", partial(note, name)) for name in "abcd"]
    checks[1].alone = checks[3].alone = True
    results = run(target(), checks, Settings(Profile(["json"]), jobs=1))
    assert order == ["b", "d", "a", "c"]
    assert [result.check.name[-1] for result in results] == order


def test_alone_with_the_clock() -> None:
    """No other check runs while a roster is to be repeated: what it changes would pass for a repetition."""
    [check] = [check for check in CHECKS if check.name == "PRESENCE-7/declared"]
    assert check.alone


def test_turns() -> None:
    """While one check waits for the other end, another one plays, and may even cause what is waited for."""
    mine, other = socket.socketpair()

    def connect(timeout: float, codec: Codec) -> Link:
        return SocketLink(mine, timeout)

    def waits(stage: Stage) -> None:
        stage.connect("ann").wait_for(OnlineUsers)

    def causes(stage: Stage) -> None:
        other.sendall(stage.codec.frame(stage.codec.encode(OnlineUsers({}))))

    checks = [made("REGISTER-2/waits", waits), made("REGISTER-2/causes", causes)]
    with mine, other:
        results = conduct(Target("a pair", lambda: connect), checks, Settings(Profile(["json"]), jobs=2))
    assert [result.expired for result in results] == [0.0, 0.0]


class Flood:
    """A link on which rosters come without end, and no time passes."""

    came = 0
    roster = load("json").frame(load("json").encode(OnlineUsers({"ann": "x" * 2**20})))

    def now(self) -> float:
        """Give the time."""
        return 0.0

    def send(self, data: bytes) -> None:
        """Take nothing."""

    def receive(self, timeout: float) -> bytes:
        """Give one more."""
        self.came += len(self.roster)
        return self.roster

    def half_close(self) -> None:
        """Do nothing."""

    def reset(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def test_flooded() -> None:
    """Of what a server sends without end only the beginning is kept, and later checks do not read as much of it."""
    links: list[Flood] = []

    def connect(timeout: float, codec: Codec) -> Link:
        links.append(Flood())
        return links[-1]

    def stimulus(stage: Stage) -> None:
        stage.connect("ann").wait_for(Conversations)

    checks = [made(f"REGISTER-2/{number}", stimulus) for number in range(2)]
    results = conduct(Target("a flood", lambda: connect), checks, Settings(Profile(["json"]), jobs=1))
    assert [result.verdict for result in results] == [Verdict.FAILED] * 2
    assert [link.came // 2**20 for link in links] == [64, 8]
    assert all(sum(len(each.data) for each in result.transcript.entries) <= 2**18 for result in results)


def test_same_nonsense() -> None:
    """However often a server sends the same nonsense, each complaint about it is made once."""
    mine, other = socket.socketpair()

    def connect(timeout: float, codec: Codec) -> Link:
        return SocketLink(mine, timeout)

    def stimulus(stage: Stage) -> None:
        ann = stage.connect("ann")
        other.sendall(b"{}\n" * 100 + stage.codec.frame(stage.codec.encode(OnlineUsers({}))))
        ann.wait_for(OnlineUsers)

    with mine, other:
        settings = Settings(Profile(["json"]), jobs=1)
        [result] = conduct(
            Target("a pair", lambda: connect), [made("REGISTER-2/nonsense", stimulus)], settings
        )
    assert result.complaints
    assert len(set(result.complaints)) == len(result.complaints)


def test_judgements_of_nothing() -> None:
    """Whatever did not come is a complaint or none, and never breaks a check: here nothing came at all."""
    for check in CHECKS:
        assert all(isinstance(complaint, str) for complaint in check.judgement(Transcript())), check.name
