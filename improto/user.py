"""One user of a server, without I/O: what the clients of all bindings have in common.

`session.Session` is one connection.  A `User` adds what a program needs on top of that: calls that wait for their
replies, a queue of what has arrived and was not looked at yet, and a new connection when the old one is lost.

    user = User(codec, now)           begin, on a connection that stands or is about to be made

What the program asks for:

    user.request(request, now)        → the bytes to write; UsageError if it may not be sent now, Lost without a connection
    user.register(request, now)       → a `Call`: its bytes, and later its reply, which arrives as well
    user.list_conversations(now)      → a `Call`: its bytes, and later its reply, which goes to the caller alone
    user.close()                      the program ends the connection without another word

What happens to the connection:

    user.read(data, now)              bytes arrived; b"" is the end of the stream
    user.broke(reason)                the connection broke
    user.lost(why)                    the server takes nothing or says nothing any more, so it counts as lost
    user.failed_to_read(error)        `read` raised `error`
    user.overdue(now)                 → bytes to write to a server that has been silent for long; may end in a loss

What the binding is to do:

    user.next()                       → what has arrived, one item at a time, or None
    user.full                         whether to stop reading for now, since too much has not been looked at
    user.look                         after how many seconds of waiting for bytes to call `overdue` again
    user.standing                     whether to go on with this connection, or else to close it …
    user.delay(chance)                → … and how long to wait before making a new one; None if there is to be none
    user.failed(error)                no new one could be made
    user.connected(now)               → the bytes to write first on the new connection
    user.over                         whether nothing more will arrive; `error` says why, unless the program ended it
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Final, Generic, TypeVar, cast

from improto.client import Liveness, Timeouts
from improto.codec import Codec
from improto.deadlines import check_seconds
from improto.errors import ImprotoError, Lost, Refused, UsageError
from improto.limits import Limits
from improto.messages import (
    Code,
    Conversations,
    Error,
    Goodbye,
    ListConversations,
    OnlineUsers,
    Register,
    Request,
    Response,
    Status,
)
from improto.session import Session
from improto.states import State
from improto.wire import Fault

__all__ = ["NO_ANSWER", "NO_ROOM", "Backoff", "Call", "Item", "Reconnected", "Reply", "User"]

NO_ANSWER: Final = "the server does not answer; is it an improto server, and the codec right?"
"""Why a silent server counts as lost."""
NO_ROOM: Final = "the server takes nothing of what is sent to it; connect again"
"""Why a server that does not read counts as lost."""
_BETWEEN: Final = "there is no connection now, and another one is being made; send this again when it stands"
_UNHEARD: Final = (
    "before the server said anything that makes sense; perhaps it wants a certificate (--tls-cert FILE, or tls= in a "
    "program), TLS (tls:// or wss://), WebSocket (ws:// or wss://), or another codec"
)
_UNREADABLE: Final = (
    "the server sends what this codec cannot read; try another codec, or WebSocket (ws:// or wss://)"
)
_UNREAD: Final = 1024 * 1024
"""Bytes that may have arrived without being looked at …"""
_UNREAD_BEFORE_A_REPLY: Final = 64 * 1024 * 1024
"""… and as many while a call waits for its reply, which comes behind them."""
_FAULT: Final = 256
"""Bytes of memory that a Fault takes, roughly."""
_PASSING: Final = (
    Code.NAME_IN_USE,
    Code.FORBIDDEN,
    Code.RATE_LIMITED,
    Code.TOO_MANY,
    Code.TIMEOUT,
    Code.SHUTTING_DOWN,
)
"""Refusals that may not last, of a user who was registered before.

