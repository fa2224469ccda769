"""One user of a server, without I/O: what each binding's client has in common.

A `User` adds to `session.Session` what a program needs that talks by calls: the replies that calls wait for, what
arrived and was not looked at yet, and going on with a new connection when one was lost.

    user = User(codec, now)        for a connection that stands, or is about to be made

    user.request(request, now)     → the bytes to write; UsageError if it may not be sent now, Lost after the end
    user.call(request, now)        → a `Call`, whose reply goes to the caller alone, unless it is a roster
    user.read(data, now)           whatever arrived; b"" is the end of the stream
    user.broke(reason)             the connection broke
    user.lost(why)                 the server counts as lost, since it takes or says nothing any more
    user.failed_to_read(error)     `read` raised something
    user.overdue(now)              → bytes to write to a server that has said nothing for long; may end in a loss
    user.close()                   the user ends it without another word
    user.next()                    → what arrived, one after the other, or None
    user.full                      whether nothing is to be read now, since too much is not looked at yet
    user.standing                  whether to go on with this connection, or else to close it …
    user.delay(chance)             → … and then how long to wait before a new one is made; None: there is to be none
    user.failed(error)             no new one could be made
    user.connected(now)            → the bytes to write on the new connection
    user.over                      whether nothing more will arrive; `error` says why, if that is not the user's doing
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, cast

from improto.client import Liveness
from improto.codec import Codec
from improto.errors import ImprotoError, Lost, Refused, UsageError
from improto.messages import (
    Code,
    Conversations,
    Error,
    ListConversations,
    OnlineUsers,
    Register,
    Request,
    Response,
)
from improto.session import Session
from improto.states import State
from improto.wire import Fault

__all__ = ["NO_ANSWER", "NO_ROOM", "Backoff", "Call", "Item", "Reconnected", "User"]

NO_ANSWER: Final = "the server does not answer; is it an improto server, and the codec right?"
"""Why a silent server counts as lost."""
NO_ROOM: Final = "the server takes nothing of what is sent to it; connect again"
"""Why a server that does not read counts as lost."""
_UNHEARD: Final = (
    "before the server said anything that makes sense; perhaps it wants a certificate (--tls-cert FILE, or tls= in a "
    "program), TLS (tls:// or wss://), WebSocket (ws:// or wss://), or another codec"
)
_UNREADABLE: Final = (
    "the server sends what this codec cannot read; try another codec, or WebSocket (ws:// or wss://)"
)
_UNREAD: Final = 1024 * 1024
"""Bytes that may wait to be looked at …"""
_UNREAD_BEFORE_A_REPLY: Final = 64 * 1024 * 1024
"""… and as long as a call waits for its reply, which comes behind them."""
_FAULT: Final = 256
"""Bytes that a Fault takes, in the order of magnitude."""
_PASSING: Final = (Code.NAME_IN_USE, Code.RATE_LIMITED, Code.TOO_MANY, Code.TIMEOUT, Code.SHUTTING_DOWN)
"""Refusals that may be gone in a while: the server has not noticed yet that the old connection is dead, is full, or goes."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before each attempt to connect again: twice as long each time, up to a bound."""

    first: float = 0.5
    """Seconds before the first attempt."""
    most: float = 30.0
    """Seconds before any."""
    attempts: int | None = None
    """After how many to give up; None for never."""

    def delay(self, attempt: int, chance: float) -> float | None:
        """Give the seconds before an attempt, counted from 0; None if there is to be none.

        `chance`, from 0 to 1, takes up to half of it away, so that not all clients of a server come at once.
        """
        if self.attempts is not None and attempt >= self.attempts:
            return None
        return min(self.most, self.first * 2.0 ** min(attempt, 100)) * (1 - chance / 2)


@dataclass(frozen=True, slots=True)
class Reconnected:
    """The connection was lost, and the user is registered on a new one, in no conversation."""

    joined: tuple[str, ...]
    """The conversations that the user was in before: JOIN what still matters."""


Item = Response | Fault | Reconnected
"""What a program is told."""


class Call:
    """A request whose reply its caller waits for."""

    def __init__(self, data: bytes) -> None:
        """Made by `User.call`."""
        self.data = data
        """The bytes to write."""
        self.reply: Response | None = None
        self.error: ImprotoError | None = None
        """Why there will be no reply."""

    @property
    def done(self) -> bool:
        """Whether there is a reply, or will be none."""
        return self.reply is not None or self.error is not None


