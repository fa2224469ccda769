"""Sockets on asyncio: `Server` runs a `Service`, `connect` gives a client's `Session`."""

from improto.bindings.asyncio.client import Session, connect, dial
from improto.bindings.asyncio.link import StreamLink
from improto.bindings.asyncio.server import Admit, Server

__all__ = ["Admit", "Server", "Session", "StreamLink", "connect", "dial"]
