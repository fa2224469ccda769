"""Tests of what is said of a server that resets connections, which may destroy what it has sent before."""

import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from improto.messages import Error, Status
from improto_conformance.profile import Profile
from improto_conformance.results import Result, Verdict
from improto_conformance.servers.check import Check
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.runner import Settings, conduct
from improto_conformance.servers.stage import Stage
from improto_conformance.servers.targets import Target, tcp


def answer(connection: socket.socket) -> None:
    """Register one user, and reset the connection at whatever else comes."""
    with connection, suppress(ValueError, OSError):
        user = json.loads(connection.recv(4096))
        roster = {"type": "ONLINE_USERS", "users": {user["username"]: user["status"]}}
        connection.sendall(json.dumps(roster).encode() + b"\n")
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.fixture
def target() -> Iterator[Target]:
    """Give such a server."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    answer(server.accept()[0])

        thread = threading.Thread(target=serve)
        thread.start()
        yield tcp("127.0.0.1", int(server.getsockname()[1]))
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def result_of(target: Target, check: Check | str) -> Result:
    """Run a check."""
    checks = [each for each in CHECKS if each.name == check] if isinstance(check, str) else [check]
    [result] = conduct(target, checks, Settings(Profile(["json"])))
    return result


def test_what_cannot_go_on(target: Target) -> None:
    """A check that waits for an ERROR that a reset may have destroyed says nothing of the server, and why."""

    def stimulus(stage: Stage) -> None:
        [ann] = stage.enter("ann")
        ann.send(Status("x" * 70_000))
        ann.wait_for(Error)

    result = result_of(target, Check("LIMIT-2/x", "LIMIT-2", "", stimulus))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "the server reset the connection, which may have destroyed it" in result.complaints[0]


def test_what_may_be_lost(target: Target) -> None:
    """An ERROR that a reset may have destroyed is not demanded; that the connection has ended counts."""
    assert result_of(target, "CONN-24/too-large").complaints == ()


def test_what_has_to_stay_open(target: Target) -> None:
    """A reset where the connection has to stay open is a failure all the same."""
    assert result_of(target, "ERROR-7/goes-on").verdict is Verdict.FAILED


def test_what_has_to_arrive(target: Target) -> None:
    """The clause that a last ERROR has to arrive demands just that."""
    name = "CONN-22/scenario/conn/error-arrives-though-still-sending"
    assert result_of(target, name).verdict is Verdict.FAILED
