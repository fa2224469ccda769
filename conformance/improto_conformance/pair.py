"""Somebody's client against somebody's server: sessions with a few clients at once, through the referee.

The suite has a user of its own in each session, the guide, who is there from the first to the last moment.  Clients
that a driver works do what the session says; clients that know nothing of the suite are shown what the guide does.
Who is to blame is decided by what the referee saw, and by what the drivers were asked and told.
"""

import asyncio
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from threading import Thread
from typing import Final, TypeVar

from improto.codec import Codec, load
from improto.messages import (
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
    SendMessage,
    Status,
)
from improto_conformance.clients.judgement import judge_driven
from improto_conformance.clients.lines import CLOSED, LOST, Item, Told, command, read
from improto_conformance.clients.stage import Unsupported
from improto_conformance.clients.subjects import Driven, Lone
from improto_conformance.party import Party, Stuck, Waits
from improto_conformance.profile import Profile
from improto_conformance.referee import Manner, Referee
from improto_conformance.targets import tcp
from improto_conformance.transcript import Entry, Event, Transcript
from improto_conformance.verdict import Blame, judged

__all__ = ["DRIVEN", "NAMES", "SHOWN", "Met", "Stage", "User", "meet"]

NAMES: Final = ("ann", "bo", "cy")
"""Of the clients, without what makes them different from others on the server."""
_M = TypeVar("_M", bound=Response)


class User:
    """A driver with one client, for one session."""

    def __init__(self, name: str, driver: Driven, referee: Referee, timeout: float) -> None:
        """Made by the stage."""
        self.name = name
        self._driver = driver
        self._referee = referee
        self._timeout = timeout
        self._told: list[Item] = []
        self._over = False

    def connect(self, address: tuple[str, int], codec: Codec) -> None:
        """Have a new client that talks to a server; Unsupported if it does not have the codec."""
        host, port = address
        self._do({"do": "connect", "host": host, "port": port, "codec": codec.name})

    def ask(self, *requests: Request) -> None:
        """Have the user ask for requests, one after the other."""
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
        """Have the client go offline, and wait until it tells so."""
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
            raise Stuck(f"the driver of {self.name} has ended: {self._driver.last_words()}")
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
        """Have all register, and wait until each has seen all others."""
        names = {user.name for user in self.users}
        for user in self.users:
            user.ask(Register(user.name, "here"))
            user.hears(OnlineUsers)
        for user in self.users[:-1]:
            user.hears(OnlineUsers, lambda roster: names <= roster.users.keys())
        return self.users

    def invite(self) -> str:
        """Have the first invite all others, and all join, in this order."""
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
        """Have each of these told of all that was caused so far."""
        for user in users:
            user.ask(ListConversations())
            user.hears(Conversations)


Session = Callable[[Stage], None]


def _texts(stage: Stage) -> None:
    users = stage.enter()
    id = stage.invite()
    for number, text in enumerate(_TEXTS):
        users[number % len(users)].ask(SendMessage(id, text))
        for user in users:
            user.hears(Message)


_TEXTS: Final = (
    "hello",
    "  two  spaces ",
    "",
    'a "quoted" \\ text',
    "line\nbreaks\r\n",
    "größer 漢字 \U0001f600",
    "x" * 2000,
)


def _leaving(stage: Stage) -> None:
    ann, bo, *_ = stage.enter()
    id = stage.invite()
    bo.ask(Leave(id))
    stage.barrier(bo)
    ann.ask(SendMessage(id, "without you"))
    stage.barrier(*stage.users)
    bo.ask(Join(id))
    stage.barrier(bo)
    ann.ask(SendMessage(id, "with you"))
    bo.hears(Message)


def _presence(stage: Stage) -> None:
    ann, bo, *others = stage.enter()
    for user, status in ((ann, "busy"), (bo, ""), (ann, "=, back \u202e")):
        user.ask(Status(status))
        for other in stage.users:
            other.hears(OnlineUsers, partial(_shows, user.name, status))
    for user in others:
        user.ends()
        ann.hears(OnlineUsers, partial(_shows, user.name, None))


def _shows(name: str, status: str | None, roster: OnlineUsers) -> bool:
    """Tell whether a roster shows a user with a status, or with None not at all."""
    return roster.users.get(name) == status


def _errors(stage: Stage) -> None:
    ann, bo, *others = stage.enter()
    ann.ask(Join("no-such-conversation"))
    ann.hears(Error)
    bo.ask(Invite((ann.name, "nobody of this name")))
    bo.hears(Error)
    stage.barrier(ann, bo, *others)


def _at_once(stage: Stage) -> None:
    users = stage.enter()
    id = stage.invite()
    for number in range(20):
        for user in users:
            user.ask(SendMessage(id, f"{user.name} {number}"))
    stage.barrier(*users)


DRIVEN: Final[Mapping[str, Session]] = {
    "texts": _texts,
    "leaving": _leaving,
    "presence": _presence,
    "errors": _errors,
    "at-once": _at_once,
}
"""The sessions of clients that a driver works."""


