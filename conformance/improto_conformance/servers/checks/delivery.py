"""Checks of what is said in conversations."""

from improto.messages import (
    Code,
    Conversations,
    Error,
    Invitation,
    Invite,
    Join,
    Leave,
    ListConversations,
    Message,
    SendMessage,
    Status,
)
from improto_conformance.servers.check import Complaints, check
from improto_conformance.servers.stage import Stage
from improto_conformance.transcripts.transcript import Event, Transcript

_TEXTS = (
    "plain",
    "",
    "  two  spaces,  at both ends  ",
    "line\nbreak\r\nand\ttab",
    "quotes \" ' and \\ backslashes \\n",
    "Grüße, 日本語, 😀",
    "{[(<nested>)]} , = ; :",
    "\x00\x01\x1f\x7f\x85\u2028",
    "a\rreturn\n\rof the carriage alone",
    "e\u0301 \u212b \ufb01, \ufeffand what\u200b is not seen\u200d",
)


def _speak(stage: Stage, *labels: str) -> None:
    """Have the first of some members say something."""
    first, *others = stage.talk(*labels)
    stage.mark("said")
    first.send(SendMessage(stage.transcript.conversation, "hello"))
    stage.barrier(first, *others)


@check("SEND-2", "a message goes to all other members")
def to_all_members(stage: Stage) -> None:
    _speak(stage, "ann", "bo", "cy", "di")


@to_all_members.judge
def _(seen: Transcript) -> Complaints:
    for party in ("bo", "cy", "di"):
        yield from seen.expect(party, [seen.said("ann", "hello")], since="said")


@check("SEND-2", "a member who sends nothing receives all messages")
def to_listeners(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    stage.mark("said")
    for text in ("one", "two", "three"):
        ann.send(SendMessage(stage.transcript.conversation, text))
    stage.sentinel(ann, bo)


@to_listeners.judge
def _(seen: Transcript) -> Complaints:
    heard = [getattr(item, "text", item) for item in seen.heard("bo", since="said")]
    if heard[:3] != ["one", "two", "three"] or len(heard) != 4:
        yield f"bo, who only listens, was to hear three messages and a last one, and heard {heard}"


@check("SEND-3", "the sender gets a copy")
def to_the_sender(stage: Stage) -> None:
    _speak(stage, "ann", "bo")


@to_the_sender.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [seen.said("ann", "hello")], since="said")


@check("SEND-4", "a message goes only to members, not to users who are only invited")
def to_nobody_else(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    cy, di = stage.enter("cy", "di")
    second = stage.invite(ann, cy)
    stage.mark("said")
    bo.send(SendMessage(stage.transcript.conversation, "for members"))
    bo.barrier()
    ann.send(SendMessage(second, "before my own JOIN"), deliberate=True)
    stage.barrier(ann, cy, di)


@to_nobody_else.judge
def _(seen: Transcript) -> Complaints:
    for party in ("cy", "di"):
        yield from seen.expect(party, [], since="said")


@check("SEND-5", "a message for an unknown conversation is refused")
def to_an_unknown_one(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send(SendMessage("no-such-id-as-this-one", "x"), deliberate=True)
    ann.barrier()


@to_an_unknown_one.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.NO_SUCH_CONVERSATION])


@check("SEND-6", "a user who is not a member cannot send")
def from_outside(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    [cy] = stage.enter("cy")
    stage.mark("said")
    cy.send(SendMessage(stage.transcript.conversation, "let me in"), deliberate=True)
    stage.barrier(cy, ann, bo)


@from_outside.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("cy", [Code.NOT_MEMBER], since="said")
    for party in ("ann", "bo"):
        yield from seen.expect(party, [], since="said")


@check("MESSAGE-2", "a message bears the name of its sender")
def sender(stage: Stage) -> None:
    ann, bo, cy = stage.talk("ann", "bo", "cy")
    stage.mark("said")
    for party in (bo, ann, cy):
        party.send(SendMessage(stage.transcript.conversation, "I"))
        party.barrier()
    ann.barrier()


@sender.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [seen.said(party, "I") for party in ("bo", "ann", "cy")], since="said")


@check(
    "SEND-2",
    "each of 65 members, as many as one INVITE makes, gets each message, and so do 64 who come uninvited",
    defaults=True,
)
def many_members(stage: Stage) -> None:
    parties = [*stage.talk(*_MANY)]
    if not stage.profile.private:
        for party in stage.enter(*_MORE):
            party.send(Join(stage.transcript.conversation))
            party.barrier()
            parties.append(party)
    stage.mark("said")
    for party in (parties[0], parties[-1]):
        party.send(SendMessage(stage.transcript.conversation, "to all"))
        party.barrier()
    stage.barrier(*parties)


