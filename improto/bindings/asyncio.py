"""TCP on asyncio: `Server` runs a `Service`, `connect` gives a client's `Session`.

The binding moves bytes and keeps time; what they mean is decided in the core.  All that one turn of the loop
causes is written with one call per connection.
"""

import asyncio
import socket
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final, cast

from improto import session
from improto.client import Liveness
from improto.codec import Codec
from improto.errors import ImprotoError, UsageError
from improto.messages import Goodbye, ListConversations, Request, Response
from improto.service import Peer, Service
from improto.states import State
from improto.wire import Fault

__all__ = ["PORT", "CannotConnect", "Lost", "Server", "Session", "connect"]

PORT: Final = 6666
"""Where a server listens unless it is told otherwise (CONN-3)."""

_USER_TIMEOUT_MS: Final = (
    60_000  # CONN-28: sent bytes that nobody acknowledges for so long end the connection
)
_PROBE_AFTER_S: Final = 30  # … and so does an idle host that does not answer 5 probes, 10 s apart
_HIGH_WATER: Final = 64 * 1024
_LEAST_GAP: Final = 0.02


class CannotConnect(ImprotoError):
    """There is no server to talk to."""


class Lost(ImprotoError):
    """The connection ended without a GOODBYE of ours."""


class Server:
    """Runs one `Service` on any number of listening sockets."""

    def __init__(
        self,
        service: Service,
        *,
        connections: int = 10_000,
        per_address: int = 1_000,
        gap: float = 0.0,
    ) -> None:
        """Serve at most so many connections, in all and from one address (FLOW-13).

        With `gap`, that many seconds lie between two messages to a peer that speaks the pickle codec, for
        programs that take one `recv` for one message (LECTURE-1).  UsageError if it is less than 20 ms.
        """
        if 0 < gap < _LEAST_GAP:  # LECTURE-2
            raise UsageError(f"a gap has at least {_LEAST_GAP} s, or peers like the lecture's do not see it")
        self.service = service
        self.gap = gap
        self._connections = connections
        self._per_address = per_address
        self._loop = asyncio.get_running_loop()
        self._links: dict[int, _Link] = {}
        self._served = 0
        self._by_address: Counter[str] = Counter()
        self._listeners: list[asyncio.Server] = []
        self._timer: asyncio.TimerHandle | None = None
        self._scheduled = False
        self._all_closed: asyncio.Future[None] | None = None
        self._closing = False

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Listen on TCP and give the address that was taken, which tells the port if it was 0."""
        listener = await self._loop.create_server(lambda: _Link(self), host, port, backlog=1024)
        self._listeners.append(listener)
        return cast(tuple[str, int], listener.sockets[0].getsockname()[:2])

    async def close(self) -> None:
        """Stop listening, tell everybody (ERROR-9), and wait until all connections are closed."""
        self._closing = True
        with suppress(NotImplementedError):  # a proactor has no readers
            for listener in self._listeners:
                for sock in listener.sockets:
                    self._loop.remove_reader(sock.fileno())
        # Those that were just accepted come in: a closed listener would lose them (python/cpython#109564).
        for _ in range(2):
            await asyncio.sleep(0)
        for listener in self._listeners:
            listener.close()
        self.service.shut_down(self.now())
        self._turn()
        if self._links:
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

    def opened(self, link: "_Link", address: str) -> Peer:
        """Take a new connection in, to be served or refused (FLOW-13).

        Those that are refused do not count: else whoever tries again and again would keep everybody out.
        """
        full = self._served >= self._connections or self._by_address[address] >= self._per_address
        peer = self.service.connect(self.now(), "too many connections; try again later" if full else None)
        if not full:
            self._served += 1
            self._by_address[address] += 1
        self._links[peer.id] = link
        if self._closing:  # accepted while the listener closed
            self.service.shut_down(self.now())
        return peer

    def closed(self, peer: Peer, address: str) -> None:
        """Forget a connection."""
        del self._links[peer.id]
        if peer.refusal is None:
            self._served -= 1
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]
        if not self._links and self._all_closed is not None and not self._all_closed.done():
            self._all_closed.set_result(None)

    @property
    def crowded(self) -> bool:
        """Whether so many connections wait for their refusal that more are closed without one."""
        return len(self._links) - self._served > self._connections

    def _turn(self) -> None:
        self._scheduled = False
        for peer in self.service.turn(self.now()):
            link = self._links.get(peer.id)
            if link is not None:
                link.refresh()
        due = self.service.due
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self._loop.call_at(due, self.wake)


class _Link(asyncio.Protocol):
    """One accepted connection.

    What the service hands over waits here in small portions, so that each one that goes is a sign of life.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._service = server.service
        self._waiting: deque[bytes | memoryview] = deque()
        self._paused = False
        self._gap: asyncio.TimerHandle | None = None  # runs for as long as the next message has to wait
        self._held = False  # the service has been told that there is no room
        self._deadline: asyncio.TimerHandle | None = None  # of the close
        self._shut = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        _watch(self._transport)
        peername = self._transport.get_extra_info("peername")
        self._address = str(peername[0]) if peername else "local"
        self._peer = self._server.opened(self, self._address)
        if self._peer.refusal is not None and self._server.crowded:
            self._transport.abort()
        self._server.wake()

    def data_received(self, data: bytes) -> None:
        self._service.receive(self._peer, data)
        self._server.wake()

    def eof_received(self) -> bool:
        self._service.end(self._peer)
        self._server.wake()
        if self._shut:
            self._transport.close()
        return True  # half-closed: replies are still written (CONN-20)

    def connection_lost(self, exc: Exception | None) -> None:
        self._waiting.clear()
        for timer in (self._gap, self._deadline):
            if timer is not None:
                timer.cancel()
        self._service.end(self._peer, lost=True)
        self._server.closed(self._peer, self._address)
        self._server.wake()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._write(progress=True)

    def refresh(self) -> None:
        """Do what the service has decided about this connection."""
        self._waiting.extend(self._peer.take())
        self._write()
        if self._peer.flush is not None:
            self._finish(self._peer.flush)
        elif self._service.reading(self._peer):
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _write(self, *, progress: bool = False) -> None:
        """Write what the transport takes, and tell the service whether there is room for more."""
        while self._waiting and not self._paused and self._gap is None and not self._transport.is_closing():
            self._transport.write(self._portion())
        held = self._paused or self._gap is not None or bool(self._waiting)
        if held and (progress or not self._held):
            self._service.block(self._peer, self._server.now())
        elif self._held and not held:
            self._service.unblock(self._peer)
            self._server.wake()
        self._held = held
        if self._deadline is not None and not held and not self._shut:
            self._shut = True
            # Not in `resume_writing`, after which the transport looks once more whether it is to be closed.
            asyncio.get_running_loop().call_soon(self._shut_down)

    def _portion(self) -> bytes | memoryview:
        """Take what is written at once: of a long message a part; with a gap one message, else all that fit."""
        first = self._waiting.popleft()
        if len(first) > _HIGH_WATER:
            self._waiting.appendleft(memoryview(first)[_HIGH_WATER:])
            return memoryview(first)[:_HIGH_WATER]
        if self._server.gap and self._peer.codec_name == "pickle":
            # A packet of its own: there is no Nagle delay on asyncio's sockets (LECTURE-2).
            self._gap = asyncio.get_running_loop().call_later(self._server.gap, self._gap_is_over)
            return first
        pieces, size = [first], len(first)
        while self._waiting and size + len(self._waiting[0]) <= _HIGH_WATER:
            pieces.append(self._waiting.popleft())
            size += len(pieces[-1])
        return b"".join(pieces)

    def _gap_is_over(self) -> None:
        self._gap = None
        self._write(progress=not self._paused)

    def _finish(self, flush: float) -> None:
        """Flush for so many seconds, and discard input from now on, so that both can get rid of theirs (CONN-22)."""
        if self._deadline is None and not self._transport.is_closing():
            self._deadline = asyncio.get_running_loop().call_later(flush, self._transport.abort)
            self._transport.set_write_buffer_limits(0)  # to be told when all is out
            self._transport.resume_reading()
            self._write()

    def _shut_down(self) -> None:
        """Shut down writing, now that all is out, and close when the peer does (CONN-22)."""
        if self._transport.is_closing():
            return
        assert self._deadline is not None
        self._deadline.cancel()
        if self._peer.ended:
            self._transport.close()
            return
        linger = self._service.bounds.linger
        self._deadline = asyncio.get_running_loop().call_later(linger, self._transport.abort)
        with suppress(OSError):  # the peer may be gone, which the transport finds out by itself
            if self._transport.can_write_eof():
                self._transport.write_eof()


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
