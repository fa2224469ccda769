"""What a gap is for: a peer that takes one `recv` for one message loses messages without it, and none with it."""

import asyncio
import os
import queue
import re
import signal
import socket
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import serving
from improto.bindings import asyncio as on_asyncio
from improto.bindings import threads
from improto.client import Timeouts
from improto.codec import load
from improto.errors import Lost, UsageError
from improto.messages import (
    AnyMessage,
    Goodbye,
    Invitation,
    Join,
    ListConversations,
    OnlineUsers,
    Register,
    Request,
    SendMessage,
    Status,
)
from improto.user import Backoff, Reconnected
from loops import on_loop
from programs import DEADLINE, Program, Programs
from runtimes import PEERS, each_runtime, lecture

BURST = 20

Serving = Callable[[Programs, float], AbstractContextManager[tuple[str, Callable[[], object]]]]


@contextmanager
def asyncio_server(programs: Programs, gap: float) -> Generator[tuple[str, Callable[[], object]]]:
    """Run a server on asyncio, and give its URL and what ends it."""
    server, url = programs.serve("--gap", str(gap))
    yield url, lambda: server.process.send_signal(signal.SIGTERM)


@contextmanager
def threads_server(programs: Programs, gap: float) -> Generator[tuple[str, Callable[[], object]]]:
    """Run a server with threads, and give its URL and what ends it."""
    with serving.with_threads(gap=gap) as (server, port):
        yield f"tcp://127.0.0.1:{port}", server.close


def burst(programs: Programs, python2: list[str], url: str, end: Callable[[], object]) -> list[str]:
    """Send a burst to the client written from the lecture, end the server, and give what messages it has shown."""
    py = lecture(programs, url, "py", python2)
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), DEADLINE) as bo:
        heard = bo.makefile("rb")

        def upto(command: bytes) -> bytes:
            return next(line for line in heard if line.startswith(command))

        bo.sendall(b"REGISTER bo x\nINVITE py\n")
        id = upto(b"INVITATION").split()[1].decode()
        # The client may be too confused by then to show an invitation or a list; what it sends is right.
        py.type(f"join {id}")
        members = b""
        while b"py" not in members:
            bo.sendall(b"LIST_CONVERSATIONS\n")
            members = upto(b"CONVERSATIONS")
        said = b"".join(f"SEND_MESSAGE {id} {number}\n".encode() for number in range(BURST))
        bo.sendall(f"JOIN {id}\n".encode() + said + b"LIST_CONVERSATIONS\n")
        upto(b"CONVERSATIONS")
        end()
        # The server's last word comes behind the burst; or the client does not read that far.
        py.expect(r"closed|Exception in thread .*")
    py.process.kill()
    shown = [re.fullmatch(rf"message {id} bo: (\d+)", line) for line in py.end(stdin=False)[1]]
    return [match[1] for match in shown if match]


@each_runtime
@pytest.mark.parametrize("server", [asyncio_server, threads_server])
@pytest.mark.parametrize("gap", [0.0, 0.15])
def test_burst(programs: Programs, python2: list[str], server: Serving, gap: float) -> None:
    """Of a burst, a program that takes one `recv` for one message shows all with a gap, and not all without (LECTURE-4)."""
    with server(programs, gap) as (url, end):
        shown = burst(programs, python2, url, end)
    everything = [str(number) for number in range(BURST)]
    assert (shown == everything) is bool(gap), shown


# Clients, with the server that was written from the lecture.

PICKLE = load("pickle", integer_ids=True)
Burst = Callable[[str, float, Callable[[], AbstractContextManager[object]]], Sequence[Request]]


def requests(id: str) -> list[Request]:
    """Give what is requested at once in conversation `id`."""
    return [Join(id), *(SendMessage(id, str(number)) for number in range(BURST)), ListConversations()]


def asyncio_burst(
    url: str, gap: float, meanwhile: Callable[[], AbstractContextManager[object]]
) -> Sequence[Request]:
    """Send a burst with the client on asyncio, and give it."""

    async def send() -> Sequence[Request]:
        me = await on_asyncio.dial(url, PICKLE, gap=gap)
        await me.register("ann")
        await me.invite("ann")
        while not isinstance(item := await me.receive(DEADLINE), Invitation):
            pass
        burst = requests(item.conversation)
        with meanwhile():
            for request in burst:
                me.request(request)
        await me.drain()
        me.close()
        return burst

    return asyncio.run(send())


