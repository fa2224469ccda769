"""A client with blocking calls, on TCP, TLS and Unix sockets; a thread reads all the time."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from random import random
from typing import Final

from improto.addresses import parse_address
from improto.bindings.sockets import cannot_connect, client_tls, system_reason
from improto.bindings.threads.stream import Stream, open_stream
from improto.calls import Calls
from improto.client import Timeouts
from improto.codec import Codec, load
from improto.errors import CannotConnect, ImprotoError, Lost
from improto.messages import Goodbye, OnlineUsers, Register, Request
from improto.pacing import checked_gap, gap_for
from improto.user import NO_ANSWER, NO_ROOM, Backoff, Call, Item, Reply, User

__all__ = ["Session", "connect", "dial"]

_LOOK: Final = 10.0  # seconds after which to look whether a silent server lives


class Session(Calls[None]):
    """A client's end: calls for requests, and what arrives, one after the other.  Any thread may call.

    Iterate for Responses, Faults (what made no sense and had no effect) and, with `reconnect`, Reconnected.  The
    iteration ends after `goodbye`, and with `Lost` or `Refused` if it is not the user who ends the connection.  A
    reply that a call waits for goes to the call alone, unless it is a roster.
    """

    def __init__(self, user: User, dial: Callable[[], Stream], stream: Stream, timeouts: Timeouts) -> None:
        """Made by `dial` and `connect`."""
        self._user = user
        self._timeouts = timeouts
        self._dial = dial
        self._changed = threading.Condition()  # holds the lock of `_user`
        self._sending = threading.Lock()  # is taken first: bytes go out in the order of their requests
        self._stream = stream
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # The requests with a reply: Refused, or Lost if none comes within `Timeouts.reply`.  The others are in `Calls`.

    def register(self, username: str, status: str = "") -> OnlineUsers:
        """Go online.  Refused if the server does not take the user, who may try another name."""
        request = Register(username, status)
        return self._call(lambda now: self._user.register(request, now))

    def list_conversations(self) -> Mapping[str, tuple[str, ...]]:
        """Give the conversations and their members; all that was requested before has been handled then.

        Refused, with `rate-limited`, if the server has no time for this or for what was requested just before: wait
        before you ask again.  The Error arrives as well.
        """
        return self._call(self._user.list_conversations).conversations

    def request(self, request: Request) -> None:
        """Send any request; its reply arrives like everything else.  Lost if there is no room for `Timeouts.write`."""
        self._send(request)

    def _send(self, request: Request) -> None:
        with self._sending:
            self._put(request, self._timeouts.write)

    def _put(self, request: Request, seconds: float) -> None:
        with self._changed:
            data = self._user.request(request, time.monotonic())
        self._write(data, seconds)

    def receive(self, timeout: float | None = None) -> Item | None:
        """Give what arrives next, None after the end.  TimeoutError if nothing does in so many seconds."""
        user = self._user
        until = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while (item := user.next()) is None and not user.over:
                if not self._changed.wait(None if until is None else until - time.monotonic()):
                    raise TimeoutError
            self._changed.notify_all()  # there is room for more
            if item is None and user.error is not None:
                raise user.error
            return item

    def __iter__(self) -> Iterator[Item]:
        """Give what arrives up to the end."""
        return iter(self.receive, None)

    def goodbye(self) -> None:
        """Say GOODBYE if the connection stands, wait for its end for at most `Timeouts.goodbye` (CLIENT-20), and close."""
        until = time.monotonic() + self._timeouts.goodbye
        if self._sending.acquire(timeout=self._timeouts.goodbye):  # another thread may wait for room
            with suppress(ImprotoError):  # there may be no connection, for now or any more
                if self._stream.wait_for_gap(until - time.monotonic()):
                    self._put(Goodbye(), until - time.monotonic())
            self._sending.release()
            with self._changed:
                self._changed.notify_all()
                self._changed.wait_for(lambda: not self._user.standing, until - time.monotonic())
        self.close()

    def close(self) -> None:
        """Close without another word."""
        with self._changed:
            self._user.close()
            self._changed.notify_all()
        self._break()
        if threading.current_thread() is not self._thread:
            self._thread.join(1.0)  # it may be about to connect

    def _call(self, begin: Callable[[float], Call[Reply]]) -> Reply:
        with self._sending:
            with self._changed:
                call = begin(time.monotonic())
                self._changed.notify_all()  # more may be read now
            self._write(call.data, self._timeouts.write)
        with self._changed:
            if not self._changed.wait_for(lambda: call.done, self._timeouts.reply):
                self._give_up(NO_ANSWER)
        return call.result()

    def _write(self, data: bytes, seconds: float) -> None:
        try:
            self._stream.sendall(data, seconds)
        except TimeoutError:
            with self._changed:
                self._give_up(NO_ROOM)
        except OSError:
            self._break()  # which the reading thread tells of

    def _give_up(self, why: str) -> None:
        self._user.lost(why)
        self._changed.notify_all()
        self._break()
        raise Lost(why)

    def _break(self) -> None:
        self._stream.shut_down(socket.SHUT_RDWR)  # wakes the thread that reads

    def _run(self) -> None:
        user = self._user
        while True:
            self._read()
            self._break()
            with self._sending:
                self._stream.close()
            with self._changed:
                delay = user.delay(random())
                self._changed.notify_all()
                if delay is None:
                    return
                self._changed.wait_for(lambda: user.over, delay)
                if user.over:
                    continue
            try:
                stream = self._dial()
            except CannotConnect as error:
                with self._changed:
                    user.failed(error)
                continue
            with self._sending:
                self._stream = stream
                with self._changed:
                    data = b"" if user.over else user.connected(time.monotonic())
                self._say(data)

    def _say(self, data: bytes) -> None:
        """Write what the reading thread has to say; that there is no room for it is told as any loss."""
        with suppress(Lost):
            self._write(data, self._timeouts.write)

    def _read(self) -> None:
        user = self._user
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not user.full)
                if not user.standing:
                    return
            data: bytes | None = None
            why = ""
            try:
                data = self._stream.recv(64 * 1024, _LOOK)
            except TimeoutError as error:
                why = system_reason(error) if error.errno else ""  # else it is only time to look
            except OSError as error:
                why = system_reason(error)
            with self._changed:
                if data is not None:
                    try:
                        user.read(data, time.monotonic())
                    except Exception as error:  # nobody else would see it
                        user.failed_to_read(error)
                elif why:
                    user.broke(why)
                self._changed.notify_all()
            # Whoever sends just now is a sign of life to the server, and its own write finds out about it.
            if data is None and self._sending.acquire(blocking=False):
                with self._changed:
                    probe = user.overdue(time.monotonic())
                if probe:
                    self._say(probe)
                self._sending.release()


def dial(
    url: str,
    codec: Codec | str = "pickle",
    *,
    tls: ssl.SSLContext | None = None,
    timeouts: Timeouts | None = None,
    reconnect: Backoff | None = None,
    gap: float = 0.0,
) -> Session:
    """Connect, with nobody registered yet: `connect` is what most programs want.

    CannotConnect if there is no server in time, UsageError if `url` is none (see `addresses`) or `reconnect` no Backoff.
    `tls` says whom to trust at a tls:// URL, and who one is; without it, what the system trusts.  UsageError at others.
    With `gap`, that many seconds lie between two messages, for a server that takes one `recv` for one message; that is
    for the pickle codec, others do not notice (LECTURE-1).  UsageError if it is less than 20 ms.
    """
    address = parse_address(url)
    times = timeouts or Timeouts()
    spoken = load(codec) if isinstance(codec, str) else codec
    pause = gap_for(spoken.name, checked_gap(gap))
    context = client_tls(url, tls, secure=address.scheme == "tls")

    def connected() -> Stream:
        try:
            return open_stream(address, context, times, pause)
        except OSError as error:
            raise cannot_connect(address, error, times.connect) from error

    user = User(spoken, time.monotonic(), reconnect)
    return Session(user, connected, connected(), times)


@contextmanager
def connect(
    url: str,
    username: str,
    *,
    status: str = "",
    codec: Codec | str = "pickle",
    tls: ssl.SSLContext | None = None,
    timeouts: Timeouts | None = None,
    reconnect: Backoff | None = None,
    gap: float = 0.0,
) -> Generator[Session]:
    """Connect and register; at the end of the block say GOODBYE.

    Raises what `dial` and `Session.register` raise.  With `reconnect`, a connection that stood and was lost is made
    again, and Reconnected arrives.
    """
    session = dial(url, codec, tls=tls, timeouts=timeouts, reconnect=reconnect, gap=gap)
    try:
        session.register(username, status)
        yield session
    finally:
        session.goodbye()
