"""Tests of `improto.bindings.websocket` on real sockets, with frames written byte by byte."""

import asyncio
import json
import math
import os
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import wraps

import pytest
import trustme
from websockets.http11 import Response

from improto.bindings import websocket
from improto.bindings.asyncio import Server, connect
from improto.bindings.websocket.framing import messages
from improto.codec import available, load
from improto.errors import DecodeError, Lost, UsageError
from improto.messages import ListConversations, Request, Role
from improto.server import Hub, Policy
from improto.service import Bounds, Observer, Service

DEADLINE = 20.0
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
REGISTER = b'{"type":"REGISTER","username":"bo","status":""}'
CY = REGISTER.replace(b"bo", b"cy")
LIST = b'{"type":"LIST_CONVERSATIONS"}'
MASK = b"\1\2\3\4"


def on_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test on an event loop, with a deadline for its failure; a callback that fails is one as well."""

    @wraps(test)
    def run(*args: object, **kwargs: object) -> None:
        failures: list[object] = []

        async def bounded() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
            async with asyncio.timeout(DEADLINE):
                await test(*args, **kwargs)

        asyncio.run(bounded())
        assert not failures

    return run


@asynccontextmanager
async def serving(
    *,
    bounds: Bounds | None = None,
    connections: int = 100,
    codecs: Collection[str] = (),
    origins: Collection[str] = (),
    ping: float = 30.0,
    tls: ssl.SSLContext | None = None,
    observer: Observer | None = None,
    page: Mapping[str, Response] | None = None,
) -> AsyncGenerator[tuple[Server, int]]:
    """Run a server on a free port for WebSocket."""
    service = Service(
        Hub(Policy(settle=0.01)),
        [load(name) for name in codecs or available()],
        bounds=bounds or Bounds(linger=0.2),
        observer=observer,
    )
    server = Server(service, connections=connections)
    _, port = await websocket.listen(server, "127.0.0.1", 0, origins=origins, ping=ping, tls=tls, page=page)
    try:
        yield server, port
    finally:
        await server.close()


def frame(
    opcode: int, payload: bytes = b"", *, final: bool = True, reserved: int = 0, mask: bool = True
) -> bytes:
    """Give the bytes of a client's frame, which may be wrong."""
    size = len(payload)
    first = bytes([final << 7 | reserved << 4 | opcode])
    if size < 126:
        length = struct.pack("!B", mask << 7 | size)
    elif size < 65536:
        length = struct.pack("!BH", mask << 7 | 126, size)
    else:
        length = struct.pack("!BQ", mask << 7 | 127, size)
    if not mask:
        return first + length + payload
    return first + length + MASK + bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))


