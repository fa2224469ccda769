"""Checks of refusals and of what is no message."""

from collections.abc import Iterable, Iterator

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
    Register,
    SendMessage,
    Status,
)
from improto_conformance.check import Complaints, check
from improto_conformance.party import Party
from improto_conformance.stage import Stage
from improto_conformance.transcript import Transcript

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


@check("ERROR-5", "an ERROR goes to nobody but who sent the request")
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
    "after a malformed pickle, whose end nobody knows, the connection is closed",
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


@check("CONN-25", "what is malformed on one connection does not touch another one", codecs=_WRITTEN)
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


@check(
    "CODEC-5", "what is no text where a text is due is invalid, and the connection goes on", codecs=_WRITTEN
)
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


@check("LIMIT-3", "before REGISTER a request over 4 KiB is too large")
def too_large_greeting(stage: Stage) -> None:
    ann = stage.connect("ann")
    ann.send(Register(ann.name, "x" * 5000), deliberate=True)
    ann.read_to_end()


@too_large_greeting.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.TOO_LARGE])


_BAD_NAMES = ("", "x" * 65, " x", "x ", "x\ty", "x\x7fy", "x\x85y", "x\u2028y", "x\u202ey", "x\u2066y")


@check("LIMIT-5", "usernames out of bounds are invalid, and another one may be tried")
def bad_names(stage: Stage) -> None:
    ann = stage.connect("ann")
    for name in _BAD_NAMES:
        ann.send(Register(name, ""), deliberate=True)
    stage.register(ann)
    ann.barrier()


@bad_names.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.INVALID] * len(_BAD_NAMES))


@check("LIMIT-10", "a status of 256 code points is taken, a longer one is invalid and changes nothing")
def long_status(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    ann.send(Status("é" * 256), Status("é" * 257), deliberate=True)
    ann.barrier()
    bo.wait_to_see(ann.name, "é" * 256)


@long_status.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.INVALID])


@check("LIMIT-15", "a name out of bounds in INVITE is invalid, not unknown")
def bad_name_invited(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send(Invite(("x" * 65,)), Invite(tuple(f"nobody{number}" for number in range(65))), deliberate=True)
    ann.barrier()


@bad_name_invited.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.INVALID, Code.INVALID])


@check("LIMIT-13", "a conversation id out of bounds is invalid")
def bad_id(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send(Join(""), Join("x" * 65), Leave("a b"), SendMessage("é", "x"), deliberate=True)
    ann.barrier()


@bad_id.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.INVALID] * 4)


@check("LIMIT-16", "an ERROR about many long names has at most 512 characters")
def short_explanations(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    nobody = [f"{number:02}" + "\U0001f600" * 62 for number in range(64)]
    ann.send(Invite(tuple(nobody)), Join("7" * 64), deliberate=True)
    ann.barrier()


@short_explanations.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.NO_SUCH_USER, Code.NO_SUCH_CONVERSATION])
    for entry in seen.of("ann"):
        if isinstance(entry.item, Error) and len(entry.item.message) > 512:
            yield f"an ERROR was to have at most 512 characters and has {len(entry.item.message)}"


@check("LIMIT-5", "a username of 64 code points is taken, also beyond the Basic Multilingual Plane")
def longest_name(stage: Stage) -> None:
    label = "\U0001f600" * (64 - len(stage.transcript.suffix))
    stage.register(stage.connect(label)).barrier()


@longest_name.judge
def _(seen: Transcript) -> Complaints:
    for entry in seen.entries:
        if isinstance(entry.item, Error):
            yield f"a username of 64 code points was to be taken, and was refused: {entry.item.message!a}"


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
    ann, bo = stage.enter("ann", "bo")
    for _ in range(66):
        ann.send(Invite((bo.name,)), deliberate=True)
    ann.barrier()


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


@check("ERROR-6", "a status that is too long counts before a name in use, and that before all else")
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


@check("ERROR-6", "what is malformed is so under an unknown command too", codecs=_FRAMED)
def malformed_before_unknown(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send_bytes(_UNKNOWN_AND_MALFORMED[ann.codec.name])
    ann.barrier()


@malformed_before_unknown.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.MALFORMED])


def _status_of(party: Party, size: int) -> Status:
    """Give a STATUS whose payload has so many bytes."""
    lengths = range(size, 0, -1)
    return next(
        status for status in map(Status, map("x".__mul__, lengths)) if len(party.codec.encode(status)) == size
    )


@check(
    "LIMIT-1",
    "the size of a request is that of its payload: 65,536 bytes are read, 65,537 are too large",
    defaults=True,
    varies=True,
)
def sizes_of_payloads(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send(_status_of(ann, 65_536), _status_of(ann, 65_537), deliberate=True)
    ann.read_to_end()


@sizes_of_payloads.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.INVALID, Code.TOO_LARGE])
    yield from seen.expect_closed("ann")


def _with_each(characters: Iterable[int]) -> Iterator[Register]:
    return (Register(f"a{chr(character)}b", "") for character in characters)


