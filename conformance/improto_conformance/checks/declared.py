"""Checks of what a server declares in its profile: it has to hold.  Each is about one key.

What is within a bound is taken, or refused for another reason; one more is refused by the bound.
"""

from collections.abc import Callable

from improto.codec import Codec, load
from improto.messages import (
    AnyMessage,
    Code,
    Error,
    Invitation,
    Invite,
    Join,
    Leave,
    ListConversations,
    OnlineUsers,
    Register,
    SendMessage,
    Status,
)
from improto_conformance.check import Complaints, check
from improto_conformance.stage import Stage
from improto_conformance.transcript import Transcript


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
