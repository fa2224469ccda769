"""What happened in one check: who sent and received what, in the order in which it was seen.

The order of the entries of one party is certain.  Between parties only this is known: what was received before something was
sent cannot be its effect.  Conversation ids depend on the server and usernames on the run, so judgements ask the transcript
for them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import accumulate, takewhile
from typing import Final

from improto.messages import AnyMessage, Conversations, Error, Invitation, Message, OnlineUsers
from improto_conformance.transcripts.complaints import Difference, brief

__all__ = ["RESET", "Entry", "Event", "Transcript", "without_clean_up"]

RESET: Final = "reset"
"""The item for an end by the server that may have destroyed what came before; for another end it is `closed`."""


class Event(StrEnum):
    """The kind of an entry, as seen from the client's end of a connection."""

    SENT = "sent"
    RAW = "sent as bytes"
    """Bytes that are deliberately no message, several messages, or a part of one."""
    HALF_CLOSED = "half-closed"
    """The client sends no more."""
    RESET = "reset"
    """The client reset the connection, or closed it without reading on."""
    RECEIVED = "received"
    FAULT = "received nonsense"
    CLOSED = "closed by the server"
    ASKED = "asked"
    """The client's user, played by its driver, asked it for something: a line of the driver protocol."""
    TOLD = "told"
    """The client told its user something: another line of the driver protocol."""
    MARK = "mark"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened; `party` is empty for a mark."""

    party: str
    event: Event
    item: AnyMessage | bytes | str = ""
    time: float = field(default=0.0, compare=False)
    """Seconds, on the clock of the connection."""
    data: bytes = field(default=b"", compare=False)
    """The bytes that were sent, with their framing; or the bytes that have come since the last entry of this party about
    received bytes, so that together they are the stream."""
    deliberate: bool = field(default=False, compare=False)
    """Whether a message is meant to be refused, or is sent after a GOODBYE; a working client would not send it."""

    def __str__(self) -> str:
        """Give a line for people."""
        item = self.item
        if isinstance(item, bytes):
            shown = ascii(item if len(item) <= 60 else item[:60] + b"...")
        elif isinstance(item, str):
            shown = item
        else:
            shown = " ".join([item.COMMAND, *(ascii(value)[:200] for value in item.values())])
        return (
            f"--- {shown}" if self.event is Event.MARK else f"{self.party:>8} {_ARROWS[self.event]} {shown}"
        )


_ARROWS: Final = {
    Event.SENT: "→",
    Event.RAW: "→",
    Event.HALF_CLOSED: "→|",
    Event.RESET: "→x",
    Event.RECEIVED: "←",
    Event.FAULT: "←!",
    Event.CLOSED: "←|",
    Event.ASKED: "⇒",
    Event.TOLD: "⇐",
}


@dataclass
class Transcript:
    """All entries of one check."""

    suffix: str = ""
    """The end of the usernames of this check, which makes them different from all others on the server."""
    entries: list[Entry] = field(default_factory=list[Entry])
    codecs: dict[str, str] = field(default_factory=dict[str, str])
    """The name of the codec of each party."""
    lossless: bool = False
    """Whether messages that a reset by the server may have destroyed are demanded nevertheless (CONN-22)."""
    messages: bool = False
    """Whether its connections carry messages instead of bytes; the entries are framed as on a stream."""

    def mark(self, name: str) -> None:
        """Mark the current place."""
        time = self.entries[-1].time if self.entries else 0.0
        self.entries.append(Entry("", Event.MARK, name, time))

    def beginning(self, size: int) -> "Transcript":
        """Give the transcript up to where so many bytes were sent and received; a run may end anywhere."""
        sizes = accumulate(len(entry.data) for entry in self.entries)
        return replace(self, entries=self.entries[: sum(1 for each in sizes if each <= size)])

    @property
    def marks(self) -> list[str]:
        """The marks, in order."""
        return [str(entry.item) for entry in self.entries if entry.event is Event.MARK]

    def name(self, party: str) -> str:
        """Give the username of a party."""
        return party + self.suffix

    @property
    def conversations(self) -> list[str]:
        """The ids of the conversations to which the parties were invited, in the order in which they were made."""
        found = [entry.item.conversation for entry in self.entries if isinstance(entry.item, Invitation)]
        return list(dict.fromkeys(found))

    @property
    def conversation(self) -> str:
        """The id of the first conversation; empty if there was none."""
        return next(iter(self.conversations), "")

    def said(self, party: str, text: str) -> Message:
        """Give the MESSAGE for something that a party said in the first conversation."""
        return Message(self.conversation, self.name(party), text)

    def of(self, party: str, since: str | None = None, until: str | None = None) -> list[Entry]:
        """Give the entries of a party: all, or those after one mark and before another one."""
        start = 0 if since is None else self._place(since)
        end = len(self.entries) if until is None else self._place(until)
        return [entry for entry in self.entries[start:end] if entry.party == party]

    def _place(self, mark: str) -> int:
        return self.entries.index(Entry("", Event.MARK, mark)) if self.marked(mark) else len(self.entries)

    def marked(self, mark: str) -> bool:
        """Tell whether the stimulus has reached a mark."""
        return Entry("", Event.MARK, mark) in self.entries

    def heard(self, party: str, since: str | None = None, until: str | None = None) -> list[AnyMessage | str]:
        """Give what a party received, without rosters and lists; of an ERROR only the code, since only the code is specified."""
        items = [entry.item for entry in self.of(party, since, until) if entry.event is Event.RECEIVED]
        return [
            item.code or f"ERROR {item.message!r} without a code" if isinstance(item, Error) else item
            for item in items
            if not isinstance(item, OnlineUsers | Conversations | bytes)
        ]

    def rosters(self, party: str, since: str | None = None) -> list[OnlineUsers]:
        """Give the rosters that a party received."""
        return [entry.item for entry in self.of(party, since) if isinstance(entry.item, OnlineUsers)]

    def lists(self, party: str, since: str | None = None, until: str | None = None) -> list[Conversations]:
        """Give the lists that a party received, without the conversations of others."""
        mine = set(self.conversations)
        return [
            Conversations({id: members for id, members in entry.item.conversations.items() if id in mine})
            for entry in self.of(party, since, until)
            if isinstance(entry.item, Conversations)
        ]

    def closed(self, party: str) -> bool:
        """Tell whether the server closed the party's connection."""
        return any(entry.event is Event.CLOSED for entry in self.of(party))

    def lossy(self, party: str) -> bool:
        """Tell whether the server reset the party's connection, so that something may have been lost."""
        return not self.lossless and Entry(party, Event.CLOSED, RESET) in self.of(party)

    def expect(
        self,
        party: str,
        wanted: Sequence[AnyMessage | str],
        since: str | None = None,
        until: str | None = None,
    ) -> Iterator[str]:
        """Complain unless a party received exactly this, not counting rosters and lists, or its beginning before a reset."""
        heard = self.heard(party, since, until)
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(heard, wanted, strict=False)))
        if same < len(heard) or (same < len(wanted) and not self.lossy(party)):
            yield Difference.of(party, f"receive {_shown(wanted, same)}", f"received {_shown(heard, same)}")

    def expect_open(self, party: str) -> Iterator[str]:
        """Complain if the server closed the party's connection."""
        if self.closed(party):
            yield Difference.of(f"the connection of {party}", "stay open", "was closed")

    def expect_closed(self, party: str) -> Iterator[str]:
        """Complain unless the server closed the party's connection."""
        if not self.closed(party):
            yield Difference.of(f"the connection of {party}", "be closed", "stayed open")


_FEW: Final = 3
_MOST: Final = 10


def without_clean_up(entries: Sequence[Entry]) -> Sequence[Entry]:
    """Give entries without the clean-up at their end."""
    end = len(entries)
    while end and entries[end - 1].event is Event.RESET:
        end -= 1
    return entries[:end]


def _shown(items: Sequence[AnyMessage | str], same: int) -> str:
    """List messages; of many, of which the first `same` are as they were to be, some of those behind them."""
    start = same if same > _FEW else 0
    listed = [item if isinstance(item, str) else brief(item) for item in items[start : start + _MOST]]
    if (more := len(items) - start - len(listed)) > 0:
        listed.append(f"and {more} more")
    before = f"after {start} right ones: " if start else ""
    return before + (", ".join(listed) or "nothing")
