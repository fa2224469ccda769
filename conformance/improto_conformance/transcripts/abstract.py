"""What a transcript says without the parts that differ from run to run: bytes, codecs, times, names, ids, presence.

A party is named by its place among those that act in the transcript, a conversation by its place among those that are
announced, and an ERROR by its code.  A server may send rosters when it likes, so only the first roster tells anything:
that REGISTER has succeeded.  Messages of several senders may come in any order, and it depends on chance how many of them
a party has read when it sends something.  So the messages that come unasked between two replies are sorted, and put before
the second reply.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from improto.messages import AnyMessage, Conversations, Error, Invitation, Invite, Kind, Message, OnlineUsers
from improto_conformance.transcripts.transcript import Entry, Event, Transcript

__all__ = ["abstract"]

_DONE: Final = {
    Event.RAW: "sends bytes",
    Event.HALF_CLOSED: "ends its stream",
    Event.RESET: "leaves",
    Event.FAULT: "receives nonsense",
    Event.CLOSED: "is closed",
}

_COMES: Final = (Event.RECEIVED, Event.FAULT, Event.CLOSED)
"""The events that come from the server."""
_ASIDE: Final = (Event.ASKED, Event.TOLD)
"""The events between a client and its user, of which nothing passes on the connection."""


def abstract(seen: Transcript) -> dict[str, list[str]]:
    """Give for each party a line for each thing that it did or that happened to it, in order."""
    parties: dict[str, list[Entry]] = {}
    for entry in seen.entries:
        if entry.party and entry.event not in _ASIDE:
            parties.setdefault(entry.party, []).append(entry)
    names = {seen.name(party): f"user {place}" for place, party in enumerate(parties, 1)}
    ids = {id: f"conversation {place}" for place, id in enumerate(seen.conversations, 1)}
    words = _Words(seen.suffix, names, ids)
    return {f"party {place}": list(words.lines(entries)) for place, entries in enumerate(parties.values(), 1)}


class _Words:
    """The names that are given to users and conversations."""

    def __init__(self, suffix: str, names: Mapping[str, str], ids: Mapping[str, str]) -> None:
        self._suffix = suffix
        self._names = names
        self._ids = ids

    def lines(self, entries: Iterable[Entry]) -> Iterator[str]:
        rosters = (entry for entry in entries if isinstance(entry.item, OnlineUsers))
        first = next(rosters, None)
        unasked: list[str] = []
        for entry in entries:
            if isinstance(entry.item, OnlineUsers) and entry is not first:
                continue
            if isinstance(entry.item, Invitation | Message):
                unasked.append(self._line(entry))
                continue
            if entry.event in _COMES:
                yield from sorted(unasked)
                unasked.clear()
            yield self._line(entry)
        yield from sorted(unasked)

    def _line(self, entry: Entry) -> str:
        if isinstance(entry.item, bytes | str):
            return _DONE[entry.event]
        verb = "sends" if entry.event is Event.SENT else "receives"
        return " ".join([verb, entry.item.COMMAND, *self._fields(entry.item)])

    def _fields(self, message: AnyMessage) -> Iterator[str]:
        match message:
            case OnlineUsers():
                pass
            case Error():
                yield str(message.code)
            case Conversations(lists):
                yield from sorted(
                    f"{self._ids[id]}: {self._users(users)}" for id, users in lists.items() if id in self._ids
                )
            case Invite(users):
                yield self._users(users)
            case _:
                for (_, kind), value in zip(message.FIELDS, message.values(), strict=True):
                    yield self._value(kind, str(value))

    def _value(self, kind: Kind, value: str) -> str:
        if kind is Kind.CONVERSATION:
            return self._ids.get(value, ascii(value))
        return self._user(value) if kind is Kind.NAME else ascii(value)

    def _users(self, users: Iterable[str]) -> str:
        return f"[{', '.join(map(self._user, users))}]"

    def _user(self, name: str) -> str:
        return self._names.get(name, ascii(name.removesuffix(self._suffix)))
