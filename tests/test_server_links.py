"""Tests of `improto.links`: what a server's connections have in common, driven as a binding drives it."""

from collections.abc import Callable

import pytest

from improto.codec import load, load_all
from improto.errors import UsageError
from improto.links import PORTION, Link, Links, Phase
from improto.messages import Invite, Join, ListConversations, Register, Request, SendMessage
from improto.server import Hub, Policy
from improto.service import Bounds, Service

BOUNDS = Bounds(register=10.0, write=60.0, flush=5.0, linger=1.0)


class Wire(Link):
    """A connection whose transport takes so many portions before it is full."""

    def __init__(self, world: "World", room: int) -> None:
        """Begin with so much room."""
        super().__init__(world.links)
        self.world = world
        self.room = room
        self.written: list[bytes] = []

    def step(self) -> Phase:
        """Give how far its close has come by now."""
        return self.phase

    def refresh(self) -> None:
        """Write what fits."""
        while (data := self.take(self.world.now)) is not None:
            self.written.append(bytes(data))
            self.room -= 1
            if self.room == 0:
                self.pause(self.world.now)


class World:
    """Links on a clock that the test sets."""

    def __init__(self, bounds: Bounds = BOUNDS, **options: float) -> None:
        """Begin at second 0 with nobody connected."""
        self.now = 0.0
        service = Service(Hub(Policy(settle=1000.0, repeat=1000.0)), load_all(), bounds=bounds)
        self.links = Links(
            service,
            connections=int(options.get("connections", 100)),
            per_address=int(options.get("per_address", 100)),
            gap=options.get("gap", 0.0),
        )

    def connect(self, address: str = "a", room: int = 1_000_000) -> Wire:
        """Accept a connection."""
        link = Wire(self, room)
        link.opened(self.now, address)
        return link

    def send(self, link: Link, *requests: Request, codec: str = "json") -> None:
        """Let requests arrive, and do what follows."""
        link.received(b"".join(load(codec).frame(load(codec).encode(each)) for each in requests))
        self.settle()

    def settle(self, now: float | None = None) -> None:
        """Let time pass up to `now`, with a turn whenever one is due."""
        until = self.now if now is None else now
        while self.links.due is not None and self.links.due <= until:
            self.now = max(self.now, self.links.due)
            self.links.turn(self.now)
        self.now = until


def test_everything_of_a_turn_is_one_portion() -> None:
    """All that a turn causes for a connection is written at once."""
    world = World()
    ann = world.connect()
    world.send(ann, Register("ann", ""), *[ListConversations()] * 9)
    assert len(ann.written) == 1
    assert ann.written[0].count(b"\n") == 10


def test_long_messages_go_in_parts() -> None:
    """Of a message that is longer than a portion, parts are written, in order and complete."""
    world = World()
    for number in range(50):
        world.links.service.hub.receive(-1 - number, Register(f"user{number}", "s" * 4000), 0.0)
    ann = world.connect()
    world.send(ann, Register("ann", ""))
    assert [len(part) for part in ann.written[:-1]] == [65536] * (len(ann.written) - 1)
    assert len(ann.written) > 2
    message = b"".join(ann.written)
    assert message == load("json").frame(message[:-1])
    assert message.count(b"s" * 4000) == 50


def test_gap() -> None:
    """With a gap, messages to a pickle peer are written one by one, that far apart (LECTURE-1)."""
    world = World(gap=0.02)
    ann, bo = world.connect(), world.connect()
    world.send(ann, Register("ann", ""), *[ListConversations()] * 3, codec="pickle")
    assert len(ann.written) == 1
    world.settle(0.019)
    assert len(ann.written) == 1
    world.settle(0.02)
    assert len(ann.written) == 2
    world.settle(0.07)
    assert [each.split(b" ")[0] for each in ann.written] == [b"ONLINE_USERS", *[b"CONVERSATIONS"] * 3]
    world.send(bo, Register("bo", ""), *[ListConversations()] * 3, codec="ascii")
    assert len(bo.written) == 1


