"""Tests of checks over WebSocket, against relays that are right, and wrong in one way."""

from collections.abc import Iterator

import pytest

from improto.codec import load
from improto_conformance.checks import CHECKS
from improto_conformance.profile import Profile
from improto_conformance.results import Verdict
from improto_conformance.runner import Settings, run
from improto_conformance.targets import opened
from improto_conformance.websocket import subprotocol
from relays import FAULTS, Relays, relays

OWN = [check for check in CHECKS if check.transport == "websocket"]


@pytest.fixture(scope="module")
def server() -> Iterator[Relays]:
    """Give the reference."""
    with relays() as started:
        yield started


def test_checks(server: Relays) -> None:
    """All checks that fit pass over WebSocket, in json."""
    with opened(f"ws://127.0.0.1:{server.websocket()}/chat") as target:
        results = run(target, CHECKS, Settings(Profile(["json"]), jobs=16))
    assert {result.check.name: result.complaints for result in results if result.complaints} == {}
    assert {check.name for check in OWN} <= {result.check.name for result in results}
    assert not any(result.expired for result in results)


def test_own_checks_in_other_codecs(server: Relays) -> None:
    """The checks of WebSocket itself pass in ascii and msgpack too."""
    with opened(f"ws://127.0.0.1:{server.websocket()}") as target:
        results = run(target, OWN, Settings(Profile(["ascii", "msgpack"])))
    assert {result.check.name: result.complaints for result in results if result.complaints} == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults(server: Relays, fault: str) -> None:
    """A server that does WebSocket wrongly fails a check of the clause that it violates."""
    checks = [check for check in OWN if check.clause == FAULTS[fault]]
    with opened(f"ws://127.0.0.1:{server.websocket(fault)}") as target:
        results = run(target, checks, Settings(Profile(["json"]), timeout=0.5))
    assert Verdict.FAILED in {result.verdict for result in results}
    assert Verdict.BROKEN not in {result.verdict for result in results}


def test_subprotocol() -> None:
    """The subprotocol names version and codec (WS-3)."""
    assert subprotocol(load("msgpack")) == "improto.v1.msgpack"
