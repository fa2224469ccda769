"""Checks of refusals and of what is no message."""

from improto.messages import (
    Code,
    Conversations,
    Error,
    Invitation,
    Invite,
    Join,
    Leave,
    ListConversations,
    Register,
    SendMessage,
    Status,
)
from improto_conformance.servers.check import Complaints, check
from improto_conformance.servers.stage import Stage
from improto_conformance.transcripts.transcript import Transcript

_UNKNOWN = {
    "ascii": b"FROBNICATE x y\n",
    "json": b'{"type":"FROBNICATE","x":[1,{}]}\n',
    "msgpack": b"\0\0\0\x0e\x92\xaaFROBNICATE\xa1x",
    "pickle": b"FROBNICATE (S'x'\nl.",
}
_WRONG_WAY = {
    "ascii": b"MESSAGE 1 bo x\n",
    "json": b'{"type":"MESSAGE","conversation":"1","sender":"bo","text":"x"}\n',
    "msgpack": b"\0\0\0\x10\x94\xa7MESSAGE\xa11\xa2bo\xa1x",
    "pickle": b"MESSAGE (S'1'\nS'bo'\nS'x'\nl.",
}
_MALFORMED = {
    "ascii": b'STATUS "open\n',
    "json": b'{"type":"STATUS","status":"open\n',
    "msgpack": b"\0\0\0\x01\xc1",
    "pickle": b"STATUS cos\nsystem\n.",
}
_WRONG_TYPE = {
    "ascii": b"STATUS\n",
    "json": b'{"type":"STATUS","status":7}\n',
    "msgpack": b"\0\0\0\x09\x92\xa6STATUS\x07",
    "pickle": b"STATUS N.",
}
_FRAMED = ("ascii", "json", "msgpack")
_WRITTEN = (*_FRAMED, "pickle")  # a codec of somebody else has no such bytes here


@check("ERROR-4", "each request that fails gets exactly one ERROR, in order")
def one_each(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    nobody = stage.transcript.name("nobody")
    ann.send(Join("no-such-id"), Invite((nobody,)), Invite((ann.name,)), Leave("no-such-id"), deliberate=True)
    ann.barrier()


@one_each.judge
def _(seen: Transcript) -> Complaints:
    codes = [Code.NO_SUCH_CONVERSATION, Code.NO_SUCH_USER, Code.INVALID, Code.NO_SUCH_CONVERSATION]
    yield from seen.expect("ann", codes)


@check("ERROR-5", "an ERROR goes only to the sender of the request")
def to_nobody_else(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    ann.send(Join("no-such-id"), deliberate=True)
    stage.barrier(ann, bo)


@to_nobody_else.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("bo", [])


@check("ERROR-7", "after an ERROR the connection goes on")
def goes_on(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    for _ in range(10):
        ann.send(Join("no-such-id"), deliberate=True)
        ann.barrier()


@goes_on.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.NO_SUCH_CONVERSATION] * 10)
    yield from seen.expect_open("ann")


_ROUNDS, _EACH = 10, 20  # what waits unread is little at any time: FLOW-7


@check("ERROR-7", "after 200 ERRORs before REGISTER the connection goes on, and after 200 more behind it")
def goes_on_for_long(stage: Stage) -> None:
    ann = stage.connect("ann")
    for request in (Register("", ""), Join("no-such-id")):
        for _ in range(_ROUNDS):
            ann.send(*[request] * _EACH, deliberate=True)
            for _ in range(_EACH):
                ann.wait_for(Error)
        if not ann.roster:
            stage.register(ann)
    ann.barrier()


@goes_on_for_long.judge
def _(seen: Transcript) -> Complaints:
    many = _ROUNDS * _EACH
    yield from seen.expect("ann", [*[Code.INVALID] * many, *[Code.NO_SUCH_CONVERSATION] * many])
    yield from seen.expect_open("ann")


@check("CONN-11", "an unknown command is answered, and the connection goes on", codecs=_WRITTEN)
def unknown_command(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send_bytes(_UNKNOWN[ann.codec.name])
    ann.barrier()


@unknown_command.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.UNKNOWN_COMMAND])
    yield from seen.expect_open("ann")