def test_gap_between_the_messages_of_a_turn() -> None:
    """With a gap, messages that came in one turn are written one by one, too (LECTURE-1)."""
    world = World(gap=0.02)
    ann, bo = world.connect(), world.connect()
    for link, name in ((ann, "ann"), (bo, "bo")):
        world.send(link, Register(name, ""), codec="pickle")
    world.send(ann, Invite(("bo",)), Join("1"), codec="pickle")
    world.send(bo, Join("1"), codec="pickle")
    world.settle(1.0)
    bo.written.clear()
    world.send(ann, *[SendMessage("1", "hi")] * 3, codec="pickle")
    world.settle(2.0)
    assert [each.count(b"MESSAGE") for each in bo.written] == [1, 1, 1]


def test_least_gap() -> None:
    """A gap that peers like the lecture's would not see is refused (LECTURE-2)."""
    with pytest.raises(UsageError, match=r"0\.02"):
        World(gap=0.01)


@pytest.mark.parametrize("takes", [True, False])
def test_a_sign_of_life(*, takes: bool) -> None:
    """A peer that takes a portion now and then stays; one that takes nothing for `write` seconds goes (CONN-28)."""
    world = World()
    for number in range(100):
        world.links.service.hub.receive(-1 - number, Register(f"user{number}", "s" * 4000), 0.0)
    ann = world.connect(room=1)
    world.send(ann, Register("ann", ""))
    for minute in range(1, 4):
        if takes:
            ann.room = 1
            ann.resume()
        world.settle(59.0 * minute)
    assert ("ann" in world.links.service.hub.online) is takes


def test_lost_when_there_is_room_again() -> None:
    """A connection that is lost before the turn is left alone, and its user is gone at once."""
    world = World()
    ann, bo = world.connect(room=1), world.connect()
    world.send(ann, Register("ann", ""))
    world.send(bo, Register("bo", ""), Invite(("ann",)))
    ann.room = 1
    ann.resume()
    ann.lost()
    world.settle()
    assert len(ann.written) == 1
    assert list(world.links.service.hub.online) == ["bo"]


def test_refused_beyond_the_limits() -> None:
    """Connections beyond the limits, in all and of an address, are refused, and do not count themselves (FLOW-13)."""
    world = World(connections=3, per_address=2)
    first, _ = world.connect("a"), world.connect("a")
    assert world.connect("a").peer.refusal is not None
    assert world.connect("b").peer.refusal is None
    assert world.connect("c").peer.refusal is not None
    first.lost()
    assert world.connect("a").peer.refusal is None
    assert len(world.links) == 5


def test_neighbours_count_as_one() -> None:
    """IPv6 addresses of one /64 have their connections together, and each keeps its own name (FLOW-13)."""
    world = World(per_address=2)
    first, second = world.connect("2001:db8::1"), world.connect("2001:db8::2")
    assert world.connect("2001:db8::3").peer.refusal is not None
    assert world.connect("2001:db8:0:1::1").peer.refusal is None
    assert (first.peer.address, second.peer.address) == ("2001:db8::1", "2001:db8::2")
    first.lost()
    assert world.connect("2001:db8::4").peer.refusal is None


def test_crowded() -> None:
    """When as many wait for their refusal as may be served, more are closed without one."""
    world = World(connections=1)
    links = [world.connect() for _ in range(4)]
    assert [link.phase for link in links] == [Phase.OPEN, Phase.OPEN, Phase.OVER, Phase.OVER]


def kicked(world: World, room: int = 1_000_000) -> Wire:
    """Give the link of somebody who is put out."""
    ann = world.connect(room=room)
    world.send(ann, Register("ann", ""))
    world.links.service.kick("ann", "go", world.now)
    world.settle()
    return ann


