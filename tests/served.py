"""A server in a process of its own, for tests that do harm to it.

    python tests/served.py PACKAGE SCHEME OPTIONS

prints where it listens, answers each line on its input with what it holds, and closes on SIGTERM.  PACKAGE is one of
`improto.bindings`, or `trio` for the example.  OPTIONS, in JSON, are those of `Links`; `bounds`, as for `Bounds`; `host`;
`path` for a Unix socket; `certificate`, a file; and `spare`: how many descriptors it may have beside those it begins with.
The example takes `bounds` only.
"""

import asyncio
import gc
import json
import os
import resource
import runpy
import signal
import ssl
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

from improto.bindings import threads
from improto.bindings.asyncio import Server
from improto.codec import load_all
from improto.server import Hub, Policy
from improto.service import Bounds, Peer, Service


def service(options: dict[str, Any]) -> Service:
    """Make what is served."""
    given: dict[str, Any] = {"linger": 0.2, "flush": 2.0, **options.get("bounds", {})}
    bounds = Bounds(**given)
    return Service(Hub(Policy(settle=0.01)), load_all(), bounds=bounds)


def held() -> str:
    """Tell what this process holds; see `ground.Held`."""
    gc.collect()
    peers = [each for each in gc.get_objects() if isinstance(each, Peer)]
    try:
        tasks = len(asyncio.all_tasks())
    except RuntimeError:  # there is no loop
        tasks = 0
    # What waits for a peer that is being closed goes with it, when the time for its close is over.
    queued = sum(peer.size for peer in peers if peer.flush is None)
    return json.dumps({"peers": len(peers), "queued": queued, "tasks": tasks})


def listening(url: str, spare: int | None) -> None:
    """Tell where, and have no more descriptors than that from now on."""
    if spare is not None:
        most = max(map(int, os.listdir("/proc/self/fd"))) + 1 + spare
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(url, flush=True)


def secure(options: dict[str, Any]) -> ssl.SSLContext:
    """Make what is needed for TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options["certificate"])
    return context


def limits(options: dict[str, Any]) -> dict[str, Any]:
    """Give what `Links` is to be limited to."""
    return {name: options[name] for name in ("connections", "per_address") if name in options}


async def serve(scheme: str, options: dict[str, Any]) -> None:
    """Serve on asyncio until SIGTERM."""
    server = Server(service(options), **limits(options))
    if scheme == "unix":
        await server.listen_unix(options["path"])
        url = f"unix:{options['path']}"
    else:
        tls = secure(options) if scheme in ("tls", "wss") else None
        listen = server.listen
        if scheme in ("ws", "wss"):
            from improto.bindings import websocket  # here, as its package takes a while

            listen = partial(websocket.listen, server)
        host, port = await listen(options["host"], 0, tls=tls)
        url = f"{scheme}://{host}:{port}"

    def answer() -> None:
        if os.read(0, 1000):
            print(held(), flush=True)
        else:
            loop.remove_reader(0)

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(0, answer)
    listening(url, options.get("spare"))
    await stop.wait()
    await server.close()


def answer() -> None:
    """Tell what is held whenever somebody asks."""
    while os.read(0, 1000):
        print(held(), flush=True)


def serve_threads(scheme: str, options: dict[str, Any]) -> None:
    """Serve with threads until SIGTERM."""
    # A handler could run just before something is waited for that nothing else ends.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    server = threads.Server(service(options), **limits(options))
    if scheme == "unix":
        server.listen_unix(options["path"])
        url = f"unix:{options['path']}"
    else:
        host, port = server.listen(options["host"], 0, tls=secure(options) if scheme == "tls" else None)
        url = f"{scheme}://{host}:{port}"

    listening(url, options.get("spare"))
    threading.Thread(target=answer, daemon=True).start()
    signal.sigwait({signal.SIGTERM})
    server.close()


if __name__ == "__main__":
    package, scheme, given = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    if package == "threads":
        serve_threads(scheme, given)
    elif package == "trio":
        import trio

        example = runpy.run_path(str(Path(__file__).parent.parent / "examples" / "trio_server.py"))
        threading.Thread(target=answer, daemon=True).start()
        trio.run(example["main"], service(given), 0)
    else:
        asyncio.run(serve(scheme, given))
