"""Checks of joining and leaving."""

from improto.messages import (
    Code,
    Error,
    Join,
    Leave,
    SendMessage,
)
from improto_conformance.servers.check import Complaints, check
from improto_conformance.servers.party import Party
from improto_conformance.servers.stage import Stage
from improto_conformance.transcripts.transcript import Transcript


@check("JOIN-3", "invited users and the initiator are no members before they JOIN")
def not_yet_member(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    id = stage.invite(ann, bo)
    stage.mark("invited")
    for party in (ann, bo):
        party.send(SendMessage(id, "x"), deliberate=True)
        party.barrier()


@not_yet_member.judge
def _(seen: Transcript) -> Complaints:
    for party in ("ann", "bo"):
        yield from seen.expect(party, [Code.NOT_MEMBER], since="invited")
        for listed in seen.lists(party, since="invited"):
            if listed.conversations.get(seen.conversation) != ():
                yield f"before a JOIN the conversation was to stand in the list of {party} without members"


@check("JOIN-4", "a user who was not invited may JOIN", policy="open")
def uninvited(stage: Stage) -> None:
    ann, _bo = stage.talk("ann", "bo")
    [cy] = stage.enter("cy")
    cy.send(Join(stage.transcript.conversation), SendMessage(stage.transcript.conversation, "hi"))
    stage.barrier(cy, ann)


@uninvited.judge
def _(seen: Transcript) -> Complaints:
    if Code.NOT_INVITED in seen.heard("cy") or not seen.heard("cy"):
        yield "cy was to become a member by JOIN, without an invitation"


@check("JOIN-8", "JOIN of an unknown conversation is refused")
def join_unknown(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send(Join("no-such-id-as-this-one"), deliberate=True)
    ann.barrier()


@join_unknown.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.NO_SUCH_CONVERSATION])


