"""Tests of `improto.service`: how much is done and written in a turn, and what waits for slow readers."""

import gc
from collections.abc import Callable

import pytest

from improto.codec import LineCodec, load
from improto.messages import (
    AnyMessage,
    Code,
    Conversations,
    Goodbye,
    Invitation,
    Invite,
    Join,
    Leave,
    ListConversations,
    Message,
    OnlineUsers,
    Register,
    Role,
    SendMessage,
    Status,
)
from improto.server import Hub, Policy
from improto.service import Bounds, Peer, Service
from improto.wire import Connection
from worlds import ASCII, World, codes, talk


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


@pytest.mark.parametrize("names", [["ann", "bo"], ["ann", "bo", "cy", "dan"]])
def test_all_are_told_of(names: list[str]) -> None:
    """A turn gives whoever got an answer and whoever heard something in it, each once, few or many of either."""
    world = World()
    talking = talk(world, *names)
    asking = world.register("eve")
    world.settle()
    world.service.receive(asking, b"LIST_CONVERSATIONS\n")
    world.service.receive(talking[0], b"SEND_MESSAGE 1 hi\n")
    changed = world.service.turn(world.now)
    assert sorted(peer.id for peer in changed) == sorted(peer.id for peer in [asking, *talking])


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