@check("CONN-9", "a command that only servers send is unknown to a server", codecs=_WRITTEN)
def wrong_way(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    ann.send_bytes(_WRONG_WAY[ann.codec.name])
    stage.barrier(ann, bo)


@wrong_way.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.UNKNOWN_COMMAND])
    yield from seen.expect("bo", [])


@check("CONN-23", "a malformed message in its frame is answered, and the connection goes on", codecs=_FRAMED)
def malformed(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send_bytes(_MALFORMED[ann.codec.name])
    ann.barrier()


@malformed.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.MALFORMED])
    yield from seen.expect_open("ann")


@check(
    "CONN-24",
    "after a malformed pickle, whose end is unknown, the connection is closed",
    codecs=("pickle",),
    transport="stream",
)
def malformed_pickle(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send_bytes(_MALFORMED["pickle"])
    ann.read_to_end()


@malformed_pickle.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.MALFORMED])
    yield from seen.expect_closed("ann")


@check("CONN-25", "a malformed message on one connection does not affect another one", codecs=_WRITTEN)
def others_unharmed(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    [bad] = stage.enter("bad")
    bad.send_bytes(_MALFORMED[bad.codec.name])
    bad.hear(1)
    stage.mark("said")
    ann.send(SendMessage(stage.transcript.conversation, "still here"))
    stage.barrier(ann, bo)


@others_unharmed.judge
def _(seen: Transcript) -> Complaints:
    for party in ("ann", "bo"):
        if len(seen.heard(party, since="said")) != 1:
            yield f"{party} was to hear the message after somebody else's malformed one"


@check("CODEC-5", "another value in place of a text is invalid, and the connection goes on", codecs=_WRITTEN)
def wrong_type(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send_bytes(_WRONG_TYPE[ann.codec.name])
    ann.barrier()


@wrong_type.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.INVALID])
    yield from seen.expect_open("ann")


@check("CONN-24", "a request over 64 KiB is too large, and the connection is closed")
def too_large(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send(Status("x" * 70_000), deliberate=True)
    ann.read_to_end()


@too_large.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.TOO_LARGE])
    yield from seen.expect_closed("ann")


@check("ERROR-3", "a STATUS and a text that are too long have no effect, cut or not")
def nothing_cut(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    stage.mark("sent")
    ann.send(Status("x" * 257), SendMessage(stage.transcript.conversation, "x" * 8193), deliberate=True)
    stage.barrier(ann, bo)
    bo.send(Status("busy"))
    ann.wait_to_see(bo.name, "busy")


@nothing_cut.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.INVALID] * 2, since="sent")
    yield from seen.expect("bo", [], since="sent")
    if any(roster.users.get(seen.name("ann")) != "here" for roster in seen.rosters("ann")):
        yield "the status of ann was to stay 'here'"


