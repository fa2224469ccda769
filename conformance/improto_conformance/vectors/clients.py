"""Plays client scenarios with our own client, over a real connection.

The server's side is a script: it writes what the vector says, and reads what the client sends.  Waiting ends
when as much has come as the step names; what comes beyond that is found at the next step, or at the end.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from improto.bindings.asyncio import Lost, Session, connect
from improto.codec import Codec
from improto.errors import DecodeError, UsageError
from improto.messages import AnyMessage, Role
from improto.wire import Fault
from improto_conformance.vectors import Vector
from improto_conformance.vectors.values import Tagged, read_bytes, read_map, read_message

__all__ = ["play"]

_LIMIT = 64 * 1024
_Told = AnyMessage | str
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def play(vector: Vector, codec: Codec, *, one_by_one: bool = False, timeout: float = 5.0) -> list[str]:
    """Give complaints about our client; the server writes whole messages, or each byte on its own."""
    async with _server() as (port, accepted):
        session = await connect("127.0.0.1", port, codec)
        stage = _Stage(session, codec, *await accepted, one_by_one=one_by_one, timeout=timeout)
        try:
            for step in vector.data["steps"]:
                await stage.do(step)
            await stage.finish()
        finally:
            await stage.close()
        return stage.complaints


class _Stage:
    """A client and the script that it talks with."""

    def __init__(
        self,
        session: Session,
        codec: Codec,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        one_by_one: bool,
        timeout: float,
    ) -> None:
        self.complaints: list[str] = []
        self._session = session
        self._codec = codec
        self._requests = codec.reader(Role.CLIENT)
        self._reader = reader
        self._writer = writer
        self._one_by_one = one_by_one
        self._timeout = timeout
        self._told: asyncio.Queue[_Told] = asyncio.Queue()
        self._listening = asyncio.create_task(self._listen())

    async def do(self, step: Tagged) -> None:
        """Do one step, and complain of what it did not find."""
        if "ask" in step:
            await self._ask(read_message(step["ask"]))
        elif "serve" in step:
            frames = [self._codec.frame(self._codec.encode(read_message(each))) for each in step["serve"]]
            await self._write(b"".join(frames))
        elif "bytes" in step:
            await self._write(read_bytes(step["bytes"]))
        elif "end" in step:
            self._writer.write_eof()
        elif "sends" in step:
            await self._compare("send", [read_message(each) for each in step["sends"]], self._next_request)
        elif "tells" in step:
            await self._compare("tell", [_told(each) for each in step["tells"]], self._told.get)
        elif "online" in step:
            online = read_map(step["online"])
            if dict(self._session.view.online) != online:
                self.complaints.append(f"the client was to see {online} and sees {self._session.view.online}")
        elif (request := await self._next_request_in_time()) != "end":
            self.complaints.append(f"the client was to close, and sent {request}")

    async def finish(self) -> None:
        """End the stream, and complain of what the client sent or told without a step that names it."""
        if not self._writer.is_closing():
            self._writer.write_eof()
        await asyncio.wait_for(self._listening, self._timeout)
        self._session.close()
        while (request := await self._next_request_in_time()) != "end":
            self.complaints.append(f"the client sent {request} without a reason")
        while not self._told.empty():
            if (told := self._told.get_nowait()) != "lost":
                self.complaints.append(f"the client told of {told} without a reason")

    async def close(self) -> None:
        """Close both ends."""
        self._listening.cancel()
        self._session.close()
        self._writer.close()

    async def _ask(self, request: Any) -> None:
        try:
            self._session.send(request)
        except UsageError:
            return
        await self._session.drain()

    async def _write(self, data: bytes) -> None:
        for piece in [data[at : at + 1] for at in range(len(data))] if self._one_by_one else [data]:
            self._writer.write(piece)
            await self._writer.drain()

    async def _compare(self, does: str, wanted: Sequence[_Told], get: Any) -> None:
        found: list[_Told] = []
        try:
            async with asyncio.timeout(self._timeout):
                while len(found) < len(wanted):
                    found.append(await get())
        except TimeoutError:
            pass
        if found != list(wanted):
            self.complaints.append(f"the client was to {does} {wanted}, and did {found}")

    async def _next_request_in_time(self) -> _Told:
        try:
            return await asyncio.wait_for(self._next_request(), self._timeout)
        except TimeoutError:
            return "nothing in time"

    async def _next_request(self) -> _Told:
        while True:
            try:
                request = self._requests.next(_LIMIT)
            except DecodeError as error:
                return f"nonsense ({error})"
            if request is not None:
                return request
            try:
                data = await self._reader.read(_LIMIT)
            except OSError:
                data = b""
            if not data:
                return "end"
            self._requests.feed(data)

    async def _listen(self) -> None:
        try:
            async for item in self._session:
                self._told.put_nowait("fault" if isinstance(item, Fault) else item)
        except Lost:
            self._told.put_nowait("lost")


def _told(item: Tagged) -> _Told:
    return read_message(item["message"]) if "message" in item else next(iter(item))


@asynccontextmanager
async def _server() -> AsyncGenerator[tuple[int, asyncio.Future[_Streams]], None]:
    accepted: asyncio.Future[_Streams] = asyncio.Future()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set_result((reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], accepted