def request(*headers: str, offered: str = "improto.v1.json", path: str = "/") -> bytes:
    """Give the bytes of a handshake."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1:1234",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        f"Sec-WebSocket-Protocol: {offered}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


class Client:
    """A client that sends bytes as they are, and takes the server's frames apart."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Made by `connected`."""
        self._reader = reader
        self.writer = writer

    def send(self, *data: bytes) -> None:
        """Send bytes in one piece."""
        self.writer.write(b"".join(data))

    async def head(self) -> tuple[str, dict[str, str]]:
        """Read what comes before a body, or before frames: the status and the headers."""
        status, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        return status, {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    async def frame(self) -> tuple[int, bytes]:
        """Read a frame, which has to be whole, unmasked, and without extension."""
        first, size = await self._reader.readexactly(2)
        assert first & 0xF0 == 0x80
        assert size < 128
        if size == 126:
            [size] = struct.unpack("!H", await self._reader.readexactly(2))
        elif size == 127:
            [size] = struct.unpack("!Q", await self._reader.readexactly(8))
        return first & 0x0F, await self._reader.readexactly(size)

    async def message(self) -> dict[str, object]:
        """Read a message in json."""
        opcode, payload = await self.frame()
        assert opcode == TEXT, (opcode, payload)
        found: dict[str, object] = json.loads(payload)
        return found

    async def upto(self, kind: str) -> dict[str, object]:
        """Read up to the first message of a kind."""
        while True:
            found = await self.message()
            if found["type"] == kind:
                return found

    async def closed(self) -> tuple[int, str]:
        """Read on to the close, and give its code and reason; nothing may follow."""
        while True:
            opcode, payload = await self.frame()
            if opcode == CLOSE:
                assert await self.rest() == b""
                return int.from_bytes(payload[:2]), payload[2:].decode()

    async def rest(self) -> bytes:
        """Read to the end of the stream."""
        return await self._reader.read()


@asynccontextmanager
async def connected(
    port: int, data: bytes | None = None, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[Client]:
    """Connect and send bytes; without any, agree on json."""
    host = None if tls is None else "localhost"
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=host)
    client = Client(reader, writer)
    client.send(request() if data is None else data)
    try:
        if data is None:
            status, _ = await client.head()
            assert status == "HTTP/1.1 101 Switching Protocols"
        yield client
    finally:
        writer.close()


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
        serving() as (_, port),
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
    async with serving(codecs=["ascii"]) as (_, port), connected(port, request()) as client:
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
    async with serving(origins=["https://chat.example.org"]) as (_, port), connected(port, data) as client:
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
    async with serving() as (_, port):
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
    async with serving() as (_, port), registered(port) as other, connected(port, data) as client:
        status, headers = await client.head()
        assert status.startswith(f"HTTP/1.1 {answer}")  # the package's versions differ in the rest of some
        assert len(await client.rest()) == int(headers["content-length"])
        other.send(frame(TEXT, LIST))
        await other.upto("CONVERSATIONS")


@on_loop
async def test_handshake_in_time() -> None:
    """Who does not complete a handshake within the time to register is closed (CONN-17)."""
    bounds = Bounds(register=0.05, linger=0.05)
    async with serving(bounds=bounds) as (_, port), connected(port, request()[:-4]) as client:
        assert await client.rest() == b""


@on_loop
async def test_registration_in_time() -> None:
    """Who does not register is told so, and the close says why (CONN-17)."""
    async with serving(bounds=Bounds(register=0.05, linger=0.05)) as (_, port), connected(port) as client:
        assert str((await client.message())["message"]).startswith("timeout: ")
        assert await client.closed() == (1008, "timeout")


@on_loop
async def test_connections_too_many() -> None:
    """Who is refused at accept is told so once the codec is known (FLOW-13)."""
    async with (
        serving(connections=1, codecs=["json"]) as (_, port),
        registered(port),
        connected(port) as client,
    ):
        assert str((await client.message())["message"]).startswith("forbidden: ")
        assert (await client.closed())[0] == 1008


# -- frames -----------------------------------------------------------------------------------------------------


@on_loop
async def test_fragments() -> None:
    """A message may come in many frames, empty ones too, with a ping between them, which is answered (WS-1)."""
    async with serving() as (_, port), registered(port) as client:
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
    async with serving() as (_, port), connected(port, b"") as client:
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
        serving() as (_, port),
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
    async with serving() as (_, port), registered(port) as client:
        client.send(data)
        assert str((await client.upto("ERROR"))["message"]).startswith("too-large: ")
        assert (await client.closed())[0] == 1009


@on_loop
async def test_too_large_for_a_stranger() -> None:
    """Who has not registered may send 4 KiB, and the close says so (LIMIT-3)."""
    async with serving() as (_, port), connected(port) as client:
        client.send(frame(TEXT, REGISTER + 4096 * b" "))
        assert str((await client.message())["message"]).startswith("too-large: ")
        assert await client.closed() == (1009, "too-large")


@on_loop
async def test_largest() -> None:
    """A request of 64 KiB is taken in (LIMIT-2)."""
    async with serving() as (_, port), registered(port) as client:
        client.send(frame(TEXT, LIST + (64 * 1024 - len(LIST)) * b" "))
        await client.upto("CONVERSATIONS")


@on_loop
async def test_reset_within_a_message() -> None:
    """What breaks off within a frame takes no effect, and the name is free again (WS-8)."""
    async with serving() as (_, port), registered(port, CY) as other:
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
    async with serving() as (_, port), registered(port) as client:
        client.send(frame(TEXT, b'{"type":"GOODBYE"}'), frame(TEXT, LIST), frame(PING))
        assert await client.closed() == (1000, "goodbye")


@on_loop
async def test_kick() -> None:
    """Who is put out is told the code of the ERROR, and not that it said GOODBYE (ERROR-10)."""
    async with serving() as (server, port), registered(port) as client:
        server.kick("bo", "spam")
        assert (await client.upto("ERROR"))["message"] == "forbidden: spam"
        assert await client.closed() == (1008, "forbidden")


@on_loop
async def test_close_handshake() -> None:
    """Who closes gets the replies to what came before, then its own code, and the end at once (WS-8, CONN-20)."""
    async with serving(bounds=Bounds(linger=DEADLINE)) as (_, port), registered(port) as client:
        client.send(frame(TEXT, LIST), frame(CLOSE, b"\x03\xe9bye"), frame(TEXT, LIST))
        await client.upto("CONVERSATIONS")
        assert await client.closed() == (1001, "bye")


@on_loop
async def test_answer_to_a_close() -> None:
    """Once a client has answered the server's close, the connection ends at once."""
    async with serving(bounds=Bounds(linger=DEADLINE)) as (server, port), registered(port) as client:
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
        serving() as (server, port),
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
        async with serving(ping=ping):
            pass


@on_loop
async def test_silence() -> None:
    """Who does not answer pings is lost, and who does is kept (WS-7)."""
    async with serving(ping=0.05) as (_, port), registered(port, CY) as other:
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
        serving(observer=Lists()) as (_, port),
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


@on_loop
async def test_slow_reader() -> None:
    """Who takes nothing is closed as a slow consumer, and others are served meanwhile (FLOW-7)."""
    bounds = Bounds(events=200_000, linger=0.1, flush=0.1)
    text = 8000 * "x"
    async with (
        serving(bounds=bounds) as (server, port),
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
    async with serving(bounds=Bounds(linger=2 * DEADLINE)) as (server, port):
        async with registered(port) as client:
            client.send(frame(TEXT, last), 5_000 * frame(PING), 5_000 * frame(TEXT, LIST))
            client.writer.write_eof()
            await client.closed()
        while server.links:
            await asyncio.sleep(0)


# -- pages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/?from=somewhere", "text/html; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/client.js", "text/javascript; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ],
)
@on_loop
async def test_page(path: str, kind: str) -> None:
    """Browsers get the page's files on the same port, with headers that let nothing of others run in it."""
    data = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    async with serving(page=websocket.chat_page()) as (_, port), connected(port, data) as client:
        status, headers = await client.head()
        assert status == "HTTP/1.1 200 OK"
        assert headers["content-type"] == kind
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; ")
        assert "unsafe" not in headers["content-security-policy"]
        assert len(await client.rest()) == int(headers["content-length"]) > 100


@pytest.mark.parametrize(
    "path", ["/index.html", "/pages.py", "/../pages.py", "/page/page.js", "//", "*", "/%70age.js"]
)
@on_loop
async def test_no_such_page(path: str) -> None:
    """Nothing but those files is served, and WebSocket is at every path."""
    data = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    async with serving(page=websocket.chat_page()) as (_, port):
        async with connected(port, data) as client:
            assert (await client.head())[0] == "HTTP/1.1 404 Not Found"
        async with connected(port, request(path=path)) as client:
            assert (await client.head())[0] == "HTTP/1.1 101 Switching Protocols"


def test_page_is_small() -> None:
    """The page stays as small as it has been promised to be: under 500 lines, without a build."""
    assert sum(response.body.count(b"\n") for response in websocket.chat_page().values()) < 500


@on_loop
async def test_many_come_and_go() -> None:
    """Nothing is left of 2,000 connections, in whatever way and at whatever point they end."""
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

    async with serving(page=websocket.chat_page()) as (server, port):
        before = len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())
        for start in range(0, 2000, 50):
            await asyncio.gather(*(come_and_go(number, port) for number in range(start, start + 50)))
        while server.links:
            await asyncio.sleep(0)
        assert server.service.hub.online == {}
        assert (len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())) == before


