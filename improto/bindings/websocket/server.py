"""WebSocket for an asyncio server, and a page for browsers on the same port.

A message is put into a frame once for each codec, not once for each receiver.  Of what arrives on a connection, only a
little is looked at in each turn, so that the others are not delayed.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from logging import WARNING, getLogger
from typing import Final, cast
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.exceptions import PayloadTooBig
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Event, State
from websockets.server import ServerProtocol
from websockets.typing import Origin, Subprotocol

from improto.addresses import check_origin
from improto.bindings.asyncio import Server, StreamLink
from improto.bindings.sockets import ServerTLS
from improto.bindings.websocket.framing import framed, kind, messages, subprotocol
from improto.codec import Codec
from improto.deadlines import check_seconds
from improto.links import Phase
from improto.messages import Code

__all__ = ["listen"]

_SHARE: Final = 4 * 1024  # bytes of one connection that are looked at in one turn …
_FRAMES: Final = 64  # … and frames; a few more if they are short (FLOW-10)
_PIECE: Final = 512  # bytes after which the frames are counted
_HEAD: Final = 16 * 1024  # the most bytes of a handshake
_TOO_LONG: Final = b"\xff\xff\xff\xff"  # the header of a message over any limit, for one that was not kept
_PING_S: Final = 30.0  # so that a client that has vanished is found within 60 s (WS-7)
_LOG: Final = getLogger(__name__)
_LOG.setLevel(WARNING)  # at lower levels the package would log what people say
_REASONS: Final = {
    "goodbye": CloseCode.NORMAL_CLOSURE,
    "end of stream": CloseCode.NORMAL_CLOSURE,
    Code.SHUTTING_DOWN: CloseCode.GOING_AWAY,
    Code.TOO_LARGE: CloseCode.MESSAGE_TOO_BIG,
}
"""Reason of a close → its code on WebSocket; for all other reasons, that of a policy violation."""


@dataclass(frozen=True, slots=True)
class _Terms:
    """What the connections of one listener have in common."""

    codecs: Mapping[str, Codec]
    """Subprotocol → the codec that writes frames for it."""
    origins: Collection[str]
    page: Mapping[str, Response]
    """Path → the file that is served there."""
    ping: float
    """Seconds between two pings."""


async def listen(
    server: Server,
    host: str,
    port: int,
    *,
    tls: ServerTLS | None = None,
    origins: Collection[str] = (),
    page: Mapping[str, Response] | None = None,
    ping: float = _PING_S,
) -> tuple[str, int]:
    """Let `server` listen for WebSocket, with TLS if `tls` is given, and give the address and port as `Server.listen` does.

    Browsers say from which origin a page comes, and only some pages may connect (WS-6): those from this very address, if
    it is written as a number or as `localhost`, and those from one of `origins`, such as `https://chat.example.org`.
    Programs that are no browsers name no origin, and may always connect.  `page` is what to serve by path to those who
    ask for a file instead of a WebSocket, see `chat_page`.  Clients are pinged every `ping` seconds, and count as lost if
    nothing has come from them since the last ping (WS-7).

    Raises as `Server.listen`; UsageError also if no browser would ever name one of `origins` like this, or if `ping` is
    no time that a clock can take.
    """
    for origin in origins:
        check_origin(origin)
    check_seconds("ping", ping, zero=False)
    codecs = {subprotocol(codec): messages(codec, framed) for codec in server.service.codecs}
    terms = _Terms(codecs, origins, page or {}, ping)
    return await server.listen(host, port, tls=tls, link=lambda: _WebSocket(server, terms))


class _WebSocket(StreamLink):
    """One accepted connection: a handshake, then messages; or a request for a page."""

    def __init__(self, server: Server, terms: _Terms) -> None:
        super().__init__(server)
        self._terms = terms
        # Without `extensions`, none is agreed on, and so no compression (WS-5).
        self._protocol = ServerProtocol(
            subprotocols=[Subprotocol(name) for name in terms.codecs],
            max_size=server.service.hub.limits.request,
            logger=_LOG,
        )
        self._raw = bytearray()  # what has arrived and was not looked at yet
        self._head = 0  # bytes of the handshake so far
        self._parts = bytearray()  # of a message that comes in several frames
        self._heard = True  # whether anything has arrived since the last ping
        self._over = False  # whether what still arrives does not count
        self._at_end = False  # whether the peer's stream has ended
        self._said = False  # whether all was queued that there is to say, up to the close frame
        self._last = b""  # that close frame, if it answers something of the peer's

    def opened(self, now: float, address: str, *, agreeing: bool = True) -> None:
        # The handshake counts as a part of the time to register (CONN-17).
        super().opened(now, address, agreeing=agreeing)

    def received(self, data: bytes) -> None:
        self._heard = True
        if self.phase is not Phase.OVER:
            self._raw += data
            self._parse()

    def ended(self) -> None:
        self._at_end = True
        super().ended()
        self.links.touch(self)

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
        if self.phase is Phase.OVER and not self._at_end:
            # Else what the peer still sends could destroy our last message.
            self.phase = Phase.LINGERING

    def refresh(self) -> None:
        super().refresh()
        wire = self.peer.wire
        if self._at_end and self.phase is Phase.OPEN and not (wire.ready or wire.behind):
            # Nobody waits for the decision about the REGISTER any more, as one might behind a half-close on TCP (CONN-20).
            self.links.service.end(self.peer, lost=True)
        if self._raw and self.phase is not Phase.OVER:
            self._read(False)
            if self.reading or self.phase is not Phase.OPEN:  # during a close, to find the peer's end
                self._parse()
                self.links.touch(self)  # to read on

    def take(self, now: float) -> bytes | memoryview | None:
        if self.peer.flush is not None and not self._said:
            self._said = True
            self._waiting += [*self.peer.take(), self._farewell()]
        return super().take(now)

    def _put(self, data: bytes) -> None:
        """Write something that is no message, such as a pong."""
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
            # Line by line, since the package must not see what follows the handshake before that is answered.
            self._receive(self._raw.find(b"\n") + 1 or len(self._raw))
        if self._over:
            self._raw.clear()
        elif self._raw:
            self._receive(_SHARE)
        if self._raw:
            self._read(False)
            self.links.touch(self)

    def _receive(self, size: int) -> None:
        """Give so many bytes to the package, unless they are too many frames, and do what follows from them."""
        protocol = self._protocol
        share, given = bytes(self._raw[:size]), 0
        events: list[Event] = []
        while given < len(share) and len(events) < _FRAMES:
            protocol.receive_data(share[given : given + _PIECE])
            events += protocol.events_received()
            given += _PIECE
        del self._raw[: min(given, size)]
        for event in events:
            if isinstance(event, Request):
                self._answer(event)
            elif not self._take_in(cast(Frame, event)):
                break
        if protocol.state is State.CONNECTING:
            self._head += len(share)
            if self._head > _HEAD and not protocol.eof_sent:
                protocol.send_response(protocol.reject(431, "The request is too long.\n"))
        data = b"".join(protocol.data_to_send())
        if protocol.eof_sent:
            self._end(data)
        else:
            self._put(data)

    def _end(self, data: bytes) -> None:
        """Note that what still arrives does not count; `data` is the last thing to be sent."""
        protocol = self._protocol
        self._over = True
        if protocol.state is State.CONNECTING:  # no WebSocket comes about; this is the answer
            self._put(data or protocol.reject(400, "This is a server for WebSocket.\n").serialize())
        else:
            self._last = data  # goes out behind the replies to what came before
        if isinstance(protocol.parser_exc, PayloadTooBig):
            self.links.service.receive(self.peer, _TOO_LONG)  # so that the service refuses it by its length
        if protocol.close_rcvd is not None:  # WS-8
            self.ended()
        else:
            self.links.service.end(self.peer)

    def _take_in(self, frame: Frame) -> bool:
        """Take in a frame; False if what follows it does not count any more."""
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
        """Answer a handshake, or a request for a file."""
        protocol = self._protocol
        if "Upgrade" not in request.headers and self._terms.page:
            protocol.send_response(self._file(request))
            return
        protocol.origins = [None, *map(Origin, self._terms.origins), *self._own_origins(request.headers)]
        response = protocol.accept(request)
        protocol.send_response(response)
        if protocol.subprotocol is not None and protocol.state is State.OPEN:
            self.links.service.agree(self.peer, self._terms.codecs[protocol.subprotocol])
            self.links.close_within(self, self._terms.ping, self._server.now())

    def _file(self, request: Request) -> Response:
        """Give the answer to a request for a file; HEAD gets all of it but the body."""
        method = getattr(request, "method", "GET")  # older versions of the package take no other
        if method not in ("GET", "HEAD"):
            refusal = self._protocol.reject(405, "This page can only be read: use GET.\n")
            refusal.headers["Allow"] = "GET, HEAD"
            return refusal
        response = self._terms.page.get(request.path.partition("?")[0])
        response = response or self._protocol.reject(404, "There is no such page.\n")
        return response if method == "GET" else replace(response, body=b"")

    def _own_origins(self, headers: Headers) -> Collection[Origin]:
        """Give the origin of pages that come from this server itself, unless it was asked for by a name.

        Anybody who owns a domain can make a name lead to this address, and so make a page of theirs look like ours.
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
