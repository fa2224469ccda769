"""Finds in a transcript what clients sent that no client may send, whatever its user asked for.

Only certain things count: the order of one connection's own requests, what the server had sent before a request for which
the client must have waited, and the bytes.  What a client may not have read yet is never held against it.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from improto.codec import load
from improto.errors import DecodeError
from improto.messages import (
    COMMANDS,
    Conversations,
    Error,
    Goodbye,
    Invitation,
    Join,
    Leave,
    OnlineUsers,
    Register,
    Request,
    Role,
    SendMessage,
)
from improto_conformance.judging.extensions import is_tried
from improto_conformance.transcripts.complaints import Complaint
from improto_conformance.transcripts.transcript import Entry, Event, Transcript

__all__ = ["judge_clients"]

_LIMIT: Final = 16 * 1024 * 1024


def judge_clients(seen: Transcript) -> list[Complaint]:
    """Complain about what no client may send.

    All that a client sent counts, also what stands in the transcript as bytes (RAW), which is right for live traffic
    and for checks of clients; a check of a server sends some of it on purpose.
    """
    complaints: list[Complaint] = []
    for party in dict.fromkeys(entry.party for entry in seen.entries if entry.party):
        entries = [(index, entry) for index, entry in enumerate(seen.entries) if entry.party == party]
        complaints += _registrations(party, entries)
        complaints += _order(party, entries)
        complaints += _ids(party, entries)
        complaints += _bytes(party, entries, seen.codecs.get(party, ""))
    return sorted(complaints, key=lambda complaint: complaint.index)


_Entries = Sequence[tuple[int, Entry]]


def _requests(entries: _Entries) -> Iterator[tuple[int, Request]]:
    for index, entry in entries:
        if entry.event is Event.SENT and isinstance(entry.item, Request):
            yield index, entry.item


def _registrations(party: str, entries: _Entries) -> Iterator[Complaint]:
    """CLIENT-1 and CLIENT-2: REGISTER first, and no other one after the one that was granted."""
    requests = list(_requests(entries))
    if requests and not isinstance(requests[0][1], Register | Goodbye):
        index, first = requests[0]
        yield Complaint("CLIENT-1", f"{party} sent {first.COMMAND} before REGISTER", index)
        return
    registers = [(index, request) for index, request in requests if isinstance(request, Register)]
    names = {request.username for _, request in registers}
    refusals = 0
    for _, entry in entries:
        if entry.event is not Event.RECEIVED:
            continue
        if isinstance(entry.item, Error):
            refusals += 1
        elif isinstance(entry.item, OnlineUsers) and not names.isdisjoint(entry.item.users):
            # Each ERROR before this roster refused one REGISTER, so it answers the next one.
            for index, _ in registers[refusals + 1 :]:
                yield Complaint("CLIENT-2", f"{party} sent REGISTER again where it was registered", index)
            return


def _order(party: str, entries: _Entries) -> Iterator[Complaint]:
    """CLIENT-10, CLIENT-11 and CLIENT-21: what a client knows of its own requests alone."""
    joined: dict[str, bool] = {}
    over = False
    for index, request in _requests(entries):
        if over:
            yield Complaint("CLIENT-21", f"{party} sent {request.COMMAND} after GOODBYE", index)
        match request:
            case Join(conversation):
                joined[conversation] = True
            case Leave(conversation):
                joined[conversation] = False
            case SendMessage(conversation) if not joined.get(conversation):
                clause, when = (
                    ("CLIENT-11", "after LEAVE") if conversation in joined else ("CLIENT-10", "before JOIN")
                )
                yield Complaint(clause, f"{party} sent SEND_MESSAGE to {conversation!a} {when}", index)
            case Goodbye():
                over = True
            case _:
                pass


def _ids(party: str, entries: _Entries) -> Iterator[Complaint]:
    """CLIENT-9: an id that is not one that the client was told, but one of these after some change to it."""
    told: dict[str, None] = {}
    for index, entry in entries:
        match entry.event, entry.item:
            case Event.RECEIVED, Invitation(conversation, _):
                told[conversation] = None
            case Event.RECEIVED, Conversations(conversations):
                told |= dict.fromkeys(conversations)
            case Event.SENT, Join(id) | Leave(id) | SendMessage(id, _) if id not in told:
                meant = next((each for each in told if any(change(each) == id for change in _CHANGES)), None)
                if meant is not None:
                    yield Complaint("CLIENT-9", f"{party} was told the id {meant!a} and sent {id!a}", index)
            case _:
                pass


def _number(id: str) -> str:
    return str(int(id)) if re.fullmatch(r"[+-]?[0-9_]{1,64}", id) and not id.startswith("_") else id


def _float(id: str) -> str:
    try:
        return str(float(id))
    except ValueError:
        return id


_CHANGES: Final[Sequence[Callable[[str], str]]] = (
    str.lower,
    str.upper,
    _number,
    _float,
    lambda id: id.strip("\"'"),
    lambda id: re.sub(r"\W", "", id),
    lambda id: id[:32],
    json.dumps,
)
"""What clients do to ids that they take for numbers, words or names."""


def _bytes(party: str, entries: _Entries, codec: str) -> Iterator[Complaint]:
    """CLIENT-3, CODEC-7 and more: what a receiver refuses, or only a generous one accepts."""
    registers = False
    for index, entry in entries:
        registers = registers or isinstance(entry.item, Register)
        if entry.event is Event.RAW and isinstance(entry.item, bytes):
            yield from _unreadable(party, index, entry.item, codec, registers=registers)
    for index, line in _lines(entries) if codec == "json" else ():
        yield from _doubtful(party, index, line)


def _unreadable(party: str, index: int, data: bytes, codec: str, *, registers: bool) -> Iterator[Complaint]:
    reader = load(codec).reader(Role.CLIENT)
    reader.feed(data)
    try:
        while reader.next(_LIMIT) is not None:
            pass
    except DecodeError as error:
        if is_tried(error):
            if not registers:
                yield Complaint("CLIENT-1", f"{party} sent {data[:100]!r} before REGISTER", index)
            return
        server = any(name in error.explanation for name in COMMANDS) and error.code == "unknown-command"
        clause = "CLIENT-3" if server else "CODEC-7"
        yield Complaint(clause, f"{party} sent {data[:100]!r}: {error}", index)


def _lines(entries: _Entries) -> Iterator[tuple[int, bytes]]:
    """Give the lines that a client sent, each with the entry in which it ends."""
    rest = b""
    for index, entry in entries:
        if entry.event in (Event.SENT, Event.RAW):
            *lines, rest = (rest + entry.data).split(b"\n")
            yield from ((index, line) for line in lines)


def _doubtful(party: str, index: int, line: bytes) -> Iterator[Complaint]:
    """Complain about an object with a key twice (JSON-14), or with members that its command does not have (CONN-12)."""
    try:
        pairs: Any = json.loads(line, object_pairs_hook=list)
        keys = [str(key) for key, _ in pairs]
        fields = {"type", *(field.name for field in COMMANDS[dict(pairs)["type"]].FIELDS)}
    except (ValueError, KeyError, TypeError, RecursionError):
        return  # told of as unreadable
    doubled = [key for key, count in Counter(keys).items() if count > 1]
    if doubled:
        yield Complaint("CODEC-7", f"{party} sent {doubled[0]!a} twice in one object", index)
    extra = [key for key in keys if key not in fields]
    if extra:
        yield Complaint(
            "CONN-12", f"{party} sent a member {extra[0]!a}, which the command does not have", index
        )
