"""Tests of `improto.bindings.asyncio` on real sockets on loopback."""

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps

import pytest

from improto.bindings.asyncio import CannotConnect, Lost, Server, Session, connect
from improto.codec import available, load
from improto.errors import UsageError
from improto.messages import (
    Conversations,
    Error,
    Goodbye,
    Invitation,
    Invite,
    Join,
    ListConversations,
    Message,
    OnlineUsers,
    Register,
    Request,
    Response,
    SendMessage,
)
from improto.server import Hub, Policy
from improto.service import Bounds, Service
from improto.wire import Fault

DEADLINE = 20.0
CODECS = [load(name) for name in available()]


def on_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test on an event loop, with a deadline for its failure."""

    @wraps(test)
    def run(*args: object, **kwargs: object) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(DEADLINE):
                await test(*args, **kwargs)

        asyncio.run(bounded())

    return run


@asynccontextmanager
async def serving(bounds: Bounds | None = None, **options: float) -> AsyncGenerator[tuple[Server, int]]:
    """Run a server on a free port."""
    service = Service(Hub(Policy(settle=0.01)), CODECS, bounds=bounds or Bounds(linger=0.2))
    server = Server(
        service,
        gap=options.get("gap", 0.0),
        connections=int(options.get("connections", 100)),
        per_address=int(options.get("per_address", 100)),
    )
    _, port = await server.listen("127.0.0.1", 0)
    try:
        yield server, port
    finally:
        await server.close()


async def enter(port: int, name: str, codec: str = "json") -> tuple[Session, AsyncIterator[Response | Fault]]:
    """Connect and register."""
    session = await connect("127.0.0.1", port, load(codec))
    session.send(Register(name, "here"))
    items = session.__aiter__()
    assert isinstance(await anext(items), OnlineUsers)
    return session, items


async def upto(items: AsyncIterator[Response | Fault], kind: type[Response]) -> Response | Fault:
    """Read up to the first message of a kind."""
    async for item in items:
        if isinstance(item, kind):
            return item
    raise AssertionError(f"the stream ended before {kind}")


async def raw(port: int, data: bytes, *, half_close: bool = False) -> bytes:
    """Send bytes and read to the end of the stream."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    if half_close:
        writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


@on_loop
async def test_four_codecs_in_one_conversation() -> None:
    """Four clients, each with another codec on the same port, hear each other unchanged."""
    async with serving() as (_, port):
        users = {name: await enter(port, name, name) for name in available()}
        ascii_user, items = users["ascii"]
        ascii_user.send(Invite(tuple(available())))
        invitation = await upto(items, Invitation)
        assert isinstance(invitation, Invitation)
        for session, each in users.values():
            session.send(Join(invitation.conversation))
            session.send(ListConversations())
            await upto(each, Conversations)
        text = ' two  spaces, "quotes" é😀\n\x00 '
        ascii_user.send(SendMessage(invitation.conversation, text))
        for session, each in users.values():
            assert await upto(each, Message) == Message(invitation.conversation, "ascii", text)
            await session.goodbye()


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01", b"", id="TLS"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"ERROR", id="HTTP"),
        pytest.param(b"A" * 10_000, b"ERROR", id="endless"),
        pytest.param(b"\x00\xff\xff\xff", b"too-large", id="length"),
        pytest.param(b"REGISTER (cos\nsystem\n(S'true'\ntR.", b"malformed", id="pickle"),
    ],
)
@on_loop
async def test_garbage(data: bytes, answer: bytes) -> None:
    """Garbage is answered where its codec can be told, then closed, and others are served (CONN-15, CONN-25)."""
    async with serving() as (_, port):
        session, items = await enter(port, "ann")
        assert answer in await raw(port, data)
        session.send(ListConversations())
        assert await upto(items, Conversations) == Conversations({})
        session.close()


@on_loop
async def test_half_close() -> None:
    """After a half-close the replies to what came before it still arrive (CONN-20)."""
    async with serving() as (_, port):
        answer = await raw(port, b"REGISTER ann x\nLIST_CONVERSATIONS\nGOOD", half_close=True)
        assert answer == b"ONLINE_USERS ann=x\nCONVERSATIONS\n"


@on_loop
async def test_last_error_arrives() -> None:
    """The ERROR before a close arrives although the peer has sent more than was read (CONN-22)."""
    async with serving() as (_, port):
        answer = await raw(port, b"REGISTER ann x\n" + b"x" * 500_000)
        assert answer.endswith(b'bytes here"\n')
        assert b"too-large" in answer


@on_loop
async def test_reset() -> None:
    """A reset in mid-message takes the user offline, and the name is free (CONN-19)."""
    async with serving() as (_, port):
        session, items = await enter(port, "ann")
        bad = socket.create_connection(("127.0.0.1", port))
        bad.sendall(b"REGISTER bo x\nSEND_MESS")
        while not (isinstance(item := await upto(items, OnlineUsers), OnlineUsers) and "bo" in item.users):
            pass
        bad.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        bad.close()
        while not (
            isinstance(item := await upto(items, OnlineUsers), OnlineUsers) and "bo" not in item.users
        ):
            pass
        session.close()


