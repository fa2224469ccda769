"""What each client asked for and what it heard: the bytes of its connection, read as server and client must read them.

What a client sends is a stream of requests, of flaws that the wire answers with an ERROR, and of an end.  How it is read
does not depend on what the server does, with one exception: before registration a request must be shorter than after it.
Where the specification lets a server read the bytes in several ways, each way is a `Hearing` of its own.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from improto.codec import Codec, LineCodec, Reader, arguments, load
from improto.errors import DecodeError
from improto.limits import Limits
from improto.messages import Code, Goodbye, Request, Response, Role
from improto_codecs.opcodes import Machine, PickleValue
from improto_conformance.connections.links import unframed
from improto_conformance.judging.dialects import FirstJson
from improto_conformance.judging.extensions import is_tried
from improto_conformance.profile import Profile
from improto_conformance.transcripts.transcript import Entry, Event, Transcript

__all__ = ["Asked", "Flaw", "Heard", "Hearing", "answered_in", "hearings"]


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something that is not a request: it has no effect, and gets one ERROR."""

    code: Code | None
    """None if the connection is closed without an ERROR (CODEC-15)."""
    fatal: bool
    """Whether it ends the connection of a registered user."""
    tried: bool = False
    """Whether it is a command of an extension, which the server may know."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing that a client sent, complete with the entry `index`."""

    index: int
    item: Request | Flaw | None
    """None for a part of a message, which matters only if it is too large before registration."""
    short: bool = True
    """Whether so many bytes are allowed before registration (LIMIT-3)."""
    others: Sequence[Request | Flaw] = ()
    """What else a server may read it as (JSON-14)."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One thing that a client received: None for the end of the stream, a text for something that makes no sense."""

    index: int
    item: Response | str | None
    time: float = 0.0
    lossy: bool = False
    """Whether it is an end that may have destroyed what came before it."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """Everything that passed on one connection, read in one way."""

    party: str
    asked: Sequence[Asked]
    heard: Sequence[Heard]
    reset: int | None
    """The entry at which the client reset the connection: its requests may have been lost (CONN-19)."""


_Entries = Sequence[tuple[int, Entry]]
_Pieces = Sequence[tuple[int, bytes]]


def hearings(seen: Transcript, profile: Profile) -> list[list[Hearing]]:
    """Give for each connection the ways to read it, the most likely first."""
    entries: dict[str, list[tuple[int, Entry]]] = {}
    for index, entry in enumerate(seen.entries):
        if entry.party:
            entries.setdefault(entry.party, []).append((index, entry))
    return [
        _ways(
            party,
            seen.codecs.get(party, "json"),
            mine,
            profile,
            messages=seen.messages,
            lossy=seen.lossy(party),
        )
        for party, mine in entries.items()
    ]


def answered_in(seen: Transcript, party: str) -> Sequence[str]:
    """Name the codecs in which a server may answer a party: the party's own, and the one that its first bytes decide."""
    name = seen.codecs.get(party, "")
    sent = [entry for entry in seen.of(party) if entry.event in (Event.SENT, Event.RAW)]
    if seen.messages or not sent or sent[0].event is Event.SENT:
        return [name]
    codec = load(name)
    told, _ = _told([(index, _bytes(entry, codec)) for index, entry in enumerate(sent)])
    return [name, told] if told and told != name else [name]  # CODEC-17


def _ways(
    party: str, name: str, entries: _Entries, profile: Profile, *, messages: bool, lossy: bool
) -> list[Hearing]:
    codec, limits = load(name), profile.limits
    heard = [
        Heard(index, _heard(entry), entry.time, lossy and entry.event is Event.CLOSED)
        for index, entry in entries
        if entry.event in _INCOMING
    ]
    reset = next((index for index, entry in entries if entry.event is Event.RESET), None)
    ends = [index for index, entry in entries if entry.event is Event.HALF_CLOSED][:1]
    end = [Asked(index, Goodbye()) for index in ends]  # CONN-18, CONN-20
    sent = [(i, e) for i, e in entries if e.event in (Event.SENT, Event.RAW) and not (ends and i > ends[0])]

    def hearing(asked: list[Asked], heard: list[Heard] = heard) -> Hearing:
        return Hearing(party, [*asked, *end], heard, reset)

    if messages:
        return [hearing(list(_unwrapped(sent, codec, limits)))]
    if all(_is_plain(entry, codec, limits) for _, entry in sent):
        return [hearing([_measured(index, entry, codec, limits) for index, entry in sent])]
    pieces = [(index, _bytes(entry, codec)) for index, entry in sent]
    told, rest = _told(pieces)
    if told == name and rest == pieces:
        return [hearing(asked) for asked in _readings(pieces, codec, limits)]
    # CODEC-17: a server of which one codec is known may be set to it; whatever is known, it may speak others as well.
    alone = len(profile.codecs) == 1
    ways = [hearing(asked) for asked in _readings(pieces, codec, limits)] if alone else []
    if told is None:  # CODEC-16
        ways.append(hearing([]))
        return ways
    if told not in profile.codecs:
        ways.append(hearing([Asked(rest[0][0], Flaw(None, fatal=True))]))  # CODEC-15
    if told:
        other = load(told)
        answers = heard if told == name else _reheard(entries, other)
        ways += [hearing(asked, answers) for asked in _readings(rest, other, limits)]
    return ways


