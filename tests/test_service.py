"""Tests of `improto.service`: a whole server, driven as a binding drives it."""

import gc
import math
from collections.abc import Callable
from itertools import count
from typing import cast

import pytest

from improto.codec import Codec, LineCodec, available, load
from improto.errors import UsageError
from improto.messages import (
    AnyMessage,
    Code,
    Conversations,
    Error,
    Goodbye,
    Invitation,
    Invite,
    Join,
    Leave,
    ListConversations,
    Message,
    OnlineUsers,
    Register,
    Request,
    Response,
    Role,
    SendMessage,
    Status,
)
from improto.server import Hub, Policy
from improto.service import Bounds, Observer, Peer, Service
from improto.wire import Connection, Rate

ASCII = load("ascii")
MAX_TURNS = 10_000


class Watch(Observer):
    """Keeps the reasons of closes."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self.reasons: dict[int, str] = {}

    def closed(self, peer: int, reason: str) -> None:
        """Keep the reason."""
        self.reasons[peer] = reason


class World:
    """A service and a binding that takes what it is given at once, unless a peer is blocked."""

    def __init__(
        self, bounds: Bounds | None = None, policy: Policy | None = None, rate: Rate | None = None
    ) -> None:
        """Begin at second 0 with nobody connected."""
        self.now = 0.0
        self.watch = Watch()
        self.service = Service(Hub(policy), [ASCII], bounds=bounds, rate=rate, observer=self.watch)
        self.questions: list[Peer] = []
        self.service.on_ask = lambda peer, _: self.questions.append(peer)
        self.received: dict[int, bytes] = {}

    def connect(self, refusal: str | None = None) -> Peer:
        """Accept a connection."""
        peer = self.service.connect(self.now, refusal)
        self.received[peer.id] = b""
        return peer

    def register(self, name: str) -> Peer:
        """Accept a connection and register a name on it."""
        peer = self.connect()
        self.send(peer, Register(name, ""))
        assert self.read(peer) == [OnlineUsers(self.service.hub.online)]
        return peer

    def feed(self, peer: Peer, data: bytes) -> None:
        """Let bytes arrive and do all the work that follows at this moment."""
        self.service.receive(peer, data)
        self.settle()

    def send(self, peer: Peer, *requests: Request) -> None:
        """Let requests arrive in one piece."""
        self.feed(peer, b"".join(ASCII.frame(ASCII.encode(request)) for request in requests))

    def turn(self) -> None:
        """Have one turn, and take what there is to take."""
        for peer in self.service.turn(self.now):
            self.received[peer.id] += b"".join(peer.take())

    def settle(self) -> None:
        """Have turns for as long as there is something to do at this moment."""
        for turns in count():
            self.turn()
            if self.service.due is None or self.service.due > self.now:
                return
            assert turns < MAX_TURNS

    def end(self, peer: Peer) -> None:
        """Let a peer's stream end."""
        self.service.end(peer)
        self.settle()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.settle()

    def read(self, peer: Peer, *, rosters: bool = True) -> list[Response]:
        """Take what a peer has received since it was last asked."""
        reader = ASCII.reader(Role.SERVER)
        reader.feed(self.received[peer.id])
        self.received[peer.id] = b""
        found: list[Response] = []
        while (message := reader.next(1 << 24)) is not None:
            assert isinstance(message, Response)
            if rosters or not isinstance(message, OnlineUsers):
                found.append(message)
        return found


def codes(messages: list[Response]) -> list[str | None]:
    """Give the codes of what are all ERRORs."""
    return [message.code for message in messages if isinstance(message, Error)]


def test_fatal_fault() -> None:
    """A fatal fault is answered with its ERROR, which is the last message before the close (CONN-15)."""
    world = World()
    peer = world.connect()
    world.feed(peer, b"GET / HTTP/1.1\r\n")
    assert codes(world.read(peer)) == [Code.UNKNOWN_COMMAND]
    assert peer.flush == Bounds().write


def test_fatal_fault_of_a_user() -> None:
    """An endless message ends its connection with `too-large`, and nobody else notices (CONN-24, CONN-25)."""
    world = World()
    ann, bo = world.register("ann"), world.register("bo")
    world.service.receive(bo, b"LIST_CONVERSATIONS\n")
    world.feed(ann, b"x" * 70_000)
    assert codes(world.read(ann, rosters=False)) == [Code.TOO_LARGE]
    assert ann.flush is not None
    assert world.read(bo, rosters=False) == [Conversations({})]
    assert list(world.service.hub.online) == ["bo"]


def test_other_peers_of_the_turn() -> None:
    """What others sent in the same turn as a fatal fault takes effect (CONN-25)."""
    world = World()
    ann = world.register("ann")
    bad = world.connect()
    world.service.receive(bad, b"\x00\n")
    world.send(ann, ListConversations())
    assert world.read(ann, rosters=False) == [Conversations({})]


