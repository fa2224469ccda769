"""A server's WebSockets, and pages for browsers on the same port.

What is sent is made into a frame once for each codec, not once for each receiver.  What arrives is looked at a little in
each turn.
"""

import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from logging import WARNING, getLogger
from typing import Final, cast
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.exceptions import PayloadTooBig
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Origin, Subprotocol

from improto.addresses import check_origin
from improto.bindings.asyncio import Server, StreamLink
from improto.bindings.websocket.framing import framed, kind, messages, subprotocol
from improto.codec import Codec
from improto.links import Phase
from improto.messages import Code

__all__ = ["listen"]

_PIECE: Final = 4 * 1024  # of what has arrived, looked at in one turn: it may hold hundreds of frames
_HEAD: Final = 16 * 1024  # of a handshake
_TOO_LONG: Final = b"\xff\xff\xff\xff"  # the length of what nobody has kept
_PING_S: Final = 30.0  # so who falls silent is found within 60 s (WS-7)
_LOG: Final = getLogger(__name__)
_LOG.setLevel(WARNING)  # what the package would tell above that holds what people say
_REASONS: Final = {
    "goodbye": CloseCode.NORMAL_CLOSURE,
    "end of stream": CloseCode.NORMAL_CLOSURE,
    Code.SHUTTING_DOWN: CloseCode.GOING_AWAY,
    Code.TOO_LARGE: CloseCode.MESSAGE_TOO_BIG,
}
"""Why the service closes → the close code; a policy violation for all else."""


@dataclass(frozen=True, slots=True)
class _Terms:
    """What the connections of one listener have in common."""

    codecs: Mapping[str, Codec]
    """Subprotocol → codec that writes frames."""
    origins: Collection[str]
    page: Mapping[str, Response]
    """Path → what is served there."""
    ping: float


async def listen(
    server: Server,
    host: str,
    port: int,
    *,
    tls: ssl.SSLContext | None = None,
    origins: Collection[str] = (),
    page: Mapping[str, Response] | None = None,
    ping: float = _PING_S,
) -> tuple[str, int]:
    """Have `server` listen on WebSocket, behind TLS if there is a context for it, and give the address that was taken.

    Web pages may connect that come from this address itself, as long as that is a number or `localhost`, or from one of
    `origins`, such as `https://chat.example.org`; programs that are no browsers name no origin and may (WS-6).  UsageError
    if no browser names one of them so.  `page` holds what is served to those who ask for no WebSocket, by path.  Clients
    are pinged every `ping` seconds, and lost if nothing has come since the last time (WS-7).
    """
    for origin in origins:
        check_origin(origin)
    codecs = {subprotocol(codec): messages(codec, framed) for codec in server.service.codecs}
    terms = _Terms(codecs, origins, page or {}, ping)
    return await server.listen(host, port, tls=tls, link=lambda: _WebSocket(server, terms))


