"""Makes the script of a transcript as short as possible while a server still violates the same clause.

This is delta debugging: parts of what was sent are left out, large parts first, and the rest is replayed.  Each success is
the new transcript, cut off after the violation.  In the end nothing that is sent can be left out any more, and no text can be
shorter; so everything that is left has to do with the violation.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from improto.messages import AnyMessage, Invite, Register, SendMessage, Status
from improto_conformance.judging.judge import judge
from improto_conformance.profile import Profile
from improto_conformance.transcripts.complaints import Complaint, Inconclusive
from improto_conformance.transcripts.transcript import Entry, Event, Transcript

__all__ = ["Shrunk", "acts", "shrink", "violation"]

_ACTS: Final = (Event.SENT, Event.RAW, Event.HALF_CLOSED, Event.RESET)


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The shortest transcript that was found."""

    transcript: Transcript
    complaint: Complaint
    runs: int
    minimal: bool
    """Whether nothing more can be left out; otherwise there was no time to try."""


def acts(seen: Transcript) -> list[int]:
    """Give the entries of what the parties did."""
    return [index for index, entry in enumerate(seen.entries) if entry.event in _ACTS]


def violation(seen: Transcript, profile: Profile, clause: str = "") -> Complaint | None:
    """Give the judge's first complaint (about `clause`, if it is given); None if no complaint is certain."""
    try:
        found = judge(seen, profile)
    except Inconclusive:
        return None
    return next((complaint for complaint in found if clause in ("", complaint.clause)), None)


def shrink(
    seen: Transcript,
    complaint: Complaint,
    run: Callable[[Transcript], Transcript],
    profile: Profile,
    *,
    runs: int = 1000,
    seconds: float = 60.0,
) -> Shrunk:
    """Shrink a transcript that shows a complaint; `run` replays one.  At most so many runs and seconds."""
    search = _Search(seen, complaint, run, profile, runs, time.monotonic() + seconds)
    minimal = search.run()
    return Shrunk(search.best, search.complaint, search.runs, minimal)


class _Over(Exception):
    """There is no time for another run."""


class _Search:
    """One search, with the best transcript so far."""

    def __init__(
        self,
        seen: Transcript,
        complaint: Complaint,
        run: Callable[[Transcript], Transcript],
        profile: Profile,
        runs: int,
        end: float,
    ) -> None:
        self.runs = 0
        self._run = run
        self._profile = profile
        self._most = runs
        self._end = end
        self._tried: set[str] = set()
        self._take(seen, complaint)

    def run(self) -> bool:
        """Search; tell whether it came to its end."""
        try:
            for party in dict.fromkeys(entry.party for entry in self.best.entries if entry.party):
                self._try([entry for entry in self.best.entries if entry.party != party])
            self._leave_out()
            while self._simplify():
                self._leave_out()
        except _Over:
            return False
        return True

    def _take(self, seen: Transcript, complaint: Complaint) -> None:
        self.best = replace(seen, entries=seen.entries[: complaint.index + 1])
        self.complaint = complaint

    def _try(self, entries: Sequence[Entry]) -> bool:
        """Replay a shorter script; if it shows the same complaint, go on from the new transcript."""
        script = repr([(entry.party, entry.event, entry.item) for entry in entries if entry.event in _ACTS])
        if script in self._tried:
            return False
        self._tried.add(script)
        if self.runs >= self._most or time.monotonic() > self._end:
            raise _Over
        self.runs += 1
        new = self._run(replace(self.best, entries=list(entries)))
        complaint = violation(new, self._profile, self.complaint.clause)
        if complaint is None:
            return False
        self._take(new, complaint)
        return True

    def _leave_out(self) -> None:
        """Leave out as much as possible, until nothing that is sent can be left out by itself."""
        size = max(1, len(acts(self.best)) // 2)
        while True:
            if self._leave_out_parts(size):
                size = min(size, max(1, len(acts(self.best)) // 2))
            elif size == 1:
                return
            else:
                size //= 2

    def _leave_out_parts(self, size: int) -> bool:
        """Leave out each part of a size in turn, from the end; tell whether that succeeded with one."""
        succeeded = False
        end = len(acts(self.best))
        while end > 0:
            out = set(acts(self.best)[max(0, end - size) : end])
            if self._try([entry for index, entry in enumerate(self.best.entries) if index not in out]):
                succeeded = True
            end = min(end - size, len(acts(self.best)))
        return succeeded

    def _simplify(self) -> bool:
        """Make a text shorter, or one list of names; tell whether that succeeded."""
        entries = self.best.entries
        for index, entry in enumerate(entries):
            if entry.event is Event.SENT and not isinstance(entry.item, str | bytes):
                for simpler in _simpler(entry.item):
                    new = replace(entry, item=simpler, data=b"")
                    if self._try([*entries[:index], new, *entries[index + 1 :]]):
                        return True
        return False


def _simpler(message: AnyMessage) -> Iterator[AnyMessage]:
    match message:
        case Register(_, status) | Status(status):
            yield from (replace(message, status=text) for text in _shorter(status))
        case SendMessage(_, text):
            yield from (replace(message, text=text) for text in _shorter(text))
        case Invite(users) if len(users) > 1:
            yield from (Invite(users[:at] + users[at + 1 :]) for at in range(len(users)))
        case _:
            pass


def _shorter(text: str) -> Iterator[str]:
    """Give shorter texts, the shortest first."""
    half = len(text) // 2
    for each in dict.fromkeys(["", text[:1], text[:half], text[half:], text[1:], text[:-1]]):
        if len(each) < len(text):
            yield each
