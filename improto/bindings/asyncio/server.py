"""A server on asyncio: TCP.

It moves bytes and keeps time; what they mean is decided in the core.  All that one turn of the loop causes is written
with one call per connection.
"""

import asyncio
from contextlib import suppress
from typing import Final, cast

from improto.bindings.sockets import watch
from improto.links import Link, Links, Phase
from improto.service import Service

__all__ = ["Server", "StreamLink"]

_HIGH_WATER: Final = 64 * 1024


class Server:
    """Runs one `Service` on any number of listening sockets.

    A listener of another kind makes its connections of `Link`, tells `links` what happens to them, calls `wake` after
    that, and is closed with the others if it was given to `attach`.
    """

    def __init__(
        self,
        service: Service,
        *,
        connections: int = 10_000,
        per_address: int = 1_000,
        gap: float = 0.0,
    ) -> None:
        """Serve with the limits of `Links`, on the running loop."""
        self.service = service
        self.links = Links(service, connections=connections, per_address=per_address, gap=gap)
        self._loop = asyncio.get_running_loop()
        self._listeners: list[asyncio.Server] = []
        self._timer: asyncio.TimerHandle | None = None
        self._scheduled = False
        self._all_closed: asyncio.Future[None] | None = None

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Listen on TCP and give the address that was taken, which tells the port if it was 0."""
        listener = await self._loop.create_server(lambda: StreamLink(self), host, port, backlog=1024)
        self.attach(listener)
        return cast(tuple[str, int], listener.sockets[0].getsockname()[:2])

    def attach(self, listener: asyncio.Server) -> None:
        """Have a listener closed with the server."""
        self._listeners.append(listener)

    async def close(self) -> None:
        """Stop listening, tell everybody (ERROR-9), and wait until all connections are closed."""
        with suppress(NotImplementedError):  # a proactor has no readers
            for listener in self._listeners:
                for sock in listener.sockets:
                    self._loop.remove_reader(sock.fileno())
        # Those that were just accepted come in: a closed listener would lose them (python/cpython#109564).
        for _ in range(2):
            await asyncio.sleep(0)
        for listener in self._listeners:
            listener.close()
        self.links.shut_down(self.now())
        self._turn()
        if self.links:
            self._all_closed = self._loop.create_future()
            await self._all_closed
        if self._timer is not None:
            self._timer.cancel()

    def now(self) -> float:
        """Give the loop's time."""
        return self._loop.time()

    def wake(self) -> None:
        """Have a turn of the service in the next turn of the loop."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        self.links.turn(self.now())
        due = self.links.due
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self._loop.call_at(due, self.wake)
        if not self.links and self._all_closed is not None and not self._all_closed.done():
            self._all_closed.set_result(None)


class StreamLink(Link, asyncio.Protocol):
    """One accepted connection on a transport of asyncio; other listeners derive theirs of it."""

    _transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        """Be a connection of `server`."""
        super().__init__(server.links)
        self._server = server
        self._shut = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note that it is accepted."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        watch(self._transport.get_extra_info("socket"))
        peername = self._transport.get_extra_info("peername")
        self.opened(self._server.now(), str(peername[0]) if peername else "local")
        self._server.wake()

    def data_received(self, data: bytes) -> None:
        """Take in bytes."""
        self.received(data)
        self._server.wake()

    def eof_received(self) -> bool:
        """Note the end of the peer's stream."""
        self.ended()
        self._server.wake()
        return True  # half-closed: replies are still written (CONN-20)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that it is closed."""
        self.lost()
        self._server.wake()

    def pause_writing(self) -> None:
        """Note that the transport takes no more for now."""
        self.pause()

    def resume_writing(self) -> None:
        """Note that the transport takes more again."""
        # What follows is done in a turn: after this, the transport looks once more whether it is to be closed.
        self.resume()
        self._server.wake()

    def refresh(self) -> None:
        """Do what was decided about this connection."""
        transport = self._transport
        now = self._server.now()
        while not transport.is_closing() and (data := self.take(now)) is not None:
            transport.write(data)
        if self.phase is not Phase.OPEN:
            self._finish(now)
        elif self.reading:
            transport.resume_reading()
        else:
            transport.pause_reading()

    def _finish(self, now: float) -> None:
        transport = self._transport
        if self.phase is Phase.FLUSHING and not transport.is_closing():
            transport.resume_reading()
            transport.set_write_buffer_limits(0)  # to be paused until all is out
            if not self.paused:
                self.flushed(now)
        if self.phase is Phase.OVER:
            transport.abort()
        elif self.phase is Phase.LINGERING and not self._shut:
            self._shut = True
            with suppress(OSError):  # the peer may be gone, which the transport finds out by itself
                if transport.can_write_eof():
                    transport.write_eof()