@check("JOIN-9", "a second JOIN has no effect and no ERROR")
def join_twice(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    stage.mark("again")
    bo.send(Join(stage.transcript.conversation))
    bo.barrier()
    ann.send(SendMessage(stage.transcript.conversation, "once"))
    stage.barrier(ann, bo)


@join_twice.judge
def _(seen: Transcript) -> Complaints:
    heard = seen.heard("bo", since="again")
    if len(heard) != 1:
        yield f"after a second JOIN bo was to hear the message once, and heard {heard}"


@check("JOIN-10", "JOIN has no reply, and nobody is notified")
def silent_join(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    id = stage.invite(ann, bo)
    stage.mark("invited")
    bo.send(Join(id))
    stage.barrier(bo, ann)


@silent_join.judge
def _(seen: Transcript) -> Complaints:
    for party in ("ann", "bo"):
        yield from seen.expect(party, [], since="invited")


@check("LEAVE-2", "a user who has left receives no more messages, though some before")
def left(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    ann.send(SendMessage(stage.transcript.conversation, "for both"))
    stage.barrier(ann, bo)
    stage.mark("left")
    bo.send(Leave(stage.transcript.conversation))
    bo.barrier()
    ann.send(SendMessage(stage.transcript.conversation, "for whom?"))
    stage.barrier(ann, bo)


@left.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("bo", [], since="left")
    for listed in seen.lists("ann", since="left"):
        if listed.conversations.get(seen.conversation) != (seen.name("ann"),):
            yield "after bo's LEAVE only ann was to be listed"


@check("LEAVE-3", "LEAVE touches no other membership")
def other_conversations(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    second = stage.invite(ann, bo)
    for party in (ann, bo):
        party.send(Join(second))
        party.barrier()
    bo.send(Leave(stage.transcript.conversation))
    bo.barrier()
    stage.mark("left")
    ann.send(SendMessage(second, "still here?"))
    stage.barrier(ann, bo)


@other_conversations.judge
def _(seen: Transcript) -> Complaints:
    if len(seen.heard("bo", since="left")) != 1:
        yield "bo was to stay in the second conversation after leaving the first"
    both = (seen.name("ann"), seen.name("bo"))
    for listed in seen.lists("bo", since="left"):
        if listed.conversations.get(seen.conversations[-1]) != both:
            yield "the second conversation was to keep its members"


@check("LEAVE-4", "LEAVE by an invited user declines, without ERROR; the conversation ends when all have")
def decline(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    id = stage.invite(ann, bo)
    stage.mark("invited")
    bo.send(Leave(id))
    bo.barrier()
    ann.send(Leave(id))
    ann.barrier()


@decline.judge
def _(seen: Transcript) -> Complaints:
    for party in ("ann", "bo"):
        yield from seen.expect(party, [], since="invited")


@check("LEAVE-5", "LEAVE of an unknown conversation is refused")
def leave_unknown(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send(Leave("no-such-id-as-this-one"), deliberate=True)
    ann.barrier()


@leave_unknown.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.NO_SUCH_CONVERSATION])


@check("LEAVE-6", "a second LEAVE is refused")
def leave_twice(stage: Stage) -> None:
    _ann, bo = stage.talk("ann", "bo")
    stage.mark("leave")
    bo.send(Leave(stage.transcript.conversation), Leave(stage.transcript.conversation), deliberate=True)
    bo.barrier()


@leave_twice.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("bo", [Code.NOT_MEMBER], since="leave")


@check("LEAVE-7", "a user who has left may JOIN again while the conversation lives")
def come_back(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    stage.mark("leave")
    bo.send(Leave(stage.transcript.conversation), Join(stage.transcript.conversation))
    bo.barrier()
    ann.send(SendMessage(stage.transcript.conversation, "welcome back"))
    stage.barrier(ann, bo)


@come_back.judge
def _(seen: Transcript) -> Complaints:
    if [getattr(message, "text", message) for message in seen.heard("bo", since="leave")] != ["welcome back"]:
        yield "bo was to be a member again after LEAVE and JOIN"


def _come_and_go(stage: Stage, party: Party) -> None:
    """Have somebody leave or decline, in vain leave once more, join and say something, three times."""
    id = stage.transcript.conversation
    for number in range(3):
        if number or party.label == "bo":
            party.send(Leave(id))
        party.barrier()
        party.send(Leave(id), deliberate=True)
        party.barrier()
        party.send(Join(id), SendMessage(id, str(number)))
        party.barrier()


@check("LEAVE-7", "who has declined and joined may leave, and all that again")
def comes_and_goes(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    id = stage.invite(ann, bo)
    ann.send(Join(id))
    ann.barrier()
    stage.mark("invited")
    _come_and_go(stage, bo)


@check("LEAVE-7", "who was not invited may join and leave again and again", policy="open")
def comes_and_goes_uninvited(stage: Stage) -> None:
    stage.talk("ann", "bo")
    [cy] = stage.enter("cy")
    stage.mark("invited")
    _come_and_go(stage, cy)


def _came_and_went(seen: Transcript) -> Complaints:
    party = list(seen.codecs)[-1] if seen.codecs else ""
    said = [seen.said(party, str(number)) for number in range(3)]
    yield from seen.expect(party, [each for one in said for each in (Code.NOT_MEMBER, one)], since="invited")


comes_and_goes.judge(_came_and_went)

comes_and_goes_uninvited.judge(_came_and_went)


def _nothing_at_all(seen: Transcript, party: str, since: str) -> Complaints:
    """Complain if the party has received anything but the ERROR that ends the wait, or a list that it had not asked for."""
    yield from seen.expect(party, [Code.NO_SUCH_CONVERSATION], since=since)
    if seen.lists(party, since=since):
        yield f"{party} was to receive no CONVERSATIONS without asking"


def _ask(*parties: Party) -> None:
    """Have all received by a request whose ERROR is the end of it: a list here could be one that nobody asked for."""
    for party in parties:
        party.send(Join("no-such-id-as-this-one"), deliberate=True)
        party.wait_for(Error)


@check("JOIN-10", "no list comes for a JOIN")
def no_list_for_a_join(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    id = stage.invite(ann, bo)
    stage.mark("joins")
    for party in (ann, bo):
        party.send(Join(id))
    _ask(ann, bo)


@no_list_for_a_join.judge
def _(seen: Transcript) -> Complaints:
    for party in ("ann", "bo"):
        yield from _nothing_at_all(seen, party, "joins")


@check("LEAVE-8", "a LEAVE causes no list, and no message to those who stay")
def no_list_for_a_leave(stage: Stage) -> None:
    ann, bo, _cy = stage.talk("ann", "bo", "cy")
    stage.mark("leaves")
    bo.send(Leave(stage.transcript.conversation))
    _ask(bo, ann)


@no_list_for_a_leave.judge
def _(seen: Transcript) -> Complaints:
    for party in ("ann", "bo"):
        yield from _nothing_at_all(seen, party, "leaves")


@check("LEAVE-3", "the initiator's LEAVE touches neither the others' memberships nor their invitations")
def others_stay(stage: Stage) -> None:
    ann, bo, cy = stage.enter("ann", "bo", "cy")
    id = stage.invite(ann, bo, cy)
    for party in (ann, bo):
        party.send(Join(id))
        party.barrier()
    ann.send(Leave(id))
    ann.barrier()
    stage.mark("left")
    cy.send(Leave(id))
    cy.barrier()
    bo.send(SendMessage(id, "still here"))
    bo.barrier()


@others_stay.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("cy", [], since="left")
    yield from seen.expect("bo", [seen.said("bo", "still here")], since="left")


@check("LEAVE-6", "LEAVE by a user who was never invited is refused")
def leave_of_an_outsider(stage: Stage) -> None:
    stage.talk("ann", "bo")
    [cy] = stage.enter("cy")
    cy.send(Leave(stage.transcript.conversation), deliberate=True)
    cy.barrier()


@leave_of_an_outsider.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("cy", [Code.NOT_MEMBER])
