"""Tests of the hook that decides who may register: with threads, on asyncio and on WebSocket."""

import asyncio
import os
import queue
import socket
import struct
import threading
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, cast

import pytest

from blocking import online
from certificates import client_side, server_side
from frames import CLOSE, TEXT, connected, frame
from improto.bindings import asyncio as on_asyncio
from improto.bindings import websocket
from improto.bindings.sockets import usable
from improto.bindings.threads import Server, connect, dial
from improto.codec import load, load_all
from improto.errors import InvalidMessage, Refused, UsageError
from improto.messages import Register
from improto.server import Hub, Policy
from improto.service import Bounds, Peer, Service
from loops import on_loop
from network import neighbours

CODECS = load_all()
DEADLINE = 15.0
BRIEF = Bounds(register=0.5, linger=0.1)
PATIENT = Bounds(register=3600.0)
UNUSABLE: Final = {"torn": "\ud800", "no-text": cast(str, False)}
"""Name → what a hook gives that no message can hold."""


def asking(bounds: Bounds | None = None) -> Service:
    """Make what asks about each REGISTER."""
    return Service(Hub(Policy(ask=True)), CODECS, bounds=bounds or Bounds(linger=0.2))


class Door:
    """A hook that takes its time with `ann`, fails for `bad`, and otherwise takes in whoever is called `bo`."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.thread: threading.Thread | None = None
        self.seen: list[Peer] = []

    def __call__(self, peer: Peer, request: Register) -> str | None:
        self.seen.append(peer)
        if request.username == "ann":
            self.thread = threading.current_thread()
            assert self.open.wait(DEADLINE)
            return None
        if request.username == "bad":
            raise ZeroDivisionError
        if request.username in UNUSABLE:
            return UNUSABLE[request.username]
        return None if request.username == "bo" else "you are not on the list"

    def knocked(self) -> threading.Thread:
        """Wait until it is asked about `ann`, and give the thread in which it is."""
        while self.thread is None:
            pass
        return self.thread


@contextmanager
def serving(door: Door, bounds: Bounds | None = None, **limits: int) -> Generator[tuple[Server, int]]:
    """Run a server with threads."""
    server = Server(asking(bounds), admit=door, **limits)
    _, port = server.listen("127.0.0.1", 0)
    try:
        yield server, port
    finally:
        server.close()


def names(url: str, name: str) -> list[str]:
    """Register and give who is there then."""
    with connect(url, name) as me:
        return list(me.view.online)


def test_admitted(tmp_path: Path) -> None:
    """The hook may take its time while others are served, and sees who is at the other end (REGISTER-8, REGISTER-9)."""
    door = Door()
    with serving(door) as (server, port):
        server.listen_unix(str(tmp_path / "socket"))
        ann = dial(f"unix:{tmp_path / 'socket'}")
        ann.request(Register("ann", ""))
        door.knocked()
        assert names(f"tcp://127.0.0.1:{port}", "bo") == ["bo"]
        assert online(server) == []
        door.open.set()
        assert ann.receive(DEADLINE) is not None
        assert online(server) == ["ann"]
        ann.goodbye()
        assert door.seen[0].credentials is not None
        assert door.seen[1].address == "127.0.0.1"


def test_refused() -> None:
    """Who is refused is told the reason, and may try another name (REGISTER-10)."""
    with serving(Door()) as (_, port):
        me = dial(f"tcp://127.0.0.1:{port}")
        with pytest.raises(Refused, match="not on the list") as refused:
            me.register("cy")
        assert refused.value.code == "forbidden"
        assert list(me.register("bo").users) == ["bo"]
        me.goodbye()


@pytest.mark.parametrize("answer", [True, False])
def test_yes_or_no(answer: Any) -> None:
    """Who answers with yes or no, and not with the reason of a refusal, is told what to answer with."""
    with pytest.raises(InvalidMessage, match="admit: give None to admit the user, or the reason"):
        usable(answer)


def test_certified() -> None:
    """The hook sees the name in the certificate that was shown."""
    door = Door()
    with serving(door) as (server, _):
        _, port = server.listen("127.0.0.1", 0, tls=server_side())
        with connect(f"tls://localhost:{port}", "bo", tls=client_side("bo")):
            assert [peer.certified for peer in door.seen] == ["bo"]


def test_answer_after_a_reset() -> None:
    """An answer about somebody who has gone meanwhile has no effect."""
    door = Door()
    with serving(door) as (server, port):
        gone = socket.create_connection(("127.0.0.1", port))
        gone.sendall(b"REGISTER ann x\n")
        deciding = door.knocked()
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.close()
        while len(server.links):
            pass
        door.open.set()
        deciding.join(DEADLINE)
        assert names(f"tcp://127.0.0.1:{port}", "bo") == ["bo"]


def test_reset_while_undecided() -> None:
    """A connection that is reset while it is decided about is closed at once, and not when there is a decision."""
    door = Door()
    with serving(door, PATIENT) as (server, port):
        gone = socket.create_connection(("127.0.0.1", port))
        gone.sendall(b"REGISTER ann x\n")
        door.knocked()
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.close()
        until = time.monotonic() + DEADLINE
        while len(server.links) and time.monotonic() < until:
            pass
        left = len(server.links)
        door.open.set()
        assert left == 0


def test_answer_after_the_time_to_register() -> None:
    """Who is not decided about in time is told so and closed, and an answer after that has no effect (CONN-17)."""
    door = Door()
    with serving(door, Bounds(register=0.1, linger=0.1)) as (server, port):
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as late:
            late.sendall(b"REGISTER ann x\n")
            # Not that there was no REGISTER, as there was one.
            assert b"timeout: you had 0.1 seconds" in b"".join(iter(lambda: late.recv(1000), b""))
        while len(server.links):
            pass
        door.open.set()
        door.knocked().join(DEADLINE)
        assert online(server) == []


@pytest.mark.parametrize(
    ("name", "error"), [("bad", ZeroDivisionError), *((name, InvalidMessage) for name in UNUSABLE)]
)
def test_hook_that_fails(monkeypatch: pytest.MonkeyPatch, name: str, error: type[Exception]) -> None:
    """Whoever the hook fails for, or refuses without words, is refused at once, and `threading.excepthook` is told."""
    told: queue.SimpleQueue[object] = queue.SimpleQueue()

    def hook(arguments: threading.ExceptHookArgs) -> None:
        told.put(arguments.exc_type)

    monkeypatch.setattr(threading, "excepthook", hook)
    with serving(Door()) as (_, port):
        with pytest.raises(Refused, match="try again later"):
            names(f"tcp://127.0.0.1:{port}", name)
        assert names(f"tcp://127.0.0.1:{port}", "bo") == ["bo"]
    assert told.get(timeout=DEADLINE) is error
    assert told.empty()


def test_no_thread_to_decide_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes when the system gives no more threads is refused, and may try again."""
    begin = threading.Thread.start
    with serving(Door()) as (_, port):
        me = dial(f"tcp://127.0.0.1:{port}")
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as other:  # … which is served by now
            other.sendall(b"LIST_CONVERSATIONS\n")
            assert b"not-registered" in other.recv(1000)

        def start(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", start)
        with pytest.raises(Refused, match="try again later"):
            me.register("bo")
        monkeypatch.setattr(threading.Thread, "start", begin)
        assert list(me.register("bo").users) == ["bo"]
        me.goodbye()


def leave(server: Server, port: int, host: str = "127.0.0.1", source: str = "") -> None:
    """Ask for `ann`, and be gone before that is decided."""
    with socket.create_connection((host, port), DEADLINE, (source, 0)) as late:
        late.sendall(b"REGISTER ann x\n")
        assert b"timeout" in b"".join(iter(lambda: late.recv(1000), b""))
    while len(server.links):
        pass


@pytest.mark.parametrize("limits", [{"connections": 2}, {"per_address": 2}])
def test_decisions_about_those_who_have_gone(limits: dict[str, int]) -> None:
    """As many decisions go on as there may be connections, whoever has gone meanwhile; others may try again later."""
    door = Door()
    with serving(door, BRIEF, **limits) as (server, port):
        url = f"tcp://127.0.0.1:{port}"
        for _ in range(2):
            leave(server, port)
        with pytest.raises(Refused, match="try again later"):
            names(url, "bo")
        door.open.set()
        while True:
            with suppress(Refused):  # until the decisions have ended
                assert names(url, "bo") == ["bo"]
                break


def test_decisions_about_one_address(tmp_path: Path) -> None:
    """Who leaves decisions behind keeps out nobody from elsewhere."""
    door = Door()
    with serving(door, BRIEF, per_address=1) as (server, port):
        server.listen_unix(str(tmp_path / "socket"))
        leave(server, port)
        assert names(f"unix:{tmp_path / 'socket'}", "bo") == ["bo"]
        door.open.set()


def test_decisions_about_neighbours() -> None:
    """IPv6 addresses of one /64 have their decisions together."""
    door = Door()
    with neighbours() as (here, there), serving(door, BRIEF, per_address=1) as (server, _):
        _, port = server.listen("::1", 0)
        leave(server, port, "::1", here)
        with socket.create_connection(("::1", port), DEADLINE, (there, 0)) as other:
            other.sendall(b"REGISTER bo x\n")
            assert b"try again later" in other.recv(1000)
        door.open.set()


def test_closing_while_undecided() -> None:
    """A server that closes does not wait for decisions."""
    door = Door()
    with serving(door) as (server, port):
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as waiting:
            waiting.sendall(b"REGISTER ann x\n")
            deciding = door.knocked()
            closing = threading.Thread(target=server.close)
            closing.start()
            assert b"shutting-down" in b"".join(iter(lambda: waiting.recv(1000), b""))
        closing.join(DEADLINE)
        assert not closing.is_alive()
        assert deciding.is_alive()
        door.open.set()
        deciding.join(DEADLINE)


def test_nothing_to_admit() -> None:
    """A hook that would never be asked is a mistake, and no thread is begun."""
    before = threading.active_count()
    with pytest.raises(UsageError, match="ask=True"):
        Server(Service(Hub(), CODECS), admit=Door())
    assert threading.active_count() == before


def test_nobody_to_admit() -> None:
    """A policy that asks about each REGISTER needs somebody to ask, or nobody could ever register."""
    with pytest.raises(UsageError, match="admit"):
        Server(asking())


async def reset(url: str) -> None:
    """Ask for `ann` on a TCP connection, and reset it."""
    host, port = url.removeprefix("tcp://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"REGISTER ann x\n")
    await writer.drain()
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@on_loop
async def test_answer_after_a_reset_on_asyncio() -> None:
    """On asyncio, too, an answer about somebody who has gone meanwhile has no effect."""
    asked, answer = asyncio.Event(), asyncio.Event()

    async def admit(peer: Peer, request: Register) -> str | None:
        if request.username == "ann":
            asked.set()
            await answer.wait()
        return None

    server = on_asyncio.Server(asking(), admit=admit)
    host, port = await server.listen("127.0.0.1", 0)
    await reset(f"tcp://{host}:{port}")
    await asked.wait()
    while len(server.links):
        await asyncio.sleep(0)
    answer.set()
    async with on_asyncio.connect(f"tcp://{host}:{port}", "bo") as me:
        assert list(me.view.online) == ["bo"]
    await server.close()


def never() -> tuple[asyncio.Queue[str], on_asyncio.Admit]:
    """Make a hook that never decides, and what tells when it is asked and when that ends."""
    told = asyncio.Queue[str]()

    async def admit(peer: Peer, request: Register) -> str | None:
        told.put_nowait("asked")
        try:
            await asyncio.Event().wait()
        finally:
            told.put_nowait("ended")
        return None

    return told, admit


@on_loop
async def test_reset_while_undecided_on_asyncio() -> None:
    """On asyncio, too, a reset is seen at once, and the decision ends then."""
    told, admit = never()
    server = on_asyncio.Server(asking(PATIENT), admit=admit)
    host, port = await server.listen("127.0.0.1", 0)
    gone = socket.create_connection((host, port))
    gone.sendall(b"REGISTER ann x\n")
    assert await told.get() == "asked"
    gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    gone.close()
    async with asyncio.timeout(DEADLINE):
        assert await told.get() == "ended"
    await server.close()


@on_loop
async def test_decision_about_somebody_who_has_gone() -> None:
    """On asyncio a decision ends when its connection is gone, so that whoever comes again and again leaves nothing behind."""
    told, admit = never()
    server = on_asyncio.Server(asking(BRIEF), admit=admit)
    host, port = await server.listen("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"REGISTER ann x\n")
    assert b"timeout" in await reader.read()
    writer.close()
    assert [await told.get(), await told.get()] == ["asked", "ended"]
    await server.close()


@pytest.mark.parametrize("how", ["a close", "the end of the stream", "a close at once"])
@on_loop
async def test_leaving_a_websocket_while_undecided(how: str) -> None:
    """Who leaves a WebSocket while nothing is decided is not kept for the decision, which is cancelled (WS-8)."""
    asked, cancelled = asyncio.Event(), asyncio.Event()

    async def admit(_: Peer, __: Register) -> str | None:
        asked.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()
        return None

    server = on_asyncio.Server(asking(PATIENT), admit=admit)
    _, port = await websocket.listen(server, "127.0.0.1", 0)
    async with connected(port) as client:
        register = frame(TEXT, b'{"type":"REGISTER","username":"bo","status":""}')
        close = frame(CLOSE, b"\x03\xe9bye")
        client.send(register, close if how == "a close at once" else b"")
        await asked.wait()
        if how == "a close":
            client.send(close)
        if how != "the end of the stream":
            assert await client.closed() == (1001, "bye")
    await cancelled.wait()
    assert not server.service.hub.online
    await server.close()


@on_loop
async def test_websocket() -> None:
    """On WebSocket the hook of the server that listens there decides, and sees the address."""
    seen: list[str] = []

    async def admit(peer: Peer, request: Register) -> str | None:
        seen.append(peer.address)
        return None if request.username == "bo" else "you are not on the list"

    server = on_asyncio.Server(asking(), admit=admit)
    host, port = await websocket.listen(server, "127.0.0.1", 0)
    url = f"ws://{host}:{port}"
    async with websocket.connect(url, "bo") as me:
        assert list(me.view.online) == ["bo"]
        with pytest.raises(Refused, match="not on the list"):
            async with websocket.connect(url, "cy"):
                pass
    assert seen == ["127.0.0.1"] * 2
    await server.close()


async def names_on_asyncio(url: str, name: str) -> list[str]:
    """Register and give who is there then."""
    async with on_asyncio.connect(url, name) as me:
        return list(me.view.online)


@asynccontextmanager
async def deciding(
    path: Path, admitted: dict[str, asyncio.Event]
) -> AsyncGenerator[tuple[on_asyncio.Server, list[Peer]]]:
    """Run a server on a Unix socket, with a hook that takes the named in when told to, and fails for `bad`."""
    seen: list[Peer] = []

    async def admit(peer: Peer, request: Register) -> str | None:
        seen.append(peer)
        if request.username == "bad":
            raise ZeroDivisionError
        if request.username in UNUSABLE:
            return UNUSABLE[request.username]
        if request.username == "cancelled":
            raise asyncio.CancelledError
        if request.username not in admitted:
            return "you are not on the list"
        await admitted[request.username].wait()
        return None

    service = Service(Hub(Policy(ask=True)), [load("pickle")], bounds=Bounds(linger=0.2))
    server = on_asyncio.Server(service, admit=admit)
    await server.listen_unix(str(path))
    try:
        yield server, seen
    finally:
        await server.close()


@on_loop
async def test_admitted_on_asyncio(tmp_path: Path) -> None:
    """The hook decides, may take its time while others are served, and sees who is at the other end (REGISTER-8)."""
    path = tmp_path / "socket"
    admitted = {"ann": asyncio.Event(), "bo": asyncio.Event()}
    async with deciding(path, admitted) as (server, seen):
        waiting = asyncio.create_task(names_on_asyncio(f"unix:{path}", "ann"))
        admitted["bo"].set()
        assert await names_on_asyncio(f"unix:{path}", "bo") == ["bo"]
        assert server.service.hub.online == {}
        assert not waiting.done()
        admitted["ann"].set()
        assert await waiting == ["ann"]
        with pytest.raises(Refused, match="not on the list"):
            await names_on_asyncio(f"unix:{path}", "cy")
        assert [peer.credentials for peer in seen] == [(os.getpid(), os.getuid(), os.getgid())] * 3
        assert seen[0].address == f"uid {os.getuid()}"


@pytest.mark.parametrize(
    ("name", "error"), [("bad", ZeroDivisionError), *((name, InvalidMessage) for name in UNUSABLE)]
)
def test_hook_that_fails_on_asyncio(tmp_path: Path, name: str, error: type[Exception]) -> None:
    """Whoever the hook fails for, or refuses without words, is refused at once, and the loop is told of it."""
    told: list[object] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
        async with deciding(tmp_path / "socket", {}):
            with pytest.raises(Refused, match="try again later"):
                await names_on_asyncio(f"unix:{tmp_path / 'socket'}", name)

    asyncio.run(main())
    assert [type(each) for each in told] == [error]


@on_loop
async def test_hook_that_is_cancelled(tmp_path: Path) -> None:
    """Whoever the hook gives up is refused, and does not wait until the time to register is over."""
    async with deciding(tmp_path / "socket", {}):
        with pytest.raises(Refused, match="try again later"):
            await names_on_asyncio(f"unix:{tmp_path / 'socket'}", "cancelled")


@on_loop
async def test_closing_while_undecided_on_asyncio(tmp_path: Path) -> None:
    """A server that closes does not wait for decisions."""
    path = tmp_path / "socket"
    async with deciding(path, {"ann": asyncio.Event()}) as (server, seen):
        waiting = asyncio.create_task(names_on_asyncio(f"unix:{path}", "ann"))
        while not seen:
            await asyncio.sleep(0)
        await server.close()
        with pytest.raises(Refused, match="shutting-down"):
            await waiting


@on_loop
async def test_nothing_to_admit_on_asyncio() -> None:
    """A hook that would never be asked is a mistake."""

    async def admit(peer: Peer, request: Register) -> str | None:
        return None

    with pytest.raises(UsageError, match="ask=True"):
        on_asyncio.Server(Service(Hub(), [load("json")]), admit=admit)


@on_loop
async def test_nobody_to_admit_on_asyncio() -> None:
    """A policy that asks about each REGISTER needs somebody to ask, or nobody could ever register."""
    service = Service(Hub(Policy(ask=True)), [load("json")])
    with pytest.raises(UsageError, match="admit"):
        on_asyncio.Server(service)
    service.on_ask = lambda peer, request: None
    on_asyncio.Server(service)
