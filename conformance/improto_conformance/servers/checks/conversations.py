"""Checks of conversations: how long they live, their ids, and the list of them."""

import re

from improto.messages import (
    Code,
    Conversations,
    Error,
    Goodbye,
    Invitation,
    Join,
    Leave,
    ListConversations,
    SendMessage,
)
from improto_conformance.servers.check import Complaints, check
from improto_conformance.servers.stage import Stage
from improto_conformance.transcripts.transcript import Transcript


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
