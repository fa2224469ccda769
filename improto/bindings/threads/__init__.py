"""Threads that block, on TCP, TLS and Unix sockets: `Server` runs a `Service`, `connect` gives a client's `Session`.

Each thread does one thing that blocks, and everything else happens under one lock.
"""

from improto.bindings.threads.client import Session, connect, dial
from improto.bindings.threads.server import Admit, Server

__all__ = ["Admit", "Server", "Session", "connect", "dial"]
