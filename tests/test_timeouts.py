"""Tests of a server that does not answer: whatever a client waits for ends in time, and says what to do next."""

import asyncio
import math
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress

import pytest

from certificates import client_side, server_side
from improto.bindings import asyncio as on_asyncio
from improto.bindings import threads, websocket
from improto.bindings.threads.stream import Stream
from improto.cli.chat import Chat
from improto.client import SILENCE, Timeouts
from improto.codec import load
from improto.errors import CannotConnect, ImprotoError, Lost, Refused, UsageError
from improto.messages import AnyMessage, Goodbye, OnlineUsers, Register, Role, SendMessage
from improto.server import Hub, Policy
from improto.service import Peer, Service
from improto.user import Backoff, Reconnected, User
from improto_codecs.json_codec import JsonCodec
from loops import on_loop

SHORT = Timeouts(reply=0.2, write=0.2, goodbye=0.2)  # a busy machine may need longer to connect
DEADLINE = 15.0
ROSTER = b'{"type":"ONLINE_USERS","users":{"ann":""}}\n'
BYE = b'{"type":"GOODBYE"}\n'


class Mute:
    """Accepts connections, reads one line and answers it, if it has anything to say, and is silent and deaf from then on.

    What it says may differ from one connection to the next; on all that follow it says the last.
    """

    def __init__(self, *said: bytes) -> None:
        self._said = said
        self.accepted: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            self.accepted.append(accepted)
            said = self._said[min(len(self.accepted), len(self._said)) - 1]
            if said:
                while accepted.recv(1) not in (b"\n", b""):
                    pass
                accepted.sendall(said)

    def close(self) -> None:
        """Break all off."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for each in self.accepted:
            each.close()

    def taken(self) -> int:
        """Hear again, and give how many bytes came up to the end of the connection."""
        [only] = self.accepted
        only.settimeout(DEADLINE)
        taken = 0
        with suppress(ConnectionResetError):
            while data := only.recv(1 << 20):
                taken += len(data)
        return taken


@contextmanager
def deaf(*said: bytes) -> Generator[Mute]:
    """Run such a server."""
    server = Mute(*said or (b"",))
    try:
        yield server
    finally:
        server.close()


@contextmanager
def mute(*said: bytes) -> Generator[int]:
    """Run such a server and give its port."""
    with deaf(*said) as server:
        yield server.port


@pytest.mark.parametrize("seconds", [-1.0, math.inf, math.nan])
def test_no_timeout(seconds: float) -> None:
    """What is no time to wait is refused before anything waits for so long."""
    for name in ("connect", "reply", "write", "goodbye"):
        with pytest.raises(UsageError, match="less than a million seconds"):
            Timeouts(**{name: seconds})


Script = Callable[[on_asyncio.Session], Awaitable[object]]


async def no_reply(me: on_asyncio.Session) -> None:
    """Ask for what is never told."""
    await me.list_conversations()


async def no_room(me: on_asyncio.Session) -> None:
    """Say more than the system takes for a server that reads nothing."""
    await me.join("7")
    while True:
        await me.send("7", "x" * 8000)


@pytest.mark.parametrize("scheme", ["tls", "ws", "wss"])
@on_loop
async def test_no_connection(scheme: str) -> None:
    """A server that does not begin with TLS, or with WebSocket, is given up (CannotConnect)."""
    dial = websocket.dial if scheme.startswith("ws") else on_asyncio.dial
    tls = None if scheme == "ws" else client_side()
    with (
        mute() as port,
        pytest.raises(CannotConnect, match=r"does not answer within 0\.2 s; check the address"),
    ):
        await dial(f"{scheme}://localhost:{port}", "json", tls=tls, timeouts=Timeouts(connect=0.2))


def test_no_connection_with_threads() -> None:
    """With threads, too, a server that does not begin with TLS is given up."""
    with (
        mute() as port,
        pytest.raises(CannotConnect, match=r"does not answer within 0\.2 s; check the address"),
    ):
        threads.dial(f"tls://localhost:{port}", "json", tls=client_side(), timeouts=Timeouts(connect=0.2))


def test_no_room_to_connect() -> None:
    """With threads, too, a host that takes no connections is given up."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as full,
        socket.create_connection(full.getsockname()),
        pytest.raises(CannotConnect, match="does not answer"),
    ):
        threads.dial(f"tcp://127.0.0.1:{full.getsockname()[1]}", timeouts=Timeouts(connect=0.2))


