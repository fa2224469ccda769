"""What carries the bytes between the suite and a server: the one place that knows what a target is made of."""

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

__all__ = ["Connect", "Link", "SocketLink"]


class Link(Protocol):
    """The suite's end of one connection."""

    def send(self, data: bytes) -> None:
        """Send bytes; one that the server has closed takes them and loses them."""
        ...

    def receive(self, timeout: float) -> bytes:
        """Give what has come, empty at the end; TimeoutError if nothing comes in so many seconds."""
        ...

    def half_close(self) -> None:
        """Send no more, and go on receiving."""
        ...

    def reset(self) -> None:
        """Break the connection off."""
        ...

    def close(self) -> None:
        """Close; harmless if that was done."""
        ...


Connect = Callable[[float], Link]
"""Makes a link in at most so many seconds; OSError if that fails."""


class SocketLink:
    """A link over TCP."""

    def __init__(self, address: tuple[str, int], timeout: float) -> None:
        """Connect in at most `timeout` seconds, which a send may take too; OSError if that fails."""
        self._timeout = timeout
        self._socket = socket.create_connection(address, timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        """Send all of it."""
        with suppress(OSError):  # a server that has closed already is seen when reading
            self._socket.settimeout(self._timeout)
            self._socket.sendall(data)

    def receive(self, timeout: float) -> bytes:
        """Receive; a reset is an end, and what it may have destroyed is not asked for."""
        self._socket.settimeout(max(0.001, timeout))
        try:
            return self._socket.recv(64 * 1024)
        except TimeoutError:
            raise
        except OSError:
            return b""

    def half_close(self) -> None:
        """Shut down writing."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Have the system send a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        """Close."""
        self._socket.close()
