"""A whole server without I/O: one hub, and for each connection its wire layer and what waits for it.

A binding drives it through `links.Links`, which also does what else bindings have in common:

    service = Service(hub, codecs)

    peer = service.connect(now)      a connection was accepted
    service.agree(peer, codec)       … its transport has agreed on a codec, if it was connected with `agreeing`
    service.receive(peer, data)      bytes arrived
    service.end(peer)                end of stream; `lost=True` if nothing can be written either
    service.block(peer, now)         the transport takes no more for now …
    service.unblock(peer)            … and takes more again
    service.decide(peer, …, now)     the answer to `service.on_ask(peer, register)`, which is called if `Policy.ask` is set

    for peer in service.turn(now):   do the work; for each of these something has changed:
        write peer.take()            … if there is anything
        if peer.flush is not None:   … nothing follows: flush for at most `flush` seconds, shut down writing, and
            …                        close when the peer has closed, after `Bounds.linger` seconds at the latest;
            …                        discard what arrives meanwhile
        read if, and only if, peer.reading

Call `turn` once per turn of the event loop after any of the calls above, and when the clock reaches `due`.  All
that one turn causes is written in one piece for each connection.  In a turn at most `Bounds.batch` messages of each
connection are handled (FLOW-10), and no more at all once the turn has caused `Bounds.turn` bytes.  In the next turn
those that were not reached come first, and then those with messages left over.

Requests take effect in the order in which they are taken out here, which is one total order, and all that a
request causes is queued before the next one is looked at: that is what makes LIST_CONVERSATIONS a barrier.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from improto.codec import Codec
from improto.deadlines import check_seconds, earliest, expired
from improto.errors import UsageError
from improto.messages import Code, Delivery, Error, FromClient, Message, Register, Request, Response, Role
from improto.outbox import Outbox
from improto.server import Ask, Close, Hub, Output, Send
from improto.states import State
from improto.wire import Connection, Fault, Rate

__all__ = ["Bounds", "Credentials", "Observer", "Peer", "Service"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one connection may cost.  Sizes in bytes, times in seconds."""

    batch: int = 64
    """Messages of one connection that are handled in one turn."""
    turn: int = 256 * 1024
    """Bytes of different messages that one turn may cause, so that those who read can take them before more is caused."""
    queued: int = 64 * 1024
    """Waiting output above which nothing more is read from the connection (FLOW-6)."""
    events: int = 1024 * 1024
    """Waiting events above which a connection that takes nothing is closed as a slow consumer (FLOW-7).

    A server that conforms lets more than 64 KiB wait; the bytes between payloads count here, too.
    """
    all_queues: int = 64 * 1024 * 1024
    """Waiting events of all such connections together, above which the one with the most is closed (FLOW-8).

    As much again may wait for connections that are being closed and take nothing; above that, what waits for the one
    that was closed first is dropped.
    """
    register: float = 60.0
    """Time to register (CONN-17)."""
    idle: float | None = None
    """How long a registered user may send nothing; None for ever (CONN-29).

    Clients that only listen send nothing as long as rosters and messages arrive.
    """
    write: float = 60.0
    """For how long a peer may take nothing of what waits for it (CONN-28); and time to take all of it at a close."""
    flush: float = 5.0
    """Time to take all that waits at a close with `slow-consumer` or `shutting-down` (FLOW-9)."""
    linger: float = 1.0
    """Time for the peer to close after that (CONN-22).

    What it sends meanwhile is discarded: closing at once could cause a reset that destroys the last message.
    """

    def __post_init__(self) -> None:
        """Check the numbers.  UsageError if nothing would ever be handled, or a clock cannot take a time."""
        for name in ("batch", "turn", "queued", "events", "all_queues"):
            if not getattr(self, name) >= 1:  # written so that NaN is refused, too
                raise UsageError(f"{name} is 1 or more, and not {getattr(self, name)}")
        for name in ("register", "idle", "write", "flush", "linger"):
            seconds: float | None = getattr(self, name)
            if seconds is not None:
                check_seconds(name, seconds)


