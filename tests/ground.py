"""Where faults are tried: a server in a process of its own, and parties that can do to it what a network does.

Nothing here or in `faults` knows how a binding works: a `Ground` gives parties of the suite, and for each of them its
`Cable`, which carries its bytes and can be cut anywhere.
"""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import pytest
import trustme

from improto.codec import Codec, load
from improto_conformance.connections.links import SocketLink
from improto_conformance.connections.websocket import Dialer
from improto_conformance.servers.party import Party, Waits
from improto_conformance.servers.stage import Stage
from network import Network, network
from programs import DEADLINE

__all__ = ["BINDINGS", "EXAMPLE", "Binding", "Cable", "Ground", "Held", "grounded"]

_SMALL: Final = 64 * 1024  # what the system takes for a client that reads nothing
_SERVED: Final = Path(__file__).with_name("served.py")


class Binding(NamedTuple):
    """A way to serve."""

    package: str
    """Of `improto.bindings`, or `trio`."""
    scheme: str
    """Of its URLs."""

    def __str__(self) -> str:
        return f"{self.package} {self.scheme}"

    @property
    def secure(self) -> bool:
        """Whether it is behind TLS."""
        return self.scheme in ("tls", "wss")

    @property
    def frames(self) -> bool:
        """Whether messages come in frames of WebSocket."""
        return self.scheme in ("ws", "wss")


BINDINGS: Final = (
    Binding("asyncio", "tcp"),
    Binding("asyncio", "tls"),
    Binding("asyncio", "unix"),
    Binding("websocket", "ws"),
    Binding("websocket", "wss"),
    Binding("threads", "tcp"),
    Binding("threads", "tls"),
    Binding("threads", "unix"),
)
EXAMPLE: Final = Binding("trio", "tcp")
"""`examples/trio_server.py`, which takes no options but `bounds`, and has other words for its troubles."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a server's process holds."""

    peers: int
    """Connections that its core knows, found among all its objects."""
    queued: int
    """Bytes that wait for them there."""
    tasks: int
    descriptors: int
    threads: int


class Cable(SocketLink):
    """What one party is connected by."""

    def __init__(self, connected: socket.socket) -> None:
        """Carry all that is sent, until `left` says how many bytes are still to be."""
        super().__init__(connected, DEADLINE)
        self.left: int | None = None
        self.lost = b""
        """What was sent beyond that."""

    def send(self, data: bytes) -> None:
        """Send."""
        if self.left is not None:
            data, self.lost = data[: self.left], self.lost + data[self.left :]
            self.left -= len(data)
        super().send(data)


