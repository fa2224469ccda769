"""Records what passes between clients and a server as a transcript.

    recording = Recording(codecs=["json"])
    tap = recording.connect()
    tap.from_client(data), tap.from_server(data)      before they are passed on
    tap.client_ended(), tap.client_broke(), tap.server_ended()

The first bytes of the client decide in which codec both directions are read.  Neither side is trusted: bytes that are not a
message become an entry as well, and what cannot be read any further is skipped.

Each entry is made when its last byte has come, and before this byte is passed on.  So whatever comes before a request in the
transcript cannot be its effect.  All later judgements rest on this alone.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from improto.codec import Codec, Reader, available, detect, load
from improto.errors import DecodeError
from improto.messages import AnyMessage, Code, Error, OnlineUsers, Register, Role
from improto_conformance.judging.extensions import is_extension
from improto_conformance.transcripts.transcript import Entry, Event, Transcript

__all__ = ["ENTRIES", "SIZE", "Recording", "Tap"]

ENTRIES: Final = 20_000
"""Entries after which a recording is full."""
SIZE: Final = 64 * 1024 * 1024
"""Bytes of both directions of all connections after which it is full."""

_REQUEST: Final = 1024 * 1024  # a longer payload of a client is not read: 16 times what a server must accept
_RESPONSE: Final = 16 * 1024 * 1024  # LIMIT-20
_BLANK: Final = b" \r\n"
_SHORT: Final = 256  # bytes that cannot unfold to more than a server must accept
_LABEL: Final = 64
_NONE: Final = "ascii"


class Recording:
    """The transcript of all connections since the last moment at which there was none."""

    def __init__(
        self,
        codecs: Sequence[str] = (),
        *,
        entries: int = ENTRIES,
        size: int = SIZE,
    ) -> None:
        """Begin empty.  With one codec in `codecs`, all connections use it; otherwise their first bytes decide."""
        self.transcript = Transcript()
        self.full = False
        """Whether more has come than can be kept; what came later is not in the transcript."""
        self._codecs = [load(name) for name in codecs or available()]
        self._entries = entries
        self._room = size
        self._connections = 0
        self._labels = {"server"}
        self._lingering: dict[str, int] = {}  # whose connection was reset, and how many had connected by then

    @property
    def settled(self) -> bool:
        """Whether the server has shown that it has noticed all resets, so that no user who is gone counts as online."""
        return not self._lingering

    def broke(self, name: str) -> None:
        """Note that a user's connection was reset, which the server may notice later."""
        self._lingering[name] = self._connections

    def shown(self, users: Collection[str], number: int) -> None:
        """Note a roster that a connection received: it shows who is offline, if it is newer than their end."""
        gone = [name for name, by in self._lingering.items() if by < number and name not in users]
        for name in gone:
            del self._lingering[name]

    def connect(self) -> "Tap":
        """Give a tap that records a new connection."""
        self._connections += 1
        return Tap(self, self._codecs, self._connections)

    def take(self) -> Transcript:
        """Give the transcript, and begin an empty one."""
        taken, self.transcript = self.transcript, Transcript()
        return taken

    def count(self, data: bytes) -> None:
        """Count bytes before they are read."""
        self._room -= len(data)
        self.full = self.full or self._room < 0

    def note(self, entry: Entry) -> None:
        """Add an entry, if there is room."""
        self.full = self.full or len(self.transcript.entries) >= self._entries
        if not self.full:
            self.transcript.entries.append(entry)

    def label(self, wanted: str) -> str:
        """Give a label that no other connection has, made from the wanted one."""
        base = wanted[:_LABEL] or "?"
        numbered = (f"{base} ({number})" for number in range(2, len(self._labels) + 3))
        label = next(label for label in (base, *numbered) if label not in self._labels)
        self._labels.add(label)
        return label


