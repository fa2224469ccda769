"""A proxy that passes bytes on between clients and a server, unchanged and at once, and judges both sides.

    referee = Referee(upstream, report)
    address = await referee.listen("127.0.0.1", 0)
    ...
    await referee.close()

Whenever all users are offline, `report` gets the transcript of what has passed since the last such moment.  So memory is
bounded by what happens between two such moments, and the size of a recording bounds that in turn: when a recording is full,
`report` gets the transcript up to there, and until all users are offline bytes are only passed on.

What one side does to its connection is done to the other side as well: ending its stream, resetting it, or not reading, since
the referee reads nothing for a side for which more than a little is waiting.
"""

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Final, cast

from improto_conformance.connections.addresses import Streams, Upstream
from improto_conformance.connections.links import CUTS
from improto_conformance.pairs.wiretap import Recording, Tap
from improto_conformance.transcripts.transcript import Entry, Event, Transcript

__all__ = ["Manner", "Referee"]

_PIECE: Final = 64 * 1024
_GATHERING: Final = 0.01  # seconds for which bytes are held that are to be joined
_PATIENCE: Final = 10.0  # seconds that the server may take to accept a connection


@dataclass(frozen=True, slots=True)
class Manner:
    """How bytes are passed on: never changed, but perhaps later or in other pieces."""

    cut: str = "whole"
    """How each read is cut into writes, in both directions (`links.CUTS`)."""
    delay: float = 0.0
    """Seconds by which each read is passed on later; what comes meanwhile follows in one piece."""
    breaks: int | None = None
    """Bytes in one direction after which the connection is reset, on both sides."""

    async def wait(self) -> None:
        """Wait, so that more bytes come in, if this is wanted."""
        way = CUTS[self.cut]
        least = _GATHERING if way is not None and way.holds else 0.0
        if self.delay or least:
            await asyncio.sleep(max(self.delay, least))


class Referee:
    """Passes on all connections to one server."""

    def __init__(
        self,
        upstream: Upstream,
        report: Callable[[Transcript, bool], None],
        *,
        manner: Manner | None = None,
        codecs: Sequence[str] = (),
        complain: Callable[[str], None] = print,
    ) -> None:
        """Pass on to the server at `upstream`.

        `report` gets each transcript, and whether it ends because the recording was full; `complain` gets lines about
        problems that keep the referee from its work.

        With one codec in `codecs`, all connections use it; otherwise their first bytes decide.
        """
        self._upstream = upstream
        self._report = report
        self._manner = manner or Manner()
        self._codecs = codecs
        self._complain = complain
        self._recording = Recording(codecs)
        self._unsure = False  # whether a connection was reset since the last time that nobody was connected
        self._connections: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Listen on TCP and give the address that was taken, which tells the port if it was 0; OSError if it fails."""
        self._listener = await asyncio.start_server(self._accepted, host, port, limit=_PIECE)
        return cast(tuple[str, int], self._listener.sockets[0].getsockname()[:2])

    async def close(self) -> None:
        """Stop listening, end all connections, and report what has not been reported."""
        if self._listener is not None:
            self._listener.close()
        for task in self._connections:
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections)
        self._hand_in()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._connections.add(task)
        try:
            with suppress(asyncio.CancelledError):  # the referee ends, and this connection with it
                await self._serve((reader, writer))
        finally:
            self._connections.discard(task)
            writer.close()
            if not self._connections:
                self._quiet()

    async def _serve(self, client: Streams) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                server = await self._upstream.open(limit=_PIECE)
        except OSError as error:  # also if it takes too long
            reason = error.strerror or "it does not answer"
            self._complain(
                f"{self._upstream.where} cannot be reached ({reason}); is the server still running?"
            )
            _break(client)
            return
        try:
            tap = self._recording.connect()
            await self._connect(client, server, tap)
            self._unsure = self._unsure or not tap.closed
        finally:
            server[1].close()

    def note(self, party: str, event: Event, text: str) -> None:
        """Add to the transcript something that is known at one end; may be called in any thread."""
        self._recording.note(Entry(party, event, text, time.monotonic()))

    def _quiet(self) -> None:
        """Begin a new transcript, if all users are certainly offline; not if one was reset, which the server may notice later."""
        if self._recording.full and self._unsure:
            self._unsure = False  # of those who broke off by now it will know at the next such moment
        elif self._recording.full or self._recording.settled:
            self._hand_in()
            self._recording = Recording(self._codecs)
            self._unsure = False

    def _hand_in(self) -> None:
        seen = self._recording.take()
        if seen.entries:
            self._report(seen, self._recording.full)

    async def _connect(self, client: Streams, server: Streams, tap: Tap) -> None:
        """Pass bytes on in both directions until both have ended, or one side resets the connection."""
        # Where nothing comes after a client's end, what was under way to it may be lost.
        ended = tap.client_ended if self._upstream.half_closes else tap.client_broke
        up = _Side(client, self._manner.cut, tap.from_client, ended, tap.client_broke)
        down = _Side(server, self._manner.cut, tap.from_server, tap.server_ended, tap.server_ended)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(up, down))
                group.create_task(self._pass_on(down, up))
        except* _Broken as broken:
            first = cast(_Broken, broken.exceptions[0])
            (first.side or up).broke()  # for the server, a reset by the referee is a reset by the client
            for streams in (client, server):
                _break(streams)

    async def _pass_on(self, source: "_Side", sink: "_Side") -> None:
        passed = 0
        while data := await source.read():
            source.note(data)
            if self._recording.full:
                self._hand_in()
            await self._manner.wait()
            left = data if self._manner.breaks is None else data[: self._manner.breaks - passed]
            await sink.write(left)
            passed += len(left)
            if passed == self._manner.breaks:
                raise _Broken(None)
        source.ended()
        sink.end()


class _Side:
    """One end of a connection: what it sends is recorded, and what the other end sends is written to it."""

    def __init__(
        self,
        streams: Streams,
        cut: str,
        note: Callable[[bytes], None],
        ended: Callable[[], None],
        broke: Callable[[], None],
    ) -> None:
        self._reader, self._writer = streams
        self._over = False  # closed from here, where a stream cannot be ended otherwise
        self._way = CUTS[cut]
        self._random = Random(0)  # so that the same bytes are always cut at the same places
        self.note, self.ended, self.broke = note, ended, broke

    async def read(self) -> bytes:
        try:
            return await self._reader.read(_PIECE)
        except OSError:
            if self._over:
                return b""
            raise _Broken(self) from None

    async def write(self, data: bytes) -> None:
        try:
            for piece in [data] if self._way is None else self._way.pieces(data, self._random):
                self._writer.write(piece)
                await self._writer.drain()
        except OSError:
            raise _Broken(self) from None

    def end(self) -> None:
        with suppress(OSError):  # it was reset, which its reader will notice
            if self._writer.can_write_eof():
                self._writer.write_eof()
            else:
                self._over = True
                self._writer.close()


class _Broken(Exception):
    """A side has reset the connection; if no side is named, the referee has."""

    def __init__(self, side: _Side | None) -> None:
        super().__init__()
        self.side = side


def _break(streams: Streams) -> None:
    """Have the system send a reset."""
    transport = streams[1].transport
    sock = cast("socket.socket | None", transport.get_extra_info("socket"))
    if sock is not None and not transport.is_closing():
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
