"""Tests of `examples/trio_server.py`: a binding as somebody else would write it."""

import signal
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from improto_conformance.profile import Profile
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.runner import Settings, run
from improto_conformance.servers.targets import opened
from programs import DEADLINE, Programs

PROGRAM = Path(__file__).parent.parent / "examples" / "trio_server.py"

pytestmark = pytest.mark.skipif(find_spec("trio") is None, reason="trio is not installed")


@pytest.mark.parametrize("codec", ["json", "msgpack"])
def test_all_checks(codec: str) -> None:
    """All checks pass, in lines and in binary frames, with nothing waited for in vain."""
    with opened(f"cmd:{sys.executable} {PROGRAM} {{port}}") as target:
        results = run(target, CHECKS, Settings(Profile([codec]), jobs=6))
    assert len(results) > 200
    assert {result.check.name: result.complaints for result in results if result.complaints} == {}
    assert not any(result.expired for result in results)


def timer(port: int) -> str:
    """Give the kind of timer that runs for the connection that was accepted on a port; see proc_net_tcp.txt of Linux."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, _, timers, *_ = line.split()
        if local.endswith(f":{port:04X}") and state == "01":
            return timers.partition(":")[0]
    raise AssertionError("there is no such connection")


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the system does not tell its timers")
def test_vanished_host(programs: Programs) -> None:
    """The system is asked to find out if a silent peer's host has vanished (CONN-28)."""
    server = programs.run(sys.executable, PROGRAM, "0")
    port = int(server.expect(r"listening on tcp://127\.0\.0\.1:(\d+)")[1])
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as ann:
        ann.sendall(b"REGISTER ann x\n")
        assert ann.recv(1000).startswith(b"ONLINE_USERS")
        assert timer(port) == "02"  # which keeps alive


def test_port_in_use(programs: Programs) -> None:
    """Where somebody else listens, it says so, and the exit code is 1."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = programs.run(sys.executable, PROGRAM, f"{port}")
        code, lines = server.end(stdin=False)
    assert (code, lines) == (1, [f"cannot listen on tcp://127.0.0.1:{port} (Address already in use)"])


@pytest.mark.parametrize("port", ["http", "65536", "-1", ""])
def test_no_port(programs: Programs, port: str) -> None:
    """What is no port gives the usage, and the exit code is 1."""
    code, lines = programs.run(sys.executable, PROGRAM, port).end(stdin=False)
    assert (code, lines) == (1, [f"usage: {PROGRAM} PORT, where the port is a number from 0 to 65535"])


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_drain(programs: Programs, signum: signal.Signals) -> None:
    """SIGTERM and Ctrl-C end it in order: everybody is told, and the exit code is 0 (ERROR-9)."""
    server = programs.run(sys.executable, PROGRAM, "0")
    port = int(server.expect(r"listening on tcp://127\.0\.0\.1:(\d+)")[1])
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as ann:
        ann.sendall(b"REGISTER ann x\n")
        assert ann.recv(1000).startswith(b"ONLINE_USERS")
        server.process.send_signal(signum)
        assert b"shutting-down" in b"".join(iter(lambda: ann.recv(1000), b""))
    assert server.end(stdin=False)[0] == 0
