"""Tests of the server of `improto.bindings.asyncio` on real sockets on loopback."""

import asyncio
import math
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import serving
from improto.bindings.asyncio import Server, Session, StreamLink, dial
from improto.bindings.sockets import tcp_listeners
from improto.codec import available, load, load_all
from improto.errors import Lost, UsageError
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
    SendMessage,
    Status,
)
from improto.server import Hub, Policy
from improto.service import Bounds, Observer, Service
from improto.user import Item
from loops import on_loop, upto

DEADLINE = 20.0
CODECS = load_all()


async def enter(port: int, name: str, codec: str = "json") -> tuple[Session, AsyncIterator[Item]]:
    """Connect and register."""
    session = await dial(f"tcp://127.0.0.1:{port}", codec)
    session.request(Register(name, "here"))
    items = session.__aiter__()
    assert isinstance(await anext(items), OnlineUsers)
    return session, items


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
    async with serving.on_asyncio() as (_, port):
        users = {name: await enter(port, name, name) for name in available()}
        ascii_user, items = users["ascii"]
        ascii_user.request(Invite(tuple(available())))
        invitation = await upto(items, Invitation)
        for session, each in users.values():
            session.request(Join(invitation.conversation))
            session.request(ListConversations())
            await upto(each, Conversations)
        text = ' two  spaces, "quotes" é😀\n\x00 '
        ascii_user.request(SendMessage(invitation.conversation, text))
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
    async with serving.on_asyncio() as (_, port):
        session, items = await enter(port, "ann")
        assert answer in await raw(port, data)
        session.request(ListConversations())
        assert await upto(items, Conversations) == Conversations({})
        session.close()


@on_loop
async def test_no_port() -> None:
    """What is no port is refused; the system would take another one."""
    async with serving.on_asyncio() as (server, _):
        with pytest.raises(UsageError, match="from 0 to 65535, and not 99999"):
            await server.listen("127.0.0.1", 99_999)


@pytest.mark.parametrize("host", ["chat..example", "x" * 64])
@on_loop
async def test_no_host(host: str) -> None:
    """What can be no host is refused."""
    async with serving.on_asyncio() as (server, _):
        with pytest.raises(UsageError, match="neither an address nor a name"):
            await server.listen(host, 0)


@pytest.mark.parametrize("path", ["", "\0abstract"])
@on_loop
async def test_no_path(path: str) -> None:
    """What is no path of a Unix socket is refused."""
    async with serving.on_asyncio() as (server, _):
        with pytest.raises(UsageError, match="no path of a Unix socket"):
            await server.listen_unix(path)


@on_loop
async def test_path_object(tmp_path: Path) -> None:
    """The path of a Unix socket may also be a Path, as elsewhere in Python."""
    path = tmp_path / "socket"
    async with serving.on_asyncio() as (server, _):
        await server.listen_unix(path)
        assert path.is_socket()
    assert not path.exists()


@on_loop
async def test_half_close() -> None:
    """After a half-close the replies to what came before it still arrive (CONN-20)."""
    async with serving.on_asyncio() as (_, port):
        answer = await raw(port, b"REGISTER ann x\nLIST_CONVERSATIONS\nGOOD", half_close=True)
        assert answer == b"ONLINE_USERS ann=x\nCONVERSATIONS\n"


@on_loop
async def test_last_error_arrives() -> None:
    """The ERROR before a close arrives although the peer has sent more than was read (CONN-22)."""
    async with serving.on_asyncio() as (_, port):
        answer = await raw(port, b"REGISTER ann x\n" + b"x" * 500_000)
        assert answer.endswith(b'bytes here"\n')
        assert b"too-large" in answer


