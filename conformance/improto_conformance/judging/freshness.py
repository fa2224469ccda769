"""Whether changes were shown in time (PRESENCE-4): the only duty of a server that is judged by the clock.

There is a complaint only where it is certain.  A change took effect, at the latest, when its author had proof of it.  If
somebody asks for the list much later, and no roster that shows the change has come before the reply, then none was sent in
time: a roster that was sent earlier would have come earlier.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from improto.messages import (
    Conversations,
    Error,
    Goodbye,
    ListConversations,
    Message,
    OnlineUsers,
    Register,
    Status,
)
from improto_conformance.judging.asked import Hearing
from improto_conformance.transcripts.complaints import Complaint

__all__ = ["stale"]

_SLACK: Final = 2.0
"""How much later than the interval the list must have been asked for, at least, in seconds."""
_RATE: Final = 8 * 1024  # bytes of rosters a second, by which the interval may grow (PRESENCE-6)
_ENTRY: Final = 16  # bytes around a name and its status
_FULL: Final = 32 * 1024
"""How many characters may have been received meanwhile: a roster that waits behind many may be replaced (FLOW-2)."""


class _Change(NamedTuple):
    """What rosters must show about a user: not before an entry, and at the latest by a time."""

    name: str
    shown: tuple[str | None, ...]
    """Any of these statuses; None for not at all."""
    since: int
    by: float


def stale(times: Sequence[float], hearings: Sequence[Hearing], presence: float) -> Iterator[Complaint]:
    """Complain about changes that somebody was not shown within the interval `presence`, in seconds.

    `times`: when each entry was seen.
    """
    changes = [change for one in hearings for change in _changes(times, one, hearings)]
    for one in hearings:
        first = next((each.index for each in one.heard if isinstance(each.item, OnlineUsers)), len(times))
        for since, until in _barriers(one):
            for change in changes:
                if first < change.since < since and _is_late(times, one, change, since, until, presence):
                    text = (
                        f"{one.party} was shown no change of {change.name} for "
                        f"{times[since] - change.by:.1f} s; the interval is {presence:g} s"
                    )
                    yield Complaint("PRESENCE-4", text, until)
                    return


def _changes(times: Sequence[float], one: Hearing, hearings: Sequence[Hearing]) -> Iterator[_Change]:
    """Give the changes of one user that have certainly taken effect."""
    name, old = "", set[str]()
    ends = [each.index for each in one.heard if each.item is None]
    for each in one.asked:
        match each.item:
            case Register(username, status):
                name, old = username, {status}
            case Status(status) if name:
                proof = next((until for since, until in _barriers(one) if since > each.index), None)
                if status not in old and proof is not None:
                    later = [status for since, status in _statuses(one) if since >= each.index]
                    yield _Change(name, (*later, None), each.index, times[proof])
                old.add(status)
            case Goodbye() if name and ends and not _is_taken(name, each.index, hearings):
                yield _Change(name, (None,), each.index, times[ends[0]])
            case _:
                pass


def _statuses(one: Hearing) -> list[tuple[int, str]]:
    return [(each.index, each.item.status) for each in one.asked if isinstance(each.item, Status)]


def _is_taken(name: str, since: int, hearings: Sequence[Hearing]) -> bool:
    """Tell whether somebody asks for a name later."""
    return any(
        isinstance(each.item, Register) and each.item.username == name and each.index > since
        for one in hearings
        for each in one.asked
    )


def _barriers(one: Hearing) -> Iterator[tuple[int, int]]:
    """Give the entries at which lists were asked for, and at which they came."""
    asked = [each.index for each in one.asked if isinstance(each.item, ListConversations)]
    heard = [each.index for each in one.heard if isinstance(each.item, Conversations)]
    # With an ERROR, it is not certain which reply belongs to which request.
    if not any(isinstance(each.item, Error) for each in one.heard):
        yield from zip(asked, heard, strict=False)


def _is_late(
    times: Sequence[float], one: Hearing, change: _Change, since: int, until: int, presence: float
) -> bool:
    waited = times[since] - change.by
    if waited <= presence + max(_SLACK, presence):
        return False
    rosters = [each.item for each in one.heard if isinstance(each.item, OnlineUsers)]
    size = max(sum(len(n) + len(s) + _ENTRY for n, s in roster.users.items()) for roster in rosters)
    due = max(presence, size / _RATE)
    if waited <= due + max(_SLACK, due):
        return False
    meanwhile = [each.item for each in one.heard if change.since < each.index < until]
    if sum(len(item.text) for item in meanwhile if isinstance(item, Message)) > _FULL:
        return False
    return not any(
        isinstance(item, OnlineUsers) and item.users.get(change.name) in change.shown for item in meanwhile
    )
