"""Servers that run on a loop in a thread while tests use them, or put something before them: right ones and broken ones."""

import asyncio
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from queue import SimpleQueue

from improto.bindings.asyncio import Server
from improto.codec import load_all
from improto.server import Hub, Policy
from improto.service import Service
from improto_conformance.connections.addresses import Upstream
from improto_conformance.servers.targets import tcp
from improto_conformance.zoo.broken import BROKEN, serve
from programs import DEADLINE

__all__ = ["at", "looping", "standing"]


@contextmanager
def looping() -> Generator[asyncio.AbstractEventLoop]:
    """Run an event loop in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def at(port: int) -> Upstream:
    """Give a server on a port of this machine."""
    found = tcp("127.0.0.1", port).upstream
    assert found is not None
    return found


async def _serve_reference(ready: Callable[[int], None]) -> None:
    """Serve until cancelled."""
    server = Server(Service(Hub(Policy(settle=0.01)), load_all()))
    ready((await server.listen("127.0.0.1", 0))[1])
    try:
        await asyncio.Event().wait()
    finally:
        await server.close()


@contextmanager
def standing(broken: str = "") -> Generator[int]:
    """Run the reference, or a broken server, for as long as the block runs, and give its port."""
    ports: SimpleQueue[int] = SimpleQueue()
    main = serve(BROKEN[broken], 0, ports.put) if broken else _serve_reference(ports.put)
    with looping() as loop:
        task = asyncio.run_coroutine_threadsafe(main, loop)
        try:
            yield ports.get(timeout=DEADLINE)
        finally:
            task.cancel()
            asyncio.run_coroutine_threadsafe(_others(), loop).result(DEADLINE)


async def _others() -> None:
    """Wait for all that runs besides."""
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)
