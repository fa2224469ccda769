"""One connection of a client on asyncio, which may leave gaps between the messages that it writes."""

import asyncio
import ssl
from collections import deque

from improto.addresses import Address

__all__ = ["Writer", "open_stream"]


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


async def open_stream(
    address: Address, tls: ssl.SSLContext | None, gap: float
) -> tuple[asyncio.StreamReader, Writer]:
    """Connect.  OSError if that fails."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    if address.scheme == "unix":
        transport, _ = await loop.create_unix_connection(lambda: protocol, address.path)
    else:
        transport, _ = await loop.create_connection(lambda: protocol, address.host, address.port, ssl=tls)
    return reader, Writer(transport, protocol, reader, gap)