@on_loop
async def test_reset() -> None:
    """A reset in mid-message takes the user offline, and the name is free (CONN-19)."""
    async with serving.on_asyncio() as (_, port):
        session, items = await enter(port, "ann")
        bad = socket.create_connection(("127.0.0.1", port))
        bad.sendall(b"REGISTER bo x\nSEND_MESS")
        while "bo" not in (await upto(items, OnlineUsers)).users:
            pass
        bad.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        bad.close()
        while "bo" in (await upto(items, OnlineUsers)).users:
            pass
        session.close()


@on_loop
async def test_connections_too_many() -> None:
    """A connection beyond the limit is told so; when one has gone there is room again (FLOW-13)."""
    async with serving.on_asyncio(connections=1) as (server, port):
        session, _ = await enter(port, "ann")
        assert b"forbidden" in await raw(port, b"REGISTER bo x\n")
        await session.goodbye()
        while b"forbidden" in await raw(port, b"REGISTER bo x\nGOODBYE\n"):
            pass
        assert server.service.hub.online == {}


async def talk_to_a_slow_reader(
    server: Server, port: int
) -> tuple[Session, AsyncIterator[Item], socket.socket]:
    """Have ann and somebody who reads nothing in a conversation."""
    ann, items = await enter(port, "ann")
    slow = socket.create_connection(("127.0.0.1", port))
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.sendall(b"REGISTER slow x\nJOIN 1\n")
    while "slow" not in server.service.hub.online:
        await upto(items, OnlineUsers)
    ann.request(Invite(("slow",)))
    await upto(items, Invitation)
    ann.request(Join("1"))
    slow.sendall(b"JOIN 1\nLIST_CONVERSATIONS\n")
    ann.request(ListConversations())
    while await upto(items, Conversations) != Conversations({"1": ("ann", "slow")}):
        ann.request(ListConversations())
    return ann, items, slow


@on_loop
async def test_slow_reader() -> None:
    """A reader that stops is closed in the end, others hear everything, and the server goes on (FLOW-5, FLOW-7)."""
    async with serving.on_asyncio(Bounds(events=200_000, flush=0.1, linger=0.1)) as (server, port):
        ann, items, slow = await talk_to_a_slow_reader(server, port)
        heard = 0
        while "slow" in server.service.hub.online:
            ann.request(SendMessage("1", "x" * 8000))
            await upto(items, Message)
            heard += 1
            assert heard < 10_000
        slow.close()
        await ann.goodbye()


@on_loop
async def test_slow_reader_is_not_read() -> None:
    """As soon as a reader that stops takes no more, nothing is read of what it sends (FLOW-6)."""
    full = asyncio.Event()
    late: list[bytes] = []

    class Seen(StreamLink):
        def pause_writing(self) -> None:
            super().pause_writing()
            full.set()

        def data_received(self, data: bytes) -> None:
            if self.paused:
                late.append(data)
            super().data_received(data)

    async with serving.on_asyncio(Bounds(flush=0.1, linger=0.1)) as (server, _):
        _, port = await server.listen("127.0.0.1", 0, link=lambda: Seen(server))
        ann, items, slow = await talk_to_a_slow_reader(server, port)
        while not full.is_set():
            ann.request(SendMessage("1", "x" * 8000))
            await upto(items, Message)
        slow.sendall(b"STATUS y\n")
        for _ in range(2):  # what is said in turns after it is read
            ann.request(ListConversations())
            await upto(items, Conversations)
        assert late == []
        slow.close()
        await ann.goodbye()


def test_turn_that_raises() -> None:
    """What an observer or a codec raises is told to the loop's handler, and others are served in the next turn."""

    class Picky(Observer):
        def received(self, peer: int, message: Request) -> None:
            if isinstance(message, Status):
                raise ZeroDivisionError

    failures: list[object] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: failures.append(context.get("exception")))
        server = Server(Service(Hub(), CODECS, bounds=Bounds(linger=0.2), observer=Picky()))
        _, port = await server.listen("127.0.0.1", 0)
        sessions = [(await enter(port, name, "json"))[0] for name in ("ann", "bo", "cy")]
        for session in sessions[:2]:  # which arrive in one turn
            session.request(Status("away"))
        assert await sessions[2].list_conversations() == {}
        for session in sessions:
            session.close()
        await server.close()

    asyncio.run(asyncio.wait_for(run(), DEADLINE))
    assert [type(failure) for failure in failures] == [ZeroDivisionError, ZeroDivisionError]


