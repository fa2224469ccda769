"""Checks of what is said in conversations."""

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
    Message,
    OnlineUsers,
    Register,
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
    for _ in range(20):
        ann.send(*[SendMessage(stage.transcript.conversation, "x" * 4000)] * 5)
        ann.barrier()  # ann reads its copies: from who does not read, a server need not take more (FLOW-6)


@slow_reader.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [_says(seen, "ann", "x" * 4000)] * 100, since="said")


@check("FLOW-4", "a member that reads late has missed nothing")
def late_reader(stage: Stage) -> None:
    ann, late = stage.talk("ann", "late")
    stage.mark("said")
    for number in range(100):
        ann.send(SendMessage(stage.transcript.conversation, f"{number} {'x' * 4000}"))
        if number % 5 == 4:
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
        ann.send(*[SendMessage(stage.transcript.conversation, "y" * 8000)] * 2)
        ann.barrier()
    slow.barrier()


@whole_for_slow_readers.judge
def _(seen: Transcript) -> Complaints:
    for party in ("ann", "slow"):
        yield from seen.expect(party, [_says(seen, "ann", "y" * 8000)] * 120, since="said")


@check("FLOW-1", "each LIST_CONVERSATIONS of many that were sent without reading is answered, in its place")
def replies_stay(stage: Stage) -> None:
    [ann] = stage.talk("ann", "bo")[:1]
    stage.mark("asked")
    for number in range(0, 50, 2):
        first, second = (SendMessage(stage.transcript.conversation, str(number + each)) for each in range(2))
        ann.send(first, ListConversations(), Status(str(number)), second, ListConversations())
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


@check("SEND-3", "the only member hears what it says")
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
    yield from seen.expect("ann", [_says(seen, "ann", "hello")], since="said")


@check(
    "SEND-4",
    "a message goes neither to who only invited, nor to who has left, nor to members of another conversation",
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
    yield from seen.expect("bo", [_says(seen, "bo", "for bo alone")], since="said")
    for party in ("ann", "cy", "di"):
        yield from seen.expect(party, [], since="said")


@check("SEND-4", "a message goes to nobody who holds an invitation to its conversation")
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


@check("MESSAGE-6", "who has left and joined again hears each message once")
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
        yield from seen.expect(party, [_says(seen, each, "once") for each in ("ann", "bo")], since="said")


@check("MESSAGE-7", "what is said again is delivered again")
def same_text_again(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    stage.mark("said")
    for _ in range(3):
        ann.send(SendMessage(stage.transcript.conversation, "ha"))
    stage.barrier(ann, bo)


@same_text_again.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("bo", [_says(seen, "ann", "ha")] * 3, since="said")


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
    yield from seen.expect("ann", [invitation, _says(seen, "ann", "x")], since="sent", until="listed")


@check("FLOW-4", "all refusals and invitations of many that wait together come")
def none_replaced(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    three: list[AnyMessage] = [Join("no-such-id"), Invite((bo.name,)), Status("busy")]
    ann.send(*three * 5, deliberate=True)
    stage.barrier(ann, bo)


@none_replaced.judge
def _(seen: Transcript) -> Complaints:
    invitations = [Invitation(id, seen.name("ann")) for id in seen.conversations]
    if len(invitations) != 5:
        yield f"ann was to receive 5 invitations, and received {len(invitations)}"
    yield from seen.expect("bo", invitations)
    yield from seen.expect("ann", [each for one in invitations for each in (Code.NO_SUCH_CONVERSATION, one)])


def _while_it_waits(stage: Stage) -> None:
    """Let rosters and messages come by turns while so much waits for a member that it takes no more."""
    late, ann = stage.talk("late", "ann")
    id = stage.transcript.conversation
    ann.wait_to_see(late.name, "here")
    stage.mark("said")
    for _ in range(30):
        ann.send(SendMessage(id, "x" * 4000))
    for number in range(2):
        ann.send(SendMessage(id, f"before {number}"), Status(str(number)), SendMessage(id, f"after {number}"))
        ann.wait_to_see(ann.name, str(number))
    late.wait_to_see(ann.name, "1")
    late.barrier()


@check("FLOW-4", "no message is lost though rosters are made while it waits")
def none_lost_among_rosters(stage: Stage) -> None:
    _while_it_waits(stage)


@none_lost_among_rosters.judge
def _(seen: Transcript) -> Complaints:
    said = ["x" * 4000] * 30 + [f"{when} {number}" for number in range(2) for when in ("before", "after")]
    yield from seen.expect("late", [_says(seen, "ann", text) for text in said], since="said")


@check(
    "FLOW-3", "a roster that replaces a waiting one does not take its place before what was said meanwhile"
)
def newest_at_the_end(stage: Stage) -> None:
    _while_it_waits(stage)


@newest_at_the_end.judge
def _(seen: Transcript) -> Complaints:
    items = [entry.item for entry in seen.of("late", since="said") if entry.event is Event.RECEIVED]
    shown = [item.users.get(seen.name("ann")) for item in items if isinstance(item, OnlineUsers)]
    said: list[str] = []
    for item in items:
        if isinstance(item, Message):
            said.append(item.text)
        elif isinstance(item, OnlineUsers):
            status = item.users.get(seen.name("ann"), "")
            if status == "1" and "0" not in shown and "before 1" not in said:
                yield "the roster with '1' took the place of one that waited, before 'before 1'"
            if "after 1" in said and status != "1" and "1" not in shown:
                yield "the newest roster was dropped for one that waited"


@check("FLOW-5", "the others go on while a member does not read, and new ones come")
def others_go_on(stage: Stage) -> None:
    ann, _slow = stage.talk("ann", "slow")
    id = stage.transcript.conversation
    stage.mark("said")
    for _ in range(4):
        for _ in range(10):
            ann.send(SendMessage(id, "x" * 4000))
        ann.barrier()
    [cy] = stage.enter("cy")
    cy.barrier()


@others_go_on.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [_says(seen, "ann", "x" * 4000)] * 40, since="said")
    yield from seen.expect("cy", [])


@check("FLOW-5", "a member and a stranger who stop in mid-message delay nobody", transport="stream")
def in_mid_message(stage: Stage) -> None:
    ann, slow = stage.talk("ann", "slow")
    said = SendMessage(stage.transcript.conversation, "whole")
    slow.send_bytes(slow.encoded(said)[:-4])
    stranger = stage.connect("stranger")
    stranger.send_bytes(stranger.encoded(Register(stranger.name, "here"))[:-4])
    stage.mark("said")
    ann.send(said)
    ann.barrier()
    [cy] = stage.enter("cy")
    cy.barrier()


@in_mid_message.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [_says(seen, "ann", "whole")], since="said")
    yield from seen.expect("cy", [])