def threads_burst(
    url: str, gap: float, meanwhile: Callable[[], AbstractContextManager[object]]
) -> Sequence[Request]:
    """Send a burst with the client with threads, and give it."""
    me = threads.dial(url, PICKLE, gap=gap)
    me.register("ann")
    me.invite("ann")
    while not isinstance(item := me.receive(DEADLINE), Invitation):
        pass
    burst = requests(item.conversation)
    with meanwhile():
        for request in burst:
            me.request(request)
    me.close()
    return burst


def handled(server: Program) -> list[str]:
    """Give what ann says and lists, as the server handles it, up to the end of her connection."""
    found: list[str] = []
    while "closed" not in (line := server.expect(r"\[server\] (.*)")[1]):
        if match := re.fullmatch(r"sending (CONVERSATIONS|MESSAGE) .*?(?:u?'(\d+)'\])?", line):
            found.append(match[2] or match[1])
    return found


@each_runtime
@pytest.mark.parametrize("client", [asyncio_burst, threads_burst])
@pytest.mark.parametrize("gap", [0.0, 0.15])
def test_burst_of_a_client(programs: Programs, python2: list[str], client: Burst, gap: float) -> None:
    """Of a client's burst, a server that takes one `recv` for one message handles all with a gap, and not all without."""
    server = programs.run(*python2, PEERS / "lecture_server.py", "0")
    port = server.expect(r"listening on (\d+)")[1]

    @contextmanager
    def stopped() -> Generator[None]:
        """Let what is sent meanwhile come together, and not alone by chance."""
        server.process.send_signal(signal.SIGSTOP)
        os.waitpid(server.process.pid, os.WUNTRACED)
        yield
        server.process.send_signal(signal.SIGCONT)

    client(f"tcp://127.0.0.1:{port}", gap, nullcontext if gap else stopped)
    everything = [*(str(number) for number in range(BURST)), "CONVERSATIONS"]
    shown = handled(server)
    assert (shown == everything) is bool(gap), shown


# Clients, with a peer that keeps what it has read.

STATUSES = [Status(str(number)) for number in range(5)]
LONG = 1000.0  # a gap that is not over before the test is


class Reader:
    """Accepts one connection after the other, answers REGISTER, and keeps what came in which read."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._ended: queue.SimpleQueue[list[bytes]] = queue.SimpleQueue()
        self._accepted: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    self._accepted.append(connection)
                    self._ended.put(list(self._read(connection)))

    def _read(self, connection: socket.socket) -> Generator[bytes]:
        with suppress(ConnectionResetError):
            while data := connection.recv(1024):
                yield data
                if data in (wire(ANN), wire(ANEW)):
                    connection.sendall(wire(OnlineUsers({"ann": ""})))
                if data == wire(Goodbye()):
                    return

    def hang_up(self) -> None:
        """End the connections that there are."""
        for each in self._accepted:
            with suppress(OSError):  # it may have ended
                each.shutdown(socket.SHUT_RDWR)

    def reads(self) -> list[bytes]:
        """Wait for the end of the next connection, and give what was read of it."""
        return self._ended.get(timeout=DEADLINE)

    def close(self) -> None:
        """Accept no more, and end what there is."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        self._thread.join()


def wire(message: AnyMessage) -> bytes:
    """Give the bytes of a message."""
    return PICKLE.frame(PICKLE.encode(message))


def apart(*messages: AnyMessage) -> list[bytes]:
    """Give what messages are in reads of their own."""
    return [wire(message) for message in messages]


ANN = Register("ann", "")
ANEW = Register("ann", "old")  # with the status that was set meanwhile


@pytest.fixture
def reader() -> Generator[Reader]:
    """Run such a peer."""
    made = Reader()
    yield made
    made.close()