def test_answers_beyond_the_queue() -> None:
    """Requests sent together are all answered, also when their answers pass the bound on waiting output."""
    world = World(Bounds(queued=100))
    ann = world.register("ann")
    world.send(ann, *[ListConversations()] * 1000)
    assert world.read(ann) == [Conversations({})] * 1000


def test_batches() -> None:
    """A peer with much to say has no more than a batch handled in one turn, and loses nothing (FLOW-10)."""
    world = World(Bounds(batch=10))
    ann = world.register("ann")
    world.service.receive(ann, b"LIST_CONVERSATIONS\n" * 25)
    world.turn()
    assert len(world.read(ann)) == 10
    world.settle()
    assert len(world.read(ann)) == 15


def test_one_write() -> None:
    """All that a turn causes for a connection is there to be written at once, not message by message."""
    world = World()
    ann = world.register("ann")
    world.service.receive(ann, b"LIST_CONVERSATIONS\n" * 20)
    [changed] = world.service.turn(world.now)
    assert changed is ann
    assert len(ann.take()) == 20
    assert ann.take() == []


def test_no_reading_ahead() -> None:
    """Nothing more is read from a peer while there is input of it to be handled: its buffer stays bounded (LIMIT-4)."""
    world = World(Bounds(batch=10))
    ann = world.register("ann")
    world.service.receive(ann, b"LIST_CONVERSATIONS\n" * 25)
    world.turn()
    assert not ann.reading
    world.settle()
    assert ann.reading


def talk(world: World, *names: str) -> list[Peer]:
    """Register users and bring them into conversation 1."""
    peers = [world.register(name) for name in names]
    world.send(peers[0], Invite(names[1:]))
    for peer in peers:
        world.send(peer, Join("1"))
        world.read(peer)
    return peers


def test_burst_of_many_senders() -> None:
    """Readers that take all they are given are never slow consumers, however much others send at once (FLOW-7)."""
    world = World(Bounds(events=100_000))
    ann, *senders = talk(world, "ann", "bo", "cy", "di")
    text = SendMessage("1", "x" * 8000)
    for sender in senders:
        world.service.receive(sender, (ASCII.frame(ASCII.encode(text))) * 50)
    world.settle()
    heard = world.read(ann, rosters=False)
    assert sum(isinstance(message, Message) for message in heard) == 150
    assert not world.watch.reasons


def test_slow_consumer() -> None:
    """A reader that stops is closed when too many events wait for it, and delays nobody (FLOW-5, FLOW-7)."""
    world = World(Bounds(events=10_000))
    ann, bo = talk(world, "ann", "bo")
    world.service.block(bo, world.now)
    world.send(ann, *[SendMessage("1", "x" * 1000)] * 20)
    assert len(world.read(ann, rosters=False)) == 20
    assert world.watch.reasons == {bo.id: Code.SLOW_CONSUMER}
    assert bo.flush == Bounds().flush
    *events, last = world.read(bo, rosters=False)
    assert codes([last]) == [Code.SLOW_CONSUMER]
    assert len(events) in range(9, 11)


def test_all_queues() -> None:
    """Past the bound on all queues together, the one with the most goes, and only that one (FLOW-8)."""
    world = World(Bounds(all_queues=20_000))
    ann, bo, cy = talk(world, "ann", "bo", "cy")
    world.service.block(bo, world.now)
    world.send(ann, *[SendMessage("1", "x" * 1000)] * 5)
    world.service.block(cy, world.now)
    world.send(ann, *[SendMessage("1", "x" * 1000)] * 9)
    assert world.watch.reasons == {bo.id: Code.SLOW_CONSUMER}
    assert len(world.read(ann, rosters=False)) == 14
    assert cy.flush is None


def stall(world: World, ann: Peer, *slow: Peer) -> None:
    """Have some take nothing, not even when they are closed for that one after the other."""
    for peer in slow:
        world.service.block(peer, world.now)
        world.service.receive(ann, ASCII.frame(ASCII.encode(SendMessage("1", "x" * 1000))) * 20)
        while peer.flush is None:
            for changed in world.service.turn(world.now):
                if changed.flush is None:
                    changed.take()


def test_queues_of_those_that_are_closed() -> None:
    """No more than all queues may hold waits for those that are being closed; who was closed first gets no more (FLOW-8)."""
    world = World(Bounds(events=10_000, all_queues=25_000))
    ann, *slow = talk(world, "ann", "bo", "cy", "di", "ed")
    stall(world, ann, *slow)
    assert [bool(peer.size) for peer in slow] == [False, False, True, True]
    for peer in slow[2:]:
        assert peer.take()[-1].startswith(b'ERROR "slow-consumer: ')


def test_queue_of_one_that_is_closed() -> None:
    """Who alone has more waiting than all queues may hold still gets it."""
    world = World(Bounds(events=10_000, all_queues=5_000))
    ann, bo = talk(world, "ann", "bo")
    stall(world, ann, bo)
    assert bo.take()[-1].startswith(b'ERROR "slow-consumer: ')


