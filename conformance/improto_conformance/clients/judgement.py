"""Says of the transcript of a check whether the client did what its user asked, and told what the server sent.

A client may send only what it was asked for, in that order and unchanged, and it must not send what the specification
forbids at that time.  It has to tell its user of each message, in the order in which the messages came.  Where the
specification leaves a choice, each choice is right.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from improto.limits import Limits
from improto.messages import (
    AnyMessage,
    Conversations,
    Error,
    Goodbye,
    Invitation,
    Invite,
    Join,
    Leave,
    ListConversations,
    Message,
    OnlineUsers,
    Register,
    Request,
    Response,
    SendMessage,
    Status,
)
from improto_conformance.clients import lines
from improto_conformance.clients.lines import CLOSED, IGNORED, LOST, Item
from improto_conformance.clients.stage import RESET
from improto_conformance.transcripts.complaints import Complaint, brief
from improto_conformance.transcripts.transcript import Entry, Event, Transcript

__all__ = ["judge_driven"]

_BOUNDS = Limits()
_REQUESTS = {word: kind for kind, word in lines.COMMANDS.items()}


@dataclass(frozen=True, slots=True)
class _Due:
    """What a client must tell: one of these, or nothing if that is allowed."""

    items: tuple[Item, ...]
    clause: str
    index: int
    optional: bool = False


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a client was asked to send, and whether it must, may (None) or must not send it."""

    request: Request
    allowed: bool | None
    clause: str
    """The clause that demands or forbids it."""
    index: int


def judge_driven(seen: Transcript) -> list[Complaint]:
    """Complain about what a driver's client did not send or tell, or did without being asked or against its user's request."""
    walk = _Walk()
    for index, entry in enumerate(seen.entries):
        walk.step(index, entry)
    complaints = [*walk.complaints, *_compare_sent(walk), *_compare_told(walk)]
    return sorted(complaints, key=lambda complaint: complaint.index)


