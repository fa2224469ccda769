"""Tests of the client of `improto.bindings.asyncio`, as a program uses it."""

import asyncio
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest

import serving
from improto.bindings.asyncio import Session, connect, dial
from improto.client import Timeouts
from improto.errors import CannotConnect, Lost, Refused, UsageError
from improto.messages import Goodbye, Invitation, Join, Message, OnlineUsers
from improto.states import State
from improto.user import Backoff, Reconnected
from improto.wire import Rate
from loops import on_loop, turns_until, upto
from network import full, named, silent
from programs import DEADLINE


async def block(url: str) -> None:
    """Be online for as long as nothing goes wrong, which it does."""
    async with connect(url, "ann"):
        raise KeyError


async def silence(session: Session) -> None:
    """Take what arrives, until nothing does for a moment."""
    while True:
        await session.receive(timeout=0.05)


async def ask(session: Session) -> None:
    """Ask as long as there are answers."""
    while True:
        await session.list_conversations()


async def listed(session: Session) -> Mapping[str, tuple[str, ...]]:
    """Ask until the server has time to answer."""
    while True:
        with suppress(Refused):
            return await session.list_conversations()


@on_loop
async def test_conversation() -> None:
    """Two users who speak different codecs meet: each request has a call, each event arrives."""
    async with serving.on_asyncio() as (_, port):
        url = f"tcp://127.0.0.1:{port}"
        async with connect(url, "ann", codec="ascii") as ann, connect(url, "bo", status="here") as bo:
            await ann.invite("bo")
            id = (await upto(ann, Invitation)).conversation
            assert (await upto(bo, Invitation)) == Invitation(id, "ann")
            await ann.join(id)
            assert await ann.list_conversations() == {id: ("ann",)}
            await bo.join(id)
            await bo.send(id, "hi")
            assert (await upto(ann, Message)) == Message(id, "bo", "hi")
            await bo.leave(id)
            await bo.status("away")
            while (await upto(ann, OnlineUsers)).users["bo"] != "away":
                pass
            assert await ann.list_conversations() == {id: ("ann",)}
            assert ann.view.online == {"ann": "", "bo": "away"}


@on_loop
async def test_others_run_while_somebody_sends() -> None:
    """Who sends in a loop keeps nobody from running, such as the task that reads, though there is room for all (CLIENT-17)."""
    async with serving.on_asyncio() as (_, port), connect(f"tcp://127.0.0.1:{port}", "ann") as ann:
        ran = list[str]()
        asyncio.get_running_loop().call_soon(ran.append, "another task")
        await ann.status("busy")
        assert ran


@pytest.mark.parametrize("line", ["", "{", '{"type":"ERROR","message":"a: b"}'])
@on_loop
async def test_flood_of_lines(line: str) -> None:
    """Others have their turns while a client reads very many short lines that have arrived together."""
    first = '{"type":"ONLINE_USERS","users":{"ann":""}}'
    last = '{"type":"INVITATION","conversation":"1","source":"bo"}'
    count = 100_000 // len(f"{line}\n")

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write("\n".join([first, *count * [line], last, ""]).encode())
        await reader.read()
        writer.close()

    async with await asyncio.start_server(flood, "127.0.0.1", 0) as server:
        url = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with connect(url, "ann", codec="json") as ann:
            assert await turns_until(asyncio.create_task(upto(ann, Invitation))) >= 24


@on_loop
async def test_calls_while_somebody_iterates() -> None:
    """A call gets its reply while another task takes what arrives, and from several tasks at once."""
    async with serving.on_asyncio() as (_, port), connect(f"tcp://127.0.0.1:{port}", "ann") as ann:
        heard: list[object] = []

        async def listen() -> None:
            async for item in ann:
                heard.append(item)

        listening = asyncio.create_task(listen())
        assert await asyncio.gather(*[ann.list_conversations() for _ in range(5)]) == [{}] * 5
        await ann.goodbye()
        await listening
        assert {type(item) for item in heard} == {OnlineUsers}


@on_loop
async def test_too_fast() -> None:
    """A list that comes too fast ends its own call, and what later calls give is newer than they are (FLOW-11)."""
    async with serving.on_asyncio(rate=Rate(20.0, burst=3, patience=10_000)) as (_, port):
        url = f"tcp://127.0.0.1:{port}"
        async with connect(url, "ann") as ann, connect(url, "bo") as bo:
            refused = list[Refused]()
            while not refused:
                lists = [ann.list_conversations() for _ in range(5)]
                replies = await asyncio.gather(*lists, return_exceptions=True)
                refused = [each for each in replies if isinstance(each, Refused)]
                assert replies == [{}] * (5 - len(refused)) + refused
            assert {each.code for each in refused} == {"rate-limited"}
            await listed(ann)
            await bo.invite("ann")
            id = (await upto(bo, Invitation)).conversation
            assert await listed(ann) == {id: ()}


