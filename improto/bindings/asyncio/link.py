"""One accepted connection of a server on asyncio.

It moves bytes between a transport and `links.Link`, which decides; it asks its server for turns only.
"""

import asyncio
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from improto.bindings.sockets import certified_name, credentials, watch
from improto.links import PORTION, Link, Phase

if TYPE_CHECKING:  # it makes these
    from improto.bindings.asyncio.server import Server

__all__ = ["StreamLink"]

_HIGH_WATER: Final = 64 * 1024
# In Python 3.11, looking a member up takes longer than most of what is done for a connection.
_OPEN: Final = Phase.OPEN


class StreamLink(Link, asyncio.Protocol):
    """One accepted connection on a transport of asyncio; other listeners derive theirs of it."""

    __slots__ = ("_reads", "_server", "_shut", "_transport")
    _transport: asyncio.Transport

    def __init__(self, server: "Server") -> None:
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
        # Behind TLS asyncio takes nothing more after this, so what is due is written now, as far as there is time and room.
        while self.phase is _OPEN and not self.paused and self._server.hurry():
            pass
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