class Observer:
    """Is told what happens on the connections, for logs and counters.  Subclass it; its own methods do nothing.

    Peers are named by their `Peer.id`.  A method is called in the middle of a turn, so let it neither raise nor call the
    service, the hub or the server: what it raises comes out of `turn`, and the connection that it was about might not be
    served any more.  To kick somebody, for example, have that done later.
    """

    def connected(self, peer: int, address: str) -> None:
        """A connection was accepted from `Peer.address`; told in the first turn after that."""

    def received(self, peer: int, message: Request) -> None:
        """A request arrived that is in bounds and in order; the hub decides about it now."""

    def refused(self, peer: int, fault: Fault) -> None:
        """Something arrived that is no request, or none that may be sent now."""

    def sent(self, peers: Sequence[int], message: Response) -> None:
        """A message is queued for these connections, except for those of them that are being closed."""

    def closed(self, peer: int, reason: str) -> None:
        """Nothing more is read from a connection, nor queued for it.

        The reason is the code of the ERROR that told the peer why, such as `forbidden` for one who was kicked, or else it
        is `goodbye`, `end of stream` or `refused`.
        """


class Credentials(NamedTuple):
    """The process at the other end of a Unix socket, as the system knows it."""

    pid: int
    uid: int
    gid: int


class Peer(Outbox):
    """One accepted connection, and what waits to be written to it.

    A binding uses `id`, `flush`, `reason`, `reading` and `take`; the rest is for the service.

    The binding also notes what the transport knows about the peer: `address` at once, `certified` and `credentials`
    before anything is received.
    """

    __slots__ = (
        "address",
        "certified",
        "credentials",
        "ended",
        "flush",
        "id",
        "lost",
        "reading",
        "reason",
        "refusal",
        "steady",
        "wire",
    )

    def __init__(self, id: int, wire: Connection, refusal: str | None) -> None:
        """Made by `Service.connect`."""
        super().__init__()
        self.id = id
        self.address = ""
        """The host, or what stands for it where connections are counted by address (`addresses.subnet`)."""
        self.certified: str | None = None
        """The name in the certificate that the peer has shown, if it has: the only name that it may register."""
        self.credentials: Credentials | None = None
        self.flush: float | None = None
        """Set at a close, when nothing follows what is queued: how many seconds it may take until that is written."""
        self.reason = ""
        """Set with `flush`: why the connection is closed, as `Observer.closed` is told."""
        self.reading = True
        """Whether the peer is to be read from, as decided in the last `turn`.

        Not while its output waits (FLOW-6), or what was read has not been handled (LIMIT-4), such as what came behind a
        REGISTER that is undecided (REGISTER-9).  During a close, input is read to be discarded.
        """
        self.steady = False
        """Set by a binding that has taken all that was queued; unset by the service when anything but events is queued, or
        anything else changes.  While it is set, `Links` empties `pieces` itself, which is faster than `take`."""
        self.wire = wire
        self.refusal = refusal
        self.ended = False
        self.lost = False

    @property
    def codec_name(self) -> str | None:
        """The name of the peer's codec, once it is known."""
        return None if self.wire.codec is None else self.wire.codec.name


class _Audience:
    """The receivers of one conversation's messages, and what is gathered for them."""

    __slots__ = ("by_id", "groups", "size", "to")

    def __init__(self, to: tuple[int, ...], peers: Sequence[Peer]) -> None:
        self.to = to
        self.size = 0  # bytes that are gathered
        self.by_id = {peer.id: peer for peer in peers}
        self.groups: dict[Codec, tuple[list[bytes], list[Peer]]] = {}
        """For each codec in use what is gathered, and for whom."""
        for peer in peers:
            if peer.wire.codec is not None:
                self.groups.setdefault(peer.wire.codec, ([], []))[1].append(peer)


