"""The search for an order of all requests that explains everything that was received.

All requests take effect in one total order (ORDER-1), which nobody saw.  The search goes depth first, one request after the
other.  What a request causes by the model must be what its receivers received next.  Three rules keep the search short:

- Of the things that are not explained yet, the one that was received first has its cause among the requests that had been
  sent before it.  So no request is tried that was sent later, and a transcript with barriers leaves few choices.
- If a step cannot interfere with any other, nothing else is tried in its place (`_is_sure`).
- No state is visited twice.  Of the rosters that could still be shown, a state keeps only those that will be shown, so that
  states do not differ in something that nobody sees.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

from improto.messages import (
    Code,
    Conversations,
    Error,
    Invitation,
    Invite,
    ListConversations,
    Message,
    OnlineUsers,
    SendMessage,
    Status,
)
from improto_conformance.judging.asked import Asked, Flaw, Hearing
from improto_conformance.judging.model import Effect, Output, World, leave_all
from improto_conformance.judging.outcomes import outcomes
from improto_conformance.judging.scope import Roster, Scope

__all__ = ["ENDING", "Search", "State", "Step"]

ENDING: Final = (Code.TIMEOUT, Code.SLOW_CONSUMER, Code.SHUTTING_DOWN, Code.FORBIDDEN)
"""The connection ERRORs, which answer no request (ERROR-8)."""

_NEVER: Final = 2**62
_FLOOD: Final = 64 * 1024  # bytes of output from which on a server may find a reader slow (FLOW-6, FLOW-7)


class State(NamedTuple):
    """How far a possible order has come: for each connection, how much of it has taken effect or is explained."""

    world: World
    asked: tuple[int, ...]
    heard: tuple[int, ...]
    windows: tuple[frozenset[Roster], ...]
    """Of the rosters that will have been shown up to the next CONVERSATIONS, those that are true by now (ORDER-4)."""
    closed: frozenset[int] = frozenset()


class Step(NamedTuple):
    """One thing that, by the model, may happen next."""

    place: int
    """Whose."""
    since: int
    """The entry before which it cannot have happened."""
    effect: Effect
    asked: Asked | None = None
    """What was asked for; None if the connection ends without a request."""
    closes: bool = False
    taken: tuple[int, ...] = ()
    """The connection whose next item it explains, besides those of its outputs."""


class Search:
    """One search, over the entries before one of them."""

    def __init__(
        self,
        hearings: Sequence[Hearing],
        scope: Scope,
        budget: int,
        end: int,
        *,
        foresight: bool = True,
        farewells: bool = True,
    ) -> None:
        """Take in what passed on all connections up to entry `end`; visit at most `budget` states.

        Without `foresight` a message is followed that does not reach all who hear it, until that is seen; without
        `farewells` no ERROR is taken for the server's own.
        """
        self.scope = scope
        self.hearings = hearings
        self.heard = [[each for each in one.heard if each.index < end] for one in hearings]
        self.budget = budget
        self.end = end
        self._foresight, self._farewells = foresight, farewells
        self.exhausted = False
        """Whether the budget is used up."""
        self.reached = -1
        """All that was received before this entry was explained at least once."""
        self._places = {one.party: place for place, one in enumerate(hearings)}
        self._rosters = [
            [scope.roster(h.item.users) if isinstance(h.item, OnlineUsers) else None for h in heard]
            for heard in self.heard
        ]
        self._soon = [self._upcoming(place) for place in range(len(hearings))]
        self._last_roster = [
            max((n for n, roster in enumerate(rosters) if roster is not None), default=-1)
            for rosters in self._rosters
        ]
        self._said = Counter(
            (asked.item.conversation, asked.item.text)
            for one in hearings
            for asked in one.asked
            if isinstance(asked.item, SendMessage)
        )
        self._hearers: dict[Message, list[int]] = {}
        for place, heard in enumerate(self.heard):
            for each in heard:
                if isinstance(each.item, Message):
                    self._hearers.setdefault(each.item, []).append(place)
        # A server may close the connection of a client that does not read.
        self._floods = sum(count * len(text) for (_, text), count in self._said.items()) > _FLOOD

    def _upcoming(self, place: int) -> list[frozenset[Roster]]:
        """Give, for each number of items explained, the rosters that follow up to the next list."""
        soon = [frozenset[Roster]()]
        for each, roster in zip(reversed(self.heard[place]), reversed(self._rosters[place]), strict=True):
            if isinstance(each.item, Conversations):
                soon.append(frozenset())
            else:
                soon.append(soon[-1] if roster is None else soon[-1] | {roster})
        return soon[::-1]

    def run(self) -> bool | None:
        """Tell whether an order was found; None if the budget was used up before that was certain."""
        if any(first == self.end for _, first in self.states()):
            return True
        return None if self.exhausted else False

    def states(self) -> Iterator[tuple[State, int]]:
        """Give all states that can be reached, depth first, each with the first entry that it does not explain."""
        count = len(self.hearings)
        start = State(World(), (0,) * count, (0,) * count, (frozenset[Roster](),) * count)
        stack, visited = [start], set[State]()
        while stack:
            state = stack.pop()
            if state in visited:
                continue
            visited.add(state)
            if len(visited) > self.budget:
                self.exhausted = True
                return
            first = self.first(state)
            self.reached = max(self.reached, first)
            yield state, first
            stack.extend(reversed(self._successors(state, first)))

    def first(self, state: State) -> int:
        """Give the first entry that is not explained yet."""
        first = self.end
        for heard, done in zip(self.heard, state.heard, strict=True):
            if done < len(heard) and heard[done].index < first:
                first = heard[done].index
        return first

    def head(self, state: State, place: int) -> object:
        """Give what a connection received next; Ellipsis for nothing."""
        heard, done = self.heard[place], state.heard[place]
        return heard[done].item if done < len(heard) else ...

    def lost(self, state: State, place: int) -> bool:
        """Tell whether the next thing on a connection is a reset, which may have destroyed what it was to receive."""
        heard, done = self.heard[place], state.heard[place]
        return done < len(heard) and heard[done].lossy

    def _successors(self, state: State, first: int) -> list[State]:
        found: list[tuple[int, State]] = []
        for step in self.steps(state, first):
            after = self._after(state, step)
            if after is not None:
                if self._is_sure(state, step):
                    return [after]
                found.append((step.since, after))
        return [after for _, after in sorted(found, key=lambda each: each[0])]

    # -- what may happen ----------------------------------------------------------------------------------

    def steps(self, state: State, before: int) -> Iterator[Step]:
        """Give what may happen next of what was sent before an entry."""
        for place, one in enumerate(self.hearings):
            if place in state.closed:
                continue
            done = state.asked[place]
            if done < len(one.asked) and one.asked[done].index < before:
                asked = one.asked[done]
                head, fresh = self.head(state, place), partial(self._fresh, state, place)
                for effect, closes in outcomes(self.scope, state.world, one.party, asked, head, fresh):
                    yield Step(place, asked.index, effect, asked, closes)
            if one.reset is not None and one.reset < before:  # CONN-19
                yield Step(place, one.reset, Effect(leave_all(state.world, one.party)), None, True)
            yield from self._ends(state, place)

    def _ends(self, state: State, place: int) -> Iterator[Step]:
        """Give how the server may end a connection without being asked."""
        one, head = self.hearings[place], self.head(state, place)
        since, taken = _NEVER, list[int]()
        if isinstance(head, Error) and head.code in ENDING and self._farewells:  # ERROR-8
            rest = self.heard[place][state.heard[place] + 1 :]
            if any(each.item is not None for each in rest):
                return
            since, taken = rest[0].index if rest else _NEVER, [place]
        elif head is None:
            if one.asked or state.heard[place]:  # CODEC-16
                return
        elif head is not ... or not self._floods:  # FLOW-7
            return
        yield Step(place, since, Effect(leave_all(state.world, one.party)), None, True, tuple(taken))

    def _fresh(self, state: State, place: int) -> str:
        """Give the id of the conversation that an INVITE makes: that of the first INVITATION that came of it."""
        one = self.hearings[place]
        me, request = state.world.user(one.party), one.asked[state.asked[place]].item
        if isinstance(request, Invite) and me is not None:
            for other, each in enumerate(self.hearings):
                user, head = state.world.user(each.party), self.head(state, other)
                if (
                    isinstance(head, Invitation)
                    and user is not None
                    and (user == me or user.name in request.users)
                    and head.source == me.name
                    and head.conversation not in state.world.used  # CONV-3
                ):
                    return head.conversation
        return f"({place}.{state.asked[place]})"  # no party ever saw it

    # -- what comes of it ---------------------------------------------------------------------------------

    def fits(self, state: State, output: Output) -> bool:
        """Tell whether an output is what its receiver received next, or may still be under way."""
        head = self.head(state, self._places[output.to])
        if output.item is None:
            return isinstance(head, Error)
        return head is ... or self.lost(state, self._places[output.to]) or self.scope.same(output.item, head)

    def _after(self, state: State, step: Step) -> State | None:
        """Give the state after a step; None if its effects did not come."""
        if not all(self.fits(state, output) for output in step.effect.outputs):
            return None
        taken = {self._places[output.to] for output in step.effect.outputs} | set(step.taken)
        if self._foresight and not self._is_heard_by_all(step, taken):
            return None
        heard = [
            done + (place in taken and done < len(self.heard[place]) and not self.lost(state, place))
            for place, done in enumerate(state.heard)
        ]
        asked = state.asked
        if step.asked is not None:
            asked = tuple(done + (place == step.place) for place, done in enumerate(asked))
        closed = state.closed | {step.place} if step.closes else state.closed
        windows = self._windows(state, step)
        self._settle(state, heard, windows, closed)
        return State(step.effect.world, asked, tuple(heard), tuple(windows), closed)

    def _windows(self, state: State, step: Step) -> list[frozenset[Roster]]:
        world, windows = step.effect.world, list(state.windows)
        barred = [
            self._places[output.to]
            for output in step.effect.outputs
            if isinstance(output.item, Conversations | OnlineUsers)
        ]
        if world.users == state.world.users and not barred:
            return windows
        shown = self.scope.roster(world.roster)
        if world.users != state.world.users:
            for user in state.world.users:
                place = self._places[user.connection]
                windows[place] |= {shown}
        for place in barred:
            windows[place] = frozenset({shown})
        return windows

    def _settle(
        self, before: State, heard: list[int], windows: list[frozenset[Roster]], closed: frozenset[int]
    ) -> None:
        """Accept what needs no further cause: rosters that are true, and the ends of connections that are closed."""
        for place, items in enumerate(self.heard):
            done = heard[place]
            unmoved = done == before.heard[place] and windows[place] is before.windows[place]
            if unmoved and (closed is before.closed or place not in closed):
                continue  # it was settled
            while done < len(items) and (
                place in closed if items[done].item is None else self._rosters[place][done] in windows[place]
            ):
                done += 1
            heard[place] = done
            windows[place] &= self._soon[place][done]

    def _is_heard_by_all(self, step: Step, taken: set[int]) -> bool:
        """Tell whether a message that was sent once reaches all who ever receive it."""
        request = None if step.asked is None else step.asked.item
        if not isinstance(request, SendMessage) or self._said[request.conversation, request.text] > 1:
            return True
        said = [output.item for output in step.effect.outputs if isinstance(output.item, Message)]
        return not said or all(place in taken for place in self._hearers.get(said[0], ()))

    def _is_sure(self, state: State, step: Step) -> bool:
        """Tell whether every order that begins with another step could just as well begin with this one.

        It must not matter to any other step, nor any other to it.
        """
        if step.asked is None:
            return False
        request, outputs, head = step.asked.item, step.effect.outputs, self.head(state, step.place)
        if getattr(request, "conversation", None) in self.scope.foreign:  # it may as well have no answer
            return False
        if step.effect.world == state.world:
            if isinstance(request, Flaw):
                # If the server may know it, what came may be the reply to the next one.
                return not request.tried
            if isinstance(request, ListConversations):
                return True
            if outputs and isinstance(request, SendMessage) and isinstance(outputs[0].item, Message):
                # It is the only cause of these messages, and all who ever hear them hear them now.
                return self._said[request.conversation, request.text] == 1
            # What was received is a reply, which nothing but this request can have caused.
            return bool(outputs) and isinstance(head, Error) and head.code not in ENDING
        if isinstance(request, Status):  # no party will see it
            return all(done > last for done, last in zip(state.heard, self._last_roster, strict=True))
        return False