def test_queues_of_those_that_were_closed() -> None:
    """What somebody has taken, or will never take, waits no more."""
    world = World(Bounds(events=10_000, all_queues=25_000))
    ann, bo, cy, *slow = talk(world, "ann", "bo", "cy", "di", "ed")
    stall(world, ann, bo, cy)
    world.service.unblock(bo)
    world.service.end(cy, lost=True)
    stall(world, ann, *slow)
    assert all(peer.size for peer in slow)


def test_slow_reader_delays_nobody() -> None:
    """What is sent is there for everybody else after the turn in which it was taken out (FLOW-5)."""
    world = World()
    ann, bo, *others = talk(world, "ann", "bo", "cy", "di")
    world.service.block(bo, world.now)
    for number in range(100):
        world.service.receive(ann, b"SEND_MESSAGE 1 x\n")
        world.turn()
        assert [len(world.read(peer, rosters=False)) for peer in (ann, *others)] == [1, 1, 1], number


def peers_with(wire: Connection) -> list[Peer]:
    """Find whatever is kept of a connection anywhere in memory."""
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, Peer) and each.wire is wire]


def test_memory_of_a_slow_reader_returns() -> None:
    """Nothing is kept of a slow consumer when its connection has gone, nor of what waited for it (FLOW-7)."""
    world = World(Bounds(events=10_000))
    ann, bo = talk(world, "ann", "bo")
    world.service.block(bo, world.now)
    world.send(ann, *[SendMessage("1", "x" * 1000)] * 20)
    world.service.end(bo, lost=True)
    world.settle()
    wire = bo.wire
    assert peers_with(wire) == [bo]
    del bo
    assert peers_with(wire) == []


def test_joined() -> None:
    """The messages of a turn for the same receivers are joined once for all of them, between what comes before and after."""
    world = World()
    ann, bo = talk(world, "ann", "bo")
    world.service.receive(ann, b"LIST_CONVERSATIONS\n" + b"SEND_MESSAGE 1 x\n" * 20 + b"LIST_CONVERSATIONS\n")
    world.service.turn(world.now)
    listed, messages, listed_again = ann.take()
    assert (listed, messages) == (listed_again, b"MESSAGE 1 ann x\n" * 20)
    [heard] = bo.take()
    assert heard is messages


def test_apart() -> None:
    """For a binding that leaves gaps, each message is a piece of its own."""
    world = World()
    world.service.apart = True
    ann, bo = talk(world, "ann", "bo")
    world.service.receive(ann, b"SEND_MESSAGE 1 x\n" * 20)
    world.service.turn(world.now)
    assert bo.take() == [b"MESSAGE 1 ann x\n"] * 20


def test_conversations_take_turns() -> None:
    """Messages of two conversations, with some of the same members, arrive in the order in which they were sent (ORDER-1)."""
    world = World()
    ann, bo, cy = talk(world, "ann", "bo", "cy")
    world.send(ann, Invite(("cy",)))
    for peer in (ann, cy):
        world.send(peer, Join("2"))
        world.read(peer)
    world.read(bo)
    world.send(ann, *[SendMessage(id, text) for text in "abc" for id in "12"])
    both = [Message(id, "ann", text) for text in "abc" for id in "12"]
    assert world.read(ann, rosters=False) == world.read(cy, rosters=False) == both
    assert world.read(bo, rosters=False) == [message for message in both if message.conversation == "1"]


def test_those_who_ask_much_do_not_come_first_for_ever() -> None:
    """Who has no turn, since what is caused before is enough, has the next one, whatever others still want (FLOW-5)."""
    world = World(Bounds(turn=50))
    ann, bo, cy = (world.register(name) for name in ("ann", "bo", "cy"))
    world.send(ann, *[Invite(("bo",))] * 20)  # so that each list is long
    for peer in (ann, bo, cy):
        world.service.receive(peer, b"LIST_CONVERSATIONS\n" * 3)
        peer.steady = True
    answered: list[Peer] = []
    for _ in range(9):
        changed = world.service.turn(world.now)
        assert all(peer.reading or not peer.steady for peer in (ann, bo, cy))
        answered += [peer for peer in changed if b"CONV" in b"".join(peer.take())]
    assert answered == [ann, bo, cy] * 3


def test_leave_between_messages() -> None:
    """Who leaves between two messages of a turn gets the one before and not the one after (LEAVE-2)."""
    world = World()
    ann, bo = talk(world, "ann", "bo")
    world.send(bo, SendMessage("1", "a"), Leave("1"))
    world.send(ann, SendMessage("1", "b"))
    assert world.read(bo, rosters=False) == [Message("1", "bo", "a")]
    world.service.receive(bo, b"JOIN 1\nSEND_MESSAGE 1 c\nGOODBYE\n")
    world.send(ann, SendMessage("1", "d"))
    assert world.read(bo, rosters=False) == [Message("1", "bo", "c")]
    assert [each for each in world.read(ann, rosters=False) if isinstance(each, Message)] == [
        Message("1", "bo", "a"), Message("1", "ann", "b"), Message("1", "bo", "c"), Message("1", "ann", "d"),
    ]  # fmt: skip


