"""Makes checks of servers from the message and stream vectors.

One check for each clause sends everything that clients send in the vectors of this clause, in the codec in which the check
runs.  What follows shows how the server has read each vector.  A request has an effect, such as a status in a roster, or at
least an ERROR that only a server sends which has understood the request: JOIN of an id that nobody announced gives
`no-such-conversation`, never `malformed`.  Whatever is not a request gives the ERROR that the vector names.

After each vector comes a LIST_CONVERSATIONS, so that each verdict is certain.  Vectors that leave the connection as it was
share one connection.  The bytes of the vectors contain names and ids, so these checks must run alone, and they leave out
vectors about a user or a conversation of others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Final

from improto.codec import available, detect, load
from improto.errors import DecodeError
from improto.limits import Limits
from improto.messages import (
    AnyMessage,
    Code,
    Conversations,
    Error,
    Goodbye,
    Invite,
    Join,
    Leave,
    ListConversations,
    OnlineUsers,
    Register,
    Response,
    SendMessage,
    Status,
)
from improto_conformance.profile import DEFAULTS
from improto_conformance.servers.check import Check, Complaints
from improto_conformance.servers.party import Party
from improto_conformance.servers.stage import Stage
from improto_conformance.transcripts.transcript import Entry, Event, Transcript
from improto_conformance.vectors import Vector, vectors
from improto_conformance.vectors.judge import Read, Seen, conforming
from improto_conformance.vectors.values import read_bytes, read_message

__all__ = ["form_checks"]

_NOTHING: Final[frozenset[str]] = frozenset()
_LIST: Final = frozenset({Conversations.COMMAND})
_NO_SUCH: Final = frozenset({Code.NO_SUCH_CONVERSATION.value})
_GREETING: Final = 4096
_WATCHER: Final = "watcher"


@dataclass(frozen=True, slots=True)
class _Case:
    """One vector, as it goes to a server."""

    id: str
    comment: str
    codec: str
    data: bytes
    """What is sent, framed."""
    readings: Sequence[Read]
    """What it may be taken for: mostly one."""
    registered: bool
    unfinished: bool

    @property
    def message(self) -> AnyMessage | None:
        """The message that it is, if it is nothing else."""
        [first, *others] = self.readings
        [item, *more] = first.items or [""]
        return None if others or more or isinstance(item, str) else item

    @property
    def shares(self) -> bool:
        """Whether it leaves a registered connection as it was."""
        return self.registered and not self.unfinished and not any(each.closed for each in self.readings)

    def fits(self, limits: Limits) -> bool:
        """Tell whether what it may be taken for is in bounds, which a server may choose (LIMIT-25)."""
        items = (item for reading in self.readings for item in reading.items if not isinstance(item, str))
        return limits == DEFAULTS or not any(map(limits.complaint, items))

    @property
    def touches(self) -> set[str]:
        """The conversations and users that it is about."""
        found: set[str] = set()
        for item in (item for reading in self.readings for item in reading.items):
            match item:
                case Join(id) | Leave(id) | SendMessage(id, _):
                    found.add(id)
                case Invite(users):
                    found.update(users)
                case Register(username, _):
                    found.add(username)
                case _:
                    pass
        return found


def form_checks() -> list[Check]:
    """Give a check for the payloads, one for the streams and so on of each clause."""
    groups: dict[str, list[Vector]] = {}
    for vector in vectors().values():
        name = _group(vector)
        if name:
            groups.setdefault(name, []).append(vector)
    installed = tuple(available())  # looked up once, since that reads files
    return [_check(name, group, installed) for name, group in groups.items()]


def _group(vector: Vector) -> str:
    """Name the check of a vector, empty if there is none.

    Left out is what servers send, what is something else on a stream, and what begins a connection in a codec
    that it does not tell: a server of all codecs would take it for another one.
    """
    data = vector.data
    if vector.kind not in ("message", "stream") or data["from"] != "client" or not data.get("stream", True):
        return ""
    first = vector.kind == "stream" and not data["registered"]
    if first and data["codec"] not in ("auto", _told(read_bytes(data["bytes"]))):
        return ""
    kind = "forms" if vector.kind == "message" else "streams"
    auto = "-auto" if data["codec"] == "auto" else ""
    return f"{vector.clause}/{kind}{auto}{'-cut-off' if 'unfinished' in data else ''}"


def _check(name: str, group: list[Vector], installed: tuple[str, ...]) -> Check:
    clause, kind = name.split("/")
    codecs = {vector.data["codec"] for vector in group}
    auto = codecs == {"auto"}
    return Check(
        name,
        clause,
        f"{'streams' if 'streams' in kind else 'payloads'} are read as the vectors say",
        partial(_play, group),
        codecs=installed[:1] if auto else tuple(sorted(codecs)),
        needs=installed if auto else (),
        transport="stream",
        half_close=kind.endswith("-cut-off"),
        defaults=any(map(_bounded, group)),
        alone=True,
        varies=True,
        judgement=partial(_judge, group),
    )


def _bounded(vector: Vector) -> bool:
    """Tell whether a vector depends on the limits."""
    errors = [vector.data.get("error"), *(item.get("error") for item in vector.data.get("items", ()))]
    long = len(read_bytes(vector.data["bytes"])) > _GREETING // 4
    return vector.id.startswith("bounds/") or Code.TOO_LARGE in errors or long


@cache
def _case(id: str) -> _Case:
    """Give the case that a vector is."""
    vector = vectors()[id]
    data, sent = vector.data, read_bytes(vector.data["bytes"])
    if vector.kind == "stream":
        items = [
            read_message(item["message"]) if "message" in item else item["error"] for item in data["items"]
        ]
        reading = Read(tuple(items), data["closed"])
        codec = data["codec"]
        if codec == "auto":
            codec = _told(sent.lstrip(b" \r\n")) or available()[0]  # CODEC-11
        return _Case(
            id, data["comment"], codec, sent, [reading], data["registered"], data.get("unfinished", False)
        )
    fatal = [Code.TOO_LARGE, *([Code.MALFORMED] if data["codec"] == "pickle" else [])]  # CONN-24
    readings = [Read((item,), isinstance(item, Goodbye) or item in fatal) for item in conforming(vector)]
    framed = load(data["codec"]).frame(sent)
    # REGISTER is sent before there is a user, to see what becomes of it; unless it is too long for that (LIMIT-3).
    fits = len(sent) <= _GREETING and _told(framed) == data["codec"]
    fresh = isinstance(readings[0].items[0], Register) and fits
    return _Case(id, data["comment"], data["codec"], framed, readings, not fresh, unfinished=False)


def _told(data: bytes) -> str:
    """Give the codec that a server tells from the first bytes, empty if it cannot (CODEC-15)."""
    try:
        return detect(data) or ""
    except DecodeError:
        return ""


def _of(group: list[Vector], codec: str) -> list[_Case]:
    return [_case(vector.id) for vector in group if vector.data["codec"] in (codec, "auto")]


# ---- The stimulus.


def _play(group: list[Vector], stage: Stage) -> None:
    shared = stage.register(stage.connect("shared"))
    strangers = shared.barrier().conversations.keys() | shared.roster.keys()
    for number, case in enumerate(_of(group, stage.codec.name)):
        if not case.touches.isdisjoint(strangers) or not case.fits(stage.profile.limits):
            continue
        stage.mark(case.id)
        if case.shares:
            _send(case, shared)
            shared.send(ListConversations())
            for wanted in _wanted(case, case.readings[0]):
                if wanted == _LIST:
                    shared.wait_for(Conversations)
        else:
            party = stage.connect(f"party{number}", load(case.codec))
            if case.registered:
                stage.register(party)
            _send(case, party)
            _end(case, party)
        if isinstance(case.message, Status):  # a newcomer's first roster shows it at once
            stage.register(stage.connect(f"{_WATCHER}{number}")).close()


def _send(case: _Case, party: Party) -> None:
    if case.message is None:
        party.send_bytes(case.data)
    else:
        party.send_as(case.message, case.data, deliberate=True)  # it is about the form, not the effect


def _end(case: _Case, party: Party) -> None:
    """Have the server tell all that it has to tell, and close."""
    if case.unfinished:
        party.half_close()
    elif not all(reading.closed for reading in case.readings):
        party.send(ListConversations(), Goodbye(), deliberate=True)  # nobody may be registered
    party.read_to_end()


# ---- The judgement.


def _judge(group: list[Vector], seen: Transcript) -> Complaints:
    sections = _sections(seen)
    for case in _of(group, next(iter(seen.codecs.values()), "")):
        if case.id in sections:
            yield from _complaints(case, sections[case.id], seen)


def _sections(seen: Transcript) -> dict[str, list[Entry]]:
    """Give what happened from each mark on."""
    sections: dict[str, list[Entry]] = {}
    section: list[Entry] = []
    for entry in seen.entries:
        if entry.event is Event.MARK:
            section = sections[str(entry.item)] = []
        section.append(entry)
    return sections


def _complaints(case: _Case, section: list[Entry], seen: Transcript) -> Iterator[str]:
    mine = [entry for entry in section if entry.party and not entry.party.startswith(_WATCHER)]
    answers = [answer for entry in mine for answer in _answer(entry)]
    closed = any(entry.event is Event.CLOSED for entry in mine)
    if not any(_fits(case, reading, answers, closed=closed) for reading in case.readings):
        wanted = " or ".join(_shown(_wanted(case, reading)) for reading in case.readings)
        end = ", and the connection closed" if closed else ""
        yield f"{case.id} ({case.comment}) was to be answered with {wanted}; it was with {_list(answers)}{end}"
    elif Code.NAME_IN_USE not in answers:
        yield from _unseen(case, section, seen.name(mine[0].party))


def _unseen(case: _Case, section: list[Entry], name: str) -> Iterator[str]:
    """Complain unless a roster shows the status that a case has given to the user of this name."""
    match case.message:
        case Status(status) if case.registered:
            pass
        case Register(name, status) if not case.registered:
            pass
        case _:
            return
    rosters = [entry.item for entry in section if isinstance(entry.item, OnlineUsers)]
    shown = rosters[-1].users.get(name) if rosters else None
    if shown != status:
        yield f"{case.id} ({case.comment}) was to show {name!a} as {status!a}, and shows {shown!a}"


def _answer(entry: Entry) -> Iterator[str]:
    """Give what an entry answers, but for rosters."""
    if entry.event is Event.FAULT:
        yield "nonsense"
    elif isinstance(entry.item, Error):
        yield entry.item.code or "ERROR without a code"
    elif isinstance(entry.item, Response) and not isinstance(entry.item, OnlineUsers):
        yield entry.item.COMMAND


def _fits(case: _Case, reading: Read, answers: list[str], *, closed: bool) -> bool:
    if Code.NAME_IN_USE in answers and any(isinstance(item, Register) for item in reading.items):
        return True  # somebody else has just taken the name
    wanted = _wanted(case, reading)
    expected = not case.shares
    return (
        closed == expected
        and len(answers) == len(wanted)
        and all(answer in allowed for answer, allowed in zip(answers, wanted, strict=True))
    )


def _wanted(case: _Case, reading: Read) -> list[frozenset[str]]:
    """Give the answers that are right, each as those of which it is one."""
    wanted = [_reaction(item, registered=case.registered) for item in reading.items]
    if not reading.closed and not case.unfinished:  # the LIST_CONVERSATIONS that follows
        registered = case.registered or any(isinstance(item, Register) for item in reading.items)
        wanted.append(_LIST if registered else frozenset({Code.NOT_REGISTERED.value}))
    return [each for each in wanted if each]


def _reaction(item: Seen, *, registered: bool) -> frozenset[str]:
    match item:
        case str():
            return frozenset({item})
        case ListConversations():
            return _LIST
        case Join() | Leave() | SendMessage():
            return _NO_SUCH
        case Invite():
            return frozenset({Code.NO_SUCH_USER.value})
        case Register() if registered:
            return frozenset({Code.ALREADY_REGISTERED.value})
        case _:
            return _NOTHING


def _shown(wanted: list[frozenset[str]]) -> str:
    return _list(["/".join(sorted(each)) for each in wanted])


def _list(answers: Sequence[str]) -> str:
    return ", ".join(answers) or "nothing"
