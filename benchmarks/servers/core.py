"""Measure sans-IO cores alone: bytes go in, bytes come out, and there is no transport.

Ours takes the bytes of one SEND_MESSAGE and gives the bytes for each of ten members.  So does the hand-written one, which
checks nothing.  Those of other protocols have no members: they answer whoever has sent something.
"""

import gc
import statistics
from collections.abc import Callable, Mapping
from time import process_time_ns
from typing import Final

from rivals import TEXT

from improto.codec import load
from improto.messages import AnyMessage, Invite, Join, Register, SendMessage
from improto.server import Hub
from improto.service import Service

__all__ = ["OURS", "THEIRS", "cores"]

_MEMBERS: Final = 10

Work = Callable[[], None]
"""Takes one message in and gives what follows from it."""


def cores(
    chosen: Mapping[str, Callable[[], Work]], rounds: int, seconds: float, skipped: dict[str, str]
) -> dict[str, float]:
    """Give the seconds that each takes for one message: the median of rounds, in which they take turns."""
    works: dict[str, Work] = {}
    for name, make in chosen.items():
        try:
            works[name] = make()
        except ImportError as error:
            skipped[name] = str(error)
    times: dict[str, list[float]] = {name: [] for name in works}
    gc.disable()
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(_measure(work, seconds))
    gc.enable()
    return {name: statistics.median(of) for name, of in times.items()}


def _measure(work: Work, seconds: float) -> float:
    count, start = 0, process_time_ns()
    while process_time_ns() - start < seconds * 1e9:
        for _ in range(100):
            work()
        count += 100
    return (process_time_ns() - start) / count / 1e9


def _improto(name: str) -> Work:
    codec = load(name)
    service = Service(Hub(), [codec])
    peers = [service.connect(0.0) for _ in range(_MEMBERS)]

    def send(number: int, message: AnyMessage) -> None:
        service.receive(peers[number], codec.frame(codec.encode(message)))
        service.turn(0.0)

    for number in range(_MEMBERS):
        send(number, Register(f"user{number}", "here"))
    send(0, Invite(("user1",)))
    for number in range(_MEMBERS):
        send(number, Join("1"))
    for peer in peers:
        peer.take()
        peer.steady = True
    sender, data = peers[0], codec.frame(codec.encode(SendMessage("1", TEXT)))

    def work() -> None:
        service.receive(sender, data)
        for peer in service.turn(0.0):  # as bindings do it for those that have taken all so far
            assert peer.steady
            b"".join(peer.pieces)
            peer.pieces.clear()

    return work


def _hand_written() -> Work:
    class User:
        def __init__(self, name: str) -> None:
            self.name = name
            self.buffer = b""
            self.pieces: list[bytes] = []

    users = [User(f"user{number}") for number in range(_MEMBERS)]
    conversations = {"1": users}
    sender, data = users[0], f"SEND_MESSAGE 1 {TEXT}\n".encode()

    def work() -> None:
        *lines, sender.buffer = (sender.buffer + data).split(b"\n")
        changed: dict[User, None] = {}
        for line in lines:
            command, id, text = line.decode().split(" ", 2)
            if command == "SEND_MESSAGE":
                message = f"MESSAGE {id} {sender.name} {text}\n".encode()
                members = conversations[id]
                for member in members:
                    member.pieces.append(message)
                changed |= dict.fromkeys(members)
        for user in changed:
            b"".join(user.pieces)
            user.pieces.clear()

    return work


def _websockets() -> Work:
    from websockets.frames import Frame, Opcode
    from websockets.protocol import OPEN, SERVER, Protocol

    protocol = Protocol(SERVER, state=OPEN)
    data = Frame(Opcode.TEXT, TEXT.encode()).serialize(mask=True)

    def work() -> None:
        protocol.receive_data(data)
        for event in protocol.events_received():
            assert isinstance(event, Frame)
            protocol.send_text(event.data)
        b"".join(protocol.data_to_send())

    return work


def _wsproto() -> Work:
    from wsproto.connection import Connection, ConnectionType
    from wsproto.events import TextMessage

    connection = Connection(ConnectionType.SERVER)
    data = Connection(ConnectionType.CLIENT).send(TextMessage(TEXT))

    def work() -> None:
        connection.receive_data(data)
        for event in connection.events():
            assert isinstance(event, TextMessage)
            connection.send(TextMessage(event.data))

    return work


def _h11() -> Work:
    import h11

    connection = h11.Connection(h11.SERVER)
    data = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = h11.Response(status_code=200, headers=[(b"Content-Length", str(len(TEXT)).encode())])

    def work() -> None:
        connection.receive_data(data)
        while not isinstance(connection.next_event(), h11.EndOfMessage):
            pass
        for event in (answer, h11.Data(TEXT.encode()), h11.EndOfMessage()):
            connection.send(event)
        connection.start_next_cycle()

    return work


OURS: Final[Mapping[str, Callable[[], Work]]] = {
    "hand-written, Python": _hand_written,
    "improto ascii": lambda: _improto("ascii"),
    "improto json": lambda: _improto("json"),
}
THEIRS: Final[Mapping[str, Callable[[], Work]]] = {
    "websockets, echo": _websockets,
    "wsproto, echo": _wsproto,
    "h11, one request and its response": _h11,
}
