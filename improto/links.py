"""The connections of one server, without I/O: what each binding's server has in common.

A binding derives its connection from `Link`, and moves bytes.  When to write how much, when to read, how many
connections there may be, and how one is closed is decided here.  It tells

    links = Links(service)

    link.opened(now, address)      a connection was accepted
    link.received(data)            bytes arrived
    link.ended()                   end of stream
    link.broken()                  nothing can be read or written any more
    link.lost()                    the connection is closed: nothing more is called
    link.pause(now)                the transport takes no more for now …
    link.resume()                  … and takes more again
    links.turn(now)                after any of these, and when the clock reaches `links.due`

and does in `refresh`, which is called in a turn for each link about which something was decided, what follows:

    while (data := link.take(now)) is not None: write it
    in Phase.OPEN, read if, and only if, `link.reading`
    in Phase.FLUSHING, read on, and call `link.flushed(now)` once all that was written is out
    in Phase.LINGERING, shut down writing and read on
    in Phase.OVER, close at once, whatever waits

What the service hands over is written in small portions, so that each one that goes is a sign of life.
"""

from collections import Counter
from enum import Enum
from typing import Final

from improto.addresses import subnet
from improto.pacing import checked_gap, gap_for
from improto.service import Peer, Service

__all__ = ["PORTION", "Link", "Links", "Phase"]

PORTION: Final = 64 * 1024
"""Bytes that are written at once, so that each portion that goes is a sign of life."""


class Phase(Enum):
    """How far the close of a connection has come (CONN-22)."""

    OPEN = "open"
    FLUSHING = "flushing"
    """Nothing follows what waits."""
    LINGERING = "lingering"
    """All is out; the peer is to close, and what it sends is discarded, so that no reset destroys the last message."""
    OVER = "over"


class Links:
    """All connections of one server.  See the module's text for the order of calls."""

    def __init__(
        self, service: Service, *, connections: int = 10_000, per_address: int = 1_000, gap: float = 0.0
    ) -> None:
        """Serve at most so many connections, in all and from one address (FLOW-13), or one /64 of IPv6.

        With `gap`, that many seconds lie between two messages to a peer that speaks the pickle codec, for
        programs that take one `recv` for one message (LECTURE-1).  UsageError if it is less than 20 ms.
        """
        self.gap = checked_gap(gap)
        self.service = service
        service.apart = gap > 0
        self.now = 0.0
        """The time of this turn, or of the last one."""
        self.connections = connections
        self.per_address = per_address
        self._links: dict[int, Link] = {}
        self._served = 0
        self._by_address: Counter[str] = Counter()  # as `subnet` counts them
        self._touched: list[Link] = []  # to be refreshed, though the service knows nothing new
        self.closing = False
        """Whether `shut_down` was called."""
        # Deadlines; since all in one dict have the same length, the earliest is always the first.
        self._gaps: dict[Link, float] = {}
        self._closes: dict[float, dict[Link, float]] = {}  # by that length
        self._deadlines = [self._gaps]  # all of them

    def __len__(self) -> int:
        """Count the connections, those that are being closed included."""
        return len(self._links)

    def turn(self, now: float) -> None:
        """Have a turn of the service, and refresh each link about which something was decided."""
        self.now = now
        for deadlines in self._deadlines:
            while deadlines:
                link, deadline = next(iter(deadlines.items()))
                if deadline > now:
                    break
                del deadlines[link]
                link.expired(gap=deadlines is self._gaps)
        if self._touched:
            touched, self._touched = self._touched, []
            for link in touched:
                link.refresh()
        links = self._links
        for peer in self.service.turn(now):
            changed = links.get(peer.id)
            if changed is not None:
                changed.refresh()

    @property
    def due(self) -> float | None:
        """When `turn` is to be called even if nothing happens; None if not at all."""
        if self._touched:
            return 0.0
        due = self.service.due
        for deadlines in self._deadlines:
            if deadlines:
                first = next(iter(deadlines.values()))
                due = first if due is None else min(due, first)
        return due

    def shut_down(self, now: float) -> None:
        """Tell everybody that the server goes, and close all connections, also those yet to come (ERROR-9)."""
        self.closing = True
        self.service.shut_down(now)
        # Nobody who is being closed for another reason keeps the server for longer than those who are told (FLOW-9).
        flush = self.service.bounds.flush
        late = [link for closes in self._closes.values() for link, by in closes.items() if by > now + flush]
        for link in late:
            if link.phase is Phase.FLUSHING:
                self.close_within(link, flush, now)

    # -- for links ------------------------------------------------------------------------------------------

    def add(self, link: "Link", address: str, now: float, *, agreeing: bool) -> Peer:
        """Take a new connection in, to be served or refused (FLOW-13).

        Those that are refused do not count: else whoever tries again and again would keep everybody out.
        """
        counted = subnet(address)
        full = self._served >= self.connections or self._by_address[counted] >= self.per_address
        refusal = "too many connections; try again later" if full else None
        peer = self.service.connect(now, refusal, agreeing=agreeing, address=address)
        if not full:
            self._served += 1
            self._by_address[counted] += 1
        self._links[peer.id] = link
        if self.closing:  # accepted while the listener closed
            self.service.shut_down(now)
        return peer

    @property
    def crowded(self) -> bool:
        """Whether so many connections wait for their refusal that more are closed without one."""
        return len(self._links) - self._served > self.connections

    def remove(self, link: "Link") -> None:
        """Forget a connection."""
        self.service.end(link.peer, lost=True)
        del self._links[link.peer.id]
        if link.peer.refusal is None:
            self._served -= 1
            counted = subnet(link.peer.address)
            self._by_address[counted] -= 1
            if not self._by_address[counted]:
                del self._by_address[counted]
        for deadlines in self._deadlines:
            deadlines.pop(link, None)

    def touch(self, link: "Link") -> None:
        """Have a link refreshed in the next turn."""
        link.peer.steady = False
        self._touched.append(link)

    def wait(self, link: "Link", until: float) -> None:
        """Have `expired` called at the end of a gap."""
        self._gaps[link] = until

    def close_within(self, link: "Link", seconds: float, now: float) -> None:
        """Have `expired` called then, and not at a deadline of its close that was set before."""
        for deadlines in self._closes.values():
            deadlines.pop(link, None)
        if seconds not in self._closes:
            self._closes[seconds] = {}
            self._deadlines.append(self._closes[seconds])
        self._closes[seconds][link] = now + seconds


