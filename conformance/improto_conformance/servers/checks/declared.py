"""Checks of what a server declares in its profile: it has to hold.  Each is about one key.

What is within a bound is taken, or refused for another reason; one more is refused by the bound.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice, product
from typing import Final

from improto.codec import Codec, load
from improto.errors import DecodeError
from improto.messages import (
    AnyMessage,
    Code,
    Conversations,
    Error,
    Goodbye,
    Invitation,
    Invite,
    Join,
    Leave,
    ListConversations,
    OnlineUsers,
    Register,
    Request,
    Response,
    Role,
    SendMessage,
    Status,
)
from improto_conformance.servers.check import Complaints, check
from improto_conformance.servers.party import Party, Unfit
from improto_conformance.servers.stage import Stage
from improto_conformance.transcripts.complaints import Difference
from improto_conformance.transcripts.transcript import Event, Transcript


@check("CODEC-17", "the server speaks each codec that it declares", name="declared")
def codecs(stage: Stage) -> None:
    for name in stage.profile.codecs:
        stage.mark(f"in {name}")
        stage.register(stage.connect(name, load(name))).barrier()
        stage.mark(f"spoke {name}")


@codecs.judge
def _(seen: Transcript) -> Complaints:
    for name in (mark.removeprefix("in ") for mark in seen.marks if mark.startswith("in ")):
        if not seen.marked(f"spoke {name}"):
            yield f"the server was to speak {name}, which it declares; name its codecs in a profile or with --codec"


def _uninvited(stage: Stage) -> None:
    stage.talk("ann", "bo")
    [cy] = stage.enter("cy")
    cy.send(Join(stage.transcript.conversation), deliberate=True)
    cy.barrier()


@check("JOIN-4", "a server that declares to be open lets everybody join", policy="open", name="declared")
def declared_open(stage: Stage) -> None:
    _uninvited(stage)


@declared_open.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("cy", [])
    for listed in seen.lists("cy"):
        if seen.name("cy") not in listed.conversations.get(seen.conversation, ()):
            yield "cy, who was not invited, was to become a member; if only who is invited may, declare it"


@check(
    "JOIN-6",
    "a server that declares to be private lets no user join without an invitation",
    policy="private",
    name="declared",
)
def declared_private(stage: Stage) -> None:
    _uninvited(stage)


@declared_private.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("cy", [Code.NOT_INVITED])


@check(
    "PRESENCE-4",
    "a change is shown within the interval that is declared",
    name="declared",
    seconds="presence",
)
def presence(stage: Stage) -> None:
    bo, ann = stage.enter("bo", "ann")
    ann.wait_to_see(bo.name, "here")
    for status in ("busy", "away"):
        bo.send(Status(status))
        bo.barrier()
        ann.wait_to_see(bo.name, status, within=stage.profile.presence)
    stage.mark("shown")


@check(
    "PRESENCE-7",
    "a roster is repeated within the interval that is declared",
    name="declared",
    seconds="repeat",
    alone=True,
)
def repeat(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    ann.wait_to_see(bo.name, "here")
    stage.barrier(ann, bo)
    for _ in range(3):
        ann.wait_for(OnlineUsers, within=max(stage.profile.repeat, stage.profile.presence))
    stage.mark("shown")


@check(
    "CONN-17",
    "a client that does not register is told so, and its connection is closed, at the declared time",
    name="declared",
    seconds="register",
)
def register(stage: Stage) -> None:
    ann = stage.connect("ann")
    ann.send(ListConversations(), deliberate=True)  # so that the server knows the codec
    ann.wait_for(Error)
    stage.mark(f"{stage.profile.register} seconds")
    ann.read_to_end(within=stage.profile.register)


def _expect_shown(seen: Transcript) -> Complaints:
    if not seen.marked("shown"):
        yield "it was to be shown within the interval that is declared"


presence.judge(_expect_shown)
repeat.judge(_expect_shown)


@register.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.NOT_REGISTERED, Code.TIMEOUT])
    yield from seen.expect_closed("ann")
    for mark in seen.marks:
        mine = seen.of("ann")
        declared, waited = float(mark.split()[0]), mine[-1].time - mine[0].time
        if seen.closed("ann") and waited < 0.95 * declared:
            yield f"ann was to have {declared:g} s to register, and had {waited:.1f} s"


@check(
    "LIMIT-2",
    "a request of the size that is declared is taken, a larger one is too large",
    name="declared",
    varies=True,
)
def request(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    for size in (stage.profile.limits.request, stage.profile.limits.request + 1):
        ann.send(_sized(size, ann.codec, Status), deliberate=True)
    ann.read_to_end()


@check(
    "LIMIT-3",
    "before REGISTER, a request of the size that is declared is taken, a larger one is too large",
    name="declared",
    varies=True,
)
def greeting(stage: Stage) -> None:
    ann = stage.connect("ann")
    for size in (stage.profile.limits.greeting, stage.profile.limits.greeting + 1):
        ann.send(_sized(size, ann.codec, lambda text: Register(ann.name, text)), deliberate=True)
    ann.read_to_end()


def _sized(size: int, codec: Codec, make: Callable[[str], AnyMessage]) -> AnyMessage:
    """Make a message whose payload has a size, of a text that is too long by then."""
    text = "x" * size
    while (more := size - len(codec.encode(make(text)))) != 0:  # what stands around it depends on its length
        text = text[:more] if more < 0 else text + "x" * more
    return make(text)


def _judge_size(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.INVALID, Code.TOO_LARGE])
    yield from seen.expect_closed("ann")


request.judge(_judge_size)
greeting.judge(_judge_size)


@check("LIMIT-5", "a username of the length that is declared is taken, a longer one invalid", name="declared")
def names(stage: Stage) -> None:
    ann, longest = stage.connect("ann"), stage.profile.limits.name
    ann.send(
        Register(ann.name.rjust(longest + 1, "x"), ""),
        Register(ann.name.rjust(longest, "x"), ""),
        deliberate=True,
    )
    ann.barrier()


@check("LIMIT-10", "a status of the length that is declared is taken, a longer one invalid", name="declared")
def statuses(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    longest = stage.profile.limits.status
    ann.send(Status("é" * (longest + 1)), Status("é" * longest), deliberate=True)
    ann.barrier()


@check("LIMIT-11", "a text of the length that is declared is taken, a longer one invalid", name="declared")
def texts(stage: Stage) -> None:
    ann, longest = stage.talk("ann", "bo")[0], stage.profile.limits.text
    stage.mark("talking")
    ann.send(
        *(SendMessage(stage.transcript.conversation, "x" * length) for length in (longest + 1, longest)),
        deliberate=True,
    )
    ann.barrier()


@check("LIMIT-13", "an id of the length that is declared is unknown, a longer one invalid", name="declared")
def ids(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    longest = stage.profile.limits.conversation
    ann.send(Join("-" * (longest + 1)), Join("-" * longest), deliberate=True)
    ann.barrier()


@check(
    "LIMIT-14", "an INVITE of as many names as are declared is taken, one of more invalid", name="declared"
)
def invited(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    most = stage.profile.limits.invited
    ann.send(Invite((bo.name,) * (most + 1)), Invite((bo.name,) * most), deliberate=True)
    ann.barrier()


@names.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.INVALID])
    if not seen.lists("ann"):
        yield "ann was to be registered by the name of the declared length"


@statuses.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.INVALID])


@texts.judge
def _(seen: Transcript) -> Complaints:
    said = [entry.item for entry in seen.of("ann", since="talking") if isinstance(entry.item, SendMessage)]
    wanted = [seen.said("ann", said[-1].text)] if said else []
    yield from seen.expect("ann", [Code.INVALID, *wanted], since="talking")


@ids.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.INVALID, Code.NO_SUCH_CONVERSATION])


@invited.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.INVALID, Invitation(seen.conversation, seen.name("ann"))])


@check("LIMIT-18", "as many conversations as are declared may live at a time, and no more", name="declared")
def living(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    stage.mark("invited")
    for _ in range(stage.profile.limits.living + 1):
        ann.send(Invite((bo.name,)), deliberate=True)
    stage.barrier(ann, bo)
    stage.mark("ended")
    first = stage.transcript.conversation
    bo.send(Leave(first))
    bo.barrier()
    ann.send(Leave(first), Invite((bo.name,)))
    ann.barrier()


@living.judge
def _(seen: Transcript) -> Complaints:
    most = sum(isinstance(entry.item, Invite) for entry in seen.of("ann", until="ended")) - 1
    invitations = [Invitation(id, seen.name("ann")) for id in seen.conversations]
    if len(invitations) != most + 1:
        yield f"{most} conversations and later one more were to be made, not {len(invitations)}"
    else:
        yield from seen.expect("ann", [*invitations[:most], Code.TOO_MANY], since="invited", until="ended")
        yield from seen.expect("ann", invitations[most:], since="ended")


_CROWD: Final = 40  # users who are to fill a roster
_TALKERS: Final = ("ann", "bob", "cay", "dee")  # … and a list, each with so many emoji in the name:
_LONG: Final = 16
_EMOJI: Final = 4  # bytes: of all forms of an emoji the shortest is UTF-8
_RATE: Final = 8 * 1024  # bytes a second, by which the presence interval grows (PRESENCE-6)


@check(
    "LIMIT-21",
    "users and statuses are taken until a roster would pass the size that is declared; who leaves makes room",
    name="declared",
    varies=True,
    alone=True,
)
def rosters(stage: Stage) -> None:
    limits = stage.profile.limits
    if limits.roster > _CROWD * _EMOJI * limits.status:
        raise Unfit(f"{_CROWD} users do not fill a roster of {limits.roster} bytes")
    stage.mark(f"{limits.roster} bytes")
    online = list(stage.enter("000"))
    for number in range(1, _CROWD + 1):
        newcomer = stage.connect(f"{number:03}")
        register = Register(newcomer.name, _status(number, limits.status))
        newcomer.send(register)
        if isinstance(newcomer.wait(_is_answer, "a roster or a refusal"), Error):
            _go(online.pop())  # whose name and status are as long
            newcomer.send(register)
            stage.mark("room")
            newcomer.wait_for(OnlineUsers)
            online.append(newcomer)
            break
        online.append(newcomer)
        stage.barrier(*online)  # so that all have read what waits for them
    first, status = online[0], _status(0, limits.status)
    if not _refused(first, Status(status)):
        first.wait_to_see(first.name, status, within=max(stage.profile.presence, limits.roster / _RATE))
    _go(*online)


def _status(number: int, length: int) -> str:
    """Give each user other emoji: a pickler may write an equal text only once."""
    return chr(0x1F400 + number) * length


def _is_answer(message: Response) -> bool:
    return isinstance(message, OnlineUsers | Error)


def _go(*parties: Party) -> None:
    """Have parties go offline, so that the next check finds room."""
    for party in parties:
        party.send(Goodbye())
        party.read_to_end()


@check(
    "LIMIT-21",
    "members are taken until a list would pass the size that is declared; conversations that end make room",
    varies=True,
    alone=True,
)
def lists_up_to_their_size(stage: Stage) -> None:
    limits = stage.profile.limits
    if limits.roster > len(_TALKERS) ** 2 * limits.living * _EMOJI * _LONG:
        raise Unfit(f"{len(_TALKERS)} users do not fill a list of {limits.roster} bytes")
    stage.mark(f"{limits.roster} bytes")
    talkers = stage.enter(*(name + "\U0001f600" * _LONG for name in _TALKERS))
    most = len(talkers) * limits.living
    # Of so many, not all can have all members.
    many = min(most, 1 + limits.roster // (len(talkers) * _EMOJI * _LONG))
    ids = _begin(talkers, range(many))
    joins = [(party, Join(id)) for id in ids for party in talkers]
    joined = next((place for place, (party, join) in enumerate(joins) if _refused(party, join)), 0)
    ids += _begin(talkers, range(many, most))
    for party in talkers:
        party.send(*map(Leave, ids))
        party.barrier()
    stage.mark("room")
    ids = _begin(talkers, range(1 + len(ids) // 2))
    for party, id in islice(product(talkers, ids), joined // 2):
        _refused(party, Join(id))
    _go(*talkers)


def _begin(talkers: Sequence[Party], numbers: range) -> list[str]:
    """Have them begin conversations by turns until an INVITE is refused, and give the ids."""
    ids: list[str] = []
    for number in numbers:
        first = talkers[number % len(talkers)]
        first.send(Invite(tuple(other.name for other in talkers if other is not first)))
        answer = first.wait(partial(_is_answer_to, first.name), "an INVITATION or a refusal")
        if not isinstance(answer, Invitation):
            break
        ids.append(answer.conversation)
    return ids


def _is_answer_to(initiator: str, message: Response) -> bool:
    return isinstance(message, Error) or (isinstance(message, Invitation) and message.source == initiator)


def _refused(party: Party, request: Request) -> bool:
    """Send a request, and tell whether there is an ERROR; receive the list in any case."""
    party.send(request, ListConversations())
    answer = party.wait(lambda message: isinstance(message, Error | Conversations), "a list")
    if isinstance(answer, Error):
        party.wait_for(Conversations)
    return isinstance(answer, Error)


@rosters.judge
def _(seen: Transcript) -> Complaints:
    yield from _judge_growth(seen)
    last = next(reversed(seen.codecs), "")
    if seen.marked("room") and not seen.rosters(last, since="room"):
        yield f"{last} was to be registered after somebody with as long a name and status had gone"


@lists_up_to_their_size.judge
def _(seen: Transcript) -> Complaints:
    yield from _judge_growth(seen)
    for party in seen.codecs:
        if Code.TOO_MANY in seen.heard(party, since="room"):
            yield f"{party} was to find room for half as much after all conversations had ended"


def _judge_growth(seen: Transcript) -> Complaints:
    """Complain about the first that is larger than declared, and about other refusals than `too-many`."""
    most = next((int(mark.split()[0]) for mark in seen.marks), 0)
    for party in seen.codecs:
        if _is_passed(seen, party, most):
            yield Difference.of(party, f"be sent at most {most} bytes in one message", "was sent more")
            break
    for party in seen.codecs:
        refusals = {each for each in seen.heard(party) if isinstance(each, str)} - {Code.TOO_MANY}
        if refusals:
            yield Difference.of(party, "be refused with too-many", f"was refused with {', '.join(refusals)}")


def _is_passed(seen: Transcript, party: str, most: int) -> bool:
    """Tell whether a party was sent a longer payload than this."""
    reader = load(seen.codecs[party]).reader(Role.SERVER)
    try:
        for entry in seen.of(party):
            if entry.event is Event.RECEIVED:
                reader.feed(entry.data)
                while reader.next(most) is not None:
                    pass
    except DecodeError as error:
        return error.code == Code.TOO_LARGE
    return False
