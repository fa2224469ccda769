"""Tests of `improto.bindings.threads`: the server serves, the client does what its asyncio twin does."""

import errno
import os
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar, cast

import pytest
import trustme

import serving
from certificates import client_side, server_side
from improto.bindings.threads import Server, Session, connect, dial
from improto.bindings.threads.stream import Stream
from improto.client import Timeouts
from improto.codec import load, load_all
from improto.errors import CannotConnect, Lost, Refused, UsageError
from improto.messages import Error, Invitation, Join, Message, OnlineUsers, Register, Request, Status
from improto.server import Hub
from improto.service import Bounds, Observer, Service
from improto.states import State
from improto.user import Backoff, Item, Reconnected
from improto.wire import Rate
from network import full, named, silent

CODECS = load_all()
DEADLINE = 20.0
T = TypeVar("T", bound=Item)


def upto(session: Session, kind: type[T]) -> T:
    """Take what arrives up to the first of a kind."""
    while (item := session.receive(DEADLINE)) is not None:
        if isinstance(item, kind):
            return item
    raise AssertionError(f"the session ended before {kind}")


def online(server: Server) -> list[str]:
    """Give who is online."""
    with server.lock:
        return list(server.service.hub.online)


def raw(port: int, data: bytes) -> bytes:
    """Send bytes and read to the end of the stream."""
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def ask(session: Session) -> None:
    """Ask as long as there are answers."""
    while True:
        session.list_conversations()


def listed(session: Session) -> Mapping[str, tuple[str, ...]]:
    """Ask until the server has time to answer."""
    while True:
        with suppress(Refused):
            return session.list_conversations()


def test_slow_reader() -> None:
    """A reader that stops is closed in the end, and meanwhile others hear everything (FLOW-5, FLOW-7)."""
    with (
        serving.with_threads(Bounds(events=200_000, flush=0.1, linger=0.1)) as (server, port),
        connect(f"tcp://127.0.0.1:{port}", "ann") as ann,
        socket.socket() as slow,
    ):
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", port))
        slow.sendall(b"REGISTER slow x\n")
        while "slow" not in upto(ann, OnlineUsers).users:
            pass
        ann.invite("slow")
        id = upto(ann, Invitation).conversation
        ann.join(id)
        slow.sendall(f"JOIN {id}\n".encode())
        while set(ann.list_conversations()[id]) != {"ann", "slow"}:
            pass
        heard = 0
        while "slow" in online(server):
            ann.send(id, "x" * 8000)
            assert upto(ann, Message).sender == "ann"
            heard += 1
            assert heard < 10_000


def test_reset() -> None:
    """A reset in mid-message takes the user offline, and the name is free (CONN-19)."""
    with serving.with_threads() as (_, port), connect(f"tcp://127.0.0.1:{port}", "ann") as ann:
        bad = socket.create_connection(("127.0.0.1", port))
        bad.sendall(b"REGISTER bo x\nSEND_MESS")
        while "bo" not in upto(ann, OnlineUsers).users:
            pass
        bad.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        bad.close()
        while "bo" in upto(ann, OnlineUsers).users:
            pass


def test_connections_too_many() -> None:
    """A connection beyond the limit is told so (FLOW-13)."""
    with serving.with_threads(connections=1) as (_, port), connect(f"tcp://127.0.0.1:{port}", "ann"):
        assert b"forbidden" in raw(port, b"REGISTER bo x\n")


def test_gap() -> None:
    """With a gap, each message to a pickle peer comes in a read of its own (LECTURE-1)."""
    with (
        serving.with_threads(gap=0.05) as (_, port),
        socket.create_connection(("127.0.0.1", port), DEADLINE) as peer,
    ):
        peer.sendall(b"REGISTER (S'ann'\nS''\nl.LIST_CONVERSATIONSLIST_CONVERSATIONSGOODBYE")
        reads = list(iter(lambda: peer.recv(65536), b""))
    assert [data.split(b" ")[0] for data in reads] == [b"ONLINE_USERS", b"CONVERSATIONS", b"CONVERSATIONS"]


def test_no_thread_is_left() -> None:
    """When server and clients have closed, none of their threads runs, and no connection is counted."""
    before = threading.active_count()
    with serving.with_threads() as (server, port):
        for _ in range(50):
            with connect(f"tcp://127.0.0.1:{port}", "ann"):
                pass
        idle = socket.create_connection(("127.0.0.1", port))
    idle.close()
    assert len(server.links) == 0
    until = time.monotonic() + DEADLINE
    while threading.active_count() > before and time.monotonic() < until:
        pass
    assert threading.active_count() == before