@many_members.judge
def _(seen: Transcript) -> Complaints:
    said = [seen.said(party, "to all") for party in (_MANY[0], *list(seen.codecs)[-1:])]
    for party in seen.codecs:
        yield from seen.expect(party, said, since="said")
    names = set(map(seen.name, _MANY))
    for roster in seen.rosters(_MANY[-1])[:1]:
        if missing := names - roster.users.keys():
            yield f"{_MANY[-1]} was to be shown all {len(_MANY)} users, and was not shown {sorted(missing)!a}"


_MANY = tuple(f"user {number}" for number in range(65))
_MORE = tuple(f"user {number}" for number in range(65, 129))


@check("MESSAGE-3", "a message bears the id of its conversation")
def two_conversations(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    second = stage.invite(ann, bo)
    for party in (ann, bo):
        party.send(Join(second))
        party.barrier()
    stage.mark("said")
    ann.send(SendMessage(stage.transcript.conversation, "first"), SendMessage(second, "second"))
    stage.barrier(ann, bo)


@two_conversations.judge
def _(seen: Transcript) -> Complaints:
    wanted = [
        Message(id, seen.name("ann"), text)
        for id, text in zip(seen.conversations, ("first", "second"), strict=False)
    ]
    yield from seen.expect("bo", wanted, since="said")


@check("MESSAGE-4", "texts arrive unchanged, code point by code point")
def texts(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    stage.mark("said")
    for text in _TEXTS:
        ann.send(SendMessage(stage.transcript.conversation, text))
    stage.barrier(ann, bo)


@texts.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("bo", [seen.said("ann", text) for text in _TEXTS], since="said")


_LONGEST = ("x" * 8192, "é" * 4096, "\U0001f600" * 2048, "\x01" * 8192, '"\\' * 4096)


@check("LIMIT-11", "a text of 8,192 bytes is delivered, a longer one refused")
def longest_text(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    stage.mark("said")
    for text in (*_LONGEST, "x" * 8193, "é" * 4097):
        ann.send(SendMessage(stage.transcript.conversation, text), deliberate=True)
    stage.barrier(ann, bo)


@longest_text.judge
def _(seen: Transcript) -> Complaints:
    said = [seen.said("ann", text) for text in _LONGEST]
    yield from seen.expect("ann", [*said, Code.INVALID, Code.INVALID], since="said")
    yield from seen.expect("bo", said, since="said")


@check("MESSAGE-5", "all members hear the messages of several senders in one order", varies=True)
def one_order(stage: Stage) -> None:
    parties = stage.talk("ann", "bo", "cy")
    stage.mark("said")
    for number in range(20):
        for party in parties:
            party.send(SendMessage(stage.transcript.conversation, f"{party.label} {number}"))
    stage.drain(*parties)


@one_order.judge
def _(seen: Transcript) -> Complaints:
    heard = {party: seen.heard(party, since="said") for party in ("ann", "bo", "cy")}
    if not heard["ann"] == heard["bo"] == heard["cy"]:
        yield "ann, bo and cy were to hear the same messages in the same order"
    if len(heard["ann"]) != 60:
        yield f"60 messages were to be heard, and {len(heard['ann'])} were"


@check("JOIN-11", "a user who joins late, or comes back, does not receive what was said before")
def no_history(stage: Stage) -> None:
    ann, bo, cy = stage.enter("ann", "bo", "cy")
    id = stage.invite(ann, bo, cy)
    bo.send(Join(id), Leave(id))
    bo.barrier()
    ann.send(Join(id), SendMessage(id, "early"))
    ann.barrier()
    stage.mark("late")
    for party in (bo, cy):
        party.send(Join(id))
        party.barrier()
    ann.send(SendMessage(id, "now"))
    stage.barrier(ann, bo, cy)


@no_history.judge
def _(seen: Transcript) -> Complaints:
    for party in ("bo", "cy"):
        yield from seen.expect(party, [seen.said("ann", "now")], since="late")


@check("SEND-3", "the only member receives its own messages")
def alone(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    id = stage.invite(ann, bo)
    ann.send(Join(id))
    ann.barrier()
    stage.mark("said")
    ann.send(SendMessage(id, "hello"))
    ann.barrier()


@alone.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [seen.said("ann", "hello")], since="said")


@check(
    "SEND-4",
    "a message goes neither to a user who only invited, nor to one who has left, nor to members of another conversation",
)
def to_no_former_member(stage: Stage) -> None:
    ann, bo, cy, di = stage.enter("ann", "bo", "cy", "di")
    first = stage.invite(ann, bo, cy)
    second = stage.invite(di, bo)
    for party, id in ((bo, first), (cy, first), (di, second)):
        party.send(Join(id))
        party.barrier()
    cy.send(Leave(first))
    cy.barrier()
    stage.mark("said")
    bo.send(SendMessage(first, "for bo alone"))
    stage.barrier(bo, ann, cy, di)


@to_no_former_member.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("bo", [seen.said("bo", "for bo alone")], since="said")
    for party in ("ann", "cy", "di"):
        yield from seen.expect(party, [], since="said")


@check("SEND-4", "a message does not go to users who hold an invitation to its conversation")
def to_no_invited_user(stage: Stage) -> None:
    ann, bo, cy = stage.enter("ann", "bo", "cy")
    id = stage.invite(ann, bo, cy)
    ann.send(Join(id))
    ann.barrier()
    stage.mark("said")
    ann.send(SendMessage(id, "for members"))
    stage.barrier(ann, bo, cy)


@to_no_invited_user.judge
def _(seen: Transcript) -> Complaints:
    for party in ("bo", "cy"):
        yield from seen.expect(party, [], since="said")


@check("SEND-6", "the initiator cannot send before JOIN, and nobody after LEAVE")
def before_and_after(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    id = stage.invite(ann, bo)
    bo.send(Join(id))
    bo.barrier()
    stage.mark("said")
    ann.send(SendMessage(id, "not yet"), Join(id), Leave(id), SendMessage(id, "no more"), deliberate=True)
    stage.barrier(ann, bo)


@before_and_after.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.NOT_MEMBER] * 2, since="said")
    yield from seen.expect("bo", [], since="said")


@check("MESSAGE-6", "a user who has left and joined again receives each message once")
def once_after_coming_back(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    bo.send(Leave(stage.transcript.conversation), Join(stage.transcript.conversation))
    bo.barrier()
    stage.mark("said")
    for sender, other in ((ann, bo), (bo, ann)):
        sender.send(SendMessage(stage.transcript.conversation, "once"))
        stage.barrier(sender, other)


@once_after_coming_back.judge
def _(seen: Transcript) -> Complaints:
    for party in ("ann", "bo"):
        yield from seen.expect(party, [seen.said(each, "once") for each in ("ann", "bo")], since="said")


@check("MESSAGE-7", "what is said again is delivered again")
def same_text_again(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    stage.mark("said")
    for _ in range(3):
        ann.send(SendMessage(stage.transcript.conversation, "ha"))
    stage.barrier(ann, bo)


@same_text_again.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("bo", [seen.said("ann", "ha")] * 3, since="said")


def _in_order(stage: Stage) -> None:
    """Have two members send, in one write each, what is answered in different ways."""
    parties = stage.talk("ann", "bo")
    seen = stage.transcript
    id = seen.conversation
    stage.mark("sent")
    for party in parties:
        party.send(
            SendMessage(id, "1"), Join("no-such-id"), ListConversations(), Status("busy"), SendMessage(id, "2"),
            ListConversations(), Leave(id), SendMessage(id, "3"), Join(id), SendMessage(id, "4"), ListConversations(), deliberate=True,
        )  # fmt: skip
        while len(seen.lists(party.label, since="sent")) < 3:
            party.wait_for(Conversations)


def _as_sent(seen: Transcript) -> Complaints:
    wanted = ["1", Code.NO_SUCH_CONVERSATION, "list", "2", "list", Code.NOT_MEMBER, "4", "list"]
    for party in ("ann", "bo"):
        mine = [
            item.text
            if isinstance(item, Message)
            else "list"
            if isinstance(item, Conversations)
            else item.code
            for item in (
                entry.item for entry in seen.of(party, since="sent") if entry.event is Event.RECEIVED
            )
            if isinstance(item, Error | Conversations)
            or (isinstance(item, Message) and item.sender == seen.name(party))
        ]
        if mine != wanted:
            yield f"{party} was to receive {wanted}, and received {mine}"


@check("ORDER-3", "requests in one write take effect in their order")
def as_they_came(stage: Stage) -> None:
    _in_order(stage)


@check("ORDER-2", "messages, refusals and lists come in the order of the requests that caused them")
def in_one_line(stage: Stage) -> None:
    _in_order(stage)


as_they_came.judge(_as_sent)
in_one_line.judge(_as_sent)


@check("ORDER-5", "what INVITE and SEND_MESSAGE cause comes before the list that was asked for after them")
def before_the_list(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    stage.mark("sent")
    ann.send(Invite((bo.name,)), SendMessage(stage.transcript.conversation, "x"), ListConversations())
    ann.wait_for(Conversations)
    stage.mark("listed")
    stage.barrier(ann)


@before_the_list.judge
def _(seen: Transcript) -> Complaints:
    invitation = Invitation("".join(seen.conversations[-1:]), seen.name("ann"))
    yield from seen.expect("ann", [invitation, seen.said("ann", "x")], since="sent", until="listed")


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
