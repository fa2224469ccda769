"""Tests of the probe: one clear line when there is no server, or none for this codec."""

import socket
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from os import getcwd
from pathlib import Path

import pytest
import trustme

from improto.codec import load
from improto.server import Hub, Policy
from improto.service import Peer, Service
from improto_conformance.servers.probe import probe
from improto_conformance.servers.targets import NoTarget, Target, in_process, opened, tcp
from programs import DEADLINE, Programs

ROSTERS_IN_WRONG_FORMS = [
    b'{"type":"ONLINE_USERS","users":[["ann",""]]}\n',
    b'{"type":"ONLINE_USERS","users":{"bo":""}}\n',
    b'{"type":"ONLINE_USERS"}\n',
    b'{"type":"ONLINE_USERS","users":{"ann":""}}',
    b'ONLINE_USERS ["ann"]\n',
    b'{"type":"INVITATION","conversation":"","source":""}\n',
]


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Generator[Target]:
    """Give a server that answers once, whatever is said to it, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield tcp("127.0.0.1", int(server.getsockname()[1]))
        finally:
            thread.join()


def says(data: bytes) -> Callable[[socket.socket], None]:
    """Give what hears something out, answers with bytes and waits for the end."""

    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(4096)

    return answer


def read_to_end(connection: socket.socket) -> None:
    """Say nothing at all."""
    while connection.recv(4096):
        pass


def fails(target: Target, codec: str, match: str, timeout: float = DEADLINE) -> None:
    """Expect that the probe says why there is no server."""
    with pytest.raises(NoTarget, match=match):
        probe(target, load(codec), "ann", timeout)


def test_server(programs: Programs) -> None:
    """A server is recognised, and its user is gone afterwards."""
    _, url = programs.serve()
    with opened(url) as target:
        for _ in range(2):
            for codec in ("ascii", "json", "msgpack", "pickle"):
                probe(target, load(codec), codec, DEADLINE)


@pytest.mark.parametrize("answer", ROSTERS_IN_WRONG_FORMS)
def test_wrong_forms(answer: bytes) -> None:
    """A server that answers in a wrong form is one: the checks are to say what is wrong."""
    with answering(says(answer)) as target:
        probe(target, load("json"), "ann", DEADLINE)


@pytest.mark.parametrize(
    ("answer", "codec", "match"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "json", "is an HTTP server; for WebSocket write ws://"),
        (b"220 mail.example ESMTP\r\n", "ascii", r"with 220 mail.example ESMTP\\r\\n, which is no message"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "json", "speaks TLS; write tls://"),
        (b"", "json", "closes the connection at a REGISTER in json without a word; .*--codec"),
        (b"ERROR malformed\\:\\ x\n", "json", "which is no message"),
        (
            b'ERROR "malformed: x"\n',
            "json",
            "speaks ascii and not json; name its codecs in a profile or with --codec",
        ),
        (b'{"type":"ERROR","message":"forbidden: \\u001bno"}\n', "json", r"registers nobody.*: \\x1bno"),
    ],
)
def test_strangers(answer: bytes, codec: str, match: str) -> None:
    """What is no server of this protocol, or for this codec, is told of by what it answers."""
    with answering(says(answer)) as target:
        fails(target, codec, match)


def test_silence() -> None:
    """Who says nothing is told of after the time-out."""
    with answering(read_to_end) as target:
        fails(target, "json", "says nothing to a REGISTER in json within 0.1 s", timeout=0.1)


def test_nobody() -> None:
    """Where nothing listens, that is what is said."""
    fails(tcp("127.0.0.1", 1), "json", r"cannot be reached \(Connection refused\); is it running")


def mistaken(url: str, match: str) -> None:
    """Expect that the probe says that an address is wrong."""
    with opened(url) as target:
        fails(target, "json", match)


def test_tls_by_mistake(programs: Programs, tmp_path: Path) -> None:
    """A port of TLS that is spoken to without is told of, and the other way round."""
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    plain, tls = programs.addresses("--tls-cert", str(tmp_path / "cert.pem"), "--tls-port", "0")
    mistaken(tls.replace("tls:", "tcp:"), "TLS")
    mistaken(plain.replace("tcp:", "tls:"), r"does not speak TLS .*; write tcp://")


def test_websocket_by_mistake(programs: Programs) -> None:
    """A port of WebSocket that is spoken to without is told of, and the other way round."""
    plain, websocket = programs.addresses("--websocket", "0")
    mistaken(websocket.replace("ws:", "tcp:"), "HTTP server; for WebSocket write ws://")
    mistaken(plain.replace("tcp:", "ws:"), "is no WebSocket for this")


def test_codec_that_is_not_spoken() -> None:
    """A server of another codec is told of by name, where it answers in that codec."""
    target = in_process(lambda: Service(Hub(), [load("json")]))
    fails(target, "ascii", "speaks json and not ascii")
    fails(target, "msgpack", "says nothing to a REGISTER in msgpack")


class Raising(Service):
    """A server that cannot even read."""

    def receive(self, peer: Peer, data: bytes) -> None:
        """Fail."""
        raise KeyError("x")


def boom() -> Service:
    """Give no server."""
    raise RuntimeError("boom")


def asking() -> Service:
    """Give a server that waits for ever for somebody to decide who may register."""
    return Service(Hub(Policy(ask=True)), [load("json")])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (asking, r"^asking\(\) returned a service with Policy\(ask=True\) that asks nobody, .*`on_ask`$"),
        (boom, r"^boom\(\) raised RuntimeError: boom$"),
        (getcwd, r"^getcwd\(\) returned a value of type str; let it return an improto\.service\.Service$"),
        (lambda: Raising(Hub(), [load("json")]), r"breaks off at a REGISTER .* raised KeyError\('x'\)$"),
    ],
)
def test_nothing_made(make: Callable[[], Service], words: str) -> None:
    """What is wrong with a function that was to give a server is told in its own terms, not in those of a network."""
    with pytest.raises(NoTarget, match=words):
        probe(in_process(make), load("json"), "ann", DEADLINE)


ENDING = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
server.accept()
if sys.argv[2] == "reads":
    server.accept()[0].recv(1)
print("I cannot go on", flush=True)
sys.exit(7)
"""


@pytest.mark.parametrize("when", ["listens", "reads"])
def test_program_that_has_ended(when: str, tmp_path: Path) -> None:
    """Of a program that ends as soon as it listens, or at the first bytes, the end is told, and its last words."""
    (tmp_path / "ending.py").write_text(ENDING)
    command = f"{sys.executable} {tmp_path / 'ending.py'} {{port}} {when}"
    with opened(f"cmd:{command}") as target, pytest.raises(NoTarget) as told:
        probe(target, load("json"), "ann", DEADLINE)
    assert str(told.value) == (
        f"{sys.executable!r} ended with exit code 7 after it had listened; its last words: I cannot go on"
    )
