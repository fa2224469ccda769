"""One connection for two threads, plain or behind TLS: one reads while the other writes."""

import math
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from improto.addresses import Address
from improto.bindings.sockets import watch
from improto.client import Timeouts

__all__ = ["Stream", "open_stream"]

_T = TypeVar("_T")


class Stream:
    """What is needed here of a socket, each call with a time-out of its own, in seconds; None waits for ever.

    OpenSSL takes one call at a time on a connection.  So the socket does not block, and what has to be waited for is
    waited for without the lock that each call holds.
    """

    def __init__(self, connection: socket.socket, gap: float = 0.0) -> None:
        """Take over a socket, or an SSLSocket with which no handshake was done; leave a gap before each `sendall`."""
        connection.setblocking(False)
        self.socket = connection
        self._gap = gap
        self._gap_over = 0.0
        self._broken = threading.Event()  # nothing goes out any more
        self._lock = threading.Lock()
        self._over = False  # nothing that comes is looked at

    def handshake(self, timeout: float) -> None:
        """Begin TLS, if it is to be spoken.  OSError, also TimeoutError, if that fails."""
        if isinstance(self.socket, ssl.SSLSocket):
            self._do(self.socket.do_handshake, select.POLLIN, timeout)

    def recv(self, size: int, timeout: float | None = None) -> bytes:
        """Wait for bytes, b"" at the end.  TimeoutError if there are none in time."""
        return self._do(partial(self._take, size), select.POLLIN, timeout)

    def sendall(self, data: bytes | memoryview, timeout: float | None = None) -> None:
        """Write all, after the gap.  TimeoutError if the peer takes nothing for so long after that."""
        self.wait_for_gap()
        rest = memoryview(data)
        while rest:
            rest = rest[self._do(partial(self.socket.send, rest), select.POLLOUT, timeout) :]
        self._gap_over = time.monotonic() + self._gap

    def wait_for_gap(self, most: float = math.inf) -> bool:
        """Wait for the end of the gap, or of the connection; tell whether it comes, in so many seconds at most (LECTURE-2)."""
        if not self._gap:
            return True
        seconds = self._gap_over - time.monotonic()
        return self._broken.wait(min(seconds, most)) or seconds <= most

    def shut_down(self, how: int) -> None:
        """Say that nothing follows, and that nothing that comes counts; or, with SHUT_RDWR, wake both threads with the end."""
        if how == socket.SHUT_WR and isinstance(self.socket, ssl.SSLSocket):
            with self._lock, suppress(OSError, ValueError):
                self._over = True
                self.socket.unwrap()  # says so, and does not wait for the peer's word
        with suppress(OSError):  # the peer may be gone
            # The method of SSLSocket would leave the other thread with a plain socket.
            socket.socket.shutdown(self.socket, how)
        if how == socket.SHUT_RDWR:
            self._broken.set()  # now: what waits for its gap fails to go out

    def _take(self, size: int) -> bytes:
        # Behind our last word what still comes is an error to OpenSSL, and closing at once could destroy that word.
        return socket.socket.recv(self.socket, size) if self._over else self.socket.recv(size)

    def close(self) -> None:
        """Close, when neither thread uses it any more."""
        self.socket.close()

    def _do(self, call: Callable[[], _T], wanted: int, timeout: float | None) -> _T:
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._lock:
                try:
                    return call()
                except BlockingIOError:
                    pass
                except ssl.SSLWantReadError:
                    wanted = select.POLLIN
                except ssl.SSLWantWriteError:
                    wanted = select.POLLOUT
            poll = select.poll()
            poll.register(self.socket, wanted)
            if not poll.poll(None if until is None else max(0.0, until - time.monotonic()) * 1000):
                raise TimeoutError


def _connected(address: Address, until: float) -> socket.socket:
    """Connect to the first place at an address where somebody listens; they have so much time all together."""
    places: list[tuple[int, Any]] = [(socket.AF_UNIX, address.path)]
    if address.scheme != "unix":
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        places = [(family, place) for family, _, _, _, place in found]
    failure = OSError()
    for family, place in places:
        connection = socket.socket(family)
        try:
            connection.settimeout(max(0.001, until - time.monotonic()))
            connection.connect(place)
        except OSError as error:
            connection.close()
            failure = error
        else:
            return connection
    raise failure


def open_stream(address: Address, tls: ssl.SSLContext | None, timeouts: Timeouts, gap: float) -> Stream:
    """Connect.  OSError if that fails, and TimeoutError if it takes longer."""
    until = time.monotonic() + timeouts.connect
    connection = _connected(address, until)
    try:
        if address.scheme != "unix":
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            watch(connection, timeouts.write)
        if tls is not None:
            connection = tls.wrap_socket(
                connection, server_hostname=address.host, do_handshake_on_connect=False
            )
        stream = Stream(connection, gap)
        stream.handshake(until - time.monotonic())
    except OSError:
        connection.close()
        raise
    return stream
