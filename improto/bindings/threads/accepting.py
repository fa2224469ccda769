"""Accepts a server's connections, with a thread for each listening socket."""

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from functools import partial

from improto.bindings.sockets import Shortage
from improto.errors import UsageError

__all__ = ["Acceptor", "start"]

_Connected = Callable[[socket.socket, str, ssl.SSLContext | None], None]


class Acceptor:
    """All listening sockets of one server."""

    def __init__(self, connected: _Connected) -> None:
        """Have `connected` called with each connection, its host, and what the socket has for TLS."""
        self._connected = connected
        self._ends: list[socket.socket] = []  # each wakes one thread when it is closed
        self._threads: list[threading.Thread] = []
        self._closing = False

    def check(self) -> None:
        """UsageError if it was closed: nobody would be accepted any more."""
        if self._closing:
            raise UsageError("the server was closed and listens no more; make another one")

    def add(self, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Accept from a listening socket."""
        # To shut down a socket that listens wakes nobody on macOS.
        woken, end = socket.socketpair()
        self._ends.append(end)
        self._threads.append(start(partial(self._accept, listener, woken, tls)))

    def close(self) -> None:
        """Stop.  Those that were accepted have begun then."""
        self._closing = True
        for end in self._ends:
            end.close()
        for thread in self._threads:
            thread.join()

    def _accept(self, listener: socket.socket, woken: socket.socket, tls: ssl.SSLContext | None) -> None:
        shortage = Shortage()
        listener.setblocking(False)  # who seemed to be there may have gone
        poll = select.poll()
        with listener, woken:
            poll.register(listener, select.POLLIN)
            poll.register(woken, select.POLLIN)
            while True:
                poll.poll()
                if self._closing:
                    return
                try:
                    connection, peername = listener.accept()
                except OSError as error:
                    time.sleep(shortage.pause(error, time.monotonic()))
                    continue
                self._connected(connection, str(peername[0]) if peername else "local", tls)
                del connection, peername  # they are not to live until the next one comes


def start(work: Callable[[], None]) -> threading.Thread:
    """Run something in a thread that does not keep the program from ending."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
