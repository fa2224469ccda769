"""The place where one check meets a client: the suite plays the client's server, byte by byte, and its user.

The suite waits only for things that must come: a request of the client, a line of its driver, the end of its stream.  So a
time-out only bounds how long a failure takes.
"""

import json
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from random import Random
from typing import Any, Self, TypeVar

from improto.codec import Codec
from improto.errors import DecodeError
from improto.messages import (
    AnyMessage,
    Conversations,
    Invitation,
    Join,
    ListConversations,
    OnlineUsers,
    Register,
    Request,
    Response,
    Role,
)
from improto_conformance.clients.lines import CLOSED, LOST, Heard, Item, NoDriver, Told, broken, command, read
from improto_conformance.clients.subjects import Subject
from improto_conformance.connections.links import CUTS, Link
from improto_conformance.servers.party import Stuck, Waits
from improto_conformance.transcripts.transcript import Entry, Event, Transcript

__all__ = ["CLIENT", "RESET", "Stage", "Unsupported"]

CLIENT = "client"
"""The label of the client in transcripts."""
RESET = "reset by the server"
"""What the transcript has of it: what was on its way may be lost."""
_LIMIT = 16 * 1024 * 1024
_M = TypeVar("_M", bound=AnyMessage)


class Unsupported(Exception):
    """The driver cannot do what the check needs; the text is the command."""


