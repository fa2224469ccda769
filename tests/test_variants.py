"""Tests of what servers that are right in another way do otherwise; that they pass is shown by the zoo."""

import pytest

from improto.codec import load
from improto_conformance.judging.alike import differences
from improto_conformance.profile import Profile
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.party import Waits
from improto_conformance.servers.runner import Settings, conduct
from improto_conformance.servers.stage import Stage
from improto_conformance.zoo.variants import VARIANTS


def entered(name: str) -> Stage:
    """Have a user register and leave, and give the stage."""
    stage = Stage(VARIANTS[name].target.begin(), load("json"), "", Waits(5.0))
    [ann] = stage.enter("ann")
    ann.barrier()
    return stage


def test_late() -> None:
    """Where replies are late, the server's time passes before each, and nowhere else."""
    assert entered("late-replies").transcript.entries[-1].time == pytest.approx(0.06)
    assert entered("reference").transcript.entries[-1].time == 0.0


def test_in_pieces() -> None:
    """Where the last bytes come one by one, each is received alone, and none is lost."""
    link = VARIANTS["byte-by-byte"].target.begin()(5.0, load("json"))
    link.send(b'{"type":"REGISTER","username":"ann","status":"here, and for long"}\n')
    first, *others = (link.receive(5.0) for _ in range(41))
    assert (first + b"".join(others)).endswith(b'"users":{"ann":"here, and for long"}}\n')
    assert {len(piece) for piece in others} == {1}


def test_crowd() -> None:
    """In a crowd a newcomer sees hundreds of users and conversations."""
    [roster] = entered("a-crowd").transcript.rosters("ann")
    assert len(roster.users) == 201


def test_crossing_requests() -> None:
    """Requests of several connections take effect in any order, and no check takes one of them for granted (ORDER-1)."""
    own, others = (
        conduct(VARIANTS[f"{who}-requests-first"].target, CHECKS, Settings(Profile(["json"])))
        for who in ("own", "others")
    )
    assert [f"{one.check.name}: {one.complaints}" for one in own + others if one.complaints] == []
    assert differences(own, others) == {}
