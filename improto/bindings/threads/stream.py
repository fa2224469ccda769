"""One connection that two threads share, plain or with TLS: one reads while the other writes."""

import math
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from improto.addresses import Address
from improto.bindings.sockets import NO_ROOM_YET, watch
from improto.client import Timeouts

__all__ = ["Stream", "open_stream"]

_T = TypeVar("_T")


class Stream:
    """A socket whose calls have time-outs of their own, in seconds; None waits for ever.

    OpenSSL takes one call at a time on a connection, so each call holds a lock.  The socket itself does not block: a
    thread waits for it without the lock, so that the other one can go on.
    """

    def __init__(self, connection: socket.socket, gap: float = 0.0) -> None:
        """Take over a socket, or an SSLSocket before its handshake; leave `gap` seconds between two calls of `sendall`."""
        connection.setblocking(False)
        self.socket = connection
        self._gap = gap
        self._gap_over = 0.0
        self.broken = False
        """Whether nothing goes out any more."""
        # Ctrl-C in an Event's methods, which are of Python, could leave that locked for ever; a lock of C is always released.
        self._lock = threading.RLock()
        self._breaks = threading.Condition(self._lock)
        self._over = False  # whether what arrives does not count any more

    def handshake(self, timeout: float) -> None:
        """Begin TLS, on an SSLSocket.  OSError if that fails, TimeoutError if it takes too long."""
        if isinstance(self.socket, ssl.SSLSocket):
            self._do(self.socket.do_handshake, select.POLLIN, timeout)

    def recv(self, size: int, timeout: float | None = None) -> bytes:
        """Wait for bytes and give them, b"" at the end.  TimeoutError if none come in time."""
        return self._do(partial(self._take, size), select.POLLIN, timeout)

    def sendall(self, data: bytes | memoryview, timeout: float | None = None) -> None:
        """Wait for the gap to be over, and write all.  TimeoutError if the peer then takes nothing for so long."""
        self.wait_for_gap()
        rest = memoryview(data)
        while rest:
            rest = rest[self._do(partial(self.socket.send, rest), select.POLLOUT, timeout) :]
        self._gap_over = time.monotonic() + self._gap

    def wait_for_gap(self, most: float = math.inf) -> bool:
        """Wait for the end of the gap or of the connection, at most `most` seconds; tell whether it came (LECTURE-2)."""
        if not self._gap:
            return True
        seconds = self._gap_over - time.monotonic()
        with self._lock:
            return self._breaks.wait_for(lambda: self.broken, min(seconds, most)) or seconds <= most

    def shut_down(self, how: int) -> None:
        """With SHUT_WR, say that nothing follows; with SHUT_RDWR, end the connection, which wakes both threads."""
        if how == socket.SHUT_WR and isinstance(self.socket, ssl.SSLSocket):
            with self._lock, suppress(OSError, ValueError):
                self._over = True
                self.socket.unwrap()  # does not wait for the peer to say so, too
        with suppress(OSError):  # the peer may be gone
            # SSLSocket's own method would turn it into a plain socket while the other thread uses it.
            socket.socket.shutdown(self.socket, how)
        if how == socket.SHUT_RDWR:
            with self._lock:
                self.broken = True  # only now, so that a write that was waiting for its gap fails
                self._breaks.notify_all()

    def _take(self, size: int) -> bytes:
        # After we have said that nothing follows, OpenSSL takes what still comes for an error; but it has to be read, since
        # to close at once could destroy our last message.
        return socket.socket.recv(self.socket, size) if self._over else self.socket.recv(size)

    def close(self) -> None:
        """Close the socket, when neither thread uses it any more."""
        with suppress(OSError):  # it is closed all the same
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


def _reach_unix(path: str, until: float) -> socket.socket:
    """Connect to a Unix socket.  OSError if that fails, TimeoutError if there is no room until then."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.setblocking(False)
        while True:
            try:
                connection.connect(path)
            except BlockingIOError:  # too many wait there to be accepted
                if time.monotonic() >= until:
                    raise TimeoutError from None
                time.sleep(NO_ROOM_YET)
            else:
                return connection
    except BaseException:  # Ctrl-C included
        connection.close()
        raise


def _reach(host: str, port: int, until: float) -> socket.socket:
    """Connect to the first address of a name at which somebody listens; all tries together have until then.

    So each has its share of that time, and one that does not answer does not keep the others from being tried.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure = OSError()
    for left, (family, _, _, _, place) in zip(range(len(found), 0, -1), found, strict=True):
        try:
            connection = socket.socket(family)  # of which the system may have none, as without IPv6
            try:
                connection.settimeout(max(0.001, (until - time.monotonic()) / left))
                connection.connect(place)
            except BaseException:
                connection.close()
                raise
        except OSError as error:
            failure = error
        else:
            return connection
    raise failure


def open_stream(address: Address, tls: ssl.SSLContext | None, timeouts: Timeouts, gap: float) -> Stream:
    """Connect.  OSError if that fails, TimeoutError if it takes longer than `Timeouts.connect`."""
    until = time.monotonic() + timeouts.connect
    if address.scheme == "unix":
        connection = _reach_unix(address.path, until)
    else:
        connection = _reach(address.host, address.port, until)
    try:
        watch(connection, timeouts.write)
        if tls is not None:
            connection = tls.wrap_socket(
                connection, server_hostname=address.host, do_handshake_on_connect=False
            )
        stream = Stream(connection, gap)
        stream.handshake(until - time.monotonic())
    except BaseException:
        connection.close()
        raise
    return stream