def test_turn_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an observer or a codec raises is told to `threading.excepthook`, and the server goes on, and can be closed."""
    told: SimpleQueue[object] = SimpleQueue()

    def hook(arguments: threading.ExceptHookArgs) -> None:
        told.put(arguments.exc_type)

    class Picky(Observer):
        def received(self, peer: int, message: Request) -> None:
            if isinstance(message, Status):
                raise ZeroDivisionError

    monkeypatch.setattr(threading, "excepthook", hook)
    server = Server(Service(Hub(), CODECS, bounds=Bounds(linger=0.2), observer=Picky()))
    _, port = server.listen("127.0.0.1", 0)
    with connect(f"tcp://127.0.0.1:{port}", "ann") as ann:
        ann.status("away")
        assert told.get(timeout=DEADLINE) is ZeroDivisionError
        with connect(f"tcp://127.0.0.1:{port}", "bo") as bo:
            assert listed(bo) == {}
    server.close()
    assert told.empty()


def test_kick() -> None:
    """Whoever is kicked is told why and closed; a name that nobody has is refused, and nothing happens (ERROR-10)."""
    with serving.with_threads() as (server, port), connect(f"tcp://127.0.0.1:{port}", "ann") as ann:
        with pytest.raises(UsageError, match="'bo'"):
            server.kick("bo", "spam")
        server.kick("ann", "spam")
        assert upto(ann, Error).message == "forbidden: spam"
        with pytest.raises(Lost, match="forbidden"):
            ann.receive(DEADLINE)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_hook_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where that hook raises, too, as the usual one does where the disk is full that standard error goes to, so it is."""

    class Picky(Observer):
        def received(self, peer: int, message: Request) -> None:
            if isinstance(message, Status):
                raise ZeroDivisionError

    server = Server(Service(Hub(), CODECS, bounds=Bounds(linger=0.2), observer=Picky()))
    _, port = server.listen("127.0.0.1", 0)
    with Path("/dev/full").open("w", buffering=1) as full, connect(f"tcp://127.0.0.1:{port}", "ann") as ann:
        monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
        monkeypatch.setattr(sys, "stderr", full)
        ann.status("away")
        with connect(f"tcp://127.0.0.1:{port}", "bo") as bo:
            assert listed(bo) == {}
        monkeypatch.undo()
        with suppress(OSError):
            full.close()
    server.close()


def test_close_that_fails() -> None:
    """A connection counts as closed also if the system has something to say of that."""
    ours, theirs = socket.socketpair()
    with theirs:
        stream = Stream(ours)
        os.close(ours.fileno())
        stream.close()


def test_shutdown() -> None:
    """A server that is closed tells everybody (ERROR-9)."""
    with serving.with_threads() as (server, port), connect(f"tcp://127.0.0.1:{port}", "ann") as ann:
        server.close()
        with pytest.raises(Lost):
            upto(ann, Reconnected)


def test_listen_after_the_end(tmp_path: Path) -> None:
    """A server that was closed listens nowhere any more, and says so."""
    with serving.with_threads() as (server, _):
        server.close()
        with pytest.raises(UsageError, match="closed"):
            server.listen("127.0.0.1", 0)
        with pytest.raises(UsageError, match="closed"):
            server.listen_unix(str(tmp_path / "socket"))
        assert not list(tmp_path.iterdir())