def test_codecs_in_one_conversation() -> None:
    """Each member gets the messages in its own codec, in the same order."""
    service = Service(Hub(), [ASCII, load("json")])
    ann, bo = service.connect(0.0), service.connect(0.0)
    service.receive(ann, b"REGISTER ann x\n")
    service.receive(bo, b'{"type":"REGISTER","username":"bo","status":""}\n')
    service.turn(0.0)
    service.receive(ann, b"INVITE bo\nJOIN 1\n")
    service.turn(0.0)
    service.receive(bo, b'{"type":"JOIN","conversation":"1"}\n')
    service.turn(0.0)
    for peer in (ann, bo):
        peer.take()
    service.receive(ann, b"SEND_MESSAGE 1 a\nSEND_MESSAGE 1 b\n")
    service.turn(0.0)
    assert b"".join(ann.take()) == b"MESSAGE 1 ann a\nMESSAGE 1 ann b\n"
    assert b"".join(bo.take()).count(b'"type":"MESSAGE"') == 2


@pytest.mark.parametrize("users", [10, 300])
def test_rate_of_rosters(users: int) -> None:
    """However many there are and however often they change, a client gets no more bytes of rosters in the long run (PRESENCE-6)."""
    world = World(policy=Policy(settle=0.1, roster_rate=1000.0))
    ann = world.register("ann")
    for number in range(users):
        world.register(f"user{number}")
    world.wait(100.0)
    world.received[ann.id] = b""
    for second in range(100):
        world.send(ann, Status(f"{second}"))
        world.wait(1.0)
    assert 0 < len(world.received[ann.id]) <= 100 * 1000


def test_waiting_rosters() -> None:
    """Of the rosters that wait for a reader that has stopped, only the newest is sent (FLOW-2, FLOW-3)."""
    world = World()
    ann, bo = world.register("ann"), world.register("bo")
    world.wait(2.0)
    world.read(bo)
    world.service.block(bo, world.now)
    for status in "abc":
        world.send(ann, Status(status))
        world.wait(2.0)
    world.service.unblock(bo)
    world.settle()
    assert world.read(bo) == [OnlineUsers({"ann": "c", "bo": ""})]


def test_blocked_peer_is_not_served() -> None:
    """From a peer that reads nothing, nothing more is taken until it reads again (FLOW-6)."""
    world = World()
    ann = world.register("ann")
    world.service.block(ann, world.now)
    world.send(ann, ListConversations())
    assert not ann.reading
    assert world.read(ann) == []
    world.service.unblock(ann)
    world.settle()
    assert world.read(ann) == [Conversations({})]


def test_write_timeout() -> None:
    """A peer that takes nothing for a minute is lost (CONN-28)."""
    world = World()
    ann = world.register("ann")
    world.service.block(ann, world.now)
    world.wait(59.0)
    assert ann.flush is None
    world.wait(1.0)
    assert world.watch.reasons == {ann.id: Code.SLOW_CONSUMER}


def test_too_late_and_too_much() -> None:
    """Who is sent too much in the very turn in which the time to take it is over is closed once (CONN-28, FLOW-7)."""
    world = World(Bounds(events=100))
    ann, bo = talk(world, "ann", "bo")
    world.service.block(bo, world.now)
    world.now += 60.0
    world.send(ann, SendMessage("1", "x" * 100))
    assert world.watch.reasons == {bo.id: Code.SLOW_CONSUMER}
    assert codes(world.read(bo, rosters=False)) == [Code.SLOW_CONSUMER]


def test_register_timeout() -> None:
    """Who has not registered in a minute gets `timeout` and is closed; who has, stays (CONN-17)."""
    world = World()
    idle = world.connect()
    ann = world.register("ann")
    world.wait(59.9)
    assert idle.flush is None
    world.wait(0.1)
    assert codes(world.read(idle)) == [Code.TIMEOUT]
    assert ann.flush is None


def test_idle() -> None:
    """Who is registered and sends nothing for as long as a limit allows gets `timeout` and is closed (CONN-29)."""
    world = World(Bounds(idle=100.0))
    ann, bo, cy = world.register("ann"), world.register("bo"), world.connect()
    world.wait(40.0)
    world.send(ann, Status("here"))
    world.wait(50.0)
    world.feed(ann, b"STA")
    world.feed(cy, b"REGISTER cy x\n")  # whose time to register is another matter
    assert world.watch.reasons == {cy.id: Code.TIMEOUT}
    world.wait(9.9)
    assert bo.flush is None
    world.wait(0.1)
    assert codes(world.read(bo)) == [Code.TIMEOUT]
    assert list(world.service.hub.online) == ["ann"]
    world.wait(89.9)
    assert ann.flush is None
    assert world.service.due is not None
    world.wait(0.1)
    assert codes(world.read(ann)) == [Code.TIMEOUT]
    assert world.service.due is None