@on_loop
async def test_shutdown_that_raises() -> None:
    """What an observer raises about a shutdown comes out of it, when all connections are closed."""

    class Deaf(Observer):
        def closed(self, peer: int, reason: str) -> None:
            if peer == 1:
                raise ZeroDivisionError

    server = Server(Service(Hub(), CODECS, bounds=Bounds(linger=0.2), observer=Deaf()))
    _, port = await server.listen("127.0.0.1", 0)
    sessions = [(await enter(port, name, "json"))[0] for name in ("ann", "bo")]
    with pytest.raises(ZeroDivisionError):
        await server.close()
    assert not server.links
    for session in sessions:
        session.close()


@on_loop
async def test_shutdown() -> None:
    """A server that is closed tells everybody, closes all connections, and waits for nobody for ever (ERROR-9)."""
    async with serving.on_asyncio() as (server, port):
        session, items = await enter(port, "ann")
        deaf = socket.create_connection(("127.0.0.1", port))
        deaf.sendall(b"REGISTER deaf x\n")
        await upto(items, OnlineUsers)
        await server.close()
        error = await upto(items, Error)
        assert error.code == "shutting-down"
        with pytest.raises(Lost):
            await anext(items)
        session.close()
        deaf.close()


@on_loop
async def test_shutdown_without_a_transport() -> None:
    """A server is closed also if a transport never says that its connection is lost."""

    class Untold(StreamLink):
        def connection_lost(self, exc: Exception | None) -> None:
            lost.set()

    lost = asyncio.Event()
    async with serving.on_asyncio() as (server, _):
        _, port = await server.listen("127.0.0.1", 0, link=lambda: Untold(server))
        with socket.create_connection(("127.0.0.1", port)):
            while not server.links:
                await asyncio.sleep(0)
            await server.close()
            assert lost.is_set()
            assert not server.links


@on_loop
async def test_listen_after_the_end(tmp_path: Path) -> None:
    """A server that is closed, or is being closed, listens nowhere any more, and says so."""
    async with serving.on_asyncio() as (server, _):
        path = tmp_path / "socket"
        closing = asyncio.create_task(server.close())
        listening = server.listen("127.0.0.1", 0)
        with pytest.raises(UsageError, match="closed"):
            await asyncio.gather(closing, listening)
        await closing
        with pytest.raises(UsageError, match="closed"):
            await server.listen_unix(str(path))
        assert not path.exists()


@on_loop
async def test_shutdown_from_two_places() -> None:
    """Who closes a server that is being closed waits for the same, and so does who began it."""
    async with serving.on_asyncio() as (server, port):
        with socket.create_connection(("127.0.0.1", port)):
            while not server.links:
                await asyncio.sleep(0)
            await asyncio.gather(server.close(), server.close())
            assert not server.links


@on_loop
async def test_gap() -> None:
    """With a gap, each message to a pickle peer comes in a read of its own (LECTURE-4)."""
    async with serving.on_asyncio(gap=0.05) as (_, port):
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


@pytest.mark.parametrize("first", ["192.0.2.1", "127.0.0.1"])
@on_loop
async def test_name_of_several_hosts(monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    """Of the addresses of a name, those that this host has not keep nobody from listening on the others."""
    loop = asyncio.get_running_loop()
    hosts = dict.fromkeys((first, "192.0.2.1", "127.0.0.1"))

    async def found(*_: object, **__: object) -> list[object]:  # no name is like that everywhere
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in hosts]

    server = Server(Service(Hub(), CODECS))
    monkeypatch.setattr(loop, "getaddrinfo", found)
    host, port = await server.listen("localhost", 0)
    assert host == "127.0.0.1"
    socket.create_connection((host, port)).close()
    hosts.pop("127.0.0.1")
    with pytest.raises(OSError, match="Cannot assign"):
        await server.listen("localhost", 0)
    await server.close()