class Link:
    """One accepted connection, from which a binding derives its own.  See the module's text."""

    __slots__ = ("_held", "_in_gap", "_waiting", "links", "paused", "peer", "phase")
    peer: Peer

    def __init__(self, links: Links) -> None:
        """Begin without a connection: `opened` is the first call."""
        self.links = links
        self.phase = Phase.OPEN
        self.paused = False
        """Whether the transport takes no more for now."""
        self._waiting: list[bytes | memoryview] = []
        self._in_gap = False  # the next message has to wait
        self._held = False  # the service has been told that there is no room

    # -- inputs ---------------------------------------------------------------------------------------------

    def opened(self, now: float, address: str, *, agreeing: bool = False) -> None:
        """Begin to serve a peer, counted as one of `address`, or to refuse it.

        With `agreeing` the transport still has to agree on a codec, and tells `Service.agree`.  What else it knows of
        the peer is noted in `peer` after that.
        """
        self.peer = self.links.add(self, address, now, agreeing=agreeing)
        if self.peer.refusal is not None and self.links.crowded:
            self.phase = Phase.OVER

    def received(self, data: bytes) -> None:
        """Take in bytes."""
        self.links.service.receive(self.peer, data)

    def ended(self) -> None:
        """Note the end of the peer's stream; replies are still written (CONN-20)."""
        self.links.service.end(self.peer)
        if self.phase is Phase.LINGERING:
            self.phase = Phase.OVER
            self.links.touch(self)

    def broken(self) -> None:
        """Note that nothing can be read or written any more, for whoever is not told by the transport that it is closed."""
        self.phase = Phase.OVER
        self.links.touch(self)

    def lost(self) -> None:
        """Note that the connection is closed, from whichever side."""
        self.phase = Phase.OVER
        self._waiting.clear()
        self.links.remove(self)

    def pause(self, now: float) -> None:
        """Note that the transport takes no more for now."""
        self.paused = True
        self._hold(now)

    def resume(self) -> None:
        """Note that the transport takes more again."""
        self.paused = False
        self.links.touch(self)

    def flushed(self, now: float) -> None:
        """Note, in `Phase.FLUSHING`, that all is out."""
        if self.phase is Phase.FLUSHING and not self._held:
            self.phase = Phase.OVER if self.peer.ended else Phase.LINGERING
            self.links.close_within(self, self.links.service.bounds.linger, now)

    def expired(self, *, gap: bool) -> None:
        """Note that a gap, or the time for a step of the close, is over."""
        if gap:
            self._in_gap = False
        else:
            self.phase = Phase.OVER
        self.links.touch(self)

    # -- what is to be done -----------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Do what was decided, as the module's text says; a binding's own."""
        raise NotImplementedError

    @property
    def reading(self) -> bool:
        """Whether the peer is to be read from."""
        return self.peer.reading

    def take(self, now: float) -> bytes | memoryview | None:
        """Take what is to be written at once; None if that is nothing for now.

        Of a long message that is a part; with a gap one message; else all that fits.
        """
        peer, waiting = self.peer, self._waiting
        if peer.flush is not None and self.phase is Phase.OPEN:
            self.phase = Phase.FLUSHING
            most = self.links.service.bounds.flush if self.links.closing else peer.flush
            self.links.close_within(self, min(peer.flush, most), now)
        if self._held and (self.paused or self._in_gap):
            return None
        if not waiting:
            waiting += peer.take()
        data = self._portion(now) if waiting else None
        if self._held and not waiting and not self._in_gap:
            self._held = False
            self.links.service.unblock(peer)
        return data

    def _portion(self, now: float) -> bytes | memoryview:
        waiting = self._waiting
        first = waiting[0]
        if len(first) > PORTION:
            waiting[0] = memoryview(first)[PORTION:]
            return memoryview(first)[:PORTION]
        gap = gap_for(self.peer.codec_name, self.links.gap)
        if gap:  # LECTURE-2
            self._in_gap = True
            self._hold(now)
            self.links.wait(self, now + gap)
            return waiting.pop(0)
        count, size = 1, len(first)
        while count < len(waiting) and size + len(waiting[count]) <= PORTION:
            size += len(waiting[count])
            count += 1
        pieces = waiting[:count]
        del waiting[:count]
        return b"".join(pieces)

    def _hold(self, now: float) -> None:
        """Tell the service that there is no room; each time there was some before, which is a sign of life."""
        self._held = True
        self.links.service.block(self.peer, now)
