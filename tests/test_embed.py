"""Tests of `improto_conformance.check_server`, the suite in one line."""

from functools import partial

import pytest

from improto.codec import available, load
from improto.server import Hub, Policy
from improto.service import Service
from improto_conformance import NotConformant, check_server
from improto_conformance.broken import BROKEN
from improto_conformance.profile import Profile
from improto_conformance.targets import NoTarget
from programs import Programs


def make(*, private: bool = False) -> Service:
    """Make the reference server."""
    return Service(Hub(Policy(private=private)), [load(name) for name in available()])


def test_conformant() -> None:
    """What is right gives its results."""
    assert {result.codec for result in check_server(make, Profile(["json", "ascii"]))} == {"json", "ascii"}


def test_private() -> None:
    """A server with the private policy is checked by the checks for it."""
    results = check_server(partial(make, private=True), Profile(["json"], private=True))
    assert any(result.check.clause == "JOIN-6" for result in results)


def test_not_conformant() -> None:
    """What is wrong is told of with the clause, what was expected and what happened."""
    broken = BROKEN["no-copy-for-the-sender"]
    with pytest.raises(NotConformant, match=r"(?s)SEND-3 .*violates .*SEND-3"):
        check_server(broken.copy().service, Profile(["json"]), timeout=2.0)


def test_running_server(programs: Programs) -> None:
    """A server that runs elsewhere is checked by its address, and one that is not there is told of."""
    _, url = programs.serve()
    assert check_server(url, Profile(["json"]))
    with pytest.raises(NoTarget):
        check_server("tcp://127.0.0.1:1")
