"""Where a server is: the URLs that clients and commands take.

tcp://host:port     port 6666 if none is given; `host:port` and `host` mean the same
tls://host:port     … behind TLS
unix:/path          a Unix socket
"""

from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from improto.errors import UsageError

__all__ = ["PORT", "Address", "parse_address"]

PORT: Final = 6666
"""Where a server listens unless it is told otherwise (CONN-3)."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is; `str` gives the URL."""

    scheme: Literal["tcp", "tls", "unix", "ws", "wss"]
    host: str = ""
    """Empty on a Unix socket."""
    port: int = 0
    path: str = ""
    """Of the Unix socket."""

    def __str__(self) -> str:
        if self.scheme == "unix":
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_address(url: str) -> Address:
    """Take a URL apart.  UsageError if it is none, with one that is."""
    wrong = UsageError(
        f"{url!r} is no address; write it like tcp://localhost:{PORT}, tls://HOST:PORT or unix:PATH"
    )
    if url.startswith("unix:"):
        path = url.removeprefix("unix:")
        if not path or "\0" in path:
            raise wrong
        return Address("unix", path=path)
    try:
        parts = urlsplit(url if "://" in url else f"tcp://{url}")
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError:
        raise wrong from None
    if not host or port == 0 or parts.username is not None:
        raise wrong
    if parts.scheme in ("ws", "wss"):
        raise UsageError(f"{url!r} is a WebSocket; connect to it with improto.bindings.websocket.connect")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise wrong
    port = PORT if port is None else port
    match parts.scheme:
        case "tcp" | "tls" as scheme:
            return Address(scheme, host, port)
        case _:
            raise wrong
