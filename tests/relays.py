"""Servers on other transports, for the tests: the reference on TCP, and relays in front of it.

They run on a loop in a thread of their own.  The relay on WebSocket can be wrong in one of several ways.
"""

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Coroutine, Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import trustme
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from improto.bindings.asyncio import Server
from improto.codec import Codec, LineCodec, available, load
from improto.errors import DecodeError
from improto.messages import Role
from improto.server import Hub, Policy
from improto.service import Service
from programs import DEADLINE

__all__ = ["FAULTS", "Relays", "relays"]

FAULTS = {
    "any subprotocol": "WS-4",
    "the first subprotocol": "WS-3",
    "any origin": "WS-6",
    "compression": "WS-5",
    "binary for text": "WS-2",
    "several in one": "WS-1",
    "line ends": "WS-1",
    "fragments are messages": "WS-1",
    "lines are messages": "WS-9",
    "ends at what is malformed": "WS-9",
    "ghosts": "WS-8",
}
"""What a relay on WebSocket can do wrongly, and the clause that it violates."""

_T = TypeVar("_T")
_CODECS = {f"improto.v1.{name}": name for name in available()}


@contextmanager
def relays() -> Generator["Relays"]:
    """Run the reference and give what puts relays in front of it; all are stopped at the end."""
    made = Relays()
    thread = threading.Thread(target=made.loop.run_forever)
    thread.start()
    try:
        yield made.start()
    finally:
        made.stop()
        made.loop.call_soon_threadsafe(made.loop.stop)
        thread.join()
        made.loop.close()


class Relays:
    """The reference on a port of TCP, and relays."""

    def __init__(self) -> None:
        """Begin with a loop that has to be run."""
        self.loop = asyncio.new_event_loop()
        self.port = 0
        self._reference: Server | None = None
        self._servers: list[Any] = []
        self._ghosts: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Future[Any]] = set()

    def start(self) -> "Relays":
        """Start the reference."""

        async def listen() -> tuple[str, int]:
            service = Service(Hub(Policy(settle=0.02)), [load(name) for name in available()])
            self._reference = Server(service)
            return await self._reference.listen("127.0.0.1", 0)

        _, self.port = self._do(listen())
        return self

    def stop(self) -> None:
        """Stop all."""

        async def stop() -> None:
            for server in self._servers:
                server.close()
            for ghost in self._ghosts:
                ghost.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self._reference is not None:
                await self._reference.close()

        self._do(stop())

    def unix(self, path: str) -> None:
        """Listen on a Unix socket."""
        self._servers.append(self._do(asyncio.start_unix_server(self._relay, path)))

    def tls(self, ca: trustme.CA) -> int:
        """Listen behind TLS, with a certificate for `localhost`; give the port."""
        return self._listen(asyncio.start_server(self._relay, "127.0.0.1", 0, ssl=_secure(ca)))

    def websocket(self, fault: str = "", ca: trustme.CA | None = None) -> int:
        """Listen on WebSocket, perhaps behind TLS and with one of `FAULTS`; give the port."""

        def choose(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
            return offered[0] if offered else None

        async def listen() -> Any:
            return await serve(
                lambda socket: self._converse(socket, fault),
                "127.0.0.1",
                0,
                ssl=None if ca is None else _secure(ca),
                subprotocols=[Subprotocol(name) for name in _CODECS],
                select_subprotocol=choose if fault.endswith("subprotocol") else None,
                origins=None if fault == "any origin" else [None],
                compression="deflate" if fault == "compression" else None,
                ping_interval=None,
                close_timeout=1,
            )

        return self._listen(listen())

    def _do(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(DEADLINE)

    def _listen(self, work: Coroutine[Any, Any, Any]) -> int:
        self._servers.append(self._do(work))
        return int(self._servers[-1].sockets[0].getsockname()[1])

    def _keep(self, task: "asyncio.Future[Any] | None") -> None:
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._keep(asyncio.current_task())
        there, here = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            await asyncio.gather(_pump(reader, here), _pump(there, writer))
        except asyncio.CancelledError:
            pass  # asyncio would log it
        finally:
            here.close()
            writer.close()

    async def _converse(self, socket: ServerConnection, fault: str) -> None:
        codec = load(_CODECS.get(socket.subprotocol or "", "json"))
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        down = asyncio.ensure_future(_send(reader, socket, codec, fault))
        self._keep(down)
        try:
            with suppress(ConnectionClosed):
                async for payload in _payloads(socket, fault):
                    if fault == "ends at what is malformed":
                        codec.decode(payload, Role.CLIENT)
                    if isinstance(codec, LineCodec) and fault != "lines are messages":
                        payload = payload.replace(b"\n", b"\0")  # what is malformed stays malformed
                    writer.write(codec.frame(payload))
                    await writer.drain()
            if fault == "ghosts":
                self._ghosts.append(writer)
        except (DecodeError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            down.cancel()
            if writer not in self._ghosts:
                writer.close()


def _secure(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    return context


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(64 * 1024):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        else:
            writer.close()
    except (ConnectionError, ssl.SSLError):
        writer.transport.abort()


async def _payloads(socket: ServerConnection, fault: str) -> AsyncIterator[bytes]:
    while True:
        parts = [part if isinstance(part, bytes) else part.encode() async for part in socket.recv_streaming()]
        for payload in parts if fault == "fragments are messages" else [b"".join(parts)]:
            yield payload


async def _send(reader: asyncio.StreamReader, socket: ServerConnection, codec: Codec, fault: str) -> None:
    messages = codec.reader(Role.SERVER)
    text = not codec.binary and fault != "binary for text"
    with suppress(ConnectionClosed, ConnectionError):
        while data := await reader.read(64 * 1024):
            messages.feed(data)
            payloads: list[bytes] = []
            while (message := messages.next(16 * 1024 * 1024)) is not None:
                payloads.append(codec.encode(message) + (b"\n" if fault == "line ends" else b""))
            for payload in [b"\n".join(payloads)] if fault == "several in one" else payloads:
                await socket.send(payload, text=text)
        await socket.close()
