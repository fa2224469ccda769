"""`improto serve`: the reference server on TCP."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final

from improto.addresses import PORT
from improto.bindings.asyncio import Server
from improto.cli.numbers import amount, wait
from improto.cli.text import escaped
from improto.codec import Codec, available, load
from improto.errors import RegistryError
from improto.messages import AnyMessage, Request, Response
from improto.server import Hub, Policy
from improto.service import Bounds, Observer, Service
from improto.wire import Fault, Rate

__all__ = ["HELP", "configure", "run"]

HELP: Final = "run the reference server"

_log = logging.getLogger("improto.serve")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `serve`."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=PORT, help="0 takes a free one (default: %(default)s)")
    parser.add_argument(
        "--codec",
        choices=["auto", *available()],
        default="auto",
        help="auto tells from the first bytes of each connection (default)",
    )
    parser.add_argument("--private", action="store_true", help="only who is invited may join a conversation")
    parser.add_argument(
        "--settle", type=amount, default=1.0, metavar="S", help="a roster follows a change within S seconds"
    )
    parser.add_argument(
        "--repeat", type=wait, default=30.0, metavar="S", help="… and the last one within S seconds"
    )
    parser.add_argument("--register-timeout", type=wait, default=60.0, metavar="S", help="time to register")
    parser.add_argument(
        "--rate", type=amount, metavar="N", help="requests per second and connection (default: any)"
    )
    parser.add_argument(
        "--burst", type=int, default=20, metavar="N", help="requests at once, where --rate is given"
    )
    parser.add_argument("--connections", type=int, default=10_000, metavar="N", help="in all")
    parser.add_argument(
        "--per-address", type=int, default=1_000, metavar="N", help="connections from one address"
    )
    parser.add_argument("--integer-ids", action="store_true", help="send ids as integers in the pickle codec")
    parser.add_argument(
        "--gap",
        type=amount,
        default=0.0,
        metavar="S",
        help="seconds between two messages to a pickle peer that takes one recv for one message; try 0.02",
    )
    parser.add_argument(
        "-v", "--verbose", action="count", default=0, help="log connections; -vv also messages"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s")
    _log.setLevel({0: logging.WARNING, 1: logging.INFO}.get(arguments.verbose, logging.DEBUG))
    try:
        return asyncio.run(_serve(arguments))
    except OSError as error:
        print(
            f"improto: {cannot_listen(arguments.host, arguments.port, error)}; choose another --port",
            file=sys.stderr,
        )
        return 3


async def _serve(arguments: argparse.Namespace) -> int:
    policy = Policy(private=arguments.private, settle=arguments.settle, repeat=arguments.repeat)
    service = Service(
        Hub(policy),
        codecs(arguments.codec, integer_ids=arguments.integer_ids),
        bounds=Bounds(register=arguments.register_timeout),
        rate=Rate(arguments.rate, arguments.burst) if arguments.rate else None,
        observer=_Log(),
    )
    server = Server(
        service, connections=arguments.connections, per_address=arguments.per_address, gap=arguments.gap
    )
    host, port = await server.listen(arguments.host, arguments.port)
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    print(f"improto: listening on tcp://{host}:{port}", flush=True)
    await stop.wait()
    await server.close()
    return 0


def codecs(name: str, *, integer_ids: bool = False) -> Sequence[Codec]:
    """Load the codec called `name`, or for `auto` all that are installed."""
    found: list[Codec] = []
    for each in available() if name == "auto" else [name]:
        try:
            found.append(load(each, integer_ids=True) if integer_ids and each == "pickle" else load(each))
        except RegistryError:
            if (
                name != "auto"
            ):  # what `auto` lacks a package for is not spoken; what was named has to be there
                raise
    return found


def cannot_listen(host: str, port: int, error: OSError) -> str:
    """Say that nothing can listen there, with the system's reason; asyncio puts a sentence of its own around that."""
    if error.errno is not None and error.errno > 0:  # unlike that of a host without an address
        return f"cannot listen on {host}:{port} ({os.strerror(error.errno)})"
    return f"cannot listen on {host}:{port} ({error.strerror or error})"


class _Log(Observer):
    """Writes down what helps to debug a client; message texts only with -vv."""

    def connected(self, peer: int) -> None:
        _log.info("%d connected", peer)

    def received(self, peer: int, message: Request) -> None:
        self._message(peer, "→", message)

    def sent(self, peer: int, message: Response) -> None:
        self._message(peer, "←", message)

    def refused(self, peer: int, fault: Fault) -> None:
        _log.info("%d → refused, %s: %s", peer, fault.code, escaped(fault.explanation))

    def closed(self, peer: int, reason: str) -> None:
        _log.info("%d closed: %s", peer, reason)

    def _message(self, peer: int, arrow: str, message: AnyMessage) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug(
                "%d %s %s %s", peer, arrow, message.COMMAND, escaped(" ".join(map(repr, message.values())))
            )
        else:
            _log.info("%d %s %s", peer, arrow, message.COMMAND)
