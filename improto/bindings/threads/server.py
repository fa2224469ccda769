"""A server with threads: TCP, TLS, Unix sockets.

One thread accepts for each listening socket, two read and write for each connection, and one does the work,
`Links.turn`; the others wake it when they have told the links what happened.  So a client that does not read blocks the
thread that writes to it, and nobody else.
"""

import os
import socket
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from improto.addresses import subnet
from improto.bindings.sockets import (
    UNDECIDED,
    ServerTLS,
    ask_first,
    certified_name,
    check_place,
    check_tls,
    context_now,
    credentials,
    file_id,
    place,
    remove_socket,
    tcp_listeners,
    unix_listener,
    usable,
    watch,
)
from improto.bindings.threads.accepting import Acceptor, start
from improto.bindings.threads.stream import Stream
from improto.links import Link, Links, Phase
from improto.messages import Register
from improto.service import Peer, Service

__all__ = ["Admit", "Server"]

Admit = Callable[[Peer, Register], str | None]
"""Decides about a REGISTER: gives None to admit the user, or the reason of a refusal.

It is called in a thread of its own and may block, up to `Bounds.register`.  Nothing can end it if it takes longer, so
there are at most as many decisions at a time as there may be connections, in all and from one address; other users are
refused meanwhile.
"""


class Server:
    """Runs one `Service` on any number of listening sockets."""

    def __init__(
        self,
        service: Service,
        *,
        connections: int = 1_000,
        per_address: int = 1_000,
        gap: float = 0.0,
        admit: Admit | None = None,
    ) -> None:
        """Serve, with two threads for each connection; for `connections`, `per_address` and `gap` see `improto.links.Links`.

        `admit` decides about each REGISTER; it goes with `Policy(ask=True)` of the hub, and it is a UsageError to give
        one without the other.  If it raises, the user is refused, and `threading.excepthook` is told.

        Hold `lock` whenever you use `service` or its hub yourself, and call `wake` if you have changed something.
        """
        self.service = service
        self.links = Links(service, connections=connections, per_address=per_address, gap=gap)
        self.lock = threading.RLock()
        self._work = threading.Condition(self.lock)
        self._awake = False
        self._placing = threading.RLock()  # one thread may close while another one has it listen
        self._acceptor = Acceptor(self._connected)
        self._paths: dict[str, tuple[int, int]] = {}  # of Unix sockets, each with the id of its file
        # How many decisions are being made about each address, as `subnet` counts; some of those peers may have gone.
        self._deciding: Counter[str] = Counter()
        ask_first(service, None if admit is None else partial(self._ask, admit))
        self._thread = start(self._turns)

    def listen(self, host: str, port: int, *, tls: ServerTLS | None = None) -> tuple[str, int]:
        """Listen on TCP, with TLS if `tls` is given, and give the address and port; a `port` of 0 takes a free one.

        If `host` is a name, that is all of its addresses that this host has, on the same port, and the first one is
        given; with `::`, that is all addresses of IPv6 and IPv4, and with `0.0.0.0`, all of IPv4.  If `tls` demands
        certificates of its peers, each can register only under the common name in its own.  `tls` may also be a function
        that gives the context for each new connection.

        OSError if nothing can listen there, UsageError after `close`, or if `host`, `port` or `tls` can be none.
        """
        check_place(host, port)
        check_tls(tls)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        with self._placing:
            self._acceptor.check()
            listeners = tcp_listeners(found, port)
            for listener in listeners:
                self._acceptor.add(listener, tls)
            return place(listeners[0])

    def listen_unix(self, path: str | os.PathLike[str]) -> None:
        """Listen on a Unix socket, which `close` removes.  Who may connect depends on the file's mode.

        OSError if nothing can listen there, UsageError after `close`, or if `path` is none.
        """
        with self._placing:
            self._acceptor.check()
            path = os.fspath(path)
            self._acceptor.add(unix_listener(path))
            self._paths[path] = file_id(path)

    def kick(self, username: str, reason: str) -> None:
        """Put a user out, with an ERROR that gives the reason (ERROR-10).

        UsageError if nobody has that name, InvalidMessage if no message can hold the reason; nothing is changed then.
        """
        with self.lock:
            self.service.kick(username, reason, self.now())
            self.wake()

    def close(self) -> None:
        """Stop listening, tell everybody that the server goes down (ERROR-9), and wait until all connections are closed."""
        with self._placing:
            self._acceptor.close()
            while self._paths:  # each once, since the next server's socket may have the same id
                remove_socket(*self._paths.popitem())
        try:
            with self.lock:
                self.wake()
                self.links.shut_down(self.now())
        finally:  # also if the observer raises
            self._thread.join()

    def now(self) -> float:
        """Give the time, in seconds."""
        return time.monotonic()

    def wake(self) -> None:
        """Have a turn of the service soon.  Hold `lock` when you call this."""
        self._awake = True
        self._work.notify()

    def _ask(self, admit: Admit, peer: Peer, request: Register) -> None:
        deciding, links, counted = self._deciding, self.links, subnet(peer.address)
        if deciding.total() < links.connections and deciding[counted] < links.per_address:
            with suppress(OSError):  # if the system gives no more threads
                start(partial(self._decide, admit, peer, request, counted))
                deciding[counted] += 1
                return
        self.service.decide(peer, UNDECIDED, self.now())

    def _decide(self, admit: Admit, peer: Peer, request: Register, counted: str) -> None:
        refusal: str | None = UNDECIDED
        try:
            refusal = usable(admit(peer, request))
        finally:
            with self.lock:
                self._deciding[counted] -= 1
                if not self._deciding[counted]:
                    del self._deciding[counted]
                self.service.decide(peer, refusal, self.now())
                self.wake()

    def _turns(self) -> None:
        while True:
            with self.lock:
                due = self.links.due
                if not self._awake and (due is None or due > self.now()):
                    self._work.wait(None if due is None else due - self.now())
                self._awake = False
                try:
                    self.links.turn(self.now())
                except Exception:  # of a codec or the observer; without this thread nobody would be served
                    with suppress(Exception):  # which writes where there may be no room
                        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), self._thread)))
                if self.links.closing and not self.links:
                    return

    def _connected(self, connection: socket.socket, address: str, tls: ServerTLS | None) -> None:
        try:
            watch(connection, self.service.bounds.write)
            if tls is not None:
                connection = context_now(tls).wrap_socket(
                    connection, server_side=True, do_handshake_on_connect=False
                )
            stream = Stream(connection)
            seen = credentials(connection)
        except OSError:  # the peer has gone already
            connection.close()
            return
        link = _Link(self, stream)
        with self.lock:
            link.opened(self.now(), f"uid {seen.uid}" if seen else address)
            link.peer.credentials = seen
            self.wake()
        try:
            start(link.run)
        except OSError:  # the system gives no more threads: this peer is not served, and others go on
            link.end()


