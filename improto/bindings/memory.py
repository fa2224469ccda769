"""Servers and clients in one process, without sockets and on a clock of their own: for tests.

A server, for somebody who plays its clients:

    server = Server(Service(hub, codecs))
    link = server.connect()
    link.send(data)
    link.receive(5.0)         → what the server has written; waits for at most 5 s of the server's clock

A client, for somebody who plays its server and its user:

    session = Session(codec)
    session.request(request)  the user asks for something
    session.take()            → what the client has written since
    session.feed(data)        the server has written something
    session.wait(5.0)         the server has written nothing for 5 s
    session.told              what the user was told, as a deque

Both together, for somebody who tests the two, or a program on one of them:

    link.send(session.take())
    session.feed(link.receive(5.0))

Everything is deterministic.  The server does its work while somebody receives, in the order in which it was asked
for; and its clock stands still until there is no more work, and then jumps to the next moment at which something is
due.  Nothing here is safe for threads.
"""

from collections import deque
from enum import Enum
from typing import Final

from improto import session
from improto.client import Timeouts
from improto.codec import Codec
from improto.messages import Request, Response
from improto.service import Peer, Service
from improto.states import State
from improto.wire import Fault

__all__ = ["End", "Link", "Server", "Session"]

_HIGH_WATER: Final = 64 * 1024
"""Above how many bytes that a client has not received the server is told that the client takes no more."""


class Server:
    """Runs one `Service` for the links that it gives out."""

    def __init__(self, service: Service, *, prompt: bool = False) -> None:
        """Begin at second 0 with nobody connected.

        With `prompt`, the work is done as soon as somebody sends, so that the server reads the bytes of each `send` alone.
        """
        self.service = service
        self.prompt = prompt
        self._now = 0.0
        self._links: dict[int, Link] = {}

    def connect(self) -> "Link":
        """Give a client's end of a new connection."""
        link = Link(self, self.service.connect(self._now))
        self._links[link.peer.id] = link
        return link

    def now(self) -> float:
        """Give the time on the server's clock, in seconds; only `wait` moves it, and `Link.receive`, which calls that."""
        return self._now

    def run(self) -> None:
        """Do all the work that is due at this moment."""
        while (due := self.service.due) is not None and due <= self._now:
            for peer in self.service.turn(self._now):
                link = self._links.get(peer.id)
                if link is not None:
                    link.take()

    def wait(self, until: float) -> bool:
        """Let time pass to the next moment at which something is due, or to `until`; tell whether something is due then."""
        due = self.service.due
        if due is None or due > until:
            self._now = until
            return False
        self._now = max(self._now, due)
        return True


class Link:
    """A client's end of one connection."""

    def __init__(self, server: Server, peer: Peer) -> None:
        """Made by `Server.connect`."""
        self.peer = peer
        self._server = server
        self._service = server.service
        self._unsent = bytearray()  # what the server does not read for now
        self._unread = bytearray()
        self._ending = False  # nothing follows what is unsent
        self._over = False  # the server writes no more

    def now(self) -> float:
        """Give the server's time, in seconds."""
        return self._server.now()

    def send(self, data: bytes) -> None:
        """Send bytes.  A server that has closed the connection does not see them."""
        self._unsent += data
        self._pass_on()
        if self._server.prompt:
            self._server.run()

    def receive(self, timeout: float) -> bytes:
        """Give what the server has written, or b"" at the end.  TimeoutError if nothing comes within so many seconds."""
        until = self.now() + timeout
        self._server.run()
        while not self._unread and not self._over:
            if not self._server.wait(until):
                raise TimeoutError
            self._server.run()
        data = bytes(self._unread)
        self._unread.clear()
        if self.peer.blocked:
            self._service.unblock(self.peer)
        return data

    def half_close(self) -> None:
        """Send no more, and go on receiving."""
        self._ending = True
        self._pass_on()

    def reset(self) -> None:
        """Break the connection off; what was not received is lost."""
        self._over = True
        self._service.end(self.peer, lost=True)

    def close(self) -> None:
        """Close the connection, unless that was done already."""
        if not self._over:
            self.reset()

    def take(self) -> None:
        """Take what the service has written for this client, and do what it has decided."""
        self._unread += b"".join(self.peer.take())
        if self.peer.flush is not None:
            self._over = True
        elif len(self._unread) > _HIGH_WATER and not self.peer.blocked:
            self._service.block(self.peer, self.now())
        self._pass_on()

    def _pass_on(self) -> None:
        if not self.peer.reading:
            return
        if self._unsent:
            data = bytes(self._unsent)
            self._unsent.clear()
            self._service.receive(self.peer, data)
        if self._ending:
            self._ending = False
            self._service.end(self.peer)


class End(Enum):
    """How a client's connection ended."""

    CLOSED = "closed"
    """After its GOODBYE."""
    LOST = "lost"


class Session:
    """A client, for somebody who plays its server and its user."""

    def __init__(self, codec: Codec) -> None:
        """Begin at second 0 of a clock that never moves."""
        self._core = session.Session(codec, 0.0)
        self._unread = bytearray()  # by the server
        self.told: deque[Response | Fault | End] = deque()
        """What the user was told and has not looked at; an End comes last."""
        self.closed = False
        """Whether the client has closed its connection, and writes no more."""

    def request(self, request: Request) -> None:
        """Write a request.  UsageError, and nothing is written, if it may not be sent now."""
        self._unread += self._core.request(request, 0.0)

    def take(self) -> bytes:
        """Give the bytes that the client has written since the last call."""
        data = bytes(self._unread)
        self._unread.clear()
        return data

    def feed(self, data: bytes) -> None:
        """Let the client read bytes that the server has written."""
        if self.closed:
            return
        self._core.feed(data)
        while (item := self._core.next(0.0)) is not None:
            self.told.append(item)
            if isinstance(item, Fault) and item.fatal:  # CLIENT-18
                self._end(End.LOST)
                return

    def end(self) -> None:
        """Let the client see the end of the server's stream, or a reset (CLIENT-16)."""
        self._end(End.CLOSED if self._core.state is State.CLOSED else End.LOST)

    def wait(self, seconds: float) -> None:
        """Let the server write nothing for so long; after GOODBYE the client waits for its end only for a moment (CLIENT-20)."""
        if self._core.state is State.CLOSED and seconds >= Timeouts().goodbye:
            self._end(End.CLOSED)

    def _end(self, how: End) -> None:
        if not self.closed:
            self.told.append(how)
            self.close()

    def close(self) -> None:
        """Close without another word."""
        self._core.close()
        self.closed = True