class User:
    """One user.  See the module's text for the order of calls."""

    def __init__(self, codec: Codec, now: float, backoff: Backoff | None = None) -> None:
        """Begin on a connection on which nobody is registered; with `backoff`, be ready for others.

        UsageError if that is something else, such as True.
        """
        if not isinstance(cast(object, backoff), Backoff | None):
            raise UsageError("say how long to wait before each new connection, such as reconnect=Backoff()")
        self._codec = codec
        self._backoff = backoff
        self._attempt = 0
        self._me: Register | None = None  # as whom to register again
        self._joined: tuple[str, ...] = ()
        self._inbox: deque[tuple[Item, int]] = deque()  # with the bytes that it came in
        self._unread = 0  # bytes of all these
        self.over = False
        self.error: ImprotoError | None = None
        self._begin(now)

    def _begin(self, now: float) -> None:
        self._session = Session(self._codec, now)
        self.view = self._session.view
        self.standing = True
        self._arrived = 0  # bytes since the last message was whole
        self._heard = False  # whether there was one
        self._put_out = False  # whether the last one told why the server ends it (ERROR-10)
        self._registering: Call | None = None
        # For each LIST_CONVERSATIONS who waits for its reply: a call, or (True) whoever takes what arrives, or nobody.
        self._lists: deque[Call | bool] = deque()

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self._session.state

    # -- what the user wants --------------------------------------------------------------------------------

    def request(self, request: Request, now: float) -> bytes:
        """Let a request go out and give its bytes; its reply is told as what arrives.

        UsageError if it may not be sent now, or `error` after the end.
        """
        data = self._send(request, now)
        if isinstance(request, ListConversations):
            self._lists.append(True)
        return data

    def call(self, request: Register | ListConversations, now: float) -> Call:
        """Let one of the two requests go out that have a sure reply; raises as `request` does."""
        call = Call(self._send(request, now))
        if isinstance(request, Register):
            self._registering = call
            self._me = request
        else:
            self._lists.append(call)
        return call

    def _send(self, request: Request, now: float) -> bytes:
        if not self.standing and self.error is not None:
            raise self.error
        return self._session.send(request, now)

    def close(self) -> None:
        """Note that the user ends the connection without another word."""
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
                # What makes no sense may be much shorter than what tells of it.
                size = max(self._arrived, _FAULT) if isinstance(item, Fault) else self._arrived
                self._inbox.append((item, size))
                self._unread += size
            self._arrived = 0
            self._heard = self._heard or not isinstance(item, Fault)
            self._put_out = isinstance(item, Error) and item.code == Code.FORBIDDEN
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
        """Give a reply to whoever waits for it, and tell whether that is all."""
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
        waiting = self._lists.popleft() if self._lists else True
        if isinstance(waiting, Call):
            waiting.reply = item
        return waiting is not True

    def _back(self, call: Call) -> None:
        """Go on after the attempt to be registered on a new connection."""
        if call.error is None:
            self._attempt = 0
            self.error = None
            self._inbox.append((Reconnected(self._joined), 0))
        else:
            self._end(call.error)

    def broke(self, reason: str) -> None:
        """Note that the connection broke, for the system's reason."""
        self._ended(f"the connection broke ({reason})")

    def _ended(self, why: str) -> None:
        self.lost(why if self._heard else f"{why} {_UNHEARD}")

    def lost(self, why: str) -> None:
        """Note the end of the connection, which is in order after GOODBYE (CLIENT-16, CLIENT-20)."""
        if self.standing:
            self._end(None if self.state is State.CLOSED else Lost(why))

    def failed_to_read(self, error: Exception) -> None:
        """Note that reading raised something, as only a codec that is wrong does; no new connection would mend that."""
        self._backoff = None
        lost = Lost(f"what arrives cannot be read, since the codec raised {error!r}; mend the codec")
        lost.__cause__ = error
        self._end(lost)

    def overdue(self, now: float) -> bytes:
        """Give what asks a server that has said nothing for long for a sign of life, empty if there is no need."""
        advice = self.view.overdue(now) if self.standing else Liveness.FINE
        if advice is Liveness.LOST:
            self.lost(NO_ANSWER)  # CONN-27
        elif advice is Liveness.ASK and self.state is State.REGISTERED:
            self._lists.append(False)
            return self._session.send(ListConversations(), now)  # CONN-26
        return b""

    def _end(self, error: ImprotoError | None) -> None:
        registered = bool(self.view.online)  # the state may have gone on, behind a fatal fault
        self.standing, self.error = False, error
        for call in (self._registering, *self._lists):
            if isinstance(call, Call) and not call.done:
                call.error = error or Lost("the connection was closed meanwhile")
        if registered:
            self._joined = tuple(self.view.joined)
        self._session.close()
        again = self._backoff is not None and self._me is not None and (registered or self._attempt > 0)
        self.over = (
            not again
            or self._put_out
            or error is None
            or (isinstance(error, Refused) and error.code not in _PASSING)
        )

    # -- a new connection -------------------------------------------------------------------------------------

    def delay(self, chance: float) -> float | None:
        """Give the seconds until a new connection is to be made, or None if there is to be none."""
        delay = None if self.over or self._backoff is None else self._backoff.delay(self._attempt, chance)
        self._attempt += 1
        self.over = delay is None
        return delay

    def failed(self, error: ImprotoError) -> None:
        """Note that no new connection could be made, and why."""
        self.error = error

    def connected(self, now: float) -> bytes:
        """Begin on a new connection with a REGISTER, and give its bytes; what arrived on the old one can still be taken."""
        assert self._me is not None
        self._begin(now)
        return self.call(self._me, now).data

    # -- what the user is told --------------------------------------------------------------------------------

    def next(self) -> Item | None:
        """Take the next that arrived and no call has waited for; None if there is nothing now."""
        if not self._inbox:
            return None
        item, size = self._inbox.popleft()
        self._unread -= size
        return item

    @property
    def full(self) -> bool:
        """Whether nothing is to be read for now."""
        if self.state is State.CLOSED:  # then it is discarded
            return False
        awaited = self._registering is not None or any(isinstance(each, Call) for each in self._lists)
        return self._unread > (_UNREAD_BEFORE_A_REPLY if awaited else _UNREAD)