def test_close() -> None:
    """At a close everything goes out first, then the peer has `linger` seconds to close (CONN-22)."""
    world = World()
    ann = kicked(world)
    assert b"forbidden" in ann.written[-1]
    assert ann.step() is Phase.FLUSHING
    ann.flushed(world.now)
    world.settle(0.9)
    assert ann.step() is Phase.LINGERING
    world.settle(1.0)
    assert ann.step() is Phase.OVER


def test_close_of_both_ends() -> None:
    """A connection is over as soon as all is out and the peer has closed, before or after."""
    world = World()
    ann = kicked(world)
    ann.flushed(world.now)
    ann.ended()
    assert ann.step() is Phase.OVER
    ann.lost()
    ann = kicked(world)
    ann.ended()
    assert ann.step() is Phase.FLUSHING
    ann.flushed(world.now)
    assert ann.step() is Phase.OVER


def test_close_of_a_reader_that_has_stopped() -> None:
    """A peer that does not take its last message is cut off when the time to flush is over (CONN-22)."""
    world = World()
    ann = kicked(world, room=1)
    assert ann.step() is Phase.FLUSHING
    world.settle(59.9)
    assert ann.step() is Phase.FLUSHING
    world.settle(60.0)
    assert ann.step() is Phase.OVER


class Busy(Wire):
    """A connection that looks at what was decided only when there is room again, as a task would that writes."""

    def refresh(self) -> None:
        """Go on writing, if that is possible."""
        if not self.paused:
            super().refresh()


def test_close_while_a_task_writes() -> None:
    """The time to flush runs also while what was written before has not gone out."""
    world = World()
    ann = Busy(world, 1)
    ann.opened(world.now, "a")
    world.send(ann, Register("ann", ""))
    world.links.shut_down(world.now)
    world.settle(4.9)
    assert ann.step() is Phase.FLUSHING
    world.settle(5.0)
    assert ann.step() is Phase.OVER


@pytest.mark.parametrize(
    ("begun", "over"),
    [pytest.param(0.0, 5.0, id="just-begun"), pytest.param(58.0, 60.0, id="soon-over")],
)
def test_close_when_the_server_goes(begun: float, over: float) -> None:
    """Who took nothing before the server goes has no more time than who is told of it, and no more than before (FLOW-9)."""
    world = World()
    ann = kicked(world, room=1)
    world.settle(begun)
    world.links.shut_down(world.now)
    world.settle(over - 0.1)
    assert ann.step() is Phase.FLUSHING
    world.settle(over)
    assert ann.step() is Phase.OVER


def test_close_just_before_the_server_goes() -> None:
    """The same holds for a close about which nothing was done yet."""
    world = World()
    ann = world.connect(room=1)
    world.send(ann, Register("ann", ""))
    world.links.service.kick("ann", "go", world.now)
    world.links.shut_down(world.now)
    world.settle(5.0)
    assert ann.step() is Phase.OVER


def test_no_deadline_is_left() -> None:
    """When a connection is lost in the middle of its close, nothing of it is due any more."""
    world = World(gap=0.02)
    ann = world.connect()
    world.send(ann, Register("ann", ""), ListConversations(), codec="pickle")
    world.links.service.kick("ann", "go", world.now)
    world.settle()
    ann.lost()
    world.settle()
    assert len(world.links) == 0
    assert world.links.due is None


def reset(link: Wire) -> None:
    """Let a connection break."""
    link.broken()


def timed_out(link: Wire) -> None:
    """Let the peer not close in time."""
    link.flushed(link.world.now)
    link.world.settle(1.0)


def closed(link: Wire) -> None:
    """Let the peer close just in time, after its last message was told."""
    link.flushed(link.world.now)
    link.world.settle(0.9)
    link.ended()


@pytest.mark.parametrize("over", [reset, timed_out, closed])
def test_transport_that_never_closes(over: Callable[[Wire], None]) -> None:
    """A connection is forgotten if its transport is to close and never says that it has; what it says later is ignored."""
    world = World(per_address=1)
    ann = kicked(world)
    over(ann)
    world.settle()
    told = world.now
    assert ann.step() is Phase.OVER
    world.settle(told + 1.9)
    assert world.connect().peer.refusal is not None
    world.settle(told + 2.0)
    assert world.connect().peer.refusal is None
    ann.lost()
    assert world.connect().peer.refusal is not None


