"""A client on asyncio: TCP, TLS, Unix sockets."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from random import random
from typing import Any, Final

from improto.addresses import parse_address
from improto.bindings.asyncio.stream import Writer, open_stream
from improto.bindings.sockets import cannot_connect, client_tls, system_reason
from improto.calls import Calls
from improto.client import Timeouts
from improto.codec import Codec, load
from improto.errors import CannotConnect, Lost
from improto.messages import Goodbye, OnlineUsers, Register, Request
from improto.pacing import checked_gap, gap_for
from improto.states import State
from improto.user import NO_ANSWER, NO_ROOM, Backoff, Call, Item, Reply, User

__all__ = ["Session", "connect", "dial", "registered"]

_LOOK: Final = 10.0  # seconds after which to look whether a silent server lives

_Streams = tuple[asyncio.StreamReader, Writer]
_Dial = Callable[[], Awaitable[_Streams]]


class Session(Calls[Coroutine[Any, Any, None]]):
    """A client's end: calls for requests, and what arrives, one after the other.

    Iterate for Responses, Faults (what made no sense and had no effect) and, with `reconnect`, Reconnected.  The
    iteration ends after `goodbye`, and with `Lost` or `Refused` if it is not the user who ends the connection.  A
    reply that a call waits for goes to the call alone, unless it is a roster.  A task reads all the time, until more
    than a megabyte is not looked at.
    """

    def __init__(self, user: User, dial: _Dial, streams: _Streams, timeouts: Timeouts) -> None:
        """Made by `dial` and `connect`."""
        self._user = user
        self._timeouts = timeouts
        self._dial = dial
        self._reader, self._writer = streams
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._failed)

    # The requests with a reply: Refused, or Lost if none comes within `Timeouts.reply`.  The others are in `Calls`.

    async def register(self, username: str, status: str = "") -> OnlineUsers:
        """Go online.  Refused if the server does not take the user, who may try another name."""
        return await self._reply(self._user.register(Register(username, status), self._loop.time()))

    async def list_conversations(self) -> Mapping[str, tuple[str, ...]]:
        """Give the conversations and their members; all that was requested before has been handled then.

        Refused, with `rate-limited`, if the server has no time for this or for what was requested just before: wait
        before you ask again.  The Error arrives as well.
        """
        return (await self._reply(self._user.list_conversations(self._loop.time()))).conversations

    def request(self, request: Request) -> None:
        """Send any request without waiting; its reply arrives like everything else."""
        self._writer.write(self._user.request(request, self._loop.time()))

    async def drain(self) -> None:
        """Wait until the system has taken most of what was sent, so that a fast sender needs no memory for it.

        Lost if that takes longer than `Timeouts.write`.  What waits for its gap is waited for before, as long as it takes:
        that is no fault of the server.
        """
        await self._writer.gaps()
        with suppress(OSError):  # a connection that broke is told of by the iteration
            await self._within(self._timeouts.write, self._writer.drain(), NO_ROOM)

    async def receive(self, timeout: float | None = None) -> Item | None:
        """Give what arrives next, None after the end.  TimeoutError if nothing does in so many seconds."""
        user = self._user
        async with asyncio.timeout(timeout):
            while True:
                was_full = user.full
                item = user.next()
                if was_full:
                    self._tell()
                if item is not None:
                    return item
                if user.over:
                    if user.error is not None:
                        raise user.error
                    return None
                await self._news.wait()

    async def __aiter__(self) -> AsyncIterator[Item]:
        """Give what arrives up to the end."""
        while (item := await self.receive()) is not None:
            yield item

    async def goodbye(self) -> None:
        """Say GOODBYE if the connection stands, wait for its end for at most `Timeouts.goodbye` (CLIENT-20), and close.

        What waits for its gap goes before, in the same time; what does not is dropped, so `drain` if there is much.
        """
        try:
            if self._user.standing and self.state is not State.CLOSED:
                self.request(Goodbye())
                self._tell()
                await asyncio.wait([self._task], timeout=self._timeouts.goodbye)
        finally:  # also when that is cancelled
            self.close()
        await asyncio.wait([self._task])

    def close(self) -> None:
        """Close without another word."""
        self._user.close()
        self._writer.close()
        self._task.cancel()
        self._tell()

    async def _send(self, request: Request) -> None:
        self.request(request)
        await self.drain()

    async def _reply(self, call: Call[Reply]) -> Reply:
        self._tell()  # more may be read now
        self._writer.write(call.data)
        await self._writer.gaps()  # the server can reply from then on
        await self._within(self._timeouts.reply, self._until(lambda: call.done), NO_ANSWER)
        return call.result()

    async def _within(self, seconds: float, work: Coroutine[Any, Any, None], why: str) -> None:
        """Wait for the server, but not for ever: after that it counts as lost."""
        try:
            async with asyncio.timeout(seconds):
                await work
        except TimeoutError:
            self._user.lost(why)
            self._tell()  # whoever waits for room to read does so no more
            self._writer.transport.abort()
            raise Lost(why) from None

    def _tell(self) -> None:
        """Wake whoever waits for something to change."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _until(self, true: Callable[[], bool]) -> None:
        while not true():
            await self._news.wait()

    async def _run(self) -> None:
        while True:
            await self._read()
            self._writer.close()
            delay = self._user.delay(random())
            self._tell()
            if delay is None:
                return
            await asyncio.sleep(delay)
            try:
                self._reader, self._writer = await self._dial()
            except CannotConnect as error:
                self._user.failed(error)
            else:
                self._writer.write(self._user.connected(self._loop.time()))

    def _failed(self, task: asyncio.Task[None]) -> None:
        """Tell whoever waits if reading failed; else nobody would look at the task."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._user.failed_to_read(error)
            self._writer.transport.abort()
            self._tell()

    async def _read(self) -> None:
        user = self._user
        while user.standing:
            await self._until(lambda: not user.full)
            look = asyncio.timeout(_LOOK)
            try:
                async with look:
                    user.read(await self._reader.read(64 * 1024), self._loop.time())
            except OSError as error:
                if not look.expired():  # a connection can time out, too
                    user.broke(system_reason(error))
            self._writer.write(user.overdue(self._loop.time()))
            self._tell()


async def dial(
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

    async def streams() -> _Streams:
        try:
            async with asyncio.timeout(times.connect):
                return await open_stream(address, context, pause)
        except OSError as error:
            raise cannot_connect(address, error, times.connect) from error

    user = User(spoken, asyncio.get_running_loop().time(), reconnect)
    return Session(user, streams, await streams(), times)


@asynccontextmanager
async def connect(
    url: str,
    username: str,
    *,
    status: str = "",
    codec: Codec | str = "pickle",
    tls: ssl.SSLContext | None = None,
    timeouts: Timeouts | None = None,
    reconnect: Backoff | None = None,
    gap: float = 0.0,
) -> AsyncGenerator[Session]:
    """Connect and register; at the end of the block say GOODBYE.

    Raises what `dial` and `Session.register` raise.  With `reconnect`, a connection that stood and was lost is made
    again, and Reconnected arrives.
    """
    session = await dial(url, codec, tls=tls, timeouts=timeouts, reconnect=reconnect, gap=gap)
    async with registered(session, username, status):
        yield session


@asynccontextmanager
async def registered(session: Session, username: str, status: str) -> AsyncGenerator[None]:
    """Register on a session; at the end of the block say GOODBYE."""
    try:
        await session.register(username, status)
        yield
    finally:
        await session.goodbye()
