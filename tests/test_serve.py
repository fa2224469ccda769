"""Tests of `improto serve` as a program: what it prints, how it ends, what it logs."""

import signal
import socket
import subprocess

import pytest

from improto.cli.serve import cannot_listen
from programs import IMPROTO, Programs


def ask(port: int, data: bytes) -> bytes:
    """Send bytes, half-close, and read to the end."""
    with socket.create_connection(("127.0.0.1", port), 10.0) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_signals(programs: Programs, signum: signal.Signals) -> None:
    """SIGTERM and SIGINT end the server in order: everybody is told, and the exit code is 0."""
    server, url = programs.serve()
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 10.0) as connection:
        connection.sendall(b"REGISTER ann here\n")
        assert connection.recv(1000).startswith(b"ONLINE_USERS")
        server.process.send_signal(signum)
        rest = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b'ERROR "shutting-down: ' in rest
    code, lines = server.end(stdin=False)
    assert code == 0
    assert lines == [f"improto: listening on {url}"]


@pytest.mark.parametrize(("option", "shown"), [("-v", False), ("-vv", True)])
def test_log(programs: Programs, option: str, shown: bool) -> None:
    """-v logs commands and refusals, -vv also what messages hold, both escaped (CONN-30)."""
    server, url = programs.serve(option)
    answer = ask(int(url.rpartition(":")[2]), b'REGISTER ann "red \\u001b[31m"\nFROB\nGOODBYE\n')
    assert b"unknown-command" in answer
    server.process.send_signal(signal.SIGTERM)
    log = "\n".join(server.end(stdin=False)[1])
    for word in ("connected", "REGISTER", "unknown-command", "goodbye"):
        assert word in log
    assert ("red" in log) is shown
    assert "\x1b" not in log


def test_taken_port() -> None:
    """A port that is taken gives one clear line and exit code 3."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [IMPROTO, "serve", "--port", port], capture_output=True, text=True, timeout=30, check=False
        )
    assert done.returncode == 3
    assert done.stderr == (
        f"improto: cannot listen on 127.0.0.1:{port} (Address already in use); choose another --port\n"
    )


def test_host_without_address() -> None:
    """What the system says of a host that it does not know is told, too."""
    error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    assert cannot_listen("nowhere", 1, error) == "cannot listen on nowhere:1 (Name or service not known)"


def test_one_codec(programs: Programs) -> None:
    """With --codec only that codec is spoken."""
    _, url = programs.serve("--codec", "json")
    assert ask(int(url.rpartition(":")[2]), b"REGISTER ann x\n").startswith(
        b'{"type":"ERROR","message":"malformed: '
    )


def test_private(programs: Programs) -> None:
    """With --private, who was not invited cannot join."""
    _, url = programs.serve("--private")
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 10.0) as ann:
        ann.sendall(b"REGISTER ann x\n")
        ann.recv(1000)
        with socket.create_connection(("127.0.0.1", port), 10.0) as bo:
            bo.sendall(b"REGISTER bo x\n")
            bo.recv(1000)
            ann.sendall(b"INVITE bo\nLIST_CONVERSATIONS\n")
            received = b""
            while b"CONVERSATIONS" not in received:
                received += ann.recv(1000)
            answer = ask(port, b"REGISTER cy x\nJOIN 1\nLIST_CONVERSATIONS\n")
    assert b"not-invited" in answer
    assert answer.endswith(b"CONVERSATIONS\n")


def test_rate(programs: Programs) -> None:
    """With --rate, requests beyond the burst are refused (FLOW-11)."""
    _, url = programs.serve("--rate", "0.001", "--burst", "3")
    answer = ask(int(url.rpartition(":")[2]), b"REGISTER ann x\n" + b"LIST_CONVERSATIONS\n" * 5)
    assert answer.count(b"CONVERSATIONS") == 2
    assert answer.count(b"rate-limited") == 3