def test_idle_is_nobody_who_is_not_read() -> None:
    """Whoever is not read from, since there is no room for the replies, is not idle: nobody knows what was sent (FLOW-6)."""
    world = World(Bounds(idle=20.0))
    ann = world.register("ann")
    world.wait(10.0)
    world.service.block(ann, world.now)
    world.wait(10.0)
    world.service.unblock(ann)
    world.settle()
    world.wait(19.9)
    assert ann.flush is None
    world.wait(0.1)
    assert world.watch.reasons == {ann.id: Code.TIMEOUT}


def test_no_idle_limit() -> None:
    """Unless it is asked for, there is no such limit (CONN-29)."""
    world = World()
    ann = world.register("ann")
    world.wait(1e6)
    assert ann.flush is None


def test_end_of_stream() -> None:
    """Complete requests before the end of a stream take effect and are answered; a broken-off one is not (CONN-20, CONN-21)."""
    world = World()
    ann, bo = talk(world, "ann", "bo")
    world.service.receive(ann, b"SEND_MESSAGE 1 hi\nLIST_CONVERSATIONS\nSEND_MESSAGE 1 half")
    world.service.end(ann)
    world.settle()
    message = Message("1", "ann", "hi")
    assert world.read(ann, rosters=False) == [message, Conversations({"1": ("ann", "bo")})]
    assert world.read(bo, rosters=False) == [message]
    assert world.watch.reasons == {ann.id: "end of stream"}
    assert list(world.service.hub.online) == ["bo"]


def test_reset() -> None:
    """After a reset the user is offline, and nothing more is queued (CONN-19)."""
    world = World()
    ann, bo = talk(world, "ann", "bo")
    world.service.end(ann, lost=True)
    world.send(bo, SendMessage("1", "hi"))
    assert world.read(ann) == []
    assert list(world.service.hub.online) == ["bo"]


def test_reset_while_blocked() -> None:
    """All that a peer sent before it was lost takes effect, also if it read nothing at the end (CONN-18)."""
    world = World(Bounds(batch=2))
    ann, bo = talk(world, "ann", "bo")
    world.service.block(ann, world.now)
    world.service.receive(ann, b"SEND_MESSAGE 1 hi\n" * 5)
    world.turn()
    world.service.end(ann, lost=True)
    world.settle()
    assert world.read(bo, rosters=False) == [Message("1", "ann", "hi")] * 5
    assert list(world.service.hub.online) == ["bo"]


def test_end_while_undecided() -> None:
    """A half-close does not cut an undecided REGISTER off: the answer and what follows it are sent (CONN-20, REGISTER-9)."""
    world = World(policy=Policy(ask=True))
    ann = world.connect()
    world.service.receive(ann, b"REGISTER ann x\nLIST_CONVERSATIONS\n")
    world.service.end(ann)
    world.settle()
    assert world.questions == [ann]
    assert ann.flush is None
    world.service.decide(ann, None, world.now)
    world.settle()
    assert world.read(ann) == [OnlineUsers({"ann": "x"}), Conversations({})]
    assert ann.flush is not None


def test_lost_while_undecided() -> None:
    """A connection that is lost while its REGISTER is undecided is forgotten, and a late answer does nothing."""
    world = World(policy=Policy(ask=True))
    ann = world.connect()
    world.send(ann, Register("ann", ""))
    world.service.end(ann, lost=True)
    world.settle()
    world.service.decide(ann, None, world.now)
    world.settle()
    assert world.service.hub.online == {}


def test_undecided_is_not_read() -> None:
    """While a REGISTER is undecided, nothing is read behind what waits for that; so a reset is seen if nothing does.

    After a refusal, reading goes on (REGISTER-5, REGISTER-9, REGISTER-10).
    """
    world = World(policy=Policy(ask=True))
    bo = world.connect()
    world.send(bo, Register("bo", ""), Status("x"))
    assert not bo.reading
    ann = world.connect()
    world.send(ann, Register("ann", ""))
    assert ann.reading
    world.feed(ann, b"STA")
    assert not ann.reading
    world.service.decide(ann, "no", world.now)
    world.settle()
    assert codes(world.read(ann)) == [Code.FORBIDDEN]
    assert ann.reading


def test_goodbye() -> None:
    """GOODBYE gets no reply, what follows it is ignored, and the name is free at once (GOODBYE-3, GOODBYE-4, GOODBYE-6)."""
    world = World()
    ann, bo = talk(world, "ann", "bo")
    world.send(ann, Goodbye(), SendMessage("1", "late"))
    assert world.read(ann) == []
    assert ann.flush is not None
    assert world.read(bo, rosters=False) == []
    world.register("ann")


def test_refused_connection() -> None:
    """A connection too many gets `forbidden` and is closed (FLOW-13)."""
    world = World()
    peer = world.connect("too many connections")
    world.settle()
    assert codes(world.read(peer)) == [Code.FORBIDDEN]
    assert peer.flush is not None


