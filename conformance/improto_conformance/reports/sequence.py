"""A transcript as a sequence diagram in text: a column for each party, and the last one for the server.

    ann      bo       server
     ●────────┼────────▶│   SEND_MESSAGE '7' 'hello'
     │        │◀────────●   MESSAGE '7' 'ann' 'hello'

Everything that comes from a peer is escaped and shortened.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from improto.cli.text import escaped
from improto_conformance.transcripts.complaints import cut
from improto_conformance.transcripts.transcript import Entry, Event, without_clean_up

__all__ = ["ASIDE", "SERVER", "SHOWN", "diagram", "label", "mattering", "parties"]

SERVER: Final = "server"
"""What stands above the last column."""
SHOWN: Final = 12
"""So many entries are shown on a terminal: the last ones."""

_WIDTH: Final = 110  # of a line
_LANES: Final = 54  # of it, at most, for the columns
_LANE: Final = 9
_VALUE: Final = 60  # characters of one field

ASIDE: Final = (Event.ASKED, Event.TOLD)
"""The events between a client and its user, which are not on the connection."""
_PHRASES: Final = {
    Event.HALF_CLOSED: "(sends no more)",
    Event.RESET: "(leaves the connection)",
    Event.CLOSED: "(closes the connection)",
}


def diagram(entries: Sequence[Entry], *, shown: int = SHOWN, complaints: Sequence[str] = ()) -> Iterator[str]:
    """Give the lines of the diagram of the last entries, or of those that matter for the complaints."""
    told = without_clean_up(entries)
    matter = mattering(told, complaints, shown)
    last = matter[-shown:]
    if len(matter) > len(last):
        yield f"… {len(matter) - len(last)} more before"
    lanes = [*(party for party in parties(told) if any(party == entry.party for entry in last)), SERVER]
    width = max(2, min(_LANE, _LANES // len(lanes)))
    yield "".join(f"{escaped(cut(name, width - 1)):<{width}}" for name in lanes[:-1]) + SERVER
    for entry in last:
        yield f"{_drawn(entry, lanes, width)}   {label(entry)}"[:_WIDTH]
    if len(told) > len(matter):
        yield f"… {len(told) - len(matter)} more after"


def mattering(entries: Sequence[Entry], complaints: Sequence[str], shown: int) -> Sequence[Entry]:
    """Cut entries so that the last `shown` have the party that the first complaint names, if there is one."""
    words = complaints[0].split() if complaints else []
    if not words or any(entry.party in words for entry in entries[-shown:]):
        return entries
    places = [place for place, entry in enumerate(entries) if entry.party in words]
    return entries[: places[-1] + 1] if places else entries


def parties(entries: Sequence[Entry]) -> list[str]:
    """Give the parties in the order in which they appear."""
    return list(dict.fromkeys(entry.party for entry in entries if entry.party))


def label(entry: Entry) -> str:
    """Describe an entry, escaped, and with long values shortened."""
    match entry.item:
        case bytes(data):
            return f"bytes {cut(ascii(data[: 2 * _VALUE]), _VALUE)}"
        case str(text) if entry.event is Event.FAULT:
            return escaped(cut(f"nonsense: {text}", _WIDTH))
        case str(text):
            said = _PHRASES.get(entry.event) or escaped(cut(text, _WIDTH))
            return f"({entry.event}: {said})" if entry.event in ASIDE else said
        case message:
            return " ".join([message.COMMAND, *(cut(ascii(value), _VALUE) for value in message.values())])


def _drawn(entry: Entry, lanes: Sequence[str], width: int) -> str:
    if entry.event is Event.MARK:
        return " " + "┄" * (width * (len(lanes) - 1) + 1)
    line = [" "] * (width * (len(lanes) - 1) + 1)
    line[::width] = "│" * len(lanes)
    if entry.event in ASIDE:
        line[width * lanes.index(entry.party)] = "●"
        return " " + "".join(line)
    begin, end = width * lanes.index(entry.party), len(line) - 1
    line[begin + 1 : end] = ["┼" if letter == "│" else "─" for letter in line[begin + 1 : end]]
    if entry.event in (Event.RECEIVED, Event.FAULT, Event.CLOSED):
        line[begin + 1], line[end] = "◀", "●"
    else:
        line[begin], line[end - 1] = "●", "▶"
    return " " + "".join(line)
