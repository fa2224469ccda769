"""What the bindings on sockets have in common."""

import os
import socket
import ssl
from typing import Final

from improto.addresses import Address
from improto.errors import CannotConnect

__all__ = ["cannot_connect", "reason", "watch"]

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
        case ssl.SSLError():
            return CannotConnect(f"no TLS with {address} ({reason(error)}); is it tcp:// there?")
        case TimeoutError() if error.errno is None:
            return CannotConnect(f"{address} does not answer; check the address")
        case _:
            return CannotConnect(f"no server at {address} ({reason(error)}); start one with: improto serve")


def reason(error: OSError) -> str:
    """Give the system's reason; asyncio puts a sentence of its own around that."""
    if error.errno is not None and error.errno > 0 and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno)
    return error.strerror or str(error)
