"""Accepts the connections of a server, with a thread for each listening socket."""

import select
import socket
import threading
import time
from collections.abc import Callable
from functools import partial

from improto.bindings.sockets import ServerTLS, Shortage, host_of
from improto.errors import UsageError

__all__ = ["Acceptor", "start"]

_Connected = Callable[[socket.socket, str, ServerTLS | None], None]


class Acceptor:
    """All listening sockets of one server."""

    def __init__(self, connected: _Connected) -> None:
        """Have `connected` called with each connection, the peer's host, and the `tls` of the listening socket."""
        self._connected = connected
        self._ends: list[socket.socket] = []  # closing one wakes its thread
        self._threads: list[threading.Thread] = []
        self._closing = False

    def check(self) -> None:
        """UsageError if this was closed, since nobody would be accepted any more."""
        if self._closing:
            raise UsageError("the server was closed and listens no more; make another one")

    def add(self, listener: socket.socket, tls: ServerTLS | None = None) -> None:
        """Accept from a listening socket."""
        # A pair of sockets wakes the thread; on macOS, shutting down the listening one would not.
        woken, end = socket.socketpair()
        self._ends.append(end)
        self._threads.append(start(partial(self._accept, listener, woken, tls)))

    def close(self) -> None:
        """Stop.  `connected` was called then with all that were accepted."""
        self._closing = True
        for end in self._ends:
            end.close()
        for thread in self._threads:
            thread.join()

    def _accept(self, listener: socket.socket, woken: socket.socket, tls: ServerTLS | None) -> None:
        shortage = Shortage()
        listener.setblocking(False)  # a connection may be gone before it is accepted
        poll = select.poll()
        with listener, woken:
            poll.register(listener, select.POLLIN)
            poll.register(woken, select.POLLIN)
            while True:
                try:
                    poll.poll()
                    if self._closing:
                        return
                    connection, peername = listener.accept()
                except BlockingIOError:
                    continue
                except OSError as error:
                    time.sleep(shortage.pause(error, time.monotonic()))
                    continue
                self._connected(connection, host_of(peername) if peername else "local", tls)
                del connection, peername  # else they would live until the next connection comes


def start(work: Callable[[], None]) -> threading.Thread:
    """Start a thread that does not keep the program from ending.  OSError if the system gives no more threads."""
    thread = threading.Thread(target=work, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise OSError(str(error)) from error
    return thread