_CONTROLS = (*range(0x20), *range(0x7F, 0xA0))
_DIRECTIONS = (*range(0x2028, 0x202F), *range(0x2066, 0x206A))


@check("LIMIT-7", "each of the 65 controls makes a username invalid")
def each_control(stage: Stage) -> None:
    ann = stage.connect("ann")
    ann.send(*_with_each(_CONTROLS), deliberate=True)
    stage.register(ann)


@each_control.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.INVALID] * len(_CONTROLS))


@check("LIMIT-8", "each of the 11 separators and changes of direction makes a username invalid")
def each_change_of_direction(stage: Stage) -> None:
    ann = stage.connect("ann")
    ann.send(*_with_each(_DIRECTIONS), deliberate=True)
    stage.register(ann)


@each_change_of_direction.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.INVALID] * len(_DIRECTIONS))


_NEIGHBOURS = "\u0020\u007e\u00a0\u00ad\u2027\u202f\u2065\u206a\ufeff"


def _register_neighbours(stage: Stage) -> None:
    stage.register(stage.connect(f"a{_NEIGHBOURS}b")).barrier()


@check("LIMIT-7", "the code points next to the controls are allowed in a username")
def neighbours_of_controls(stage: Stage) -> None:
    _register_neighbours(stage)


@check("LIMIT-8", "the code points next to the separators and changes of direction are allowed in a username")
def neighbours_of_separators(stage: Stage) -> None:
    _register_neighbours(stage)


def _taken(seen: Transcript) -> Complaints:
    yield from seen.expect(f"a{_NEIGHBOURS}b", [])


neighbours_of_controls.judge(_taken)
neighbours_of_separators.judge(_taken)


@check("LIMIT-9", "a name in another case, or composed otherwise, is another one in INVITE too")
def names_in_invite(stage: Stage) -> None:
    ann = stage.connect("ann")
    [bo] = stage.enter("bo\u00e9")
    stage.register(ann)
    for name in ("BO\u00e9", "boe\u0301"):
        ann.send(Invite((stage.transcript.name(name),)), deliberate=True)
    stage.barrier(ann, bo)


@names_in_invite.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.NO_SUCH_USER] * 2)
    yield from seen.expect("bo\u00e9", [])


_ANY_STATUS = (" a\nb\r\n\t ", "\x00\x1b\x7f\x85\u2028\u202e\u2066", "\U0001f600" * 256)


@check(
    "LIMIT-10", "a status may hold line breaks, controls and changes of direction, and blanks at both ends"
)
def any_status(stage: Stage) -> None:
    *parties, observer = stage.enter("ann", "bo", "cy", "observer")
    for party, status in zip(parties, _ANY_STATUS, strict=True):
        party.send(Status(status))
    for party, status in zip(parties, _ANY_STATUS, strict=True):
        observer.wait_to_see(party.name, status)


@any_status.judge
def _(seen: Transcript) -> Complaints:
    for party in ("ann", "bo", "cy"):
        yield from seen.expect(party, [])


@check(
    "LIMIT-13",
    "an id with a line end, a tab or DEL is invalid, one of 64 characters of any printable kind is not",
)
def characters_of_ids(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send(
        Join("7\n"),
        Join("\t7"),
        Join("7\x7f"),
        Join("7\u00a0"),
        Join("!~\"'\\{}[]()=,#" + "x" * 49),
        deliberate=True,
    )
    ann.barrier()


@characters_of_ids.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [*[Code.INVALID] * 4, Code.NO_SUCH_CONVERSATION])


@check("LIMIT-18", "conversations that others began do not count", defaults=True)
def begun_by_others(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    for _ in range(64):
        ann.send(Invite((bo.name,)))
    ann.barrier()
    bo.barrier()
    stage.mark("full")
    bo.send(Invite((ann.name,)))
    bo.barrier()


@begun_by_others.judge
def _(seen: Transcript) -> Complaints:
    invitations = [Invitation(id, seen.name("bo")) for id in seen.conversations[-1:]]
    yield from seen.expect("bo", invitations, since="full")


@check(
    "LIMIT-22",
    "names that are out of bounds are neither stripped nor mended nor left out",
    defaults=True,
    varies=True,
)
def nothing_mended(stage: Stage) -> None:
    ann = stage.connect("ann")
    for name in (f" {ann.name}", f"{ann.name} ", f"{ann.name}\n", f"\0{ann.name}", f"{ann.name:x<65}"):
        ann.send(Register(name, ""), deliberate=True)
    stage.register(ann)
    [bo] = stage.enter("bo")
    ann.send(Invite((bo.name,) * 65), Invite((bo.name, f"{bo.name} ")), Join(" 1"), deliberate=True)
    stage.barrier(ann, bo)


@nothing_mended.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.INVALID] * 8)
    yield from seen.expect("bo", [])


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
    yield from seen.expect("ann", [Message(seen.conversation, seen.name("ann"), "whole")], since="said")


@check(
    "ERROR-8",
    "nothing follows the `timeout` of who does not register, whatever is asked then",
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
