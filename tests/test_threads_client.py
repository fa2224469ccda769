"""Tests of the client of `improto.bindings.threads`, which does what its asyncio twin does."""

import socket
import ssl
import threading
from pathlib import Path
from typing import cast

import pytest

import serving
from blocking import listed, online, upto
from certificates import client_side, server_side
from improto.bindings.threads import Session, connect, dial
from improto.bindings.threads.stream import Stream
from improto.client import Timeouts
from improto.codec import load
from improto.errors import CannotConnect, Lost, Refused, UsageError
from improto.messages import Invitation, Join, Message, OnlineUsers, Register
from improto.states import State
from improto.user import Backoff, Reconnected, User
from improto.wire import Rate
from network import full, named, silent

DEADLINE = 20.0


def ask(session: Session) -> None:
    """Ask as long as there are answers."""
    while True:
        session.list_conversations()


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


def test_lost() -> None:
    """Without `reconnect` the loss comes out of the iteration and of every call, and tells each time of that one only."""
    with serving.with_threads() as (server, port), connect(f"tcp://127.0.0.1:{port}", "ann") as ann:
        server.close()
        with pytest.raises(Lost):
            upto(ann, Reconnected)
        with pytest.raises(Lost) as once:
            ann.receive()
        lines = len(once.traceback)
        with pytest.raises(Lost) as again:
            ann.receive()
        assert len(again.traceback) == lines
        with pytest.raises(Lost):
            ann.request(Join("1"))


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


class Counting(User):
    """Counts how many bytes it reads at a time."""

    most = 0

    def read(self, data: bytes, now: float) -> None:
        """Read as any user does."""
        self.most = max(self.most, len(data))
        super().read(data, now)


def test_flood() -> None:
    """However much a server sends, little of it is looked at while callers wait."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        user = Counting(load("ascii"), 0.0)
        dialled = Stream(socket.create_connection(listener.getsockname()))
        accepted, _ = listener.accept()
        with accepted:
            accepted.sendall(b"\n" * 64 * 1024)
        me = Session(user, lambda: dialled, dialled)
        with pytest.raises(Lost):
            for _ in me:
                pass
        me.close()
        assert 0 < user.most <= 4 * 1024