def test_shutdown_where_listening_sockets_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server closes, too, where the system does not shut down sockets that listen, as macOS does not."""
    shut_down = socket.socket.shutdown

    def refuse(self: socket.socket, how: int) -> None:
        if self.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        shut_down(self, how)

    monkeypatch.setattr(socket.socket, "shutdown", refuse)
    server = Server(Service(Hub(), [load("json")]))
    host, port = server.listen("127.0.0.1", 0)
    with socket.create_connection((host, port)) as ann:
        ann.sendall(b'{"type":"REGISTER","username":"ann","status":""}\n')
        assert ann.recv(1000)
        closing = threading.Thread(target=server.close, daemon=True)
        closing.start()
        closing.join(DEADLINE)
        assert not closing.is_alive()


def test_unix(tmp_path: Path) -> None:
    """Server and client meet on a Unix socket, which is removed at the end."""
    path = tmp_path / "socket"
    with serving.with_threads() as (server, _):
        server.listen_unix(str(path))
        with connect(f"unix:{path}", "ann") as ann:
            assert list(ann.view.online) == ["ann"]
            assert ann.list_conversations() == {}
    assert not path.exists()


def test_certificate() -> None:
    """Who shows a certificate can register under its common name only, and who shows none not at all."""
    with serving.with_threads() as (server, _):
        _, port = server.listen("127.0.0.1", 0, tls=server_side())
        url = f"tls://localhost:{port}"
        with connect(url, "ann", tls=client_side("ann")) as ann:
            assert list(ann.view.online) == ["ann"]
        with pytest.raises(Refused, match="certificate is for 'ann'"):
            connect(url, "bo", tls=client_side("ann")).__enter__()
        with pytest.raises((CannotConnect, Lost), match=r"certificate .--tls-cert FILE, or tls="):
            connect(url, "ann", tls=client_side()).__enter__()
        with pytest.raises(CannotConnect, match="not trusted"):
            connect(url, "ann").__enter__()


def test_another_authority() -> None:
    """A function as `tls` gives the context of each new connection, so an authority can be taken away."""
    other = trustme.CA()
    contexts = [server_side()]
    with serving.with_threads() as (server, _):
        _, port = server.listen("127.0.0.1", 0, tls=lambda: contexts[-1])
        url = f"tls://localhost:{port}"
        with connect(url, "ann", tls=client_side("ann")) as before:
            contexts.append(server_side(trusted=other))
            with connect(url, "bo", tls=client_side("bo", other)) as bo:
                assert list(bo.view.online) == ["ann", "bo"]
            with pytest.raises((CannotConnect, Lost), match=r"certificate .--tls-cert FILE, or tls="):
                connect(url, "cy", tls=client_side("cy")).__enter__()
            assert before.list_conversations() == {}


def test_no_context(caplog: pytest.LogCaptureFixture) -> None:
    """A connection for which there is no context is closed, as the log says, and keeps none from being made later."""
    contexts: list[ssl.SSLContext] = []
    with serving.with_threads() as (server, _):
        _, port = server.listen("127.0.0.1", 0, tls=lambda: contexts[-1])
        url = f"tls://localhost:{port}"
        with pytest.raises(CannotConnect, match="no TLS"):
            dial(url, tls=client_side())
        assert "IndexError" in caplog.text
        contexts.append(server_side(demanding=False))
        with connect(url, "ann", tls=client_side()) as ann:
            assert list(ann.view.online) == ["ann"]


class Interrupting(ssl.SSLContext):
    """Behaves as if somebody pressed Ctrl-C just when TLS begins."""

    def wrap_socket(self, *_: object, **__: object) -> ssl.SSLSocket:
        """Begin nothing."""
        raise KeyboardInterrupt


def test_interrupted_while_it_connects() -> None:
    """A connection that is being made when somebody presses Ctrl-C is closed at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with pytest.raises(KeyboardInterrupt) as told:
            dial(f"tls://127.0.0.1:{listener.getsockname()[1]}", tls=Interrupting(ssl.PROTOCOL_TLS_CLIENT))
        accepted, _ = listener.accept()
        with accepted:
            accepted.settimeout(DEADLINE)
            assert accepted.recv(1) == b""
        del told  # it keeps all that is not closed


def test_much_at_once_in_both_directions() -> None:
    """Behind TLS, too, a client that writes much and reads at the same time gets everything, in order (CLIENT-17)."""
    with serving.with_threads() as (server, _):
        _, port = server.listen("127.0.0.1", 0, tls=server_side(demanding=False))
        url = f"tls://localhost:{port}"
        with connect(url, "ann", tls=client_side()) as ann, connect(url, "bo", tls=client_side()):
            ann.invite("bo")
            id = upto(ann, Invitation).conversation
            ann.join(id)
            for number in range(500):
                ann.send(id, f"{number} {'x' * 8000}")
            assert [upto(ann, Message).text.split(" ")[0] for _ in range(500)] == list(map(str, range(500)))


def test_all_addresses_of_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server listens on those addresses of a name that its host has, and on one port."""
    hosts = ["192.0.2.1", "127.0.0.1", "127.0.0.2"]

    def found(*_: object, **__: object) -> list[object]:  # no name is like that everywhere
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in hosts]

    with serving.with_threads() as (server, _):
        with monkeypatch.context() as patched:
            patched.setattr(socket, "getaddrinfo", found)
            first, port = server.listen("localhost", 0)
            del hosts[1:]
            with pytest.raises(OSError, match="Cannot assign"):
                server.listen("localhost", 0)
        assert first == "127.0.0.1"
        for host in ("127.0.0.1", "127.0.0.2"):
            with connect(f"tcp://{host}:{port}", "ann") as ann:
                assert list(ann.view.online) == ["ann"]


def test_address_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the addresses of a name, one that does not answer keeps none of the others from being tried."""
    with serving.with_threads() as (_, port), silent("127.0.0.2", port):
        named(monkeypatch, "several", ["127.0.0.2", "127.0.0.1"])
        with connect(f"tcp://several:{port}", "ann", timeouts=Timeouts(connect=4.0)) as ann:
            assert list(ann.view.online) == ["ann"]