@on_loop
async def test_no_roster() -> None:
    """A server that does not answer REGISTER counts as lost."""
    with mute() as port, pytest.raises(Lost, match="does not answer; is it an improto server"):
        async with on_asyncio.connect(f"tcp://127.0.0.1:{port}", "ann", timeouts=SHORT):
            pass


def test_no_roster_with_threads() -> None:
    """With threads, too, a server that does not answer REGISTER counts as lost."""
    with mute() as port, pytest.raises(Lost, match="does not answer; is it an improto server"):
        threads.connect(f"tcp://127.0.0.1:{port}", "ann", timeouts=SHORT).__enter__()


@on_loop
async def test_no_roster_on_websocket() -> None:
    """On WebSocket, too, a server that does not answer REGISTER counts as lost."""

    async def admit(peer: Peer, request: object) -> str | None:
        await asyncio.Event().wait()
        return None

    server = on_asyncio.Server(Service(Hub(Policy(ask=True)), [load("json")]), admit=admit)
    _, port = await websocket.listen(server, "127.0.0.1", 0)
    with pytest.raises(Lost, match="does not answer; is it an improto server"):
        async with websocket.connect(f"ws://127.0.0.1:{port}", "ann", timeouts=SHORT):
            pass
    await server.close()


@pytest.mark.parametrize(
    ("script", "told"), [(no_reply, "does not answer"), (no_room, "takes nothing .*; connect again")]
)
@on_loop
async def test_no_answer(script: Script, told: str) -> None:
    """A server that answers a call no more, or takes nothing more, counts as lost, and all that follows says so."""
    with mute(ROSTER) as port:
        me = await on_asyncio.dial(f"tcp://127.0.0.1:{port}", "json", timeouts=SHORT)
        me.request(Register("ann", ""))
        assert await me.receive()
        with pytest.raises(Lost, match=told):
            await script(me)
        with pytest.raises(Lost, match=told):
            _ = [item async for item in me]
        await me.goodbye()


@pytest.mark.parametrize("told", ["does not answer", "takes nothing .*; connect again"])
def test_no_answer_with_threads(told: str) -> None:
    """With threads, too, a server that answers no more, or takes nothing more, counts as lost."""

    def script(me: threads.Session) -> None:
        if "answer" in told:
            me.list_conversations()
        me.join("7")
        while True:
            me.send("7", "x" * 8000)

    with mute(ROSTER) as port:
        me = threads.dial(f"tcp://127.0.0.1:{port}", "json", timeouts=SHORT)
        me.request(Register("ann", ""))
        assert me.receive(DEADLINE)
        with pytest.raises(Lost, match=told):
            script(me)
        with pytest.raises(Lost, match=told):
            _ = list(me)
        me.goodbye()


@on_loop
async def test_no_roster_again() -> None:
    """A server that does not answer REGISTER on a new connection is given up as soon as on the first one, and tried again."""
    with deaf(ROSTER, b"", ROSTER) as server:
        url, again = f"tcp://127.0.0.1:{server.port}", Backoff(first=0.01)
        async with on_asyncio.connect(url, "ann", codec="json", timeouts=SHORT, reconnect=again) as me:
            assert await me.receive(DEADLINE)
            server.accepted[0].shutdown(socket.SHUT_RDWR)
            assert isinstance(await me.receive(DEADLINE), Reconnected)
        assert len(server.accepted) == 3


def test_no_roster_again_with_threads() -> None:
    """With threads, too, such a server is given up and tried again."""
    with deaf(ROSTER, b"", ROSTER) as server:
        url, again = f"tcp://127.0.0.1:{server.port}", Backoff(first=0.01)
        with threads.connect(url, "ann", codec="json", timeouts=SHORT, reconnect=again) as me:
            assert me.receive(DEADLINE)
            server.accepted[0].shutdown(socket.SHUT_RDWR)
            assert isinstance(me.receive(DEADLINE), Reconnected)
        assert len(server.accepted) == 3


