"""Checks of the bounds on sizes, values and counts."""

from collections.abc import Iterable, Iterator

from improto.messages import (
    ERROR_TEXT,
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
from improto_conformance.servers.check import Complaints, check
from improto_conformance.servers.party import Party
from improto_conformance.servers.stage import Stage
from improto_conformance.transcripts.transcript import Transcript


@check("LIMIT-3", "before REGISTER has succeeded, a request over 4 KiB is too large")
def too_large_greeting(stage: Stage) -> None:
    [bo] = stage.enter("bo")
    ann = stage.connect("ann")
    ann.send(Register(bo.name, ""), Register(ann.name, "x" * 5000), deliberate=True)
    ann.read_to_end()


@too_large_greeting.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.NAME_IN_USE, Code.TOO_LARGE])


@check("LIMIT-2", "a request over 4 KiB may come in one write with the REGISTER before it")
def behind_the_greeting(stage: Stage) -> None:
    ann = stage.connect("ann")
    long = SendMessage("no-such-id", "x" * 8000)
    ann.send(Register(ann.name, "here"), long, ListConversations(), deliberate=True)
    ann.wait_for(Conversations)


@behind_the_greeting.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.NO_SUCH_CONVERSATION])


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
        if isinstance(entry.item, Error) and len(entry.item.message) > ERROR_TEXT:
            yield f"an ERROR was to have at most {ERROR_TEXT} characters and has {len(entry.item.message)}"


@check("LIMIT-5", "a username of 64 code points is taken, also beyond the Basic Multilingual Plane")
def longest_name(stage: Stage) -> None:
    label = "\U0001f600" * (64 - len(stage.transcript.suffix))
    stage.register(stage.connect(label)).barrier()


@longest_name.judge
def _(seen: Transcript) -> Complaints:
    for entry in seen.entries:
        if isinstance(entry.item, Error):
            yield f"a username of 64 code points was to be taken, and was refused: {entry.item.message!a}"


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
    stage.barrier(ann, bo)
    stage.mark("full")
    for _ in range(64):
        bo.send(Invite((ann.name,)))
    bo.barrier()


@begun_by_others.judge
def _(seen: Transcript) -> Complaints:
    invitations = [Invitation(id, seen.name("bo")) for id in seen.conversations[64:]]
    if len(invitations) != 64:
        yield f"bo was to begin 64 conversations, too, and began {len(invitations)}"
    yield from seen.expect("bo", invitations, since="full")


@check("JOIN-2", "a user may be a member of 64 conversations, and hears what is said in each", defaults=True)
def in_many(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    for _ in range(64):
        ann.send(Invite((bo.name,)))
    stage.barrier(ann, bo)
    ids = stage.transcript.conversations
    stage.mark("invited")
    for party in (bo, ann):
        party.send(*map(Join, ids))
        party.barrier()
    ann.send(*[SendMessage(id, "hi") for id in ids])
    stage.barrier(ann, bo)


@in_many.judge
def _(seen: Transcript) -> Complaints:
    said = [Message(id, seen.name("ann"), "hi") for id in seen.conversations]
    for party in ("ann", "bo"):
        yield from seen.expect(party, said, since="invited")


_TALKERS = tuple(label + "\U0001f600" * 44 for label in ("ann", "bo", "cy"))


@check(
    "LIST-5",
    "a list may be long: 128 conversations are all in it, with all members",
    policy="open",
    defaults=True,
)
def many_listed(stage: Stage) -> None:
    ann, bo, cy = parties = stage.enter(*_TALKERS)
    for initiator, other in ((ann, bo), (bo, ann)):
        for _ in range(4):
            initiator.send(*[Invite((other.name, cy.name))] * 16)
            stage.barrier(initiator, *parties)  # so that all read what waits for them
    for party in parties:
        party.send(*map(Join, stage.transcript.conversations), Join("no-such-id"), deliberate=True)
        party.wait_for(Error)
    cy.barrier()


@many_listed.judge
def _(seen: Transcript) -> Complaints:
    names = tuple(map(seen.name, _TALKERS))
    if len(seen.conversations) != 128:
        yield f"128 conversations were to be made, and {len(seen.conversations)} were"
    for listed in seen.lists(_TALKERS[-1])[-1:]:
        wrong = [id for id in seen.conversations if listed.conversations.get(id) != names]
        if wrong:
            yield f"all conversations were to be listed with three members, and {len(wrong)} were not, such as {wrong[0]}"


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
    "LIMIT-18",
    "conversations count that their initiator has left, until somebody's going offline ends them; refused INVITEs do not",
)
def ended_by_going_offline(stage: Stage) -> None:
    ann, bo, cy = stage.enter("ann", "bo", "cy")
    ann.send(Invite((stage.transcript.name("nobody"),)), deliberate=True)  # which does not count
    for _ in range(stage.profile.limits.living):
        ann.send(Leave(stage.invite(ann, bo)))
    ann.barrier()
    stage.mark("full")
    ann.send(Invite((cy.name,)), deliberate=True)
    ann.barrier()
    bo.send(Goodbye())
    bo.read_to_end()
    stage.mark("ended")
    ann.send(Invite((cy.name,)))
    stage.barrier(ann, cy)


@ended_by_going_offline.judge
def _(seen: Transcript) -> Complaints:
    made = [Invitation(id, seen.name("ann")) for id in seen.conversations[-1:]]
    yield from seen.expect("ann", [Code.TOO_MANY], since="full", until="ended")
    yield from seen.expect("ann", made, since="ended")
    yield from seen.expect("cy", made, since="ended")


@check("LIMIT-18", "a user who takes a freed name may begin as many conversations as others")
def not_inherited(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    for _ in range(stage.profile.limits.living):
        stage.invite(ann, bo)
    ann.send(Goodbye())
    ann.read_to_end()
    heir = stage.connect("heir")
    heir.send(Register(ann.name, ""))
    heir.wait_for(OnlineUsers)
    heir.send(Invite((bo.name,)))
    heir.barrier()


@not_inherited.judge
def _(seen: Transcript) -> Complaints:
    made = [Invitation(id, seen.name("ann")) for id in seen.conversations[-1:]]
    yield from seen.expect("heir", made)


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
