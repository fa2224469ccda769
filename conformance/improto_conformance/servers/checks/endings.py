"""Checks of going offline: what ends with a connection, and what whoever takes the name next has of it."""

from improto.messages import (
    Code,
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
    SendMessage,
    Status,
)
from improto_conformance.servers.check import Complaints, check
from improto_conformance.servers.stage import Stage
from improto_conformance.transcripts.transcript import Transcript


@check("GOODBYE-4", "a name is free as soon as its user has seen the end of the stream")
def free_name(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send(Goodbye())
    ann.read_to_end()
    again = stage.connect("again")
    again.send(Register(ann.name, "back"))
    again.wait(lambda _: True, "an answer to REGISTER")


@free_name.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("again", [])
    if not any(roster.users.get(seen.name("ann")) == "back" for roster in seen.rosters("again")):
        yield "the freed name was to be registered again"


@check("GOODBYE-6", "whatever follows GOODBYE has no effect and no reply")
def after_goodbye(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    stage.mark("goodbye")
    late = SendMessage(stage.transcript.conversation, "late")
    ann.send(Goodbye(), late, ListConversations(), deliberate=True)
    ann.read_to_end()
    bo.barrier()


@after_goodbye.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [], since="goodbye")
    yield from seen.expect_closed("ann")
    yield from seen.expect("bo", [], since="goodbye")
    if seen.lists("ann", since="goodbye"):
        yield "a LIST_CONVERSATIONS after GOODBYE was answered"


@check("GOODBYE-7", "GOODBYE before REGISTER closes, without a reply")
def goodbye_first(stage: Stage) -> None:
    ann = stage.connect("ann")
    ann.send(Goodbye())
    ann.read_to_end()


@goodbye_first.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [])
    yield from seen.expect_closed("ann")


@check("GOODBYE-8", "a user who goes offline is no longer a member, and conversations without users end")
def memberships_end(stage: Stage) -> None:
    ann, bo, cy = stage.talk("ann", "bo", "cy")
    bo.send(Goodbye())
    bo.read_to_end()
    stage.mark("gone")
    ann.barrier()
    for party in (ann, cy):
        party.send(Goodbye())
        party.read_to_end()
    [di] = stage.enter("di")
    di.barrier()


@memberships_end.judge
def _(seen: Transcript) -> Complaints:
    names = (seen.name("ann"), seen.name("cy"))
    if [dict(listed.conversations) for listed in seen.lists("ann", since="gone")] != [
        {seen.conversation: names}
    ]:
        yield f"after bo's GOODBYE the members were to be {names}"
    if any(listed.conversations for listed in seen.lists("di")):
        yield "a conversation whose members have all gone offline was to end"