@pytest.mark.parametrize("first", [b"GOODBYE\n", b"REGISTER ann x\n", b"{}\n"])
def test_refused_connection_of_unknown_codec(first: bytes) -> None:
    """Where the codec is to be told from the first bytes, the refusal waits for them, but not for long (FLOW-13)."""
    hub = Hub()
    service = Service(hub, [ASCII, load("json")])
    peer, silent = service.connect(0.0, "full"), service.connect(0.0, "full")
    service.turn(0.0)
    assert peer.flush is None
    service.receive(peer, first)
    service.turn(0.0)
    assert peer.flush is not None
    assert b"forbidden: full" in b"".join(peer.take())
    service.turn(Bounds().linger)
    assert silent.flush is not None
    assert silent.take() == []
    assert hub.online == {}


class Picky(Observer):
    """Fails for one command."""

    def received(self, peer: int, message: Request) -> None:
        """Raise."""
        if isinstance(message, Status):
            raise ZeroDivisionError


def test_observer_that_raises() -> None:
    """What an observer or a codec raises comes out of the turn, and the next one serves those whose turn it was, too."""
    service = Service(Hub(), [ASCII], observer=Picky())
    ann, bo = (service.connect(0.0) for _ in range(2))
    service.receive(ann, b"REGISTER ann x\nSTATUS y\n")
    service.receive(bo, b"REGISTER bo x\n")
    with pytest.raises(ZeroDivisionError):
        service.turn(0.0)
    assert service.due == 0.0
    assert bo in service.turn(0.0)
    assert list(service.hub.online) == ["ann", "bo"]


class Deaf(Observer):
    """Fails whenever a connection is closed."""

    def closed(self, peer: int, reason: str) -> None:
        """Raise."""
        raise ZeroDivisionError


def test_observer_that_raises_at_a_close() -> None:
    """A user whose connection has ended is offline, even if the observer raises when it is told."""
    service = Service(Hub(), [ASCII], observer=Deaf())
    ann = service.connect(0.0)
    service.receive(ann, b"REGISTER ann x\n")
    service.end(ann)
    with pytest.raises(ZeroDivisionError):
        service.turn(0.0)
    assert service.hub.online == {}


class Unprepared(Observer):
    """Fails for the first to come, and keeps the addresses of others."""

    def __init__(self) -> None:
        self.addresses: list[str] = []

    def connected(self, peer: int, address: str) -> None:
        """Raise, or keep."""
        self.addresses.append(address)
        if len(self.addresses) == 1:
            raise ZeroDivisionError


def test_observer_that_raises_at_once() -> None:
    """What an observer raises about a new connection comes out of the turn, too, and all that have come are served."""
    observer = Unprepared()
    service = Service(Hub(), [ASCII], observer=observer)
    ann, bo = (service.connect(0.0, address=address) for address in ("a", "b"))
    service.receive(ann, b"REGISTER ann x\n")
    with pytest.raises(ZeroDivisionError):
        service.turn(0.0)
    assert service.due == 0.0
    assert ann in service.turn(0.0)
    assert observer.addresses == ["a", "b"]
    service.receive(bo, b"REGISTER bo x\n")
    service.connect(0.0, address="c")
    service.shut_down(0.0)
    assert observer.addresses == ["a", "b", "c"]


def test_shut_down() -> None:
    """Everybody is told of a shutdown, registered or not, as the last message (ERROR-9)."""
    world = World()
    peers = [world.connect(), *talk(world, "ann", "bo")]
    world.service.shut_down(world.now)
    world.turn()
    for peer in peers:
        assert codes(world.read(peer, rosters=False)) == [Code.SHUTTING_DOWN]
        assert peer.flush is not None


def test_kick() -> None:
    """A user who is kicked is told why as the last message and is offline, and the observer the code (ERROR-10)."""
    world = World()
    ann = world.register("ann")
    world.service.kick("ann", "spam", world.now)
    world.settle()
    assert world.read(ann) == [Error("forbidden: spam")]
    assert ann.flush is not None
    assert world.watch.reasons == {ann.id: Code.FORBIDDEN}
    assert world.service.hub.online == {}


@pytest.mark.parametrize("codecs", [[], ["json"], ["json", "ascii"], "json"])
def test_codecs_that_are_none(codecs: object) -> None:
    """A service without a codec, or with names in their place, is refused when it is made, and not at each connection."""
    with pytest.raises(UsageError, match="codec"):
        Service(Hub(), cast(list[Codec], codecs))


def test_replaced() -> None:
    """Whose name is taken over is closed as one who is kicked, and did not say GOODBYE (REGISTER-7, ERROR-10)."""
    world = World(policy=Policy(replace=True))
    before, _ = world.register("ann"), world.register("ann")
    assert world.watch.reasons == {before.id: Code.FORBIDDEN}


