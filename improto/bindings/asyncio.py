"""TCP on asyncio: `Server` runs a `Service`, `connect` gives a client's `Session`.

The binding moves bytes and keeps time; what they mean is decided in the core.  All that one turn of the loop
causes is written with one call per connection.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final, cast

from improto import session
from improto.client import Liveness
from improto.codec import Codec
from improto.errors import CannotConnect, Lost
from improto.links import Link, Links, Phase
from improto.messages import Goodbye, ListConversations, Request, Response
from improto.service import Service
from improto.states import State
from improto.wire import Fault

__all__ = ["PORT", "CannotConnect", "Lost", "Server", "Session", "StreamLink", "connect"]

PORT: Final = 6666
"""Where a server listens unless it is told otherwise (CONN-3)."""

_USER_TIMEOUT_MS: Final = (
    60_000  # CONN-28: sent bytes that nobody acknowledges for so long end the connection
)
_PROBE_AFTER_S: Final = 30  # … and so does an idle host that does not answer 5 probes, 10 s apart
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
        _watch(self._transport)
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


def _watch(transport: asyncio.Transport) -> None:
    """Let the system find out about a host that has vanished (CONN-28)."""
    sock = cast(socket.socket | None, transport.get_extra_info("socket"))
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_USER_TIMEOUT", _USER_TIMEOUT_MS),
        ("TCP_KEEPIDLE", _PROBE_AFTER_S),
        ("TCP_KEEPINTVL", 10),
        ("TCP_KEEPCNT", 5),
    ):
        if hasattr(socket, option):  # Linux; elsewhere the write time-out of the service has to do
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


class Session:
    """A client's end of a connection: what was received, one after the other, and requests to send.

    Iterate over it for Responses and Faults until the connection ends.  It ends silently after `goodbye`, and
    with `Lost` otherwise.  `view` holds what the user knows by then.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, codec: Codec) -> None:
        """Made by `connect`."""
        self._reader = reader
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._core = session.Session(codec, self._loop.time())
        self._lock = asyncio.Lock()  # of the reader: whoever iterates and `goodbye` take turns
        self.view = self._core.view

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self._core.state

    def send(self, request: Request) -> None:
        """Send a request.  UsageError, and nothing is sent, if it may not be sent now."""
        self._writer.write(self._core.send(request, self._loop.time()))

    async def drain(self) -> None:
        """Wait until the system has taken most of what was sent, so that a fast sender needs no memory for it."""
        with suppress(OSError):  # a connection that broke is told of by the iteration
            await self._writer.drain()

    async def __aiter__(self) -> AsyncIterator[Response | Fault]:
        """Give what comes in; what makes no sense is a Fault that is not fatal.  At the end the connection is closed."""
        try:
            while True:
                while (item := self._core.next(self._loop.time())) is not None:
                    yield item
                    if isinstance(item, Fault) and item.fatal:  # CLIENT-18
                        raise Lost("the server sends what this codec cannot read; try another codec")
                data = await self._read()
                if data:
                    self._core.feed(data)
                elif self.state is State.CLOSED:
                    break
                else:
                    raise Lost("the server has closed the connection")
        except Lost:
            self.close()
            raise
        self.close()

    async def _read(self) -> bytes:
        while True:
            try:
                return await asyncio.wait_for(self._receive(), 10.0)
            except TimeoutError:
                self._see_whether_it_lives()
            except OSError as error:
                if self.state is State.CLOSED:
                    return b""
                raise Lost(f"the connection broke: {error}") from error

    async def _receive(self) -> bytes:
        async with self._lock:
            return await self._reader.read(64 * 1024)

    def _see_whether_it_lives(self) -> None:
        match self.view.overdue(self._loop.time()):
            case Liveness.ASK if self.state is State.REGISTERED:
                self.send(ListConversations())  # CONN-26
            case Liveness.LOST:
                raise Lost("the server does not answer any more") from None  # CONN-27
            case _:
                pass

    async def goodbye(self) -> None:
        """Say GOODBYE if the connection still stands, wait for its end for at most 1 s (CLIENT-20), and close.

        Somebody may be iterating meanwhile; that ends then.
        """
        with suppress(OSError, TimeoutError):
            if self.state is not State.CLOSED:
                self.send(Goodbye())
                async with asyncio.timeout(1.0):
                    while await self._receive():
                        pass
        self.close()

    def close(self) -> None:
        """Close without another word."""
        self._core.close()
        self._writer.close()


async def connect(host: str, port: int, codec: Codec, *, timeout: float = 10.0) -> Session:
    """Connect to a server.  CannotConnect if there is none within `timeout` seconds."""
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        raise CannotConnect(f"{host}:{port} does not answer; check the address") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise CannotConnect(
            f"no server at {host}:{port} ({reason}); start one with: improto serve"
        ) from error
    return Session(reader, writer, codec)
