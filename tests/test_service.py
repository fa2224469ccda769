"""Tests of `improto.service`: a whole server, driven as a binding drives it."""

import math
from collections.abc import Callable, Sequence
from typing import cast

import pytest

from improto.codec import Codec, load, load_all
from improto.errors import UsageError
from improto.messages import (
    Code,
    Conversations,
    Error,
    Goodbye,
    Invite,
    ListConversations,
    Message,
    OnlineUsers,
    Register,
    Request,
    Response,
    SendMessage,
    Status,
)
from improto.server import Hub, Policy
from improto.service import Bounds, Observer, Service
from improto.wire import Rate
from worlds import ASCII, World, codes, talk


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


class Stubborn(Observer):
    """Fails for all that happens at a shutdown."""

    def sent(self, peers: Sequence[int], message: Response) -> None:
        """Raise."""
        raise ZeroDivisionError

    def closed(self, peer: int, reason: str) -> None:
        """Raise."""
        raise ZeroDivisionError


def test_observer_that_raises_at_a_shutdown() -> None:
    """Whoever an observer raises about at a shutdown is told and closed all the same, and the others next time (ERROR-9)."""
    service = Service(Hub(), [ASCII], observer=Stubborn())
    peers = [service.connect(0.0) for _ in range(3)]
    for _ in peers:
        with pytest.raises(ZeroDivisionError):
            service.shut_down(0.0)
    service.shut_down(0.0)
    assert [peer.reason for peer in peers] == 3 * [Code.SHUTTING_DOWN]
    assert [b"shutting-down" in b"".join(peer.take()) for peer in peers] == 3 * [True]


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
    service = Service(Hub(), load_all())
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
