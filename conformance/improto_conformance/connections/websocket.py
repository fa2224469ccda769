"""The suite's end of a WebSocket: each message is one frame, and the codec is agreed on as the subprotocol.

It uses the part of the package `websockets` that does no I/O, over any link that carries bytes.  So parties wait here as on a
stream, and no thread reads ahead of them.  Parties and transcripts see messages as they are on a stream; this module adds and
removes the framing.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.typing import Origin, Subprotocol
from websockets.uri import WebSocketURI, parse_uri

from improto.codec import Codec, LineCodec
from improto.errors import DecodeError
from improto.messages import Role
from improto_conformance.connections.links import Connect, Link, MessageLink, Misframed, Refused, unframed

__all__ = ["Dialer", "WebSocketLink", "subprotocol"]

_LIMIT: Final = 16 * 1024 * 1024 + 1024  # bytes of one message
_MESSAGES: Final = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


def subprotocol(codec: Codec) -> str:
    """Give the subprotocol of a codec (WS-3)."""
    return f"improto.v1.{codec.name}"


class Dialer:
    """Makes WebSockets at one address over links that carry bytes: a `Connect`."""

    def __init__(self, dial: Connect, uri: str) -> None:
        """Connect with `dial`, and request the resource of `uri`."""
        self._dial = dial
        self._uri = parse_uri(uri)

    def __call__(self, timeout: float, codec: Codec) -> "WebSocketLink":
        """Connect and agree on the codec; OSError if that fails."""
        link = self._dial(timeout, codec)
        try:
            protocol, events = _shake(link, self._uri, [subprotocol(codec)], timeout)
            if protocol.subprotocol != subprotocol(codec):
                raise Refused(f"it does not agree to the subprotocol {subprotocol(codec)}")
        except OSError:
            link.close()
            raise
        return WebSocketLink(link, protocol, codec, events)

    def answer(
        self, timeout: float, codec: Codec, offered: Sequence[str], *, origin: str | None = None
    ) -> str:
        """Tell how the server answers an offer of subprotocols and compression, for people and judgements."""
        link = self._dial(timeout, codec)
        try:
            protocol, _ = _shake(link, self._uri, offered, timeout, origin=origin, deflate=True)
        except Refused:
            return "refused"
        finally:
            link.close()
        extensions = ", ".join(extension.name for extension in protocol.extensions)
        return f"agreed to {protocol.subprotocol} with {extensions or 'no extension'}"


class WebSocketLink(MessageLink):
    """A link over a WebSocket."""

    def __init__(self, link: Link, protocol: ClientProtocol, codec: Codec, frames: Sequence[Frame]) -> None:
        """Made by `Dialer`; `frames` came with the handshake."""
        self.fragment = 0
        """How many bytes each frame of a message has; 0 for all in one."""
        self.pongs = 0
        """How many pings the server has answered, among what was received."""
        self._link = link
        self._protocol = protocol
        self._codec = codec
        self._frames = list(frames)
        self._parts: list[Frame] = []  # of a message that is not complete yet

    def now(self) -> float:
        """Give the time of the link below."""
        return self._link.now()

    def send(self, data: bytes) -> None:
        """Send one message, which is given as it is on a stream."""
        payload = unframed(self._codec, data)
        size = self.fragment or max(1, len(payload))
        pieces = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
        with suppress(WebSocketException):  # a server that has closed already is seen when reading
            for number, piece in enumerate(pieces, 1):
                self._send_piece(piece, first=number == 1, last=number == len(pieces))
        self._flush()

    def _send_piece(self, piece: bytes, *, first: bool, last: bool) -> None:
        if not first:
            self._protocol.send_continuation(piece, last)
        elif self._codec.binary:  # WS-2
            self._protocol.send_binary(piece, last)
        else:
            self._protocol.send_text(piece, last)

    def ping(self) -> None:
        """Send a ping."""
        self._protocol.send_ping(b"improto")
        self._flush()

    def receive(self, timeout: float) -> bytes:
        """Receive one message, as it would be on a stream; Misframed if it was not in the right kind of frame."""
        end = self.now() + timeout
        while True:
            while self._frames:
                frame = self._frames.pop(0)
                if frame.opcode is Opcode.PONG:
                    self.pongs += 1
                elif frame.opcode is Opcode.CLOSE:
                    return b""
                elif frame.opcode in _MESSAGES:
                    self._parts.append(frame)
                    if frame.fin:
                        return self._whole()
            if self._protocol.parser_exc is not None:
                return b""  # a stream that is no longer a WebSocket counts as ended
            data = self._link.receive(end - self.now())
            if not data:
                return b""
            self._protocol.receive_data(data)
            self._frames += [event for event in self._protocol.events_received() if isinstance(event, Frame)]
            self._flush()

    def _whole(self) -> bytes:
        payload = b"".join(bytes(part.data) for part in self._parts)
        binary = self._parts[0].opcode is Opcode.BINARY
        self._parts.clear()
        data = self._codec.frame(payload)
        if binary is not self._codec.binary:
            raise Misframed(f"WS-2: a {'binary' if binary else 'text'} message in {self._codec.name}", data)
        if isinstance(self._codec, LineCodec) and b"\n" in payload:
            raise Misframed(f"WS-1: a line end in a message: {payload[-80:]!r}", data)
        try:
            self._codec.decode(payload, Role.SERVER)
        except DecodeError as error:
            raise Misframed(f"WS-1: {error}", data) from None
        return data

    def half_close(self) -> None:
        """Send a close frame, which is the nearest thing to a half-close on WebSocket."""
        self._protocol.send_close(1000)
        self._flush()

    def reset(self) -> None:
        """Reset the connection without a close frame."""
        self._link.reset()

    def close(self) -> None:
        """Close; harmless if that was done."""
        with suppress(WebSocketException):
            self._protocol.send_close(1000)
        self._flush()
        self._link.close()

    def _flush(self) -> None:
        _flush(self._link, self._protocol)


def _flush(link: Link, protocol: ClientProtocol) -> None:
    data = b"".join(protocol.data_to_send())
    if data:
        link.send(data)


def _shake(
    link: Link,
    uri: WebSocketURI,
    offered: Sequence[str],
    timeout: float,
    *,
    origin: str | None = None,
    deflate: bool = False,
) -> tuple[ClientProtocol, list[Frame]]:
    """Do the handshake; give also the frames that came with the answer."""
    end = link.now() + timeout
    protocol = ClientProtocol(
        uri,
        origin=None if origin is None else Origin(origin),
        extensions=[ClientPerMessageDeflateFactory()] if deflate else None,
        subprotocols=[Subprotocol(each) for each in offered] or None,
        max_size=_LIMIT,
    )
    protocol.send_request(protocol.connect())
    _flush(link, protocol)
    while True:
        try:
            data = link.receive(end - link.now())
        except TimeoutError:
            raise Refused(f"it does not answer the WebSocket handshake within {timeout:g} s") from None
        if data:
            protocol.receive_data(data)
        else:
            protocol.receive_eof()
        events = protocol.events_received()
        if protocol.handshake_exc is not None:
            raise Refused(_reason(protocol.handshake_exc))
        if any(isinstance(event, Response) for event in events):
            return protocol, [event for event in events if isinstance(event, Frame)]


def _reason(error: Exception) -> str:
    if isinstance(error, InvalidStatus):
        return f"it answers the WebSocket handshake with HTTP status {error.response.status_code}"
    return f"it does not answer the WebSocket handshake as it has to ({error})"