def test_goodbye_comes_last_on_asyncio(reader: Reader) -> None:
    """With a gap, all that was requested at once is read one by one, in its order, and GOODBYE at the end (LECTURE-2)."""

    async def talk() -> None:
        timeouts = Timeouts(goodbye=DEADLINE)
        async with on_asyncio.connect(reader.url, "ann", timeouts=timeouts, gap=0.15) as me:
            for status in STATUSES:
                me.request(status)

    asyncio.run(talk())
    assert reader.reads() == apart(ANN, *STATUSES, Goodbye())


def test_goodbye_comes_last_with_threads(reader: Reader) -> None:
    """With threads, too, what several of them request is read one by one, and GOODBYE at the end (LECTURE-2)."""
    with threads.connect(reader.url, "ann", timeouts=Timeouts(goodbye=DEADLINE), gap=0.15) as me:
        talking = [threading.Thread(target=me.request, args=[status]) for status in STATUSES]
        for each in talking:
            each.start()
        for each in talking:
            each.join()
    first, *middle, last = reader.reads()
    assert (first, sorted(middle), last) == (wire(ANN), apart(*STATUSES), wire(Goodbye()))


def test_drain_waits_for_gaps(reader: Reader) -> None:
    """What waits for its gap is out after `drain`, and that it takes longer than `Timeouts.write` is no loss."""

    async def talk() -> None:
        me = await on_asyncio.dial(reader.url, PICKLE, timeouts=Timeouts(write=0.1), gap=0.15)
        await me.register("ann")
        for status in STATUSES:
            me.request(status)
        await me.drain()
        me.close()

    asyncio.run(talk())
    assert reader.reads() == apart(ANN, *STATUSES)


def test_gap_longer_than_the_time_to_write(reader: Reader) -> None:
    """With threads, too, a gap that is longer than `Timeouts.write` is no loss."""
    me = threads.dial(reader.url, PICKLE, timeouts=Timeouts(write=0.1), gap=0.15)
    me.register("ann")
    for status in STATUSES:
        me.request(status)
    me.close()
    assert reader.reads() == apart(ANN, *STATUSES)


@on_loop
async def test_gaps_are_no_silence() -> None:
    """A call waits for its reply from when it is out: the gaps before are no silence of the server."""
    async with serving.on_asyncio() as (_, port):
        url = f"tcp://127.0.0.1:{port}"
        async with on_asyncio.connect(url, "ann", timeouts=Timeouts(reply=2.5), gap=0.15) as me:
            for number in range(20):
                me.request(Status(str(number)))
            assert await me.list_conversations() == {}


@pytest.mark.parametrize("leave", ["close", "goodbye"])
def test_close_drops_what_waits_on_asyncio(reader: Reader, leave: str) -> None:
    """What still waits for its gap at the end is not sent, and nobody waits for it (LECTURE-2)."""

    async def talk() -> None:
        me = await on_asyncio.dial(reader.url, PICKLE, timeouts=Timeouts(goodbye=0.1), gap=LONG)
        await me.register("ann")
        waiting = asyncio.create_task(me.status("away"))
        await asyncio.sleep(0)
        assert me.view.status == "away"
        if leave == "close":
            me.close()
        else:
            await me.goodbye()
        await asyncio.wait_for(waiting, DEADLINE)

    asyncio.run(talk())
    assert reader.reads() == apart(ANN)


@pytest.mark.parametrize("leave", ["close", "goodbye"])
def test_close_drops_what_waits_with_threads(reader: Reader, leave: str) -> None:
    """With threads, too, what still waits for its gap at the end is not sent, and the thread waits no more (LECTURE-2)."""
    me = threads.dial(reader.url, PICKLE, timeouts=Timeouts(goodbye=0.1), gap=LONG)
    me.register("ann")
    waiting = threading.Thread(target=me.status, args=["away"], daemon=True)
    waiting.start()
    while me.view.status != "away":
        waiting.join(0.001)
    me.close() if leave == "close" else me.goodbye()
    waiting.join(DEADLINE)
    assert not waiting.is_alive()
    assert reader.reads() == apart(ANN)


def test_goodbye_does_not_wait_for_a_long_gap(reader: Reader) -> None:
    """With threads, who leaves waits no longer than was said, and GOODBYE does not come before its gap is over."""
    me = threads.dial(reader.url, PICKLE, timeouts=Timeouts(goodbye=0.1), gap=LONG)
    me.register("ann")
    leaving = threading.Thread(target=me.goodbye, daemon=True)
    leaving.start()
    leaving.join(DEADLINE)
    assert not leaving.is_alive()
    assert reader.reads() == apart(ANN)


