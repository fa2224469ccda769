"""Whether everything that a check sent without effect was meant to be without effect.

A check whose request is refused by mistake tests something else than it says.  So each request that a lawful server
refuses, and each that follows a GOODBYE, must be marked as deliberate.  Bytes that are not messages (RAW) count as marked.
"""

from collections.abc import Iterator
from typing import Final

from improto.messages import Code, Error, Goodbye
from improto_conformance.transcripts.transcript import Event, Transcript

__all__ = ["unmarked"]

_FORESEEN: Final = frozenset(Code) - {
    Code.TIMEOUT,
    Code.SLOW_CONSUMER,
    Code.SHUTTING_DOWN,
    Code.RATE_LIMITED,
    Code.FORBIDDEN,
    Code.TOO_MANY,
}
"""Codes that say that a request was wrong, and not that the server had no room for it or refused its user."""


def unmarked(seen: Transcript) -> Iterator[str]:
    """Name the parties that sent more without effect than was marked, in a transcript without faults."""
    for party in seen.codecs:
        mine = seen.of(party)
        if any(entry.event is Event.RAW for entry in mine):
            continue
        errors = [entry.item for entry in mine if isinstance(entry.item, Error)]
        refused = sum(error.code in _FORESEEN for error in errors)
        meant = sum(entry.deliberate for entry in mine)
        if refused > meant:
            yield f"{party} was refused {refused} times, and only {meant} of its messages are deliberate"
        sent = [entry for entry in mine if entry.event is Event.SENT]
        ends = [number for number, entry in enumerate(sent) if isinstance(entry.item, Goodbye)]
        if ends and not all(entry.deliberate for entry in sent[ends[0] + 1 :]):
            yield f"{party} sent something after GOODBYE that is not deliberate"