class Ground:
    """A running server and its parties; `grounded` makes it."""

    def __init__(
        self, binding: Binding, process: "subprocess.Popen[bytes]", trusted: ssl.SSLContext, stack: ExitStack
    ) -> None:
        self.binding = binding
        self.process = process
        self._trusted = trusted
        self._stack = stack
        self._cables: list[Cable] = []
        self.url = self._line()
        """Where the server listens."""
        dial = Dialer(self._dial, self.url) if binding.frames else self._dial
        self.stage = Stage(dial, load("json"), "", Waits(DEADLINE))
        self._stack.callback(self.stage.close)
        self.idle = self.held()
        self.between: Network | None = None

    @property
    def network(self) -> Network:
        """The network in between, if the server is on another host."""
        assert self.between is not None
        return self.between

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode().strip().removeprefix("listening on ")
        assert line, "the server has ended"
        return line

    # -- parties ----------------------------------------------------------------------------------------------------

    def plain(self) -> socket.socket:
        """Connect, and begin with nothing, neither TLS nor WebSocket."""
        if self.binding.scheme == "unix":
            made = socket.socket(socket.AF_UNIX)
            where: Any = self.url.removeprefix("unix:")
        else:
            made = socket.socket()
            host, port = self.url.partition("://")[2].split(":")
            where = host, int(port)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)
        self._stack.callback(made.close)
        made.settimeout(DEADLINE)
        made.connect(where)
        return made

    def _dial(self, timeout: float, codec: Codec) -> Cable:
        made = self.plain()
        if self.binding.secure:
            made = self._trusted.wrap_socket(made, server_hostname="localhost")
            self._stack.callback(made.close)
        self._cables.append(Cable(made))
        return self._cables[-1]

    def connect(self, label: str) -> tuple[Party, Cable]:
        """Connect a party, which is not registered."""
        party = self.stage.connect(label)
        return party, self._cables[-1]

    def enter(self, label: str) -> tuple[Party, Cable]:
        """Connect and register a party."""
        party, cable = self.connect(label)
        self.stage.register(party)
        return party, cable

    def talk(self, *labels: str) -> tuple[Sequence[Party], Sequence[Cable]]:
        """Have parties in one conversation."""
        count = len(self._cables)
        return self.stage.talk(*labels), self._cables[count:]

    # -- the server -------------------------------------------------------------------------------------------------

    def held(self) -> Held:
        """Ask the server what it holds; it has had a turn when it answers."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        told = cast(dict[str, int], json.loads(self._line()))
        proc = Path(f"/proc/{self.process.pid}")
        counted = {"descriptors": len(os.listdir(proc / "fd")), "threads": len(os.listdir(proc / "task"))}
        return Held(**told, **counted)

    def until(self, wanted: Callable[[Held], bool]) -> None:
        """Ask again and again until the server holds what it is to hold."""
        end = time.monotonic() + DEADLINE
        while not wanted(held := self.held()):
            assert time.monotonic() < end, f"it holds {held}, and held {self.idle} at the beginning"

    @contextmanager
    def failing(self, call: str, error: str) -> Generator[None]:
        """Have the server's next system call of a kind fail, in each of its threads; a test that cannot is skipped."""
        strace = shutil.which("strace")
        if strace is None:
            pytest.skip("there is no strace")
        command = [strace, "-f", "-o", os.devnull, "-e", f"inject={call}:error={error}:when=1"]
        with subprocess.Popen(
            [*command, "-p", str(self.process.pid)], stderr=subprocess.PIPE, text=True
        ) as tracer:
            assert tracer.stderr is not None
            told = tracer.stderr.readline()
            if "attached" not in told:
                pytest.skip(told)
            yield
            tracer.terminate()

    def end(self) -> int:
        """End the server in order and give its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)

    def judge(self) -> None:
        """Expect of the server what it promises after every fault: it serves as before, and nothing remains."""
        if self.process.poll() is None:
            self.enter("newcomer")[0].barrier()
            self.stage.close()
            self.until(lambda held: held == self.idle)
            self.end()
        assert self.process.returncode == 0


@contextmanager
def grounded(
    binding: Binding, options: dict[str, Any], said: str = "", *, networked: bool = False
) -> Generator[Ground]:
    """Run a server for a fault; what it prints as errors has to match `said` as a whole.

    With `networked` it is on another host, and `Ground.network` is between.
    """
    authority = trustme.CA()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "cert.pem")
        trusted = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
        given: dict[str, Any] = {"host": "127.0.0.1"}
        given |= {"path": str(folder / "socket"), "certificate": str(folder / "cert.pem"), **options}
        between = stack.enter_context(network()) if networked else None
        prefix: list[str] = []
        if between is not None:
            given["host"], prefix = between.host, between.prefix
        errors = stack.enter_context((folder / "errors").open("w+"))
        process = stack.enter_context(
            subprocess.Popen(
                [*prefix, sys.executable, "-W", "error", _SERVED, *binding, json.dumps(given)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        )
        stack.callback(process.kill)
        ground = Ground(binding, process, trusted, stack)
        ground.between = between
        yield ground
        ground.judge()
        errors.seek(0)
        told = errors.read()
        assert re.fullmatch(said, told), told
