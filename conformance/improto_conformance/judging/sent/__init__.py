"""Says whether a sender may write the bytes that a server sent: the clauses of the codecs for senders.

The suite's own codecs read what comes, but receivers must accept more than senders may send.  So each stream is read once
more here, from the specification alone.  Commands that the specification does not have are not looked into (CONN-12).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from improto_conformance.judging.asked import answered_in
from improto_conformance.judging.sent.binary import in_msgpack, in_pickle
from improto_conformance.judging.sent.fields import Found
from improto_conformance.judging.sent.lines import in_ascii, in_json
from improto_conformance.transcripts.complaints import Complaint
from improto_conformance.transcripts.transcript import Event, Transcript

__all__ = ["sent"]

_CODECS: Final[Mapping[str, Callable[[bytes, bool], Found]]] = {
    "ascii": in_ascii,
    "json": in_json,
    "msgpack": in_msgpack,
    "pickle": in_pickle,
}


def sent(seen: Transcript) -> Iterator[Complaint]:
    """Complain about bytes of the server that no sender may write."""
    streams: dict[str, list[bytes]] = {}
    last: dict[str, int] = {}
    ended: set[str] = set()
    for index, entry in enumerate(seen.entries):
        if entry.event in (Event.RECEIVED, Event.FAULT, Event.CLOSED):
            streams.setdefault(entry.party, []).append(entry.data)
            last[entry.party] = index
            # A close may have been a reset, which cuts off anywhere.
            (ended.add if entry.event is Event.FAULT else ended.discard)(entry.party)
    for party, stream in streams.items():
        whole = b"".join(stream)
        # A client that cannot read a codec stops, wherever it is then.
        codecs = answered_in(seen, party)
        ways = [_found(name, whole, ended=party in ended and name == codecs[0]) for name in codecs]
        for clause, text in ways[0] if all(ways) else ():
            yield Complaint(clause, f"{party} was sent {text}", last[party])


def _found(codec: str, stream: bytes, *, ended: bool) -> list[tuple[str, str]]:
    read = _CODECS.get(codec)
    return list(read(stream, ended)) if read else []
