"""What a gap is for: a client that takes one `recv` for one message loses messages without it, and none with it."""

import re
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import urlsplit

import pytest

from programs import DEADLINE, Programs
from runtimes import each_runtime
from test_peers import lecture
from test_threads_binding import serving

BURST = 20

Serving = Callable[[Programs, float], AbstractContextManager[tuple[str, Callable[[], object]]]]


@contextmanager
def asyncio_server(programs: Programs, gap: float) -> Generator[tuple[str, Callable[[], object]]]:
    """Run a server on asyncio, and give its URL and what ends it."""
    server, url = programs.serve("--gap", str(gap))
    yield url, lambda: server.process.send_signal(signal.SIGTERM)


@contextmanager
def threads_server(programs: Programs, gap: float) -> Generator[tuple[str, Callable[[], object]]]:
    """Run a server with threads, and give its URL and what ends it."""
    with serving(gap=gap) as (server, port):
        yield f"tcp://127.0.0.1:{port}", server.close


def burst(programs: Programs, python2: list[str], url: str, end: Callable[[], object]) -> list[str]:
    """Send a burst to the client written from the lecture, end the server, and give what messages it has shown."""
    py = lecture(programs, url, "py", python2)
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), DEADLINE) as bo:
        heard = bo.makefile("rb")

        def upto(command: bytes) -> bytes:
            return next(line for line in heard if line.startswith(command))

        bo.sendall(b"REGISTER bo x\nINVITE py\n")
        id = upto(b"INVITATION").split()[1].decode()
        # The client may be too confused by then to show an invitation or a list; what it sends is right.
        py.type(f"join {id}")
        members = b""
        while b"py" not in members:
            bo.sendall(b"LIST_CONVERSATIONS\n")
            members = upto(b"CONVERSATIONS")
        said = b"".join(f"SEND_MESSAGE {id} {number}\n".encode() for number in range(BURST))
        bo.sendall(f"JOIN {id}\n".encode() + said + b"LIST_CONVERSATIONS\n")
        upto(b"CONVERSATIONS")
        end()
        # The server's last word comes behind the burst; or the client does not read that far.
        py.expect(r"closed|Exception in thread .*")
    py.process.kill()
    shown = [re.fullmatch(rf"message {id} bo: (\d+)", line) for line in py.end(stdin=False)[1]]
    return [match[1] for match in shown if match]


@each_runtime
@pytest.mark.parametrize("server", [asyncio_server, threads_server])
@pytest.mark.parametrize("gap", [0.0, 0.15])
def test_burst(programs: Programs, python2: list[str], server: Serving, gap: float) -> None:
    """Of a burst, a program that takes one `recv` for one message shows all with a gap, and not all without (LECTURE-4)."""
    with server(programs, gap) as (url, end):
        shown = burst(programs, python2, url, end)
    everything = [str(number) for number in range(BURST)]
    assert (shown == everything) is bool(gap), shown