class _Link(Link):
    """One accepted connection, with two threads."""

    def __init__(self, server: Server, stream: Stream) -> None:
        super().__init__(server.links)
        self._server = server
        self._stream = stream
        self._changed = threading.Condition(server.lock)
        self._outgoing: bytes | memoryview | None = None  # what is written now
        self._shut = False

    def run(self) -> None:
        """Serve the connection up to its end."""
        writer: threading.Thread | None = None
        try:
            with suppress(OSError):  # it broke, or the system gives no more threads
                self._stream.handshake(self._server.service.bounds.register)  # CONN-17
                connection = self._stream.socket
                if isinstance(connection, ssl.SSLSocket):
                    # The lock is not needed: nobody looks at this before something was received from the peer.
                    self.peer.certified = certified_name(connection.getpeercert())
                writer = start(self._write)
                self._read()
        finally:  # whatever was raised, as for a lack of memory
            self._break()
            if writer is not None:
                writer.join()
            self.end()

    def end(self) -> None:
        """Close the connection and forget it."""
        self._stream.close()
        with self._server.lock:
            self.lost()
            self._server.wake()

    def refresh(self) -> None:
        """Do what was decided about this connection, or have a thread do it.  The lock is held."""
        now = self._server.now()
        data = self.take(now)
        if data is not None:
            self._outgoing = data
            self.pause(now)
        if self.phase is Phase.FLUSHING and not self.paused:
            self.flushed(now)
        if self.phase is Phase.LINGERING and not self._shut:
            self._shut = True
            self._stream.shut_down(socket.SHUT_WR)
        if self.phase is Phase.OVER:
            self._stream.shut_down(socket.SHUT_RDWR)  # wakes both threads
        self._changed.notify_all()

    def _read(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self.reading or self.phase is Phase.OVER)
                if self.phase is Phase.OVER:
                    return
            data = self._stream.recv(64 * 1024)
            with self._changed:
                if data:
                    self.received(data)
                    self._server.wake()
                    continue
                self.ended()  # half-closed: replies are still written (CONN-20)
                self._server.wake()
                self._changed.wait_for(lambda: self.phase is Phase.OVER)
                return

    def _write(self) -> None:
        try:
            with suppress(OSError):
                while (data := self._next()) is not None:
                    self._stream.sendall(data)
                    with self._changed:
                        self.resume()
                        self._server.wake()
        finally:
            self._break()

    def _next(self) -> bytes | memoryview | None:
        with self._changed:
            self._changed.wait_for(lambda: self._outgoing is not None or self.phase is Phase.OVER)
            data, self._outgoing = self._outgoing, None
            return None if self.phase is Phase.OVER else data

    def _break(self) -> None:
        with self._changed:
            self.broken()
            self._server.wake()