The server is full or restarts, has too many connections (FLOW-13), cannot decide just now who may come, or has not noticed
that the old connection is dead.
"""
_LAST_WORDS: Final = (Code.FORBIDDEN, Code.TIMEOUT, Code.SLOW_CONSUMER, Code.SHUTTING_DOWN)
"""With which a server says why it ends the connection (ERROR-8)."""
_LOOK: Final = 10.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before each attempt to connect again: twice as long each time, up to a bound."""

    first: float = 0.5
    """Seconds to wait before the first attempt."""
    most: float = 30.0
    """The most seconds to wait before an attempt."""
    attempts: int | None = None
    """After how many attempts to give up; None to go on for ever."""

    def __post_init__(self) -> None:
        """Check the times.  UsageError if a clock cannot take one."""
        check_seconds("first", self.first)
        check_seconds("most", self.most)

    def delay(self, attempt: int, chance: float) -> float | None:
        """Give the seconds to wait before an attempt (the first is 0), or None if there is to be none.

        `chance`, a random number from 0 to 1, takes up to half of the wait away, so that the clients of a server that
        was restarted do not all come back at the same moment.
        """
        if self.attempts is not None and attempt >= self.attempts:
            return None
        return min(self.most, self.first * 2.0 ** min(attempt, 100)) * (1 - chance / 2)


@dataclass(frozen=True, slots=True)
class Reconnected:
    """The connection was lost, and the user is registered on a new one, in no conversation."""

    joined: tuple[str, ...]
    """The conversations that the user was in before: JOIN those that still matter."""


Item = Response | Fault | Reconnected
"""What a program is told."""

Reply = TypeVar("Reply", OnlineUsers, Conversations)
"""What a `Call` may give."""


class Call(Generic[Reply]):
    """A request whose reply its caller waits for."""

    def __init__(self, data: bytes) -> None:
        """Made by `User.register` and `User.list_conversations`."""
        self.data = data
        """The bytes to write."""
        self.reply: Reply | None = None
        self.error: ImprotoError | None = None
        """Why there will be no reply."""

    @property
    def done(self) -> bool:
        """Whether there is a reply, or it is known that there will be none."""
        return self.reply is not None or self.error is not None

    def result(self) -> Reply:
        """Give the reply, or raise `error`.  UsageError if the call is not `done`."""
        if self.reply is not None:
            return self.reply
        error = self.error or UsageError("the reply has not arrived yet: see `done`")
        raise error.with_traceback(None)  # it may be that of other calls, too


class _Reader(Enum):
    """Who reads a reply to LIST_CONVERSATIONS for which no call waits."""

    PROGRAM = "program"
    """It asked with `request`, so the reply is an item like any other."""
    NOBODY = "nobody"
    """It was asked for as a sign of life only."""


