"""Sockets on asyncio: `Server` runs a `Service`, `connect` gives a client's `Session`."""

from improto.bindings.asyncio.client import Session, connect, dial
from improto.bindings.asyncio.link import StreamLink
from improto.bindings.asyncio.server import Server

__all__ = ["Server", "Session", "StreamLink", "connect", "dial"]
