"""Says of a transcript whether the specification allows what the server did in it.

All requests take effect in one total order (ORDER-1), which nobody saw.  So an order is searched for that explains
all that was received: depth first, one request after the other, and what each causes by the model has to be what
its receivers received next.  There is a complaint only if no order explains the transcript.

Bytes that a check sent as such (RAW) are requests that nobody here can read: what was before the first of them is
judged, and then, if nothing was wrong, there is no verdict but `Inconclusive`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from improto.errors import ImprotoError
from improto.messages import (
    AnyMessage,
    Code,
    Conversations,
    Error,
    Goodbye,
    Invitation,
    Invite,
    Join,
    Message,
    OnlineUsers,
    Register,
    Request,
    Response,
    Status,
)
from improto_conformance.model import DEFAULTS, Effect, Output, Rules, World, handle, leave_all
from improto_conformance.profile import Profile
from improto_conformance.transcript import Entry, Event, Transcript

__all__ = ["Complaint", "Inconclusive", "judge"]

_BUDGET = 50_000
"""How many states the search may visit."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong, against which clause, and at which entry of the transcript."""

    clause: str
    text: str
    index: int

    def __str__(self) -> str:
        """Give a line for people."""
        return f"{self.clause}: {self.text} (entry {self.index})"


class Inconclusive(ImprotoError):
    """The transcript cannot be judged: raised with the reason."""


def judge(seen: Transcript, profile: Profile | None = None, *, budget: int = _BUDGET) -> list[Complaint]:
    """Complain of what no order of the requests explains; Inconclusive if that cannot be told."""
    shapes = list(_shapes(seen))
    if shapes:
        return shapes
    raw = next((i for i, entry in enumerate(seen.entries) if entry.event is Event.RAW), None)
    # A run may end anywhere, so what came before the first RAW is a transcript of its own.
    declared = profile or Profile()
    entries, rules = seen.entries[:raw], Rules(declared.private, declared.limits)
    found = _Search(seen, entries, rules, budget).run()
    # A transcript does not tell of a client's reset, which is a GOODBYE (CONN-19).
    if found and not _Search(seen, entries, rules, budget, resets=True).run():
        raise Inconclusive(f"it is all right only if a client was reset; else {found[0]}")
    if raw is not None and not found:
        raise Inconclusive(f"entry {raw} holds bytes, which cannot be read as requests here")
    return found


def _shapes(seen: Transcript) -> Iterator[Complaint]:
    """Complain of what is wrong whatever the order was."""
    names: dict[str, set[str]] = {}
    nameless: set[str] = set()  # parties that may have registered in bytes, under whatever name
    for index, (party, event, item) in enumerate((e.party, e.event, e.item) for e in seen.entries):
        mine = names.setdefault(party, set())
        if event is Event.FAULT:
            yield Complaint("CODEC-7", f"{party} received what is no message of a server: {item!r}", index)
        elif event is Event.SENT and isinstance(item, Register):
            mine.add(item.username)
        elif event is not Event.RECEIVED:
            if event is Event.RAW:
                mine.add(seen.name(party))
                nameless.add(party)
        elif isinstance(item, Error) and item.code is None:
            yield Complaint("ERROR-2", f"{party} received an ERROR without a code: {item.message!r}", index)
        elif isinstance(item, Error) and len(item.message) > DEFAULTS.explanation:
            yield Complaint(
                "LIMIT-16", f"{party} received an ERROR of {len(item.message)} code points", index
            )
        elif not isinstance(item, Error) and not mine:
            yield Complaint("CONN-16", f"{party} received something before it registered", index)
        elif isinstance(item, OnlineUsers) and party not in nameless and mine.isdisjoint(item.users):
            yield Complaint("PRESENCE-3", f"{party} received a roster without itself", index)


_Roster = frozenset[tuple[str, str]]
_ENDING = (Code.TIMEOUT, Code.SLOW_CONSUMER, Code.SHUTTING_DOWN, Code.FORBIDDEN)  # ERROR-8


