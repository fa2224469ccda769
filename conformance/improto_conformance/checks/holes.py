"""Checks that mutants of the reference have asked for: each of them did something wrong that no other check saw."""

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
)
from improto_conformance.check import Complaints, check
from improto_conformance.stage import Stage
from improto_conformance.transcript import Event, Transcript


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


@check("LIMIT-18", "for a conversation that has ended one more may be begun, and no second one")
def one_more_for_one_ended(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    for _ in range(stage.profile.limits.living):
        stage.invite(ann, bo)
    first = stage.transcript.conversation
    bo.send(Leave(first))
    bo.barrier()
    ann.send(Leave(first))
    ann.barrier()
    stage.mark("ended")
    ann.send(Invite((bo.name,)), Invite((bo.name,)))
    stage.barrier(ann, bo)


@one_more_for_one_ended.judge
def _(seen: Transcript) -> Complaints:
    made = [Invitation(id, seen.name("ann")) for id in seen.conversations[-1:]]
    yield from seen.expect("ann", [*made, Code.TOO_MANY], since="ended")


@check(
    "CONN-17",
    "a client that has registered, or ended, in time gets no `timeout`; one that only tries and asks gets it in time",
    seconds="register",
)
def in_time(stage: Stage) -> None:
    stranger = stage.connect("stranger")
    stranger.send(ListConversations(), deliberate=True)  # so that the server knows the codec
    stranger.wait_for(Error)
    stranger.reset()
    [ann] = stage.enter("ann")
    entries, profile = stage.transcript.entries, stage.profile
    repeat = max(profile.repeat, profile.presence)
    late = stage.connect("late")
    late.send(Register(ann.name, ""), deliberate=True)
    late.wait_for(Error)
    begun = entries[-1].time
    stage.mark("in time")
    while (passed := entries[-1].time - begun) < 0.3 * profile.register:
        ann.wait_for(OnlineUsers, within=repeat)
    if passed < 0.8 * profile.register:  # else there may be no time to answer
        late.send(ListConversations(), deliberate=True)
        late.wait_for(Error)
    late.read_to_end(within=max(0.0, begun + profile.register - entries[-1].time))
    while entries[-1].time < begun + 1.1 * profile.register:
        ann.wait_for(OnlineUsers, within=repeat)
    ann.barrier()


@in_time.judge
def _(seen: Transcript) -> Complaints:
    asked = [entry for entry in seen.of("late") if isinstance(entry.item, ListConversations)]
    yield from seen.expect("late", [Code.NAME_IN_USE, *[Code.NOT_REGISTERED for _ in asked], Code.TIMEOUT])
    yield from seen.expect_closed("late")
    yield from seen.expect("ann", [], since="in time")
    if not seen.lists("ann", since="in time"):
        yield "ann was to be served beyond the time to register"


@check(
    "CODEC-16",
    "who says too little to tell the codec is not told that the time to register is over",
    codecs=("ascii",),
    transport="stream",
    seconds="register",
)
def never_known(stage: Stage) -> None:
    silent, hesitant = stage.connect("silent"), stage.connect("hesitant")
    hesitant.send_bytes(b"GOOD")
    for party in (silent, hesitant):
        party.read_to_end(within=stage.profile.register)


never_known.needs = ("json", "pickle")


@never_known.judge
def _(seen: Transcript) -> Complaints:
    for party in ("silent", "hesitant"):
        if any(entry.event in (Event.RECEIVED, Event.FAULT) for entry in seen.of(party)):
            yield f"{party} was to receive nothing, since nobody knew the codec"
        yield from seen.expect_closed(party)


@check("ORDER-2", "what is said in two conversations in one write comes in that order")
def said_by_turns(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    second = stage.invite(ann, bo)
    for party in (ann, bo):
        party.send(Join(second))
        party.barrier()
    stage.mark("said")
    ann.send(*_by_turns(stage.transcript))
    stage.barrier(ann, bo)


def _by_turns(seen: Transcript) -> list[SendMessage]:
    return [
        SendMessage(id, f"{turn}.{place}") for turn in range(3) for place, id in enumerate(seen.conversations)
    ]


@said_by_turns.judge
def _(seen: Transcript) -> Complaints:
    said = [Message(each.conversation, seen.name("ann"), each.text) for each in _by_turns(seen)]
    for party in ("ann", "bo"):
        yield from seen.expect(party, said, since="said")


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
