"""Checks of what is the same in whatever codec somebody speaks."""

from collections.abc import Iterator

from improto.codec import Codec, available, load
from improto.messages import Goodbye, Invite, Join, Leave, Register, SendMessage, Status
from improto_conformance.abstract import abstract
from improto_conformance.alike import difference
from improto_conformance.check import Complaints, check
from improto_conformance.party import Party
from improto_conformance.stage import Stage
from improto_conformance.transcript import Transcript

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


@check("CODEC-18", "the same story in each codec has the same effects", codecs=(available()[0],))
def one_story(stage: Stage) -> None:
    for name in available():
        _tell(stage, load(name))


one_story.needs = tuple(available())


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
