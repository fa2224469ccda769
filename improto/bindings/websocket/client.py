"""A client on WebSocket: the session of `improto.bindings.asyncio`, on streams that hide the frames.

To the session, each message stands on the stream behind its length; the server sees a WebSocket message instead.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from logging import WARNING, getLogger
from typing import Final, cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, InvalidURI, WebSocketException
from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI, parse_uri

from improto.bindings.asyncio.client import Session, registered
from improto.bindings.asyncio.stream import AHEAD, Writer, reach
from improto.bindings.sockets import WANTED, cannot_connect, client_tls
from improto.bindings.websocket.framing import kind, messages
from improto.client import Timeouts
from improto.codec import Codec, LengthCodec, load
from improto.errors import CannotConnect, UsageError
from improto.limits import Limits
from improto.user import Backoff, User

__all__ = ["connect", "dial"]

_LOG: Final = getLogger(__name__)
_LOG.setLevel(WARNING)  # at lower levels the package would log what people say
_HEADER: Final = 4  # bytes of a length
_HEAD: Final = 4 * 1024  # bytes of the handshake that are looked at in one turn
_UNTAKEN: Final = 64 * 1024
"""While more bytes than these wait for a server that takes nothing, its pings and closes are not answered."""
_IN_ORDER: Final = (CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.NO_STATUS_RCVD)


class _Reader(asyncio.StreamReader):
    """Turns the frames that arrive into messages behind their lengths, when they are read."""

    def __init__(self, uri: WebSocketURI, codec: LengthCodec) -> None:
        super().__init__(AHEAD, asyncio.get_running_loop())
        self.websocket = ClientProtocol(
            uri,
            subprotocols=[Subprotocol(codec.name)],
            max_size=Limits().roster,
            logger=_LOG,
        )
        self.codec = codec
        self._messages = bytearray()  # that nobody has read yet
        self._parts = bytearray()
        # Why this side has failed the connection, however the server closes it.
        self._failed: Close | None = None

    async def agree(self, transport: asyncio.Transport) -> None:
        """Shake hands.  OSError or WebSocketException if no WebSocket comes about."""
        websocket, self._connected = self.websocket, transport
        websocket.send_request(websocket.connect())
        self.flush()
        while websocket.state is State.CONNECTING and websocket.handshake_exc is None:
            self._take_in(await super().read(_HEAD))
        if websocket.handshake_exc is not None:
            raise websocket.handshake_exc

    async def read(self, n: int = -1) -> bytes:
        """Give the messages in the next `n` bytes that hold any; raises at the end, unless the connection ended in order."""
        while not self._messages and self.websocket.state is State.OPEN:
            self._take_in(await super().read(n))
            if not self._messages:
                await asyncio.sleep(0)  # so that others have their turns, however many pings there are
        messages, self._messages = bytes(self._messages), bytearray()
        failure = None if messages else self._failure()
        if failure is not None:
            raise failure
        return messages

    def _take_in(self, data: bytes) -> None:
        """Take in what arrived, or the end of the stream."""
        websocket = self.websocket
        if data:
            websocket.receive_data(data)
        else:
            websocket.receive_eof()
        for event in websocket.events_received():
            if not isinstance(event, Response) and not self._take_in_frame(cast(Frame, event)):
                break
        if self._connected.get_write_buffer_size() <= _UNTAKEN:
            self.flush()
        else:
            websocket.data_to_send()

    def _take_in_frame(self, frame: Frame) -> bool:
        """Take in a frame; False if what follows it does not count any more."""
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY) and frame.opcode is not kind(self.codec):  # WS-2
            reason = f"{self.codec.name} comes in {kind(self.codec).name.lower()} messages"
            self._failed = Close(CloseCode.UNSUPPORTED_DATA, reason)
            self.websocket.fail(self._failed.code, reason)
            return False
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            self._parts += frame.data
            if frame.fin:
                self._messages += len(self._parts).to_bytes(_HEADER) + self._parts
                self._parts.clear()
        return True

    def _failure(self) -> OSError | None:
        """Give what is wrong if the connection does not end in order, or None."""
        by_server = self._failed is None and self.websocket.close_rcvd_then_sent
        close = self.websocket.close_rcvd if by_server else self._failed or self.websocket.close_sent
        if close is None or close.code in _IN_ORDER:
            return None
        return ConnectionAbortedError(f"closed by {'the server' if by_server else 'this side'}: {close}")

    def flush(self) -> None:
        """Write what the package has to say."""
        self._connected.write(b"".join(self.websocket.data_to_send()))


class _Writer(Writer):
    """Turns messages behind their lengths into frames."""

    def __init__(
        self, transport: asyncio.Transport, protocol: asyncio.StreamReaderProtocol, reader: _Reader
    ) -> None:
        super().__init__(transport, protocol, reader)
        self._frames = reader

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send one message."""
        websocket = self._frames.websocket
        if data and websocket.state is State.OPEN:
            send = websocket.send_binary if self._frames.codec.binary else websocket.send_text
            send(bytes(data[_HEADER:]))
            self._frames.flush()

    def close(self) -> None:
        """Close in order."""
        if self._frames.websocket.state is State.OPEN:
            self._frames.websocket.send_close(CloseCode.NORMAL_CLOSURE)
            self._frames.flush()
        super().close()