@on_loop
async def test_call_before_what_arrived_is_looked_at() -> None:
    """A call gets its reply though more has arrived than is read ahead."""
    async with serving.on_asyncio() as (_, port):
        url = f"tcp://127.0.0.1:{port}"
        async with connect(url, "ann") as ann, connect(url, "bo") as bo:
            await bo.invite("ann")
            id = (await upto(bo, Invitation)).conversation
            for each in (ann, bo):
                await each.join(id)
                await each.list_conversations()
            for _ in range(150):
                await bo.send(id, "x" * 8000)
                await upto(bo, Message)
            await ann.list_conversations()
            heard = 0
            while heard < 150:
                heard += isinstance(await ann.receive(5.0), Message)


@on_loop
async def test_refused() -> None:
    """Who is not taken gets Refused with the code, and the connection is closed."""
    async with serving.on_asyncio() as (server, port), connect(f"tcp://127.0.0.1:{port}", "ann"):
        with pytest.raises(Refused) as refused:
            async with connect(f"tcp://127.0.0.1:{port}", "ann"):
                pass
        assert refused.value.code == "name-in-use"
        while len(server.links) > 1:
            await asyncio.sleep(0)


@on_loop
async def test_goodbye_at_the_end_of_the_block() -> None:
    """However the block ends, the user goes offline, and what it raised comes out."""
    async with serving.on_asyncio() as (server, port):
        with pytest.raises(KeyError):
            await block(f"tcp://127.0.0.1:{port}")
        assert server.service.hub.online == {}
        async with connect(f"tcp://127.0.0.1:{port}", "ann") as ann:
            assert list(server.service.hub.online) == ["ann"]
        assert server.service.hub.online == {}
        assert ann.state is State.CLOSED
        assert [type(item) async for item in ann] == [OnlineUsers]
        with pytest.raises(UsageError):
            await ann.join("1")


@on_loop
async def test_timeout() -> None:
    """`receive` waits for so many seconds; nothing is lost by that."""
    async with serving.on_asyncio() as (_, port), connect(f"tcp://127.0.0.1:{port}", "ann") as ann:
        with pytest.raises(TimeoutError):
            await silence(ann)
        async with connect(f"tcp://127.0.0.1:{port}", "bo") as bo:
            await bo.invite("ann")
            await upto(ann, Invitation)


@on_loop
async def test_no_answer() -> None:
    """A host that takes no connections is given up after the time-out (CannotConnect)."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        with (
            socket.create_connection(("127.0.0.1", port)),
            pytest.raises(CannotConnect, match="does not answer"),
        ):
            await dial(f"tcp://127.0.0.1:{port}", timeouts=Timeouts(connect=0.2))


@on_loop
async def test_reconnect_without_backoff() -> None:
    """Who asks to be connected again, and does not say when, is told how, before there is a connection."""
    with pytest.raises(UsageError, match=r"reconnect=Backoff\(\)"):
        await dial("tcp://127.0.0.1:1", reconnect=cast(Backoff, True))


@on_loop
async def test_reconnect() -> None:
    """With `reconnect` the session outlives its server: it says so, and goes on with the next one."""
    async with serving.on_asyncio() as (server, port):
        url = f"tcp://127.0.0.1:{port}"
        async with connect(url, "ann", reconnect=Backoff(first=0.01, most=0.01)) as ann:
            async with connect(url, "bo"):
                await ann.invite("bo")
                id = (await upto(ann, Invitation)).conversation
                await ann.join(id)
                await ann.list_conversations()
            await server.close()
            with pytest.raises(Lost):
                await ask(ann)
            async with serving.on_asyncio(port=port) as (again, _):
                assert await upto(ann, Reconnected) == Reconnected((id,))
                assert list(again.service.hub.online) == ["ann"]
                assert await ann.list_conversations() == {}


@on_loop
async def test_giving_up() -> None:
    """When no new connection can be made, the iteration ends with the reason."""
    async with serving.on_asyncio() as (server, port):
        reconnect = Backoff(first=0.01, most=0.01, attempts=3)
        async with connect(f"tcp://127.0.0.1:{port}", "ann", reconnect=reconnect) as ann:
            await server.close()
            with pytest.raises(CannotConnect):
                await upto(ann, Reconnected)


@on_loop
async def test_leaving_while_there_is_no_connection() -> None:
    """Who leaves between two attempts does not wait for the next."""
    async with serving.on_asyncio() as (server, port):
        async with connect(f"tcp://127.0.0.1:{port}", "ann", reconnect=Backoff(first=1000.0)) as ann:
            await server.close()
            with pytest.raises(Lost):
                await ask(ann)
        assert ann.state is State.CLOSED


@on_loop
async def test_lost() -> None:
    """Without `reconnect` the loss comes out of the iteration and of every call, after what arrived before."""
    async with serving.on_asyncio() as (server, port), connect(f"tcp://127.0.0.1:{port}", "ann") as ann:
        await server.close()
        with pytest.raises(Lost):
            await upto(ann, Reconnected)
        with pytest.raises(Lost) as once:
            await ann.receive()
        lines = len(once.traceback)
        with pytest.raises(Lost) as again:
            await ann.receive()
        assert len(again.traceback) == lines
        with pytest.raises(Lost):
            ann.request(Join("1"))


def test_after_its_loop() -> None:
    """A session ends with its loop, also if nobody has closed it: what had arrived can be taken, and nobody waits for more."""

    async def begin(url: str) -> Session:
        session = await dial(url)
        await session.register("ann")
        return session

    async def go_on(session: Session) -> None:
        assert isinstance(await session.receive(DEADLINE), OnlineUsers)
        assert await session.receive(DEADLINE) is None
        with pytest.raises(UsageError, match="a connection that is closed"):
            await session.list_conversations()

    with serving.with_threads() as (_, port):
        asyncio.run(go_on(asyncio.run(begin(f"tcp://127.0.0.1:{port}"))))


@on_loop
async def test_address_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the addresses of a name, one that does not answer keeps none of the others from being tried."""
    async with serving.on_asyncio() as (_, port):
        named(monkeypatch, "several", ["127.0.0.2", "127.0.0.1"])
        with silent("127.0.0.2", port):
            async with connect(f"tcp://several:{port}", "ann", timeouts=Timeouts(connect=4.0)) as ann:
                assert list(ann.view.online) == ["ann"]