@on_loop
async def test_no_end() -> None:
    """Who leaves a server that does not close waits no longer than was said, even if it reads nothing."""
    with mute(ROSTER) as port:
        url = f"tcp://127.0.0.1:{port}"
        async with on_asyncio.connect(url, "ann", codec="json", timeouts=Timeouts(goodbye=0.1)) as me:
            await me.join("7")
            for _ in range(2000):
                me.request(SendMessage("7", "x" * 8000))


@pytest.mark.parametrize("end", ["goodbye", "close", "no answer"])
@on_loop
async def test_nothing_is_kept_for_the_deaf(end: str) -> None:
    """When a session is over, its connection is, though the server has not taken all that was sent."""
    sent = 2000 * 8000
    with deaf(ROSTER) as server:
        times = Timeouts(goodbye=0.1, reply=0.1)
        me = await on_asyncio.dial(f"tcp://127.0.0.1:{server.port}", "json", timeouts=times)
        await me.register("ann")
        await me.join("7")
        for _ in range(2000):
            me.request(SendMessage("7", "x" * 8000))
        if end == "no answer":
            with pytest.raises(Lost):
                await me.list_conversations()
        elif end == "close":
            me.close()
        else:
            await me.goodbye()
        assert await asyncio.to_thread(server.taken) < sent


@on_loop
async def test_leaving_is_cancelled() -> None:
    """When somebody does not even wait for the end of the connection, it is closed all the same."""
    with deaf(ROSTER) as server:
        me = await on_asyncio.dial(
            f"tcp://127.0.0.1:{server.port}", "json", timeouts=Timeouts(goodbye=1000.0)
        )
        await me.register("ann")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await me.goodbye()
        assert await asyncio.to_thread(server.taken) == len(BYE)


@pytest.mark.parametrize("cancelled", [False, True])
@on_loop
async def test_no_end_of_tls(cancelled: bool) -> None:
    """Behind TLS, too, the connection is closed then, and does not wait for the server to say that it closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> bytes:
            accepted, _ = listener.accept()
            accepted.settimeout(DEADLINE)
            with server_side(demanding=False).wrap_socket(accepted, server_side=True) as tls:
                tls.recv(1000)
                tls.sendall(ROSTER)
                said = b"".join(iter(lambda: tls.recv(1000), b""))
                return said + socket.socket.recv(tls, 1000)

        serving = asyncio.create_task(asyncio.to_thread(serve))
        url, times = (
            f"tls://localhost:{listener.getsockname()[1]}",
            Timeouts(goodbye=1000.0 if cancelled else 0.2),
        )
        me = await on_asyncio.dial(url, "json", tls=client_side(), timeouts=times)
        await me.register("ann")
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05 if cancelled else None):
                await me.goodbye()
        assert await serving == BYE


@pytest.mark.parametrize("again", [True, False])
@on_loop
async def test_no_end_of_a_request(again: bool) -> None:
    """After GOODBYE by `request`, too, the connection is closed in time, and what waits ends in order (CLIENT-20)."""
    with deaf(ROSTER) as server:
        url = f"tcp://127.0.0.1:{server.port}"
        me = await on_asyncio.dial(url, "json", timeouts=SHORT, reconnect=Backoff())
        await me.register("ann")
        me.request(Goodbye())
        if again:
            await me.goodbye()
        assert [item async for item in me] == [OnlineUsers({"ann": ""})]
        assert await asyncio.to_thread(server.taken) == len(BYE)


@pytest.mark.parametrize("again", [True, False])
def test_no_end_of_a_request_with_threads(again: bool) -> None:
    """The same with threads."""
    with deaf(ROSTER) as server:
        me = threads.dial(f"tcp://127.0.0.1:{server.port}", "json", timeouts=SHORT, reconnect=Backoff())
        me.register("ann")
        me.request(Goodbye())
        if again:
            me.goodbye()
        assert me.receive(DEADLINE) == OnlineUsers({"ann": ""})
        assert me.receive(DEADLINE) is None
        assert server.taken() == len(BYE)


def interrupted(what: Callable[[], object], when: Callable[[], None]) -> None:
    """Do something that is interrupted as by Ctrl-C, when a function returns that runs beside it."""

    def interrupt() -> None:
        when()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            what()
    finally:
        thread.join()
        signal.signal(signal.SIGALRM, before)


def test_leaving_is_interrupted() -> None:
    """With threads, too, the connection is closed if somebody does not even wait for its end."""
    with deaf(ROSTER) as server:
        me = threads.dial(f"tcp://127.0.0.1:{server.port}", "json", timeouts=Timeouts(goodbye=1000.0))
        me.register("ann")
        [accepted] = server.accepted

        def until_goodbye() -> None:
            while accepted.recv(1) != b"\n":
                pass

        interrupted(me.goodbye, until_goodbye)
        assert server.taken() == 0


def test_interrupted_in_mid_message() -> None:
    """Behind a part of a message, where Ctrl-C has interrupted it, nothing is written: it would become a part of that."""
    with deaf(ROSTER) as server:
        me = threads.dial(f"tcp://127.0.0.1:{server.port}", "json", timeouts=Timeouts(goodbye=1.0))
        me.register("ann")
        me.join("7")
        sent = [0]

        def until_there_is_no_room() -> None:
            before = -1
            while before != sent[0]:
                before = sent[0]
                threading.Event().wait(0.1)

        def talk() -> None:
            while True:
                me.send("7", "x" * 8000)
                sent[0] += 1

        interrupted(talk, until_there_is_no_room)
        taken = bytearray()

        def take() -> None:
            [only] = server.accepted
            while data := only.recv(1 << 20):
                taken.extend(data)

        taking = threading.Thread(target=take)
        taking.start()
        me.goodbye()
        taking.join(DEADLINE)
        assert taken.endswith(b"x")


def test_no_end_with_threads() -> None:
    """With threads, too, who leaves waits no longer than was said, even if another thread waits to send."""
    with mute(ROSTER) as port:
        me = threads.dial(f"tcp://127.0.0.1:{port}", "json", timeouts=Timeouts(goodbye=0.1, write=1000.0))
        me.register("ann")
        me.join("7")
        sent = [0]

        def talk() -> None:
            with suppress(ImprotoError):
                while True:
                    me.send("7", "x" * 8000)
                    sent[0] += 1

        talking = threading.Thread(target=talk)
        talking.start()
        before = -1
        while before != sent[0]:  # until there is no room
            before = sent[0]
            talking.join(0.1)
        leaving = threading.Thread(target=me.goodbye, daemon=True)
        leaving.start()
        leaving.join(DEADLINE)
        assert not leaving.is_alive()
        talking.join(DEADLINE)
        assert not talking.is_alive()


class Wrong(JsonCodec):
    """A codec that raises what none may raise."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read nothing."""
        raise KeyError("odd")


