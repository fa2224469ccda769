"""Tests of checks over WebSocket, against servers that are wrong in one way."""

import asyncio

import pytest

from faulty_websocket import FAULTS, faulty
from improto.codec import load
from improto_conformance.connections.websocket import subprotocol
from improto_conformance.profile import Profile
from improto_conformance.results import Result, Verdict
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.runner import Settings, run
from improto_conformance.servers.targets import opened

OWN = [check for check in CHECKS if check.transport == "websocket"]


def found(fault: str, clause: str) -> list[Result]:
    """Run the checks of a clause, or of all of WebSocket's own, against a server with a fault."""
    checks = [check for check in OWN if clause in ("", check.clause)]

    async def serve() -> list[Result]:
        async with faulty(fault) as port:
            with opened(f"ws://127.0.0.1:{port}") as target:
                settings = Settings(Profile(["json"]), timeout=0.5)
                return await asyncio.to_thread(run, target, checks, settings)

    return asyncio.run(serve())


@pytest.mark.parametrize("fault", FAULTS)
def test_faults(fault: str) -> None:
    """A server that does WebSocket wrongly fails a check of the clause that it violates."""
    verdicts = {result.verdict for result in found(fault, FAULTS[fault])}
    assert Verdict.FAILED in verdicts
    assert Verdict.BROKEN not in verdicts


def test_no_fault() -> None:
    """The same server without a fault passes: what is found is the fault."""
    assert {result.check.name: result.complaints for result in found("", "") if result.complaints} == {}


def test_subprotocol() -> None:
    """The subprotocol names version and codec (WS-3)."""
    assert subprotocol(load("msgpack")) == "improto.v1.msgpack"
