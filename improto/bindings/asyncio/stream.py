"""One connection of a client on asyncio, which may leave gaps between the messages that it writes."""

import asyncio
import socket
import ssl
from collections import deque
from typing import Final

from improto.addresses import Address
from improto.bindings.sockets import NO_ROOM_YET

__all__ = ["AHEAD", "Writer", "open_stream", "reach"]

AHEAD: Final = 512 * 1024
"""When twice as many bytes wait to be looked at, the transport pauses.

That is much, since behind TLS uvloop drops what comes together with the server's end while it is paused.
"""


class Writer(asyncio.StreamWriter):
    """Writes messages, one with each call.  With a gap, a message waits until the gap before it is over (LECTURE-2)."""

    def __init__(
        self,
        transport: asyncio.WriteTransport,
        protocol: asyncio.StreamReaderProtocol,
        reader: asyncio.StreamReader,
        gap: float = 0.0,
    ) -> None:
        """Write to a connection that stands.  Asyncio has switched off Nagle's algorithm on it."""
        super().__init__(transport, protocol, reader, asyncio.get_running_loop())
        self._gap = gap
        self._waiting: deque[bytes | bytearray | memoryview] = deque()
        self._in_gap = False
        self._none_waits = asyncio.Event()
        self._none_waits.set()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write a message, behind those that wait."""
        if not self._gap:
            super().write(data)
        elif data:
            self._waiting.append(data)
            self._none_waits.clear()
            if not self._in_gap:
                self._next()

    async def gaps(self) -> None:
        """Wait until no message waits for a gap: all are written, or the connection is closed."""
        await self._none_waits.wait()

    def close(self) -> None:
        """Close, and drop what waits and what the server has not taken by now, since it may never take it."""
        # A TLS transport of asyncio raises at later calls if it is closed twice.
        if not self.transport.is_closing():
            if self.transport.get_write_buffer_size():
                self.transport.abort()
            else:
                super().close()
        self._waiting.clear()
        self._none_waits.set()

    def _next(self) -> None:
        self._in_gap = False
        if self._waiting:
            super().write(self._waiting.popleft())
            self._in_gap = True
            asyncio.get_running_loop().call_later(self._gap, self._next)
            if not self._waiting:
                self._none_waits.set()


async def reach(host: str, port: int, seconds: float) -> socket.socket:
    """Connect to the first address of a name at which somebody listens; OSError if that fails.

    Each has its share of the seconds, so that one that does not answer does not keep the others from being tried.
    """
    # Asyncio gives all of the time to the first one, or else (`happy_eyeballs_delay`) loses connections when cancelled.
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure = OSError()
    for left, (family, kind, protocol, _, place) in zip(range(len(found), 0, -1), found, strict=True):
        try:
            connection = socket.socket(family, kind, protocol)  # of which the system may have none
            try:
                connection.setblocking(False)
                async with asyncio.timeout((until - loop.time()) / left):
                    await loop.sock_connect(connection, place)
            except BaseException:
                connection.close()
                raise
        except OSError as error:
            failure = error
        else:
            return connection
    raise failure


async def _reach_unix(path: str) -> socket.socket:
    """Connect to a Unix socket, and wait for as long as there is no room.  OSError if that fails."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.setblocking(False)
        while True:
            try:
                connection.connect(path)
            except BlockingIOError:  # too many wait there to be accepted, which asyncio takes for success
                await asyncio.sleep(NO_ROOM_YET)
            else:
                return connection
    except BaseException:
        connection.close()
        raise


async def open_stream(
    address: Address, tls: ssl.SSLContext | None, seconds: float, gap: float
) -> tuple[asyncio.StreamReader, Writer]:
    """Connect, within so many seconds.  OSError if that fails."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(AHEAD, loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    if address.scheme == "unix":
        connected = await _reach_unix(address.path)
        transport, _ = await loop.create_unix_connection(lambda: protocol, sock=connected)
    else:
        connected = await reach(address.host, address.port, seconds)
        named = address.host if tls is not None else None
        transport, _ = await loop.create_connection(
            lambda: protocol, sock=connected, ssl=tls, server_hostname=named
        )
    return reader, Writer(transport, protocol, reader, gap)