class User:
    """One user.  See the module's text for the order of calls."""

    def __init__(
        self, codec: Codec, now: float, backoff: Backoff | None = None, timeouts: Timeouts | None = None
    ) -> None:
        """Begin on a connection on which nobody is registered; with `backoff`, connections that are lost are made again.

        UsageError if `backoff` is no Backoff, but for example True, or if `timeouts` are no Timeouts, but for example 5.0.
        """
        if not isinstance(cast(object, backoff), Backoff | None):
            raise UsageError("say how long to wait before each new connection, such as reconnect=Backoff()")
        if not isinstance(cast(object, timeouts), Timeouts | None):
            raise UsageError("say for what the client waits so long, such as timeouts=Timeouts(reply=5.0)")
        self._codec = codec
        self._backoff = backoff
        self.timeouts = timeouts or Timeouts()
        """How long the binding is to wait for the server."""
        self._reply_by: float | None = None  # until when, if no caller waits for the roster
        self._attempt = 0
        self._me: Register | None = None  # how to register again: with the status that was asked for last
        self._joined: tuple[str, ...] = ()
        self._inbox: deque[tuple[Item, int]] = deque()  # each item with the number of bytes that it came in
        self._unread = 0  # the sum of these numbers
        self.over = False
        self.error: ImprotoError | None = None
        self._begin(now)

    def _begin(self, now: float) -> None:
        self._session = Session(self._codec, now)
        self.view = self._session.view
        self.standing = True
        self._arrived = 0  # bytes since the end of the last whole message
        self._heard = False  # whether there was a message
        # The code of the last message, if it was an ERROR that says why the server ends the connection.
        self._last_word: str | None = None
        self._registering: Call[OnlineUsers] | None = None
        self._lists: deque[Call[Conversations] | _Reader] = deque()  # who reads each reply that is to come

    @property
    def state(self) -> State:
        """The state of the connection."""
        return self._session.state

    # -- what the user wants --------------------------------------------------------------------------------

    def request(self, request: Request, now: float) -> bytes:
        """Give the bytes of a request that is sent now; its reply arrives like everything else.

        UsageError if it may not be sent now.  After the end, `error` is raised; between two connections, Lost.
        """
        data = self._send(request, now)
        if isinstance(request, ListConversations):
            self._lists.append(_Reader.PROGRAM)
        elif isinstance(request, Status) and self._me is not None and Limits().complaint(request) is None:
            self._me = Register(self._me.username, request.status)
        return data

    def register(self, request: Register, now: float) -> Call[OnlineUsers]:
        """Send REGISTER, as a call; raises as `request` does."""
        self._registering = Call(self._send(request, now))
        self._me = request
        return self._registering

    def list_conversations(self, now: float) -> Call[Conversations]:
        """Send LIST_CONVERSATIONS, as a call; raises as `request` does."""
        call = Call[Conversations](self._send(ListConversations(), now))
        self._lists.append(call)
        return call

    def _send(self, request: Request, now: float) -> bytes:
        if self._attempt and not self.over:  # between two connections
            leaving = isinstance(request, Goodbye)
            if not self.standing or (self.state is State.REGISTERING and not leaving):
                raise Lost(_BETWEEN) from self.error
        if not self.standing and self.error is not None:
            raise self.error.with_traceback(None)  # else that of each time would come on top
        return self._session.request(request, now)

    def close(self) -> None:
        """Note that the program ends the connection without another word."""
        if not self.over:
            self._end(None)

    # -- what happens to the connection -----------------------------------------------------------------------

    def read(self, data: bytes, now: float) -> None:
        """Take in what arrived, or the end of the stream."""
        if not data:
            self._ended("the server has closed the connection")
        self._arrived += len(data)
        self._session.feed(data)
        while self.standing and (item := self._next(now)) is not None:
            if not self._replied(item):
                # What made no sense may be much shorter than the Fault that tells of it.
                size = max(self._arrived, _FAULT) if isinstance(item, Fault) else self._arrived
                self._inbox.append((item, size))
                self._unread += size
            self._arrived = 0
            self._heard = self._heard or not isinstance(item, Fault)
            code = item.code if isinstance(item, Error) else None
            self._last_word = code if code in _LAST_WORDS else None
            if isinstance(item, Fault) and item.fatal:  # CLIENT-18
                self._end(Lost(_UNREADABLE))

    def _next(self, now: float) -> Response | Fault | None:
        undecided = self.state is State.REGISTERING
        item = self._session.next(now)
        if self._registering is not None:
            if isinstance(item, OnlineUsers):
                self._registering.reply = item
            elif isinstance(item, Error) and undecided:
                self._registering.error = Refused(item.code, item.message)
        return item

    def _replied(self, item: Response | Fault) -> bool:
        """Give a reply to the call that waits for it; tell whether nobody else is to see it."""
        call = self._registering
        if call is not None and call.done:
            self._registering = None
            if self._attempt:
                self._back(call)
            return call.error is not None  # a roster is for everybody
        if isinstance(item, Error) and item.code == Code.RATE_LIMITED and self._lists:  # FLOW-11
            refused = self._lists.popleft()
            if isinstance(refused, Call):
                refused.error = Refused(item.code, item.message)
            return False  # it may be about a request before the list (CLIENT-15)
        if not isinstance(item, Conversations):
            return False
        reader = self._lists.popleft() if self._lists else _Reader.PROGRAM
        if isinstance(reader, Call):
            reader.reply = item
        return reader is not _Reader.PROGRAM

    def _back(self, call: Call[OnlineUsers]) -> None:
        """Go on after the attempt to register on a new connection."""
        self._reply_by = None
        if call.error is None:
            self._attempt = 0
            self.error = None
            self._inbox.append((Reconnected(self._joined), 0))
        else:
            self._end(call.error)

    def broke(self, reason: str) -> None:
        """Note that the connection broke, with the reason that the system gives."""
        self._ended(f"the connection broke ({reason})")

    def _ended(self, why: str) -> None:
        self.lost(why if self._heard else f"{why} {_UNHEARD}")

    def lost(self, why: str) -> None:
        """Note the end of the connection.  It is no loss after GOODBYE (CLIENT-16, CLIENT-20)."""
        if self.standing:
            said = f" ({self._last_word})" if self._last_word else ""
            self._end(None if self.state is State.CLOSED else Lost(f"{why}{said}", self._last_word))

    def failed_to_read(self, error: Exception) -> None:
        """Note that `read` raised something, as only a faulty codec makes it do: a new connection would not help."""
        self._backoff = None
        lost = Lost(f"what arrives cannot be read, since the codec raised {error!r}; mend the codec")
        lost.__cause__ = error
        self._end(lost)

    def overdue(self, now: float) -> bytes:
        """Give the bytes that ask a server that has been silent for long for a sign of life; none if there is no need."""
        advice = self.view.overdue(now) if self.standing else Liveness.FINE
        late = self._reply_by is not None and now >= self._reply_by
        if late or advice is Liveness.LOST:
            self.lost(NO_ANSWER)  # CONN-27
        elif advice is Liveness.ASK and self.state is State.REGISTERED:
            self._lists.append(_Reader.NOBODY)
            return self._session.request(ListConversations(), now)  # CONN-26
        return b""

    @property
    def look(self) -> float:
        """After how many seconds of waiting for bytes `overdue` is to be called again."""
        return _LOOK if self._reply_by is None else min(_LOOK, self.timeouts.reply)

    def _end(self, error: ImprotoError | None) -> None:
        registered = bool(self.view.online)  # `state` does not tell: it is CLOSED after a fatal fault
        self.standing, self.error = False, error
        self._reply_by = None
        for call in (self._registering, *self._lists):
            if isinstance(call, Call) and not call.done:
                call.error = error or Lost("the connection was closed meanwhile")
        if registered:
            self._joined = tuple(self.view.joined)
        self._session.close()
        again = self._backoff is not None and self._me is not None and (registered or self._attempt > 0)
        match error:
            case None:
                hopeless = True  # the program has ended it
            case Refused(code=code):
                hopeless = code not in _PASSING
            case Lost(code=code):
                hopeless = code == Code.FORBIDDEN  # ERROR-10: the user was kicked
            case _:
                hopeless = False
        self.over = hopeless or not again

    # -- a new connection -------------------------------------------------------------------------------------

    def delay(self, chance: float) -> float | None:
        """Give the seconds to wait before a new connection is made, or None if there is to be none."""
        delay = None if self.over or self._backoff is None else self._backoff.delay(self._attempt, chance)
        self._attempt += 1
        self.over = delay is None
        return delay

    def failed(self, error: ImprotoError) -> None:
        """Note that no new connection could be made, and why."""
        self.error = error

    def connected(self, now: float) -> bytes:
        """Begin on a new connection, and give the bytes of the REGISTER for it, with the status that was asked for last.

        What arrived on the old one can still be taken.  UsageError if the user has never registered.
        """
        if self._me is None:
            raise UsageError("call `register` first: a new connection begins with the same name")
        self._begin(now)
        self._reply_by = now + self.timeouts.reply
        return self.register(self._me, now).data

    # -- what the user is told --------------------------------------------------------------------------------

    def next(self) -> Item | None:
        """Take the next item that arrived for the program; None if there is none now."""
        if not self._inbox:
            return None
        item, size = self._inbox.popleft()
        self._unread -= size
        return item

    @property
    def full(self) -> bool:
        """Whether nothing is to be read for now."""
        if self.state is State.CLOSED:  # what is read then is discarded
            return False
        awaited = self._registering is not None or any(isinstance(each, Call) for each in self._lists)
        return self._unread > (_UNREAD_BEFORE_A_REPLY if awaited else _UNREAD)
