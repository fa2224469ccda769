"""A server on asyncio: TCP, TLS, Unix sockets.

It moves bytes and keeps time; what they mean is decided in the core.  All that one turn of the loop causes is written
with one call for each connection.
"""

import asyncio
import math
import os
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from improto.bindings.asyncio.accepting import Acceptor
from improto.bindings.asyncio.link import StreamLink
from improto.bindings.sockets import (
    UNDECIDED,
    ServerTLS,
    ask_first,
    check_place,
    check_tls,
    file_id,
    place,
    remove_socket,
    tcp_listeners,
    unix_listener,
    usable,
)
from improto.links import Links
from improto.messages import Register
from improto.service import Peer, Service

__all__ = ["Admit", "Server"]

Admit = Callable[[Peer, Register], Awaitable[str | None]]
"""Decides about a REGISTER: gives None to admit the user, or the reason of a refusal.

It may take its time, up to `Bounds.register`, and is cancelled if the connection is gone by then.
"""

_AHEAD: Final = 4  # how many extra turns of the service there may be in one turn of the loop, see `hurry`


class Server:
    """Runs one `Service` on any number of listening sockets.

    For a transport of another kind, derive a connection from `StreamLink` and give it to `listen` as `link`.
    """

    def __init__(
        self,
        service: Service,
        *,
        connections: int = 10_000,
        per_address: int = 1_000,
        gap: float = 0.0,
        admit: Admit | None = None,
    ) -> None:
        """Serve on the running loop; for `connections`, `per_address` and `gap` see `improto.links.Links`.

        `admit` decides about each REGISTER; it goes with `Policy(ask=True)` of the hub, and it is a UsageError to give
        one without the other.  If it raises, the user is refused, and the loop's exception handler is told.
        """
        self.service = service
        self.links = Links(service, connections=connections, per_address=per_address, gap=gap)
        self._loop = asyncio.get_running_loop()
        self._acceptor = Acceptor(self.links)
        self._timer: asyncio.Handle | None = None
        self._rings_at = math.inf  # since the timers of uvloop do not always tell
        self._scheduled = False
        self._ahead = 0
        self._all_closed = asyncio.Event()
        self._paths: dict[str, tuple[int, int]] = {}  # of Unix sockets, each with the id of its file
        self._deciding: dict[int, asyncio.Task[None]] = {}  # by the peer's number
        ask_first(service, None if admit is None else partial(self._ask, admit))

    async def listen(
        self,
        host: str,
        port: int,
        *,
        tls: ServerTLS | None = None,
        link: Callable[[], StreamLink] | None = None,
    ) -> tuple[str, int]:
        """Listen on TCP, with TLS if `tls` is given, and give the address and port; a `port` of 0 takes a free one.

        If `host` is a name, that is all of its addresses that this host has, on the same port, and the first one is
        given; with `::`, that is all addresses of IPv6 and IPv4, and with `0.0.0.0`, all of IPv4.  If `tls` demands
        certificates of its peers, each can register only under the common name in its own.  `tls` may also be a function
        that gives the context for each new connection.
        `link` makes the connections, if messages do not come as a stream on them.

        OSError if nothing can listen there, UsageError after `close`, or if `host`, `port` or `tls` can be none.
        """
        check_place(host, port)
        check_tls(tls)
        found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self._acceptor.check()
        listeners = tcp_listeners(found, port)
        for listener in listeners:
            self._acceptor.add(listener, link or partial(StreamLink, self), tls)
        return place(listeners[0])

    async def listen_unix(self, path: str | os.PathLike[str]) -> None:
        """Listen on a Unix socket, which `close` removes.  Who may connect depends on the file's mode.

        OSError if nothing can listen there, UsageError after `close`, or if `path` is none.
        """
        self._acceptor.check()
        path = os.fspath(path)
        self._acceptor.add(unix_listener(path), partial(StreamLink, self))
        self._paths[path] = file_id(path)

    def kick(self, username: str, reason: str) -> None:
        """Put a user out, with an ERROR that gives the reason (ERROR-10).

        UsageError if nobody has that name, InvalidMessage if no message can hold the reason; nothing is changed then.
        """
        self.service.kick(username, reason, self.now())
        self.wake()

    async def close(self) -> None:
        """Stop listening, tell everybody that the server goes down (ERROR-9), and wait until all connections are closed."""
        await self._acceptor.close()
        while self._paths:  # each once, since the next server's socket may have the same id
            remove_socket(*self._paths.popitem())
        try:
            self.links.shut_down(self.now())
        finally:  # also if the observer raises
            self.wake()
            await self._all_closed.wait()
            if self._timer is not None:
                self._timer.cancel()
            for task in self._deciding.values():
                task.cancel()

    def now(self) -> float:
        """Give the loop's time."""
        return self._loop.time()

    def wake(self) -> None:
        """Have a turn of the service in the next turn of the loop."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._scheduled_turn)

    def hurry(self) -> bool:
        """Have a turn of the service at once, for a link for which the next one comes too late; tell whether there was one.

        There is none if nothing is due, or if there were a few in this turn of the loop already: so the loop goes on,
        however many hurry (FLOW-5).
        """
        if self._ahead == _AHEAD or self.links.due != 0.0:
            return False
        self._ahead += 1
        self._turn()
        return True

    def gone(self, peer: Peer) -> None:
        """Note that a connection is closed."""
        task = self._deciding.get(peer.id)
        if task is not None:
            task.cancel()
        self.wake()

    def _ask(self, admit: Admit, peer: Peer, request: Register) -> None:
        task = self._deciding[peer.id] = self._loop.create_task(self._decide(admit, peer, request))
        task.add_done_callback(partial(self._decided, peer.id))

    def _decided(self, id: int, task: asyncio.Task[None]) -> None:
        if self._deciding[id] is task:  # else another REGISTER of that peer is being decided about by now
            del self._deciding[id]

    async def _decide(self, admit: Admit, peer: Peer, request: Register) -> None:
        refusal: str | None = UNDECIDED
        try:
            refusal = usable(await admit(peer, request))
        except Exception as error:
            self._loop.call_exception_handler({"message": "admission failed", "exception": error})
        # Also if what `admit` waits for was cancelled.  If this task was, the peer has gone, and nothing is decided.
        finally:
            self.service.decide(peer, refusal, self.now())
            self.wake()

    def _ring(self) -> None:
        self._rings_at = math.inf
        self.wake()

    def _scheduled_turn(self) -> None:
        self._scheduled = False
        self._ahead = 0
        self._turn()

    def _turn(self) -> None:
        try:
            self.links.turn(self.now())
        finally:  # also if a codec or the observer has raised, so that the others are served
            self._look_ahead()

    def _look_ahead(self) -> None:
        """Have the next turn when it is due, and see whether all connections are closed."""
        due = self.links.due
        # A timer that rings too early does no harm; setting a new one in each turn would cost more than the turn.
        if due is not None and due < self._rings_at:
            if self._timer is not None:
                self._timer.cancel()
            self._rings_at = due
            self._timer = self._loop.call_at(due, self._ring)
        if self.links.closing and not self.links:
            self._all_closed.set()
