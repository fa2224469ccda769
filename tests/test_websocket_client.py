"""Tests of the client of `improto.bindings.websocket`, as a program uses it."""

import asyncio
import gc
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

import serving
from certificates import client_side, server_side
from improto.bindings import asyncio as asyncio_binding
from improto.bindings.asyncio import Server
from improto.bindings.websocket import connect, dial, listen
from improto.client import Timeouts
from improto.codec import available
from improto.errors import CannotConnect, Lost, UsageError
from improto.messages import Invitation, Message, OnlineUsers
from improto.user import Backoff, Reconnected
from improto.wire import Fault
from loops import on_loop, turns_until, upto


@asynccontextmanager
async def answering(*answers: str | bytes, code: int = 1000) -> AsyncGenerator[str]:
    """Run a server that answers the first message with others and closes, and give its URL."""

    async def converse(accepted: ServerConnection) -> None:
        await accepted.recv()
        for answer in answers:
            await accepted.send(answer)
        await accepted.close(code, "go")

    protocols = [Subprotocol("improto.v1.json")]
    async with serve(converse, "127.0.0.1", 0, subprotocols=protocols, compression=None) as server:
        [port] = [cast(tuple[str, int], each.getsockname())[1] for each in server.sockets]
        yield f"ws://127.0.0.1:{port}"


ROSTER = '{"type":"ONLINE_USERS","users":{"ann":""}}'


async def agreed(reader: asyncio.StreamReader) -> ServerProtocol:
    """Take a client's part of the handshake; the answer is still to be sent."""
    protocol = ServerProtocol(subprotocols=[Subprotocol("improto.v1.json")])
    while protocol.state is State.CONNECTING:
        protocol.receive_data(await reader.read(9999))
        for event in protocol.events_received():
            protocol.send_response(protocol.accept(cast(Request, event)))
    return protocol


@pytest.mark.parametrize("codec", available())
@on_loop
async def test_conversation(codec: str) -> None:
    """Two users meet, in each codec; a long text and a large roster arrive whole."""
    async with serving.on_websocket() as (_, port):
        url = f"ws://127.0.0.1:{port}/chat"
        async with connect(url, "ann", codec=codec) as ann, connect(url, "bo", status=200 * "é") as bo:
            await ann.invite("bo")
            id = (await upto(ann, Invitation)).conversation
            await ann.join(id)
            await bo.join(id)
            assert await bo.list_conversations() == {id: ("ann", "bo")}
            await bo.send(id, 8000 * "x")
            assert await upto(ann, Message) == Message(id, "bo", 8000 * "x")
            assert bo.view.online["bo"] == 200 * "é"


@on_loop
async def test_listeners_share_a_hub() -> None:
    """Who comes by WebSocket meets who comes by TCP."""
    async with serving.on_websocket() as (server, port):
        _, tcp = await server.listen("127.0.0.1", 0)
        async with (
            asyncio_binding.connect(f"tcp://127.0.0.1:{tcp}", "bo"),
            connect(f"ws://127.0.0.1:{port}", "ann") as ann,
        ):
            assert ann.view.online == {"ann": "", "bo": ""}


@on_loop
async def test_reconnect_without_backoff() -> None:
    """Who asks to be connected again, and does not say when, is told how, before there is a connection."""
    with pytest.raises(UsageError, match=r"reconnect=Backoff\(\)"):
        await dial("ws://127.0.0.1:1", reconnect=cast(Backoff, True))


@on_loop
async def test_reconnect() -> None:
    """With `reconnect` the session outlives its server."""
    async with serving.on_websocket() as (server, port):
        url = f"ws://127.0.0.1:{port}"
        async with connect(url, "ann", reconnect=Backoff(first=0.01, most=0.01)) as ann:
            await server.close()
            again = Server(server.service)
            await listen(again, "127.0.0.1", port)
            await upto(ann, Reconnected)
            assert await ann.list_conversations() == {}
            await again.close()


