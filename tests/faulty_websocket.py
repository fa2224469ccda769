"""A server on WebSocket that is wrong in one of several ways, for tests of the checks that are to find it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from improto.bindings.asyncio import Server
from improto.codec import available, load
from improto.errors import DecodeError
from improto.messages import Role
from improto.server import Hub, Policy
from improto.service import Service

__all__ = ["FAULTS", "faulty"]

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
"""What it can do wrongly, and the clause that it violates."""

_JSON = load("json")
_LIMIT = 16 * 1024 * 1024


@asynccontextmanager
async def faulty(fault: str) -> AsyncGenerator[int]:
    """Serve with one of `FAULTS`, or "" for none, in json, and give the port.

    Behind it stands the reference, on TCP, with a connection for each that is accepted here.
    """
    server = Server(Service(Hub(Policy(settle=0.02)), [_JSON]))
    _, port = await server.listen("127.0.0.1", 0)
    over = asyncio.Event()

    async def converse(socket: ServerConnection) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        down = asyncio.create_task(_down(reader, socket, fault))
        with suppress(ConnectionClosed, ConnectionError, DecodeError):
            async for payload in _payloads(socket, fault):
                if fault == "ends at what is malformed":
                    _JSON.decode(payload, Role.CLIENT)
                if fault != "lines are messages":
                    payload = payload.replace(b"\n", b"\0")  # what is malformed stays malformed
                writer.write(_JSON.frame(payload))
        if fault == "ghosts":
            await over.wait()
        writer.close()
        await asyncio.gather(down, socket.close())

    def choose(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return offered[0] if offered else None

    accepting = serve_websocket(
        converse,
        "127.0.0.1",
        0,
        subprotocols=[Subprotocol(f"improto.v1.{name}") for name in available()],
        select_subprotocol=choose if fault.endswith("subprotocol") else None,
        origins=None if fault == "any origin" else [None],
        compression="deflate" if fault == "compression" else None,
        ping_interval=None,
        close_timeout=1,
    )
    try:
        async with accepting as accepted:
            yield int(next(iter(accepted.sockets)).getsockname()[1])
            over.set()
    finally:
        await server.close()


async def _payloads(socket: ServerConnection, fault: str) -> AsyncIterator[bytes]:
    while True:
        parts = [part if isinstance(part, bytes) else part.encode() async for part in socket.recv_streaming()]
        for payload in parts if fault == "fragments are messages" else [b"".join(parts)]:
            yield payload


async def _down(reader: asyncio.StreamReader, socket: ServerConnection, fault: str) -> None:
    """Send what the reference says, to its end."""
    messages = _JSON.reader(Role.SERVER)
    with suppress(ConnectionClosed, ConnectionError):
        while data := await reader.read(64 * 1024):
            messages.feed(data)
            payloads: list[bytes] = []
            while (message := messages.next(_LIMIT)) is not None:
                payloads.append(_JSON.encode(message) + (b"\n" if fault == "line ends" else b""))
            for payload in [b"\n".join(payloads)] if fault == "several in one" else payloads:
                await socket.send(payload, text=fault != "binary for text")
        await socket.close()