class Service:
    """One server.  See the module's text for the order of calls."""

    def __init__(
        self,
        hub: Hub,
        codecs: Sequence[Codec],
        *,
        bounds: Bounds | None = None,
        rate: Rate | None = None,
        observer: Observer | None = None,
    ) -> None:
        """Serve `hub` to connections that speak one of `codecs`.

        UsageError if there is none, if one is not a Codec, or if a limit of the hub makes it impossible to tell several
        apart by their first bytes.
        """
        if not all(isinstance(cast(object, codec), Codec) for codec in codecs):
            raise UsageError("give the codecs themselves, such as load('json'), and not their names")
        # So that a mistake shows now, and not when somebody connects.
        Connection(Role.SERVER, codecs, hub.limits)
        self.hub = hub
        self.bounds = bounds or Bounds()
        self.apart = False
        """Whether `take` gives each message as a piece of its own, for a binding that leaves gaps between them."""
        self.codecs = codecs
        self._rate = rate
        self._observer = observer or Observer()
        self.on_ask: Callable[[Peer, Register], None] | None = None
        """Called about each REGISTER if `Policy.ask` is set; whoever is asked answers with `decide`, at once or later."""
        self._accepted = hub.newest  # a restored hub has users already
        self._peers: dict[int, Peer] = {}  # those that are not being closed
        self._new = deque[Peer]()  # of whom the observer was not told yet
        self._ready: dict[int, Peer] = {}  # have input to be looked at
        self._changed: dict[int, Peer] = {}  # have output, or are to be closed, or may be read from again
        self._audience: _Audience | None = None  # of the last MESSAGE
        self._caused = 0  # bytes of the messages that the present turn has caused
        self._refuse_by: dict[Peer, float] = {}
        self._register_by: dict[Peer, float] = {}
        self._idle_by: dict[Peer, float] = {}
        self._write_by: dict[Peer, float] = {}
        self._deadlines = (self._refuse_by, self._register_by, self._idle_by, self._write_by)
        # Those that took nothing when their close began, with the bytes that waited then; and the sum of these bytes.
        self._leaving: dict[Peer, int] = {}
        self._left = 0

    # -- inputs -------------------------------------------------------------------------------------------

    def connect(
        self, now: float, refusal: str | None = None, *, agreeing: bool = False, address: str = ""
    ) -> Peer:
        """Take in a connection from an address; with `refusal`, only to tell the peer why it is not served (FLOW-13).

        With `agreeing`, the transport has yet to agree on a codec: nothing is said to the peer before `agree`.
        """
        self._accepted += 1
        wire = Connection(Role.SERVER, self.codecs, self.hub.limits, self._rate, agreeing=agreeing)
        peer = Peer(self._accepted, wire, refusal)
        peer.address = address
        self._peers[peer.id] = peer
        if refusal is None:
            self._register_by[peer] = now + self.bounds.register
        else:
            self._refuse_by[peer] = now + self.bounds.linger
            self._ready[peer.id] = peer
        self._new.append(peer)
        return peer

    def agree(self, peer: Peer, codec: Codec) -> None:
        """Speak with a peer the codec on which its transport has agreed (WS-3)."""
        if peer.flush is None:
            peer.wire.agree(codec)
            self._ready[peer.id] = peer

    def receive(self, peer: Peer, data: bytes) -> None:
        """Take in bytes that arrived; they are looked at in the next `turn`."""
        if peer.flush is None:
            peer.wire.feed(data)
            self._ready[peer.id] = peer
            peer.reading = False
            if self._idle_by:
                self._idle_by.pop(peer, None)  # until all of it is handled

    def end(self, peer: Peer, *, lost: bool = False) -> None:
        """Note the end of the peer's stream.  Requests that had arrived in full still take effect.

        With `lost`, nothing can be written to the peer either, and what waits for it is dropped.
        """
        peer.ended = True
        if lost:
            peer.lost = True
            peer.blocked = False
            self._write_by.pop(peer, None)
            self._forget(peer)
        if peer.flush is None:
            self._ready[peer.id] = peer

    def block(self, peer: Peer, now: float) -> None:
        """Note that the transport takes no more: output waits here from now on, as its delivery class demands."""
        if peer.flush is None:
            peer.blocked = True
            peer.steady = peer.reading = False
            self._write_by.pop(peer, None)  # the latest deadline stands last
            self._write_by[peer] = now + self.bounds.write

    def unblock(self, peer: Peer) -> None:
        """Note that the transport takes more again."""
        peer.blocked = False
        self._write_by.pop(peer, None)
        self._forget(peer)
        self._change(peer)
        if peer.flush is None:
            self._ready[peer.id] = peer

    def decide(self, peer: Peer, refusal: str | None, now: float) -> None:
        """Answer `on_ask`: admit the user (None), or refuse and give the reason.  An answer that comes too late is ignored.

        InvalidMessage if no message can hold the reason; then nothing is decided yet.
        """
        self._carry_out(self.hub.decide(peer.id, refusal, now), now)
        if peer.flush is None:
            self._ready[peer.id] = peer
            self._change(peer)

    def kick(self, username: str, reason: str, now: float) -> None:
        """Put a user out, with `forbidden` and the reason.

        UsageError if nobody has that name, InvalidMessage if no message can hold the reason; nothing is changed then.
        """
        self._carry_out(self.hub.kick(username, reason, now), now)

    def shut_down(self, now: float) -> None:
        """Tell every peer that the server goes down, and close all connections (ERROR-9).

        If the observer raises, call it again for those that are left.
        """
        self._announce()
        for peer in list(self._peers.values()):
            self._expel(peer, Code.SHUTTING_DOWN, "the server is going down; try again later", now)

    # -- work ---------------------------------------------------------------------------------------------

    def turn(self, now: float) -> list[Peer]:
        """Handle what has arrived and what is due, and give the peers for which something has changed."""
        self._caused = 0
        if self._new:
            self._announce()
        ready, self._ready = self._ready, {}
        late: dict[int, Peer] = {}
        turns = iter(ready.values())
        try:
            for peer in turns:
                if self._caused > self.bounds.turn:
                    late[peer.id] = peer
                    self._change(peer)
                elif peer.flush is None:
                    self._handle(peer, now)
        except Exception:  # of a codec or the observer
            late |= {each.id: each for each in turns}
            raise
        finally:
            if late:  # else those who ask for much would come first in each turn, and nobody else ever
                self._ready = late | self._ready
        if any(self._deadlines):
            self._enforce(now)
        due = self.hub.due
        if due is not None and due <= now:
            self._carry_out(self.hub.tick(now), now)
        self._distribute(now)
        if self._write_by:
            self._relieve(now)
        changed, self._changed = self._changed, {}
        return list(changed.values())

    @property
    def due(self) -> float | None:
        """When `turn` has to be called even if nothing arrives; None if never."""
        if self._ready or self._changed or self._new:
            return 0.0
        return earliest(self.hub.due, self._deadlines)

    def _announce(self) -> None:
        """Tell the observer who has connected: in a turn, like all else, since it may raise."""
        while self._new:
            peer = self._new.popleft()
            self._observer.connected(peer.id, peer.address)

    def _change(self, peer: Peer) -> None:
        """Let `turn` give this peer, since something has changed."""
        peer.steady = False
        self._changed[peer.id] = peer

    # -- deadlines ----------------------------------------------------------------------------------------

    def _enforce(self, now: float) -> None:
        """Close the connections whose time is up."""
        for peer in expired(self._refuse_by, now):
            self._close(peer, "refused", now)
        for peer in expired(self._register_by, now):  # CONN-17
            self._expel(peer, Code.TIMEOUT, f"you had {self.bounds.register:g} seconds to register", now)
        for peer in expired(self._idle_by, now):
            if peer.reading:
                self._expel(peer, Code.TIMEOUT, "you have sent nothing for too long; connect again", now)
            else:  # it was not read from, so it may well have sent something
                self._wait_for(peer, now)
        for peer in expired(self._write_by, now):
            self._expel(peer, Code.SLOW_CONSUMER, "you have read nothing for too long", now)  # CONN-28

    def _wait_for(self, peer: Peer, now: float) -> None:
        """Start the time for which a registered user may send nothing, unless it runs already (CONN-29)."""
        if self.bounds.idle is not None and peer.wire.state is State.REGISTERED:
            self._idle_by.setdefault(peer, now + self.bounds.idle)

    # -- what has arrived ---------------------------------------------------------------------------------

    def _handle(self, peer: Peer, now: float) -> None:
        """Handle messages that a peer has sent, until there are no more or it is the turn of others."""
        self._changed[peer.id] = peer
        if peer.lost:
            peer.take()  # nobody else will
        wire, bounds = peer.wire, self.bounds
        for _ in range(bounds.batch):
            if peer.pieces:
                peer.steady = False
            if peer.blocked or (peer.pieces and peer.size > bounds.queued) or self._caused > bounds.turn:
                break
            item = wire.next(now)
            if peer.refusal is not None and (item is not None or wire.codec is not None):
                self._expel(peer, Code.FORBIDDEN, peer.refusal, now)  # FLOW-13
                return
            if item is None:
                peer.reading = wire.ready or not wire.behind  # REGISTER-9
                if not peer.reading:
                    peer.steady = False
                if bounds.idle is not None:
                    self._wait_for(peer, now)
                # With a REGISTER undecided there may be more to handle after it (CONN-20), unless nobody would see it.
                if peer.ended and (wire.ready or peer.lost):
                    self._close(peer, "end of stream", now)  # CONN-18
                return
            self._take_in(peer, item, now)
            if peer.flush is not None:
                return
        peer.steady = False
        if not peer.blocked:  # a blocked one comes back with `unblock`
            self._ready[peer.id] = peer

    def _take_in(self, peer: Peer, item: Request | Response | Fault, now: float) -> None:
        if isinstance(item, Fault):
            self._observer.refused(peer.id, item)
            self._distribute(now)
            self._queue(peer, item.error)
            if item.fatal:
                self._close(peer, item.code, now)
        elif isinstance(item, FromClient):
            self._observer.received(peer.id, item)
            if isinstance(item, Register) and peer.certified not in (None, item.username):
                refusal = f"your certificate is for {peer.certified!a}; register as that"
                self._queue(peer, Error.of(Code.FORBIDDEN, refusal))
                return
            self._carry_out(self.hub.receive(peer.id, item, now), now)

    def _carry_out(self, outputs: Iterable[Output], now: float) -> None:
        for output in outputs:
            match output:
                case Send():
                    self._send(output, now)
                case Close(connection, reason):
                    peer = self._peers.get(connection)
                    if peer is not None:
                        self._close(peer, reason, now)
                case Ask(connection, request):
                    if self.on_ask is not None:
                        self.on_ask(self._peers[connection], request)

    # -- what is sent -------------------------------------------------------------------------------------

    def _send(self, output: Send, now: float) -> None:
        """Queue a message for its receivers, encoded once for each codec in use."""
        self._observer.sent(output.to, output.message)
        if isinstance(output.message, Message):
            self._gather(output.to, output.message, now)
            return
        self._distribute(now)
        delivery = Delivery.REPLY if output.first else output.message.DELIVERY
        encoded: dict[Codec, bytes] = {}
        for id in output.to:
            peer = self._peers.get(id)
            if peer is None or peer.wire.codec is None:
                continue
            data = encoded.get(peer.wire.codec)
            if data is None:
                data = encoded[peer.wire.codec] = peer.wire.encode(output.message)
                self._caused += len(data)
            self._put(peer, output.message, data, delivery)
            if not isinstance(output.message, Error):  # ERROR-8: nothing follows a last word
                self._ration(peer, now)

    def _gather(self, to: tuple[int, ...], message: Message, now: float) -> None:
        """Encode a MESSAGE; it is queued together with those that follow for the same receivers.

        A busy conversation causes many in a turn, for many receivers: joining them once for all is most of the speed.
        """
        audience = self._audience
        if audience is None or audience.to is not to:
            self._distribute(now)
            self._audience = audience = _Audience(to, [self._peers[id] for id in to if id in self._peers])
        for codec, (pieces, _) in audience.groups.items():
            data = codec.frame(codec.encode(message))
            pieces.append(data)
            audience.size += len(data)
            self._caused += len(data)
        if audience.size > self.bounds.queued:
            self._distribute(now)

    def _distribute(self, now: float) -> None:
        """Queue the messages that were gathered; done before anything else is queued, so that the order stays."""
        audience = self._audience
        if audience is None or not audience.size:
            return
        audience.size = 0
        if len(self._changed) < len(audience.by_id):  # a copy takes less time than to add one by one
            self._changed = audience.by_id | self._changed
        else:
            self._changed |= audience.by_id
        apart = self.apart
        for pieces, peers in audience.groups.values():
            joined = b"".join(pieces)
            for peer in peers:
                if not (apart or peer.blocked):
                    peer.pieces.append(joined)
                    continue
                for piece in pieces:
                    peer.pieces.append(piece)
                    if self._ration(peer, now):
                        break
            pieces.clear()

    def _queue(self, peer: Peer, message: Error) -> None:
        if peer.wire.codec is not None:  # else nobody knows how to tell the peer
            self._put(peer, message, peer.wire.encode(message), Delivery.EVENT)
            self._observer.sent((peer.id,), message)

    def _put(self, peer: Peer, message: Response, data: bytes, delivery: Delivery) -> None:
        peer.wire.sent(message)
        peer.put(data, delivery)
        if delivery is Delivery.REPLY:
            self._register_by.pop(peer, None)
        self._change(peer)

    # -- slow readers, and closes -------------------------------------------------------------------------

    def _relieve(self, now: float) -> None:
        """Close connections that take nothing, the one with the most first, while too much waits for all (FLOW-8)."""
        waiting = sum(peer.events for peer in self._write_by)
        while waiting > self.bounds.all_queues:
            slowest = max(self._write_by, key=lambda peer: peer.events)
            waiting -= slowest.events
            self._expel(slowest, Code.SLOW_CONSUMER, "you read too slowly; connect again", now)

    def _ration(self, peer: Peer, now: float) -> bool:
        """Close a connection that takes nothing if too many events wait for it (FLOW-7), and tell whether it was so."""
        if not peer.blocked or peer.events <= self.bounds.events:
            return False
        self._expel(peer, Code.SLOW_CONSUMER, "you read too slowly; connect again", now)
        return True

    def _expel(self, peer: Peer, code: Code, explanation: str, now: float) -> None:
        """End a connection from this side: the ERROR that says why is the last message (ERROR-8)."""
        self._distribute(now)
        if peer.flush is not None:  # too much waited for it then
            return
        try:
            self._queue(peer, Error.of(code, explanation))
        finally:  # also if a codec or the observer raises
            hurry = code in (Code.SLOW_CONSUMER, Code.SHUTTING_DOWN)  # FLOW-9
            self._close(peer, code, now, self.bounds.flush if hurry else self.bounds.write)

    def _close(self, peer: Peer, reason: str, now: float, flush: float | None = None) -> None:
        self._distribute(now)
        self._audience = None  # the peer may be in it
        peer.flush = self.bounds.write if flush is None else flush  # CONN-22
        peer.reason = reason
        peer.reading = True
        if peer.blocked:
            peer.blocked = False  # all that waits goes out, as far as the transport takes it
            self._let_go(peer)
        peer.wire.close()
        del self._peers[peer.id]
        self._ready.pop(peer.id, None)
        for deadlines in self._deadlines:
            deadlines.pop(peer, None)
        self._change(peer)
        self._carry_out(self.hub.disconnect(peer.id, now), now)
        self._observer.closed(peer.id, reason)

    def _let_go(self, peer: Peer) -> None:
        """Count what waits for a peer at its close, and drop what waits for others if that is too much (FLOW-8, FLOW-9)."""
        self._leaving[peer] = peer.size
        self._left += peer.size
        while self._left > self.bounds.all_queues and len(self._leaving) > 1:
            first = next(iter(self._leaving))
            first.take()
            self._forget(first)

    def _forget(self, peer: Peer) -> None:
        self._left -= self._leaving.pop(peer, 0)