@on_loop
async def test_reconnect_after_a_reset() -> None:
    """With `reconnect` the session outlives a connection that is reset, too."""
    connected: list[ServerConnection] = []

    async def converse(accepted: ServerConnection) -> None:
        connected.append(accepted)
        await accepted.recv()
        await accepted.send(ROSTER)
        if len(connected) == 1:
            tcp = cast(socket.socket, accepted.transport.get_extra_info("socket"))
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            accepted.transport.abort()
        await accepted.wait_closed()

    protocols = [Subprotocol("improto.v1.json")]
    async with serve(converse, "127.0.0.1", 0, subprotocols=protocols, compression=None) as server:
        [port] = [cast(tuple[str, int], each.getsockname())[1] for each in server.sockets]
        async with connect(f"ws://127.0.0.1:{port}", "ann", reconnect=Backoff(first=0.01, most=0.01)) as ann:
            await upto(ann, Reconnected)


@on_loop
async def test_tls() -> None:
    """wss:// trusts whom it is told to trust, and nobody else."""
    async with serving.on_websocket(tls=server_side(demanding=False)) as (_, port):
        async with connect(f"wss://localhost:{port}", "ann", tls=client_side()) as ann:
            assert await ann.list_conversations() == {}
        with pytest.raises(CannotConnect, match="not trusted"):
            await dial(f"wss://localhost:{port}")
        with pytest.raises(CannotConnect, match=r"or does it use TLS \(wss://\)\?$"):
            await dial(f"ws://localhost:{port}")


@on_loop
async def test_no_subprotocol() -> None:
    """A server for WebSocket that agrees to no codec is none of ours (WS-3), and is told nothing."""
    heard: list[str | bytes] = []

    async def converse(accepted: ServerConnection) -> None:
        heard.extend([message async for message in accepted])

    async with serve(converse, "127.0.0.1", 0, compression=None) as server:
        [port] = [cast(tuple[str, int], each.getsockname())[1] for each in server.sockets]
        with pytest.raises(CannotConnect, match="agrees to no codec"):
            await dial(f"ws://127.0.0.1:{port}")
    assert heard == []


@pytest.mark.parametrize(
    "url", ["tcp://localhost", "ws://", "ws://h..h", "ws://h:99999", "ws://h/#part", "ws://\udc80"]
)
@on_loop
async def test_no_url(url: str) -> None:
    """What is no URL of a WebSocket is refused with one that is."""
    with pytest.raises(UsageError, match="write it like ws://"):
        await dial(url)


@on_loop
async def test_no_websocket() -> None:
    """Where something else listens, or speaks other codecs, the answer says so."""
    async with serving.on_websocket(codecs=["ascii"]) as (server, port):
        _, tcp = await server.listen("127.0.0.1", 0)
        with pytest.raises(CannotConnect, match="HTTP 400; check the address, and the codec"):
            await dial(f"ws://127.0.0.1:{port}")
        with pytest.raises(CannotConnect, match="is there a server for WebSocket"):
            await dial(f"ws://127.0.0.1:{tcp}")
    with pytest.raises(CannotConnect, match=f"no server at ws://127.0.0.1:{port}"):
        await dial(f"ws://127.0.0.1:{port}")


@on_loop
async def test_silent_handshake() -> None:
    """A server that does not answer the handshake is given up after the time-out."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(CannotConnect, match="does not answer"),
    ):
        await dial(f"ws://127.0.0.1:{silent.getsockname()[1]}", timeouts=Timeouts(connect=0.1))


@on_loop
async def test_malformed() -> None:
    """What makes no sense, empty messages too, is told and has no effect; the rest arrives (CLIENT-18)."""
    async with answering(ROSTER, "", "{", ROSTER) as url, connect(url, "ann") as ann:
        with pytest.raises(Lost):
            await upto(ann, Reconnected)
        assert ann.view.online == {"ann": ""}
    async with answering(ROSTER, "", "{", ROSTER) as url, connect(url, "ann") as ann:
        seen = [type(await ann.receive()) for _ in range(4)]
        assert seen == [OnlineUsers, Fault, Fault, OnlineUsers]


@on_loop
async def test_wrong_kind() -> None:
    """A binary message in json ends the connection, and what follows it does not count (WS-2)."""
    answers = (ROSTER, b"{}", '{"type":"ONLINE_USERS","users":{"ann":"","bo":""}}')
    async with answering(*answers) as url, connect(url, "ann") as ann:
        with pytest.raises(Lost, match=r"by this side: 1003 .* comes in text messages"):
            await upto(ann, Reconnected)
        assert ann.view.online == {"ann": ""}


@pytest.mark.parametrize(("code", "told"), [(1001, "has closed"), (1008, r"by the server: 1008 .* go")])
@on_loop
async def test_close_code(code: int, told: str) -> None:
    """What a server says when it closes is told, unless it only goes."""
    async with answering(ROSTER, code=code) as url, connect(url, "ann") as ann:
        with pytest.raises(Lost, match=told):
            await upto(ann, Reconnected)


@on_loop
async def test_closed_together_with_the_handshake() -> None:
    """What a server says when it closes at once is told, also if it arrives together with the end of the handshake."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        protocol = await agreed(reader)
        protocol.send_close(1008, "go")
        writer.write(b"".join(protocol.data_to_send()))
        await reader.read()  # as long as the client likes
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        [port] = [each.getsockname()[1] for each in server.sockets]
        with pytest.raises(Lost, match=r"by the server: 1008 .* go"):
            async with connect(f"ws://127.0.0.1:{port}", "ann", timeouts=Timeouts(connect=5.0)):
                pass