class _Walk:
    """Follows a transcript: what the client knows at each entry, and what it therefore has to do."""

    def __init__(self) -> None:
        self.due: list[_Due] = []
        self.told: list[tuple[int, Item]] = []
        self.asked: list[_Asked] = []
        self.sent: list[tuple[int, Request]] = []
        self.complaints: list[Complaint] = []
        self._awaited: deque[_Asked | None] = deque()
        self._name: str | None = None
        self._status: str | None = None  # that its user has asked for last
        self._registered = False
        self._joined: set[str] = set()
        self._ever_joined: set[str] = set()
        self._online: set[str] = set()
        self._known: set[str] = set()  # conversations that the client was told of
        self._lists: deque[bool] = deque()  # those that wait for their reply: whether the user has asked
        self._lists_asked = 0
        self._has_unasked_list = False
        self._over = False  # the client has sent GOODBYE
        self._ended = False
        self.was_reset = False  # which may have destroyed what the client sent

    def step(self, index: int, entry: Entry) -> None:
        """Take account of one entry."""
        match entry.event, entry.item:
            case Event.ASKED, str(line):
                self._ask(index, line)
            case Event.TOLD, str(line):
                self._tell(index, lines.read(line))
            case Event.SENT, request if isinstance(request, Request):
                self._send(index, request)
            case Event.RECEIVED, message if isinstance(message, Response):
                self._serve(index, message)
            case Event.FAULT, str(what):
                self._nonsense(index, what)
            case Event.CLOSED, str(how):
                self.was_reset = how == RESET
                self._end(index)
            case _:
                pass

    def _ask(self, index: int, line: str) -> None:
        members = lines.members(line)
        kind = _REQUESTS.get(members["do"])
        if kind is None:  # connect, reset
            self._awaited.append(None)
            return
        request = cast("Callable[..., Request]", kind)(*(members[field.name] for field in kind.FIELDS))
        asked = _Asked(request, *self._allowed(request), index)
        self.asked.append(asked)
        self._awaited.append(asked)
        if asked.allowed is False:
            return
        match request:
            case Join(conversation):
                self._joined.add(conversation)
                self._ever_joined.add(conversation)
            case Leave(conversation):
                self._joined.discard(conversation)
            case Register(username, status):
                self._name, self._status = username, status
            case Status(status):
                self._status = status
            case ListConversations():
                self._lists_asked += 1
            case Goodbye():
                self._over = True
            case _:
                pass

    def _allowed(self, request: Request) -> tuple[bool | None, str]:
        if self._over or self._ended:
            return False, "CLIENT-21"
        match request:
            case Goodbye():
                return True, "GOODBYE-1"
            case Register():
                if self._registered:
                    return False, "CLIENT-2"
                return (_fits(request), "REGISTER-1") if self._name is None else (None, "CLIENT-2")
            case _ if not self._registered:
                return (False, "CLIENT-1") if self._name is None else (None, "CLIENT-4")
            case SendMessage(conversation) if conversation not in self._joined:
                left = conversation in self._ever_joined
                return False, "CLIENT-11" if left else "CLIENT-10"
            case Invite(users):
                # A client need not send what the server would refuse, or what would have no effect.
                return self._online.issuperset(users) or None, "INVITE-1"
            case Join(conversation):
                return (conversation in self._known and conversation not in self._joined) or None, "JOIN-1"
            case Leave(conversation):
                return conversation in self._known or None, "LEAVE-1"
            case Status(status):
                return (status != self._status and _fits(request)) or None, "STATUS-1"
            case SendMessage(_, text):
                return _fits(SendMessage("7", text)), "SEND-1"  # the id is the server's (LIMIT-26)
            case _:
                return True, f"{request.COMMAND.partition('_')[0]}-1"

    def _tell(self, index: int, told: lines.Told) -> None:
        if not told.answer:
            self.told.append((index, told.item))
            if isinstance(told.item, Error) and told.has_code and told.code != told.item.code:
                wanted, got = told.item.code, told.code
                text = f"the code of {told.item.message[:80]!a} is {wanted!a}, and the client takes {got!a} for it"
                self.complaints.append(Complaint("ERROR-11", text, index))
            return
        asked = self._awaited.popleft() if self._awaited else None
        if asked is not None and asked.allowed and told.answer == "refused" and not self._ended:
            text = f"the client refused to send {_shown(asked.request)}, which its user may ask for"
            self.complaints.append(Complaint(asked.clause, text, index))

    def _send(self, index: int, request: Request) -> None:
        self.sent.append((index, request))
        if self._name is None and not isinstance(request, Register | Goodbye):
            text = f"the client sent {request.COMMAND}, and was not registered"
            self.complaints.append(Complaint("CLIENT-4", text, index))
        match request:
            case Register(username):
                self._name = username
            case Join(conversation):
                self._ever_joined.add(conversation)
            case ListConversations():
                self._lists.append(self._lists_asked > 0)
                self._lists_asked = max(0, self._lists_asked - 1)
            case _:
                pass

    def _serve(self, index: int, message: Response) -> None:
        items, clause, optional = self._expected(message)
        self.due.append(_Due(items, clause, index, optional or self._over))

    def _expected(self, message: Response) -> tuple[tuple[Item, ...], str, bool]:
        match message:
            case Error():
                if not self._registered:
                    self._name = None
                return (message,), "CLIENT-15", False
            case OnlineUsers(users):
                if self._name is None or self._name not in users:
                    return (IGNORED,), "CLIENT-19", False
                first, self._registered = not self._registered, True
                self._online = set(users)
                return (message,), "CLIENT-4" if first else "CLIENT-7", False
            case _ if not self._registered:
                return (IGNORED,), "CLIENT-19", False
            case Conversations(conversations):
                self._known |= conversations.keys()
                if not self._lists:
                    self._has_unasked_list = True
                    return (message, IGNORED), "CLIENT-19", False
                # The client may have asked before one came unasked, and taken that for its answer.
                items = (message, IGNORED) if self._has_unasked_list else (message,)
                return items, "CONN-8", not self._lists.popleft()
            case Message(conversation):
                if conversation not in self._ever_joined:
                    return (IGNORED,), "CLIENT-19", False
                if conversation not in self._joined:  # it was sent before the LEAVE
                    return (message, IGNORED), "CONN-8", True
                return (message,), "CONN-8", False
            case Invitation(conversation):
                self._known.add(conversation)
                return (message,), "CONN-8", False

    def _nonsense(self, index: int, what: str) -> None:
        kind = what.partition(": ")[0]
        clause = {"unknown-command": "CLIENT-6", "too-large, fatal": "LIMIT-20"}.get(kind, "CLIENT-18")
        fatal = kind.endswith("fatal")
        self.due.append(_Due((IGNORED,), clause, index, optional=fatal or self._over))
        if fatal:
            self._end(index, clause)

    def _end(self, index: int, clause: str = "CLIENT-16") -> None:
        if not self._ended:
            self._ended = True
            self.due.append(_Due((CLOSED if self._over else LOST,), clause, index))


def _fits(request: Request) -> bool | None:
    """Tell whether a client has to send this: it may hold what its user says against the bounds of chapter 7."""
    return _BOUNDS.complaint(request) is None or None