_INCOMING: Final = (Event.RECEIVED, Event.FAULT, Event.CLOSED)


def _heard(entry: Entry) -> Response | str | None:
    if isinstance(entry.item, Response):
        return entry.item
    return None if entry.event is Event.CLOSED else str(entry.item)


def _reheard(entries: _Entries, codec: Codec) -> list[Heard]:
    """Read what was received in another codec than the client used."""
    reader, heard = codec.reader(Role.SERVER), list[Heard]()
    for index, entry in entries:
        if entry.event in _INCOMING:
            reader.feed(entry.data)
            for item in _items(reader, Limits().roster):
                heard.append(Heard(index, item if isinstance(item, Response) else str(item), entry.time))
            if entry.event is Event.CLOSED:
                heard.append(Heard(index, None, entry.time))
    return heard


def _bytes(entry: Entry, codec: Codec) -> bytes:
    match entry.item:
        case bytes(data):
            return data
        case str():
            return entry.data
        case message:
            return entry.data or codec.frame(codec.encode(message))


def _is_plain(entry: Entry, codec: Codec, limits: Limits) -> bool:
    """Tell whether what was sent, and its size, are known without reading it."""
    if not isinstance(entry.item, Request):
        return False
    return len(entry.data) <= limits.greeting or entry.data == codec.frame(codec.encode(entry.item))


def _measured(index: int, entry: Entry, codec: Codec, limits: Limits) -> Asked:
    """Take a message as it was sent, if it is short enough."""
    assert isinstance(entry.item, Request)
    data = _bytes(entry, codec)
    size = len(unframed(codec, data))  # LIMIT-1
    if size > limits.request:  # LIMIT-2
        return Asked(index, Flaw(Code.TOO_LARGE, fatal=True), short=False)
    return Asked(index, entry.item, size <= limits.greeting, _others(data, codec))


def _unwrapped(sent: _Entries, codec: Codec, limits: Limits) -> Iterator[Asked]:
    """Read what came on a transport where each message is one (WS-1)."""
    for index, entry in sent:
        payload = unframed(codec, _bytes(entry, codec))
        if len(payload) > limits.request:
            yield Asked(index, Flaw(Code.TOO_LARGE, fatal=True), short=False)
            return
        try:
            found = codec.decode(payload, Role.CLIENT)
            assert isinstance(found, Request)
            several = isinstance(codec, LineCodec) and b"\n" in payload
            item = Flaw(Code.MALFORMED, fatal=False) if several else found
        except DecodeError as error:
            item = Flaw(Code(error.code), fatal=False, tried=is_tried(error))  # WS-9
        yield Asked(index, item, len(payload) <= limits.greeting, _others(payload, codec))


def _told(pieces: _Pieces) -> tuple[str | None, _Pieces]:
    """Tell the codec as `auto` does, and give what is left to read; None for not yet, "" for none of ours."""
    rest = list(pieces)
    while rest and not rest[0][1].lstrip(_SKIPPED):  # CODEC-11
        del rest[0]
    if not rest:
        return None, rest
    rest[0] = (rest[0][0], rest[0][1].lstrip(_SKIPPED))
    start = b"".join(data for _, data in rest)[:22]
    if start[:1] == b"{":  # CODEC-12
        return "json", rest
    if start[:1] == b"\0":  # CODEC-13
        return "msgpack", rest
    if not b"A" <= start[:1] <= b"Z":  # CODEC-15
        return "", rest
    sign = re.search(rb"[ \n]", start[:21])  # CODEC-14
    if sign is None:
        return ("ascii" if len(start) >= 21 else None), rest
    if sign[0] == b"\n":
        return "ascii", rest
    after = start[sign.end() : sign.end() + 1]
    return (None if not after else "pickle" if after in b"\x80()]}" else "ascii"), rest


_SKIPPED: Final = b" \r\n"


def _read(pieces: _Pieces, codec: Codec, limits: Limits) -> list[Asked]:
    """Read a stream as that of a registered user, and note where it would be too large before registration."""
    strict = list(_cut(pieces, codec, limits.greeting))
    large = next((place for place, each in enumerate(strict) if _is_too_large(each.item)), None)
    if large is None:
        return strict
    # Both readings agree up to the first message that is too large before registration; there the connection ends.
    asked = list(_cut(pieces, codec, limits.request))
    if large < len(asked):
        asked[large] = replace(asked[large], short=False)
    else:
        asked.append(Asked(strict[large].index, None, short=False))
    return asked


