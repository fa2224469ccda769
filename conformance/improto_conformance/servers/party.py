"""One client of the suite: it sends what a check tells it to send, and writes down what it receives.

A party only ever waits for something that must come.  So a time-out only bounds how long a failure takes.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event as Flag
from threading import Lock
from typing import Final, TypeVar

from improto.codec import Codec
from improto.errors import DecodeError, ImprotoError
from improto.limits import Limits
from improto.messages import AnyMessage, Conversations, ListConversations, OnlineUsers, Response, Role
from improto_conformance.connections.links import Connect, MessageLink, Misframed, unframed
from improto_conformance.judging.extensions import is_extension
from improto_conformance.profile import DEFAULTS
from improto_conformance.transcripts.transcript import RESET, Entry, Event, Transcript

__all__ = ["Lost", "Party", "Stuck", "Unfit", "Waits"]

_LIMIT = 16 * 1024 * 1024
_MOST_MESSAGES: Final = 10_000  # that a party reads: no check asks for a tenth of it …
_MOST_A_SECOND: Final = 1000  # … but a server may send rosters as often as it likes
_M = TypeVar("_M", bound=Response)
_T = TypeVar("_T")


class Unfit(ImprotoError):
    """A check needs other limits than the server declares."""


class Stuck(ImprotoError):
    """Something that must come did not come."""


@dataclass
class Waits:
    """How long a wait may take, and how long was waited in vain, in seconds."""

    timeout: float
    slack: float = 0.0
    """How much longer than its time a wait for a certain time may take."""
    expired: float = 0.0
    over: Flag = field(default_factory=Flag)
    """Set when the result is no longer wanted: then no wait begins."""
    most: int = 64 * 1024 * 1024
    """Bytes that a party reads in vain before it gives up."""
    flooded: bool = False
    """Whether a party has given up, since the server sends other things without end."""
    turn: "Lock | None" = None
    """Held while a check does not wait: of many checks at a time, one computes and the others wait."""

    def elsewhere(self, wait: Callable[[], _T]) -> _T:
        """Wait for the other end, and let other checks run meanwhile."""
        if self.turn is None:
            return wait()
        self.turn.release()
        try:
            return wait()
        finally:
            self.turn.acquire()


class Party:
    """One connection to the server, and one user on it."""

    def __init__(
        self,
        label: str,
        connect: Connect,
        codec: Codec,
        transcript: Transcript,
        waits: Waits,
        limits: Limits = DEFAULTS,
    ) -> None:
        """Connect; OSError if that fails.

        It is Unfit to send something that the given limits and the default limits judge differently.
        """
        self.label = label
        self.name = transcript.name(label)
        self.codec = codec
        self._transcript = transcript
        self._waits = waits
        self._limits = None if limits == DEFAULTS else limits
        self.link = waits.elsewhere(lambda: connect(waits.timeout, codec))
        self._reader = codec.reader(Role.SERVER)
        self._ended = False  # by the server
        self._left = False  # by this party
        self._unnoted = b""  # what has come since the last entry about received bytes
        self._messages = self._bytes = 0  # that have come
        self._since = self.link.now()
        transcript.codecs[label] = codec.name
        transcript.messages = isinstance(self.link, MessageLink)
        self.roster: Mapping[str, str] = {}
        """The users in the latest roster."""

    def send(self, *messages: AnyMessage, deliberate: bool = False) -> None:
        """Send messages, in one write or each in a frame of its own.

        `deliberate`: some of them are meant to be refused, or come after a GOODBYE; otherwise that is a fault of the suite.
        """
        data = [self.encoded(message) for message in messages]
        for message, written in zip(messages, data, strict=True):
            self._expect_fit(written, message)
            self._note(Event.SENT, message, written, deliberate=deliberate)
        for piece in data if isinstance(self.link, MessageLink) else [b"".join(data)]:
            self._write(piece)

    def send_as(self, message: AnyMessage, data: bytes, *, deliberate: bool = False) -> None:
        """Send a message as the bytes `data`, in a form of its own; `deliberate` as for `send`."""
        self._note(Event.SENT, message, data, deliberate=deliberate)
        self._write(data)

    def send_bytes(self, data: bytes, *, one_by_one: bool = False) -> None:
        """Send bytes as they are, in one write or in one write for each byte."""
        self._expect_fit(data)
        self._note(Event.RAW, data, data)
        for piece in [data[i : i + 1] for i in range(len(data))] if one_by_one else [data]:
            self._write(piece)

    def _write(self, piece: bytes) -> None:
        self._waits.elsewhere(lambda: self.link.send(piece))

    def _expect_fit(self, data: bytes, message: AnyMessage | None = None) -> None:
        """Raise Unfit if the server's limits and the default limits judge what is to be sent differently."""
        if self._limits is None:
            return
        size = len(unframed(self.codec, data))

        def fits(limits: Limits) -> tuple[bool, bool]:
            within = size <= limits.payload(Role.CLIENT, registered=bool(self.roster))
            return within, message is None or limits.complaint(message) is None

        if fits(self._limits) != fits(DEFAULTS):
            raise Unfit(f"{self.label} would send what the default limits are about")

    def encoded(self, *messages: AnyMessage) -> bytes:
        """Give messages as they are on the stream."""
        return b"".join(self.codec.frame(self.codec.encode(message)) for message in messages)

    def wait(self, wanted: Callable[[Response], bool], what: str, *, within: float | None = None) -> Response:
        """Receive up to a wanted message; Stuck if it does not come, or not in time if a time is given."""
        end = self._end(within)
        while True:
            message = self._receive(end, what)
            if wanted(message):
                return message

    def _end(self, within: float | None) -> float:
        waits = self._waits
        return self.link.now() + (waits.timeout if within is None else within + waits.slack)

    def wait_for(self, kind: type[_M], *, within: float | None = None) -> _M:
        """Receive up to a message of this kind; Stuck if it does not come."""
        found = self.wait(lambda message: isinstance(message, kind), kind.COMMAND, within=within)
        assert isinstance(found, kind)
        return found

    def hear(self, number: int) -> None:
        """Receive until there are so many messages in total, not counting rosters and lists; Stuck if they do not come."""
        for _ in range(number - len(self._transcript.heard(self.label))):
            self.wait(
                lambda message: not isinstance(message, OnlineUsers | Conversations),
                f"{number} messages in all",
            )

    def wait_to_see(self, username: str, status: str | None, *, within: float | None = None) -> None:
        """Receive up to a roster that shows a user with a status; with None, up to one that does not show the user."""
        if self.roster.get(username) != status:
            self.wait(
                lambda message: isinstance(message, OnlineUsers) and message.users.get(username) == status,
                f"a roster that shows {username} as {status!r}",
                within=within,
            )

    def barrier(self) -> Conversations:
        """Wait until everything that was sent before is handled, and receive all that it caused here (ORDER-5)."""
        self.send(ListConversations())
        return self.wait_for(Conversations)

    def read_to_end(self, *, within: float | None = None) -> None:
        """Receive until the server closes; Stuck if it does not."""
        end = self._end(within)
        with suppress(_Closed):
            while True:
                self._receive(end, "the end of the stream")

    def half_close(self) -> None:
        """Send no more, and go on receiving."""
        self._note(Event.HALF_CLOSED, "")
        self.link.half_close()

    def reset(self) -> None:
        """Reset the connection."""
        self._leave()
        self.link.reset()

    def close(self) -> None:
        """Close; has no effect if it is closed already."""
        self._leave()
        self.link.close()

    def _leave(self) -> None:
        if not self._left:
            self._left = True
            self._note(Event.RESET, "")

    def _receive(self, end: float, what: str) -> Response:
        while True:
            if self._is_flooded():
                self._waits.flooded = True
                raise Stuck(f"{self.label} waited for {what}, and the server sends other things without end")
            try:
                message = self._reader.next(_LIMIT)
            except DecodeError as error:
                self._messages += 1
                if self.roster and is_extension(error):
                    continue  # its bytes belong to the next entry
                self._note_received(Event.FAULT, str(error))
                if error.fatal:
                    raise Stuck(f"{self.label} cannot read what the server sends: {error}") from None
                continue
            if isinstance(message, Response):
                self._messages += 1
                self._note_received(Event.RECEIVED, message)
                if isinstance(message, OnlineUsers):
                    self.roster = message.users
                return message
            self._reader.feed(self._read(end, what))

    def _is_flooded(self) -> bool:
        most = _MOST_MESSAGES + _MOST_A_SECOND * (self.link.now() - self._since)
        return self._messages >= most or self._bytes >= self._waits.most

    def _read(self, end: float, what: str) -> bytes:
        if self._ended:
            lost = self._transcript.lossy(self.label)
            raise (Lost if lost else _Closed)(
                f"{self.label} waited for {what}, and the server {'reset' if lost else 'closed'} the connection"
            )
        left = end - self.link.now()
        try:
            # What has come in time may be read a little later, but reading must not go on for ever.
            if left < -self._waits.timeout or self._waits.over.is_set():
                raise TimeoutError
            data = self._waits.elsewhere(lambda: self.link.receive(left))
        except Misframed as error:
            self._note(Event.FAULT, str(error), error.data)
            return b""
        except TimeoutError:
            self._waits.expired += self._waits.timeout
            if self._unnoted.strip():
                self._note_received(Event.FAULT, "what does not end")
            raise Stuck(f"{self.label} waited for {what}, which did not come") from None
        except ConnectionResetError:
            data, ended = b"", RESET
        else:
            ended = "closed"
        if not data:
            self._ended = True
            self._note_received(Event.CLOSED, ended)
        self._bytes += len(data)
        self._unnoted += data
        return data

    def _note_received(self, event: Event, item: AnyMessage | str) -> None:
        self._note(event, item, self._unnoted)
        self._unnoted = b""

    def _note(
        self, event: Event, item: AnyMessage | bytes | str, data: bytes = b"", *, deliberate: bool = False
    ) -> None:
        entry = Entry(self.label, event, item, self.link.now(), data, deliberate)
        self._transcript.entries.append(entry)


class _Closed(Stuck):
    """The server closed the connection while something was waited for."""


class Lost(_Closed):
    """The server reset the connection, which may have destroyed what was waited for."""
