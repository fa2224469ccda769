"""Tests of the server of `improto.bindings.threads` on real sockets on loopback."""

import errno
import os
import socket
import ssl
import struct
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

import pytest
import trustme

import serving
from blocking import listed, online, upto
from certificates import client_side, server_side
from improto.bindings.threads import Server, connect, dial
from improto.bindings.threads.stream import Stream
from improto.codec import load, load_all
from improto.errors import CannotConnect, Lost, Refused, UsageError
from improto.messages import Error, Invitation, Message, OnlineUsers, Request, Status
from improto.server import Hub
from improto.service import Bounds, Observer, Service
from improto.user import Reconnected

CODECS = load_all()
DEADLINE = 20.0


def raw(port: int, data: bytes) -> bytes:
    """Send bytes and read to the end of the stream."""
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(65536), b""))


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


def test_shutdown_that_raises() -> None:
    """What an observer raises about a shutdown comes out of it, when all connections are closed."""

    class Deaf(Observer):
        def closed(self, peer: int, reason: str) -> None:
            if peer == 1:
                raise ZeroDivisionError

    server = Server(Service(Hub(), CODECS, bounds=Bounds(linger=0.2), observer=Deaf()))
    _, port = server.listen("127.0.0.1", 0)
    sessions = [dial(f"tcp://127.0.0.1:{port}") for _ in range(2)]
    for session in sessions:
        session.register(f"user {len(server.service.hub.online)}")
    with pytest.raises(ZeroDivisionError):
        server.close()
    assert not server.links
    for session in sessions:
        session.close()


def test_shutdown() -> None:
    """A server that is closed tells everybody (ERROR-9)."""
    with serving.with_threads() as (server, port), connect(f"tcp://127.0.0.1:{port}", "ann") as ann:
        server.close()
        with pytest.raises(Lost):
            upto(ann, Reconnected)


def test_shutdown_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server is closed also if the thread of a connection hangs."""
    end = threading.Event()

    def hang(self: Stream) -> None:
        end.wait(DEADLINE)
        self.socket.close()

    with serving.with_threads() as (server, port), socket.create_connection(("127.0.0.1", port)):
        monkeypatch.setattr(Stream, "close", hang)
        server.close()
        assert not end.is_set()
        assert not server.links
    end.set()


def test_listen_after_the_end(tmp_path: Path) -> None:
    """A server that was closed listens nowhere any more, and says so."""
    with serving.with_threads() as (server, _):
        server.close()
        with pytest.raises(UsageError, match="closed"):
            server.listen("127.0.0.1", 0)
        with pytest.raises(UsageError, match="closed"):
            server.listen_unix(str(tmp_path / "socket"))
        assert not list(tmp_path.iterdir())


def test_end_while_it_begins_to_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is closed while another thread has it listen, and waits for the address, listens nowhere."""
    found = socket.getaddrinfo

    def close_and_find(host: str, port: int, **kinds: int) -> list[Any]:
        closing = threading.Thread(target=server.close)
        closing.start()
        closing.join(DEADLINE)
        return found(host, port, **kinds)

    with serving.with_threads() as (server, _), monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", close_and_find)
        with pytest.raises(UsageError, match="closed"):
            server.listen("127.0.0.1", 0)


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
        server.listen_unix(path)
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


def test_context_of_another_kind(caplog: pytest.LogCaptureFixture) -> None:
    """What a function gives in place of a context for servers is like none at all: the connection is closed, as the log says."""
    contexts: list[ssl.SSLContext] = [client_side(), cast(ssl.SSLContext, None)]
    with serving.with_threads() as (server, _):
        _, port = server.listen("127.0.0.1", 0, tls=lambda: contexts.pop())
        url = f"tls://localhost:{port}"
        for found in ("None", "PROTOCOL_TLS_CLIENT"):
            with pytest.raises(CannotConnect, match="no TLS"):
                dial(url, tls=client_side())
            assert found in caplog.text
        contexts.append(server_side(demanding=False))
        with connect(url, "ann", tls=client_side()) as ann:
            assert list(ann.view.online) == ["ann"]


def checking() -> ssl.SSLContext:
    """Give a context that wants to compare the names of clients with nothing."""
    context = server_side()
    context.check_hostname = True
    return context


@pytest.mark.parametrize("tls", [client_side(), checking(), cast(ssl.SSLContext, "server.pem")])
def test_no_context_for_servers(tls: ssl.SSLContext) -> None:
    """Who gives what can let in nobody, such as a context for clients, is told so before anybody connects."""
    with serving.with_threads() as (server, _), pytest.raises(UsageError, match="CLIENT_AUTH"):
        server.listen("127.0.0.1", 0, tls=tls)


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
