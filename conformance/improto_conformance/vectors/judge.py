"""Judges how a receiver read a message or stream vector: without a complaint there was no fault."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from improto.messages import AnyMessage
from improto_conformance.transcripts.complaints import brief
from improto_conformance.vectors import Vector
from improto_conformance.vectors.values import read_message

__all__ = [
    "Read",
    "Seen",
    "conforming",
    "judge_message",
    "judge_stream",
    "segmentations",
]

Seen = AnyMessage | str
"""A message, or the code of an error."""


@dataclass(frozen=True, slots=True)
class Read:
    """How a receiver read a stream: everything that it read, and whether it closed."""

    items: tuple[Seen, ...]
    closed: bool


def conforming(vector: Vector) -> list[Seen]:
    """List what the payload of a message vector may be read as."""
    found: list[Seen] = []
    for right in (vector.data, *vector.data.get("also", ())):
        if "message" in right:
            found.append(read_message(right["message"]))
        if "error" in right:
            found.append(right["error"])
    return found


def judge_message(vector: Vector, seen: Seen) -> Iterator[str]:
    """Complain unless a receiver read the payload as the vector says."""
    wanted = conforming(vector)
    if seen not in wanted:
        yield f"{vector.id} is {' or '.join(map(_shown, wanted))}, and was read as {_shown(seen)}"


def judge_stream(vector: Vector, read: Read) -> Iterator[str]:
    """Complain unless a receiver read the stream as the vector says."""
    wanted = _wanted(vector)
    if read.items != wanted.items:
        yield f"{vector.id} has {_listed(wanted.items)}, and was read as {_listed(read.items)}"
    if read.closed != wanted.closed:
        yield f"after {vector.id} the connection was to be {_state(wanted.closed)} and was {_state(read.closed)}"


def segmentations(data: bytes) -> Iterator[list[bytes]]:
    """Cut bytes in ways that often show faults: not at all, in two at each of many places, into single bytes."""
    yield [data]
    if len(data) <= 4096:
        yield [data[at : at + 1] for at in range(len(data))]
    step = max(1, len(data) // 64)
    for at in range(1, len(data), step):
        yield [data[:at], data[at:]]


def _wanted(vector: Vector) -> Read:
    items: list[Any] = vector.data["items"]
    read = [read_message(item["message"]) if "message" in item else item["error"] for item in items]
    return Read(tuple(read), vector.data["closed"])


def _shown(seen: Seen) -> str:
    return seen if isinstance(seen, str) else brief(seen)


def _listed(items: Sequence[Seen]) -> str:
    return ", ".join(map(_shown, items)) or "nothing"


def _state(closed: bool) -> str:
    return "closed" if closed else "open"
