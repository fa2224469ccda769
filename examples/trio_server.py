#!/usr/bin/env python3
"""A server on Trio, as an example of how to write a binding; docs/bindings.md explains it.

`trio_server.py PORT` runs it.
"""

import math
import signal
import sys
from functools import partial

import trio
from trio.lowlevel import ParkingLot

from improto.bindings.sockets import system_reason, watch
from improto.codec import load_all
from improto.links import Link, Links, Phase
from improto.server import Hub
from improto.service import Service


class Server:
    """Runs one `Service` on Trio."""

    def __init__(self, service: Service) -> None:
        self.links = Links(service)
        self.closed = ParkingLot()
        self._awake = trio.Event()

    def wake(self) -> None:
        """Have a turn of the service soon."""
        self._awake.set()

    async def turns(self) -> None:
        """Do the work, for ever."""
        while True:
            due = self.links.due
            with trio.move_on_at(math.inf if due is None else due):
                await self._awake.wait()
            self._awake = trio.Event()
            self.links.turn(trio.current_time())

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection up to its end."""
        try:
            address = stream.socket.getpeername()[0]
            watch(stream.socket, self.links.service.bounds.write)  # a host that has vanished says nothing
        except OSError:  # it has gone already
            await trio.aclose_forcefully(stream)
            return
        link = TrioLink(self, stream, address)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(link.read)
                nursery.start_soon(link.write)
                while link.phase is not Phase.OVER:
                    await link.changed.park()
                nursery.cancel_scope.cancel()
        finally:
            await trio.aclose_forcefully(stream)
            link.lost()
            self.wake()
            self.closed.unpark_all()


class TrioLink(Link):
    """One accepted connection, with a task that reads and one that writes."""

    def __init__(self, server: Server, stream: trio.SocketStream, address: str) -> None:
        super().__init__(server.links)
        self.changed = ParkingLot()
        self._server = server
        self._stream = stream
        self.opened(trio.current_time(), address)
        server.wake()

    def refresh(self) -> None:
        """Have the tasks look at what was decided."""
        self.changed.unpark_all()

    async def read(self) -> None:
        """Read what arrives, whenever it is wanted."""
        while True:
            while not self.reading:
                await self.changed.park()
            try:
                data = await self._stream.receive_some(64 * 1024)
            except trio.BrokenResourceError:
                self.broken()
                self._server.wake()
                return
            if not data:
                self.ended()
                self._server.wake()
                return
            self.received(data)
            self._server.wake()

    async def write(self) -> None:
        """Write what there is to write, and close as the link says."""
        try:
            while True:
                data = self.take(trio.current_time())
                if data is not None:
                    self.pause(trio.current_time())
                    await self._stream.send_all(data)
                    self.resume()
                    self._server.wake()
                    continue
                if self.phase is Phase.FLUSHING:
                    self.flushed(trio.current_time())
                    self.refresh()
                if self.phase is Phase.LINGERING:
                    await self._stream.send_eof()
                await self.changed.park()
        except trio.BrokenResourceError:
            self.broken()
            self._server.wake()


async def main(service: Service, port: int) -> None:
    """Serve until SIGTERM or SIGINT, then tell everybody and wait until all connections are closed."""
    server = Server(service)
    try:
        listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    except OSError as error:
        sys.exit(f"cannot listen on tcp://127.0.0.1:{port} ({system_reason(error)})")
    async with trio.open_nursery() as work:
        work.start_soon(server.turns)
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as accepting:
                serve = partial(trio.serve_listeners, server.serve, listeners, handler_nursery=work)
                accepting.start_soon(serve)
                print(f"listening on tcp://127.0.0.1:{listeners[0].socket.getsockname()[1]}", flush=True)
                await anext(signals)
                accepting.cancel_scope.cancel()
        server.links.shut_down(trio.current_time())
        server.wake()
        while server.links:
            await server.closed.park()
        work.cancel_scope.cancel()


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in map(str, range(2**16)):
        sys.exit(f"usage: {sys.argv[0]} PORT, where the port is a number from 0 to 65535")
    trio.run(main, Service(Hub(), load_all()), int(sys.argv[1]))
