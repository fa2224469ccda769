"""What drives a server: connections of one process, and the clock of the server's processor time."""

import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from rivals import MARK, Rival

__all__ = ["Crowd", "Running", "running"]

AT_ONCE = 64
"""Users who log in at the same time."""
PATIENCE = 60.0
"""Seconds after which a server is given up."""


@dataclass(frozen=True)
class Running:
    """A server that runs."""

    rival: Rival
    pid: int
    port: int

    def cpu(self) -> float:
        """Give the seconds that all its threads have computed so far, to the nanosecond (clock_getcpuclockid(3))."""
        return time.clock_gettime((~self.pid << 3) | 2)

    def memory(self) -> int:
        """Give the bytes that it holds in memory."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise OSError("the server has ended")


@contextmanager
def running(rival: Rival) -> Iterator[Running]:
    """Start a server, wait until it listens, and end it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            rival.command(port, Path(folder)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            until = time.monotonic() + PATIENCE
            while True:
                with suppress(OSError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                if process.poll() is not None or time.monotonic() > until:
                    raise OSError(f"{rival.name} does not start")
                time.sleep(0.02)
            yield Running(rival, process.pid, port)
        finally:
            process.kill()
            process.wait()


@dataclass
class Crowd:
    """Connections to one server: the members of one conversation, and who sends to it."""

    server: Running
    members: list[socket.socket] = field(default_factory=list)
    heard: int = 0
    """How many deliveries have arrived."""

    def __post_init__(self) -> None:
        self.poll = select.epoll()
        self.by_number: dict[int, socket.socket] = {}

    def connect(self) -> socket.socket:
        """Open one more connection."""
        new = socket.create_connection(("127.0.0.1", self.server.port))
        new.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.poll.register(new, select.EPOLLIN)
        self.by_number[new.fileno()] = new
        return new

    def take(self, timeout: float) -> Sequence[tuple[int, bytes]]:
        """Read whatever arrives, by descriptor; nothing if nothing comes in time."""
        found: list[tuple[int, bytes]] = []
        for number, _ in self.poll.poll(timeout):
            data = self.by_number[number].recv(1 << 18)
            if not data:
                raise OSError(f"{self.server.rival.name} has closed a connection")
            self.heard += data.count(MARK)
            found.append((number, data))
        return found

    def hear(self, count: int, timeout: float = PATIENCE) -> bool:
        """Read until so many deliveries have arrived; tell whether they did."""
        until = time.monotonic() + timeout
        while self.heard < count:
            if time.monotonic() > until:
                return False
            self.take(1.0)
        return True

    def answered(self, sockets: Sequence[socket.socket]) -> None:
        """Read until each of these has been welcomed, or has received something if that is welcome enough."""
        missing = {each.fileno() for each in sockets}
        until = time.monotonic() + PATIENCE
        while missing:
            if time.monotonic() > until:
                raise OSError(f"{self.server.rival.name} does not answer")
            missing.difference_update(
                number for number, data in self.take(1.0) if self.server.rival.welcome in data
            )

    def settle(self, seconds: float = 0.2) -> None:
        """Read until nothing has come for a while."""
        while self.take(seconds):
            pass

    def gather(self, size: int) -> None:
        """Bring so many members into one conversation, those who are there already included."""
        rival = self.server.rival
        first = len(self.members)
        self.come(size)
        new = self.members[first:]
        if rival.begin and not first:
            self.members[0].sendall(rival.begin)
            self.settle()
        for number, each in enumerate(new, first):
            each.sendall(rival.enter(number))
            self.take(0.0)
        self.sender = self.members[0]
        if rival.apart:
            self.sender = self.connect()
            self.sender.sendall(rival.apart)
        self.receivers = size - (not rival.reads_own)
        until = time.monotonic() + PATIENCE
        while True:  # until all are in
            self.settle()
            self.heard = 0
            self.sender.sendall(rival.message)
            if self.hear(self.receivers, 0.5):
                break
            if time.monotonic() > until:
                raise OSError(f"only {self.heard} of {self.receivers} receive what is sent to {rival.name}")

    def come(self, total: int) -> None:
        """Have users connect and register, some at once, until there are so many; each is waited for."""
        hello = self.server.rival.hello
        while (first := len(self.members)) < total:
            new = [self.connect() for _ in range(first, min(first + AT_ONCE, total))]
            self.members += new
            for number, each in enumerate(new, first):
                each.sendall(hello(number))
            if hello(first):
                self.answered(new)

    def answers(self, count: int) -> None:
        """Read until there have come so many answers to the rival's question."""
        answer = self.server.rival.answer
        ends: dict[int, bytes] = {}  # of what has arrived: an answer may come in two parts
        seen, until = 0, time.monotonic() + PATIENCE
        while seen < count:
            if time.monotonic() > until:
                raise OSError(f"{self.server.rival.name} has answered {seen} of {count}")
            for number, data in self.take(1.0):
                data = ends.get(number, b"") + data
                seen += data.count(answer)
                ends[number] = data[1 - len(answer) :]

    def say(self, count: int) -> None:
        """Send so many messages at once, and read until all have arrived everywhere."""
        self.heard = 0
        self.sender.sendall(self.server.rival.message * count)
        if not self.hear(self.receivers * count):
            raise OSError(f"{self.server.rival.name} has lost messages")

    def close(self) -> None:
        """Close all connections."""
        self.poll.close()
        for each in self.by_number.values():
            each.close()