@pytest.mark.parametrize("turns", range(12))
@on_loop
async def test_connecting_is_cancelled(turns: int) -> None:
    """Whenever somebody stops to connect, nothing is left that complains."""
    async with serving.on_websocket() as (_, port):
        dialing = asyncio.create_task(dial(f"ws://127.0.0.1:{port}"))
        for _ in range(turns):
            await asyncio.sleep(0)
        dialing.cancel()
        [made] = await asyncio.gather(dialing, return_exceptions=True)
        if not isinstance(made, BaseException):
            made.close()
    del dialing, made
    gc.collect()


@on_loop
async def test_pings_of_the_deaf() -> None:
    """A server that pings all the time and takes no answer costs no memory: most pongs are left out."""
    pings = Frame(Opcode.PING, b"p" * 125).serialize(mask=False) * 1000
    flooded = asyncio.Event()
    over: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        protocol = await agreed(reader)
        writer.write(b"".join(protocol.data_to_send()))
        await reader.read(9999)
        writer.write(Frame(Opcode.TEXT, ROSTER.encode()).serialize(mask=False))
        for _ in range(256):
            writer.write(pings)
            await writer.drain()
        flooded.set()
        taken = 0
        while data := await reader.read(1 << 20):
            taken += len(data)
        over.set_result(taken)
        writer.close()

    async with await asyncio.start_server(flood, "127.0.0.1", 0) as server:
        [port] = [each.getsockname()[1] for each in server.sockets]
        async with connect(f"ws://127.0.0.1:{port}", "ann", timeouts=Timeouts(goodbye=5.0)):
            await flooded.wait()
        assert await over < 256 * len(pings) / 2


@pytest.mark.parametrize(
    ("first", "each"),
    [
        (b"", Frame(Opcode.PING, b"")),
        (b"", Frame(Opcode.TEXT, b"")),
        (Frame(Opcode.TEXT, b"{", fin=False).serialize(mask=False), Frame(Opcode.CONT, b"", fin=False)),
    ],
    ids=["pings", "messages", "parts of a message"],
)
@on_loop
async def test_flood_of_frames(first: bytes, each: Frame) -> None:
    """Others have their turns while a client reads very many frames of two bytes that have arrived together."""
    invitation = b'{"type":"INVITATION","conversation":"1","source":"bo"}'
    last = Frame(Opcode.CONT if first else Opcode.TEXT, invitation[bool(first) :])

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        protocol = await agreed(reader)
        writer.write(b"".join(protocol.data_to_send()))
        await reader.read(9999)
        begin = Frame(Opcode.TEXT, ROSTER.encode()).serialize(mask=False) + first
        writer.write(begin + 50_000 * each.serialize(mask=False) + last.serialize(mask=False))
        await reader.read()
        writer.close()

    async with await asyncio.start_server(flood, "127.0.0.1", 0) as server:
        [port] = [each.getsockname()[1] for each in server.sockets]
        async with connect(f"ws://127.0.0.1:{port}", "ann") as ann:
            assert await turns_until(asyncio.create_task(upto(ann, Invitation))) >= 24
