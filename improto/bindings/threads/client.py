"""A client with blocking calls: TCP, TLS, Unix sockets."""

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
from improto.bindings.threads.accepting import start
from improto.bindings.threads.stream import Stream, open_stream
from improto.calls import Calls
from improto.client import Timeouts
from improto.codec import Codec, load
from improto.errors import CannotConnect, ImprotoError, Lost
from improto.messages import Goodbye, OnlineUsers, Register, Request
from improto.pacing import checked_gap, gap_for
from improto.user import NO_ANSWER, NO_ROOM, Backoff, Call, Item, Reply, User

__all__ = ["Session", "connect", "dial"]

_SHARE: Final = 4 * 1024  # bytes that are looked at while others wait for the lock


class Session(Calls[None]):
    """A client's end of a connection: calls for requests, and an iteration over what arrives.  Any thread may call.

    The iteration gives Responses, Faults (messages that made no sense and were ignored) and, with `reconnect`,
    Reconnected.  It ends after `goodbye`; if the connection ends in another way, it raises Lost or Refused.  A reply to
    a call goes to its caller alone, but a roster arrives here as well.

    A thread reads in the background, and stops while more than a megabyte that arrived has not been looked at.
    """

    def __init__(self, user: User, dial: Callable[[], Stream], stream: Stream) -> None:
        """Made by `dial` and `connect`."""
        self._user = user
        self._timeouts = user.timeouts
        self._dial = dial
        # Guards `_user`.  It is taken and released as a lock of C, and not by way of the condition, whose methods of Python
        # Ctrl-C may interrupt: then it would be held for ever.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        # Held from the making of a request until its bytes are written, to keep the order; taken before the other lock.
        self._sending = threading.Lock()
        self._stream = stream
        self._thread = start(self._run)

    # The requests with a reply.  The others are in `Calls`.

    def register(self, username: str, status: str = "") -> OnlineUsers:
        """Go online, and give the first roster.

        Refused if the server does not take the user, who may then try another name; Lost if it does not answer within
        `Timeouts.reply`.
        """
        request = Register(username, status)
        return self._call(lambda now: self._user.register(request, now))

    def list_conversations(self) -> Mapping[str, tuple[str, ...]]:
        """Give the conversations and their members.  The server has handled all earlier requests by then.

        Refused, with `rate-limited`, if the server had no time for this request or for one just before it: wait before
        you ask again.  The Error arrives as well.  Lost if the server does not answer within `Timeouts.reply`.
        """
        return self._call(self._user.list_conversations).conversations

    def request(self, request: Request) -> None:
        """Send any request; a reply arrives like everything else.

        Raises as the calls of `Calls` do, and Lost if the system does not take the request within `Timeouts.write`.
        After GOODBYE the connection is closed as after `goodbye`, which also waits for that.
        """
        self._send(request)
        if isinstance(request, Goodbye):  # CLIENT-20
            start(self.goodbye)  # which says it once only

    def _send(self, request: Request) -> None:
        with self._sending:
            self._put(request, self._timeouts.write)

    def _put(self, request: Request, seconds: float) -> None:
        try:
            with self._lock:
                data = self._user.request(request, time.monotonic())
            self._write(data, seconds)
        except BaseException as error:
            self._interrupted(error)
            raise

    def receive(self, timeout: float | None = None) -> Item | None:
        """Give the next item that arrives, or None after `goodbye`; raises at the end as the iteration does.

        TimeoutError if nothing arrives within so many seconds; nothing is lost by that.
        """
        user = self._user
        until = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            while (item := user.next()) is None and not user.over:
                if not self._changed.wait(None if until is None else until - time.monotonic()):
                    raise TimeoutError
            self._changed.notify_all()  # more may be read now
            if item is None and user.error is not None:
                raise user.error.with_traceback(None)
            return item

    def __iter__(self) -> Iterator[Item]:
        """Give what arrives, up to the end."""
        return iter(self.receive, None)

    def goodbye(self) -> None:
        """Say GOODBYE, wait for the server to end the connection, for at most `Timeouts.goodbye`, and close (CLIENT-20)."""
        try:
            until = time.monotonic() + self._timeouts.goodbye
            if self._sending.acquire(timeout=self._timeouts.goodbye):  # another thread may be waiting to send
                try:
                    with suppress(ImprotoError):  # there may be no connection
                        if self._stream.wait_for_gap(until - time.monotonic()):
                            self._put(Goodbye(), until - time.monotonic())
                finally:
                    self._sending.release()
            with self._lock:
                self._changed.notify_all()
                self._changed.wait_for(lambda: not self._user.standing, until - time.monotonic())
        finally:  # also at Ctrl-C
            self.close()

    def close(self) -> None:
        """Close without another word."""
        with self._lock:
            self._user.close()
            self._changed.notify_all()
        self._break()
        if threading.current_thread() is not self._thread:
            self._thread.join(1.0)  # no longer, as it may just be connecting

    def _call(self, begin: Callable[[float], Call[Reply]]) -> Reply:
        with self._sending:
            try:
                with self._lock:
                    call = begin(time.monotonic())
                    self._changed.notify_all()  # more may be read now
                self._write(call.data, self._timeouts.write)
            except BaseException as error:
                self._interrupted(error)
                raise
        with self._lock:
            if not self._changed.wait_for(lambda: call.done, self._timeouts.reply):
                self._give_up(NO_ANSWER)
        return call.result()

    def _write(self, data: bytes, seconds: float) -> None:
        try:
            self._stream.sendall(data, seconds)
        except TimeoutError:
            with self._lock:
                self._give_up(NO_ROOM)
        except OSError:
            self._break()
            with self._lock:
                self._changed.notify_all()  # the thread that reads goes on now, and finds out
        except BaseException:  # Ctrl-C in mid-message, maybe: nothing that follows could be read
            self._break()
            raise

    def _interrupted(self, error: BaseException) -> None:
        """Break the connection at Ctrl-C: a request may be noted and not written, and would be taken for one that was."""
        if not isinstance(error, Exception):
            self._break()

    def _give_up(self, why: str) -> None:
        self._user.lost(why)
        self._changed.notify_all()
        self._break()
        raise Lost(why)

    def _break(self) -> None:
        self._stream.shut_down(socket.SHUT_RDWR)  # wakes the thread that reads

    def _run(self) -> None:
        try:
            self._go_on()
        except Exception as error:  # of a codec; in this thread nobody would see it
            with self._lock:
                self._user.failed_to_read(error)
                self._changed.notify_all()
            self._break()
            with self._sending:
                self._stream.close()

    def _go_on(self) -> None:
        user = self._user
        while True:
            self._read()
            self._break()
            with self._sending:
                self._stream.close()
            with self._lock:
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
                with self._lock:
                    user.failed(error)
                continue
            with self._sending:
                self._stream = stream
                with self._lock:
                    data = b"" if user.over else user.connected(time.monotonic())
                self._say(data)

    def _say(self, data: bytes) -> None:
        """Write what the reading thread has to say.  If there is no room for it, everybody is told of the loss anyway."""
        with suppress(Lost):
            self._write(data, self._timeouts.write)

    def _read(self) -> None:
        user = self._user
        while True:
            with self._lock:
                # On a connection that broke, however much is unread, little follows.
                self._changed.wait_for(lambda: not user.full or self._stream.broken)
                if not user.standing:
                    return
            data: bytes | None = None
            why = ""
            try:
                data = self._stream.recv(_SHARE, user.look)
            except TimeoutError as error:
                why = system_reason(error) if error.errno else ""  # else it is only time to look
            except OSError as error:
                why = system_reason(error)
            with self._lock:
                if data is not None:
                    user.read(data, time.monotonic())
                elif why:
                    user.broke(why)
                self._changed.notify_all()
            # If another thread is just sending, there is no need: its write finds out whether the server lives.
            if data is None and self._sending.acquire(blocking=False):
                try:
                    with self._lock:
                        probe = user.overdue(time.monotonic())
                    if probe:
                        self._say(probe)
                finally:
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
    """Connect without registering; most programs want `connect`.

    `codec` is a Codec or the name of one that is installed.  `tls` is for tls:// URLs, and says which authorities to
    trust and which certificate to show; without it, those are trusted that the system trusts.  With `reconnect`, a
    connection that is lost after registration is made again.  With `gap`, at least so many seconds lie between two
    messages, for servers that take what one `recv` gives for one message; in other codecs than pickle it has no effect
    (LECTURE-1).

    CannotConnect if there is no server, or none that answers within `Timeouts.connect`; RegistryError if the codec
    cannot be loaded; UsageError if `url` is no address (see `improto.addresses`), `tls` is given for another URL,
    `timeouts` are no Timeouts, `reconnect` is no Backoff, or `gap` is less than 20 ms.
    """
    address = parse_address(url)
    spoken = load(codec) if isinstance(codec, str) else codec
    pause = gap_for(spoken.name, checked_gap(gap))
    context = client_tls(url, tls, secure=address.scheme == "tls")
    user = User(spoken, time.monotonic(), reconnect, timeouts)
    times = user.timeouts

    def connected() -> Stream:
        try:
            return open_stream(address, context, times, pause)
        except OSError as error:
            raise cannot_connect(address, error, times.connect) from error

    stream = connected()
    try:
        return Session(user, connected, stream)
    except BaseException as error:  # the system gives no more threads; or at Ctrl-C, when it may run by now
        stream.shut_down(socket.SHUT_RDWR)
        stream.close()
        if isinstance(error, OSError):
            raise cannot_connect(address, error, times.connect) from error
        raise


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
    """Connect and register; at the end of the block, say GOODBYE.

    Takes and raises what `dial` and `Session.register` do.  With `reconnect`, a connection that is lost is made again and
    the user registered on it, and Reconnected arrives; meanwhile requests raise Lost.
    """
    session = dial(url, codec, tls=tls, timeouts=timeouts, reconnect=reconnect, gap=gap)
    try:
        session.register(username, status)
        yield session
    finally:
        session.goodbye()