@on_loop
async def test_codec_that_raises() -> None:
    """What a codec raises ends what waits at once, and is its cause; no time-out has to come."""
    with mute(ROSTER) as port, pytest.raises(Lost, match="KeyError") as told:
        async with on_asyncio.connect(f"tcp://127.0.0.1:{port}", "ann", codec=Wrong()):
            pass
    assert isinstance(told.value.__cause__, KeyError)


def test_codec_that_raises_with_threads() -> None:
    """The same with threads."""
    with (
        mute(ROSTER) as port,
        pytest.raises(Lost, match="KeyError") as told,
        threads.connect(f"tcp://127.0.0.1:{port}", "ann", codec=Wrong()),
    ):
        pass
    assert isinstance(told.value.__cause__, KeyError)


class Forgetful(JsonCodec):
    """A codec that writes each request once only, and then raises what none may raise."""

    def __init__(self) -> None:
        super().__init__()
        self._written = set[str]()

    def encode(self, message: AnyMessage) -> bytes:
        """Write a request."""
        if message.COMMAND in self._written:
            raise KeyError("odd")
        self._written.add(message.COMMAND)
        return super().encode(message)


@on_loop
async def test_codec_that_raises_again() -> None:
    """If a codec raises only on a new connection, that ends what waits as well."""
    with deaf(ROSTER) as server:
        url, again = f"tcp://127.0.0.1:{server.port}", Backoff(first=0.01)
        async with on_asyncio.connect(url, "ann", codec=Forgetful(), reconnect=again) as me:
            assert await me.receive(DEADLINE)
            server.accepted[0].shutdown(socket.SHUT_RDWR)
            with pytest.raises(Lost, match="KeyError"):
                await me.receive(DEADLINE)