@check("ERROR-3", "a JOIN that is refused makes no member", policy="private")
def no_member_by_a_refused_join(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    [cy] = stage.enter("cy")
    cy.send(Join(stage.transcript.conversation), deliberate=True)
    cy.barrier()
    stage.mark("said")
    ann.send(SendMessage(stage.transcript.conversation, "for members"))
    stage.barrier(ann, bo, cy)


@no_member_by_a_refused_join.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("cy", [Code.NOT_INVITED])
    for listed in seen.lists("ann", since="said"):
        if listed.conversations.get(seen.conversation) != (seen.name("ann"), seen.name("bo")):
            yield "ann and bo were to stay the only members"


@check("ERROR-3", "a LEAVE that is refused changes no members", policy="open")
def same_members_after_a_refused_leave(stage: Stage) -> None:
    ann, _bo = stage.talk("ann", "bo")
    [cy] = stage.enter("cy")
    cy.send(Leave(stage.transcript.conversation), deliberate=True)
    cy.barrier()
    stage.mark("refused")
    ann.barrier()


@same_members_after_a_refused_leave.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("cy", [Code.NOT_MEMBER])
    members = (seen.name("ann"), seen.name("bo"))
    if seen.lists("ann", since="refused") != [Conversations({seen.conversation: members})]:
        yield "ann and bo were to stay members, in this order"


@check("ERROR-3", "a SEND_MESSAGE that is refused leaves an invitation open, which can still be declined")
def invited_after_a_refused_message(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    id = stage.invite(ann, bo)
    stage.mark("invited")
    bo.send(SendMessage(id, "not yet"), Leave(id), deliberate=True)
    bo.barrier()


@invited_after_a_refused_message.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("bo", [Code.NOT_MEMBER], since="invited")


@check("ERROR-3", "an INVITE beyond the limit makes no conversation", policy="private", defaults=True)
def no_65th_conversation(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    for _ in range(66):
        ann.send(Invite((bo.name,)), deliberate=True)
    ann.barrier()


@no_65th_conversation.judge
def _(seen: Transcript) -> Complaints:
    lists = [entry.item for entry in seen.of("ann") if isinstance(entry.item, Conversations)]
    if [len(listed.conversations) for listed in lists] != [64]:
        yield "ann was to be shown 64 conversations after two refused INVITEs"


@check(
    "ERROR-4",
    "each unknown command, each wrong type and each value out of bounds gets exactly one ERROR",
    codecs=_WRITTEN,
)
def one_for_each_fault(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    for nonsense in (_UNKNOWN, _WRONG_WAY, _WRONG_TYPE):
        ann.send_bytes(nonsense[ann.codec.name])
    ann.send(Register(ann.name, ""), Join("x" * 65), Status("x" * 257), deliberate=True)
    ann.barrier()


@one_for_each_fault.judge
def _(seen: Transcript) -> Complaints:
    codes = [Code.UNKNOWN_COMMAND, Code.UNKNOWN_COMMAND, Code.INVALID]
    yield from seen.expect("ann", [*codes, Code.ALREADY_REGISTERED, Code.INVALID, Code.INVALID])


@check("ERROR-4", "an INVITE with several unknown names gets one ERROR, one with doubles and oneself none")
def one_for_several_names(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    nobody = tuple(stage.transcript.name(name) for name in ("no", "nobody", "none"))
    ann.send(Invite(nobody), Invite((bo.name, bo.name, ann.name)), deliberate=True)
    ann.barrier()


@one_for_several_names.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.NO_SUCH_USER, Invitation(seen.conversation, seen.name("ann"))])


def _fail_in_all_ways(stage: Stage) -> None:
    """Have bo make mistakes about a conversation that ann has begun and cy is a member of."""
    ann, cy = stage.talk("ann", "cy")
    id = stage.transcript.conversation
    [bo] = stage.enter("bo")
    stage.mark("fails")
    bo.send(
        Leave(id),
        SendMessage(id, "x"),
        Join("no-such-id"),
        SendMessage("no-such-id", "x"),
        Leave("no-such-id"),
        deliberate=True,
    )
    bo.send(
        Invite((bo.name,)),
        Invite((stage.transcript.name("nobody"),)),
        Register(bo.name, ""),
        Join("x" * 65),
        deliberate=True,
    )
    bo.send_bytes(_UNKNOWN[bo.codec.name] + _WRONG_TYPE[bo.codec.name])
    other = stage.connect("other")
    other.send(Register(ann.name, ""), deliberate=True)
    other.wait_for(Error)
    stage.barrier(bo, ann, cy)


_FAILURES = (
    Code.NOT_MEMBER,
    Code.NOT_MEMBER,
    Code.NO_SUCH_CONVERSATION,
    Code.NO_SUCH_CONVERSATION,
    Code.NO_SUCH_CONVERSATION,
    Code.INVALID,
    Code.NO_SUCH_USER,
    Code.ALREADY_REGISTERED,
    Code.INVALID,
    Code.UNKNOWN_COMMAND,
    Code.INVALID,
)


@check(
    "ERROR-5",
    "no ERROR of any kind goes to the initiator, a member or whose name was wanted",
    policy="open",
    transport="stream",
    codecs=_WRITTEN,
)
def to_no_other_member(stage: Stage) -> None:
    _fail_in_all_ways(stage)


@check(
    "ERROR-7",
    "after ERRORs of all kinds the connection goes on",
    policy="open",
    transport="stream",
    codecs=_WRITTEN,
)
def goes_on_after_all_kinds(stage: Stage) -> None:
    _fail_in_all_ways(stage)


def _only_bo(seen: Transcript) -> Complaints:
    yield from seen.expect("bo", _FAILURES, since="fails")
    yield from seen.expect_open("bo")
    for party in ("ann", "cy"):
        yield from seen.expect(party, [], since="fails")


to_no_other_member.judge(_only_bo)
goes_on_after_all_kinds.judge(_only_bo)


@check("ERROR-7", "after too many conversations the connection goes on", defaults=True)
def goes_on_after_too_many(stage: Stage) -> None:
    no_65th_conversation.stimulus(stage)


@goes_on_after_too_many.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect_open("ann")
    if seen.heard("ann")[64:] != [Code.TOO_MANY] * 2:
        yield f"ann was to be refused the 65th and the 66th INVITE, and received {seen.heard('ann')[64:]}"


@check("ERROR-6", "an unknown name counts before too many conversations", defaults=True)
def unknown_name_before_too_many(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    for _ in range(64):
        ann.send(Invite((bo.name,)))
    ann.barrier()
    stage.mark("full")
    ann.send(
        Invite((stage.transcript.name("nobody"),)), Invite((ann.name,)), Invite((bo.name,)), deliberate=True
    )
    ann.barrier()


@unknown_name_before_too_many.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.NO_SUCH_USER, Code.INVALID, Code.TOO_MANY], since="full")


@check(
    "ERROR-6",
    "a status that is too long is refused before a name in use, and a name in use before everything else",
)
def invalid_before_name_in_use(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    other = stage.connect("other")
    other.send(
        Register(ann.name, "x" * 257), Register(ann.name, ""), Join(""), Join("no-such-id"), deliberate=True
    )
    other.hear(4)


@invalid_before_name_in_use.judge
def _(seen: Transcript) -> Complaints:
    codes = [Code.INVALID, Code.NAME_IN_USE, Code.INVALID, Code.NOT_REGISTERED]
    yield from seen.expect("other", codes)


@check("ERROR-6", "a text that is too long is refused as such, whatever conversation it is for")
def long_text_before_all_else(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    for id in (stage.invite(ann, bo), "no-such-id"):
        ann.send(SendMessage(id, "x" * 8193), deliberate=True)
    ann.barrier()


@long_text_before_all_else.judge
def _(seen: Transcript) -> Complaints:
    invitation = Invitation(seen.conversation, seen.name("ann"))
    yield from seen.expect("ann", [invitation, Code.INVALID, Code.INVALID])


@check("ERROR-6", "an unknown conversation counts before a missing invitation", policy="private")
def unknown_before_not_invited(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send(Join("no-such-id"), deliberate=True)
    ann.barrier()


@unknown_before_not_invited.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.NO_SUCH_CONVERSATION])


_UNKNOWN_AND_MALFORMED = {
    "ascii": b'FROBNICATE "open\n',
    "json": b'{"type":"FROBNICATE","x":NaN}\n',
    "msgpack": b"\0\0\0\x0d\x92\xaaFROBNICATE\xc1",
}


@check("ERROR-6", "a malformed message is malformed, even if its command is unknown", codecs=_FRAMED)
def malformed_before_unknown(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send_bytes(_UNKNOWN_AND_MALFORMED[ann.codec.name])
    ann.barrier()


@malformed_before_unknown.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.MALFORMED])


@check(
    "CONN-25",
    "half a message waits for its other half, whatever others send meanwhile",
    transport="stream",
    codecs=_WRITTEN,
)
def half_a_message(stage: Stage) -> None:
    ann, _bo = stage.talk("ann", "bo")
    data = ann.encoded(SendMessage(stage.transcript.conversation, "whole"))
    stage.mark("said")
    ann.send_bytes(data[:-4])
    [bad] = stage.enter("bad")
    bad.send_bytes(_MALFORMED[bad.codec.name])
    bad.wait_for(Error)
    ann.send_bytes(data[-4:])
    ann.barrier()


@half_a_message.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [seen.said("ann", "whole")], since="said")


@check(
    "ERROR-8",
    "nothing follows the `timeout` of a client that does not register, whatever it asks then",
    seconds="register",
)
def asked_after_the_end(stage: Stage) -> None:
    ann = stage.connect("ann")
    ann.send(ListConversations(), deliberate=True)  # so that the server knows the codec
    ann.wait_for(Error)
    ann.wait_for(Error, within=stage.profile.register)
    ann.send(ListConversations(), deliberate=True)
    ann.read_to_end()


@asked_after_the_end.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.NOT_REGISTERED, Code.TIMEOUT])
    yield from seen.expect_closed("ann")
