"""Sends again what the parties of a transcript sent, to any server, in any codec.

The order keeps causes before effects: before a party sends, everything has come again that the parties had received by then.
Names that differ on each server and in each run are replaced: the ids of conversations, and the ends of usernames.  At the
end each user asks for the list of conversations.  After the replies no message can be under way any more, so it is certain
not only what came, but also what did not come.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from improto.codec import load
from improto.messages import (
    AnyMessage,
    Conversations,
    Error,
    Goodbye,
    Invitation,
    OnlineUsers,
    Register,
    Response,
)
from improto_conformance.connections.links import Connect
from improto_conformance.servers.party import Party, Stuck, Waits
from improto_conformance.transcripts.renaming import Names, pieces, translated
from improto_conformance.transcripts.transcript import Entry, Event, Transcript, without_clean_up

__all__ = ["Replayed", "replay"]

_LONGEST: Final = 120.0  # seconds between two entries that are waited for again


@dataclass(frozen=True, slots=True)
class Replayed:
    """The result of a replay."""

    old: Transcript
    """What was sent again, in the codec in which it was sent."""
    transcript: Transcript
    script: int
    """How many of its entries belong to the replay itself; in the others, lists are asked for."""
    failures: tuple[str, ...] = ()
    """Where the server did not react at all: the list at the end did not come, or no connection could be made."""

    @property
    def own(self) -> Transcript:
        """The transcript without what was asked for at the end."""
        return replace(self.transcript, entries=self.transcript.entries[: self.script])


def replay(
    old: Transcript,
    connect: Connect,
    waits: Waits,
    *,
    suffix: str | None = None,
    codec: str | None = None,
    settle: bool = True,
) -> Replayed:
    """Send again what was sent.

    `suffix`: of the usernames, as in the transcript unless given; of its length, or what is measured changes.
    `codec`: for all parties, instead of their own; UsageError if what they sent makes sense in that alone.
    `settle`: whether to ask for lists at the end.  OSError if the server cannot be reached at all.
    """
    if codec is not None:
        old = translated(old, codec)
    run = _Run(old, connect, old.suffix if suffix is None else suffix, waits)
    try:
        for place, batch in _batches(old.entries):
            run.do(place, batch)
        script = len(run.transcript.entries)
        if settle:
            run.settle()
    finally:
        run.close()
    return Replayed(
        replace(old, entries=list(without_clean_up(old.entries))), run.transcript, script, tuple(run.failures)
    )


def _batches(entries: Sequence[Entry]) -> Iterator[tuple[int, list[Entry]]]:
    """Group what a party may have sent in one write, with the place of its first entry.

    It leaves out how parties were closed at the end.
    """
    first, batch = 0, list[Entry]()
    for index, entry in enumerate(without_clean_up(entries)):
        if entry.event in (Event.ASKED, Event.TOLD):
            continue
        together = batch and batch[0].event is entry.event is Event.SENT and batch[0].party == entry.party
        if batch and not together:
            yield first, batch
            batch = []
        if not batch:
            first = index
        batch.append(entry)
    if batch:
        yield first, batch


class _Run:
    """One replay in progress."""

    def __init__(self, old: Transcript, connect: Connect, suffix: str, waits: Waits) -> None:
        self.transcript = Transcript(suffix)
        self._old = old
        self._connect = connect
        self._waits = waits
        self._names = Names(old.suffix, suffix)
        self._pieces = pieces(old)
        self._parties: dict[str, Party] = {}
        self._came: dict[str, list[Response]] = {}  # and was not waited for yet
        self._left: set[str] = set()  # parties that have ended their stream
        self._deaf: set[str] = set()  # parties that cannot read any more
        self.failures: list[str] = []
        # Parties for which nothing came in time since the last action of any party.
        self._quiet: set[str] = set()
        # Of the entry before, in the old transcript.
        self._time = old.entries[0].time if old.entries else 0.0
        self._registered = {e.item.username for e in old.entries if isinstance(e.item, Register)}

    def do(self, place: int, batch: Sequence[Entry]) -> None:
        """Do what was done at a place of the old transcript, or wait for what came there."""
        entry = batch[0]
        try:
            if entry.event is Event.MARK:
                self.transcript.mark(str(entry.item))
            elif entry.event in (Event.SENT, Event.RAW):
                self._quiet.clear()
                self._send(entry.party, place, batch)
            elif entry.event in (Event.HALF_CLOSED, Event.RESET):
                self._quiet.clear()
                self._leave(entry.party, entry.event)
            elif entry.party not in self._deaf:
                self._await(self._party(entry.party), place, entry)
        except Stuck:
            self._quiet.add(entry.party)
            if [each.event for each in self.transcript.of(entry.party)[-1:]] == [Event.FAULT]:
                self._deaf.add(entry.party)
        except OSError as error:
            if not self._parties:
                raise
            self._lose(entry.party, error)
        self._time = batch[-1].time

    def settle(self) -> None:
        """Let each user who can ask for the list."""
        for label in [label for label in self._parties if self._can_ask(label)]:
            try:
                self._parties[label].barrier()
            except Stuck as stuck:
                if not self.transcript.closed(label):
                    self.failures.append(str(stuck))
            except OSError as error:
                self._lose(label, error)

    def close(self) -> None:
        """Go offline, and wait until the server has noticed it, so that the names are free again (GOODBYE-4)."""
        count = len(self.transcript.entries)
        for label, party in self._parties.items():
            with suppress(OSError, Stuck):
                if label not in self._left:
                    party.half_close()
                if label not in self._deaf:
                    party.read_to_end()
            party.close()
        del self.transcript.entries[count:]

    def _party(self, label: str) -> Party:
        if label not in self._parties:
            codec = load(self._old.codecs.get(label) or "json")
            self._parties[label] = Party(label, self._connect, codec, self.transcript, self._waits)
            self._came[label] = []
        return self._parties[label]

    def _lose(self, label: str, error: OSError) -> None:
        """Do nothing more with a connection that was lost, or could not be made."""
        self.failures.append(f"{label}: {error.strerror or error}")
        self._left.add(label)
        self._deaf.add(label)

    def _send(self, label: str, place: int, batch: Sequence[Entry]) -> None:
        if label in self._left:
            return
        party = self._party(label)
        messages = [
            self._names.message(each.item) for each in batch if not isinstance(each.item, str | bytes)
        ]
        written = [self._names.written(each, party.codec, self._pieces.get(place)) for each in batch]
        if batch[0].event is Event.RAW:
            party.send_bytes(written[0])
        elif written == [party.encoded(message) for message in messages]:
            party.send(*messages)
        else:
            for message, data in zip(messages, written, strict=True):
                party.send_as(message, data)

    def _leave(self, label: str, event: Event) -> None:
        party = self._party(label)
        self._left.add(label)
        with suppress(OSError):  # the server has closed
            if event is Event.RESET:
                self._deaf.add(label)
                party.reset()
            else:
                party.half_close()

    def _await(self, party: Party, place: int, entry: Entry) -> None:
        item = entry.item
        if entry.event is Event.CLOSED:
            party.read_to_end(within=self._patience(entry))
        elif entry.event is Event.FAULT:
            faults = self._faults(party)
            self._wait(party, entry, lambda got: self._faults(party) > faults)
        elif isinstance(item, OnlineUsers):
            if not self._is_superseded(place):
                wanted = self._roster(self._names.message(item))
                if not party.roster or self._roster(OnlineUsers(party.roster)) != wanted:
                    self._wait(party, entry, lambda got: self._roster(got) == wanted)
        elif isinstance(item, Response):
            came = self._came[party.label]
            found = next((got for got in came if self._same(item, got)), None)
            if found is None:
                found = self._wait(party, entry, lambda got: self._like(item, got))
            came.remove(found)
            if isinstance(item, Invitation) and isinstance(found, Invitation):
                self._names.bind(item.conversation, found.conversation)

    def _wait(self, party: Party, entry: Entry, wanted: Callable[[Response], bool]) -> Response:
        def came(got: Response) -> bool:
            if not isinstance(got, OnlineUsers):
                self._came[party.label].append(got)
            return wanted(got)

        return party.wait(came, "what came before", within=self._patience(entry))

    def _patience(self, entry: Entry) -> float:
        """Give how long to wait for something that came after so many seconds in the old transcript."""
        if entry.party in self._quiet:
            return 0.0
        return self._waits.timeout + min(max(0.0, entry.time - self._time), _LONGEST)

    def _same(self, old: Response, got: Response) -> bool:
        """Tell whether two messages mean the same, each in its own run."""
        match old, got:
            case Invitation(id, source), Invitation(new, by):
                return self._names.user(source) == by and self._names.may_be(id, new)
            case Error(), Error():
                return old.code == got.code
            case Conversations(), Conversations():
                return True
            case _:
                return self._names.message(old) == got

    def _like(self, old: Response, got: Response) -> bool:
        """Tell whether a message may take the place of another one, since this server may say the same in another way."""
        return self._same(old, got) if isinstance(old, Invitation) else type(old) is type(got)

    def _roster(self, item: AnyMessage) -> dict[str, str]:
        """Give the part of a roster that these parties make."""
        users = dict[str, str](item.users) if isinstance(item, OnlineUsers) else {}
        mine = {self._names.user(name) for name in self._registered}
        return {name: status for name, status in users.items() if name in mine}

    def _is_superseded(self, place: int) -> bool:
        """Tell whether the same party received a later roster before anything was sent: no server has to send both."""
        party = self._old.entries[place].party
        for later in self._old.entries[place + 1 :]:
            if later.event in (Event.SENT, Event.RAW, Event.HALF_CLOSED, Event.RESET):
                return False
            if later.party == party and isinstance(later.item, OnlineUsers):
                return True
        return False

    def _faults(self, party: Party) -> int:
        return sum(entry.event is Event.FAULT for entry in self.transcript.of(party.label))

    def _can_ask(self, label: str) -> bool:
        """Tell whether it is certain that a request of a party would be understood and answered."""
        entries = self.transcript.of(label)
        return (
            label not in self._left | self._deaf
            and any(isinstance(entry.item, OnlineUsers) for entry in entries)
            and not any(isinstance(entry.item, Goodbye) for entry in entries)
            and not any(entry.event in (Event.RAW, Event.CLOSED) for entry in entries)
        )
