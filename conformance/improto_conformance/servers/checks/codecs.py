"""Checks of what is the same in whatever codec somebody speaks, and of numbers in pickles."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from improto.codec import Codec, available, load
from improto.messages import Code, Goodbye, Invite, Join, Leave, Register, SendMessage, Status
from improto_conformance.judging.alike import difference
from improto_conformance.servers.check import Complaints, check
from improto_conformance.servers.party import Party
from improto_conformance.servers.stage import Stage
from improto_conformance.transcripts.abstract import abstract
from improto_conformance.transcripts.transcript import Transcript

_TEXTS = (
    "",
    " a  b ",
    'say "hi", bo',
    "line\nbreak\r\n",
    "\xe9 \U0001f600 \u2028",
    "\x00\x1b\x7f",
    "\\u0041 \\n",
    "a,b=c",
    "[1, {}]",
    "7",
    "x" * 8192,
)

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,3}")


@check("CODEC-18", "the same story in each codec has the same effects", codecs=(available()[0],))
def one_story(stage: Stage) -> None:
    for name in available():
        _tell(stage, load(name))


one_story.needs = tuple(available())


@check("CODEC-1", "rosters come to each user in the user's codec", codecs=(available()[0],))
def rosters_in_each(stage: Stage) -> None:
    parties = [stage.register(stage.connect(name, load(name))) for name in available()]
    parties[0].send(Status("busy"))
    for party in parties:
        party.wait_to_see(parties[0].name, "busy")


rosters_in_each.needs = one_story.needs


@rosters_in_each.judge
def _(seen: Transcript) -> Complaints:
    for name in seen.codecs:
        if not any(roster.users.get(seen.name(available()[0])) == "busy" for roster in seen.rosters(name)):
            yield f"the user who speaks {name} was to be shown a status"


@check("REGISTER-4", "a name is in use in whatever codec its user speaks", codecs=(available()[0],))
def in_use_in_each(stage: Stage) -> None:
    stage.enter("ann")
    for name in available()[1:]:
        other = stage.connect(name, load(name))
        other.send(Register(stage.transcript.name("ann"), ""), deliberate=True)
        other.wait(lambda _: True, "an answer to REGISTER")


in_use_in_each.needs = one_story.needs


@in_use_in_each.judge
def _(seen: Transcript) -> Complaints:
    for name in available()[1:]:
        yield from seen.expect(name, [Code.NAME_IN_USE])


def _tell(stage: Stage, codec: Codec) -> None:
    """Have two users do all that users do, each request answered before the next."""
    ann = stage.register(stage.connect(f'ann "\xe9,=" {codec.name}', codec))
    for text in (*_TEXTS[:-1], _TEXTS[2]):
        ann.send(Status(text))
        ann.barrier()
    bo = stage.register(stage.connect(f"bo {codec.name}", codec))
    id = stage.invite(ann, bo)
    for party in (ann, bo):
        party.send(Join(id))
        party.barrier()
    for text in _TEXTS:
        ann.send(SendMessage(id, text))
        stage.barrier(ann, bo)
    _err(stage, ann)
    for request in (Leave(id), Leave(id), SendMessage(id, "x")):
        bo.send(request, deliberate=True)
        stage.barrier(bo, ann)
    bo.send(Goodbye())
    bo.read_to_end()
    ann.barrier()


def _err(stage: Stage, ann: Party) -> None:
    nobody = stage.transcript.name("nobody")
    for request in (
        Register(nobody, ""),
        Join("no-such-id"),
        Join("x y"),
        Invite((ann.name,)),
        Invite((nobody,)),
        Invite(()),
        Status("x" * 257),
        SendMessage("no-such-id", ""),
    ):
        ann.send(request, deliberate=True)
        ann.barrier()


@one_story.judge
def _(seen: Transcript) -> Complaints:
    first, *others = [_of(seen, name) for name in available()]
    for name, other in zip(available()[1:], others, strict=True):
        who = f"in {name} somebody"
        yield from difference(abstract(first), abstract(other), who, available()[0])
        shown, wanted = list(_status(other)), list(_status(first))
        if shown != wanted:
            yield f"{who} was to be shown the statuses {wanted!a} as in {available()[0]}, and was shown {shown!a}"


def _of(seen: Transcript, codec: str) -> Transcript:
    """Give the part of a transcript that is about the users of one codec."""
    entries = [entry for entry in seen.entries if seen.codecs.get(entry.party) == codec]
    return Transcript(seen.suffix, entries)


def _status(seen: Transcript) -> Iterator[str]:
    """Give the statuses of the users of this transcript, in the last user's first roster."""
    parties = list(dict.fromkeys(entry.party for entry in seen.entries))
    rosters = seen.rosters(parties[-1]) if parties else []
    for party in parties:
        if rosters:
            yield rosters[0].users.get(seen.name(party), "nothing")


def _join_by_number(stage: Stage, forms: Sequence[Callable[[int], bytes]], least: int) -> None:
    """Have ann join conversations of hers, each by another form of its number, if the server has numbers."""
    ann, bo = stage.enter("ann", "bo")
    ids = [stage.invite(ann, bo) for _ in range(12)]
    numbers = [int(id) for id in ids if _NUMBER.fullmatch(id) and int(id) >= least]
    for form, number in zip(forms, numbers, strict=False):
        ann.send_as(Join(str(number)), b"JOIN %b." % form(number))
        ann.barrier()


def _all_joined(seen: Transcript) -> Complaints:
    joined = [entry.item.conversation for entry in seen.entries if isinstance(entry.item, Join)]
    lists = seen.lists("ann")
    for id in joined:
        if not lists or seen.name("ann") not in lists[-1].conversations.get(id, ()):
            yield f"ann was to become a member of {id}, which was named by its number, and did not"


@check("PICKLE-15", "a conversation's id may come as an integer, in any form", codecs=("pickle",))
def integer_ids(stage: Stage) -> None:
    forms: list[Callable[[int], bytes]] = [
        lambda number: b"I%d\n" % number,
        lambda number: b"(I%d\nl" % number,
        lambda number: b"M" + number.to_bytes(2, "little"),
        lambda number: b"J" + number.to_bytes(4, "little"),
        lambda number: b"L%dL\n" % number,
        lambda number: b"\x8a\x02" + number.to_bytes(2, "little"),
        lambda number: b"\x8b\x03\0\0\0" + number.to_bytes(3, "little"),
    ]
    _join_by_number(stage, forms, 1)


@check("PICKLE-26", "zeros ahead of a number do not make it octal", codecs=("pickle",))
def zeros_ahead(stage: Stage) -> None:
    _join_by_number(stage, [lambda number: b"I0%d\n" % number, lambda number: b"L00%dL\n" % number], 10)


integer_ids.judge(_all_joined)
zeros_ahead.judge(_all_joined)
