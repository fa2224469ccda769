"""Says of a transcript whether the specification allows what the server did in it.

Nobody saw in which order the requests took effect.  So there is a complaint only if no order explains the transcript
(`search`).  A run may end anywhere, so if the transcript can be explained up to an entry but not with it, that entry is
wrong.  The judge knows only the specification (`model`), and nothing about any server.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import Self

from improto.messages import Conversations, Invitation, Message, OnlineUsers
from improto_conformance.judging.asked import Hearing, hearings
from improto_conformance.judging.blame import blame
from improto_conformance.judging.evidence import evidence, unsaid
from improto_conformance.judging.freshness import stale
from improto_conformance.judging.model import Rules
from improto_conformance.judging.scope import Scope
from improto_conformance.judging.search import Search
from improto_conformance.profile import Profile
from improto_conformance.transcripts.complaints import Complaint, Inconclusive
from improto_conformance.transcripts.transcript import Transcript

__all__ = ["Case", "judge", "judge_case"]

_WAYS = 16
"""How many ways to read the bytes of a transcript are tried."""

_SHARE = 4
"""The searches for what exactly is wrong each have this part of the budget of the first search."""


@dataclass(frozen=True, slots=True)
class Case:
    """Everything in a transcript that matters for a judgement; equal cases have equal judgements."""

    ways: Sequence[Sequence[Hearing]]
    """For each connection the ways to read it; they no longer show how it was encoded."""
    times: Sequence[float]
    """When each entry was seen."""
    suffix: str
    profile: Profile

    @classmethod
    def of(cls, seen: Transcript, profile: Profile | None = None) -> Self:
        """Read a transcript of the connections to a server that declares `profile`."""
        declared = profile or Profile()
        return cls(hearings(seen, declared), [entry.time for entry in seen.entries], seen.suffix, declared)


def judge(seen: Transcript, profile: Profile | None = None, *, budget: int | None = None) -> list[Complaint]:
    """Complain about what no order of the requests explains; Inconclusive if that cannot be decided.

    `budget`: how many states each search may visit; by default as many as take some seconds at most.
    """
    return judge_case(Case.of(seen, profile), budget=budget)


def judge_case(case: Case, *, budget: int | None = None) -> list[Complaint]:
    """Do the same as `judge`, for a transcript that has been read."""
    found: list[list[Complaint]] = []
    doubt: Inconclusive | None = None
    possible = product(*(_possible(ways, case.profile) for ways in case.ways))
    for way in islice(possible, _WAYS):
        try:
            found.append(_judged(case, way, budget or _budget(len(case.times), len(way))))
        except Inconclusive as error:
            doubt = doubt or error
        else:
            if not found[-1]:
                return []
    if doubt is None and next(possible, None) is not None:
        doubt = Inconclusive(f"none of the first {_WAYS} ways to read the bytes explains what was received")
    if doubt is not None:
        raise doubt
    return found[0]


def _possible(ways: Sequence[Hearing], profile: Profile) -> Sequence[Hearing]:
    """Leave out the ways to read a connection that prove a violation by themselves, unless all of them do."""
    return [way for way in ways if not any(evidence([way], profile.limits))] or ways


def _budget(entries: int, parties: int) -> int:
    parties = max(1, parties)
    # A state takes some 250 bytes for each party: all states together, half a gigabyte.
    return min(40_000, max(1000 + 4 * entries, 800_000 // parties), 2_000_000 // parties)


def _judged(case: Case, way: Sequence[Hearing], budget: int) -> list[Complaint]:
    scope, hearings = _scoped(case, way)
    certain = sorted(evidence(hearings, case.profile.limits), key=lambda each: each.index)[:1]
    # A fault before it may be its cause.
    before = certain[0].index if certain else len(case.times)
    search = Search(hearings, scope, budget, before)
    explained = search.run()
    wrong = None if explained else _first_wrong(search, refuted=explained is False)
    if wrong is not None:
        return [blame(hearings, scope, wrong)]
    if explained and not certain:
        return list(stale(case.times, hearings, case.profile.presence))[:1]
    if not explained and not certain:
        certain = sorted(unsaid(hearings, scope), key=lambda each: each.index)[:1]
    if not explained and not certain:
        raise Inconclusive(
            f"no order was found among the first {budget} states that explains what was received up to "
            f"entry {search.reached}"
        )
    return certain


def _first_wrong(search: Search, *, refuted: bool) -> int | None:
    """Give the entry up to which no order explains what was received, though it does up to the one before.

    `refuted`: whether it is known that there is one.  None if none was found.
    """
    entries = sorted(each.index for heard in search.heard for each in heard if each.index >= search.reached)

    def explained(place: int) -> bool | None:
        return Search(search.hearings, search.scope, search.budget // _SHARE, entries[place] + 1).run()

    low, high, probe, stride = 0, len(entries) - 1, 0, 1
    while probe < high or not refuted:
        verdict = explained(probe)
        if verdict is False:
            high = probe
            break
        if (verdict is None or probe == high) and not refuted:
            return None
        low = probe + 1
        probe, stride = min(probe + stride, high), stride * 2
    while low < high:
        middle = (low + high) // 2
        if explained(middle) is False:
            high = middle
        else:
            low = middle + 1
    return entries[high]


def _scoped(case: Case, way: Sequence[Hearing]) -> tuple[Scope, Sequence[Hearing]]:
    """Give the part of the server's world that is to be judged, without that of other users."""
    heard = [each.item for one in way for each in one.heard]
    strangers = {name for item in heard if isinstance(item, OnlineUsers) for name in item.users}
    strangers = {name for name in strangers if not name.endswith(case.suffix)}
    announced = {item.conversation for item in heard if isinstance(item, Invitation)} - {
        item.conversation for item in heard if isinstance(item, Invitation) and item.source in strangers
    }
    listed = {id for item in heard if isinstance(item, Conversations) for id in item.conversations}
    foreign = {item.conversation for item in heard if isinstance(item, Invitation)} | listed

    def is_foreign(item: object) -> bool:
        return isinstance(item, Invitation | Message) and item.conversation in foreign - announced

    profile = case.profile
    scope = Scope(
        case.suffix,
        frozenset(announced),
        frozenset(foreign - announced),
        Rules(profile.private, profile.limits),
        profile.private and bool(strangers),
    )
    return scope, [replace(one, heard=[h for h in one.heard if not is_foreign(h.item)]) for one in way]