class Stage:
    """The client of one check, and what the suite does to it."""

    def __init__(
        self,
        subject: Subject,
        codec: Codec,
        waits: Waits,
        cut: str = "whole",
        seed: str = "",
        name: str = "ann",
    ) -> None:
        """Begin with a client that is to register as `name`; `seed` decides what is random in `cut`."""
        self.codec = codec
        self.name = name
        self.transcript = Transcript(codecs={CLIENT: codec.name})
        self.conversations: dict[str, tuple[str, ...]] = {}
        """The reply to a LIST_CONVERSATIONS that the client sends without being asked."""
        self._subject = subject
        self._waits = waits
        self._way = CUTS[cut]
        self._random = Random(f"{seed} {codec.name}")
        self._held = b""  # given to `serve`, but not sent yet
        self._accept = subject.begin(codec.name, name)
        self._link: Link | None = None
        self._reader = codec.reader(Role.CLIENT)
        self._unnoted = b""  # what has come since the last entry about it
        self._mine = codec.reader(Role.SERVER)  # reads what is served, as a right client does
        self._unnoted_served = b""
        self._registered = False  # as far as a right client knows
        self._lost = False  # whether what was served has lost its framing
        self._open = True  # as far as the server's side is concerned
        self._client_open = True
        self._awaited: deque[str] = deque()  # commands that the driver has not answered
        self._answers: deque[Told] = deque()
        self._told: deque[Item] = deque()  # events that nobody has waited for yet
        self._heard = Heard()
        self._begun = False  # whether the driver was asked to connect …
        self._began = False  # … and has done so
        self.online: Mapping[str, str] = {}
        """Who is online, as the client has told last."""
        self.complaints: list[str] = []
        """The complaints of the stimulus itself."""
        self._gone = False  # whether the client has told of the end

    # The user's side.

    @property
    def driven(self) -> bool:
        """Whether the client can be told what to do."""
        return self._subject.driven

    @property
    def astray(self) -> bool:
        """Whether the next served bytes are not read as messages, since the last ended within a message, or broke the framing."""
        return self._lost or self._mine.behind > 0

    @property
    def room(self) -> int:
        """A number of bytes that is larger than what can be on its way from the client while the server does not read."""
        return self._subject.room

    def after_another(self, live: Callable[["Stage"], None]) -> None:
        """Have another client live before, of which this one has to know nothing; it ends without a word."""
        self._subject.over()
        with Stage(self._subject, self.codec, self._waits, name=self.name) as other:
            live(other)
        self._accept = self._subject.begin(self.codec.name, self.name)

    def begin(self) -> None:
        """Begin with a new client, which is to talk to this server; a client without a driver begins by itself."""
        if self.driven and not self._begun:
            self._begun = True
            host, port = self._subject.address()
            self._command({"do": "connect", "host": host, "port": port, "codec": self.codec.name})
            self._answer()
            self._began = True

    def ask(self, request: Request) -> bool:
        """Let the user ask for a request; tell whether the client accepted it."""
        self.ask_ahead(request)
        return self._answer()

    def ask_ahead(self, *requests: Request) -> None:
        """Let the user ask for requests without waiting for answers; the next `ask` or `answers` waits for them."""
        self.begin()
        for request in requests:
            self._command(command(request))

    def answers(self) -> None:
        """Wait until the driver has answered all commands."""
        while self._awaited:
            self._answer()

    def tells(self, wanted: type[AnyMessage] | str) -> None:
        """Wait for the client to tell of a message of this kind, or of something else for which `lines` has a word.

        A client without a driver tells nothing, and is not waited for.
        """
        what = wanted if isinstance(wanted, str) else wanted.COMMAND
        while self.driven:
            item = self.told(what)
            if item == wanted if isinstance(wanted, str) else isinstance(item, wanted):
                return
            if item in (LOST, CLOSED):
                raise Stuck(f"the client was to tell of {what}, and told of the end of its connection")

    def told(self, what: str) -> Item:
        """Wait for the next thing that the client tells, which should be `what`."""
        end = self._now() + self._waits.timeout
        while not self._told:
            self._hear(end, f"the client to tell of {what}")
        return self._told.popleft()

    # The server's side.

    def sends(self, kind: type[_M]) -> _M:
        """Wait for the client to send a request of this kind; Inconclusive if it does not even start."""
        self._connected()
        end = self._now() + self._waits.timeout
        while True:
            request = self._receive(end, kind.COMMAND)
            if isinstance(request, kind):
                return request
            if isinstance(request, ListConversations):
                self.serve(Conversations(self.conversations))  # a client may ask whenever it likes

    def serve(self, *messages: AnyMessage) -> None:
        """Send messages in one write."""
        self.serve_bytes(self.encoded(*messages))

    def serve_bytes(self, data: bytes) -> None:
        """Send bytes as they are: messages in another form than ours, nonsense, or parts of them.

        The transcript shows how a right client reads them, as soon as it can.
        """
        self._connected()
        self._unnoted_served += data
        self._mine.feed(data)
        while not self._lost:
            try:
                message = self._mine.next(_LIMIT)
            except DecodeError as error:
                self._lost = error.fatal
                kind = f"{error.code}, fatal" if error.fatal else error.code
                self._note_served(Event.FAULT, f"{kind}: {error.explanation}")
                continue
            if message is None:
                break
            self._note_served(Event.RECEIVED, message)
            if isinstance(message, OnlineUsers) and self.name in message.users:
                self._registered = True
        self._held += data
        if self._way is None or not self._way.holds:
            self._flush()

    def encoded(self, *messages: AnyMessage) -> bytes:
        """Give messages as they are on the stream."""
        return b"".join(self.codec.frame(self.codec.encode(message)) for message in messages)

    def end(self) -> None:
        """End the server's stream, and go on receiving."""
        link = self._connected()
        self._flush()
        self._open = False
        self._note(Event.CLOSED, "the server's stream ends")
        with suppress(OSError):  # the client may have closed with something unread, which is a reset
            link.half_close()

    def reset(self) -> None:
        """Reset the connection."""
        link = self._connected()
        self._flush()
        self._open = self._client_open = False
        self._note(Event.CLOSED, RESET)
        link.reset()

    def read_to_end(self, grace: float = 0.0) -> None:
        """Receive until the client closes, which it need not do for so many seconds; Stuck if it does not."""
        end = self._now() + grace + self._waits.timeout
        while self._client_open:
            request = self._next(end, "the end of the client's stream")
            if isinstance(request, ListConversations) and self._open:
                self.serve(Conversations(self.conversations))

    # Steps that many checks consist of.

    def request(self, request: Request) -> None:
        """Let the user ask for a request, and wait for the client to send it."""
        self.ask(request)
        self.sends(type(request))

    def deliver(self, message: Response) -> None:
        """Send a message, and wait for the client to tell of it."""
        self.serve(message)
        self.tells(type(message))

    def register(self, status: str = "here") -> Register:
        """Let the client send REGISTER."""
        if self.driven:
            self.ask(Register(self.name, status))
        register = self.sends(Register)
        self.name = register.username
        return register

    def enter(self, *others: str, status: str = "here") -> None:
        """Let the client register, and send it the first roster, with others in it."""
        register = self.register(status)
        self.deliver(self.roster(*others, status=register.status))

    def roster(self, *others: str, status: str = "here") -> OnlineUsers:
        """Give a roster of the client and others."""
        return OnlineUsers({self.name: status, **dict.fromkeys(others, "there")})

    def invite(self, id: str, source: str = "bo") -> None:
        """Invite the client."""
        self.conversations[id] = (source,)
        self.deliver(Invitation(id, source))

    def join(self, id: str) -> None:
        """Invite the client, and let it join."""
        self.invite(id)
        self.request(Join(id))
        self.conversations[id] += (self.name,)

    def asks_for_list(self, conversations: Mapping[str, tuple[str, ...]]) -> None:
        """Let the user ask for the list, and send this one."""
        self.request(ListConversations())
        self.conversations = dict(conversations)
        self.serve_list()

    def serve_list(self) -> None:
        """Send the list of the conversations that there are."""
        self.deliver(Conversations(self.conversations))

    def finish(self) -> None:
        """End the stream, and wait for everything that the client still has to tell and to send."""
        if self._link is None:
            return
        if self._open and not self.driven:
            self._see_it_stay()
        if self._open:
            self.end()
        end = self._now() + self._waits.timeout
        while self.driven and not self._gone:
            self._hear(end, "the client to tell of the end of its connection")
        self.read_to_end()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Release everything; Stuck if the driver does not answer any more."""
        try:
            if self._begun and kind is not NoDriver:
                self._command({"do": "reset"})
                self.answers()
                self._see_it_closed()
        finally:
            if self._link is not None:
                self._link.close()
            self._subject.over()

    def _see_it_stay(self) -> None:
        """Complain about a client that has closed by itself, as far as it has read.

        It tells nobody what it reads, and is not waited for: it is served more than may be on its way instead.
        """
        if self._lost or not self._registered:
            return
        self.serve(OnlineUsers({self.name: "here", **{f"user-{n}": "s" * 16_000 for n in range(64)}}))
        with suppress(TimeoutError):
            while self._client_open:
                self._read(0.0)
            self.complaints.append(
                f"the client closed its connection, and had no reason to; the program {self._subject.ending()}"
            )

    def _see_it_closed(self) -> None:
        with suppress(ConnectionResetError):
            try:
                while (
                    self._link is not None and self._client_open and self._link.receive(self._waits.timeout)
                ):
                    pass
            except TimeoutError:
                raise broken("DRIVER-7") from None

    def _command(self, members: Mapping[str, Any]) -> None:
        if not self.driven:
            raise Unsupported(repr(members["do"]))
        line = json.dumps(members)
        self._note(Event.ASKED, line)
        self._awaited.append(members["do"])
        self._subject.ask(line)

    def _answer(self) -> bool:
        """Wait for the answer to the last command, and for those before it."""
        end = self._now() + self._waits.timeout
        told = Told()
        while self._awaited or self._answers:
            while not self._answers:
                self._hear(end, f"the driver's answer to {self._awaited[0]!r}")
            told = self._answers.popleft()
            if told.answer == "unsupported":
                raise Unsupported(f"the codec {self.codec.name}" if told.to == "connect" else repr(told.to))
        return told.answer == "did"

    def _hear(self, end: float, what: str) -> None:
        self._flush()
        try:
            line = self._subject.hear(end - self._now())
        except TimeoutError:
            self._waits.expired += self._waits.timeout
            raise Stuck(f"{what} was waited for, and did not come") from None
        if line is None:
            raise Stuck(f"the driver, and with it its client, {self._subject.ending()}")
        self._heard.add(line, what)
        told = read(line)
        self._note(Event.TOLD, line.rstrip())
        if not told.answer and not self._began:
            raise broken("DRIVER-8", line)
        if not told.answer:
            self._told.append(told.item)
            if isinstance(told.item, OnlineUsers):
                self.online = told.item.users
            self._gone = self._gone or told.item in (LOST, CLOSED)
        elif not self._awaited or told.to != self._awaited[0]:
            raise broken("DRIVER-2", line)
        else:
            self._awaited.popleft()
            self._answers.append(told)

    def _flush(self) -> None:
        """Send what is held back; this happens at the latest when the suite waits for anything, even for lines of the driver."""
        data, self._held = self._held, b""
        if data and self._link is not None:
            for piece in self._way.pieces(data, self._random) if self._way is not None else [data]:
                self._link.send(piece)

    def _connected(self) -> Link:
        if self._link is None:
            self.begin()
            try:
                self._link = self._accept(self._waits.timeout)
            except TimeoutError:
                self._waits.expired += self._waits.timeout
                raise Stuck("the client does not connect") from None
        return self._link

    def _now(self) -> float:
        return self._subject.now()

    def _receive(self, end: float, what: str) -> Request:
        request = self._next(end, what)
        if request is None:
            raise Stuck(f"{what} was waited for, and the client closed its connection")
        return request

    def _next(self, end: float, what: str) -> Request | None:
        """Give the client's next request, None at the end of its stream."""
        while self._client_open:
            try:
                request = self._reader.next(_LIMIT)
            except DecodeError as error:
                self._note_received(Event.RAW, b"", 0 if error.fatal else self._reader.behind)
                if error.fatal:
                    raise Stuck(f"what the client sends cannot be read: {error}") from None
                continue
            if isinstance(request, Request):
                self._note_received(Event.SENT, request, self._reader.behind)
                return request
            try:
                self._read(end - self._now())
            except TimeoutError:
                self._waits.expired += self._waits.timeout
                raise Stuck(f"{what} was waited for, and the client did not send it") from None
        return None

    def _read(self, timeout: float) -> None:
        """Read what the client has written, or see that it has closed; TimeoutError if neither comes in time."""
        self._flush()
        try:
            data = self._connected().receive(timeout)
        except ConnectionResetError:
            data = b""
        self._unnoted += data
        self._reader.feed(data)
        if not data:
            self._client_open = False
            self._note_received(Event.HALF_CLOSED, "")

    def _note_served(self, event: Event, item: AnyMessage | str) -> None:
        self._note(event, item, self._unnoted_served)
        self._unnoted_served = b""

    def _note_received(self, event: Event, item: AnyMessage | bytes | str, behind: int = 0) -> None:
        """Note what has come, but for so many bytes behind it."""
        end = len(self._unnoted) - behind
        data, self._unnoted = self._unnoted[:end], self._unnoted[end:]
        self._note(event, data if event is Event.RAW else item, data)

    def _note(self, event: Event, item: AnyMessage | bytes | str, data: bytes = b"") -> None:
        self.transcript.entries.append(Entry(CLIENT, event, item, self._now(), data))
