"""Checks of names and ids that programs take for others, or for something of their own."""

from collections.abc import Iterator

from improto.messages import (
    Code,
    Conversations,
    Goodbye,
    Invitation,
    Invite,
    Join,
    Leave,
    OnlineUsers,
    Register,
    SendMessage,
)
from improto_conformance.servers.check import Complaints, check
from improto_conformance.servers.party import Party
from improto_conformance.servers.stage import Stage
from improto_conformance.transcripts.transcript import Transcript

_INHERITED = ("constructor", "__proto__", "toString", "hasOwnProperty", "__class__", "__init__")
"""What each object has in JavaScript or Python, also one that is used as an empty map."""


def _other_spellings(id: str) -> Iterator[str]:
    """Give what a program may take for an id that compares numbers, words or beginnings."""
    yield from (f"0{id}", f"+{id}", f"{id}.0", f"{id}e0", f"{id},", f'"{id}"')
    if id.swapcase() != id:
        yield id.swapcase()


@check(
    "JOIN-8",
    "a text that is only similar to the id of a conversation is not its id",
    defaults=True,
    varies=True,
)
def other_spellings(stage: Stage) -> None:
    [ann] = stage.talk("ann", "bo")[:1]
    stage.mark("spelled")
    for id in _other_spellings(stage.transcript.conversation):
        if len(id) <= stage.profile.limits.conversation:
            ann.send(Join(id), Leave(id), SendMessage(id, "x"), deliberate=True)
    ann.barrier()


@other_spellings.judge
def _(seen: Transcript) -> Complaints:
    tried = [entry.item for entry in seen.of("ann", since="spelled") if isinstance(entry.item, Join)]
    yield from seen.expect("ann", [Code.NO_SUCH_CONVERSATION] * 3 * len(tried), since="spelled")


_INDEXES = ("-1", "9" * 20)
"""Numbers that are none of the server's: one counts from the end, the other has more than 64 bits."""


@check(
    "JOIN-8",
    "names that every object has in some languages, negative indexes and huge numbers are not conversations",
)
def inherited_ids(stage: Stage) -> None:
    [ann] = stage.talk("ann", "bo")[:1]
    stage.mark("inherited")
    for id in (*_INHERITED, *_INDEXES):
        ann.send(Join(id), Leave(id), SendMessage(id, "x"), deliberate=True)
    ann.barrier()


@inherited_ids.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect(
        "ann", [Code.NO_SUCH_CONVERSATION] * 3 * (len(_INHERITED) + len(_INDEXES)), since="inherited"
    )


@check("INVITE-6", "names that every object has in some languages are not users who are online", alone=True)
def inherited_names(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    for name in _INHERITED:
        ann.send(Invite((name,)), deliberate=True)
    ann.barrier()


@inherited_names.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.NO_SUCH_USER] * len(_INHERITED))


def _register_as(stage: Stage, label: str, name: str) -> Party:
    """Register somebody whose name is the same in each run."""
    party = stage.connect(label)
    party.send(Register(name, f"the {label}"))
    party.wait_for(OnlineUsers)
    return party


@check(
    "PRESENCE-2", "a user with a name that every object has in some languages is in the roster", alone=True
)
def inherited_names_in_rosters(stage: Stage) -> None:
    for number, name in enumerate(_INHERITED):
        _register_as(stage, str(number), name)
    stage.enter("ann")


@inherited_names_in_rosters.judge
def _(seen: Transcript) -> Complaints:
    shown = {name: status for roster in seen.rosters("ann")[:1] for name, status in roster.users.items()}
    for number, name in enumerate(_INHERITED):
        if shown.get(name) != f"the {number}":
            yield f"ann was to be shown {name!a} as 'the {number}', and was shown {shown.get(name)!a}"


_NUMBERS = ("10", "9", "-1", "1")


