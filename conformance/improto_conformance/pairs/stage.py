"""The stage for a session of clients against a server: users with a driver each, and the guide."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from improto.codec import Codec
from improto.messages import (
    Conversations,
    Goodbye,
    Invitation,
    Invite,
    Join,
    ListConversations,
    OnlineUsers,
    Register,
    Request,
    Response,
)
from improto_conformance.clients.lines import CLOSED, LOST, Heard, Item, Told, command, read
from improto_conformance.clients.stage import Unsupported
from improto_conformance.clients.subjects import Driven
from improto_conformance.pairs.referee import Referee
from improto_conformance.servers.party import Party, Stuck
from improto_conformance.transcripts.transcript import Event

__all__ = ["Stage", "User"]

_M = TypeVar("_M", bound=Response)


class User:
    """A driver with one client, for one session."""

    def __init__(self, name: str, driver: Driven, referee: Referee, timeout: float) -> None:
        """Made by the stage."""
        self.name = name
        self._driver = driver
        self._referee = referee
        self._timeout = timeout
        self._heard = Heard()
        self._told: list[Item] = []
        self._over = False

    def connect(self, address: tuple[str, int], codec: Codec) -> None:
        """Begin with a new client that talks to a server; Unsupported if it does not have the codec."""
        host, port = address
        self._do({"do": "connect", "host": host, "port": port, "codec": codec.name})

    def ask(self, *requests: Request) -> None:
        """Let the user ask for requests, one after the other."""
        for request in requests:
            self._do(command(request))

    def hears(self, wanted: type[_M], fits: Callable[[_M], bool] = lambda message: True) -> _M:
        """Wait for the client to tell of a message; Stuck if it does not."""
        while True:
            for place, item in enumerate(self._told):
                if isinstance(item, wanted) and fits(item):
                    del self._told[: place + 1]
                    return item
            self._hear(f"tell of {wanted.COMMAND}")

    def ends(self) -> None:
        """Let the client go offline, and wait until it tells so."""
        if not self._over:
            self.ask(Goodbye())
        while not self._over:
            self._hear("tell of its close")

    def reset(self) -> None:
        """Drop the client."""
        self._do({"do": "reset"})

    def _do(self, members: Mapping[str, object]) -> None:
        line = json.dumps(members)
        self._referee.note(self.name, Event.ASKED, line)
        self._driver.ask(line)
        while not (told := self._hear(f"answer to {members['do']!r}")).answer:
            pass
        if told.answer == "unsupported":
            raise Unsupported(f"the codec {members['codec']}" if told.to == "connect" else told.to)

    def _hear(self, what: str) -> Told:
        try:
            line = self._driver.hear(self._timeout)
        except TimeoutError:
            raise Stuck(f"{self.name} was to {what}, and did not") from None
        if line is None:
            raise Stuck(f"the driver of {self.name} {self._driver.ending()}")
        self._heard.add(line, f"{self.name}, who was to {what},")
        self._referee.note(self.name, Event.TOLD, line.rstrip())
        told = read(line)
        if not told.answer:
            self._told.append(told.item)
            self._over = self._over or told.item in (CLOSED, LOST)
        return told


class Stage:
    """One session: the guide, and the users of the clients."""

    def __init__(self, guide: Party, users: Sequence[User]) -> None:
        """Begin with all of them connected, and the guide registered."""
        self.guide = guide
        self.users = users

    def enter(self) -> Sequence[User]:
        """Let all register, and wait until each has seen all others."""
        names = {user.name for user in self.users}
        for user in self.users:
            user.ask(Register(user.name, "here"))
            user.hears(OnlineUsers)
        for user in self.users[:-1]:
            user.hears(OnlineUsers, lambda roster: names <= roster.users.keys())
        return self.users

    def invite(self) -> str:
        """Let the first invite all others, and let all join, in this order."""
        first, *others = self.users
        first.ask(Invite(tuple(user.name for user in others)))
        id = first.hears(Invitation).conversation
        for user in others:
            user.hears(Invitation)
        for user in self.users:
            user.ask(Join(id))
            self.barrier(user)
        return id

    def barrier(self, *users: User) -> None:
        """Wait until each of these has told of everything that was caused so far."""
        for user in users:
            user.ask(ListConversations())
            user.hears(Conversations)
