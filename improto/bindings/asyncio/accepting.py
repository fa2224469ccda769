"""Accepts the connections of a server on asyncio.

Asyncio's own servers would not do: they do not limit connections on which TLS is just beginning; and when there are no
descriptors for more connections, they try again, and report it, as many times as their backlog is long.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from improto.addresses import subnet
from improto.bindings.sockets import ServerTLS, Shortage, context_now, watch
from improto.errors import UsageError
from improto.links import Links

__all__ = ["Acceptor"]

_AT_ONCE: Final = 100  # connections accepted in one turn of the loop
_LEAST: Final = 1e-3  # seconds, since asyncio takes no 0

_Make = Callable[[], asyncio.Protocol]


class Acceptor:
    """All listening sockets of one server."""

    def __init__(self, links: Links) -> None:
        """Let TLS begin on at most as many connections at a time as `links` serves."""
        self._links = links
        self._loop = asyncio.get_running_loop()
        self._accepting: dict[socket.socket, asyncio.Task[None]] = {}
        self._connecting = set[asyncio.Task[None]]()  # without TLS, which takes a few turns of the loop
        self._beginning = set[asyncio.Task[None]]()  # with TLS, which takes as long as the peer likes
        self._handshakes: Counter[str] = Counter()  # of TLS that are going on, by address as `subnet` counts
        self._closing = False
        self._shortage = Shortage()

    def check(self) -> None:
        """UsageError if this was closed, since nobody would be accepted any more."""
        if self._closing:
            raise UsageError("the server was closed and listens no more; make another one")

    def add(self, sock: socket.socket, make: _Make, tls: ServerTLS | None = None) -> None:
        """Accept from a listening socket; `make` gives the protocol of each connection."""
        sock.setblocking(False)
        self._accepting[sock] = self._loop.create_task(self._accept(sock, make, tls))

    async def close(self) -> None:
        """Stop.  Those that were just accepted are connections then; those on which TLS is beginning are closed."""
        self._closing = True
        with suppress(NotImplementedError):  # the loop of Windows has no readers
            for sock in self._accepting:
                self._loop.remove_reader(sock)
        for _ in range(3):
            await asyncio.sleep(0)
        ending = [*self._accepting.values(), *self._beginning]
        for task in ending:
            task.cancel()
        # Without TLS none is cancelled: uvloop would not tell a connection that was just made that it is lost.
        await asyncio.gather(*ending, *self._connecting, return_exceptions=True)
        while self._accepting:
            self._accepting.popitem()[0].close()

    async def _accept(self, sock: socket.socket, make: _Make, tls: ServerTLS | None) -> None:
        count = 0
        while not self._closing:
            try:
                accepted, name = await self._loop.sock_accept(sock)
            except OSError as error:
                await asyncio.sleep(self._shortage.pause(error, self._loop.time()))
                continue
            self._begin(accepted, subnet(str(name[0])) if name else "", make, tls)
            count += 1
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)

    def _begin(self, accepted: socket.socket, counted: str, make: _Make, tls: ServerTLS | None) -> None:
        """Make a connection.  Behind TLS that takes a handshake, and only then does it count among `links`."""
        try:
            watch(accepted, self._links.service.bounds.write)
        except OSError:  # the peer has gone already, of which asyncio would make a failure of ours
            accepted.close()
            return
        tasks = self._connecting
        if tls is not None:
            tasks = self._beginning
            handshakes, links = self._handshakes, self._links
            if handshakes[counted] >= links.per_address or len(tasks) >= links.connections:
                accepted.close()  # before TLS has begun nobody can be told why (FLOW-13)
                return
            handshakes[counted] += 1
        task = self._loop.create_task(self._connect(accepted, counted, make, tls))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _connect(
        self, accepted: socket.socket, counted: str, make: _Make, tls: ServerTLS | None
    ) -> None:
        if tls is None:
            await self._loop.connect_accepted_socket(make, accepted)
            return
        bounds = self._links.service.bounds
        try:
            context = context_now(tls)
        except OSError:
            accepted.close()
        else:
            with suppress(OSError):  # the handshake failed, and the connection is closed
                await self._loop.connect_accepted_socket(
                    make,
                    accepted,
                    ssl=context,
                    ssl_handshake_timeout=max(bounds.register, _LEAST),  # CONN-17
                    ssl_shutdown_timeout=max(bounds.linger, _LEAST),
                )
        self._handshakes[counted] -= 1
        if not self._handshakes[counted]:
            del self._handshakes[counted]
