"""Transcripts as JSON lines, so that they can be kept, judged again, replayed and compared.

    {"transcript": 1, "check": "JOIN-2/…", "clause": "JOIN-2", "codec": "json", "cut": "whole", "suffix": ".0", …}
    {"time": 0.013, "connection": "ann", "direction": "to-server", "event": "sent", "bytes": "7b22…",
     "message": {"type": "JOIN", "conversation": "7"}, "check": "JOIN-2/…", "clause": "JOIN-2"}

The first line describes the whole transcript, and each further line one entry.  `bytes` are hexadecimal digits.  The bytes
that one connection received, put together, are its stream, in the pieces in which they were noticed.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TextIO, TypeVar

from improto.codec import load
from improto.errors import DecodeError, ImprotoError, UsageError
from improto.messages import AnyMessage, Role
from improto_conformance.transcripts.complaints import cut
from improto_conformance.transcripts.transcript import Entry, Event, Transcript

__all__ = ["NoRecord", "Record", "from_file", "read", "to_file", "typed", "write"]

VERSION: Final = 1

_ASIDE: Final = (Event.MARK, Event.ASKED, Event.TOLD)
"""The kinds of entries that are not on a connection."""
_TO_CLIENT: Final = (Event.RECEIVED, Event.FAULT, Event.CLOSED)
_SENDERS: Final = {Event.SENT: Role.CLIENT, Event.RECEIVED: Role.SERVER}
"""Who has sent the message of an entry, for the kinds of entries that have one."""
_WIDTH: Final = 300
# Characters of a line that are read: what has no line ends, such as a device, would fill the memory.
_FIRST: Final = 2**24
_FURTHER: Final = 2**28
"""A message of 16 MiB has 32 Mi hexadecimal digits, and its text is up to six times as long in JSON."""

_Kind = TypeVar("_Kind")


class NoRecord(ImprotoError):
    """The text is not a transcript of this form."""


@dataclass
class Record:
    """A transcript, and what it belongs to."""

    transcript: Transcript
    check: str = ""
    """The name of the check; empty for live traffic."""
    clause: str = ""
    codec: str = ""
    cut: str = "whole"
    private: bool = False
    """Whether the server let only invited users join."""
    about: Mapping[str, str] = field(default_factory=dict[str, str])
    """Anything else: the target, the verdict."""


def write(record: Record) -> Iterator[str]:
    """Give the lines of a record."""
    seen = record.transcript
    head = {
        "transcript": VERSION,
        "check": record.check,
        "clause": record.clause,
        "codec": record.codec,
        "cut": record.cut,
        "private": record.private,
        "suffix": seen.suffix,
        "codecs": seen.codecs,
        "messages": seen.messages,
        "about": dict(record.about),
    }
    yield json.dumps(head, ensure_ascii=True)
    for entry in seen.entries:
        line = _line(entry) | {"check": record.check, "clause": record.clause}
        yield json.dumps(line, ensure_ascii=True)


def read(file: TextIO) -> Record:
    """Read a record from the lines of a file; NoRecord, which names the line, if they are not one."""
    number = 1
    try:
        head = json.loads(_line_of(file, _FIRST) or "{}")
        if head["transcript"] != VERSION:
            raise NoRecord(
                f"it is of version {head['transcript']!r}, and {VERSION} is read here; "
                "use the version of improto that has written it"
            )
        suffix = typed(head["suffix"], str)
        suffix.encode()  # it is looked for in bytes
        seen = Transcript(
            suffix,
            codecs={party: typed(codec, str) for party, codec in head["codecs"].items()},
            messages=bool(head.get("messages")),
            lossless=head["clause"] == "CONN-22",
        )
        record = Record(
            seen,
            typed(head["check"], str),
            typed(head["clause"], str),
            typed(head["codec"], str),
            typed(head["cut"], str),
            bool(head["private"]),
            {key: str(value) for key, value in head["about"].items()},
        )
        number = 2
        while line := _line_of(file, _FURTHER):
            seen.entries.append(_entry(json.loads(line)))
            number += 1
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
        RecursionError,
        DecodeError,
    ) as error:
        raise NoRecord(
            f"line {number} is not a line of a transcript ({cut(repr(error), _WIDTH)}); "
            "write one with --report DIR"
        ) from None
    return record


def _line_of(file: TextIO, most: int) -> str:
    """Read a line, which is empty at the end of the file; ValueError if it is too long."""
    line = file.readline(most + 1)
    if len(line) > most:
        raise ValueError(f"it has more than {most:,} characters")
    return line


def typed(value: object, kind: type[_Kind]) -> _Kind:
    """Give a value that comes from a file of JSON if it is of this kind; TypeError if it is of another one."""
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


def from_file(path: Path) -> Record:
    """Read a transcript; UsageError or NoRecord, which name the file, if that fails."""
    try:
        with path.open(encoding="utf-8") as file:
            return read(file)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; name a transcript, as --report DIR writes it") from None
    except NoRecord as error:
        raise NoRecord(f"{path}: {error}") from None


def to_file(record: Record, path: Path) -> None:
    """Write a transcript, and make its folder if there is none; UsageError if that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as file:
            # Line by line, since all together may have hundreds of megabytes.
            file.writelines(f"{line}\n" for line in write(record))
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}); choose another place") from None


def _line(entry: Entry) -> dict[str, Any]:
    line: dict[str, Any] = {"time": round(entry.time, 6)}
    if entry.event is not Event.MARK:
        line["connection"] = entry.party
    if entry.event not in _ASIDE:
        line["direction"] = "to-client" if entry.event in _TO_CLIENT else "to-server"
    line["event"] = entry.event.name.lower()
    if entry.data:
        line["bytes"] = entry.data.hex()
    if entry.deliberate:
        line["deliberate"] = True
    match entry.item:
        case str(text):
            if text:
                line["text"] = text
        case bytes():
            pass  # the bytes of the entry
        case message:
            line["message"] = json.loads(load("json").encode(message))
    return line


def _entry(line: Mapping[str, Any]) -> Entry:
    event, data = Event[line["event"].upper()], bytes.fromhex(line.get("bytes", ""))
    item: AnyMessage | bytes | str
    if event is Event.RAW:
        item = data
    elif event in _SENDERS:
        item = load("json").decode(json.dumps(line["message"]).encode(), _SENDERS[event])
    else:
        item = typed(line.get("text", ""), str)
    party = "" if event is Event.MARK else typed(line["connection"], str)
    return Entry(party, event, item, float(line["time"]), data, line.get("deliberate") is True)