async def dial(
    url: str,
    codec: Codec | str = "json",
    *,
    tls: ssl.SSLContext | None = None,
    timeouts: Timeouts | None = None,
    reconnect: Backoff | None = None,
) -> Session:
    """Connect to a ws:// or wss:// URL without registering; most programs want `connect`.

    Takes and raises what `improto.bindings.asyncio.dial` does; CannotConnect also if the server does not agree to a
    WebSocket.  There is no `gap`, since messages on WebSocket are never taken for one.
    """
    try:
        uri = parse_uri(url)
        uri.host.encode("idna")
    except (InvalidURI, ValueError):
        raise UsageError(f"{url!r} is no address; write it like ws://HOST:PORT or wss://HOST:PORT") from None
    spoken = messages(load(codec) if isinstance(codec, str) else codec)
    context = client_tls(url, tls, secure=uri.secure)
    user = User(spoken, asyncio.get_running_loop().time(), reconnect, timeouts)
    times = user.timeouts

    async def streams() -> tuple[asyncio.StreamReader, Writer]:
        loop = asyncio.get_running_loop()
        reader = _Reader(uri, spoken)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        try:
            async with asyncio.timeout(times.connect):
                transport, _ = await loop.create_connection(
                    lambda: protocol,
                    sock=await reach(uri.host, uri.port, times.connect),
                    ssl=context,
                    server_hostname=uri.host if uri.secure else None,
                )
                try:
                    await reader.agree(transport)
                    if reader.websocket.subprotocol is None:  # WS-3: the package lets that pass
                        raise CannotConnect(f"{url} agrees to no codec; is it an improto server?")
                except BaseException:
                    transport.abort()
                    raise
        except OSError as error:
            raise cannot_connect(url, error, times.connect) from error
        except WebSocketException as error:
            raise CannotConnect(
                f"{url} does not agree to a WebSocket: {_answer(error, secure=uri.secure)}"
            ) from error
        return reader, _Writer(transport, protocol, reader)

    return Session(user, streams, await streams())


def _answer(error: WebSocketException, *, secure: bool) -> str:
    if isinstance(error, InvalidStatus):
        return f"{error}; check the address, and the codec"
    return f"{error}; is there a server for WebSocket, or {WANTED if secure else 'does it use TLS (wss://)?'}"


@asynccontextmanager
async def connect(
    url: str,
    username: str,
    *,
    status: str = "",
    codec: Codec | str = "json",
    tls: ssl.SSLContext | None = None,
    timeouts: Timeouts | None = None,
    reconnect: Backoff | None = None,
) -> AsyncGenerator[Session]:
    """Connect to a ws:// or wss:// URL and register, as `improto.bindings.asyncio.connect` does."""
    session = await dial(url, codec, tls=tls, timeouts=timeouts, reconnect=reconnect)
    async with registered(session, username, status):
        yield session
