"""Tests of the server of `improto.bindings.websocket` on real sockets, with frames written byte by byte."""

import asyncio
import json
import math
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import pytest

import serving
from certificates import client_side, server_side
from frames import BINARY, CLOSE, MASK, PING, PONG, TEXT, Client, connected, frame, request
from improto.bindings import websocket
from improto.bindings.asyncio import Server, connect
from improto.codec import available, load
from improto.errors import Lost, UsageError
from improto.messages import ListConversations, Request
from improto.server import Hub
from improto.service import Bounds, Observer, Peer, Service
from loops import on_loop

DEADLINE = 20.0
REGISTER = b'{"type":"REGISTER","username":"bo","status":""}'
CY = REGISTER.replace(b"bo", b"cy")
LIST = b'{"type":"LIST_CONVERSATIONS"}'


@asynccontextmanager
async def registered(port: int, register: bytes = REGISTER) -> AsyncGenerator[Client]:
    """Connect and register as bo."""
    async with connected(port) as client:
        client.send(frame(TEXT, register))
        assert (await client.message())["type"] == "ONLINE_USERS"
        yield client


# -- the handshake ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", available())
@on_loop
async def test_agreement(codec: str) -> None:
    """The codec is agreed on as the subprotocol, and no extension is (WS-3, WS-5)."""
    extensions = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
    async with (
        serving.on_websocket() as (_, port),
        connected(port, request(extensions, offered=f"chat, improto.v1.{codec}")) as client,
    ):
        status, headers = await client.head()
        assert status == "HTTP/1.1 101 Switching Protocols"
        assert headers["sec-websocket-protocol"] == f"improto.v1.{codec}"
        assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert "sec-websocket-extensions" not in headers


@on_loop
async def test_codecs_of_the_server() -> None:
    """A codec that the server does not speak is not agreed on (WS-4)."""
    async with serving.on_websocket(codecs=["ascii"]) as (_, port), connected(port, request()) as client:
        assert (await client.head())[0].startswith("HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("origin", "host", "answer"),
    [
        ("http://127.0.0.1:1234", "127.0.0.1:1234", 101),
        ("http://localhost:1234", "localhost:1234", 101),
        ("http://[::1]:1234", "[::1]:1234", 101),
        ("https://chat.example.org", "chat.example.org", 101),
        pytest.param("http://127.0.0.1:1235", "127.0.0.1:1234", 403, id="another port"),
        pytest.param("https://127.0.0.1:1234", "127.0.0.1:1234", 403, id="another scheme"),
        pytest.param(
            "http://strange.invalid:1234", "strange.invalid:1234", 403, id="a name that was made to lead here"
        ),
        pytest.param("http://chat.example.org", "chat.example.org", 403, id="a name without TLS"),
        pytest.param("null", "127.0.0.1:1234", 403, id="a page without an origin"),
        pytest.param("http://[", "[", 403, id="nonsense"),
    ],
)
@on_loop
async def test_origins(origin: str, host: str, answer: int) -> None:
    """Pages may connect from the server's own address, if that is a number, and from origins that were named (WS-6)."""
    data = request(f"Origin: {origin}").replace(b"127.0.0.1:1234\r\nConn", host.encode() + b"\r\nConn")
    async with (
        serving.on_websocket(origins=["https://chat.example.org"]) as (_, port),
        connected(port, data) as client,
    ):
        assert (await client.head())[0].startswith(f"HTTP/1.1 {answer} ")


@on_loop
async def test_origins_that_cannot_be() -> None:
    """An origin that no browser sends is refused as wrong usage before anything listens (WS-6)."""
    server = Server(Service(Hub(), [load("json")]))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for wrong in ("https://x/", "foo", "https://Chat.example", "https://*.chat.example", "null"):
            with pytest.raises(UsageError, match="is no origin; write it as browsers do"):
                await websocket.listen(server, "127.0.0.1", port, origins=["https://chat.example", wrong])
    await server.close()


