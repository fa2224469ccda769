"""Checks of invitations, joining, leaving and the list."""

import re

from improto.messages import (
    Code,
    Conversations,
    Error,
    Goodbye,
    Invitation,
    Invite,
    Join,
    Leave,
    ListConversations,
    SendMessage,
)
from improto_conformance.check import Complaints, check
from improto_conformance.party import Party
from improto_conformance.stage import Stage
from improto_conformance.transcript import Transcript


@check("INVITATION-2", "each invited user gets exactly one INVITATION, which names the initiator")
def invited(stage: Stage) -> None:
    ann, bo, cy = stage.enter("ann", "bo", "cy")
    stage.invite(ann, bo, cy)
    stage.barrier(ann, bo, cy)


@invited.judge
def _(seen: Transcript) -> Complaints:
    for party in ("bo", "cy"):
        yield from seen.expect(party, [Invitation(seen.conversation, seen.name("ann"))])


@check("INVITATION-3", "the initiator gets exactly one INVITATION too")
def initiator_invited(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    ann.send(Invite((bo.name,)))
    stage.barrier(ann, bo)


@initiator_invited.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Invitation(seen.conversation, seen.name("ann"))])


@check("INVITATION-4", "nobody else gets an INVITATION")
def others_not_invited(stage: Stage) -> None:
    ann, bo, _ = parties = stage.enter("ann", "bo", "cy")
    ann.send(Invite((bo.name,)))
    stage.barrier(*parties)


@others_not_invited.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("cy", [])


@check("INVITE-3", "each INVITE makes a conversation of its own")
def new_each_time(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    ann.send(Invite((bo.name,)), Invite((bo.name,)))
    stage.barrier(ann, bo)


@new_each_time.judge
def _(seen: Transcript) -> Complaints:
    if len(seen.conversations) != 2:
        yield f"two INVITEs were to make two conversations, and made {len(seen.conversations)}"


@check("INVITE-4", "one's own name and doubles in INVITE are ignored")
def doubles(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    ann.send(Invite((bo.name, ann.name, bo.name)))
    stage.barrier(ann, bo)


@doubles.judge
def _(seen: Transcript) -> Complaints:
    for party in ("ann", "bo"):
        yield from seen.expect(party, [Invitation(seen.conversation, seen.name("ann"))])


@check("INVITE-5", "an INVITE of only oneself is refused")
def only_oneself(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send(Invite((ann.name,)), deliberate=True)
    ann.barrier()


@only_oneself.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.INVALID])


@check("INVITE-6", "with one unknown name in INVITE nobody is invited")
def unknown_name(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    ann.send(Invite((bo.name, stage.transcript.name("nobody"))), deliberate=True)
    stage.barrier(ann, bo)


@unknown_name.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.NO_SUCH_USER])
    yield from seen.expect("bo", [])


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


@check("CONV-2", "a conversation that all have left has ended")
def deserted(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    for party in (ann, bo):
        party.send(Leave(stage.transcript.conversation))
        party.barrier()
    stage.mark("ended")
    ann.send(Join(stage.transcript.conversation), deliberate=True)
    ann.barrier()


@deserted.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.NO_SUCH_CONVERSATION], since="ended")
    if any(listed.conversations for listed in seen.lists("ann", since="ended")):
        yield "an ended conversation was not to be listed"