def test_codec_that_raises_again_with_threads() -> None:
    """The same with threads."""
    with deaf(ROSTER) as server:
        url, again = f"tcp://127.0.0.1:{server.port}", Backoff(first=0.01)
        with threads.connect(url, "ann", codec=Forgetful(), reconnect=again) as me:
            assert me.receive(DEADLINE)
            server.accepted[0].shutdown(socket.SHUT_RDWR)
            with pytest.raises(Lost, match="KeyError"):
                me.receive(DEADLINE)


@on_loop
async def test_no_room_while_much_is_unread() -> None:
    """Who has much to look at when there is no room for more is connected again all the same."""
    said = b'{"type":"ERROR","message":"%s"}\n' % (b"x" * 8000)
    with mute(ROSTER + said * 150) as port:
        backoff = Backoff(first=0.01)
        me = await on_asyncio.dial(f"tcp://127.0.0.1:{port}", "json", timeouts=SHORT, reconnect=backoff)
        await me.register("ann")
        with pytest.raises(Lost, match="takes nothing"):
            await no_room(me)
        while not isinstance(await me.receive(), Reconnected):
            pass
        me.close()


UNREAD = (b"x" * 8000 + b"\n") * 150
"""So much that makes no sense that a client does not read on before somebody looks at it."""


@on_loop
async def test_no_room_for_a_chat(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chat that is to be connected again is, also if there was no room for what its user typed."""
    refusal = b'{"type":"ERROR","message":"invalid: no"}\n'
    typing, typed = socket.socketpair()
    lines = [b"/join 7", *[b"x" * 8000] * 2000, b""]
    feeding = threading.Thread(target=typing.sendall, args=[b"\n".join(lines)])
    with typing, typed, deaf(ROSTER, refusal) as server:
        monkeypatch.setattr(sys, "stdin", typed)
        feeding.start()
        url, again = f"tcp://127.0.0.1:{server.port}", Backoff(first=0.01)
        async with on_asyncio.connect(url, "ann", codec="json", timeouts=SHORT, reconnect=again) as me:
            with pytest.raises(Refused, match="no"):
                await Chat(me).run()
        await asyncio.to_thread(feeding.join)


@on_loop
async def test_broken_while_much_is_unread(caplog: pytest.LogCaptureFixture) -> None:
    """Who only sends is told that the connection broke, though there is much to look at first."""
    with mute(UNREAD + ROSTER) as port:
        me = await on_asyncio.dial(f"tcp://127.0.0.1:{port}", "json")
        await me.register("ann")
    await me.join("7")

    async def talk() -> None:
        for _ in range(10_000):
            await me.send("7", "x" * 8000)

    with pytest.raises(Lost):
        await talk()
    assert caplog.records == []
    me.close()


def test_broken_while_much_is_unread_with_threads() -> None:
    """The same with threads."""
    with mute(UNREAD + ROSTER) as port:
        me = threads.dial(f"tcp://127.0.0.1:{port}", "json")
        me.register("ann")
    me.join("7")

    def talk() -> None:
        for _ in range(10_000):
            me.send("7", "x" * 8000)

    with pytest.raises(Lost):
        talk()
    me.close()


def test_no_room_to_ask_with_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent server that has no room for the question whether it lives is lost, and connected to again (CONN-27)."""
    monkeypatch.setattr("improto.user._LOOK", 0.01)
    first, deaf_end = socket.socketpair()
    second, server_end = socket.socketpair()
    first.setblocking(False)
    for size in (1 << 16, 1):
        with suppress(BlockingIOError):
            while True:
                first.send(b" " * size)
    user = User(load("json"), time.monotonic() - 2 * SILENCE, Backoff(first=0.01), Timeouts(write=0.2))
    user.register(Register("ann", ""), time.monotonic() - 2 * SILENCE)
    user.read(ROSTER, time.monotonic() - 2 * SILENCE)
    me = threads.Session(user, lambda: Stream(second), Stream(first))
    with deaf_end, server_end:
        server_end.settimeout(DEADLINE)
        assert server_end.recv(4096) == b'{"type":"REGISTER","username":"ann","status":""}\n'
        server_end.sendall(ROSTER)
        while not isinstance(me.receive(DEADLINE), Reconnected):
            pass
        me.join("7")
        me.close()
