"""Addresses: of servers, of the web pages that may talk to them, and of clients, which are counted by theirs.

The URLs that clients and commands take:

    tcp://host:port     port 6666 if none is given; `host:port` and `host` mean the same
    tls://host:port     … with TLS
    unix:/path          a Unix socket
"""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import Final, Literal
from urllib.parse import urlsplit

from improto.errors import UsageError

__all__ = ["PORT", "Address", "check_origin", "parse_address", "subnet"]

PORT: Final = 6666
"""The TCP port on which a server listens unless it is told otherwise (CONN-3)."""

_HOST: Final = re.compile(r"[a-z0-9._:-]+")
_NEEDLESS: Final = {"http": 80, "https": 443}  # ports that browsers leave out of an origin


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a server; `str` gives its URL."""

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
    """Take a URL apart.  UsageError, with examples, if it is not the address of a server."""
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


def check_origin(text: str) -> None:
    """Check that browsers would write an origin like this (WS-6).  UsageError if not, since it would never match.

    `null` is refused, too: browsers send it for any page that hides its origin.
    """
    wrong = UsageError(
        f"{text!a} is no origin; write it as browsers do: https://chat.example.org, in small letters and without a path"
    )
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise wrong from None
    named = f"{parts.scheme}://[{host}]" if ":" in host else f"{parts.scheme}://{host}"
    if port is not None and port != _NEEDLESS.get(parts.scheme):
        named += f":{port}"
    if text != named or not _HOST.fullmatch(host):
        raise wrong


def subnet(address: str) -> str:
    """Give what an address is counted as, where connections from one address are limited.

    An IPv6 address counts as its /64 network, since a host can have any number of addresses in that.  An IPv4 address
    counts as itself, also when it is mapped into IPv6, and so does a text that is no address, such as `uid 1000`.
    """
    try:
        found = IPv6Address(address)
    except ValueError:
        return address
    return str(found.ipv4_mapped or IPv6Network((found, 64), strict=False))
