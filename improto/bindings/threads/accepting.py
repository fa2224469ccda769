"""Accepts a server's connections, with a thread for each listening socket."""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from improto.bindings.sockets import Shortage

__all__ = ["Acceptor", "start"]

_Connected = Callable[[socket.socket, str, ssl.SSLContext | None], None]


class Acceptor:
    """All listening sockets of one server."""

    def __init__(self, connected: _Connected) -> None:
        """Have `connected` called with each connection, its host, and what the socket has for TLS."""
        self._connected = connected
        self._listeners: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._closing = False

    def add(self, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Accept from a listening socket."""
        self._listeners.append(listener)
        self._threads.append(start(partial(self._accept, listener, tls)))

    def close(self) -> None:
        """Stop.  Those that were accepted have begun then."""
        self._closing = True
        for listener in self._listeners:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        for thread in self._threads:
            thread.join()
        for listener in self._listeners:
            listener.close()

    def _accept(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        shortage = Shortage()
        while not self._closing:
            try:
                connection, peername = listener.accept()
            except OSError as error:
                if not self._closing:
                    time.sleep(shortage.pause(error, time.monotonic()))
                continue
            self._connected(connection, str(peername[0]) if peername else "local", tls)
            del connection, peername  # they are not to live until the next one comes


def start(work: Callable[[], None]) -> threading.Thread:
    """Run something in a thread that does not keep the program from ending."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
