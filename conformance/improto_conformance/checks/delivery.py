"""Checks of what is said in conversations."""

from improto.messages import (
    Code,
    Conversations,
    Goodbye,
    Join,
    ListConversations,
    Message,
    OnlineUsers,
    SendMessage,
    Status,
)
from improto_conformance.check import Complaints, check
from improto_conformance.stage import Stage
from improto_conformance.transcript import Event, Transcript

_TEXTS = (
    "plain",
    "",
    "  two  spaces,  at both ends  ",
    "line\nbreak\r\nand\ttab",
    "quotes \" ' and \\ backslashes \\n",
    "Grüße, 日本語, 😀",
    "{[(<nested>)]} , = ; :",
    "\x00\x01\x1f\x7f\x85\u2028",
)


def _says(seen: Transcript, party: str, text: str) -> Message:
    return Message(seen.conversation, seen.name(party), text)


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
        yield from seen.expect(party, [_says(seen, "ann", "hello")], since="said")


@check("SEND-2", "who only listens, and sends nothing, is sent all messages")
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
    yield from seen.expect("ann", [_says(seen, "ann", "hello")], since="said")


@check("SEND-4", "a message goes to nobody who is no member, invited or not")
def to_nobody_else(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    cy, di = stage.enter("cy", "di")
    second = stage.invite(ann, cy)
    stage.mark("said")
    bo.send(SendMessage(stage.transcript.conversation, "for members"))
    ann.send(SendMessage(second, "before my own JOIN"), deliberate=True)
    stage.barrier(bo, ann, cy, di)


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


@check("SEND-6", "who is no member cannot send", policy="open")
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
    yield from seen.expect("ann", [_says(seen, party, "I") for party in ("bo", "ann", "cy")], since="said")


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
    yield from seen.expect("bo", [_says(seen, "ann", text) for text in _TEXTS], since="said")


@check("LIMIT-11", "a text of 8,192 bytes is delivered, a longer one refused")
def longest_text(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    stage.mark("said")
    for text in ("x" * 8192, "é" * 4096, "x" * 8193, "é" * 4097):
        ann.send(SendMessage(stage.transcript.conversation, text), deliberate=True)
    stage.barrier(ann, bo)


@longest_text.judge
def _(seen: Transcript) -> Complaints:
    said = [_says(seen, "ann", "x" * 8192), _says(seen, "ann", "é" * 4096)]
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


@check("JOIN-11", "who joins late does not hear what was said before")
def no_history(stage: Stage) -> None:
    ann, bo, cy = stage.enter("ann", "bo", "cy")
    id = stage.invite(ann, bo, cy)
    ann.send(Join(id), SendMessage(id, "early"))
    ann.barrier()
    stage.mark("late")
    cy.send(Join(id))
    cy.barrier()


@no_history.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("cy", [], since="late")


@check("FLOW-5", "a member that does not read delays nobody")
def slow_reader(stage: Stage) -> None:
    ann, _slow = stage.talk("ann", "slow")
    stage.mark("said")
    for _ in range(100):
        ann.send(SendMessage(stage.transcript.conversation, "x" * 4000))
    ann.barrier()


@slow_reader.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [_says(seen, "ann", "x" * 4000)] * 100, since="said")


@check("FLOW-4", "a member that reads late has missed nothing")
def late_reader(stage: Stage) -> None:
    ann, late = stage.talk("ann", "late")
    stage.mark("said")
    for number in range(100):
        ann.send(SendMessage(stage.transcript.conversation, f"{number} {'x' * 4000}"))
    ann.barrier()
    late.barrier()


@late_reader.judge
def _(seen: Transcript) -> Complaints:
    said = [_says(seen, "ann", f"{number} {'x' * 4000}") for number in range(100)]
    yield from seen.expect("late", said, since="said")


@check("CONN-6", "one message is whole for a reader that is slower than its sender")
def whole_for_slow_readers(stage: Stage) -> None:
    ann, slow = stage.talk("ann", "slow")
    stage.mark("said")
    for _ in range(60):
        slow.send(*[SendMessage(stage.transcript.conversation, "y" * 8000)] * 2)
    stage.barrier(slow, ann)


@whole_for_slow_readers.judge
def _(seen: Transcript) -> Complaints:
    for party in ("ann", "slow"):
        yield from seen.expect(party, [_says(seen, "slow", "y" * 8000)] * 120, since="said")


@check("FLOW-1", "each LIST_CONVERSATIONS of many that were sent without reading is answered, in its place")
def replies_stay(stage: Stage) -> None:
    [ann] = stage.talk("ann", "bo")[:1]
    stage.mark("asked")
    for number in range(50):
        text = SendMessage(stage.transcript.conversation, str(number))
        ann.send(text, ListConversations(), Status(str(number)))
    ann.send(Goodbye())
    ann.read_to_end()


@replies_stay.judge
def _(seen: Transcript) -> Complaints:
    order = [
        item.text if isinstance(item, Message) else "list"
        for item in (entry.item for entry in seen.of("ann", since="asked") if entry.event is Event.RECEIVED)
        if isinstance(item, Message | Conversations)
    ]
    wanted = [each for number in range(50) for each in (str(number), "list")]
    if order != wanted:
        yield f"ann was to receive 50 messages, each followed by a list, and received {order}"


@check("FLOW-3", "no roster is older than what came before it, however late it is read")
def rosters_keep_their_place(stage: Stage) -> None:
    ann, late = stage.talk("ann", "late")
    stage.mark("counted")
    for number in range(40):
        ann.send(Status(str(number)), SendMessage(stage.transcript.conversation, str(number)))
        ann.barrier()
    late.wait_to_see(ann.name, "39")
    late.barrier()


@rosters_keep_their_place.judge
def _(seen: Transcript) -> Complaints:
    said = -1
    for entry in seen.of("late", since="counted"):
        if isinstance(entry.item, Message):
            said = int(entry.item.text)
        elif isinstance(entry.item, OnlineUsers):
            status = entry.item.users.get(seen.name("ann"), "")
            if said >= 0 and (not status.isdecimal() or int(status) < said):
                yield f"a roster after message {said} showed the older status {status!r}"