@dataclass(frozen=True, slots=True)
class _State:
    """How far a possible order has got: what it has explained of each party, and what rosters may still show."""

    world: World
    now: int
    """The latest entry that was sent of all that took effect: its effects come after it."""
    sent: tuple[int, ...]
    heard: tuple[int, ...]
    windows: tuple[frozenset[_Roster], ...]
    """What a roster may show: all since the last CONVERSATIONS on that connection (ORDER-4)."""
    closed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Misfit:
    """Why a request could not take effect next."""

    clause: str
    text: str
    index: int
    early: bool = False
    """Whether the item came before the request was sent: then another request has to explain it."""


class _Search:
    """The search for an order."""

    def __init__(
        self, seen: Transcript, entries: list[Entry], rules: Rules, budget: int, *, resets: bool = False
    ) -> None:
        self._resets = resets
        self._suffix = seen.suffix
        self._rules = rules
        self._budget = budget
        self._announced = set(seen.conversations)
        listed = [entry.item.conversations for entry in entries if isinstance(entry.item, Conversations)]
        self._foreign = {id for each in listed for id in each} - self._announced
        self._parties = list(dict.fromkeys(entry.party for entry in entries if entry.party))
        self._sent: list[list[tuple[int, Request]]] = [[] for _ in self._parties]
        self._heard: list[list[tuple[int, Response | None]]] = [[] for _ in self._parties]  # None: closed
        for index, entry in enumerate(entries):
            self._sort(index, entry)
        self._last = {entry.party: index for index, entry in enumerate(entries)}
        self._best: tuple[tuple[bool, int, int], _State, list[_Misfit]] | None = None

    def _sort(self, index: int, entry: Entry) -> None:
        if not entry.party:
            return
        place = self._parties.index(entry.party)
        if entry.event is Event.SENT and isinstance(entry.item, Request):
            self._sent[place].append((index, entry.item))
        elif entry.event is Event.RECEIVED and isinstance(entry.item, Response):
            self._heard[place].append((index, entry.item))
        elif entry.event is Event.CLOSED:
            self._heard[place].append((index, None))

    def run(self) -> list[Complaint]:
        """Search; no complaint if an order was found."""
        nothing = (0,) * len(self._parties)
        stack = [_State(World(), -1, nothing, nothing, (frozenset[_Roster](),) * len(self._parties))]
        visited: set[_State] = set()
        while stack:
            state = stack.pop()
            if all(done == len(all_) for done, all_ in zip(state.heard, self._heard, strict=True)):
                return []
            if state in visited:
                continue
            visited.add(state)
            if len(visited) > self._budget:
                raise Inconclusive(f"no order was found among the first {self._budget} states")
            stack.extend(reversed(self._next(state)))
        return [self._complaint()]

    def _next(self, state: _State) -> list[_State]:
        """Give the states that may follow, the likeliest first, and keep what to complain of."""
        found: list[tuple[int, _State]] = []
        misfits: list[_Misfit] = []
        for place in range(len(self._parties)):
            for when, step in self._steps(state, place):
                if isinstance(step, _Misfit):
                    misfits.append(step)
                else:
                    found.append((when, step))
        rank = (any(not each.early for each in misfits), sum(state.heard), sum(state.sent))
        if self._best is None or rank > self._best[0]:
            self._best = (rank, state, misfits)
        return [step for _, step in sorted(found, key=lambda each: each[0])]

    def _steps(self, state: _State, place: int) -> Iterator[tuple[int, _State | _Misfit]]:
        party = self._parties[place]
        if party in state.closed:
            return
        upcoming = self._upcoming(state, place)
        if upcoming is not None and self._ends(state, place, upcoming):
            index, item = upcoming
            gone = leave_all(state.world, party)
            yield index, self._settled(self._moved(self._close(state, place), gone, place if item else None))
        if self._resets and upcoming is None and state.sent[place] == len(self._sent[place]):
            index = self._last[party]
            later = replace(self._close(state, place), now=max(state.now, index))
            yield index, self._settled(self._moved(later, leave_all(state.world, party)))
        if state.sent[place] < len(self._sent[place]):
            index, request = self._sent[place][state.sent[place]]
            for effect, closes in self._effects(state, place, request):
                yield index, self._applied(state, place, index, effect, closes=closes)

    def _upcoming(self, state: _State, place: int) -> tuple[int, Response | None] | None:
        heard = self._heard[place]
        return heard[state.heard[place]] if state.heard[place] < len(heard) else None

    def _ends(self, state: _State, place: int, upcoming: tuple[int, Response | None]) -> bool:
        """Tell whether the connection may end without a request: by an ERROR, or by the client's half-close."""
        index, item = upcoming
        if index <= state.now:
            return False
        if item is None:  # CONN-18, CONN-20: after all requests before it
            sent = self._sent[place]
            return state.sent[place] == len(sent) or sent[state.sent[place]][0] > index
        last = all(after is None for _, after in self._heard[place][state.heard[place] + 1 :])
        return isinstance(item, Error) and item.code in _ENDING and last

    def _effects(self, state: _State, place: int, request: Request) -> Iterator[tuple[Effect, bool]]:
        """Give what a request may cause, and whether the server then closes."""
        party, world = self._parties[place], state.world
        upcoming = self._upcoming(state, place)
        code = upcoming[1].code if upcoming and isinstance(upcoming[1], Error) else None
        least, most = _sizes(request)
        limits = self._rules.limits
        bound = limits.request if world.user(party) else limits.greeting
        if least > bound or (code == Code.TOO_LARGE and most > bound):  # LIMIT-2, LIMIT-3
            gone = leave_all(world, party)
            yield Effect(gone, (Output(party, Code.TOO_LARGE, "LIMIT-2"),)), True
            return
        fresh = self._fresh(state, party, request)
        yield handle(world, party, request, fresh, self._rules), isinstance(request, Goodbye)
        if code is not None and self._may_refuse(request, code):
            known = Code(code) if code in set(Code) else Code.FORBIDDEN
            yield Effect(world, (Output(party, known, "ERROR-3"),)), False

        if getattr(request, "conversation", "") in self._foreign and world.user(party):
            if code in (Code.NOT_MEMBER, Code.NOT_INVITED):
                yield Effect(world, (Output(party, Code(code), "SEND-6"),)), False
            elif isinstance(request, Join):
                yield Effect(world), False  # a conversation of somebody else

    def _may_refuse(self, request: Request, code: str) -> bool:
        if isinstance(request, Goodbye):
            return False  # GOODBYE-3, FLOW-11
        if code not in set(Code) or code == Code.RATE_LIMITED:  # ERROR-13, FLOW-11
            return True
        if isinstance(request, Register) and code == Code.NAME_IN_USE:
            return not request.username.endswith(self._suffix)  # somebody else's user
        if code == Code.FORBIDDEN:
            return isinstance(request, Register)  # REGISTER-10
        return code == Code.TOO_MANY and isinstance(request, Register | Status | Join)  # LIMIT-21

    def _fresh(self, state: _State, party: str, request: Request) -> str:
        """Give the id of the conversation that an INVITE makes: that of the first INVITATION that has come of it."""
        me = state.world.user(party)
        if isinstance(request, Invite) and me is not None:
            for place, other in enumerate(self._parties):
                user, upcoming = state.world.user(other), self._upcoming(state, place)
                if user is None or upcoming is None or user.name not in (me.name, *request.users):
                    continue
                match upcoming[1]:
                    case Invitation(id, source) if source == me.name and id not in state.world.used:  # CONV-3
                        return id
                    case _:
                        pass
        return f"(unseen {len(state.world.used)})"

    def _applied(
        self, state: _State, place: int, index: int, effect: Effect, *, closes: bool
    ) -> _State | _Misfit:
        sent = tuple(done + (at == place) for at, done in enumerate(state.sent))
        before = replace(state, now=max(state.now, index), sent=sent)
        taken: list[int] = []
        for output in effect.outputs:
            to = self._parties.index(output.to)
            misfit = self._misfit(before, to, output)
            if misfit is not None:
                return misfit
            if state.heard[to] < len(self._heard[to]):
                taken.append(to)
        after = self._close(before, place) if closes else before
        after = self._moved(after, effect.world, *taken)
        return self._settled(self._barred(after, effect))

    def _barred(self, state: _State, effect: Effect) -> _State:
        """After CONVERSATIONS or the first ONLINE_USERS nothing older may be shown (ORDER-4)."""
        fresh = {
            self._parties.index(output.to)
            for output in effect.outputs
            if isinstance(output.item, Conversations | OnlineUsers)
        }
        only = frozenset({self._roster(state.world.roster)})
        windows = tuple(only if at in fresh else window for at, window in enumerate(state.windows))
        return replace(state, windows=windows)

    def _close(self, state: _State, place: int) -> _State:
        return replace(state, closed=state.closed | {self._parties[place]})

    def _moved(self, state: _State, world: World, *taken: int | None) -> _State:
        """Let the world change, and count what was received of it."""
        heard = tuple(done + (place in taken) for place, done in enumerate(state.heard))
        windows = state.windows
        if world.roster != state.world.roster:
            shown = self._roster(world.roster)
            windows = tuple(window | {shown} if window else window for window in windows)
        return replace(state, world=world, heard=heard, windows=windows)

    def _settled(self, state: _State) -> _State | _Misfit:
        """Take the rosters that are explained, and the ends of connections that were closed."""
        heard = list(state.heard)
        for place, party in enumerate(self._parties):
            while heard[place] < len(self._heard[place]):
                index, item = self._heard[place][heard[place]]
                if self._is_explained(state, place, index, item):
                    heard[place] += 1
                elif index <= state.now and isinstance(item, OnlineUsers):
                    return _Misfit(
                        "PRESENCE-2", f"{party} received a roster that was never true: {item}", index
                    )
                else:
                    break
        return replace(state, heard=tuple(heard))

    def _is_explained(self, state: _State, place: int, index: int, item: Response | None) -> bool:
        """Tell whether an item, for which no request is needed, may have been received by now."""
        if index <= state.now:
            return False  # it came before what is to explain it was sent
        if item is None:
            return self._parties[place] in state.closed
        return isinstance(item, OnlineUsers) and self._roster(item.users) in state.windows[place]

    def _misfit(self, state: _State, place: int, output: Output) -> _Misfit | None:
        upcoming = self._upcoming(state, place)
        if upcoming is None:
            return None  # it may still be under way
        index, got = upcoming
        if index > state.now and self._same(output.item, got):
            return None
        if self._same(output.item, got):
            text = f"{self._parties[place]} received {_shown(got)} before what could cause it was sent"
            return _Misfit("ORDER-1", text, index, early=True)
        wanted = _shown(output.item)
        return _Misfit(
            _clause(output, got),
            f"{self._parties[place]} was to receive {wanted} and received {_shown(got)}",
            index,
            early=index <= state.now,
        )

    def _same(self, wanted: AnyMessage | Code, got: Response | None) -> bool:
        if isinstance(wanted, Code):
            return isinstance(got, Error) and (got.code == wanted or (got.code not in set(Code)))
        if isinstance(wanted, OnlineUsers) and isinstance(got, OnlineUsers):
            return self._roster(wanted.users) == self._roster(got.users)
        if isinstance(wanted, Conversations) and isinstance(got, Conversations):
            mine = {id: who for id, who in got.conversations.items() if id in self._announced}
            return mine == {id: who for id, who in wanted.conversations.items() if id in self._announced}
        return wanted == got

    def _roster(self, users: object) -> _Roster:
        assert isinstance(users, dict)
        pairs: list[tuple[str, str]] = list(users.items())  # pyright: ignore
        return frozenset(pair for pair in pairs if pair[0].endswith(self._suffix))

    def _complaint(self) -> Complaint:
        assert self._best is not None
        _, state, misfits = self._best
        if misfits:
            first = min(misfits, key=lambda each: (each.early, each.index))
            return Complaint(first.clause, first.text, first.index)
        left = [(self._heard[p][n], p) for p, n in enumerate(state.heard) if n < len(self._heard[p])]
        (index, got), place = min(left, key=lambda each: each[0][0])
        text = f"{self._parties[place]} received {_shown(got)}, which nothing caused"
        return Complaint(_uncaused(got), text, index)


def _sizes(request: Request) -> tuple[int, int]:
    """Bound the payload of a request in any codec."""
    texts = [text for value in request.values() for text in ([value] if isinstance(value, str) else value)]
    least = sum(len(text.encode()) for text in texts)
    return least, 64 + sum(32 + 12 * len(text) for text in texts)


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
            return _uncaused(got)  # the list is not late, but something came that should not
        case _, OnlineUsers() if not isinstance(output.item, OnlineUsers):
            return _uncaused(got)
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


def _uncaused(got: Response | None) -> str:
    match got:
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
