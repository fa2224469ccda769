"""What the bindings on sockets have in common."""

import errno
import os
import socket
import ssl
import stat
import struct
from collections.abc import Mapping
from typing import Any, Final

from improto.addresses import Address
from improto.errors import CannotConnect
from improto.service import Credentials

__all__ = ["cannot_connect", "certified_name", "credentials", "free_path", "system_reason", "watch"]

_USER_TIMEOUT_MS: Final = (
    60_000  # CONN-28: sent bytes that nobody acknowledges for so long end the connection
)
_PROBE_AFTER_S: Final = 30  # … and so does an idle host that does not answer 5 probes, 10 s apart


def watch(sock: socket.socket) -> None:
    """Let the system find out about a host that has vanished (CONN-28)."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_USER_TIMEOUT", _USER_TIMEOUT_MS),
        ("TCP_KEEPIDLE", _PROBE_AFTER_S),
        ("TCP_KEEPINTVL", 10),
        ("TCP_KEEPCNT", 5),
    ):
        if hasattr(socket, option):  # Linux; elsewhere the write time-out of the service has to do
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def cannot_connect(address: Address | str, error: OSError) -> CannotConnect:
    """Say why there is no connection, and what to do about it."""
    match error:
        case ssl.SSLCertVerificationError():
            return CannotConnect(
                f"the certificate of {address} is not trusted ({error.verify_message}); check the address, "
                "or trust the authority that has signed it"
            )
        case ssl.SSLError() | ConnectionResetError() | ConnectionAbortedError() if _secure(address):
            return CannotConnect(
                f"no TLS with {address} ({system_reason(error)}); is it tcp:// or ws:// there?"
            )
        case TimeoutError() if error.errno is None:
            return CannotConnect(f"{address} does not answer; check the address")
        case _:
            return CannotConnect(
                f"no server at {address} ({system_reason(error)}); start one with: improto serve"
            )


def _secure(address: Address | str) -> bool:
    return str(address).startswith(("tls:", "wss:"))


def system_reason(error: OSError) -> str:
    """Give the system's reason; asyncio puts a sentence of its own around that."""
    if error.errno is not None and error.errno > 0 and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno)
    return error.strerror or str(error) or "it breaks off"


def credentials(sock: socket.socket) -> Credentials | None:
    """Give who is at the other end of a Unix socket; None on other sockets, and where the system does not tell."""
    if sock.family != socket.AF_UNIX or not hasattr(socket, "SO_PEERCRED"):
        return None
    size = struct.calcsize("3i")
    return Credentials(*struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)))


def certified_name(certificate: Mapping[str, Any] | None) -> str | None:
    """Give the common name in a peer's certificate, as `getpeercert` has it; None if there is no certificate.

    One without a single such name gives the empty name, which nobody can register.
    """
    if not certificate:
        return None
    names = [value for parts in certificate["subject"] for key, value in parts if key == "commonName"]
    return names[0] if len(names) == 1 else ""


def free_path(path: str) -> None:
    """Remove the socket of a server that has gone without doing so.  OSError if somebody listens there, or it is another file."""
    try:
        is_socket = stat.S_ISSOCK(os.stat(path).st_mode)
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)  # where the queue is full, somebody listens
        if not is_socket or probe.connect_ex(path) != errno.ECONNREFUSED:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    os.unlink(path)
