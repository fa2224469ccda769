"""A transcript as a sequence diagram in SVG, for the page; `sequence` makes the same in text."""

from collections.abc import Iterator, Sequence
from typing import Final

from improto.messages import Error
from improto_conformance.reports.markup import Element, el
from improto_conformance.reports.sequence import ASIDE, SERVER, label, mattering, parties
from improto_conformance.transcripts.complaints import cut
from improto_conformance.transcripts.transcript import Entry, Event, without_clean_up

__all__ = ["MOST", "picture"]

MOST: Final = 40
"""So many entries are shown: the last ones."""

_ROW: Final = 22
_HEAD: Final = 34
_TIME: Final = 64  # the column of times
_LANES: Final = 620  # for the columns of the parties, at most
_LANE: Final = 96
_TEXT: Final = 760  # for the messages
_LETTERS: Final = 100  # of it

_TO_CLIENT: Final = (Event.RECEIVED, Event.FAULT, Event.CLOSED)


def picture(entries: Sequence[Entry], complaints: Sequence[str]) -> Element:
    """Give the diagram of the entries that matter for the complaints, with the time since the first of all."""
    told = mattering(without_clean_up(entries), complaints, MOST)
    last = told[-MOST:]
    names = [party for party in parties(told) if any(party == entry.party for entry in last)] + [SERVER]
    lane = min(_LANE, _LANES // len(names))
    places = {name: _TIME + lane // 2 + lane * number for number, name in enumerate(names)}
    width, height = _TIME + lane * len(names) + _TEXT, _HEAD + _ROW * len(last) + 8
    start = told[0].time if told else 0.0
    return el(
        "svg",
        *_lanes(places, height),
        *(
            _row(entry, places, _HEAD + _ROW * number + _ROW // 2, entry.time - start)
            for number, entry in enumerate(last)
        ),
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        aria_label=f"sequence diagram of the last {len(last)} of {len(told)} events; as text below",
    )


def _lanes(places: dict[str, int], height: int) -> Iterator[Element]:
    for name, x in places.items():
        yield el("line", x1=x, x2=x, y1=_HEAD - 8, y2=height, class_="lane")
        yield el("text", el("title", name), cut(name, 11), x=x, y=_HEAD - 14, class_="party")


def _row(entry: Entry, places: dict[str, int], y: int, time: float) -> Element:
    far = places[SERVER]
    said = label(entry)
    words = el("text", cut(said, _LETTERS), x=far + 24, y=y + 4, class_="said")
    if entry.event is Event.MARK:
        rule = el("line", x1=_TIME, x2=far + 12, y1=y, y2=y, class_="rule")
        return el("g", rule, words, class_="mark")
    clock = el("text", f"{time:.3f}", x=_TIME - 8, y=y + 4, class_="time")
    near = places[entry.party]
    if entry.event in ASIDE:
        return el("g", el("title", said), clock, el("circle", cx=near, cy=y, r=3), words, class_="end")
    begin, end = (far, near) if entry.event in _TO_CLIENT else (near, far)
    step = 7 if end > begin else -7
    return el(
        "g",
        el("title", said),
        clock,
        el("circle", cx=begin, cy=y, r=3),
        el("line", x1=begin, x2=end - step, y1=y, y2=y),
        el("path", d=f"M{end} {y}l{-step} -4v8z"),
        words,
        class_=_kind(entry),
    )


def _kind(entry: Entry) -> str:
    if entry.event is Event.FAULT or isinstance(entry.item, Error):
        return "wrong"
    if entry.event in (Event.CLOSED, Event.HALF_CLOSED, Event.RESET):
        return "end"
    if entry.event is Event.RAW:
        return "raw"
    return "response" if entry.event is Event.RECEIVED else "request"
