"""`improto serve`: the reference server, on TCP, TLS, Unix sockets and WebSocket."""

import argparse
import asyncio
import errno
import logging
import signal
import socket
import ssl
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Final

from improto.addresses import PORT, Address, check_origin
from improto.bindings.asyncio import Server
from improto.bindings.sockets import system_reason
from improto.cli.numbers import amount, count, port, wait
from improto.cli.text import escaped
from improto.codec import Codec, available, load, load_all
from improto.errors import UsageError
from improto.messages import AnyMessage, Request, Response
from improto.server import Hub, Policy
from improto.service import Bounds, Observer, Service
from improto.wire import Fault, Rate

__all__ = ["HELP", "configure", "run"]

HELP: Final = "run the reference server"

_log = logging.getLogger("improto.serve")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `serve`."""
    _add_places(parser)
    _add_choices(parser)
    _add_bounds(parser)
    _add_peers(parser)
    parser.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="log connections and commands to standard error, and count them at the end; everybody waits while nobody reads that",
    )
    parser.add_argument("--log-texts", action="store_true", help="log what people say as well")


def _add_places(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where to listen, and how TLS and WebSocket are spoken there."""
    add = parser.add_argument
    add(
        "--host",
        default="127.0.0.1",
        help="address or name to listen on; :: for all addresses, 0.0.0.0 for all of IPv4 (default: %(default)s)",
    )
    add(
        "--port", type=port, default=PORT, help="port to listen on; 0 takes a free one (default: %(default)s)"
    )
    add("--unix", metavar="PATH", help="listen on this Unix socket as well")
    add(
        "--tls-cert",
        metavar="FILE",
        help="use TLS, with this certificate in PEM; SIGHUP reads all files for TLS again",
    )
    add("--tls-key", metavar="FILE", help="the key of the certificate, unless it is in the same file")
    add("--tls-port", type=port, metavar="PORT", help="use TLS on this port, and none on --port")
    add(
        "--require-client-cert",
        metavar="FILE",
        help="let in only users with a certificate that one of these has signed, with its common name as username",
    )
    add(
        "--websocket",
        type=port,
        metavar="PORT",
        help="accept WebSocket as well, on this port, and serve a chat page for browsers; with TLS if there is --tls-cert",
    )
    add(
        "--origin",
        type=origin,
        action="append",
        default=[],
        metavar="URL",
        help="let pages from this origin use WebSocket, besides those from this server by its address or as localhost; may be given again",
    )


def _add_choices(parser: argparse.ArgumentParser) -> None:
    """Add the options for what the specification leaves to a server."""
    add = parser.add_argument
    add(
        "--codec",
        choices=["auto", *available()],
        action="append",
        help="speak this codec only; may be given again; auto is all of them (default); the first bytes of each connection say which one it is, but not for codecs of other packages: give such a one alone",
    )
    add("--private", action="store_true", help="only invited users may join a conversation")
    add(
        "--settle",
        type=amount,
        default=1.0,
        metavar="S",
        help="send a roster within S seconds after a change (default: %(default)s)",
    )
    add(
        "--repeat",
        type=wait,
        default=30.0,
        metavar="S",
        help="send a roster within S seconds after the last one, also without a change (default: %(default)s)",
    )


def _add_bounds(parser: argparse.ArgumentParser) -> None:
    """Add the options for what one connection, or all of them, may cost."""
    add = parser.add_argument
    add(
        "--register-timeout",
        type=wait,
        default=60.0,
        metavar="S",
        help="seconds that a client has to register (default: %(default)s)",
    )
    add(
        "--idle-timeout",
        type=wait,
        metavar="S",
        help="seconds for which a user may send nothing (default: any time)",
    )
    add(
        "--rate",
        type=amount,
        default=0.0,
        metavar="N",
        help="requests per second from each connection; 0 for any number (default)",
    )
    add(
        "--burst",
        type=count,
        default=20,
        metavar="N",
        help="requests at once from each connection, if --rate is given (default: %(default)s)",
    )
    add(
        "--connections",
        type=count,
        default=10_000,
        metavar="N",
        help="connections in total (default: %(default)s)",
    )
    add(
        "--per-address",
        type=count,
        default=1_000,
        metavar="N",
        help="connections from one address, or from one /64 network of IPv6 (default: %(default)s)",
    )
    add(
        "--queue",
        type=count,
        default=Bounds().events,
        metavar="BYTES",
        help="bytes that may wait for one client that does not read (default: %(default)s; less than 65,536 violates FLOW-7)",
    )
    add(
        "--queues",
        type=count,
        default=Bounds().all_queues,
        metavar="BYTES",
        help="bytes that may wait for all such clients together (default: %(default)s)",
    )


