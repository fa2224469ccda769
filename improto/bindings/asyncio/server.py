"""A server on asyncio: TCP, TLS, Unix sockets.

It moves bytes and keeps time; what they mean is decided in the core.  All that one turn of the loop causes is written
with one call per connection.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final, cast

from improto.bindings.asyncio.accepting import Acceptor
from improto.bindings.sockets import (
    BACKLOG,
    UNDECIDED,
    ask_first,
    certified_name,
    credentials,
    unix_listener,
    watch,
)
from improto.links import PORTION, Link, Links, Phase
from improto.messages import Register
from improto.service import Peer, Service

__all__ = ["Admit", "Server", "StreamLink"]

Admit = Callable[[Peer, Register], Awaitable[str | None]]
"""Decides about a REGISTER: gives why it is refused, or None.

It may take its time, up to `Bounds.register`, and is cancelled when the connection is gone.
"""

_HIGH_WATER: Final = 64 * 1024
_LAST_TURNS: Final = 100  # for what a peer has sent before its end
_OPEN: Final = (
    Phase.OPEN
)  # in Python 3.11, looking a member up takes longer than most of what is done for a connection


class Server:
    """Runs one `Service` on any number of listening sockets.

    A transport of another kind derives its connections from `StreamLink` and gives `listen` what makes them.
    """

    def __init__(
        self,
        service: Service,
        *,
        connections: int = 10_000,
        per_address: int = 1_000,
        gap: float = 0.0,
        admit: Admit | None = None,
    ) -> None:
        """Serve with the limits of `Links`, on the running loop.

        `admit` decides about each REGISTER, if the hub has `Policy(ask=True)`; UsageError if it has not.  Whoever it
        fails for is refused, and the loop's exception handler is told.
        """
        self.service = service
        self.links = Links(service, connections=connections, per_address=per_address, gap=gap)
        self._loop = asyncio.get_running_loop()
        self._acceptor = Acceptor(self.links)
        self._timer: asyncio.TimerHandle | None = None
        self._scheduled = False
        self._all_closed: asyncio.Future[None] | None = None
        self._paths: list[str] = []
        self._admit = admit
        self._deciding: dict[int, asyncio.Task[None]] = {}  # by the peer's number
        if admit is not None:
            ask_first(service, self._ask)

    async def listen(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        link: "Callable[[], StreamLink] | None" = None,
    ) -> tuple[str, int]:
        """Listen on TCP, behind TLS if `tls` is given, and give the address, which tells the port if it was 0.

        If `tls` demands a certificate of its peers, they can register under its common name only.  `link` makes the
        connections, if they are not to carry messages as a stream.
        """
        found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        made: list[socket.socket] = []
        try:
            for family, _, _, _, address in dict.fromkeys(found):
                made.append(socket.create_server(address, family=family, backlog=BACKLOG))
        except OSError:
            for sock in made:
                sock.close()
            raise
        for sock in made:
            self._acceptor.add(sock, link or partial(StreamLink, self), tls)
        return cast(tuple[str, int], made[0].getsockname()[:2])

    async def listen_unix(self, path: str) -> None:
        """Listen on a Unix socket, which is removed at the end; who may connect is a matter of the file's mode."""
        self._acceptor.add(unix_listener(path), partial(StreamLink, self))
        self._paths.append(path)

    async def close(self) -> None:
        """Stop listening, tell everybody (ERROR-9), and wait until all connections are closed."""
        await self._acceptor.close()
        for path in self._paths:
            with suppress(FileNotFoundError):
                os.unlink(path)
        self.links.shut_down(self.now())
        self.turn()
        if self.links:
            self._all_closed = self._loop.create_future()
            await self._all_closed
        if self._timer is not None:
            self._timer.cancel()
        for task in self._deciding.values():
            task.cancel()

    def now(self) -> float:
        """Give the loop's time."""
        return self._loop.time()

    def wake(self) -> None:
        """Have a turn of the service in the next turn of the loop."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.turn)

    def gone(self, peer: Peer) -> None:
        """Note that a connection is closed."""
        task = self._deciding.get(peer.id)
        if task is not None:
            task.cancel()
        self.wake()

    def _ask(self, peer: Peer, request: Register) -> None:
        task = self._deciding[peer.id] = self._loop.create_task(self._decide(peer, request))
        task.add_done_callback(partial(self._decided, peer.id))

    def _decided(self, id: int, task: asyncio.Task[None]) -> None:
        if self._deciding[id] is task:  # else it is decided about another name by now
            del self._deciding[id]

    async def _decide(self, peer: Peer, request: Register) -> None:
        assert self._admit is not None
        try:
            refusal = await self._admit(peer, request)
        except Exception as error:
            self._loop.call_exception_handler({"message": "admission failed", "exception": error})
            refusal = UNDECIDED
        self.service.decide(peer, refusal, self.now())
        self.wake()

    def _ring(self) -> None:
        self._timer = None
        self.wake()

    def turn(self) -> None:
        """Have a turn of the service now."""
        self._scheduled = False
        self.links.turn(self.now())
        due = self.links.due
        # A timer that rings too early does no harm, and setting one in each turn would cost more than the turn.
        if due is not None and (self._timer is None or due < self._timer.when()):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(due, self._ring)
        if not self.links and self._all_closed is not None and not self._all_closed.done():
            self._all_closed.set_result(None)


class StreamLink(Link, asyncio.Protocol):
    """One accepted connection on a transport of asyncio; other listeners derive theirs of it."""

    __slots__ = ("_reads", "_server", "_shut", "_transport")
    _transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        """Be a connection of `server`."""
        super().__init__(server.links)
        self._server = server
        self._reads = True
        self._shut = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note that it is accepted."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        sock = self._transport.get_extra_info("socket")
        watch(sock, self._server.service.bounds.write)
        seen = credentials(sock)
        peername = self._transport.get_extra_info("peername")
        address = f"uid {seen.uid}" if seen else str(peername[0]) if peername else "local"
        self.opened(self._server.now(), address)
        tls = cast(ssl.SSLObject | None, self._transport.get_extra_info("ssl_object"))
        self.peer.certified = None if tls is None else certified_name(tls.getpeercert())
        self.peer.credentials = seen
        self._server.wake()

    def data_received(self, data: bytes) -> None:
        """Take in bytes."""
        self.received(data)
        self._server.wake()

    def eof_received(self) -> bool:
        """Note the end of the peer's stream."""
        self.ended()
        self._server.wake()
        if self._transport.can_write_eof():
            return True  # half-closed: replies are still written (CONN-20)
        # Behind TLS asyncio takes nothing more after this, so what is due is written at once, as far as there is room.
        for _ in range(_LAST_TURNS):
            if self.phase is not _OPEN or self.paused or self.links.due != 0.0:
                break
            self._server.turn()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that it is closed."""
        self.lost()
        self._server.gone(self.peer)

    def pause_writing(self) -> None:
        """Note that the transport takes no more for now."""
        self.pause(self._server.now())

    def resume_writing(self) -> None:
        """Note that the transport takes more again."""
        # What follows is done in a turn: after this, the transport looks once more whether it is to be closed.
        self.resume()
        self._server.wake()

    def refresh(self) -> None:
        """Do what was decided about this connection."""
        transport, peer = self._transport, self.peer
        if peer.steady and len(events := b"".join(peer.pieces)) <= PORTION:
            # As it mostly is, in a conversation.
            peer.pieces.clear()
            transport.write(events)
            if peer.steady:  # else the transport takes no more now
                return
        now = self.links.now
        data = self.take(now)
        while data is not None:
            transport.write(data)
            more = (self._waiting or peer.pieces) and not transport.is_closing()
            data = self.take(now) if more else None
        if self.phase is not _OPEN:
            self._finish(now)
            return
        self._read(peer.reading)
        peer.steady = peer.reading and not (self._waiting or self._held or self.links.gap)

    def _read(self, on: bool) -> None:
        """Have the transport read, or pause: it is told of changes only, since it takes its time."""
        if on is not self._reads:
            self._reads = on
            if on:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _finish(self, now: float) -> None:
        transport = self._transport
        if transport.is_closing():
            return  # for TLS, asyncio's breaks when it is closed twice and then asked anything
        self._read(True)  # to see the peer's end; and for TLS, asyncio's does not close while it is paused
        if self.phase is Phase.FLUSHING:
            transport.set_write_buffer_limits(
                1, 0
            )  # to be paused until all is out; with TLS, 0 would pause for ever
            if not self.paused:
                self.flushed(now)
        if self.phase is Phase.OVER:
            if transport.get_write_buffer_size():
                transport.abort()
            else:
                transport.close()
        elif self.phase is Phase.LINGERING and not self._shut:
            self._shut = True
            if transport.can_write_eof():
                with suppress(OSError):  # the peer may be gone, which the transport finds out by itself
                    transport.write_eof()
            else:
                # Once what has arrived is read, which was asked for above.
                asyncio.get_running_loop().call_soon(self._end_tls)

    def _end_tls(self) -> None:
        """Say behind TLS that nothing follows, and read on: asyncio has no call for that.

        To close would say so, too, but breaks off at once if the peer is still sending, and the reset that this causes
        can destroy the last message.
        """
        transport = self._transport
        if not transport.is_closing() and transport.is_reading():
            with suppress(OSError):  # it does not wait for the peer's word
                cast(ssl.SSLObject, transport.get_extra_info("ssl_object")).unwrap()
            transport.pause_reading()
            transport.resume_reading()  # writes what TLS has to say