@pytest.mark.parametrize("codec", ["ascii", "json", "pickle"])
@on_loop
async def test_client_on_tcp(codec: str) -> None:
    """A client that comes by TCP, and cannot read the answer, is told what may be there instead."""
    async with serving.on_websocket() as (_, port):
        with pytest.raises(Lost, match="ws://"):
            async with connect(f"tcp://127.0.0.1:{port}", "bo", codec=load(codec)):
                pass


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        pytest.param(b'{"type":"REGISTER","username":"bo","status":""}\n', 400, id="json on TCP"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\n", 400, id="TLS"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 426, id="no WebSocket"),
        pytest.param(b"POST / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", 4, id="POST"),
        pytest.param(request().replace(b"Version: 13", b"Version: 12"), 400, id="version"),
        pytest.param(request().replace(b"Key: dGhl", b"Key: dGhlAAA="), 400, id="key"),
        pytest.param(request("A: " + 9000 * "x"), 4, id="a long line"),
        pytest.param(request(*("A: " + 1000 * "x" for _ in range(20))), 431, id="many long lines"),
        pytest.param(request(*("A: x" for _ in range(200))), 4, id="many lines"),
        pytest.param(b"A" * 20_000, 4, id="endless"),
    ],
)
@on_loop
async def test_bad_handshakes(data: bytes, answer: int) -> None:
    """What is no handshake is answered in HTTP, whatever it is, with its size bounded, and closed."""
    async with (
        serving.on_websocket() as (_, port),
        registered(port) as other,
        connected(port, data) as client,
    ):
        status, headers = await client.head()
        assert status.startswith(f"HTTP/1.1 {answer}")  # the package's versions differ in the rest of some
        assert len(await client.rest()) == int(headers["content-length"])
        other.send(frame(TEXT, LIST))
        await other.upto("CONVERSATIONS")


@on_loop
async def test_handshake_in_time() -> None:
    """Who does not complete a handshake within the time to register is closed (CONN-17)."""
    bounds = Bounds(register=0.05, linger=0.05)
    async with serving.on_websocket(bounds=bounds) as (_, port), connected(port, request()[:-4]) as client:
        assert await client.rest() == b""


@on_loop
async def test_registration_in_time() -> None:
    """Who does not register is told so, and the close says why (CONN-17)."""
    async with (
        serving.on_websocket(bounds=Bounds(register=0.05, linger=0.05)) as (_, port),
        connected(port) as client,
    ):
        assert str((await client.message())["message"]).startswith("timeout: ")
        assert await client.closed() == (1008, "timeout")


@on_loop
async def test_connections_too_many() -> None:
    """Who is refused at accept is told so once the codec is known (FLOW-13)."""
    async with (
        serving.on_websocket(connections=1, codecs=["json"]) as (_, port),
        registered(port),
        connected(port) as client,
    ):
        assert str((await client.message())["message"]).startswith("forbidden: ")
        assert (await client.closed())[0] == 1008


# -- frames -----------------------------------------------------------------------------------------------------


@on_loop
async def test_fragments() -> None:
    """A message may come in many frames, empty ones too, with a ping between them, which is answered (WS-1)."""
    async with serving.on_websocket() as (_, port), registered(port) as client:
        client.send(
            frame(TEXT, LIST[:5], final=False),
            frame(0, b"", final=False),
            frame(PING, b"there?"),
            frame(0, LIST[5:9], final=False),
            frame(0, LIST[9:]),
        )
        seen: list[tuple[int, bytes]] = []
        while len(seen) < 2:
            opcode, payload = await client.frame()
            if b"ONLINE_USERS" not in payload:
                seen.append((opcode, payload))
        assert seen == [(PONG, b"there?"), (TEXT, b'{"type":"CONVERSATIONS","conversations":{}}')]