@on_loop
async def test_connections_too_many() -> None:
    """A connection beyond the limit is told so; when one has gone there is room again (FLOW-13)."""
    async with serving(connections=1) as (server, port):
        session, _ = await enter(port, "ann")
        assert b"forbidden" in await raw(port, b"REGISTER bo x\n")
        await session.goodbye()
        while b"forbidden" in await raw(port, b"REGISTER bo x\nGOODBYE\n"):
            pass
        assert server.service.hub.online == {}


@on_loop
async def test_slow_reader() -> None:
    """A reader that stops is closed in the end, others hear everything, and the server goes on (FLOW-5, FLOW-7)."""
    async with serving(Bounds(events=200_000, flush=0.1, linger=0.1)) as (server, port):
        ann, items = await enter(port, "ann")
        slow = socket.create_connection(("127.0.0.1", port))
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(b"REGISTER slow x\nJOIN 1\n")
        while "slow" not in server.service.hub.online:
            await upto(items, OnlineUsers)
        ann.send(Invite(("slow",)))
        await upto(items, Invitation)
        ann.send(Join("1"))
        slow.sendall(b"JOIN 1\nLIST_CONVERSATIONS\n")
        ann.send(ListConversations())
        while await upto(items, Conversations) != Conversations({"1": ("ann", "slow")}):
            ann.send(ListConversations())
        heard = 0
        while "slow" in server.service.hub.online:
            ann.send(SendMessage("1", "x" * 8000))
            assert isinstance(await upto(items, Message), Message)
            heard += 1
            assert heard < 10_000
        slow.close()
        await ann.goodbye()


@on_loop
async def test_shutdown() -> None:
    """A server that is closed tells everybody, closes all connections, and waits for nobody for ever (ERROR-9)."""
    async with serving() as (server, port):
        session, items = await enter(port, "ann")
        deaf = socket.create_connection(("127.0.0.1", port))
        deaf.sendall(b"REGISTER deaf x\n")
        await upto(items, OnlineUsers)
        await server.close()
        error = await upto(items, Error)
        assert isinstance(error, Error)
        assert error.code == "shutting-down"
        with pytest.raises(Lost):
            await anext(items)
        session.close()
        deaf.close()


@on_loop
async def test_gap() -> None:
    """With a gap, each message to a pickle peer comes in a read of its own (LECTURE-4)."""
    async with serving(gap=0.05) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"REGISTER (S'ann'\nS''\nl.LIST_CONVERSATIONSLIST_CONVERSATIONSGOODBYE")
        reads: list[bytes] = []
        while data := await reader.read(65536):
            reads.append(data)
        assert [data.split(b" ")[0] for data in reads] == [
            b"ONLINE_USERS",
            b"CONVERSATIONS",
            b"CONVERSATIONS",
        ]
        writer.close()


@on_loop
async def test_no_server() -> None:
    """Where nobody listens, the error says so and how to start a server."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(CannotConnect, match="improto serve"):
        await connect("127.0.0.1", port, load("json"))


@on_loop
async def test_misuse() -> None:
    """A client that sends out of order is stopped by an error before anything goes out (CLIENT-1)."""
    async with serving() as (_, port):
        session = await connect("127.0.0.1", port, load("json"))
        with pytest.raises(UsageError, match="JOIN"):
            session.send(Join("1"))
        session.close()


def stalled(port: int) -> socket.socket:
    """Connect a client whose system takes little for it, so that what it does not read waits at the server."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    client.connect(("127.0.0.1", port))
    return client


async def trickle(client: socket.socket, *, pause: float = 0.002, upto: int = 10**9) -> bytes:
    """Read to the end or so many bytes, a little at a time: that is what a slow network does."""
    loop = asyncio.get_running_loop()
    client.setblocking(False)
    read = bytearray()
    while len(read) < upto and (data := await loop.sock_recv(client, 64 * 1024)):
        read += data
        await asyncio.sleep(pause)
    return bytes(read)


def line(message: Request) -> bytes:
    """Give a request in the json codec."""
    return load("json").frame(load("json").encode(message))


def full_service(bounds: Bounds) -> tuple[Service, int]:
    """Make a server with a roster of 12 megabytes, more than the systems' buffers take at once."""
    hub = Hub(Policy(settle=0.01))
    service = Service(hub, CODECS, bounds=bounds)
    for number in range(3000):
        hub.receive(-1 - number, Register(f"user{number}", "s" * 4000), 0.0)
    return service, len(load("json").encode(OnlineUsers(hub.online)))


