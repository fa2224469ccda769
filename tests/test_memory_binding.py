"""Tests of `improto.bindings.memory`: a whole server without sockets, on its own clock."""

import pytest

from improto.bindings.memory import End, Link, Server, Session
from improto.codec import load, load_all
from improto.messages import (
    Conversations,
    Goodbye,
    ListConversations,
    OnlineUsers,
    Register,
    Request,
    Response,
    Role,
)
from improto.server import Hub, Policy
from improto.service import Bounds, Service

JSON = load("json")


def server(bounds: Bounds | None = None) -> Server:
    """Make a server with nobody connected."""
    return Server(Service(Hub(Policy()), load_all(), bounds=bounds))


def send(link: Link, *requests: Request) -> None:
    """Send requests in one piece."""
    link.send(b"".join(JSON.frame(JSON.encode(request)) for request in requests))


def read(data: bytes) -> list[Response]:
    """Read what a server has written."""
    reader = JSON.reader(Role.SERVER)
    reader.feed(data)
    found: list[Response] = []
    while (message := reader.next(2**24)) is not None:
        assert isinstance(message, Response)
        found.append(message)
    return found


def test_conversation() -> None:
    """A client registers, asks and gets its answers, and the end of the stream after GOODBYE."""
    link = server().connect()
    send(link, Register("ann", "here"), ListConversations(), Goodbye())
    assert read(link.receive(1.0)) == [OnlineUsers({"ann": "here"}), Conversations({})]
    assert link.receive(1.0) == b""


def test_time_passes_only_for_who_waits() -> None:
    """The clock stands until somebody waits, and then jumps to what is due or to the end of the wait."""
    hall = server()
    ann, bo = hall.connect(), hall.connect()
    send(ann, Register("ann", ""))
    ann.receive(1.0)
    send(bo, Register("bo", ""))
    bo.receive(1.0)
    assert hall.now() == 0.0
    assert read(ann.receive(5.0)) == [OnlineUsers({"ann": "", "bo": ""})]
    assert hall.now() == 1.0
    with pytest.raises(TimeoutError):
        ann.receive(5.0)
    assert hall.now() == 6.0


def test_silent_connection() -> None:
    """A connection that says nothing is closed when its time is over, which takes no time here."""
    hall = server()
    assert hall.connect().receive(100.0) == b""
    assert hall.now() == 60.0


def test_half_close() -> None:
    """After a half-close the replies still come, and then the end."""
    link = server().connect()
    send(link, Register("ann", ""), ListConversations())
    link.half_close()
    assert read(link.receive(1.0))[-1] == Conversations({})
    assert link.receive(1.0) == b""


def test_reset() -> None:
    """A connection that is broken off takes its user offline."""
    hall = server()
    link = hall.connect()
    send(link, Register("ann", ""))
    link.receive(1.0)
    link.reset()
    link.close()
    hall.run()
    assert list(hall.service.hub.online) == []


def test_slow_reader() -> None:
    """Who does not read is not read from, and gets everything later, in order (FLOW-1, FLOW-6)."""
    hall = server(Bounds(queued=1000))
    link = hall.connect()
    send(link, Register("ann", ""))
    link.receive(1.0)
    for _ in range(20_000):
        send(link, ListConversations())
    hall.run()
    got = b""
    while got.count(b"CONVERSATIONS") < 20_000:
        got += link.receive(1.0)
    assert len(read(got)) == 20_000


def test_prompt() -> None:
    """A prompt server deals with what is sent before anybody receives."""
    hall = Server(Service(Hub(), [JSON]), prompt=True)
    send(hall.connect(), Register("ann", "here"))
    assert hall.service.hub.online == {"ann": "here"}


def test_end_after_goodbye() -> None:
    """A client waits for the end of its connection for a second after GOODBYE, and before it for ever (CLIENT-20)."""
    session = Session(JSON)
    session.request(Register("ann", "here"))
    session.feed(JSON.frame(JSON.encode(OnlineUsers({"ann": "here"}))))
    session.told.clear()
    session.wait(1000.0)
    assert not session.closed
    session.request(Goodbye())
    session.wait(0.9)
    assert not session.closed
    session.wait(1.0)
    assert session.closed
    assert list(session.told) == [End.CLOSED]
