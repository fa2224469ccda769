"""Services driven as a binding drives them, for tests of `improto.service`."""

from itertools import count

from improto.codec import load
from improto.messages import Error, Invite, Join, OnlineUsers, Register, Request, Response, Role
from improto.server import Hub, Policy
from improto.service import Bounds, Observer, Peer, Service
from improto.wire import Rate

__all__ = ["ASCII", "Watch", "World", "codes", "talk"]

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


def talk(world: World, *names: str) -> list[Peer]:
    """Register users and bring them into conversation 1."""
    peers = [world.register(name) for name in names]
    world.send(peers[0], Invite(names[1:]))
    for peer in peers:
        world.send(peer, Join("1"))
        world.read(peer)
    return peers
