"""A server and its clients in one process, without sockets, and on a clock of their own: for tests.

    server = Server(Service(hub, codecs))
    link = server.connect()
    link.send(data)
    link.receive(5.0)       → what the server has written; time passes only here, and only if nothing else happens

Everything is deterministic: the work is done while somebody receives, in the order in which it was asked for,
and the clock jumps to the next moment at which something is due.  Nothing here is for several threads.
"""

from typing import Final

from improto.service import Peer, Service

__all__ = ["Link", "Server"]

_HIGH_WATER: Final = 64 * 1024
"""Bytes that wait for a client above which the server is told that it takes no more."""


class Server:
    """Runs one `Service` for the links that it gives out."""

    def __init__(self, service: Service, *, prompt: bool = False) -> None:
        """Begin at second 0 with nobody connected.

        `prompt`: do the work as soon as somebody sends, so that each `send` is a read of its own.
        """
        self.service = service
        self.prompt = prompt
        self.now = 0.0
        """The clock, in seconds; it moves in `Link.receive` only."""
        self._links: dict[int, Link] = {}

    def connect(self) -> "Link":
        """Give a client's end of a new connection."""
        link = Link(self, self.service.connect(self.now))
        self._links[link.peer.id] = link
        return link

    def run(self) -> None:
        """Do all the work that there is at this moment."""
        while self.service.due is not None and self.service.due <= self.now:
            for peer in self.service.turn(self.now):
                link = self._links.get(peer.id)
                if link is not None:
                    link.take()

    def wait(self, until: float) -> bool:
        """Let time pass up to the next moment at which something is due; tell whether there is one by `until`."""
        due = self.service.due
        if due is None or due > until:
            self.now = until
            return False
        self.now = max(self.now, due)
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
        return self._server.now

    def send(self, data: bytes) -> None:
        """Send bytes; a server that has closed does not see them."""
        self._unsent += data
        self._pass_on()
        if self._server.prompt:
            self._server.run()

    def receive(self, timeout: float) -> bytes:
        """Give what the server has written, empty at its end; TimeoutError if nothing comes in so many seconds."""
        until = self._server.now + timeout
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
        """Break off: what was not received is lost."""
        self._over = True
        self._service.end(self.peer, lost=True)

    def close(self) -> None:
        """Close; harmless if that was done."""
        if not self._over:
            self.reset()

    def take(self) -> None:
        """Take over what the service has for this client, and what it has decided."""
        self._unread += b"".join(self.peer.take())
        if self.peer.flush is not None:
            self._over = True
        elif len(self._unread) > _HIGH_WATER and not self.peer.blocked:
            self._service.block(self.peer, self._server.now)
        self._pass_on()

    def _pass_on(self) -> None:
        if not self._service.reading(self.peer):
            return
        if self._unsent:
            data = bytes(self._unsent)
            self._unsent.clear()
            self._service.receive(self.peer, data)
        if self._ending:
            self._ending = False
            self._service.end(self.peer)
