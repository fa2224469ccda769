"""The wire layer: the bytes of one connection, seen from one of its ends.

A `Connection` puts together what is known about one peer's bytes: the codec, the limits, the state.  Bytes
go in, messages and faults come out; a message goes in, bytes come out.  It does not know what a message is
for: `server.Hub` knows what a server does about it, and `client.Client` what it means to a user.

    connection = Connection(Role.SERVER, codecs)

    connection.agree(codec)          the transport has agreed on a codec, if this was begun with `agreeing`
    connection.feed(data)            bytes arrived, cut into pieces of any size
    connection.next(now)             → the next message, or a Fault, or None when more bytes are needed
    connection.encode(message)       → its bytes, framed
    connection.sent(message)         a message is sent: the state follows from it

Call `next` until it returns None, or until it is somebody else's turn; `ready` tells whether it makes sense to
call it.  A server answers a Fault with `fault.error`, a client reports it; if it is `fatal`, either closes the
connection.  `feed` and `next` never raise, whatever the peer sends.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from improto.codec import Codec, Reader, detect
from improto.errors import DecodeError, UsageError
from improto.limits import Limits
from improto.messages import AnyMessage, Code, Error, Goodbye, Invite, Register, Role
from improto.states import TRANSITIONS, State, after, out_of_state

__all__ = ["Connection", "Fault", "Rate"]

_SKIPPED_BEFORE_DETECTION: Final = b" \r\n"
# A message of this length or more would not begin with the zero byte by which msgpack is recognised (CODEC-13).
_MSGPACK_SIGN: Final = 2**24


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that a peer sent and that has no effect, and why.  If it is `fatal`, the connection cannot go on."""

    code: Code
    explanation: str
    fatal: bool

    @property
    def error(self) -> Error:
        """The ERROR with which a server answers it."""
        return Error.of(self.code, self.explanation)


@dataclass(frozen=True, slots=True)
class Rate:
    """How many requests a connection may send: `burst` at once, and `per_second` in the long run (a token bucket).

    Requests beyond that are refused (FLOW-11); after more than `patience` of them in a row, the connection is closed.
    """

    per_second: float
    burst: int
    patience: int = 100

    def __post_init__(self) -> None:
        """Check the numbers.  UsageError if no request would ever be allowed."""
        if not (self.per_second > 0 and self.burst >= 1 and self.patience >= 0):
            raise UsageError(
                "a rate allows more than 0 requests per second, a burst of 1 or more, and 0 or more refusals"
            )


class _Bucket:
    __slots__ = ("_at", "_rate", "_tokens", "refused")

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._tokens = float(rate.burst)
        self._at: float | None = None
        self.refused = 0

    def take(self, now: float) -> bool:
        if self._at is not None:
            gained = (now - self._at) * self._rate.per_second
            self._tokens = min(float(self._rate.burst), self._tokens + gained)
        self._at = now
        if self._tokens < 1.0:
            self.refused += 1
            return False
        self._tokens -= 1.0
        self.refused = 0
        return True