# -- TLS --------------------------------------------------------------------------------------------------------


@on_loop
async def test_tls() -> None:
    """Behind TLS the server's own pages are those of https."""
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    trusting = ssl.create_default_context(cadata=ca.cert_pem.bytes().decode())
    async with serving(tls=context) as (_, port):
        for origin, answer in (("https://127.0.0.1:1234", 101), ("http://127.0.0.1:1234", 403)):
            async with connected(port, request(f"Origin: {origin}"), trusting) as client:
                assert (await client.head())[0].startswith(f"HTTP/1.1 {answer} ")


# -- codecs for messages --------------------------------------------------------------------------------------------


def faults(payloads: Sequence[bytes], codec: str) -> list[tuple[str, bool]]:
    """Give the codes of the faults in payloads, and whether they are fatal."""
    reader = messages(load(codec)).reader(Role.CLIENT)
    for payload in payloads:
        reader.feed(len(payload).to_bytes(4) + payload)
    found: list[tuple[str, bool]] = []
    while True:
        try:
            if reader.next(1000) is None:
                return found
        except DecodeError as error:
            found.append((error.code, error.fatal))


@pytest.mark.parametrize("codec", available())
def test_whole_payloads(codec: str) -> None:
    """A payload stands for itself: none is skipped for being empty, none ends the stream but one that is too long."""
    whole = load(codec).encode(ListConversations())
    assert faults([whole, b"", b"\xff", whole], codec) == [("malformed", False)] * 2
    assert faults([whole, 1001 * b" ", b""], codec) == [("too-large", True)]


def test_line_ends() -> None:
    """A line end is no part of a payload, not even where JSON would allow it (WS-1)."""
    assert faults([LIST + b"\n", LIST.replace(b":", b":\n")], "json") == [("malformed", False)] * 2