def _add_peers(parser: argparse.ArgumentParser) -> None:
    """Add the options for peers that need special treatment."""
    add = parser.add_argument
    add("--integer-ids", action="store_true", help="in the pickle codec, send conversation ids as integers")
    add(
        "--gap",
        type=amount,
        default=0.0,
        metavar="S",
        help="seconds between two messages to a pickle client that expects one message from each recv; try 0.02",
    )


def origin(text: str) -> str:
    """Take an origin as browsers write it; ArgumentTypeError if no browser would."""
    try:
        check_origin(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM, SIGINT or SIGHUP; with TLS, SIGHUP reads its files again instead."""
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s")
    _log.setLevel(logging.INFO)
    listeners = _listeners(arguments)
    return asyncio.run(_serve(arguments, listeners))


# What the system says of a host on which nothing here can listen; EINVAL of one like fe80::1, which needs an interface.
_STRANGE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL)
_OPTIONS: Final = {
    "tcp": "--port",
    "tls": "--port or --tls-port",
    "unix": "--unix",
    "ws": "--websocket",
    "wss": "--websocket",
}


class _TLS:
    """Gives the TLS context for each new connection, made of some files."""

    def __init__(self, certificate: str, key: str | None, authorities: str | None) -> None:
        """Read the files.  UsageError if they cannot be used."""
        self._files = certificate, key, authorities
        self._context = self._read()

    def __call__(self) -> ssl.SSLContext:
        return self._context

    def renew(self) -> None:
        """Read the files again; if they cannot be used, nothing is changed."""
        try:
            self._context = self._read()  # a new one, since contexts forget no authority
        except UsageError as error:
            _log.error("TLS stays as it was: %s", error)
        else:
            _log.info("read again: %s", self._named)

    @property
    def _named(self) -> str:
        return ", ".join(file for file in self._files if file)

    def _read(self) -> ssl.SSLContext:
        certificate, key, authorities = self._files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(certificate, key, self._passphrase)
            if authorities is not None:
                context.load_verify_locations(authorities)
                context.verify_mode = ssl.CERT_REQUIRED
        except OSError as error:
            raise UsageError(
                f"{self._named}: {system_reason(error)}; name PEM files, a certificate with its key"
            ) from None
        return context

    def _passphrase(self) -> str:
        # By default OpenSSL would ask at the terminal, and nobody would be served meanwhile; or there is none.
        raise UsageError(
            f"{self._named}: the key needs a passphrase, for which a server does not wait; "
            "store it without one: openssl pkey -in OLD -out NEW"
        )


_Listeners = list[tuple[Address, _TLS | None]]


def _listeners(arguments: argparse.Namespace) -> _Listeners:
    """Say where to listen, and with which TLS.  UsageError if the options do not fit together."""
    certificate, authorities = arguments.tls_cert, arguments.require_client_cert
    if certificate is None and authorities is not None:
        raise UsageError("--require-client-cert needs --tls-cert")
    tls = None if certificate is None else _TLS(certificate, arguments.tls_key, authorities)
    host, plain_port, tls_port = arguments.host, arguments.port, arguments.tls_port
    found: _Listeners = []
    if tls is None or tls_port is not None:
        found.append((Address("tcp", host, plain_port), None))
    if tls is not None:
        found.append((Address("tls", host, plain_port if tls_port is None else tls_port), tls))
    if arguments.unix is not None:
        found.append((Address("unix", path=arguments.unix), None))
    if arguments.websocket is not None:
        found.append((Address("ws" if tls is None else "wss", host, arguments.websocket), tls))
    if arguments.origin and arguments.websocket is None:
        raise UsageError("--origin needs --websocket")
    if tls is None and (tls_port is not None or arguments.tls_key):
        raise UsageError("TLS needs --tls-cert")
    if authorities and any(secured is None for _, secured in found):
        raise UsageError(
            "with --require-client-cert, there must be no listeners at which anybody may take any name: "
            "leave --tls-port and --unix out"
        )
    return found


async def _serve(arguments: argparse.Namespace, listeners: _Listeners) -> int:
    policy = Policy(private=arguments.private, settle=arguments.settle, repeat=arguments.repeat)
    log = _Log(texts=arguments.log_texts) if arguments.verbose or arguments.log_texts else None
    service = Service(
        Hub(policy),
        codecs(arguments.codec or ["auto"], integer_ids=arguments.integer_ids),
        bounds=Bounds(
            register=arguments.register_timeout,
            idle=arguments.idle_timeout,
            events=arguments.queue,
            all_queues=arguments.queues,
        ),
        rate=Rate(arguments.rate, arguments.burst) if arguments.rate else None,
        observer=log,
    )
    server = Server(
        service, connections=arguments.connections, per_address=arguments.per_address, gap=arguments.gap
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):  # before anybody can connect
        loop.add_signal_handler(signum, stop.set)
    secured = next((tls for _, tls in listeners if tls is not None), None)
    if secured is not None:
        loop.add_signal_handler(signal.SIGHUP, secured.renew)
    elif signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as `nohup` has it
        loop.add_signal_handler(signal.SIGHUP, stop.set)
    urls: list[str] = []
    try:
        for address, tls in listeners:
            try:
                urls.append(str(await _listen(server, address, tls, arguments.origin)))
            except OSError as error:
                strange = isinstance(error, socket.gaierror) or error.errno in _STRANGE
                option = "--host" if strange else _OPTIONS[address.scheme]
                print(f"improto: {cannot_listen(address, error)}; choose another {option}", file=sys.stderr)
                return 3
        print(f"improto: listening on {' '.join(urls)}", flush=True)
        await stop.wait()
    finally:
        await server.close()
    if log is not None:
        log.summarize()
    return 0


async def _listen(server: Server, address: Address, tls: _TLS | None, origins: Sequence[str]) -> Address:
    """Listen, and give the address with the port that was taken."""
    match address.scheme:
        case "unix":
            await server.listen_unix(address.path)
            return address
        case "ws" | "wss":
            try:
                from improto.bindings import websocket  # needs a package
            except ImportError as error:
                raise UsageError(str(error)) from None
            host, port = await websocket.listen(
                server, address.host, address.port, tls=tls, origins=origins, page=websocket.chat_page()
            )
        case _:
            host, port = await server.listen(address.host, address.port, tls=tls)
    return Address(address.scheme, host, port)


def codecs(names: Sequence[str], *, integer_ids: bool = False) -> Sequence[Codec]:
    """Load codecs, each once, or if `auto` is among the names all that are installed with what they need."""
    found = load_all() if "auto" in names else [load(name) for name in dict.fromkeys(names)]
    if integer_ids:
        return [load("pickle", integer_ids=True) if each.name == "pickle" else each for each in found]
    return found


def cannot_listen(address: Address, error: OSError) -> str:
    """Say that nothing can listen there, with the system's reason."""
    return f"cannot listen on {address} ({system_reason(error)})"


class _Log(Observer):
    """Logs and counts what happens, which helps to debug clients; what people say, only if that is asked for."""

    def __init__(self, *, texts: bool) -> None:
        self._texts = texts
        self._counts: Counter[str] = Counter()

    def connected(self, peer: int, address: str) -> None:
        self._counts["connected"] += 1
        _log.info("%d connected from %s", peer, escaped(address))

    def received(self, peer: int, message: Request) -> None:
        self._message(peer, "→", message)

    def sent(self, peers: Sequence[int], message: Response) -> None:
        for peer in peers:
            self._message(peer, "←", message)

    def refused(self, peer: int, fault: Fault) -> None:
        self._counts[f"refused {fault.code}"] += 1
        # The explanation may quote what somebody has said.
        why = f": {escaped(fault.explanation)}" if self._texts else ""
        _log.info("%d → refused, %s%s", peer, fault.code, why)

    def closed(self, peer: int, reason: str) -> None:
        self._counts[f"closed {reason}"] += 1
        _log.info("%d closed: %s", peer, reason)

    def summarize(self) -> None:
        """Log how often each thing has happened."""
        counts = ", ".join(f"{what}: {count}" for what, count in sorted(self._counts.items()))
        _log.info("%s", counts or "nobody has connected")

    def _message(self, peer: int, arrow: str, message: AnyMessage) -> None:
        self._counts[f"{arrow} {message.COMMAND}"] += 1
        held = f" {escaped(' '.join(map(repr, message.values())))}" if self._texts else ""
        _log.info("%d %s %s%s", peer, arrow, message.COMMAND, held)