class Tap:
    """One connection, seen from between its ends."""

    def __init__(self, recording: Recording, codecs: Sequence[Codec], number: int) -> None:
        """Made by `Recording.connect`."""
        self._recording = recording
        self._codecs = codecs
        self._number = number
        self._name = ""  # that was asked for last
        self._label = ""  # until there is an entry
        self._codec: Codec | None = None
        self._first = b""  # what the client has sent, as long as that does not decide the codec
        self._up: _Stream | None = None
        self._down: _Stream | None = None
        self._greeted = False  # whether the client is registered, so that extensions may be sent to it
        self._unnoted = b""  # what has come of extensions since the last entry about received bytes
        self.closed = False
        """Whether the server has ended its stream."""
        if len(codecs) == 1:
            self._use(codecs[0], b"")

    def from_client(self, data: bytes) -> None:
        """Record what the client sent."""
        if self._passed_over(data):
            return
        if self._up is None:
            self._first += data
            if not self._detected():
                return
            data = self._first.lstrip(_BLANK)  # CODEC-11
        assert self._up is not None
        for item, taken in self._up.read(data):
            if isinstance(item, DecodeError):
                self._note(Event.RAW, taken, taken)
            else:
                if isinstance(item, Register):
                    self._name = item.username
                if self._is_plain(taken):
                    self._note(Event.SENT, item, taken)
                else:
                    self._note(Event.RAW, taken, taken)

    def from_server(self, data: bytes) -> None:
        """Record what the server sent."""
        if self._passed_over(data):
            return
        if self._down is None:  # CODEC-16
            self._down = _Stream(None)
            self._note(Event.FAULT, "it came before the codec of the connection was known", data)
        elif self._down.readable:
            for item, taken in self._down.read(data):
                taken, self._unnoted = self._unnoted + taken, b""
                if isinstance(item, DecodeError) and self._greeted and is_extension(item):
                    self._unnoted = taken
                elif isinstance(item, DecodeError):
                    self._note(Event.FAULT, str(item), taken)
                else:
                    if isinstance(item, OnlineUsers):
                        self._greeted = True
                        self._recording.shown(item.users, self._number)
                    elif isinstance(item, Error) and item.code == Code.TOO_LARGE:
                        self._note_unfinished()
                    self._note(Event.RECEIVED, item, taken)

    def client_ended(self) -> None:
        """Note that the client has ended its stream."""
        self._end(Event.HALF_CLOSED, self._up.rest if self._up else self._first)

    def client_broke(self) -> None:
        """Note that the connection of the client was reset."""
        if self._name and not self.closed:
            self._recording.broke(self._name)
        self._end(Event.RESET, self._up.rest if self._up else self._first)

    def server_ended(self) -> None:
        """Note that the server has ended its stream, only once."""
        if not self.closed:
            self.closed = True
            self._end(Event.CLOSED, self._unnoted + (self._down.rest if self._down else b""), "closed")

    def _is_plain(self, data: bytes) -> bool:
        """Tell whether a message unfolds to no more than its bytes; otherwise its bytes have to be judged by the limits."""
        if len(data) <= _SHORT or self._codec is None:
            return True
        reader = self._codec.reader(Role.CLIENT)
        reader.feed(data.lstrip(_BLANK))
        try:
            reader.next(len(data))
        except DecodeError:
            return False
        return True

    def _note_unfinished(self) -> None:
        """Note the beginning of a message, if the server does not wait for its end."""
        data = b"" if self._up is None else self._up.give_up()
        if data:
            self._note(Event.RAW, data, data)

    def _passed_over(self, data: bytes) -> bool:
        self._recording.count(data)
        if self._recording.full:
            self._up = self._down = None
            self._first = b""
        return self._recording.full

    def _use(self, codec: Codec, skipped: bytes) -> None:
        self._codec = codec
        self._up = _Stream(codec.reader(Role.CLIENT), _REQUEST, skipped)
        if self._down is None:
            self._down = _Stream(codec.reader(Role.SERVER), _RESPONSE)

    def _detected(self) -> bool:
        """Tell whether the codec is known by now, or known to be none of ours."""
        first = self._first.lstrip(_BLANK)
        skipped = self._first[: len(self._first) - len(first)]
        try:
            name = detect(first)
        except DecodeError:  # CODEC-15
            name = "none"
        codec = next((codec for codec in self._codecs if codec.name == name), None)
        if codec is not None:
            self._use(codec, skipped)
        elif name is not None:
            self._up = _Stream(None, 0, skipped)
        return name is not None

    def _end(self, event: Event, rest: bytes, text: str = "") -> None:
        if rest or self._label:  # a client that connects and sends nothing does not matter
            self._note(event, text, rest)

    def _note(self, event: Event, item: AnyMessage | bytes | str, data: bytes) -> None:
        if not self._label:
            wanted = item.username if isinstance(item, Register) else f"connection {self._number}"
            self._label = self._recording.label(wanted)
            # Bytes that belong to no codec are wrong in this one as well.
            self._recording.transcript.codecs[self._label] = self._codec.name if self._codec else _NONE
        self._recording.note(Entry(self._label, event, item, time.monotonic(), data))


class _Stream:
    """One direction of a connection, split into messages with the bytes of each."""

    def __init__(self, reader: Reader | None, limit: int = 0, skipped: bytes = b"") -> None:
        """Read payloads of up to `limit` bytes; without a reader, nothing can be read."""
        self._reader = reader
        self._limit = limit
        self._bytes = bytearray(skipped)  # which no message has taken yet

    @property
    def readable(self) -> bool:
        """Whether it can be read any further."""
        return self._reader is not None

    @property
    def rest(self) -> bytes:
        """The bytes of a message whose end has not come."""
        return bytes(self._bytes)

    def give_up(self) -> bytes:
        """Give the bytes of a message whose end has not come, and stop counting them."""
        return self._take(0)

    def read(self, data: bytes) -> Iterator[tuple[AnyMessage | DecodeError, bytes]]:
        """Give each message that is complete, or what is wrong with it, and its bytes."""
        self._bytes += data
        if self._reader is not None:
            self._reader.feed(data)
        while self._reader is not None:
            try:
                message = self._reader.next(self._limit)
            except DecodeError as error:
                if error.fatal:
                    self._reader = None
                    yield error, self._take(0)
                else:
                    yield error, self._take(self._reader.behind)
                continue
            if message is None:
                return
            yield message, self._take(self._reader.behind)
        if self._bytes:
            yield _OVER, self._take(0)

    def _take(self, behind: int) -> bytes:
        end = len(self._bytes) - behind
        taken = bytes(self._bytes[:end])
        del self._bytes[:end]
        return taken


_OVER: Final = DecodeError("malformed", "it cannot be read any more", fatal=True)