def test_full_socket(tmp_path: Path) -> None:
    """At a Unix socket at which too many wait, too, a client waits, and is told that nobody answers."""
    path = str(tmp_path / "socket")
    with full(path), pytest.raises(CannotConnect, match=r"does not answer within 0\.2 s"):
        dial(f"unix:{path}", timeouts=Timeouts(connect=0.2))


@pytest.mark.parametrize("host", ["chat..example", "x" * 64])
def test_no_host(host: str) -> None:
    """What can be no host is refused."""
    with (
        serving.with_threads() as (server, _),
        pytest.raises(UsageError, match="neither an address nor a name"),
    ):
        server.listen(host, 0)


@pytest.mark.parametrize("port", [65_536, 99_999])
def test_no_port(port: int) -> None:
    """What is no port is refused; the system would take another one."""
    with (
        serving.with_threads() as (server, _),
        pytest.raises(UsageError, match=f"from 0 to 65535, and not {port}"),
    ):
        server.listen("127.0.0.1", port)


def test_no_handshake() -> None:
    """What is no TLS ends its connection alone, and who says nothing holds nobody up."""
    with serving.with_threads() as (server, _):
        _, port = server.listen("127.0.0.1", 0, tls=server_side(demanding=False))
        with socket.create_connection(("127.0.0.1", port)):
            with pytest.raises(Lost):
                connect(f"tcp://127.0.0.1:{port}", "ann").__enter__()
            with connect(f"tls://localhost:{port}", "ann", tls=client_side()) as ann:
                assert ann.list_conversations() == {}


def test_conversation() -> None:
    """Two users who speak different codecs meet: each request has a call, each event arrives."""
    with serving.with_threads() as (_, port):
        url = f"tcp://127.0.0.1:{port}"
        with connect(url, "ann", codec="ascii") as ann, connect(url, "bo", status="here") as bo:
            ann.invite("bo")
            id = upto(ann, Invitation).conversation
            assert upto(bo, Invitation) == Invitation(id, "ann")
            ann.join(id)
            assert ann.list_conversations() == {id: ("ann",)}
            bo.join(id)
            bo.send(id, "hi")
            assert upto(ann, Message) == Message(id, "bo", "hi")
            bo.leave(id)
            bo.status("away")
            while upto(ann, OnlineUsers).users["bo"] != "away":
                pass
            assert ann.list_conversations() == {id: ("ann",)}


def test_calls_while_somebody_iterates() -> None:
    """A call gets its reply while another thread takes what arrives."""
    with serving.with_threads() as (_, port), connect(f"tcp://127.0.0.1:{port}", "ann") as ann:
        heard: list[object] = []
        listening = threading.Thread(target=lambda: heard.extend(ann))
        listening.start()
        assert [ann.list_conversations() for _ in range(5)] == [{}] * 5
        ann.goodbye()
        listening.join(DEADLINE)
        assert not listening.is_alive()
        assert {type(item) for item in heard} == {OnlineUsers}


def test_too_fast() -> None:
    """A list that comes too fast ends its own call, and what later calls give is newer than they are (FLOW-11)."""
    with serving.with_threads(rate=Rate(20.0, burst=3, patience=10_000)) as (_, port):
        url = f"tcp://127.0.0.1:{port}"
        with connect(url, "ann") as ann, connect(url, "bo") as bo:
            with pytest.raises(Refused) as refused:
                ask(ann)
            assert refused.value.code == "rate-limited"
            listed(ann)
            bo.invite("ann")
            id = upto(bo, Invitation).conversation
            assert listed(ann) == {id: ()}


def test_call_before_what_arrived_is_looked_at() -> None:
    """A call gets its reply though more has arrived than is read ahead."""
    with serving.with_threads() as (_, port):
        url = f"tcp://127.0.0.1:{port}"
        with connect(url, "ann") as ann, connect(url, "bo") as bo:
            bo.invite("ann")
            id = upto(bo, Invitation).conversation
            for each in (ann, bo):
                each.join(id)
                each.list_conversations()
            for _ in range(150):
                bo.send(id, "x" * 8000)
                upto(bo, Message)
            ann.list_conversations()
            heard = 0
            while heard < 150:
                heard += isinstance(ann.receive(5.0), Message)