class Connection:
    """One end of one connection.  See the module's text for the order of calls."""

    __slots__ = (
        "_bucket",
        "_codecs",
        "_limit",
        "_limits",
        "_name",
        "_pending",
        "_rate",
        "_reader",
        "_role",
        "_row",
        "_sender",
        "_strict",
        "codec",
        "ready",
        "state",
    )

    def __init__(
        self,
        role: Role,
        codecs: Sequence[Codec],
        limits: Limits | None = None,
        rate: Rate | None = None,
        *,
        agreeing: bool = False,
    ) -> None:
        """Begin in `State.OPEN`, as the end that `role` names.

        If there is one codec in `codecs`, that is spoken; of several, a server tells by the first bytes which one it
        is.  With `agreeing`, the transport has yet to agree on one, and `next` gives nothing before `agree`.
        UsageError if there is no codec, if a client gets several, or if a limit makes it impossible to tell them apart.
        """
        if not codecs or (role is Role.CLIENT and len(codecs) > 1):
            raise UsageError("give a server at least one codec, and a client exactly one")
        limits = limits or Limits()
        if len(codecs) > 1 and max(limits.request, limits.greeting) >= _MSGPACK_SIGN:
            raise UsageError(
                "with several codecs a request may have less than 2**24 bytes: set a lower limit"
            )
        self._role = role
        self._strict = role is Role.SERVER  # what clients receive is bounded by its size only
        self._sender = Role.SERVER if role is Role.CLIENT else Role.CLIENT
        self._codecs = codecs
        self._limits = limits
        self._rate = rate
        self._bucket = _Bucket(rate) if rate else None
        self._name = ""  # of the user who is registered, or wants to be
        self._pending = b""  # bytes that do not tell yet which codec it is
        self._reader: Reader | None = None
        self.codec: Codec | None = None
        """The one that is spoken, once it is known."""
        self._enter(State.OPEN)
        if len(codecs) == 1 and not agreeing:
            self._use(codecs[0])

    def _enter(self, state: State) -> None:
        """Go into a state, and work out what follows from it: that is asked for much more often."""
        self.state = state
        self._row = TRANSITIONS[state]
        self._limit = self._limits.payload(self._sender, registered=state is State.REGISTERED)
        self.ready = state is not State.CLOSED
        """Whether `next` may give anything: not after the end, nor on a server while a REGISTER waits for its answer."""
        if state is State.REGISTERING:  # REGISTER-9
            self.ready = self._role is Role.CLIENT
        elif state is State.CLOSED:  # nobody will ever read what is left
            self._reader = None
            self._pending = b""

    def agree(self, codec: Codec) -> None:
        """Speak the codec on which the transport has agreed (WS-3)."""
        self._use(codec)

    def feed(self, data: bytes) -> None:
        """Store bytes that arrived.  In `State.CLOSED` they are dropped."""
        if self._reader is not None:
            self._reader.feed(data)
        elif self.state is not State.CLOSED:  # GOODBYE-6
            self._pending = (self._pending + data).lstrip(_SKIPPED_BEFORE_DETECTION)  # CODEC-11

    def next(self, now: float) -> AnyMessage | Fault | None:
        """Take the next message that the peer sent, or a Fault if it is none or may not be sent now.

        `now` is in seconds of any clock that does not go backwards; only the rate limit depends on it.
        """
        if not self.ready:
            return None
        try:
            reader = self._reader or self._detect()
            message = None if reader is None else reader.next(self._limit)
        except DecodeError as error:
            return self._fault(Code(error.code), error.explanation, fatal=error.fatal)
        if message is None:
            return None
        if self._strict:
            complaint = self._limits.complaint(message)
            if complaint is not None:  # LIMIT-22, LIMIT-23
                return self._fault(Code.INVALID, complaint)
            if self._bucket is not None and not self._is_free(message) and not self._bucket.take(now):
                fatal = self._rate is not None and self._bucket.refused > self._rate.patience
                return self._fault(
                    Code.RATE_LIMITED, "you send too fast; wait before you send again", fatal=fatal
                )
        state = self._row.get(type(message))
        if state is None:
            return self._unexpected(message)
        if state is not self.state:
            self._enter(state)
            if isinstance(message, Register):
                self._name = message.username
        return message

    def _is_free(self, message: AnyMessage) -> bool:
        """Tell whether the limit on the rate does not apply."""
        # An INVITE of nobody else will be refused as invalid, which comes before rate-limited (ERROR-6, INVITE-5).
        if isinstance(message, Invite):
            return all(name == self._name for name in message.users)
        return isinstance(message, Goodbye)  # never refused (FLOW-11)

    @property
    def behind(self) -> int:
        """How many bytes behind the last message are not handled yet; 0 until the codec is known."""
        return 0 if self._reader is None else self._reader.behind

    def encode(self, message: AnyMessage) -> bytes:
        """Give the bytes of `message` for a stream.  UsageError if the codec is not known yet."""
        if self.codec is None:
            raise UsageError("the codec is not known yet: take the peer's first message with `next` before")
        return self.codec.frame(self.codec.encode(message))

    def sent(self, message: AnyMessage) -> None:
        """Note that a message is sent, and change the state.  UsageError if it may not be sent in this state."""
        state = after(self.state, type(message))
        if state is None or message.FROM is not self._role:
            raise UsageError(
                f"a {self._role} does not send {message.COMMAND} on a connection that is {self.state}; "
                f"see `states.TRANSITIONS` for what it sends then"
            )
        if state is not self.state:
            self._enter(state)

    def close(self) -> None:
        """Note that the connection has ended, or that nothing more is wanted from the peer."""
        self._enter(State.CLOSED)

    def _use(self, codec: Codec) -> Reader:
        self.codec = codec
        self._reader = codec.reader(self._sender)
        return self._reader

    def _detect(self) -> Reader | None:
        name = detect(self._pending)
        if name is None:
            return None
        codec = next((codec for codec in self._codecs if codec.name == name), None)
        if codec is None:
            raise DecodeError(Code.MALFORMED, f"the codec {name} is not spoken here", fatal=True)
        reader = self._use(codec)
        reader.feed(self._pending)
        self._pending = b""
        return reader

    def _fault(self, code: Code, explanation: str, *, fatal: bool = False) -> Fault:
        # CONN-15.  Before REGISTER, such bytes may well belong to another protocol, so there is no second chance.
        if self.state is State.OPEN and code in (Code.MALFORMED, Code.UNKNOWN_COMMAND):
            fatal = fatal or self._role is Role.SERVER
        if fatal:
            self._enter(State.CLOSED)
        return Fault(code, explanation, fatal)

    def _unexpected(self, message: AnyMessage) -> Fault:
        code = out_of_state(self.state)
        if self._role is Role.CLIENT:  # CLIENT-19
            return Fault(
                code, f"the server sent {message.COMMAND} on a connection that is {self.state}", fatal=False
            )
        if code is Code.ALREADY_REGISTERED:  # REGISTER-3
            return Fault(code, "you have a name; say GOODBYE and connect again to change it", fatal=False)
        # CONN-14
        return Fault(code, f"send REGISTER before {message.COMMAND}", fatal=False)
