"""The connections of one server, without I/O: what the servers of all bindings have in common.

A binding derives its connection from `Link`, and moves bytes.  When to write and how much, when to read, how many
connections there may be, and how each one is closed is decided here.  The binding says what happens:

    links = Links(service)

    link.opened(now, address)      a connection was accepted; it may be read from at once
    link.received(data)            bytes arrived
    link.ended()                   end of the peer's stream
    link.broken()                  nothing can be read or written any more
    link.lost()                    the connection is closed; nothing that is called later has an effect
    link.pause(now)                the transport has no room for now …
    link.resume()                  … and has room again
    links.turn(now)                after any of these, and when the clock reaches `links.due`

A turn calls `refresh`, which the binding writes, for each link about which something was decided.  There it does what
the link says, or has it done:

    while (data := link.take(now)) is not None: write it
    in Phase.OPEN, read if, and only if, `link.reading`
    in Phase.FLUSHING, read on, and call `link.flushed(now)` once all that was written has gone out
    in Phase.LINGERING, shut down writing, and read on
    in Phase.OVER, close at once, whatever still waits; `lost` is to be called soon, or else the link is forgotten

What a peer is sent is written in small portions, so that each portion that goes out is a sign of life.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final

from improto.addresses import subnet
from improto.deadlines import earliest, expired
from improto.pacing import checked_gap, gap_for
from improto.service import Peer, Service

__all__ = ["PORTION", "Link", "Links", "Phase"]

PORTION: Final = 64 * 1024
"""At most how many bytes `Link.take` gives at a time."""
_CLOSE: Final = 1.0  # seconds for a transport to close, beside `Bounds.linger`, which TLS may take


class Phase(Enum):
    """How far the close of a connection has come (CONN-22)."""

    OPEN = "open"
    FLUSHING = "flushing"
    """What waits is written; nothing follows it."""
    LINGERING = "lingering"
    """All is written, and the peer is to close.  What it sends is read and discarded: else a reset could destroy the
    last message on its way."""
    OVER = "over"
    """Nothing more is read or written."""


# In Python 3.11, looking up a member of an Enum takes longer than most of what is done for a connection in a turn.
_OVER: Final = Phase.OVER


class Links:
    """All connections of one server.  See the module's text for the order of calls."""

    def __init__(
        self, service: Service, *, connections: int = 10_000, per_address: int = 1_000, gap: float = 0.0
    ) -> None:
        """Serve at most `connections` in all, and `per_address` from one address or one /64 of IPv6 (FLOW-13).

        With `gap`, at least so many seconds lie between two messages to a peer that speaks the pickle codec, for
        programs that take what one `recv` gives for one message (LECTURE-1).  UsageError if that is less than 20 ms.
        """
        self.gap = checked_gap(gap)
        self.service = service
        service.apart = gap > 0
        self.now = 0.0
        """The time of this turn, or of the last one."""
        self.connections = connections
        self.per_address = per_address
        self._links: dict[int, Link] = {}
        self._served = 0  # connections that are served, and not just refused
        self._by_address: Counter[str] = Counter()  # the same by address, as `subnet` counts
        self._touched: dict[Link, None] = {}  # to be refreshed in the next turn, whatever the service says
        self.closing = False
        """Whether `shut_down` was called."""
        self._gaps: dict[Link, float] = {}
        self._overs: dict[Link, float] = {}  # those whose transports were told to close
        self._closes: dict[float, dict[Link, float]] = {}  # by how many seconds they are set ahead
        self._deadlines = [self._gaps, self._overs]  # and the values of `_closes`

    def __len__(self) -> int:
        """Count the connections, those that are being closed included."""
        return len(self._links)

    def turn(self, now: float) -> None:
        """Have a turn of the service, and refresh each link about which something was decided."""
        self.now = now
        for link in expired(self._overs, now):
            link.lost()  # so that nobody waits for it for ever, whatever is wrong with its transport
        for deadlines in self._deadlines:
            for link in expired(deadlines, now):
                link.expired(gap=deadlines is self._gaps)
        if self._touched:
            touched, self._touched = self._touched, {}
            self._refresh([link.peer for link in touched])
        if self.closing:  # for those that were accepted meanwhile, or left when the observer raised
            self.service.shut_down(now)
        self._refresh(self.service.turn(now))

    def _refresh(self, peers: Sequence[Peer]) -> None:
        links = self._links
        link: Link | None = None
        rest = iter(peers)
        try:
            for peer in rest:
                link = links.get(peer.id)
                if link is None:
                    continue
                # The usual case in a conversation: events to write, and nothing else has changed.
                if peer.steady and len(events := b"".join(peer.pieces)) <= PORTION:
                    peer.pieces.clear()
                    link.write_events(events)
                    if peer.steady:  # else the transport has no room now
                        continue
                if peer.flush is not None or link.phase is _OVER:
                    self._close(link)
                link.refresh()
        except Exception:  # of the transport, as for a lack of memory
            if link is not None:
                link.discard()
            for peer in rest:
                if peer.id in links:
                    self.touch(links[peer.id])
            raise

    def _close(self, link: "Link") -> None:
        """Begin a close, also where a task of the binding still writes what came before; or see to its end."""
        bounds, flush = self.service.bounds, link.peer.flush
        if link.phase is Phase.OVER:
            self._overs.setdefault(link, self.now + bounds.linger + _CLOSE)
        elif link.phase is Phase.OPEN and flush is not None:
            link.phase = Phase.FLUSHING
            self.close_within(link, min(flush, bounds.flush) if self.closing else flush, self.now)

    @property
    def due(self) -> float | None:
        """When `turn` has to be called even if nothing happens; None if never."""
        if self._touched:
            return 0.0
        return earliest(self.service.due, self._deadlines)

    def shut_down(self, now: float) -> None:
        """Tell everybody that the server goes down, and close all connections, also those that are yet to come (ERROR-9).

        All are closed in the turns that follow, also if this raises what the observer raises.
        """
        self.closing = True
        # Those that were being closed before, for another reason, get no more time than the others (FLOW-9).
        flush = self.service.bounds.flush
        late = [link for closes in self._closes.values() for link, by in closes.items() if by > now + flush]
        for link in late:
            if link.phase is Phase.FLUSHING:
                self.close_within(link, flush, now)
        self.service.shut_down(now)

    # -- for links ------------------------------------------------------------------------------------------

    def add(self, link: "Link", address: str, now: float, *, agreeing: bool) -> Peer:
        """Take in a new connection, to serve or to refuse it (FLOW-13).

        Those that are refused do not count: else somebody who tries again and again would keep everybody out.
        """
        counted = subnet(address)
        full = self._served >= self.connections or self._by_address[counted] >= self.per_address
        refusal = "too many connections; try again later" if full else None
        peer = self.service.connect(now, refusal, agreeing=agreeing, address=address)
        if not full:
            self._served += 1
            self._by_address[counted] += 1
        self._links[peer.id] = link
        return peer

    @property
    def crowded(self) -> bool:
        """Whether so many connections wait to be told of their refusal that further ones are closed without a word."""
        return len(self._links) - self._served > self.connections

    def remove(self, link: "Link") -> None:
        """Forget a connection, unless that was done already."""
        if self._links.pop(link.peer.id, None) is None:
            return
        self.service.end(link.peer, lost=True)
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
        self._touched[link] = None

    def wait(self, link: "Link", until: float) -> None:
        """Have the link's `expired` called when its gap is over."""
        self._gaps[link] = until

    def close_within(self, link: "Link", seconds: float, now: float) -> None:
        """Have the link's `expired` called after so many seconds, in place of any such deadline that was set before."""
        for deadlines in self._closes.values():
            deadlines.pop(link, None)
        if seconds not in self._closes:
            self._closes[seconds] = {}
            self._deadlines.append(self._closes[seconds])
        self._closes[seconds][link] = now + seconds


