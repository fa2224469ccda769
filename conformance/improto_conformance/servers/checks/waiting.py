"""Checks of what waits for somebody who reads late, or not at all: nothing of it is lost, and nobody else waits."""

from collections.abc import Sequence

from improto.messages import (
    AnyMessage,
    Code,
    Conversations,
    Error,
    Goodbye,
    Invitation,
    Invite,
    Join,
    ListConversations,
    Message,
    OnlineUsers,
    Register,
    Response,
    SendMessage,
    Status,
)
from improto_conformance.servers.check import Complaints, check
from improto_conformance.servers.party import Party
from improto_conformance.servers.stage import Stage
from improto_conformance.transcripts.transcript import Event, Transcript


def _read_all(party: Party) -> None:
    """Receive all that has waited: up to a list, or to the `slow-consumer` of a server that lets less wait (FLOW-7)."""
    party.send(ListConversations())
    party.wait(lambda message: isinstance(message, Conversations) or _is_end(message), Conversations.COMMAND)


def _is_end(message: Response) -> bool:
    return isinstance(message, Error) and message.code == Code.SLOW_CONSUMER


def _expect_all(
    seen: Transcript, party: str, texts: Sequence[str], more: Sequence[AnyMessage] = ()
) -> Complaints:
    """Complain unless a party received all that ann said, and `more`, or what came before its `slow-consumer`."""
    heard = seen.heard(party, since="said")
    wanted: list[AnyMessage | str] = [*[seen.said("ann", text) for text in texts], *more]
    if heard[-1:] == [Code.SLOW_CONSUMER]:
        wanted = [*wanted[: len(heard) - 1], Code.SLOW_CONSUMER]
    yield from seen.expect(party, wanted, since="said")


@check("FLOW-5", "a member that does not read delays nobody")
def slow_reader(stage: Stage) -> None:
    ann, _slow = stage.talk("ann", "slow")
    stage.mark("said")
    for _ in range(20):
        ann.send(*[SendMessage(stage.transcript.conversation, "x" * 4000)] * 5)
        ann.barrier()  # ann reads its copies: from who does not read, a server need not take more (FLOW-6)


@slow_reader.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [seen.said("ann", "x" * 4000)] * 100, since="said")


@check("FLOW-4", "a member that reads late has missed nothing, neither a message nor an invitation")
def late_reader(stage: Stage) -> None:
    ann, late = stage.talk("ann", "late")
    stage.mark("said")
    for number in range(100):
        ann.send(SendMessage(stage.transcript.conversation, f"{number} {'x' * 4000}"))
        if number % 5 == 4:
            ann.barrier()
    ann.send(Invite((late.name,)), deliberate=True)  # late may be gone by then: FLOW-7
    ann.barrier()
    _read_all(late)


@late_reader.judge
def _(seen: Transcript) -> Complaints:
    invitations = [Invitation(id, seen.name("ann")) for id in seen.conversations[1:]]
    texts = [f"{number} {'x' * 4000}" for number in range(100)]
    yield from _expect_all(seen, "late", texts, invitations)


def _wait_a_little(stage: Stage, number: int, text: str) -> None:
    """Have ann say a text so many times while somebody pauses, who reads it all afterwards."""
    ann, late = stage.talk("ann", "late")
    stage.mark("said")
    for _ in range(number):
        ann.send(SendMessage(stage.transcript.conversation, text))
        ann.barrier()
    _read_all(late)


@check("FLOW-7", "a reader that pauses while 300 short messages come is not closed, and gets them all")
def short_ones_wait(stage: Stage) -> None:
    _wait_a_little(stage, 300, "x")


@check("FLOW-7", "a reader that pauses while 7 of the longest messages come is not closed, and gets them all")
def long_ones_wait(stage: Stage) -> None:
    _wait_a_little(stage, 7, "x" * 8192)


@short_ones_wait.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("late", [seen.said("ann", "x")] * 300, since="said")


@long_ones_wait.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("late", [seen.said("ann", "x" * 8192)] * 7, since="said")


@check("CONN-6", "one message is whole for a reader that is slower than its sender")
def whole_for_slow_readers(stage: Stage) -> None:
    ann, slow = stage.talk("ann", "slow")
    stage.mark("said")
    for _ in range(60):
        ann.send(*[SendMessage(stage.transcript.conversation, "y" * 8000)] * 2)
        ann.barrier()
    _read_all(slow)


@whole_for_slow_readers.judge
def _(seen: Transcript) -> Complaints:
    for party in ("ann", "slow"):
        yield from _expect_all(seen, party, ["y" * 8000] * 120)


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
    for _ in range(6):
        ann.send(*[SendMessage(id, "x" * 4000)] * 5)
        ann.barrier()
    for number in range(2):
        ann.send(SendMessage(id, f"before {number}"), Status(str(number)), SendMessage(id, f"after {number}"))
        ann.wait_to_see(ann.name, str(number))
    last = late.wait(
        lambda m: _is_end(m) or (isinstance(m, OnlineUsers) and m.users.get(ann.name) == "1"),
        f"a roster that shows {ann.name} as '1'",
    )
    if not _is_end(last):
        _read_all(late)


@check("FLOW-4", "no message is lost though rosters are made while it waits")
def none_lost_among_rosters(stage: Stage) -> None:
    _while_it_waits(stage)


@none_lost_among_rosters.judge
def _(seen: Transcript) -> Complaints:
    said = ["x" * 4000] * 30 + [f"{when} {number}" for number in range(2) for when in ("before", "after")]
    yield from _expect_all(seen, "late", said)


@check("FLOW-3", "a roster that replaces a waiting one does not come before what was said meanwhile")
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
    yield from seen.expect("ann", [seen.said("ann", "x" * 4000)] * 40, since="said")
    yield from seen.expect("cy", [])


@check(
    "FLOW-5",
    "a member, and a client that is not registered, that stop within a message delay nobody",
    transport="stream",
)
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
    yield from seen.expect("ann", [seen.said("ann", "whole")], since="said")
    yield from seen.expect("cy", [])


@check("MESSAGE-7", "a client that reads gets everything, however much it is, and is not closed as slow")
def however_much(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    stage.mark("said")
    for _ in range(36):
        ann.send(*[SendMessage(stage.transcript.conversation, "x" * 8000)] * 5)
        stage.barrier(ann, bo)


@however_much.judge
def _(seen: Transcript) -> Complaints:
    for party in ("ann", "bo"):
        yield from seen.expect(party, [seen.said("ann", "x" * 8000)] * 180, since="said")