def _compare_sent(walk: _Walk) -> Iterator[Complaint]:
    """Complain about the first thing that the client sent without being asked, or was asked for and did not send."""
    asked = deque(each for each in walk.asked if not isinstance(each.request, ListConversations))
    passed: list[_Asked] = []  # what the client seems not to have sent, and need not
    for index, request in walk.sent:
        if isinstance(request, ListConversations):
            continue  # a client may always ask
        while asked and asked[0].request != request and not asked[0].allowed:
            passed.append(asked.popleft())
        alike = (each for each in passed if each.allowed is None and type(each.request) is type(request))
        wanted = asked.popleft() if asked else next(alike, None)
        if wanted is None:
            yield Complaint(
                _unasked(request, walk), f"nobody asked the client to send {_shown(request)}", index
            )
            return
        if wanted.request != request:
            text = f"the client was asked to send {_shown(wanted.request)}, and sent {_shown(request)}"
            yield Complaint(_changed(wanted, request), text, index)
            return
        if wanted.allowed is False:
            yield Complaint(wanted.clause, f"the client must not send {_shown(request)} here", index)
            return
    for left in () if walk.was_reset else asked:
        if left.allowed:
            yield Complaint(left.clause, f"the client did not send {_shown(left.request)}", left.index)
            return
    lists = [each for each in walk.asked if isinstance(each.request, ListConversations)]
    sent = sum(isinstance(request, ListConversations) for _, request in walk.sent)
    needed = [each for each in lists if each.allowed]
    if sent < len(needed):
        yield Complaint("LIST-1", "the client did not send LIST_CONVERSATIONS", needed[sent].index)
    forbidden = [each for each in lists if each.allowed is False]
    if forbidden and sent > len(lists) - len(forbidden):
        yield Complaint(
            forbidden[0].clause, "the client must not send LIST_CONVERSATIONS here", forbidden[0].index
        )


def _unasked(request: Request, walk: _Walk) -> str:
    match request:
        case Register():
            return "CLIENT-2"
        case Join():
            return "CLIENT-12"
        case SendMessage(conversation):
            joined = any(
                isinstance(sent, Join) and sent.conversation == conversation for _, sent in walk.sent
            )
            return "CLIENT-11" if joined else "CLIENT-10"
        case _:
            return "CLIENT-3"


def _changed(wanted: _Asked, request: Request) -> str:
    match wanted.request, request:
        case SendMessage(id), SendMessage(other) if id != other:
            return "CLIENT-9"
        case (Join(), Join()) | (Leave(), Leave()):
            return "CLIENT-9"
        case _ if type(wanted.request) is type(request):
            return "CLIENT-13"
        case _:
            return wanted.clause


def _compare_told(walk: _Walk) -> Iterator[Complaint]:
    """Complain about the first thing that the client did not tell, or told without a reason."""
    due = walk.due
    places = {0}  # how many of the things that it has to tell may have been told
    for index, item in walk.told:
        reached = _past_optional(due, places)
        places = {place + 1 for place in reached if place < len(due) and item in due[place].items}
        if not places:
            yield _told_wrongly(due, max(reached), item, index)
            return
    reached = _past_optional(due, places)
    if len(due) not in reached:
        left = due[max(reached)]
        yield Complaint(left.clause, f"the client did not tell of {_listed(left.items)}", left.index)


def _past_optional(due: Sequence[_Due], places: set[int]) -> set[int]:
    found = set(places)
    for place in sorted(places):
        while place < len(due) and due[place].optional:
            place += 1
            found.add(place)
    return found


def _told_wrongly(due: Sequence[_Due], place: int, item: Item, index: int) -> Complaint:
    got = f"told of {_shown(item)}"
    if place == len(due):
        return Complaint("CLIENT-13", f"the client {got}, and had no reason to", index)
    wanted = due[place]
    clause = wanted.clause
    first = wanted.items[0]
    if (isinstance(first, Message) and isinstance(item, Message)) or (
        isinstance(first, Invitation) and isinstance(item, Invitation)
    ):
        clause = "CLIENT-9" if first.conversation != item.conversation else "CLIENT-13"
    elif isinstance(first, OnlineUsers) and isinstance(item, OnlineUsers) and _altered(first, item):
        clause = "CLIENT-13"
    return Complaint(clause, f"the client was to tell of {_listed(wanted.items)}, and {got}", index)


def _altered(wanted: OnlineUsers, told: OnlineUsers) -> bool:
    """Tell whether what a client shows is this roster with altered texts, rather than a roster of other users."""
    return len(wanted.users) == len(told.users)


def _listed(items: Sequence[Item]) -> str:
    return " or ".join(map(_shown, items))


def _shown(item: AnyMessage | str) -> str:
    named = {IGNORED: "something that it ignored", LOST: "the loss of the connection", CLOSED: "its close"}
    return named[item] if isinstance(item, str) else brief(item)