@on_loop
async def test_full_socket(tmp_path: Path) -> None:
    """At a Unix socket at which too many wait, too, a client waits, and is told that nobody answers."""
    path = str(tmp_path / "socket")
    with full(path), pytest.raises(CannotConnect, match=r"does not answer within 0\.2 s"):
        await dial(f"unix:{path}", timeouts=Timeouts(connect=0.2))


@on_loop
async def test_addresses_that_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody listens at any address of a name, that is told once."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    named(monkeypatch, "several", ["127.0.0.2", "127.0.0.1"])
    with pytest.raises(CannotConnect, match=rf"^no server at tcp://several:{port} \(Connection refused\);"):
        await dial(f"tcp://several:{port}")


@on_loop
async def test_no_server() -> None:
    """Where nobody listens, the error says so and how to start a server."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(CannotConnect, match="improto serve"):
        await dial(f"tcp://127.0.0.1:{port}", "json")


@on_loop
async def test_misuse() -> None:
    """A client that sends out of order is stopped by an error before anything goes out (CLIENT-1)."""
    async with serving.on_asyncio() as (_, port):
        session = await dial(f"tcp://127.0.0.1:{port}", "json")
        with pytest.raises(UsageError, match="JOIN"):
            session.request(Join("1"))
        session.close()


@pytest.mark.parametrize("data", [b"MESSAGE cposix\nsystem\n.", b""], ids=["nonsense", "end of stream"])
@on_loop
async def test_session_closes_at_its_end(data: bytes) -> None:
    """After bytes behind which nothing can be read, or after the server's end, the client reports and closes (CLIENT-18)."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        if not data:
            writer.write_eof()
        await reader.read()
        ended.set()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        session = await dial(f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", "pickle")
        with pytest.raises(Lost):
            _ = [item async for item in session]
        await ended.wait()


@pytest.mark.parametrize("busy", [False, True], ids=["reading", "busy"])
@on_loop
async def test_goodbye_while_somebody_iterates(busy: bool) -> None:
    """GOODBYE while somebody waits for the next item, or handles one, ends that in order and closes (CLIENT-20)."""
    async with serving.on_asyncio() as (server, port):
        ann = await dial(f"tcp://127.0.0.1:{port}")
        await ann.register("ann")
        handled = asyncio.Event()

        async def rest() -> None:
            if busy:
                await handled.wait()
            async for _ in ann:
                pass

        reading = asyncio.create_task(rest())
        await asyncio.sleep(0)  # so that it waits
        leaving = asyncio.create_task(ann.goodbye())
        await asyncio.sleep(0)
        handled.set()
        await asyncio.gather(reading, leaving)
        while server.service.hub.online:
            await asyncio.sleep(0)


@on_loop
async def test_reset_after_goodbye() -> None:
    """A server that resets the connection after GOODBYE ends the iteration as silently as one that closes (CLIENT-20)."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        writer.transport.abort()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        session = await dial(f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", "json")
        session.request(Goodbye())
        assert [item async for item in session] == []
