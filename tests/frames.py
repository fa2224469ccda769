"""A client on WebSocket that writes its handshake and its frames byte by byte, and may write them wrong."""

import asyncio
import json
import ssl
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

__all__ = ["BINARY", "CLOSE", "MASK", "PING", "PONG", "TEXT", "Client", "connected", "frame", "request"]

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
MASK: Final = b"\1\2\3\4"


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