class Link:
    """One accepted connection; each binding derives its own from this.  See the module's text."""

    __slots__ = ("_held", "_in_gap", "_waiting", "links", "paused", "peer", "phase", "write_events")
    peer: Peer
    write_events: Callable[[bytes], object]
    """Writes events at once, or an empty bytes, which is faster than `refresh`; used, and needed, only while
    `peer.steady` is set."""

    def __init__(self, links: Links) -> None:
        """Begin without a connection: `opened` is the first call."""
        self.links = links
        self.phase = Phase.OPEN
        self.paused = False
        """Whether the transport has no room for now."""
        # What was taken from the peer's outbox and not yet written.
        self._waiting: list[bytes | memoryview] = []
        self._in_gap = False  # whether the next message has to wait for the end of a gap
        self._held = False  # whether the service was told that there is no room

    # -- inputs ---------------------------------------------------------------------------------------------

    def opened(self, now: float, address: str, *, agreeing: bool = False) -> None:
        """Begin to serve a peer, which counts as one of `address`, or to refuse it.

        With `agreeing`, the transport has yet to agree on a codec with the peer, and then calls `Service.agree`.  What
        else the transport knows about the peer, it notes in `peer` after this call.
        """
        self.peer = self.links.add(self, address, now, agreeing=agreeing)
        if self.peer.refusal is not None and self.links.crowded:
            self.phase = Phase.OVER

    def received(self, data: bytes) -> None:
        """Take in bytes that arrived."""
        self.links.service.receive(self.peer, data)

    def ended(self) -> None:
        """Note the end of the peer's stream; replies are still written (CONN-20)."""
        self.links.service.end(self.peer)
        if self.phase is Phase.LINGERING:
            self.phase = Phase.OVER
            self.links.touch(self)

    def broken(self) -> None:
        """Note that nothing can be read or written any more.  The binding still has to close, and to call `lost`."""
        self.phase = Phase.OVER
        self.links.touch(self)

    def discard(self) -> None:
        """Note that what was to be written got lost, so that the rest would make no sense."""
        self._waiting.clear()
        self.peer.take()
        self.broken()

    def lost(self) -> None:
        """Note that the connection is closed, by whichever side."""
        self.phase = Phase.OVER
        self._waiting.clear()
        self.links.remove(self)

    def pause(self, now: float) -> None:
        """Note that the transport has no room for now."""
        self.paused = True
        self._hold(now)

    def resume(self) -> None:
        """Note that the transport has room again."""
        self.paused = False
        self.links.touch(self)

    def flushed(self, now: float) -> None:
        """Note, in `Phase.FLUSHING`, that all that was written has gone out."""
        if self.phase is Phase.FLUSHING and not self._held:
            self.phase = Phase.OVER if self.peer.ended else Phase.LINGERING
            self.links.close_within(self, self.links.service.bounds.linger, now)

    def expired(self, *, gap: bool) -> None:
        """Note that a gap is over, or else the time for a step of the close."""
        if gap:
            self._in_gap = False
        else:
            self.phase = Phase.OVER
        self.links.touch(self)

    # -- what is to be done -----------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Do what was decided, as the module's text says.  Each binding writes its own."""
        raise NotImplementedError

    @property
    def reading(self) -> bool:
        """Whether the peer is to be read from."""
        return self.peer.reading

    def take(self, now: float) -> bytes | memoryview | None:
        """Take what is to be written next, up to `PORTION` bytes; None if there is nothing for now.

        That is as many whole messages as fit, or a part of a long one; with a gap, it is one message.
        """
        peer, waiting = self.peer, self._waiting
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
        """Tell the service that there is no room from now on.  That there was some until now is a sign of life."""
        self._held = True
        self.links.service.block(self.peer, now)