@on_loop
async def test_bytes_one_by_one() -> None:
    """Handshake and frames may come in any pieces."""
    async with serving.on_websocket() as (_, port), connected(port, b"") as client:
        for byte in request() + frame(TEXT, REGISTER) + frame(TEXT, LIST):
            client.send(bytes([byte]))
            await asyncio.sleep(0)
        await client.head()
        await client.upto("CONVERSATIONS")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(frame(0, LIST), 1002, id="a continuation without a start"),
        pytest.param(frame(TEXT, b"{", final=False) + frame(TEXT, LIST), 1002, id="a start within a message"),
        pytest.param(frame(TEXT, LIST, mask=False), 1002, id="unmasked"),
        pytest.param(frame(TEXT, LIST, reserved=4), 1002, id="compressed"),
        pytest.param(frame(TEXT, LIST, reserved=1), 1002, id="a reserved bit"),
        pytest.param(frame(3, LIST), 1002, id="an unknown opcode"),
        pytest.param(frame(PING, b"", final=False), 1002, id="a ping in parts"),
        pytest.param(frame(PING, 126 * b"x"), 1002, id="a long ping"),
        pytest.param(frame(CLOSE, b"\3"), 1002, id="half a close code"),
        pytest.param(frame(CLOSE, b"\3\xed"), 1002, id="a close code that is never sent"),
        pytest.param(frame(CLOSE, b"\3\xe8\xff"), 1007, id="a reason that is no UTF-8"),
        pytest.param(frame(BINARY, LIST), 1003, id="json in a binary message"),
        pytest.param(frame(BINARY, LIST) + frame(TEXT, LIST), 1003, id="more behind a binary message"),
    ],
)
@on_loop
async def test_wrong_frames(data: bytes, code: int) -> None:
    """Wrong frames end the connection with a code that says why, behind the replies to what came before."""
    async with (
        serving.on_websocket() as (_, port),
        registered(port, CY) as other,
        registered(port) as client,
    ):
        client.send(frame(TEXT, LIST), data, 10 * frame(TEXT, LIST))
        await client.upto("CONVERSATIONS")
        opcode, payload = await client.frame()
        while opcode == TEXT:
            assert b"ONLINE_USERS" in payload  # nothing behind the wrong frame was taken in
            opcode, payload = await client.frame()
        assert (opcode, int.from_bytes(payload[:2])) == (CLOSE, code)
        assert await client.rest() == b""
        while (await other.upto("ONLINE_USERS"))["users"] != {"cy": ""}:
            pass
        other.send(frame(TEXT, LIST))
        await other.upto("CONVERSATIONS")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x81\xff" + (64 * 1024 + 1).to_bytes(8) + MASK, id="its length"),
        pytest.param(b"\x81\xff\x7f" + 7 * b"\xff" + MASK, id="a length of 8 EiB"),
        pytest.param(
            frame(TEXT, 60_000 * b"x", final=False) + 1000 * frame(0, 6 * b"x", final=False),
            id="the sum of its frames",
        ),
    ],
)
@on_loop
async def test_too_large(data: bytes) -> None:
    """A message that is too large is refused by its length, before it has come, with an ERROR and a close (LIMIT-2)."""
    async with serving.on_websocket() as (_, port), registered(port) as client:
        client.send(data)
        assert str((await client.upto("ERROR"))["message"]).startswith("too-large: ")
        assert (await client.closed())[0] == 1009


@on_loop
async def test_too_large_for_a_stranger() -> None:
    """Who has not registered may send 4 KiB, and the close says so (LIMIT-3)."""
    async with serving.on_websocket() as (_, port), connected(port) as client:
        client.send(frame(TEXT, REGISTER + 4096 * b" "))
        assert str((await client.message())["message"]).startswith("too-large: ")
        assert await client.closed() == (1009, "too-large")


@on_loop
async def test_largest() -> None:
    """A request of 64 KiB is taken in (LIMIT-2)."""
    async with serving.on_websocket() as (_, port), registered(port) as client:
        client.send(frame(TEXT, LIST + (64 * 1024 - len(LIST)) * b" "))
        await client.upto("CONVERSATIONS")


@on_loop
async def test_reset_within_a_message() -> None:
    """What breaks off within a frame takes no effect, and the name is free again (WS-8)."""
    async with serving.on_websocket() as (_, port), registered(port, CY) as other:
        async with registered(port) as client:
            client.send(frame(TEXT, b'{"type":"STATUS","status":"never"}')[:-1])
            await client.writer.drain()
            client.writer.transport.abort()
        while (roster := (await other.upto("ONLINE_USERS"))["users"]) != {"cy": ""}:
            assert roster == {"bo": "", "cy": ""}


# -- the end ----------------------------------------------------------------------------------------------------


@on_loop
async def test_goodbye() -> None:
    """After GOODBYE the server closes in order, and what follows is ignored."""
    async with serving.on_websocket() as (_, port), registered(port) as client:
        client.send(frame(TEXT, b'{"type":"GOODBYE"}'), frame(TEXT, LIST), frame(PING))
        assert await client.closed() == (1000, "goodbye")