def _shown(guide: Party, names: Sequence[str]) -> None:
    """Show clients that nobody tells anything what there is to see."""
    guide.wait(
        lambda message: isinstance(message, OnlineUsers) and set(names) <= message.users.keys(),
        f"a roster with {', '.join(names)}",
    )
    guide.send(Invite(tuple(names)))
    id = guide.wait_for(Invitation).conversation
    guide.send(Join(id))
    guide.barrier()
    for text in ("hello", "  two  spaces ", "", "größer 漢字 \U0001f600"):
        guide.send(SendMessage(id, text), Status(text))
        guide.wait_for(Message)
        guide.wait_to_see(guide.name, text)
    guide.send(Leave(id))
    guide.barrier()


SHOWN: Final = "shown"
"""The session of clients that nobody tells anything."""


@dataclass(frozen=True, slots=True)
class Met:
    """What came of one session."""

    session: str
    codec: str
    transcript: Transcript
    blames: tuple[Blame, ...]
    doubt: str = ""
    """Why it says nothing, or not all, if so."""
    left_out: str = ""
    """What the driver does not support, if that ended it."""


@contextmanager
def _refereed(
    upstream: tuple[str, int], manner: Manner
) -> Generator[tuple[Referee, tuple[str, int], list[Transcript]]]:
    """Run a referee; what it has seen is complete when the block has ended."""
    seen: list[Transcript] = []
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()

    async def begin() -> tuple[Referee, tuple[str, int]]:
        referee = Referee(upstream, lambda each, full: seen.append(each), manner=manner)
        return referee, await referee.listen("127.0.0.1", 0)

    try:
        referee, address = asyncio.run_coroutine_threadsafe(begin(), loop).result()
        try:
            yield referee, address, seen
        finally:
            asyncio.run_coroutine_threadsafe(referee.close(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def meet(
    upstream: tuple[str, int],
    clients: Sequence[Driven] | Sequence[Lone],
    session: str,
    codec: str,
    profile: Profile,
    *,
    manner: Manner,
    timeout: float,
    suffix: str = "",
    alone: bool = False,
) -> Met:
    """Hold one session, and say who is to blame.

    `suffix` makes the names different from others on the server; `alone`: there are no others.  OSError if the
    server cannot be reached; NoDriver if a driver does not follow its protocol, or a client cannot be started.
    """
    stuck = left_out = ""
    names = [name + suffix for name, _ in zip(NAMES, clients, strict=False)]
    with _refereed(upstream, manner) as (referee, address, transcripts), ExitStack() as stack:
        mine = Transcript(suffix)
        guide = Party("guide", tcp(*address).begin(), load(codec), mine, Waits(timeout))
        stack.callback(guide.close)
        try:
            guide.send(Register(guide.name, "guide"))
            guide.wait_for(OnlineUsers)
            if session == SHOWN:
                for name, client in zip(names, clients, strict=True):
                    assert isinstance(client, Lone)
                    stack.callback(client.over)
                    client.start(address, codec, name)
                _shown(guide, names)
            else:
                users = [
                    User(name, client, referee, timeout)
                    for name, client in zip(names, clients, strict=True)
                    if isinstance(client, Driven)
                ]
                _hold(DRIVEN[session], Stage(guide, users), address, load(codec))
            guide.barrier()
            guide.send(Goodbye())
            guide.read_to_end()
        except Unsupported as error:
            left_out = str(error)
        except Stuck as error:
            stuck = str(error)
    seen = transcripts[0] if transcripts else Transcript()
    judgement = judged(seen, profile, alone=alone)
    blames = list(judgement.blames)
    if session != SHOWN and not left_out:
        blames += [blame for name in names for blame in _driven(seen, name)]
    blames.sort(key=lambda blame: blame.index)
    return Met(session, codec, seen, tuple(blames), judgement.doubt or stuck, left_out)


def _hold(session: Session, stage: Stage, address: tuple[str, int], codec: Codec) -> None:
    for user in stage.users:
        user.connect(address, codec)
    try:
        session(stage)
    except Stuck:
        # Whose fault it is shows when all is known that is still under way.
        for user in stage.users:
            with suppress(Stuck):
                stage.barrier(user)
        for user in stage.users:
            with suppress(Stuck):
                user.ends()
                user.reset()
        raise
    for user in stage.users:
        user.ends()
        user.reset()


def _driven(seen: Transcript, name: str) -> list[Blame]:
    """Blame one client for what it made of its user's words, and of what it received."""
    places = _certain([(index, entry) for index, entry in enumerate(seen.entries) if entry.party == name])
    mine = Transcript(entries=[seen.entries[index] for index in places])
    return [Blame(name, each.clause, each.text, places[each.index]) for each in judge_driven(mine)]


def _certain(entries: Sequence[tuple[int, Entry]]) -> list[int]:
    """Give the places of entries so that what the client may have read after its GOODBYE stands behind that.

    It tells in order what it has read; so what it had not told when its user went may still have been under way.
    """
    told, behind = 0, list[int]()
    going = next((place for place, (_, entry) in enumerate(entries) if _is_goodbye(entry)), len(entries))
    for _, entry in entries[:going]:
        told += entry.event is Event.TOLD and not read(str(entry.item)).answer
    before: list[int] = []
    for index, entry in entries[:going]:
        if entry.event is Event.RECEIVED:
            told -= 1
        (behind if entry.event is Event.RECEIVED and told < 0 else before).append(index)
    after = [index for index, _ in entries[going:]]
    return [*before, *after[:1], *behind, *after[1:]]


def _is_goodbye(entry: Entry) -> bool:
    return entry.event is Event.ASKED and json.loads(str(entry.item))["do"] == "goodbye"
