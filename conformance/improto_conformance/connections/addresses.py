"""Where a server can listen, and how a party, or a referee, connects there: TCP, TLS, a Unix socket."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from improto.codec import Codec
from improto.errors import UsageError
from improto_conformance.connections.links import Connect, SocketLink

__all__ = ["Streams", "Tls", "Upstream", "over_tcp", "over_tls", "over_unix"]

# Bytes that may wait for the suite to read them; Linux makes it twice as many.  With a quarter of that it drops packets
# now and then for which there is room in theory, and waits for seconds before it sends them again.
_ROOM: Final = 16384
_PACKET: Final = 1400  # bytes, as on a network: how much Linux keeps for a writer grows with it


@dataclass(frozen=True, slots=True)
class Tls:
    """Which certificates to trust at the other end of TLS."""

    ca: str = ""
    """A file with the certificates to trust; empty for those that the system trusts."""
    insecure: bool = False
    """Whether to trust any certificate."""
    server_name: str = ""
    """The name that the certificate must have; empty for the host of the address."""

    def context(self) -> ssl.SSLContext:
        """Give the context that wraps sockets; UsageError if the file cannot be used."""
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
        except OSError as error:
            reason = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
            raise UsageError(f"{self.ca}: {reason}; name a PEM file with the certificates to trust") from None
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Upstream:
    """A server that listens for a stream of bytes."""

    where: str
    """Its address, for people."""
    open: Callable[..., Awaitable[Streams]]
    """Connects; takes the options of `asyncio.open_connection`."""
    half_closes: bool = True
    """Whether a client can end its stream and go on receiving."""


def over_tcp(host: str, port: int) -> Connect:
    """Give a function that connects over TCP."""
    return _linked(lambda timeout: _tcp(host, port, timeout))


def over_tls(host: str, port: int, tls: Tls) -> Connect:
    """Give a function that connects over TLS."""
    context = tls.context()

    def dial(timeout: float) -> socket.socket:
        plain = _tcp(host, port, timeout)
        try:
            return context.wrap_socket(plain, server_hostname=tls.server_name or host)
        except BaseException:
            plain.close()
            raise

    return _linked(dial)


def over_unix(path: str) -> Connect:
    """Give a function that connects over a Unix socket."""

    def dial(timeout: float) -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        try:
            # With Python's own time-out, a full backlog would raise an error instead of waiting.
            whole = int(timeout)
            limit = struct.pack("@ll", whole, int((timeout - whole) * 1e6))
            made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            made.connect(path)
        except BaseException:
            made.close()
            raise
        return made

    return _linked(dial)


def _tcp(host: str, port: int, timeout: float) -> socket.socket:
    failed = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        made = socket.socket(family, kind, protocol)
        try:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if ip_address(address[0]).is_loopback:
                _narrow(made)
            made.settimeout(timeout)
            made.connect(address)
        except OSError as error:
            made.close()
            failed = error
        else:
            return made
    raise failed


def _narrow(made: socket.socket) -> None:
    """Let the system keep only little of what is not read.

    On one machine it takes megabytes otherwise, so that no server would ever wait for a reader, nor write a part of
    a message.  Over a network the packets are small anyway, and so little room would make all of it slow.
    """
    with suppress(OSError):  # some systems do not allow it to be chosen
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _PACKET)


def _linked(dial: Callable[[float], socket.socket]) -> Connect:
    def connect(timeout: float, codec: Codec) -> SocketLink:
        return SocketLink(dial(timeout), timeout)

    return connect
