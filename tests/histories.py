"""Histories of a server that is right by the model, and ways to make them wrong."""

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

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
    SendMessage,
    Status,
)
from improto_conformance.judging.model import Rules, World, handle, leave_all
from improto_conformance.transcripts.transcript import Entry, Event, Transcript

__all__ = ["History", "changes", "play"]


class History:
    """A server and its clients: requests wait for their turn, responses for their reader."""

    def __init__(self, seed: int, labels: tuple[str, ...], *, private: bool = False) -> None:
        """Begin with nobody online."""
        self.seen = Transcript("", codecs=dict.fromkeys(labels, "json"))
        self.world = World()
        self.labels = labels
        self._pick = random.Random(seed)
        self._rules = Rules(private)
        self._waiting: dict[str, deque[Request]] = {label: deque() for label in labels}
        self._due: dict[str, deque[AnyMessage | None]] = {label: deque() for label in labels}
        self._gone: set[str] = set()  # who sends no more
        self._closed: set[str] = set()  # … and is not served any more

    def move(self) -> None:
        """Let something happen somewhere."""
        label = self._pick.choice(self.labels)
        match self._pick.randrange(8):
            case 0 | 1 | 2 if label not in self._gone:
                self.ask(label, self._request(label))
            case 3 | 4 if self._waiting[label]:
                self.serve(label)
            case 5 | 6 if self._due[label]:
                self.hear(label)
            case 7 if self._pick.random() < 0.3 and self.world.user(label) and label not in self._closed:
                self._due[label].append(OnlineUsers(self.world.roster))
            case _:
                pass

    def settle(self) -> None:
        """Let all that waits happen, and have everybody make sure of it."""
        for _ in range(2):
            for label in self.labels:
                if label not in self._gone:
                    self.ask(label, ListConversations())
            for label in self.labels:
                while self._waiting[label]:
                    self.serve(label)
            for label in self.labels:
                while self._due[label]:
                    self.hear(label)

    def ask(self, label: str, request: Request) -> None:
        """Send a request; GOODBYE may as well be a half-close."""
        self._waiting[label].append(request)
        if isinstance(request, Goodbye):
            self._gone.add(label)
            if self._pick.random() < 0.5:
                self.seen.entries.append(Entry(label, Event.HALF_CLOSED))
                return
        self.seen.entries.append(Entry(label, Event.SENT, request))

    def serve(self, label: str) -> None:
        """Let a request take effect."""
        request = self._waiting[label].popleft()
        effect = handle(self.world, label, request, str(len(self.world.used) + 1), self._rules)
        self.world = effect.world
        for output in effect.outputs:
            item = output.item
            assert item is not None
            self._due[output.to].append(Error(f"{item}: ") if isinstance(item, Code) else item)
        if isinstance(request, Goodbye):
            self._closed.add(label)
            self._due[label].append(None)

    def hear(self, label: str) -> None:
        """Receive something."""
        item = self._due[label].popleft()
        self.seen.entries.append(
            Entry(label, Event.CLOSED, "closed") if item is None else Entry(label, Event.RECEIVED, item)
        )

    def break_off(self, label: str) -> None:
        """Reset a connection: a part of what was asked for takes effect, and nothing is heard any more."""
        self.seen.entries.append(Entry(label, Event.RESET))
        self._gone.add(label)
        while self._waiting[label] and self._pick.random() < 0.7:
            self.serve(label)
        self.world = leave_all(self.world, label)
        self._waiting[label].clear()
        self._due[label].clear()
        self._closed.add(label)

    def _request(self, label: str) -> Request:
        """Make some request, mostly a sensible one."""
        if self.world.user(label) is None and not self._waiting[label]:
            return Register(label, "x")
        id = self._pick.choice(["9x", *self.seen.conversations])
        some: list[Request] = [
            Status(str(self._pick.randrange(3))),
            Invite((self._pick.choice(self.labels),)),
            Join(id),
            Join(id),
            Leave(id),
            SendMessage(id, str(self._pick.random())),
            SendMessage(id, str(self._pick.random())),
            ListConversations(),
        ]
        if self._pick.random() < 0.02:
            return Goodbye()
        return self._pick.choice(some)


def play(
    seed: int, moves: int = 120, users: int = 3, *, resets: bool = False, private: bool = False
) -> Transcript:
    """Play a history to its end."""
    history = History(seed, tuple("abcdefgh"[:users]), private=private)
    for number in range(moves):
        history.move()
        if resets and number == moves // 2:
            history.break_off("a")
    history.settle()
    return history.seen


def changes(seen: Transcript, seed: int) -> Iterator[tuple[str, Transcript]]:
    """Give the transcript with one thing changed that no order explains, in several ways.

    It is a reply to somebody who goes on receiving, so that it is certain what was to come.
    """
    pick = random.Random(seed)

    def changed(place: int, *items: AnyMessage) -> Transcript:
        entries = [replace(seen.entries[place], item=item) for item in items]
        return replace(seen, entries=[*seen.entries[:place], *entries, *seen.entries[place + 1 :]])

    if (said := _some(seen, Message, pick)) is not None:
        place, message = said
        yield "message lost", changed(place)
        yield "message twice", changed(place, message, message)
        yield "other text", changed(place, replace(message, text="?"))
        yield "other sender", changed(place, replace(message, sender="h"))
        yield "other conversation", changed(place, replace(message, conversation="1x"))
    if (told := _some(seen, Invitation, pick)) is not None:
        place, invitation = told
        yield "invitation lost", changed(place)
        yield "invitation twice", changed(place, invitation, invitation)
        yield "other source", changed(place, replace(invitation, source="h"))
    if (shown := _some(seen, Conversations, pick)) is not None:
        place, listed = shown
        yield "list twice", changed(place, listed, listed)
        for id in listed.conversations.keys() & {*seen.conversations}:
            more = (*listed.conversations[id], "h")
            yield "a member more", changed(place, Conversations({**listed.conversations, id: more}))


_AnyReply = TypeVar("_AnyReply", Message, Invitation, Conversations)


def _some(seen: Transcript, kind: type[_AnyReply], pick: random.Random) -> tuple[int, _AnyReply] | None:
    """Pick an item of a kind, received by whoever had asked for it."""
    found = [
        (place, entry.item)
        for place, entry in enumerate(seen.entries)
        if isinstance(entry.item, kind) and entry.party == _concerned(entry)
    ]
    return pick.choice(found) if found else None


def _concerned(entry: Entry) -> str:
    """Name whose request an item comes of."""
    match entry.item:
        case Message(_, sender, _):
            return sender
        case Invitation(_, source):
            return source
        case _:
            return entry.party