def _readings(pieces: _Pieces, codec: Codec, limits: Limits) -> Iterator[list[Asked]]:
    """Read a stream, and also in the ways of servers that refuse less of a pickle, or refuse it later."""
    asked = _read(pieces, codec, limits)
    yield asked
    if codec.name != "pickle" or not asked:
        return
    data = b"".join(data for _, data in pieces)
    *before, last = asked
    large = _is_too_large(last.item)
    if large and _is_too_large_for_its_objects(data, len(before), codec, limits.request):  # PICKLE-34
        yield list(_cut(pieces, codec, _ROOM * limits.request))
    size = _unfinished(data, len(before), codec, limits.request) if large or last.item is None else None
    if size is not None and size <= limits.greeting:  # a length was declared, and so many bytes have not come
        yield before
    elif size is not None:
        yield [*before, Asked(last.index, None, short=False)]


_ROOM: Final = 4  # so many times the limit leave room for the objects of any pickle that is within it
_ANY: Final = 1 << 65  # above each length that a pickle can declare


_HEAD: Final = re.compile(rb"(?:[A-Z_]++ )?")


class _Walk(Machine):
    """Runs a pickle up to STOP, and does not ask how large the value is: that may take for ever without a limit."""

    __slots__ = ()

    def _height(self, root: PickleValue) -> int:
        return 0


def _unfinished(data: bytes, place: int, codec: Codec, limit: int) -> int | None:
    """Tell how many bytes there are of a message of a stream, if its pickle goes on behind them."""
    reader = codec.reader(Role.CLIENT)
    reader.feed(data)
    items = _items(reader, limit)
    for _ in range(place):
        next(items)
    rest = data[len(data) - reader.behind :]
    for _ in range(2):
        rest = rest.lstrip(b" \r\n")
        if len(rest) > limit:
            return None
        head = _HEAD.match(rest)
        assert head is not None  # it may be empty
        walk = _Walk(head.end())
        try:
            end = walk.run(rest, head.end(), _ANY)
        except DecodeError:
            return None
        if walk.result is None:
            return len(rest)
        if head.end():
            return None
        rest = rest[end:]  # an empty value, which follows a command without fields (PICKLE-20)
    return None


def _is_too_large_for_its_objects(data: bytes, place: int, codec: Codec, limit: int) -> bool:
    """Tell whether a message of a stream, as far as it has come, is within the limit and unfolds to no more (PICKLE-25)."""
    reader = codec.reader(Role.CLIENT)
    reader.feed(data)
    items = _items(reader, _ROOM * limit)
    for _ in range(place):
        next(items)
    before = reader.behind
    item = next(items, None)
    if item is None:
        return before <= limit
    if not isinstance(item, Request) or before - reader.behind > limit:
        return False
    texts = list(map(str, arguments(item)))
    return 1 + len(texts) + sum(map(len, texts)) <= limit


def _is_too_large(item: object) -> bool:
    return isinstance(item, Flaw) and item.code is Code.TOO_LARGE


def _cut(pieces: _Pieces, codec: Codec, limit: int) -> Iterator[Asked]:
    reader = codec.reader(Role.CLIENT)
    line = b""  # of JSON, as far as it has come
    for index, data in pieces:
        # Line by line, so that it is known which one a message came from.
        for piece in data.splitlines(keepends=True) if codec.name == "json" else [data]:
            reader.feed(piece)
            line = piece if line.endswith(b"\n") else line + piece
            for item in _items(reader, limit):
                assert not isinstance(item, Response)
                yield Asked(index, item, others=_others(line, codec))
                if isinstance(item, Flaw) and item.fatal:
                    return


def _items(reader: Reader, limit: int) -> Iterator[Request | Response | Flaw]:
    while True:
        try:
            item = reader.next(limit)
        except DecodeError as error:
            yield Flaw(Code(error.code), error.fatal, is_tried(error))
            if error.fatal:
                return
        else:
            if item is None:
                return
            yield item


def _others(line: bytes, codec: Codec) -> Sequence[Request | Flaw]:
    """Give what else a line of JSON may be read as, if an object in it has a key twice."""
    if codec.name != "json" or not _has_doubles(line):
        return ()
    malformed = Flaw(Code.MALFORMED, fatal=False)
    try:
        first = _FIRST.decode(line, Role.CLIENT)
    except DecodeError as error:
        return malformed, Flaw(Code(error.code), fatal=False)
    assert isinstance(first, Request)
    return malformed, first


_FIRST: Final = FirstJson()


def _has_doubles(line: bytes) -> bool:
    """Tell whether an object in a line of JSON has a key twice."""
    found = False

    def note(pairs: list[tuple[str, object]]) -> None:
        nonlocal found
        found = found or len(dict(pairs)) < len(pairs)

    try:
        json.loads(line, object_pairs_hook=note)
    except (ValueError, RecursionError):
        return False
    return found
