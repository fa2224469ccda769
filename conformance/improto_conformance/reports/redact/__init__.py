"""Removes private texts from transcripts and results: names, statuses, texts, ids, and whatever is in bytes.

The result can be judged as before: equal texts stay equal, each text keeps its length in every codec, and bytes that were a
message or a flaw are one still.  An ERROR keeps its code.  The names of checks, their marks and their titles belong to the
suite and are kept.
"""

import ast
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, chain
from typing import Final, cast

from improto.codec import load
from improto.errors import DecodeError
from improto.messages import AnyMessage, Role, Value
from improto_conformance.reports.redact.binary import packs, pickles
from improto_conformance.reports.redact.lines import lines
from improto_conformance.reports.redact.masks import Masks
from improto_conformance.results import Result
from improto_conformance.transcripts.complaints import Difference
from improto_conformance.transcripts.transcript import Entry, Event, Transcript

__all__ = ["Redactor"]

_TO_CLIENT: Final = (Event.RECEIVED, Event.FAULT, Event.CLOSED)
_LIMIT: Final = 16 * 1024 * 1024


class Redactor:
    """Removes private texts from all results of one run; a text is replaced by the same text everywhere."""

    def __init__(self, masks: Masks | None = None) -> None:
        """Begin, with new masks unless some are given."""
        self._masks = masks or Masks()

    def result(self, result: Result) -> Result:
        """Give a result with its transcript and complaints redacted."""
        seen = result.transcript
        complaints = tuple(self.complaint(complaint, seen) for complaint in result.complaints)
        return replace(result, complaints=complaints, transcript=self.transcript(seen))

    def transcript(self, seen: Transcript) -> Transcript:
        """Give a transcript redacted."""
        return _Pass(self._masks, seen).transcript()

    def complaint(self, complaint: str, seen: Transcript) -> str:
        """Give a complaint about a transcript redacted; of a traceback, only the raised exception is redacted."""
        words = _Pass(self._masks, seen)

        def prose(text: str) -> str:
            lines = text.split("\n")
            return "\n".join(
                line if line.startswith((" ", "Traceback")) else words.prose(line) for line in lines
            )

        made = prose(complaint)
        if isinstance(complaint, Difference):
            made = Difference(made)
            made.expected, made.actual = prose(complaint.expected), prose(complaint.actual)
        return made


class _Pass:
    """The redaction of one transcript."""

    def __init__(self, masks: Masks, seen: Transcript) -> None:
        self._masks = masks
        self._seen = seen
        self._names = {seen.name(party) for party in seen.codecs} | set(seen.codecs)

    def text(self, text: str) -> str:
        return self._masks.text(text, self._seen.suffix)

    def transcript(self) -> Transcript:
        seen = self._seen
        entries = [replace(entry, item=self._item(entry.item, entry.event)) for entry in seen.entries]
        for party, codec in seen.codecs.items():
            for events in (_TO_CLIENT, (Event.SENT, Event.RAW)):
                places = [
                    place
                    for place, entry in enumerate(seen.entries)
                    if entry.party == party and entry.event in events and entry.data
                ]
                role = Role.SERVER if events is _TO_CLIENT else Role.CLIENT
                for place, data in zip(places, self._stream(entries, places, codec, role), strict=True):
                    entry = entries[place]
                    item = data if entry.event is Event.RAW else entry.item
                    entries[place] = replace(entry, item=item, data=data)
        return Transcript(
            self.text(seen.suffix),
            [replace(entry, party=self.text(entry.party)) for entry in entries],
            {self.text(party): codec for party, codec in seen.codecs.items()},
        )

    def _stream(
        self, entries: Sequence[Entry], places: Sequence[int], codec: str, role: Role
    ) -> Iterator[bytes]:
        """Give the bytes of one direction of a connection, in their original pieces."""
        pieces = [self._seen.entries[place].data for place in places]
        whole = b"".join(pieces)
        items = _items(whole, codec, role)
        known = {text for item in items if not isinstance(item, str) for text in _texts(item)}
        made = self._bytes(whole, codec, known)
        wanted = [item if isinstance(item, str) else self.message(item) for item in items]
        if len(made) == len(whole) and _items(made, codec, role) == wanted:
            ends = accumulate(map(len, pieces))
            yield from (made[end - len(piece) : end] for end, piece in zip(ends, pieces, strict=True))
            return
        # A number that fits where it stood no more, say: the messages that cannot be read are written anew.
        form = load(codec)
        for place, piece in zip(places, pieces, strict=True):
            item, other = entries[place].item, self._bytes(piece, codec, known)
            fits = isinstance(item, str | bytes) or _items(other, codec, role) == [item]
            yield other if fits else form.frame(form.encode(cast("AnyMessage", item)))

    def _bytes(self, data: bytes, codec: str, known: Collection[str]) -> bytes:
        match codec:
            case "msgpack":
                return packs(data, self.text)
            case "pickle":
                return pickles(data, self.text)
            case _:
                return lines(data, codec, known, self.text)

    def _item(self, item: AnyMessage | bytes | str, event: Event) -> AnyMessage | bytes | str:
        match item:
            case bytes():
                return item  # it is made of the entry's data
            case str():
                if event in (Event.ASKED, Event.TOLD):
                    return self._bytes(item.encode("utf-8", "surrogateescape"), "json", ()).decode(
                        "utf-8", "surrogateescape"
                    )
                return self.prose(item) if event is Event.FAULT else item
            case _:
                return self.message(item)

    def message(self, message: AnyMessage) -> AnyMessage:
        make = cast("Callable[..., AnyMessage]", type(message))
        return make(*map(self._value, message.values()))

    def _value(self, value: Value) -> object:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(key): self._value(inner) for key, inner in value.items()}
        return tuple(map(self.text, value))

    def prose(self, prose: str) -> str:
        """Redact a sentence of the suite: what it quotes, and the parties that it names."""
        names = "|".join(re.escape(name) for name in sorted(self._names, key=len, reverse=True) if name)
        parties = rf"|(?<!\w)(?:{names})(?!\w)" if names else ""

        def other(found: re.Match[str]) -> str:
            if found["quoted"] is None:
                return self.text(found[0])
            try:
                value = ast.literal_eval(found[0])
            except (ValueError, SyntaxError):  # it is cut off
                return re.sub(r"\w+", lambda word: self.text(word[0]), found[0])
            if isinstance(value, bytes):
                return ascii(re.sub(rb"\w+", lambda word: self.text(word[0].decode()).encode(), value))
            return ascii(self.text(value))

        return re.sub(_QUOTED + parties, other, prose)


# What `repr` writes; an apostrophe within a word is none.
_QUOTED: Final = r"""(?P<quoted>(?<!\w)b?(?:'(?:[^'\\]|\\.)*(?:'|\Z)|"(?:[^"\\]|\\.)*(?:"|\Z)))"""


def _items(data: bytes, codec: str, role: Role) -> list[AnyMessage | str]:
    """Read a stream up to where it cannot be read on; a text for what is no message."""
    reader = load(codec).reader(role)
    reader.feed(data)
    items: list[AnyMessage | str] = []
    while True:
        try:
            item = reader.next(_LIMIT)
        except DecodeError as error:
            items.append(error.code)
            if error.fatal:
                return items
        else:
            if item is None:
                return items
            items.append(item)


def _texts(message: AnyMessage) -> Iterator[str]:
    return chain.from_iterable(map(_texts_of, message.values()))


def _texts_of(value: Value) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield key
            yield from _texts_of(inner)
    else:
        yield from value