@on_loop
async def test_kick() -> None:
    """Who is put out is told the code of the ERROR, and not that it said GOODBYE (ERROR-10)."""
    async with serving.on_websocket() as (server, port), registered(port) as client:
        server.kick("bo", "spam")
        assert (await client.upto("ERROR"))["message"] == "forbidden: spam"
        assert await client.closed() == (1008, "forbidden")


@on_loop
async def test_close_handshake() -> None:
    """Who closes gets the replies to what came before, then its own code, and the end at once (WS-8, CONN-20)."""
    async with serving.on_websocket(bounds=Bounds(linger=DEADLINE)) as (_, port), registered(port) as client:
        client.send(frame(TEXT, LIST), frame(CLOSE, b"\x03\xe9bye"), frame(TEXT, LIST))
        await client.upto("CONVERSATIONS")
        assert await client.closed() == (1001, "bye")


@on_loop
async def test_answer_to_a_close() -> None:
    """Once a client has answered the server's close, the connection ends at once."""
    async with (
        serving.on_websocket(bounds=Bounds(linger=DEADLINE)) as (server, port),
        registered(port) as client,
    ):
        client.send(frame(TEXT, b'{"type":"GOODBYE"}'))
        opcode, payload = await client.frame()
        while opcode != CLOSE:
            opcode, payload = await client.frame()
        client.send(frame(CLOSE, payload))
        while server.links:  # it would be kept for `linger` seconds
            await asyncio.sleep(0)


@on_loop
async def test_shutdown() -> None:
    """When the server goes, everybody is told, and the code says so (ERROR-9); who was shaking hands is closed."""
    async with (
        serving.on_websocket() as (server, port),
        registered(port) as client,
        connected(port, request()[:-2]) as half,
    ):
        client.send(frame(TEXT, LIST))
        await client.upto("CONVERSATIONS")
        while len(server.links) < 2:
            await asyncio.sleep(0)
        closing = asyncio.ensure_future(server.close())
        assert str((await client.upto("ERROR"))["message"]).startswith("shutting-down: ")
        assert await client.closed() == (1001, "shutting-down")
        assert await half.rest() == b""
        client.writer.close()
        half.writer.close()
        await closing


@pytest.mark.parametrize("ping", [0.0, -1.0, math.inf, math.nan])
@on_loop
async def test_no_time_between_pings(ping: float) -> None:
    """Pings that would follow each other without end, or never, are refused."""
    with pytest.raises(UsageError, match="ping is more than 0"):
        async with serving.on_websocket(ping=ping):
            pass


@on_loop
async def test_silence() -> None:
    """Who does not answer pings is lost, and who does is kept (WS-7)."""
    async with serving.on_websocket(ping=0.05) as (_, port), registered(port, CY) as other:
        async with registered(port) as client:
            lost = asyncio.ensure_future(client.rest())
            pings = 0
            while not lost.done() or pings < 3:
                opcode, payload = await other.frame()
                if opcode == PING:
                    pings += 1
                    other.send(frame(PONG, payload))
        other.send(frame(TEXT, LIST))
        opcode, payload = await other.frame()
        while b"CONVERSATIONS" not in payload:
            other.send(*[frame(PONG, payload)] * (opcode == PING))
            opcode, payload = await other.frame()


# -- floods, and who reads slowly --------------------------------------------------------------------------------


@on_loop
async def test_flood_of_small_frames() -> None:
    """Whoever sends very many frames in one piece lets others have their turns, and gets all answers, in order."""
    lists: list[int] = []

    class Lists(Observer):
        def received(self, peer: int, message: Request) -> None:
            if isinstance(message, ListConversations):
                lists.append(peer)

    count = 20_000
    async with (
        serving.on_websocket(observer=Lists()) as (_, port),
        registered(port, CY) as other,
        registered(port) as client,
    ):
        client.send(count * frame(PING), frame(TEXT, LIST))
        pongs = 0
        while (found := await client.frame())[0] != TEXT or b"CONVERSATIONS" not in found[1]:
            pongs += found[0] == PONG
            if pongs == 1:
                other.send(frame(TEXT, LIST))
        assert pongs == count
        await other.upto("CONVERSATIONS")
        assert lists == [1, 2]  # what came later, but not behind a flood, was first