class Counting(Wire):
    """Counts how often it is refreshed, and has something happen to it each time, as a busy transport does."""

    count = 0

    def refresh(self) -> None:
        """Count."""
        self.count += 1
        self.resume()
        self.resume()


def test_refreshed_once() -> None:
    """A connection is refreshed once in a turn, however much has happened to it."""
    world = World()
    ann = Counting(world, 1)
    ann.opened(world.now, "a")
    ann.resume()
    for _ in range(10):
        world.links.turn(world.now)
    assert ann.count == 10


class Steady(Wire):
    """A connection whose transport is told at once to write events, and keeps those apart."""

    def refresh(self) -> None:
        """Write, and be steady from now on."""
        super().refresh()
        self.at_once: list[bytes] = []
        self.write_events = self.at_once.append
        self.peer.steady = True


def test_steady_links() -> None:
    """What a turn causes is written at once to a connection that is steady, but in portions if it is much."""
    world = World()
    ann, bo = world.connect(), Steady(world, 1_000_000)
    bo.opened(world.now, "a")
    world.send(ann, Register("ann", "here"))
    world.send(bo, Register("bo", "here"))
    world.send(ann, Invite(("bo",)))
    world.send(bo, Join("1"))
    world.send(ann, Join("1"), SendMessage("1", "x"))
    bo.written.clear()
    bo.at_once.clear()
    world.send(ann, SendMessage("1", "x"))
    assert bo.at_once == [b'{"type":"MESSAGE","conversation":"1","sender":"ann","text":"x"}\n']
    assert not bo.written
    world.send(ann, *[SendMessage("1", "x" * 8000)] * 10)
    assert len(bo.written) == 2
    assert max(map(len, bo.written)) <= PORTION


class Failing(Wire):
    """A connection whose transport fails once."""

    failed = False

    def refresh(self) -> None:
        """Fail, or be as others."""
        data = self.take(self.world.now)
        if not self.failed:
            self.failed = True
            raise MemoryError
        assert data is None


def test_transport_that_raises() -> None:
    """Who is written to in the same turn gets all, and the connection whose transport raises is closed."""
    world = World()
    ann = Failing(world, 1)
    ann.opened(world.now, "a")
    bo = world.connect()
    for link, name in ((ann, "ann"), (bo, "bo")):
        link.received(f'{{"type":"REGISTER","username":"{name}","status":""}}\n'.encode())
    with pytest.raises(MemoryError):
        world.settle()
    world.settle()
    assert b'"bo"' in b"".join(bo.written)
    assert (ann.step(), bo.step()) == (Phase.OVER, Phase.OPEN)
    assert world.links.due != 0.0
    world.settle(2.0)
    assert len(world.links) == 1  # if nobody says that the connection is closed


def test_transport_that_raises_when_there_is_room_again() -> None:
    """So it is with those for whom only their transports have changed."""
    world = World()
    for number in range(100):
        world.links.service.hub.receive(-1 - number, Register(f"user{number}", "s" * 4000), 0.0)
    ann = Failing(world, 1)
    ann.opened(world.now, "a")
    bo = world.connect(room=1)
    world.send(bo, Register("bo", ""))
    bo.room = 1
    ann.resume()
    bo.resume()
    with pytest.raises(MemoryError):
        world.settle()
    world.settle()
    assert len(bo.written) == 2
    assert (ann.step(), bo.step()) == (Phase.OVER, Phase.OPEN)


def test_accepted_while_closing() -> None:
    """A connection that comes in after the shutdown is told of it, too (ERROR-9)."""
    world = World()
    world.links.shut_down(world.now)
    late = world.connect()
    world.settle()
    assert late.step() is Phase.FLUSHING