def test_refused() -> None:
    """Who is not taken gets Refused with the code."""
    with serving.with_threads() as (_, port), connect(f"tcp://127.0.0.1:{port}", "ann"):
        with pytest.raises(Refused) as refused:
            connect(f"tcp://127.0.0.1:{port}", "ann").__enter__()
        assert refused.value.code == "name-in-use"


def test_goodbye_at_the_end_of_the_block() -> None:
    """At the end of the block the user goes offline, and can send nothing more."""
    with serving.with_threads() as (server, port):
        with connect(f"tcp://127.0.0.1:{port}", "ann") as ann:
            assert online(server) == ["ann"]
        assert online(server) == []
        assert ann.state is State.CLOSED
        assert {type(item) for item in ann} == {OnlineUsers}
        with pytest.raises(UsageError):
            ann.join("1")


def test_timeout() -> None:
    """`receive` waits for so many seconds; nothing is lost by that."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        session = dial(f"tcp://127.0.0.1:{silent.getsockname()[1]}", "json")
        accepted, _ = silent.accept()
        with pytest.raises(TimeoutError):
            session.receive(timeout=0.01)
        session.request(Register("ann", ""))
        accepted.sendall(b'{"type":"ONLINE_USERS","users":{"ann":""}}\n')
        assert session.receive(DEADLINE) == OnlineUsers({"ann": ""})
        session.close()
        accepted.close()


def test_cannot_connect() -> None:
    """Where nobody listens, the error says so and how to start a server."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(CannotConnect, match="improto serve"):
        dial(f"tcp://127.0.0.1:{port}")


def test_reconnect_without_backoff() -> None:
    """Who asks to be connected again, and does not say when, is told how, before there is a connection."""
    with pytest.raises(UsageError, match=r"reconnect=Backoff\(\)"):
        dial("tcp://127.0.0.1:1", reconnect=cast(Backoff, True))


def test_reconnect() -> None:
    """With `reconnect` the session outlives its server: it says so, and goes on with the next one."""
    with serving.with_threads() as (server, port):
        url = f"tcp://127.0.0.1:{port}"
        with connect(url, "ann", reconnect=Backoff(first=0.01, most=0.01)) as ann:
            ann.join("7")
            server.close()
            with pytest.raises(Lost):
                ask(ann)
            with serving.with_threads(port=port) as (again, _):
                assert upto(ann, Reconnected) == Reconnected(("7",))
                assert online(again) == ["ann"]
                assert ann.list_conversations() == {}


def test_giving_up() -> None:
    """When no new connection can be made, the iteration ends with the reason."""
    with serving.with_threads() as (server, port):
        reconnect = Backoff(first=0.01, most=0.01, attempts=3)
        with connect(f"tcp://127.0.0.1:{port}", "ann", reconnect=reconnect) as ann:
            server.close()
            with pytest.raises(CannotConnect):
                upto(ann, Reconnected)


def test_leaving_while_there_is_no_connection() -> None:
    """Who leaves between two attempts does not wait for the next."""
    with serving.with_threads() as (server, port):
        with connect(f"tcp://127.0.0.1:{port}", "ann", reconnect=Backoff(first=1000.0)) as ann:
            server.close()
            with pytest.raises(Lost):
                ask(ann)
        assert ann.state is State.CLOSED
        with pytest.raises(UsageError):
            ann.request(Join("1"))


def test_no_thread_for_a_client() -> None:
    """A client for which the system gives no thread cannot connect."""
    with serving.with_threads() as (_, port):
        before = threading.stack_size(2**62)
        try:
            with pytest.raises(CannotConnect, match="thread"):
                dial(f"tcp://127.0.0.1:{port}")
        finally:
            threading.stack_size(before)


@pytest.mark.parametrize("spared", [0, 1])
def test_no_more_threads(spared: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes when the system gives no more threads is closed, and who comes later is served."""
    begin = threading.Thread.start
    left = [spared]

    def start(thread: threading.Thread) -> None:
        if not left[0]:
            raise RuntimeError("can't start new thread")
        left[0] -= 1
        begin(thread)

    with serving.with_threads() as (server, port):
        monkeypatch.setattr(threading.Thread, "start", start)
        with socket.create_connection(("127.0.0.1", port), 15.0) as refused:
            assert refused.recv(1) == b""
        monkeypatch.undo()
        with connect(f"tcp://127.0.0.1:{port}", "ann", codec="ascii") as me:
            assert list(me.view.online) == ["ann"]
        with server.lock:
            assert len(server.links) <= 1
