"""Says of live traffic who violated which clause.

There may be users on the server who are not seen here.  Nothing is blamed that they could explain: their names in rosters are
ignored.  If a transcript makes no sense without one of them, only what came before this user took part is judged, as a
transcript of its own, since a run may end anywhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from improto.messages import (
    Code,
    Conversations,
    Error,
    Invitation,
    Invite,
    Message,
    OnlineUsers,
    Register,
)
from improto_conformance.judging.client_judge import judge_clients
from improto_conformance.judging.judge import judge
from improto_conformance.profile import Profile
from improto_conformance.transcripts.complaints import Complaint, Inconclusive, cut
from improto_conformance.transcripts.transcript import Entry, Event, Transcript

__all__ = ["SERVER", "Blame", "Judgement", "judged"]

SERVER: Final = "server"


@dataclass(frozen=True, slots=True)
class Blame:
    """Somebody violated a clause."""

    party: str
    """The label of a client's connection, or `SERVER`."""
    clause: str
    text: str
    index: int
    """The entry of the transcript that shows it."""

    @property
    def who(self) -> str:
        """The culprit, for people."""
        return "the server" if self.party == SERVER else f"the client {self.party}"

    def __str__(self) -> str:
        """Give a line for people; it holds what peers have said."""
        return f"{self.who} violates {self.clause}: {cut(self.text)} (entry {self.index})"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What can be said about a transcript."""

    blames: tuple[Blame, ...]
    doubt: str = ""
    """Why not all of it could be judged; empty if all was judged."""


def judged(seen: Transcript, profile: Profile | None = None, *, alone: bool = False) -> Judgement:
    """Judge both sides.  `alone`: the server has no users except those in the transcript."""
    blames = [
        Blame(seen.entries[each.index].party, each.clause, each.text, each.index)
        for each in judge_clients(seen)
    ]
    doubt = ""
    try:
        found = judge(seen, profile) if alone else _certain(seen, profile)
        blames += [Blame(SERVER, each.clause, each.text, each.index) for each in found]
    except Inconclusive as reason:
        doubt = str(reason)
    return Judgement(tuple(sorted(blames, key=lambda blame: blame.index)), doubt)


def _certain(seen: Transcript, profile: Profile | None) -> list[Complaint]:
    """Complain about the server only where no other user can have been the cause."""
    known = _Known(seen)
    complaints = judge(known.transcript, profile)
    if complaints and known.stranger is not None:
        place, name = known.stranger
        complaints = judge(replace(seen, entries=known.transcript.entries[:place]), profile)
        if not complaints:
            raise Inconclusive(f"from entry {place} on {name!a}, who is not seen here, may have taken part")
    if complaints and known.strangers and all(complaint.clause in _LIVES for complaint in complaints):
        text = "users who are not seen here may keep a conversation alive"
        raise Inconclusive(f"{cut(str(complaints[0]))}, unless {text}")
    return complaints


_LIVES: Final = ("JOIN-8", "SEND-5", "LEAVE-5", "CONV-1", "CONV-2", "LIST-5")
"""The codes that depend on whether a conversation is still alive."""


class _Known:
    """A transcript without the users who are not seen in it, as far as they can be recognized."""

    def __init__(self, seen: Transcript) -> None:
        self.strangers: set[str] = set()
        self.stranger: tuple[int, str] | None = None
        """The first entry that one of them may have influenced, and the name of that user."""
        self._names: set[str] = set()  # of users who are seen here
        self._announced: set[str] = set()
        self._refused = set(_taken_by_strangers(seen))
        self.transcript = replace(seen, entries=[self._look(*each) for each in enumerate(seen.entries)])

    def _look(self, index: int, entry: Entry) -> Entry:
        item = entry.item
        if isinstance(item, Register):
            if index in self._refused or item.username in self.strangers:
                self.stranger = self.stranger or (index, item.username)
            self._names.add(item.username)
        elif isinstance(item, Invitation):
            self._announced.add(item.conversation)
        for name in _taking_part(entry, self._announced):
            if name not in self._names:
                self.stranger = self.stranger or (index, name)
        if not isinstance(item, OnlineUsers):
            return entry
        self.strangers |= item.users.keys() - self._names
        mine = {name: status for name, status in item.users.items() if name in self._names}
        return replace(entry, item=OnlineUsers(mine))


def _taking_part(entry: Entry, announced: set[str]) -> Iterator[str]:
    """Name the users on whom the meaning of an entry depends."""
    match entry.item:
        case Invite(users):
            yield from users
        case Invitation(_, source):
            yield source
        case Message(_, sender, _):
            yield sender
        case Conversations(conversations):
            for id, members in conversations.items():
                yield from members if id in announced else ()
        case _:
            pass


def _taken_by_strangers(seen: Transcript) -> Iterator[int]:
    """Give the REGISTERs that were refused though nobody here had asked for the name before."""
    asked: dict[str, list[tuple[int, str]]] = {}  # on each connection, without an answer so far
    first: dict[str, int] = {}
    for index, (party, event, item) in enumerate((e.party, e.event, e.item) for e in seen.entries):
        if event is Event.SENT and isinstance(item, Register):
            asked.setdefault(party, []).append((index, item.username))
            first.setdefault(item.username, index)
        elif isinstance(item, Error) and item.code == Code.NAME_IN_USE:
            yield from (at for at, name in asked.pop(party, []) if first[name] == at)