class _WebSocket(StreamLink):
    """One accepted connection: a handshake, then messages; or a request for a page."""

    def __init__(self, server: Server, terms: _Terms) -> None:
        super().__init__(server)
        self._terms = terms
        # No extension is given, so none is agreed on, compression neither (WS-5).
        self._protocol = ServerProtocol(
            subprotocols=[Subprotocol(name) for name in terms.codecs],
            max_size=server.service.hub.limits.request,
            logger=_LOG,
        )
        self._raw = bytearray()  # not looked at yet
        self._head = 0  # bytes of the handshake so far
        self._parts = bytearray()  # of a message in several frames
        self._heard = True  # something since the last ping
        self._over = False  # nothing that follows is looked at
        self._at_end = False
        self._said = False  # all there is to say, with a close frame at its end
        self._last = b""  # that close frame, if the peer has caused it

    def opened(self, now: float, address: str, *, agreeing: bool = True) -> None:
        # The time to register is the time for the handshake, too (CONN-17).
        super().opened(now, address, agreeing=agreeing)

    def received(self, data: bytes) -> None:
        self._heard = True
        if self.phase is not Phase.OVER:
            self._raw += data
            self._parse()

    def ended(self) -> None:
        self._at_end = True
        super().ended()

    def lost(self) -> None:
        self._raw.clear()
        super().lost()

    def expired(self, *, gap: bool) -> None:
        silent = not self._heard and self.reading  # WS-7
        if gap or silent or self._over or self.phase is not Phase.OPEN:
            super().expired(gap=gap)
        else:
            self._heard = False
            self._protocol.send_ping(b"")
            self._put(b"".join(self._protocol.data_to_send()))
            self.links.close_within(self, self._terms.ping, self._server.now())

    def flushed(self, now: float) -> None:
        super().flushed(now)
        if self.phase is Phase.OVER and not self._at_end:  # the peer may still be sending, to its own harm
            self.phase = Phase.LINGERING

    def refresh(self) -> None:
        super().refresh()
        if self._raw and self.phase is not Phase.OVER:
            self._read(False)
            if self.reading or self.phase is not Phase.OPEN:  # the peer's end is behind what does not count
                self._parse()
                self.links.touch(self)  # to read on

    def take(self, now: float) -> bytes | memoryview | None:
        if self.peer.flush is not None and not self._said:
            self._said = True
            self._waiting += [*self.peer.take(), self._farewell()]
        return super().take(now)

    def _put(self, data: bytes) -> None:
        """Have something written that is no message."""
        if data and not self._said:
            self._waiting.append(data)
            self.links.touch(self)

    def _farewell(self) -> bytes:
        if self._protocol.state is State.OPEN:
            code = _REASONS.get(self.peer.reason, CloseCode.POLICY_VIOLATION)
            self._protocol.send_close(code, self.peer.reason)
            return b"".join(self._protocol.data_to_send())
        return self._last

    def _parse(self) -> None:
        """Look at a little of what has arrived, so that others have their turns in between."""
        while self._raw and self.peer.codec_name is None and not self._over:
            # Line by line: nothing may follow a handshake before its answer.
            self._receive(self._raw.find(b"\n") + 1 or len(self._raw))
        if self._over:
            self._raw.clear()
        elif self._raw:
            self._receive(_PIECE)
        if self._raw:
            self._read(False)
            self.links.touch(self)

    def _receive(self, size: int) -> None:
        """Have the package understand so many bytes, and do what follows."""
        protocol = self._protocol
        piece = bytes(self._raw[:size])
        del self._raw[:size]
        protocol.receive_data(piece)
        for event in protocol.events_received():
            if isinstance(event, Request):
                self._answer(event)
            elif not self._take_in(cast(Frame, event)):
                break
        if protocol.state is State.CONNECTING:
            self._head += len(piece)
            if self._head > _HEAD and not protocol.eof_sent:
                protocol.send_response(protocol.reject(431, "The request is too long.\n"))
        data = b"".join(protocol.data_to_send())
        if protocol.eof_sent:
            self._end(data)
        else:
            self._put(data)

    def _end(self, data: bytes) -> None:
        """Note that nothing that follows counts; `data` is the last to be sent."""
        protocol = self._protocol
        self._over = True
        if protocol.state is State.CONNECTING:  # no WebSocket comes about; this is the answer
            self._put(data or protocol.reject(400, "This is a server for WebSocket.\n").serialize())
        else:
            self._last = data  # behind the replies to what came before
        if isinstance(protocol.parser_exc, PayloadTooBig):
            self.links.service.receive(self.peer, _TOO_LONG)  # refused by its length alone
        if protocol.close_rcvd is not None:  # WS-8
            self.ended()
        else:
            self.links.service.end(self.peer)

    def _take_in(self, frame: Frame) -> bool:
        """Take in a frame; False if what follows it does not count."""
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            codec = self._terms.codecs[str(self._protocol.subprotocol)]
            if frame.opcode is not kind(codec):  # WS-2
                reason = f"{codec.name} comes in {kind(codec).name.lower()} messages"
                self._protocol.fail(CloseCode.UNSUPPORTED_DATA, reason)
                return False
        elif frame.opcode is not Opcode.CONT:
            return True
        self._parts += frame.data
        if frame.fin:
            self.links.service.receive(self.peer, len(self._parts).to_bytes(4) + self._parts)
            self._parts.clear()
        return True

    def _answer(self, request: Request) -> None:
        """Answer a handshake, or what is none."""
        protocol = self._protocol
        if "Upgrade" not in request.headers and self._terms.page:
            response = self._terms.page.get(request.path.partition("?")[0])
            protocol.send_response(response or protocol.reject(404, "There is no such page.\n"))
            return
        protocol.origins = [None, *map(Origin, self._terms.origins), *self._own_origins(request.headers)]
        response = protocol.accept(request)
        protocol.send_response(response)
        if protocol.subprotocol is not None and protocol.state is State.OPEN:
            self.links.service.agree(self.peer, self._terms.codecs[protocol.subprotocol])
            self.links.close_within(self, self._terms.ping, self._server.now())

    def _own_origins(self, headers: Headers) -> Collection[Origin]:
        """Give the origin of pages from this address, unless it goes by a name.

        For names may be made to lead here, by anybody who has a domain, and so make a strange page seem our own.
        """
        hosts = headers.get_all("Host")
        try:
            [host] = hosts
            name = urlsplit(f"//{host}").hostname or ""
            if name != "localhost":
                ip_address(name)
        except ValueError:
            return []
        scheme = "http" if self._transport.get_extra_info("sslcontext") is None else "https"
        return [Origin(f"{scheme}://{host}")]
