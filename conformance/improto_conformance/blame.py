"""Names the clause that is violated by the first thing that nothing explains.

All that was received before it is explained, in one way or in several; in each the requests that were pending could
have caused something else.  What comes closest to what was received is taken for what was to come.
"""

from collections.abc import Iterator, Sequence

from improto.messages import (
    AnyMessage,
    Code,
    Conversations,
    Error,
    Goodbye,
    Invitation,
    Join,
    Leave,
    Message,
    OnlineUsers,
    Response,
    Status,
)
from improto_conformance.asked import Asked, Hearing
from improto_conformance.complaints import Complaint, Difference
from improto_conformance.model import Output
from improto_conformance.search import Scope, Search

__all__ = ["blame"]

_BUDGET = 2000


def blame(hearings: Sequence[Hearing], scope: Scope, index: int) -> Complaint:
    """Say what is wrong with what was received at an entry, if all before it can be explained."""
    search = Search(hearings, scope, _BUDGET, index + 1, foresight=False)
    place = next(n for n, heard in enumerate(search.heard) if heard and heard[-1].index == index)
    party, got = hearings[place].party, search.heard[place][-1].item
    assert not isinstance(got, str)
    wanted = min(_wanted(search, place, got), key=lambda each: each[0], default=None)
    if wanted is None:
        again = got in [each.item for each in search.heard[place][:-1]]
        return Complaint(
            _uncaused(got, again=again), f"{party} received {_shown(got)}, which nothing caused", index
        )
    _, output, asked = wanted
    expected = "nothing" if output is None else _shown(output.item)
    clause = _refused(asked.item) if output is None else _clause(output, got)
    return Complaint(clause, Difference.of(party, f"receive {expected}", f"received {_shown(got)}"), index)


def _wanted(
    search: Search, place: int, got: Response | None
) -> Iterator[tuple[tuple[int, int, int], Output | None, Asked]]:
    """Give what could have come instead, each with a rank, the lowest for what explains most and is closest."""
    party = search.hearings[place].party
    for state, first in search.states():
        if search.head(state, place) is not got:
            continue
        for step in search.steps(state, first):
            if step.asked is None:
                continue
            to_others = [output for output in step.effect.outputs if output.to != party]
            if not all(search.fits(state, output) for output in to_others):
                continue
            for output in step.effect.outputs:
                if output.to == party and not search.fits(state, output):
                    yield (-first, _distance(output.item, got), step.since), output, step.asked
            if step.place == place and not step.effect.outputs and isinstance(got, Error):
                yield (-first, 2, step.since), None, step.asked


def _distance(wanted: object, got: Response | None) -> int:
    if isinstance(wanted, Message) and isinstance(got, Message):
        differing = sum(one != other for one, other in zip(wanted.values(), got.values(), strict=True))
        return 5 if differing > 1 else 1
    if type(wanted) is type(got):
        return 1
    return 1 if isinstance(wanted, Code) and isinstance(got, Error) else 4


def _refused(request: object) -> str:
    """Name the clause by which a request was to succeed, and got an ERROR."""
    match request:
        case Join():
            return "JOIN-10"
        case Leave():
            return "LEAVE-8"
        case Status():
            return "STATUS-4"
        case Goodbye():
            return "GOODBYE-3"
        case _:
            return "ERROR-4"


def _shown(item: AnyMessage | Code | None) -> str:
    if item is None:
        return "the end of the stream"
    return f"ERROR {item.value}" if isinstance(item, Code) else ascii(item)[:300]


def _clause(output: Output, got: Response | None) -> str:
    """Name the clause that is violated where `got` came instead of an output."""
    match output.item, got:
        case Message() as wanted, Message():
            if wanted.conversation != got.conversation:
                return "MESSAGE-3"
            if wanted.text == got.text:
                return "MESSAGE-2" if wanted.sender != got.sender else output.clause
            return "MESSAGE-4" if wanted.sender == got.sender else output.clause
        case Conversations() as wanted, Conversations():
            return _clause_of_lists(wanted, got)
        case Invitation() as wanted, Invitation():
            return "INVITATION-5" if wanted.source != got.source else "CONV-3"
        case Conversations(), Message() | Invitation() | Error():
            return _uncaused(got, again=False)  # the list is not late, but something came that should not
        case _, OnlineUsers() if not isinstance(output.item, OnlineUsers):
            return _uncaused(got, again=False)
        case _:
            return output.clause


def _clause_of_lists(wanted: Conversations, got: Conversations) -> str:
    for id, members in wanted.conversations.items():
        if id not in got.conversations:
            return "LIST-5" if members else "LIST-6"
        if sorted(got.conversations[id]) != sorted(members):
            return "LIST-7"
        if got.conversations[id] != members:
            return "LIST-8"
    return "CONV-2"


def _uncaused(got: Response | None, *, again: bool) -> str:
    match got:
        case Message() if again:
            return "MESSAGE-6"
        case Invitation() if again:
            return "INVITATION-2"
        case Message():
            return "SEND-4"
        case Invitation():
            return "INVITATION-4"
        case Conversations():
            return "LIST-4"
        case OnlineUsers():
            return "PRESENCE-2"
        case Error():
            return "ERROR-5"
        case None:
            return "ERROR-7"