def test_new_connection_on_asyncio(reader: Reader) -> None:
    """A new connection begins without a gap, and nothing that waited on the old one is sent on it."""

    async def talk() -> None:
        async with on_asyncio.connect(
            reader.url, "ann", reconnect=Backoff(first=0.01), timeouts=Timeouts(goodbye=0.1), gap=LONG
        ) as me:
            me.request(Status("old"))
            reader.hang_up()
            while not isinstance(await me.receive(DEADLINE), Reconnected):
                pass

    asyncio.run(talk())
    assert [reader.reads(), reader.reads()] == [apart(ANN), apart(ANEW)]


def test_new_connection_with_threads(reader: Reader) -> None:
    """With threads, too, a new connection begins without a gap, and nothing that waited on the old one is sent on it."""
    with threads.connect(
        reader.url, "ann", reconnect=Backoff(first=0.01), timeouts=Timeouts(goodbye=0.1), gap=LONG
    ) as me:
        waiting = threading.Thread(target=me.status, args=["old"], daemon=True)
        waiting.start()
        while me.view.status != "old":
            waiting.join(0.001)
        reader.hang_up()
        while not isinstance(me.receive(DEADLINE), Reconnected):
            pass
    waiting.join(DEADLINE)
    assert not waiting.is_alive()
    assert [reader.reads(), reader.reads()] == [apart(ANN), apart(ANEW)]


@contextmanager
def deaf(path: Path) -> Generator[str]:
    """Accept a connection, answer REGISTER and read nothing from then on; give the URL."""
    with socket.socket(socket.AF_UNIX) as listener, ExitStack() as stack:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            stack.enter_context(connection)
            connection.recv(1024)
            connection.sendall(wire(OnlineUsers({"ann": ""})))

        answering = threading.Thread(target=answer)
        answering.start()
        yield f"unix:{path}"
        answering.join()


def test_no_room_on_asyncio(tmp_path: Path) -> None:
    """With a gap, too, a server that takes nothing more counts as lost."""

    async def talk(url: str) -> None:
        me = await on_asyncio.dial(url, PICKLE, timeouts=Timeouts(write=0.2), gap=0.02)
        await me.register("ann")
        await me.join("7")
        while True:
            await me.send("7", "x" * 8000)

    with deaf(tmp_path / "socket") as url, pytest.raises(Lost, match=r"takes nothing .*; connect again"):
        asyncio.run(talk(url))


def test_no_room_with_threads(tmp_path: Path) -> None:
    """With threads and a gap, too, a server that takes nothing more counts as lost."""

    def talk(url: str) -> None:
        me = threads.dial(url, PICKLE, timeouts=Timeouts(write=0.2), gap=0.02)
        me.register("ann")
        me.join("7")
        while True:
            me.send("7", "x" * 8000)

    with deaf(tmp_path / "socket") as url, pytest.raises(Lost, match=r"takes nothing .*; connect again"):
        talk(url)


def test_other_codecs_do_not_notice() -> None:
    """Between messages of another codec than pickle there is no gap."""

    async def talk(url: str) -> None:
        async with on_asyncio.connect(url, "ann", codec="json", gap=LONG) as me:
            await me.status("away")
            assert await me.list_conversations() == {}

    with serving.with_threads() as (_, port):
        url = f"tcp://127.0.0.1:{port}"
        asyncio.run(asyncio.wait_for(talk(url), DEADLINE))
        with threads.connect(url, "ann", codec="json", gap=LONG) as me:
            me.status("away")
            assert me.list_conversations() == {}


@pytest.mark.parametrize("gap", [0.01, -1.0, float("nan")])
@on_loop
async def test_least_gap(gap: float) -> None:
    """A gap that peers like the lecture's would not see, or that is none, is refused before there is a connection."""
    nowhere = "tcp://127.0.0.1:1"
    with pytest.raises(UsageError, match=r"at least 0\.02 s"):
        await on_asyncio.dial(nowhere, gap=gap)
    with pytest.raises(UsageError, match=r"at least 0\.02 s"):
        threads.dial(nowhere, gap=gap)
