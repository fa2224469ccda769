"""Servers of each binding, which listen on loopback for as long as a block runs."""

import ssl
from collections.abc import AsyncGenerator, Collection, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager

from websockets.http11 import Response

from improto.bindings import asyncio, threads, websocket
from improto.codec import load, load_all
from improto.server import Hub, Policy
from improto.service import Bounds, Observer, Service
from improto.wire import Rate

__all__ = ["on_asyncio", "on_websocket", "with_threads"]


def _service(
    bounds: Bounds | None,
    codecs: Collection[str] = (),
    *,
    rate: Rate | None = None,
    observer: Observer | None = None,
) -> Service:
    spoken = [load(name) for name in codecs] or load_all()
    hub = Hub(Policy(settle=0.01))
    return Service(hub, spoken, bounds=bounds or Bounds(linger=0.2), rate=rate, observer=observer)


@asynccontextmanager
async def on_asyncio(
    bounds: Bounds | None = None,
    *,
    rate: Rate | None = None,
    port: int = 0,
    gap: float = 0.0,
    connections: int = 100,
) -> AsyncGenerator[tuple[asyncio.Server, int]]:
    """Run a server on asyncio, and give it and its port, a free one unless it is given."""
    server = asyncio.Server(_service(bounds, rate=rate), gap=gap, connections=connections)
    _, taken = await server.listen("127.0.0.1", port)
    try:
        yield server, taken
    finally:
        await server.close()


@contextmanager
def with_threads(
    bounds: Bounds | None = None,
    *,
    rate: Rate | None = None,
    port: int = 0,
    gap: float = 0.0,
    connections: int = 100,
) -> Generator[tuple[threads.Server, int]]:
    """Run a server with threads, and give it and its port, a free one unless it is given; no thread of it is left."""
    server = threads.Server(_service(bounds, rate=rate), gap=gap, connections=connections)
    _, taken = server.listen("127.0.0.1", port)
    try:
        yield server, taken
    finally:
        server.close()


@asynccontextmanager
async def on_websocket(
    *,
    bounds: Bounds | None = None,
    connections: int = 100,
    codecs: Collection[str] = (),
    origins: Collection[str] = (),
    ping: float = 30.0,
    tls: ssl.SSLContext | None = None,
    observer: Observer | None = None,
    page: Mapping[str, Response] | None = None,
) -> AsyncGenerator[tuple[asyncio.Server, int]]:
    """Run a server on asyncio, and give it and a free port on which it listens for WebSocket."""
    server = asyncio.Server(_service(bounds, codecs, observer=observer), connections=connections)
    _, port = await websocket.listen(server, "127.0.0.1", 0, origins=origins, ping=ping, tls=tls, page=page)
    try:
        yield server, port
    finally:
        await server.close()