@check("LIST-8", "members whose names are numbers are listed in the order of joining, too", alone=True)
def numbers_as_names(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    parties = [_register_as(stage, f"no {number}", number) for number in _NUMBERS]
    ann.send(Invite(_NUMBERS))
    id = ann.wait_for(Invitation).conversation
    for party in parties:
        party.wait_for(Invitation)
        party.send(Join(id))
        party.barrier()
    ann.barrier()


@numbers_as_names.judge
def _(seen: Transcript) -> Complaints:
    if seen.lists("ann") != [Conversations({seen.conversation: _NUMBERS})]:
        yield f"the members were to be listed as {_NUMBERS}"


@check("CODEC-2", "more than 15 users, members and conversations are shown, and one of each left out nowhere")
def more_than_fifteen(stage: Stage) -> None:
    parties = stage.talk(*(f"user{number}" for number in range(17)))
    for _ in range(16):
        stage.invite(parties[0], parties[1])
    [ann] = stage.enter("ann")
    parties[0].barrier()
    ann.close()


@more_than_fifteen.judge
def _(seen: Transcript) -> Complaints:
    names = tuple(seen.name(f"user{number}") for number in range(17))
    for roster in seen.rosters("ann")[:1]:
        if not roster.users.keys() >= set(names):
            yield f"ann was to be shown {len(names)} users and herself, and was shown {sorted(roster.users)!a}"
    wanted = {id: names if id == seen.conversation else () for id in seen.conversations}
    if len(wanted) != 17 or seen.lists("user0")[-1:] != [Conversations(wanted)]:
        yield f"user0 was to be shown 17 conversations, one of them with 17 members, not {seen.lists('user0')[-1:]!a}"


_LIKE_BOB = (
    *(
        "bo",
        "ob",
        "bobb",
        "xbob",
        "b_b",
        "b%",
        "b.b",
        "b*",
        "b?b",
        "[b]ob",
        "{b}ob",
        "^bob$",
        "x|bob",
        "bob;",
        "'bob'",
        "bob\\",
    ),
    *("bob\xa0", "\u3000bob", "bob\u200b", "\uff42ob", "b\u043eb", "b\xf3b", "bob\u0301"),
)
"""What is taken for `bob` where names are patterns, parts of each other, or compared by their looks."""

_LIKE_SEVEN = ("07", "007", "+7", "7.0", "7e0", "\uff17", "\u0667")
"""What is taken for `7` where names are read as numbers."""


@check("INVITE-6", "a name that is only similar to that of a user is not that user's", alone=True)
def similar_names(stage: Stage) -> None:
    known = [_register_as(stage, name, name) for name in ("bob", "7")]
    [ann] = stage.enter("ann")
    for name in (*_LIKE_BOB, *_LIKE_SEVEN):
        ann.send(Invite((name,)), deliberate=True)
    stage.barrier(ann, *known)
    _go(*known)


@similar_names.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.NO_SUCH_USER] * len((*_LIKE_BOB, *_LIKE_SEVEN)))
    for party in ("bob", "7"):
        yield from seen.expect(party, [])


_BEGINNING = "x" * 63
_ALL_FREE = ("bob", *_LIKE_BOB, "7", *_LIKE_SEVEN, f"{_BEGINNING}a", f"{_BEGINNING}b", _BEGINNING)


@check(
    "LIMIT-9", "a name is free that is only similar to that of a user, or has the same beginning", alone=True
)
def similar_names_are_free(stage: Stage) -> None:
    _go(*[_register_as(stage, f"user {number}", name) for number, name in enumerate(_ALL_FREE)])


@similar_names_are_free.judge
def _(seen: Transcript) -> Complaints:
    for number, name in enumerate(_ALL_FREE):
        user = f"user {number}"
        yield from seen.expect(user, [])
        for roster in seen.rosters(user)[:1]:
            if name not in roster.users:
                yield f"{user} was to be shown as {name!a}, and the roster has {sorted(roster.users)!a}"


def _go(*parties: Party) -> None:
    """Have users go offline whose names the next check may want."""
    for party in parties:
        party.send(Goodbye())
        party.read_to_end()