@pytest.mark.parametrize("before", ["registered", "undecided", "gone"])
def test_restored_hub(before: str) -> None:
    """A service gives no connection a number that a restored hub still knows, not even that of an initiator who has gone."""
    hub = Hub(Policy(ask=before == "undecided"))
    hub.receive(1, Register("ann", ""), 0.0)
    hub.receive(7, Register("bo", ""), 0.0)
    if before == "gone":
        hub.receive(7, Invite(("ann",)), 0.0)
        hub.disconnect(7, 0.0)
    service = Service(Hub.restore(hub.snapshot(), hub.policy), [ASCII])
    assert service.connect(0.0).id == 8


def test_kick_of_whom_nobody_serves() -> None:
    """Users of a restored hub whose connections are no more can be put out."""
    hub = Hub()
    hub.receive(1, Register("ann", ""), 0.0)
    service = Service(Hub.restore(hub.snapshot()), [ASCII])
    service.kick("ann", "the server was started anew", 0.0)
    assert service.turn(0.0) == []
    assert service.hub.online == {}


def test_encoded_once() -> None:
    """A message for many is encoded once for each codec in use, not once for each receiver."""
    encoded: list[AnyMessage] = []

    class Counting(LineCodec):
        """Counts what it encodes."""

        name = "ascii"

        def encode(self, message: AnyMessage) -> bytes:
            encoded.append(message)
            return ASCII.encode(message)

        def decode(self, payload: bytes, sender: Role) -> AnyMessage:
            return ASCII.decode(payload, sender)

    world = World()
    world.service = Service(Hub(), [Counting()])
    ann, *_ = talk(world, "ann", "bo", "cy")
    world.send(ann, SendMessage("1", "hi"))
    assert encoded.count(Message("1", "ann", "hi")) == 1
    assert sum(isinstance(message, Invitation) for message in encoded) == 1


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(b"\n" * 100_000, id="blank lines"),
        pytest.param(b"\xff" * 100_000, id="no text"),
        pytest.param(b"JOIN 1\n" * 5000, id="refused requests"),
        pytest.param(b"REGISTER ann x\n" * 5000, id="a taken name"),
        pytest.param(b"GOODBYE\n" * 5000, id="many goodbyes"),
    ],
)
@pytest.mark.parametrize("leave", ["stay", "end", "lost"])
def test_hostile_peer(hostile: bytes, leave: str) -> None:
    """Whatever a peer sends and however it goes, nothing is raised and others are served as before (CONN-25)."""
    world = World()
    ann = world.register("ann")
    enemy = world.connect()
    world.service.receive(enemy, hostile)
    if leave != "stay":
        world.service.end(enemy, lost=leave == "lost")
    world.settle()
    world.send(ann, ListConversations())
    assert world.read(ann, rosters=False) == [Conversations({})]
    assert list(world.service.hub.online) == ["ann"]


def test_goodbye_takes_no_token() -> None:
    """GOODBYE beyond the rate is not refused: the user goes offline without a word (FLOW-11)."""
    world = World(rate=Rate(0.001, 2))
    ann = world.register("ann")
    world.send(ann, Status("x"), Status("y"), Goodbye())
    assert codes(world.read(ann, rosters=False)) == [Code.RATE_LIMITED]
    assert list(world.service.hub.online) == []


def test_invalid_comes_before_the_rate() -> None:
    """An INVITE of nobody but oneself is invalid, as fast as it may come; one of others is too fast (ERROR-6, INVITE-5)."""
    world = World(rate=Rate(0.001, 1))
    ann = world.register("ann")
    world.send(ann, Invite(("ann", "ann")), Invite(("ann", "bo")), Invite(("ann",)))
    found = codes(world.read(ann, rosters=False))
    assert found == [Code.INVALID, Code.RATE_LIMITED, Code.INVALID]


@pytest.mark.parametrize("first", [b"{", b"REGISTER (", b"\0\0", b"REGISTER b"])
def test_refusal_as_soon_as_the_codec_is_known(first: bytes) -> None:
    """A connection that is refused is told so when its codec is known, before a whole message has come (FLOW-13)."""
    service = Service(Hub(), [load(name) for name in available()])
    peer = service.connect(0.0, "too many")
    service.receive(peer, first)
    service.turn(0.0)
    assert b"forbidden" in b"".join(peer.take())
    assert peer.flush is not None


def test_last_word_of_a_kick_is_the_last() -> None:
    """A kick of a peer that takes nothing, close to the bound on events, is not followed by another ERROR (ERROR-8)."""
    world = World(Bounds(events=2_000))
    ann, bo = talk(world, "ann", "bo")
    world.service.block(bo, world.now)
    world.send(ann, SendMessage("1", "x" * 1_930))
    world.service.kick("bo", "a reason that takes it over the bound", world.now)
    world.settle()
    assert codes(world.read(bo, rosters=False))[-1:] == [Code.FORBIDDEN]
    assert world.watch.reasons[bo.id] == Code.FORBIDDEN


def test_refusal_while_agreeing() -> None:
    """Who is refused while the transport agrees on a codec is told so in that codec, and not before (FLOW-13)."""
    world = World()
    peer = world.service.connect(world.now, "too many", agreeing=True)
    world.received[peer.id] = b""
    world.settle()
    assert peer.flush is None
    world.service.agree(peer, load("json"))
    world.settle()
    assert world.received[peer.id] == b'{"type":"ERROR","message":"forbidden: too many"}\n'
    assert peer.reason == Code.FORBIDDEN