@pytest.mark.parametrize("end", ["goodbye", "half-close", "kick", "shutdown"])
@on_loop
async def test_close_reaches_a_slow_reader(end: str) -> None:
    """All that was sent before a close reaches a client that reads steadily, for longer than input is discarded (CONN-22)."""
    service, size = full_service(Bounds(linger=0.05, flush=10.0))
    server = Server(service)
    _, port = await server.listen("127.0.0.1", 0)
    with stalled(port) as client:
        client.sendall(line(Register("ann", "")))
        if end in ("goodbye", "half-close"):
            client.sendall(line(ListConversations()) + (line(Goodbye()) if end == "goodbye" else b""))
        if end == "half-close":
            client.shutdown(socket.SHUT_WR)
        while "ann" not in service.hub.online:
            await asyncio.sleep(0)
        reading = asyncio.create_task(trickle(client))
        if end == "kick":
            service.kick("ann", "go", server.now())
            server.wake()
        closing = asyncio.create_task(server.close()) if end == "shutdown" else None
        read = await reading
        await (closing or server.close())
    assert len(read) > size
    last = {"goodbye": b'"CONVERSATIONS"', "half-close": b'"CONVERSATIONS"', "kick": b"forbidden"}
    assert last.get(end, b"shutting-down") in read.splitlines()[-1]


@on_loop
async def test_slow_reader_makes_progress() -> None:
    """A reader that is slow but takes something in time is not thrown out; one that takes nothing is (CONN-28)."""
    service, size = full_service(Bounds(write=1.5, flush=0.1, linger=0.05))
    server = Server(service)
    _, port = await server.listen("127.0.0.1", 0)
    with stalled(port) as slow, stalled(port) as still:
        for client, name in ((slow, "slow"), (still, "still")):
            client.sendall(line(Register(name, "")))
        while not {"slow", "still"} <= set(service.hub.online):
            await asyncio.sleep(0)
        await trickle(slow, pause=0.02, upto=size)  # takes longer than a reader may take nothing
        assert "slow" in service.hub.online
        assert "still" not in service.hub.online
    await server.close()


@on_loop
async def test_gap_and_the_end_of_the_stream() -> None:
    """With a gap, replies to all requests before GOODBYE come, also if the client has shut down writing (GOODBYE-5)."""
    pickle = load("pickle")
    requests: list[Request] = [Register("ann", ""), *[ListConversations()] * 5, Goodbye()]
    async with serving(gap=0.02) as (_, port):
        answer = await raw(port, b"".join(pickle.encode(each) for each in requests), half_close=True)
    assert answer.count(b"CONVERSATIONS") == 5


@on_loop
async def test_gap_bounds_what_waits() -> None:
    """With a gap, a pickle client that reads nothing is closed when too many events wait (FLOW-7)."""
    async with serving(Bounds(events=20_000, linger=0.1, flush=0.1), gap=0.02) as (server, port):
        ann, items = await enter(port, "ann")
        with stalled(port) as still:
            still.sendall(load("pickle").encode(Register("still", "")))
            while "still" not in server.service.hub.online:
                await asyncio.sleep(0)
            ann.send(Invite(("still",)))
            invitation = await upto(items, Invitation)
            assert isinstance(invitation, Invitation)
            ann.send(Join(invitation.conversation))
            still.sendall(load("pickle").encode(Join(invitation.conversation)))
            while "still" in server.service.hub.online:
                ann.send(SendMessage(invitation.conversation, "x" * 8000))
                await upto(items, Message)
        await ann.goodbye()


@on_loop
async def test_least_gap() -> None:
    """A gap that peers like the lecture's would not see is refused (LECTURE-2)."""
    with pytest.raises(UsageError, match=r"0\.02"):
        Server(Service(Hub(), CODECS), gap=0.01)


@on_loop
async def test_nothing_fails_behind_the_scenes() -> None:
    """A close while output waits for somebody who is gone leaves no failed callback behind (CONN-22)."""
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
    service, _ = full_service(Bounds(linger=0.05, write=0.2, flush=0.2))
    server = Server(service)
    _, port = await server.listen("127.0.0.1", 0)
    with stalled(port) as client:
        client.sendall(line(Register("ann", "")) + line(Goodbye()))
        client.shutdown(socket.SHUT_WR)
        while "ann" not in service.hub.online:
            await asyncio.sleep(0)
        await server.close()
    await asyncio.sleep(0.3)
    assert not failures


@on_loop
async def test_session_closes_after_nonsense() -> None:
    """After bytes behind which nothing can be read, the client reports and closes (CLIENT-18)."""
    ended = asyncio.Event()

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"MESSAGE cposix\nsystem\n.")
        await reader.read()
        ended.set()
        writer.close()

    async with await asyncio.start_server(nonsense, "127.0.0.1", 0) as server:
        session = await connect("127.0.0.1", server.sockets[0].getsockname()[1], load("pickle"))
        with pytest.raises(Lost):
            _ = [item async for item in session]
        await ended.wait()


@on_loop
async def test_goodbye_while_somebody_iterates() -> None:
    """GOODBYE while somebody waits for the next item ends that in order, after the server's end (CLIENT-20)."""
    async with serving() as (server, port):
        ann, items = await enter(port, "ann")

        async def rest() -> list[Response | Fault]:
            return [item async for item in items]

        reading = asyncio.create_task(rest())
        await asyncio.sleep(0)  # so that it waits
        await ann.goodbye()
        await reading
        while server.service.hub.online:
            await asyncio.sleep(0)
