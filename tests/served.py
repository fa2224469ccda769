"""A server in a process of its own, for tests that do harm to it.

    python tests/served.py BINDING OPTIONS

prints where it listens, answers each line on its input with what it holds, and closes on SIGTERM.  OPTIONS, in JSON, are
those of `Links`; `bounds`, as for `Bounds`; `host`; `path` for a Unix socket; `certificate`, a file; and `spare`: how
many descriptors it may have beside those it begins with.
"""

import asyncio
import gc
import json
import os
import resource
import signal
import ssl
import sys
from contextlib import suppress
from typing import Any

from improto.bindings import threads, websocket
from improto.bindings.asyncio import Server
from improto.codec import available, load
from improto.server import Hub, Policy
from improto.service import Bounds, Peer, Service


def service(options: dict[str, Any]) -> Service:
    """Make what is served."""
    given: dict[str, Any] = {"linger": 0.2, "flush": 2.0, **options.pop("bounds", {})}
    bounds = Bounds(**given)
    return Service(Hub(Policy(settle=0.01)), [load(name) for name in available()], bounds=bounds)


def held() -> str:
    """Tell what this process holds; see `ground.Held`."""
    gc.collect()
    peers = [each for each in gc.get_objects() if isinstance(each, Peer)]
    try:
        tasks = len(asyncio.all_tasks())
    except RuntimeError:  # there is no loop
        tasks = 0
    queued = sum(peer.outbox.size for peer in peers)
    return json.dumps({"peers": len(peers), "queued": queued, "tasks": tasks})


def listening(url: str, spare: int | None) -> None:
    """Tell where, and have no more descriptors than that from now on."""
    if spare is not None:
        most = max(map(int, os.listdir("/proc/self/fd"))) + 1 + spare
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(url, flush=True)


async def serve(binding: str, options: dict[str, Any]) -> None:
    """Serve on asyncio until SIGTERM."""
    host, path = options.pop("host", "127.0.0.1"), options.pop("path")
    certificate, spare = options.pop("certificate"), options.pop("spare", None)
    server = Server(service(options), **options)
    if binding == "unix":
        await server.listen_unix(path)
        url = f"unix:{path}"
    elif binding == "websocket":
        _, port = await websocket.listen(server, host, 0)
        url = f"ws://{host}:{port}"
    elif binding == "tls":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        _, port = await server.listen(host, 0, tls=context)
        url = f"tls://{host}:{port}"
    else:
        _, port = await server.listen(host, 0)
        url = f"tcp://{host}:{port}"

    def answer() -> None:
        if os.read(0, 1000):
            print(held(), flush=True)
        else:
            loop.remove_reader(0)

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(0, answer)
    listening(url, spare)
    await stop.wait()
    await server.close()


def serve_threads(options: dict[str, Any]) -> None:
    """Serve with threads until SIGTERM."""
    host, spare = options.pop("host", "127.0.0.1"), options.pop("spare", None)
    del options["path"], options["certificate"]
    server = threads.Server(service(options), **options)
    _, port = server.listen(host, 0)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        listening(f"tcp://{host}:{port}", spare)
        while os.read(0, 1000):
            print(held(), flush=True)
        signal.pause()
    server.close()


if __name__ == "__main__":
    binding, given = sys.argv[1], json.loads(sys.argv[2])
    if binding == "threads":
        serve_threads(given)
    else:
        asyncio.run(serve(binding, given))
