"""Measure the core alone: the bytes of one SEND_MESSAGE in, the bytes for each member out, with no transport."""

import gc
from time import process_time_ns

from rivals import TEXT

from improto.codec import load
from improto.messages import AnyMessage, Invite, Join, Register, SendMessage
from improto.server import Hub
from improto.service import Service

__all__ = ["core"]


def core(codec_name: str, members: int, rounds: int, seconds: float) -> float:
    """Give the seconds of one message, the best of some rounds."""
    codec = load(codec_name)
    service = Service(Hub(), [codec])
    peers = [service.connect(0.0) for _ in range(members)]

    def send(number: int, message: AnyMessage) -> None:
        service.receive(peers[number], codec.frame(codec.encode(message)))
        service.turn(0.0)

    for number in range(members):
        send(number, Register(f"user{number}", "here"))
    send(0, Invite(("user1",)))
    for number in range(members):
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

    gc.disable()
    times: list[float] = []
    for _ in range(rounds):
        count, start = 0, process_time_ns()
        while process_time_ns() - start < seconds * 1e9:
            for _ in range(100):
                work()
            count += 100
        times.append((process_time_ns() - start) / count / 1e9)
    gc.enable()
    return min(times)
