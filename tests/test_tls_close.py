"""Tests of how servers end a connection behind TLS: the client sees the end at once, and the last message always."""

import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from ground import Binding, grounded
from programs import DEADLINE

SECURE = [Binding("asyncio", "tls"), Binding("threads", "tls")]
REGISTER = b'{"type":"REGISTER","username":"ann","status":""}\n'
FATAL = b"x" * 100_000  # a line that is too long: what follows is not looked at


@contextmanager
def peer(binding: Binding) -> Generator[ssl.SSLSocket]:
    """Connect to a server that lingers for longer than any test."""
    with grounded(binding, {"bounds": {"linger": 600.0, "register": 600.0, "write": 600.0}}) as ground:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
        with made.wrap_socket(ground.plain(), suppress_ragged_eofs=False) as secure:
            yield secure


def rest(secure: ssl.SSLSocket) -> bytes:
    """Read to the end, which has to be said in order; a reset or a cut is an error."""
    return b"".join(iter(lambda: secure.recv(65536), b""))


@pytest.mark.parametrize("binding", SECURE, ids=str)
@pytest.mark.parametrize(
    "data", [REGISTER + FATAL, b"REDDISH\n", REGISTER + b'{"type":"GOODBYE"}\n'], ids=len
)
def test_end_is_seen_at_once(binding: Binding, data: bytes) -> None:
    """A client that only reads after what ends its connection sees the end without waiting for the linger."""
    with peer(binding) as secure:
        secure.sendall(data)
        assert rest(secure)


@pytest.mark.parametrize("binding", SECURE, ids=str)
def test_last_message_survives_what_is_still_sent(binding: Binding) -> None:
    """A client that goes on to send, and reads only then, has the last message all the same (CONN-22)."""
    with peer(binding) as secure:
        secure.sendall(REGISTER + FATAL)
        secure.recv(1)
        for _ in range(200):
            secure.sendall(FATAL)
        assert b"too-large" in rest(secure)


@pytest.mark.parametrize("binding", SECURE, ids=str)
def test_last_message_behind_much(binding: Binding) -> None:
    """A client that reads slowly has all that came before the last message, and that."""
    lists = 20_000
    with peer(binding) as secure:
        secure.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        secure.settimeout(DEADLINE)
        secure.sendall(REGISTER)
        secure.sendall(b'{"type":"LIST_CONVERSATIONS"}\n' * lists + FATAL)
        received = rest(secure)
        assert received.count(b'"CONVERSATIONS"') == lists
        assert b"too-large" in received
