"""A client on asyncio: TCP, TLS, Unix sockets."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
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

_SHARE: Final = 4 * 1024  # bytes that are looked at in one turn of the loop

_Streams = tuple[asyncio.StreamReader, Writer]
_Dial = Callable[[], Awaitable[_Streams]]


class Session(Calls[Coroutine[Any, Any, None]]):
    """A client's end of a connection: calls for requests, and an iteration over what arrives.

    The iteration gives Responses, Faults (messages that made no sense and were ignored) and, with `reconnect`,
    Reconnected.  It ends after `goodbye`; if the connection ends in another way, it raises Lost or Refused.  A reply to
    a call goes to its caller alone, but a roster arrives here as well.

    A task reads in the background, and stops while more than a megabyte that arrived has not been looked at.
    """

    def __init__(self, user: User, dial: _Dial, streams: _Streams) -> None:
        """Made by `dial` and `connect`."""
        self._user = user
        self._timeouts = user.timeouts
        self._dial = dial
        self._reader, self._writer = streams
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._done)

    # The requests with a reply.  The others are in `Calls`.

    async def register(self, username: str, status: str = "") -> OnlineUsers:
        """Go online, and give the first roster.

        Refused if the server does not take the user, who may then try another name; Lost if it does not answer within
        `Timeouts.reply`.
        """
        return await self._reply(self._user.register(Register(username, status), self._loop.time()))

    async def list_conversations(self) -> Mapping[str, tuple[str, ...]]:
        """Give the conversations and their members.  The server has handled all earlier requests by then.

        Refused, with `rate-limited`, if the server had no time for this request or for one just before it: wait before
        you ask again.  The Error arrives as well.  Lost if the server does not answer within `Timeouts.reply`.
        """
        return (await self._reply(self._user.list_conversations(self._loop.time()))).conversations

    def request(self, request: Request) -> None:
        """Send any request, without waiting for anything; a reply arrives like everything else.

        Raises as the calls of `Calls` do.  After GOODBYE the connection is closed as after `goodbye`, which also waits for
        that.
        """
        self._writer.write(self._user.request(request, self._loop.time()))
        if isinstance(request, Goodbye):  # CLIENT-20
            self._tell()  # what arrives now is discarded
            self._loop.call_later(self._timeouts.goodbye, self.close)

    async def drain(self) -> None:
        """Wait until the system has taken most of what was sent, so that it does not pile up in memory.

        Lost if that takes longer than `Timeouts.write`.  Time that requests spend waiting for their gaps does not count,
        since that is no fault of the server.
        """
        await self._writer.gaps()
        try:
            await self._within(self._timeouts.write, self._writer.drain(), NO_ROOM)
        except OSError:  # the connection broke; the task that reads goes on now, and finds out
            self._tell()
        await asyncio.sleep(0)  # so that it reads on, however much somebody sends (CLIENT-17)

    async def receive(self, timeout: float | None = None) -> Item | None:
        """Give the next item that arrives, or None after `goodbye`; raises at the end as the iteration does.

        TimeoutError if nothing arrives within so many seconds; nothing is lost by that.
        """
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
                        raise user.error.with_traceback(None)
                    return None
                await self._news.wait()

    async def __aiter__(self) -> AsyncIterator[Item]:
        """Give what arrives, up to the end."""
        while (item := await self.receive()) is not None:
            yield item

    async def goodbye(self) -> None:
        """Say GOODBYE, wait for the server to end the connection, for at most `Timeouts.goodbye`, and close (CLIENT-20).

        Requests that still wait for their gaps go out before, within the same time, and are dropped after it: `drain`
        first if there are many.
        """
        try:
            if self._user.standing:
                if self.state is not State.CLOSED:
                    self.request(Goodbye())
                await asyncio.wait([self._task], timeout=self._timeouts.goodbye)
        finally:  # also when that is cancelled
            self.close()
            # Else TLS would wait for the server to say that it closes; but this side still says so.
            self._loop.call_soon(self._writer.transport.abort)
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
        """Wait for something that the server has to do; if it takes longer, the server counts as lost."""
        try:
            async with asyncio.timeout(seconds):
                await work
        except TimeoutError:
            self._user.lost(why)
            self._tell()
            self._writer.transport.abort()
            raise Lost(why) from None

    def _tell(self) -> None:
        """Wake all who wait for something to change."""
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

    def _done(self, task: asyncio.Task[None]) -> None:
        """Tell those who wait if reading has raised something, or was cancelled; nobody else looks at the task."""
        if task.cancelled():  # by `close`, or with everything else at the end of the loop
            self.close()
        elif isinstance(error := task.exception(), Exception):
            self._user.failed_to_read(error)
            self._writer.transport.abort()
            self._tell()

    async def _read(self) -> None:
        user = self._user
        while user.standing:
            # On a connection that broke, however much is unread, little follows.
            await self._until(lambda: not user.full or self._writer.is_closing())
            look = asyncio.timeout(user.look)
            try:
                async with look:
                    user.read(await self._reader.read(_SHARE), self._loop.time())
            except OSError as error:
                if not look.expired():  # else TimeoutError only says that it is time to look
                    user.broke(system_reason(error))
            self._writer.write(user.overdue(self._loop.time()))
            self._tell()
            await asyncio.sleep(0)  # so that others have their turns, however much there is to read


async def dial(
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
    user = User(spoken, asyncio.get_running_loop().time(), reconnect, timeouts)
    times = user.timeouts

    async def streams() -> _Streams:
        try:
            async with asyncio.timeout(times.connect):
                return await open_stream(address, context, times.connect, pause)
        except OSError as error:
            raise cannot_connect(address, error, times.connect) from error

    return Session(user, streams, await streams())


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
    """Connect and register; at the end of the block, say GOODBYE.

    Takes and raises what `dial` and `Session.register` do.  With `reconnect`, a connection that is lost is made again and
    the user registered on it, and Reconnected arrives; meanwhile requests raise Lost.
    """
    session = await dial(url, codec, tls=tls, timeouts=timeouts, reconnect=reconnect, gap=gap)
    async with registered(session, username, status):
        yield session


@asynccontextmanager
async def registered(session: Session, username: str, status: str) -> AsyncGenerator[None]:
    """Register on a session; at the end of the block, say GOODBYE."""
    try:
        await session.register(username, status)
        yield
    finally:
        await session.goodbye()