class Counting(Service):
    """Counts the messages that arrive between two turns."""

    counts: list[int]

    def turn(self, now: float) -> list[Peer]:
        """Begin to count anew."""
        self.counts.append(0)
        return super().turn(now)

    def receive(self, peer: Peer, data: bytes) -> None:
        """Count it."""
        self.counts[-1] += 1
        super().receive(peer, data)


@on_loop
async def test_few_frames_in_a_turn() -> None:
    """Of very short frames that arrive together, some dozens are looked at in each turn (FLOW-10)."""
    service = Counting(Hub(), [load("json")], bounds=Bounds(linger=0.2))
    service.counts = [0]
    server = Server(service)
    _, port = await websocket.listen(server, "127.0.0.1", 0)
    async with registered(port) as client:
        client.send(2_000 * frame(TEXT), frame(TEXT, LIST))
        await client.upto("CONVERSATIONS")
    await server.close()
    assert sum(service.counts) == 2_002
    assert max(service.counts) <= 150


@on_loop
async def test_slow_reader() -> None:
    """Who takes nothing is closed as a slow consumer, and others are served meanwhile (FLOW-7)."""
    bounds = Bounds(events=200_000, linger=0.1, flush=0.1)
    text = 8000 * "x"
    async with (
        serving.on_websocket(bounds=bounds) as (server, port),
        registered(port) as slow,
        registered(port, CY) as client,
    ):
        client.send(frame(TEXT, b'{"type":"INVITE","users":["bo"]}'))
        id = json.dumps((await client.upto("INVITATION"))["conversation"])
        join = frame(TEXT, f'{{"type":"JOIN","conversation":{id}}}'.encode())
        client.send(join)
        slow.send(join, frame(TEXT, LIST))
        await slow.upto("CONVERSATIONS")
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        message = frame(TEXT, f'{{"type":"SEND_MESSAGE","conversation":{id},"text":"{text}"}}'.encode())
        while "bo" in server.service.hub.online:
            client.send(message)
            await client.upto("MESSAGE")


@pytest.mark.parametrize("last", [b'{"type":"GOODBYE"}', bytes(100_000)], ids=["goodbye", "too large"])
@on_loop
async def test_flood_behind_the_last_message(last: bytes) -> None:
    """The end of a client's stream is seen at once, whatever it has sent behind the last message that counts."""
    async with serving.on_websocket(bounds=Bounds(linger=2 * DEADLINE)) as (server, port):
        async with registered(port) as client:
            client.send(frame(TEXT, last), 5_000 * frame(PING), 5_000 * frame(TEXT, LIST))
            client.writer.write_eof()
            await client.closed()
        while server.links:
            await asyncio.sleep(0)


@on_loop
async def test_many_come_and_go() -> None:
    """Nothing is left of 300 connections, in whatever way and at whatever point they end."""
    first = request() + frame(TEXT, REGISTER)
    ways = [
        first + frame(CLOSE, b"\x03\xe8"),
        first + frame(TEXT, b'{"type":"GOODBYE"}'),
        first[:-5],
        request()[:-5],
        b"GET /page.js HTTP/1.1\r\n\r\n",
        first + frame(0),
    ]

    async def come_and_go(number: int, port: int) -> None:
        with suppress(ConnectionError):
            async with connected(port, ways[number % len(ways)]) as client:
                if number % 5:
                    client.writer.write_eof()
                    await client.rest()
                else:
                    client.writer.transport.abort()

    async with serving.on_websocket(page=websocket.chat_page()) as (server, port):
        before = len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())
        for start in range(0, 300, 50):
            await asyncio.gather(*(come_and_go(number, port) for number in range(start, start + 50)))
        while server.links:
            await asyncio.sleep(0)
        assert server.service.hub.online == {}
        assert (len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())) == before


# -- TLS --------------------------------------------------------------------------------------------------------


@on_loop
async def test_tls() -> None:
    """Behind TLS the server's own pages are those of https."""
    async with serving.on_websocket(tls=server_side(demanding=False)) as (_, port):
        for origin, answer in (("https://127.0.0.1:1234", 101), ("http://127.0.0.1:1234", 403)):
            async with connected(port, request(f"Origin: {origin}"), client_side()) as client:
                assert (await client.head())[0].startswith(f"HTTP/1.1 {answer} ")
