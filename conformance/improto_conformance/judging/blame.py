"""Says what is wrong with the first received thing that nothing explains.

Everything that was received before it is explained, in one or several ways.  In each way, the requests that were still
pending could have caused something else.  The possible effect that is closest to what was received is taken for what the
server should have sent.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from improto.messages import AnyMessage, Code, Error, Message, OnlineUsers, Request, Response
from improto_conformance.judging.asked import Hearing
from improto_conformance.judging.faults import Scene, instead, refused, uncaused
from improto_conformance.judging.model import Output, World
from improto_conformance.judging.scope import Scope
from improto_conformance.judging.search import ENDING, Search
from improto_conformance.transcripts.complaints import Complaint, Difference, brief

__all__ = ["blame"]

_BUDGET = 5000


class _Expected(NamedTuple):
    """What could have come, where what was received is explained up to an entry."""

    rank: tuple[int, int, int]
    """The lowest for the one that explains the most and is closest."""
    world: World
    request: Request | None = None
    output: Output | None = None
    """None if nothing should have come."""


def blame(hearings: Sequence[Hearing], scope: Scope, index: int, *, farewells: bool = True) -> Complaint:
    """Say what is wrong with what was received at an entry, if all before it can be explained.

    `farewells`: whether an ERROR such as `forbidden` may be there for no request.
    """
    search = Search(hearings, scope, _BUDGET, index + 1, foresight=False, farewells=farewells)
    place = next(n for n, heard in enumerate(search.heard) if heard and heard[-1].index == index)
    got, before = search.heard[place][-1].item, search.heard[place][:-1]
    assert not isinstance(got, str)
    if before and got is not None and isinstance(before[-1].item, Error) and before[-1].item.code in ENDING:
        return blame(hearings, scope, before[-1].index, farewells=False)  # it was none (ERROR-8)
    nothing = _Expected((1, 0, 0), World())  # if even that is not found in time
    expected = min(_expected(search, place, got), key=lambda each: each.rank, default=nothing)
    scene = Scene(hearings[place], index, expected.world, hearings, scope)
    party, request, output = hearings[place].party, expected.request, expected.output
    if output is not None:
        clause, wanted = instead(scene, request, output, got), f"receive {_shown(output.item)}"
    elif request is not None:
        assert isinstance(got, Error)
        clause, wanted = refused(scene, request, got), "receive nothing"
    else:
        clause, wanted = uncaused(scene, got), ""
    if isinstance(got, OnlineUsers) and not (output is not None and isinstance(output.item, OnlineUsers)):
        wanted = f"receive no roster but those with {expected.world.roster!a}"
    received = f"received {_shown(got)}"
    if not wanted:
        return Complaint(clause, f"{party} {received}, which nothing caused", index)
    return Complaint(clause, Difference.of(party, wanted, received), index)


def _expected(search: Search, place: int, got: Response | None) -> Iterator[_Expected]:
    """Give what could have come at this place."""
    party = search.hearings[place].party
    for state, first in search.states():
        if search.head(state, place) is not got:
            continue
        yield _Expected((-first, 9, 0), state.world)
        for step in search.steps(state, first):
            request = None if step.asked is None else step.asked.item
            if not isinstance(request, Request):
                request = None
            to_others = [output for output in step.effect.outputs if output.to != party]
            if step.asked is None or not all(search.fits(state, output) for output in to_others):
                continue
            for output in step.effect.outputs:
                if output.to == party and not search.fits(state, output):
                    rank = (-first, _distance(output.item, got), step.since)
                    yield _Expected(rank, state.world, request, output)
            if step.place == place and not step.effect.outputs and isinstance(got, Error) and request:
                yield _Expected((-first, 2, -step.since), state.world, request)


def _distance(wanted: object, got: Response | None) -> int:
    if isinstance(wanted, Message) and isinstance(got, Message):
        differing = sum(one != other for one, other in zip(wanted.values(), got.values(), strict=True))
        return 5 if differing > 1 else 1
    if type(wanted) is type(got):
        return 1
    return 1 if isinstance(wanted, Code) and isinstance(got, Error) else 4


def _shown(item: AnyMessage | Code | None) -> str:
    if item is None:
        return "the end of the stream"
    return f"ERROR {item.value}" if isinstance(item, Code) else brief(item)