@check("GOODBYE-9", "a user who takes a freed name inherits no membership")
def no_inheritance(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    bo.send(Goodbye())
    bo.read_to_end()
    heir = stage.connect("heir")
    heir.send(Register(bo.name, ""))
    heir.wait_for(OnlineUsers)
    ann.send(SendMessage(stage.transcript.conversation, "for bo only"))
    stage.barrier(ann)
    heir.send(SendMessage(stage.transcript.conversation, "as bo"), deliberate=True)
    heir.barrier()


@no_inheritance.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("heir", [Code.NOT_MEMBER])


@check("CONN-19", "a connection that is reset in mid-message frees the name", transport="stream")
def reset(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    bo.wait_to_see(ann.name, "here")
    ann.send_bytes(ann.encoded(Status("cut"))[:-3])
    ann.reset()
    bo.wait_to_see(ann.name, None)
    again = stage.connect("again")
    again.send(Register(ann.name, "back"))
    again.wait(lambda _: True, "an answer to REGISTER")


@reset.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("again", [])
    yield from seen.expect_open("bo")


def _speak_to_an_heir(stage: Stage) -> None:
    """Have somebody who has taken the freed name of an initiator be invited, join, and be told something."""
    bo, ann, cy = stage.talk("bo", "ann", "cy")
    bo.send(Goodbye())
    bo.read_to_end()
    stage.mark("gone")
    ann.send(SendMessage(stage.transcript.conversation, "bo has gone"))
    stage.barrier(ann, cy)
    heir = stage.register(stage.connect("heir"), bo.name)
    ann.send(Invite((bo.name,)))
    id = heir.wait_for(Invitation).conversation
    for party in (heir, ann):
        party.send(Join(id))
        party.barrier()
    ann.send(SendMessage(id, "welcome"))
    stage.barrier(ann, heir)


@check("INVITATION-2", "who has taken a freed name is invited like everybody else")
def heir_is_invited(stage: Stage) -> None:
    _speak_to_an_heir(stage)


@check(
    "SEND-2", "who has taken a freed name hears what is said, and members do after their initiator has gone"
)
def heir_hears(stage: Stage) -> None:
    _speak_to_an_heir(stage)


def _heard_by_the_heir(seen: Transcript) -> Complaints:
    id, ann = "".join(seen.conversations[-1:]), seen.name("ann")
    yield from seen.expect("heir", [Invitation(id, ann), Message(id, ann, "welcome")])
    yield from seen.expect("cy", [seen.said("ann", "bo has gone")], since="gone")


heir_is_invited.judge(_heard_by_the_heir)

heir_hears.judge(_heard_by_the_heir)


@check("GOODBYE-8", "all memberships and invitations of a user who goes offline end")
def all_of_them_end(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    second, _third = stage.invite(ann, bo), stage.invite(ann, bo)
    for party in (ann, bo):
        party.send(Join(second))
        party.barrier()
    bo.send(Goodbye())
    bo.read_to_end()
    stage.mark("gone")
    ann.barrier()
    ann.send(*map(Leave, stage.transcript.conversations))
    ann.barrier()


@all_of_them_end.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [], since="gone")
    left = [dict(listed.conversations) for listed in seen.lists("ann", since="gone")]
    first, second, third = [*seen.conversations, "", "", ""][:3]
    alone = (seen.name("ann"),)
    if left != [{first: alone, second: alone, third: ()}, {}]:
        yield f"ann was to be alone in two conversations after bo had gone, and all three to end with her LEAVE; {left!a}"


@check("GOODBYE-9", "a user who takes a freed name inherits no invitation", policy="private")
def no_inherited_invitation(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    ann.barrier()
    bo.send(Goodbye())
    bo.read_to_end()
    heir = stage.connect("heir")
    heir.send(Register(bo.name, ""), Join(stage.transcript.conversation), deliberate=True)
    heir.barrier()


@no_inherited_invitation.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("heir", [Code.NOT_INVITED])


@check("REGISTER-6", "a client that was refused a name, and ends, takes no user offline")
def refused_ones_go(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    for label in ("leaver", "breaker"):
        other = stage.connect(label)
        other.send(Register(ann.name, "fake"), deliberate=True)
        other.wait_for(Error)
        if label == "leaver":
            other.send(Goodbye())
            other.read_to_end()
        other.reset()
    bo.barrier()
    stage.mark("gone")
    stage.enter("cy")
    ann.send(SendMessage(stage.transcript.conversation, "it is I"))
    stage.barrier(ann, bo)


@refused_ones_go.judge
def _(seen: Transcript) -> Complaints:
    for party in ("ann", "bo"):
        yield from seen.expect(party, [seen.said("ann", "it is I")], since="gone")
    yield from _expect_shown(seen, "cy", "ann", "here")


def _expect_shown(seen: Transcript, party: str, shown: str, status: str) -> Complaints:
    """Complain unless the first roster of a party has another one with a status."""
    first = next(iter(seen.rosters(party)), OnlineUsers({}))
    if first.users.get(seen.name(shown)) != status:
        yield f"{party} was to be shown {shown} as {status!r}, and was shown {first.users.get(seen.name(shown))!r}"


@check(
    "GOODBYE-4", "the end of an old connection does not take a user offline who has the freed name by then"
)
def old_connection_ends(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send(Goodbye())
    ann.read_to_end()
    heir = stage.connect("heir")
    heir.send(Register(ann.name, "back"))
    heir.wait_for(OnlineUsers)
    ann.reset()
    for _ in range(5):  # until the server has seen the end of the old connection, too
        heir.barrier()
    stage.enter("cy")
    heir.barrier()


@old_connection_ends.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("heir", [])
    yield from _expect_shown(seen, "cy", "ann", "back")


@check("GOODBYE-8", "a user who has joined uninvited and goes offline is no longer a member", policy="open")
def uninvited_member_goes(stage: Stage) -> None:
    ann, _bo = stage.talk("ann", "bo")
    [cy] = stage.enter("cy")
    cy.send(Join(stage.transcript.conversation))
    cy.barrier()
    cy.send(Goodbye())
    cy.read_to_end()
    stage.mark("gone")
    ann.barrier()


@uninvited_member_goes.judge
def _(seen: Transcript) -> Complaints:
    members = (seen.name("ann"), seen.name("bo"))
    if [listed.conversations.get(seen.conversation) for listed in seen.lists("ann", since="gone")] != [
        members
    ]:
        yield f"after cy's GOODBYE the members were to be {members}"


@check("GOODBYE-2", "a user who goes offline after all conversations have ended is offline")
def conversations_ended_before(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    second = stage.invite(ann, bo)
    for party in (bo, ann):
        party.send(Leave(stage.transcript.conversation), Leave(second))
        party.barrier()
    bo.send(Goodbye())
    bo.read_to_end()
    stage.mark("gone")
    ann.wait_to_see(bo.name, None)
    heir = stage.connect("heir")
    heir.send(Register(bo.name, ""))
    heir.barrier()
    ann.barrier()


@conversations_ended_before.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("heir", [])
    yield from seen.expect("ann", [], since="gone")


@check("GOODBYE-5", "a text sent in one write with a GOODBYE after it is delivered, also to its sender")
def last_words(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    stage.mark("said")
    ann.send(
        SendMessage(stage.transcript.conversation, "a"),
        SendMessage(stage.transcript.conversation, "b"),
        Goodbye(),
    )
    ann.read_to_end()
    bo.barrier()


@last_words.judge
def _(seen: Transcript) -> Complaints:
    said = [seen.said("ann", text) for text in "ab"]
    yield from seen.expect("ann", said, since="said")
    yield from seen.expect("bo", said, since="said")
    yield from seen.expect_closed("ann")
