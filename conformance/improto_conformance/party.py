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
from improto_conformance.links import Connect, MessageLink, Misframed
from improto_conformance.transcript import RESET, Entry, Event, Transcript

__all__ = ["Lost", "Party", "Stuck", "Unfit", "Waits"]

_LIMIT = 16 * 1024 * 1024
_MOST_MESSAGES: Final = 10_000  # that a party takes: no check asks for a tenth of it …
_MOST_A_SECOND: Final = 1000  # … but a server may send rosters as often as it likes
_MOST_BYTES: Final = 64 * 1024 * 1024
DEFAULTS: Final = Limits()
_M = TypeVar("_M", bound=Response)
_T = TypeVar("_T")


class Unfit(ImprotoError):
    """A check needs other limits than the server declares."""


class Stuck(ImprotoError):
    """Something that had to come did not come."""


@dataclass
class Waits:
    """How long was waited in vain, and how long a wait may take, in seconds."""

    timeout: float
    slack: float = 0.0
    """What a wait for a certain time may take beyond that."""
    expired: float = 0.0
    over: Flag = field(default_factory=Flag)
    """Set when nobody wants to know any more: then no wait begins."""
    turn: "Lock | None" = None
    """What is held while nothing is waited for: of many checks at a time one computes, and the others wait."""

    def elsewhere(self, wait: Callable[[], _T]) -> _T:
        """Wait for the other end, and let other checks have the turn meanwhile."""
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

        What the default limits and those that are given here are not of one mind about, is Unfit to be sent.
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
        self._unnoted = b""  # what has come since the last entry about it
        self._messages = self._bytes = 0  # that have come
        self._since = self.link.now()
        transcript.codecs[label] = codec.name
        transcript.messages = isinstance(self.link, MessageLink)
        self.roster: Mapping[str, str] = {}
        """The users in the latest roster."""

    def send(self, *messages: AnyMessage, deliberate: bool = False) -> None:
        """Send messages in one write, or each in its frame.

        With `deliberate`, some of them are to be refused, or come after a GOODBYE: else it is a fault of the suite.
        """
        data = [self.encoded(message) for message in messages]
        for message, written in zip(messages, data, strict=True):
            self._expect_fit(written, message)
            self._note(Event.SENT, message, written, deliberate=deliberate)
        for piece in data if isinstance(self.link, MessageLink) else [b"".join(data)]:
            self._write(piece)

    def send_as(self, message: AnyMessage, data: bytes, *, deliberate: bool = False) -> None:
        """Send a message in a form of its own, which `data` is; `deliberate` as for `send`."""
        self._note(Event.SENT, message, data, deliberate=deliberate)
        self._write(data)

    def send_bytes(self, data: bytes, *, one_by_one: bool = False) -> None:
        """Send bytes as they are, in one write or in as many as there are bytes."""
        self._expect_fit(data)
        self._note(Event.RAW, data, data)
        for piece in [data[i : i + 1] for i in range(len(data))] if one_by_one else [data]:
            self._write(piece)

    def _write(self, piece: bytes) -> None:
        self._waits.elsewhere(lambda: self.link.send(piece))

    def _expect_fit(self, data: bytes, message: AnyMessage | None = None) -> None:
        """Raise Unfit if the server's limits judge what is to be sent otherwise than the default ones."""
        if self._limits is None:
            return
        size = len(data) - len(self.codec.frame(b""))

        def fits(limits: Limits) -> tuple[bool, bool]:
            within = size <= limits.payload(Role.CLIENT, registered=bool(self.roster))
            return within, message is None or limits.complaint(message) is None

        if fits(self._limits) != fits(DEFAULTS):
            raise Unfit(f"{self.label} would send what the default limits are about")

    def encoded(self, *messages: AnyMessage) -> bytes:
        """Give messages as they stand on the stream."""
        return b"".join(self.codec.frame(self.codec.encode(message)) for message in messages)

    def wait(self, wanted: Callable[[Response], bool], what: str, *, within: float | None = None) -> Response:
        """Receive up to a message that is wanted; Stuck if it does not come, in time if there is one."""
        end = self._end(within)
        while True:
            message = self._receive(end, what)
            if wanted(message):
                return message

    def _end(self, within: float | None) -> float:
        waits = self._waits
        return self.link.now() + (waits.timeout if within is None else within + waits.slack)

    def wait_for(self, kind: type[_M], *, within: float | None = None) -> _M:
        """Receive up to a message of a kind; Stuck if it does not come."""
        found = self.wait(lambda message: isinstance(message, kind), kind.COMMAND, within=within)
        assert isinstance(found, kind)
        return found

    def hear(self, number: int) -> None:
        """Receive so many messages in all, beside rosters and lists; Stuck if they do not come."""
        for _ in range(number - len(self._transcript.heard(self.label))):
            self.wait(
                lambda message: not isinstance(message, OnlineUsers | Conversations),
                f"{number} messages in all",
            )

    def wait_to_see(self, username: str, status: str | None, *, within: float | None = None) -> None:
        """Receive up to a roster that shows a user with a status, or with None not at all."""
        if self.roster.get(username) != status:
            self.wait(
                lambda message: isinstance(message, OnlineUsers) and message.users.get(username) == status,
                f"a roster that shows {username} as {status!r}",
                within=within,
            )

    def barrier(self) -> Conversations:
        """Have everything handled that was sent before, and receive all that it caused here (ORDER-5)."""
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
        """Break the connection off."""
        self._leave()
        self.link.reset()

    def close(self) -> None:
        """Close; harmless if that was done."""
        self._leave()
        self.link.close()

    def _leave(self) -> None:
        if not self._left:
            self._left = True
            self._note(Event.RESET, "")

    def _receive(self, end: float, what: str) -> Response:
        while True:
            if self._is_flooded():
                raise Stuck(f"{self.label} waited for {what}, and the server sends other things without end")
            try:
                message = self._reader.next(_LIMIT)
            except DecodeError as error:
                self._messages += 1
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
        return self._messages >= most or self._bytes >= _MOST_BYTES

    def _read(self, end: float, what: str) -> bytes:
        if self._ended:
            lost = self._transcript.lossy(self.label)
            raise (Lost if lost else _Closed)(
                f"{self.label} waited for {what}, and the server {'reset' if lost else 'closed'} the connection"
            )
        left = end - self.link.now()
        try:
            # What has come in time may be read a little later, but not whatever comes then, for ever.
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
