"""Checks of the bytes that a server sends: all five messages, with values that are hard to write.

What a check complains of is what `judging.sent` finds against its clause; besides, values have to arrive as they were.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from improto.messages import AnyMessage, Code, Error, Invitation, Join, Message, SendMessage, Status
from improto_conformance.judging.sent import sent
from improto_conformance.servers.check import Check, Complaints, check
from improto_conformance.servers.stage import Stage
from improto_conformance.transcripts.transcript import Event, Transcript

_ANN: Final = '(a,b="c" \xe9 \U0001f600'
_BO: Final = "[bo]"
_TEXTS: Final = (
    "",
    "hi",
    " a  b ",
    '"x"',
    'a"b',
    "[x]",
    "{",
    "a,b=c",
    "7",
    "it's \\n \\ \\u0041",
    "line\nbreak\r\n\t",
    "\x00\x1b\x7f\x85\xa0",
    "\xe9\xff \u2028 \U0001f600",
)
_STATUSES: Final = ("", "x,y=z", "\U0001f600 \xe9\x7f")

_CLAUSES: Final[Mapping[str, Sequence[str]]] = {
    "ascii": ["ASCII-1", "ASCII-2", "ASCII-4", "ASCII-6", "ASCII-7", "ASCII-8", "ASCII-9"],
    "json": ["JSON-1", "JSON-2", "JSON-3", "JSON-4", "JSON-8", "JSON-10"],
    "msgpack": ["MSGPACK-1", "MSGPACK-2", "MSGPACK-4", "MSGPACK-5"],
    "pickle": ["PICKLE-1", "PICKLE-2", "LECTURE-5"],
}
_ANY: Final = ["ERROR-1", "CONN-12", "CODEC-2", "CODEC-7"]
_OF_MAPS: Final = {"ascii": "ASCII-7", "json": "JSON-3", "msgpack": "MSGPACK-5", "pickle": "PICKLE-2"}


def _hear_all(stage: Stage) -> None:
    """Have one party receive all five messages, and newcomers each status."""
    bo = stage.connect(_BO)
    bo.send(Join("7"), deliberate=True)
    bo.wait_for(Error)
    stage.register(bo)
    ann = stage.register(stage.connect(_ANN))
    for number, status in enumerate(_STATUSES):
        ann.send(Status(status))
        ann.barrier()
        stage.register(stage.connect(f"newcomer {number}")).close()
    id = stage.invite(ann, bo)
    bo.barrier()
    for party in (ann, bo):
        party.send(Join(id))
        party.barrier()
    for text in _TEXTS:
        ann.send(SendMessage(id, text))
        bo.wait_for(Message)
    bo.barrier()


def _judge(clause: str, seen: Transcript) -> Complaints:
    maps = _OF_MAPS.get(next(iter(seen.codecs.values()), ""), "")
    yield from (complaint.text for complaint in sent(seen) if complaint.clause == clause)
    if clause == "CODEC-7":
        yield from (str(entry.item) for entry in seen.entries if entry.event is Event.FAULT)
    if clause == "CODEC-2":
        yield from _events(seen)
    if clause == maps:
        yield from _maps(seen)


def _events(seen: Transcript) -> Iterator[str]:
    ann, id = seen.name(_ANN), seen.conversation
    wanted: list[AnyMessage] = [Invitation(id, ann), *[Message(id, ann, text) for text in _TEXTS]]
    yield from seen.expect(_BO, [Code.NOT_REGISTERED, *wanted])


def _maps(seen: Transcript) -> Iterator[str]:
    ann, bo = seen.name(_ANN), seen.name(_BO)
    for number, status in enumerate(_STATUSES):
        for roster in seen.rosters(f"newcomer {number}")[:1]:
            if roster.users.get(ann) != status:
                yield f"{ann!a} was to be shown as {status!a} and was shown as {roster.users.get(ann)!a}"
    shown = [list_.conversations.get(seen.conversation) for list_ in seen.lists(_BO)]
    if shown != [(), (ann, bo), (ann, bo)]:
        yield f"the conversation was to be listed as empty, then with its two members, and was as {shown!a}"


def _sending_checks() -> Iterator[Check]:
    clauses = [(clause, (codec,)) for codec, each in _CLAUSES.items() for clause in each]
    for clause, codecs in [*clauses, *[(clause, None) for clause in _ANY]]:
        made = check(clause, "what the server writes obeys it", codecs=codecs)(_hear_all)
        made.name = f"{clause}/sending"
        made.judge(partial(_judge, clause))
        yield made


CHECKS: Final = tuple(_sending_checks())
"""One for each clause."""