@on_loop
async def test_one_port_for_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The port that is taken for 0 is the same on all addresses of a name."""

    async def found(*_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in ("127.0.0.1", "127.0.0.2")]

    server = Server(Service(Hub(), CODECS))
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
    _, port = await server.listen("localhost", 0)
    for host in ("127.0.0.1", "127.0.0.2"):
        socket.create_connection((host, port)).close()
    await server.close()


def test_port_that_is_taken_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the port that is free at the first address of a name is taken at another one, all take another port for 0."""
    hosts, make = ["127.0.0.1", "127.0.0.2"], socket.create_server
    others: list[socket.socket] = []

    def race(place: tuple[str, int], **options: Any) -> socket.socket:
        if place[0] == hosts[-1] and not others:
            others.append(make(place))
        return make(place, **options)

    monkeypatch.setattr(socket, "create_server", race)
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in hosts]
    listeners = tcp_listeners(found, 0)
    [port] = {each.getsockname()[1] for each in listeners}
    assert [each.getsockname()[0] for each in listeners] == hosts
    assert port != others[0].getsockname()[1]
    for each in [*listeners, *others]:
        each.close()


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
    """Make a server with a roster of 12 megabytes, more than the systems' buffers take at once, and a list of 200 KB."""
    hub = Hub(Policy(settle=0.01, conversation_id="{:064}".format))
    service = Service(hub, CODECS, bounds=bounds)
    for number in range(50):
        hub.receive(-1 - number, Register(f"user{number}", "s" * 240_000), 0.0)
    for number in range(2999):
        hub.receive(-1 - number // 64, Invite(("user49",)), 0.0)
    return service, len(load("json").encode(OnlineUsers(hub.online)))


@pytest.mark.parametrize("end", ["goodbye", "half-close", "both", "kick", "shutdown"])
@on_loop
async def test_close_reaches_a_slow_reader(end: str) -> None:
    """All that was sent before a close reaches a client that reads steadily, for longer than input is discarded (CONN-22)."""
    # All is answered at once, so that much more waits at the close than before requests usually have to.
    service, size = full_service(Bounds(linger=0.05, flush=100.0, queued=1 << 30, turn=1 << 30))
    server = Server(service)
    _, port = await server.listen("127.0.0.1", 0)
    lists = 0 if end in ("kick", "shutdown") else 50
    with stalled(port) as client:
        client.sendall(line(Register("ann", "")) + line(ListConversations()) * lists)
        if end in ("goodbye", "both"):
            client.sendall(line(Goodbye()))
        if end in ("half-close", "both"):
            client.shutdown(socket.SHUT_WR)
        while "ann" not in service.hub.online and lists == 0:
            await asyncio.sleep(0)
        reading = asyncio.create_task(trickle(client))
        if end == "kick":
            server.kick("ann", "go")
        closing = asyncio.create_task(server.close()) if end == "shutdown" else None
        read = (await reading).splitlines()
        await (closing or server.close())
    assert len(read[0]) >= size
    assert sum(b'"CONVERSATIONS"' in each for each in read) == lists
    last = {"kick": b"forbidden", "shutdown": b"shutting-down"}
    assert last.get(end, b'"CONVERSATIONS"') in read[-1]


@pytest.mark.parametrize(
    ("end", "bounds"),
    [
        pytest.param("shutdown", Bounds(flush=0.1, linger=1000.0), id="shutdown"),
        pytest.param("kick", Bounds(write=0.5, flush=1000.0, linger=1000.0), id="kick"),
    ],
)
@on_loop
async def test_close_waits_for_nobody_for_ever(end: str, bounds: Bounds) -> None:
    """A client that reads nothing is cut off when the time to flush is over, whatever waits for it (CONN-22, FLOW-9)."""
    service, size = full_service(bounds)
    server = Server(service)
    _, port = await server.listen("127.0.0.1", 0)
    with stalled(port) as client:
        client.sendall(line(Register("ann", "")))
        while "ann" not in service.hub.online:
            await asyncio.sleep(0)
        if end == "kick":
            server.kick("ann", "go")
        await server.close()
        assert len(await trickle(client, pause=0.0)) < size


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
    async with serving.on_asyncio(gap=0.02) as (_, port):
        answer = await raw(port, b"".join(pickle.encode(each) for each in requests), half_close=True)
    assert answer.count(b"CONVERSATIONS") == 5


@on_loop
async def test_gap_bounds_what_waits() -> None:
    """With a gap, a pickle client that reads nothing is closed when too many events wait, however slowly they come (FLOW-7)."""
    service, _ = full_service(Bounds(events=20_000, linger=0.1, flush=0.1))
    server = Server(service, gap=0.02)
    _, port = await server.listen("127.0.0.1", 0)
    ann, items = await enter(port, "ann", "pickle")
    with stalled(port) as still:
        still.sendall(load("pickle").encode(Register("still", "")))
        while "still" not in service.hub.online:
            await asyncio.sleep(0)
        ann.request(Invite(("still",)))
        invitation = await upto(items, Invitation)
        ann.request(Join(invitation.conversation))
        # It sends its JOIN before it has read anything, so this does not wait for its reading.
        service.hub.receive(2, Join(invitation.conversation), server.now())
        for _ in range(20):  # each comes to ann after a gap, so that it is over for the other one, too
            ann.request(SendMessage(invitation.conversation, "x" * 8000))
            await upto(items, Message)
        assert "still" not in service.hub.online
    await ann.goodbye()
    await server.close()


@on_loop
async def test_gap_before_the_last_word() -> None:
    """With a gap, the last word too comes in a read of its own, though nothing waited before it (LECTURE-1)."""
    async with serving.on_asyncio(gap=0.02) as (server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(load("pickle").encode(Register("ann", "")))
        while "ann" not in server.service.hub.online:
            await asyncio.sleep(0)
        closing = asyncio.create_task(server.close())
        reads: list[bytes] = []
        while data := await reader.read(65536):
            reads.append(data)
        assert [data.split(b" ")[0] for data in reads] == [b"ONLINE_USERS", b"ERROR"]
        writer.close()
        await closing


@pytest.mark.parametrize(
    ("gap", "why"), [(0.01, r"0\.02"), (-1.0, r"0\.02"), (math.inf, "million"), (math.nan, r"0\.02")]
)
@on_loop
async def test_gaps_that_cannot_be(gap: float, why: str) -> None:
    """A gap that peers like the lecture's would not see is refused (LECTURE-2), and so is one that no clock can tell."""
    with pytest.raises(UsageError, match=why):
        Server(Service(Hub(), CODECS), gap=gap)


@pytest.mark.parametrize("turns", range(6))
@on_loop
async def test_accepted_while_closing(turns: int) -> None:
    """A connection that is accepted while the server closes is told or closed, and holds nothing up (ERROR-9)."""
    service = Service(Hub(), CODECS, bounds=Bounds(linger=0.05, flush=0.1))
    server = Server(service)
    _, port = await server.listen("127.0.0.1", 0)
    ann, items = await enter(port, "ann")
    loop = asyncio.get_running_loop()
    with socket.create_connection(("127.0.0.1", port)) as late:
        late.setblocking(False)
        for _ in range(turns):
            await asyncio.sleep(0)
        closing = asyncio.create_task(server.close())
        with suppress(ConnectionResetError):  # it was not even accepted
            assert await loop.sock_recv(late, 100) == b""
        await upto(items, Error)
        ann.close()
        await closing