@check("CONV-1", "a conversation without members lives as long as somebody holds an invitation")
def invitation_keeps_alive(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    id = stage.invite(ann, bo)
    ann.send(Goodbye())
    ann.read_to_end()
    stage.mark("joins")
    bo.send(Join(id))
    bo.barrier()


@invitation_keeps_alive.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("bo", [], since="joins")
    if seen.lists("bo", since="joins") != [Conversations({seen.conversation: (seen.name("bo"),)})]:
        yield "bo was to be the only member of the conversation"


@check("CONV-3", "the id of an ended conversation is not given again")
def fresh_id(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    for _ in range(5):
        id = stage.invite(ann, bo)
        stage.mark(f"id {id}")
        ann.send(Leave(id))
        ann.barrier()
        bo.send(Leave(id))
        bo.barrier()


@fresh_id.judge
def _(seen: Transcript) -> Complaints:
    if len(seen.conversations) != 5:
        yield f"five conversations were to have five ids, and had {len(seen.conversations)}"


@check("CONV-3", "the ids of 300 conversations, each of which ends before the next, are all different")
def fresh_ids(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    for _ in range(300):
        id = stage.invite(ann, bo)
        for party in (ann, bo):
            party.send(Leave(id))
            party.barrier()


@fresh_ids.judge
def _(seen: Transcript) -> Complaints:
    given = [entry.item.conversation for entry in seen.of("ann") if isinstance(entry.item, Invitation)]
    for place, id in enumerate(given):
        if id in given[:place]:
            yield f"each conversation was to have an id of its own, and the {place + 1}th had {id!a}, as one before"
            break


@check("LIST-4", "the list goes only to the user who asked for it")
def list_for_one(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    ann.barrier()
    bo.barrier()
    ann.barrier()
    # Its ERROR is the end of what came before, whatever lists that was.
    bo.send(Join("no-such-id-as-this-one"), deliberate=True)
    bo.wait_for(Error)


@list_for_one.judge
def _(seen: Transcript) -> Complaints:
    for party, wanted in (("ann", 2), ("bo", 1)):
        if len(seen.lists(party)) != wanted:
            yield f"{party} asked for {wanted} lists and received {len(seen.lists(party))}"


@check("LIST-5", "the list has the conversations of others too", policy="open")
def list_of_all(stage: Stage) -> None:
    stage.talk("ann", "bo")
    [cy] = stage.enter("cy")
    cy.barrier()


@list_of_all.judge
def _(seen: Transcript) -> Complaints:
    if seen.lists("cy") != [Conversations({seen.conversation: (seen.name("ann"), seen.name("bo"))})]:
        yield "cy was to see the conversation of ann and bo"


@check("LIST-8", "members are listed in the order of joining; a user who joins again comes last")
def order_of_members(stage: Stage) -> None:
    ann, _bo, _cy = stage.talk("ann", "bo", "cy")
    ann.send(Leave(stage.transcript.conversation), Join(stage.transcript.conversation))
    stage.mark("rejoined")
    ann.barrier()


@order_of_members.judge
def _(seen: Transcript) -> Complaints:
    wanted = tuple(map(seen.name, ("bo", "cy", "ann")))
    if seen.lists("ann", since="rejoined") != [Conversations({seen.conversation: wanted})]:
        yield f"the members were to be listed as {wanted}"


@check("LIST-8", "who stays keeps the place in the list when others leave or go offline")
def order_of_who_stays(stage: Stage) -> None:
    cy, di, _ann, bo = stage.talk("cy", "di", "ann", "bo")
    di.send(Leave(stage.transcript.conversation))
    di.barrier()
    bo.send(Goodbye())
    bo.read_to_end()
    stage.mark("gone")
    cy.barrier()


@order_of_who_stays.judge
def _(seen: Transcript) -> Complaints:
    wanted = tuple(map(seen.name, ("cy", "ann")))
    if seen.lists("cy", since="gone") != [Conversations({seen.conversation: wanted})]:
        yield f"the members were to be listed as {wanted}, and were as {seen.lists('cy', since='gone')}"


@check("LIST-3", "each LIST_CONVERSATIONS gets exactly one CONVERSATIONS")
def one_list_each(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send(ListConversations(), ListConversations(), ListConversations(), Goodbye())
    ann.read_to_end()


@one_list_each.judge
def _(seen: Transcript) -> Complaints:
    if len(seen.lists("ann")) != 3:
        yield f"3 lists were asked for, and {len(seen.lists('ann'))} came"


@check("CONV-4", "the ids that the server makes are within the bounds")
def ids_within_bounds(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    for _ in range(3):
        stage.invite(ann, bo)


@ids_within_bounds.judge
def _(seen: Transcript) -> Complaints:
    for id in seen.conversations:
        if not re.fullmatch(r"[!-~]{1,64}", id):
            yield f"an id was to be 1 to 64 printable ASCII characters without space, not {id!a}"


@check("INVITE-6", "an INVITE with an unknown name makes no conversation", policy="private")
def nothing_made(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    ann.send(Invite((bo.name, stage.transcript.name("nobody"))), deliberate=True)
    stage.barrier(ann, bo)


@check("ERROR-3", "an INVITE that is refused makes no conversation", policy="private")
def nothing_made_by_a_refused_one(stage: Stage) -> None:
    nothing_made.stimulus(stage)


def _no_conversation(seen: Transcript) -> Complaints:
    for party in ("ann", "bo"):
        lists = [entry.item for entry in seen.of(party) if isinstance(entry.item, Conversations)]
        if any(listed.conversations for listed in lists):
            yield f"{party} was to have no conversation after a refused INVITE"


nothing_made.judge(_no_conversation)
nothing_made_by_a_refused_one.judge(_no_conversation)


def _nothing_at_all(seen: Transcript, party: str, since: str) -> Complaints:
    """Complain if the party has received anything but the ERROR that ends the wait, or a list that it had not asked for."""
    yield from seen.expect(party, [Code.NO_SUCH_CONVERSATION], since=since)
    if seen.lists(party, since=since):
        yield f"{party} was to receive no CONVERSATIONS without asking"


def _ask(stage: Stage, *parties: Party) -> None:
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
    _ask(stage, ann, bo)


@no_list_for_a_join.judge
def _(seen: Transcript) -> Complaints:
    for party in ("ann", "bo"):
        yield from _nothing_at_all(seen, party, "joins")


@check("LEAVE-8", "a LEAVE causes no list, and no message to those who stay")
def no_list_for_a_leave(stage: Stage) -> None:
    ann, bo, _cy = stage.talk("ann", "bo", "cy")
    stage.mark("leaves")
    bo.send(Leave(stage.transcript.conversation))
    _ask(stage, bo, ann)


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


@check("LIST-7", "the list has the user who asks for it, and no user who has left")
def members_only(stage: Stage) -> None:
    ann, bo, cy = stage.talk("ann", "bo", "cy")
    bo.send(Leave(stage.transcript.conversation))
    stage.mark("left")
    stage.barrier(bo, ann, cy)


@members_only.judge
def _(seen: Transcript) -> Complaints:
    names = (seen.name("ann"), seen.name("cy"))
    for party in ("ann", "bo", "cy"):
        if seen.lists(party, since="left") != [Conversations({seen.conversation: names})]:
            yield f"{party} was to be shown ann and cy as members, and nobody else"


@check(
    "ORDER-6",
    "each list shows what was done just before it, by oneself or by others, even if another list came shortly before",
)
def fresh_lists(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    id = stage.invite(ann, bo)
    ann.barrier()
    ann.send(Join(id))
    ann.barrier()
    for request in (Join(id), Leave(id), Join(id)):
        bo.send(request)
        stage.barrier(bo, ann)
    bo.send(Goodbye())
    bo.read_to_end()
    ann.barrier()
    ann.send(Leave(id))
    ann.barrier()


@fresh_lists.judge
def _(seen: Transcript) -> Complaints:
    alone, both = (seen.name("ann"),), (seen.name("ann"), seen.name("bo"))
    wanted = [(), alone, both, alone, both, alone, None]
    shown = [listed.conversations.get(seen.conversation) for listed in seen.lists("ann")]
    if shown != wanted:
        yield f"ann was to be shown {wanted} one after the other, and was shown {shown}"


@check(
    "CONV-1", "a conversation lives as long as it has a member, even one who was not invited", policy="open"
)
def kept_by_who_came_uninvited(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    id = stage.invite(ann, bo)
    [cy] = stage.enter("cy")
    cy.send(Join(id))
    cy.barrier()
    for party in (ann, bo):
        party.send(Leave(id))
        party.barrier()
    stage.mark("alone")
    cy.send(SendMessage(id, "still here"))
    cy.barrier()


@kept_by_who_came_uninvited.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("cy", [seen.said("cy", "still here")], since="alone")
    if seen.lists("cy", since="alone") != [Conversations({seen.conversation: (seen.name("cy"),)})]:
        yield "cy was to be the only member of the conversation"