def test_end_while_agreeing() -> None:
    """Who ends, or is ended, while the transport agrees on a codec is closed without a word."""
    world = World()
    peers = [world.service.connect(world.now, agreeing=True) for _ in range(2)]
    world.received |= {peer.id: b"" for peer in peers}
    world.service.end(peers[0])
    world.settle()
    world.service.shut_down(world.now)
    world.settle()
    world.service.agree(peers[1], ASCII)
    assert [peer.reason for peer in peers] == ["end of stream", Code.SHUTTING_DOWN]
    assert set(world.received.values()) == {b""}


def test_steady_while_only_events_come() -> None:
    """Whoever sends and is sent nothing but MESSAGEs stays steady, so a binding need not look for anything else."""
    world = World()
    ann, bo = talk(world, "ann", "bo")
    ann.steady = bo.steady = True
    world.send(ann, SendMessage("1", "x"), SendMessage("1", "y"))
    assert ann.steady
    assert bo.steady
    assert ann.reading
    assert world.received[bo.id] == b"MESSAGE 1 ann x\nMESSAGE 1 ann y\n"


CHANGES: dict[str, Callable[[World, Peer], object]] = {
    "reply": lambda world, peer: world.send(peer, ListConversations()),
    "error": lambda world, peer: world.send(peer, Join("9")),
    "fault": lambda world, peer: world.feed(peer, b"?\n"),
    "roster": lambda world, peer: world.wait(60.0),
    "blocked": lambda world, peer: world.service.block(peer, world.now),
    "unblocked": lambda world, peer: world.service.unblock(peer),
    "goodbye": lambda world, peer: world.send(peer, Goodbye()),
    "kick": lambda world, peer: world.service.kick("bo", "out", world.now),
    "end": lambda world, peer: world.end(peer),
}


@pytest.mark.parametrize("change", CHANGES)
def test_not_steady(change: str) -> None:
    """Whatever else happens to a peer, the binding is told that it is steady no longer."""
    world = World()
    _, bo = talk(world, "ann", "bo")
    bo.steady = True
    CHANGES[change](world, bo)
    assert not bo.steady


def test_not_steady_with_more_to_handle() -> None:
    """Whoever has sent more than is handled in a turn is not read from, and so not steady, until all of it is."""
    world = World(Bounds(batch=2))
    ann, bo = talk(world, "ann", "bo")
    ann.steady = bo.steady = True
    world.service.receive(ann, b"SEND_MESSAGE 1 x\n" * 3)
    world.turn()
    assert not ann.reading
    assert not ann.steady
    assert bo.steady


def test_not_steady_while_undecided() -> None:
    """Whoever waits for a decision and has sent more is not read from, and so not steady."""
    world = World(policy=Policy(ask=True))
    peer = world.connect()
    world.turn()
    peer.steady = True
    world.send(peer, Register("ann", ""), Status("x"))
    assert not peer.reading
    assert not peer.steady
    peer.steady = True
    world.service.decide(peer, "no", world.now)
    assert not peer.steady


def test_not_steady_when_what_waits_was_counted() -> None:
    """What waits may be counted while more is handled; the binding then takes it in the way that resets the count."""
    world = World(Bounds(queued=10_000))
    ann, bo = talk(world, "ann", "bo")
    ann.steady = True
    world.service.receive(ann, b"SEND_MESSAGE 1 " + b"x" * 8000 + b"\n")
    world.service.turn(world.now)
    world.service.receive(ann, b"SEND_MESSAGE 1 y\n")
    world.service.turn(world.now)
    assert not ann.steady
    assert bo.size == ann.size > 8000


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("batch", lambda: Bounds(batch=0)),
        ("turn", lambda: Bounds(turn=0)),
        ("queued", lambda: Bounds(queued=0)),
        ("events", lambda: Bounds(events=0)),
        ("all_queues", lambda: Bounds(all_queues=-1)),
        ("register", lambda: Bounds(register=-1.0)),
        ("idle", lambda: Bounds(idle=math.inf)),
        ("write", lambda: Bounds(write=1e6)),
        ("flush", lambda: Bounds(flush=math.nan)),
        ("linger", lambda: Bounds(linger=-0.1)),
    ],
)
def test_bounds_that_cannot_be(name: str, make: Callable[[], Bounds]) -> None:
    """Bounds under which nothing would ever be handled, or that no clock can take, are refused when they are made."""
    with pytest.raises(UsageError, match=f"^{name} is"):
        make()


def test_narrowest_and_widest_bounds() -> None:
    """Bounds may be as low as one message and no time, and times as long as a clock can tell."""
    Bounds(batch=1, turn=1, queued=1, events=1, all_queues=1, register=0.0, flush=0.0, linger=0.0)
    Bounds(register=999_999.0, idle=999_999.0, write=999_999.0)
