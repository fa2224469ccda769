"""One accepted connection of a server on asyncio.

It moves bytes between a transport of asyncio and `links.Link`, which decides.
"""

import asyncio
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from improto.bindings.sockets import certified_name, credentials, host_of
from improto.links import Link, Phase

if TYPE_CHECKING:  # it makes these
    from improto.bindings.asyncio.server import Server

__all__ = ["StreamLink"]

_HIGH_WATER: Final = 64 * 1024
# In Python 3.11, looking up a member of an Enum takes longer than most of what is done for a connection in a turn.
_OPEN: Final = Phase.OPEN


class StreamLink(Link, asyncio.Protocol):
    """One accepted connection on a transport of asyncio.  Listeners of another kind derive theirs from it."""

    __slots__ = ("_reads", "_server", "_shut", "_transport")
    _transport: asyncio.Transport

    def __init__(self, server: "Server") -> None:
        """Make a connection of `server`."""
        super().__init__(server.links)
        self._server = server
        self._reads = True
        self._shut = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note that the connection was accepted."""
        self._transport = cast(asyncio.Transport, transport)
        self.write_events = self._transport.write
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        sock = self._transport.get_extra_info("socket")
        seen = credentials(sock)
        peername = self._transport.get_extra_info("peername")
        address = f"uid {seen.uid}" if seen else host_of(peername) if peername else "local"
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
        # Behind TLS, asyncio writes nothing after this.  So what is due is written now, if there is time and room.
        while self.phase is _OPEN and not self.paused and self._server.hurry():
            pass
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection is closed."""
        self.lost()
        self._server.gone(self.peer)

    def pause_writing(self) -> None:
        """Note that the transport has no room for now."""
        self.pause(self._server.now())

    def resume_writing(self) -> None:
        """Note that the transport has room again."""
        # More is written in a turn and not in here: the transport closes itself after this call, if it is to be closed.
        self.resume()
        self._server.wake()

    def refresh(self) -> None:
        """Do what was decided about this connection."""
        transport, peer = self._transport, self.peer
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
        """Have the transport read, or pause.  It is told only of changes, since telling it takes some time."""
        if on is not self._reads:
            self._reads = on
            if on:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _finish(self, now: float) -> None:
        transport = self._transport
        if transport.is_closing():
            return  # a TLS transport of asyncio raises at later calls if it is closed twice
        # To see the peer's end; and a TLS transport of asyncio does not close while it is paused.
        self._read(True)
        if self.phase is Phase.FLUSHING:
            # So it is paused until all is out.  Behind TLS, a high-water mark of 0 would pause it for ever.
            transport.set_write_buffer_limits(1, 0)
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
                # Later, so that what has arrived is read before.
                asyncio.get_running_loop().call_soon(self._end_tls)

    def _end_tls(self) -> None:
        """Say behind TLS that nothing follows, and read on.  Asyncio has no call for that.

        Closing the transport would say so, too, but breaks the connection off at once if the peer is still sending, and the
        reset that this causes can destroy the last message.
        """
        transport = self._transport
        if not transport.is_closing() and transport.is_reading():
            with suppress(OSError):  # raised since it would wait for the peer to say so as well
                cast(ssl.SSLObject, transport.get_extra_info("ssl_object")).unwrap()
            transport.pause_reading()
            transport.resume_reading()  # which writes what `unwrap` has said
