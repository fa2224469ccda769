"""The client that is checked: one that a driver operates, or a program that is started with an address and a name.

A subject has at most one client at a time.  It gives the suite the server's end of that client's connection, and the lines
of the driver.  Each program is started in a process group of its own, and ended together with the whole group.
"""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from select import select
from sys import getsizeof
from typing import Final, Protocol, TextIO, cast

from improto_conformance.clients.lines import NoDriver
from improto_conformance.connections.links import Link, SocketLink
from improto_conformance.transcripts.complaints import Inconclusive, last_words

__all__ = ["Accept", "Driven", "Lone", "Subject"]

_START: Final = 10.0  # seconds that a program may take to start, even if the time-out is shorter
_STOP: Final = 5.0  # … and to end
_LOOK: Final = 0.05  # … between two looks whether a program that has not connected has ended
# Bytes of an event: the longest message of a server, with every character escaped.  A driver that has written more than
# these, which nobody has heard yet, has to wait.
_LINE: Final = 128 * 1024 * 1024
_REST: Final = 64 * 1024  # bytes that are read at a time of what nobody will hear
_SAID: Final = 4096  # characters of standard error that are kept
# Bytes that the system buffers in each direction: so few that both ends soon have to wait.
_FROM_CLIENT: Final = 16 * 1024
_ROOM: Final = 4 * 1024 * 1024  # what Linux lets the client's end grow to, where nobody has changed it
_TO_CLIENT: Final = 64 * 1024


Accept = Callable[[float], Link]
"""Waits for the client's connection, for at most so many seconds; TimeoutError if it does not come.

For a client without a driver, Inconclusive if it does not connect in the time that a program may take to start.
"""


class Subject(Protocol):
    """What one check needs of a client besides its connection."""

    driven: bool
    """Whether it can be told what to do."""
    room: int
    """A number of bytes that is larger than what can be on its way from the client while nobody reads."""
    closed: bool
    """Whether it has been closed, so that it cannot be used any more."""

    def begin(self, codec: str, name: str) -> Accept:
        """Get ready for one check, and give the function that accepts the client's connection."""
        ...

    def address(self) -> tuple[str, int]:
        """Give where the client is to connect."""
        ...

    def ask(self, line: str) -> None:
        """Give the driver a line."""
        ...

    def hear(self, timeout: float) -> str | None:
        """Give the driver's next line, None at its end; TimeoutError if nothing comes in so many seconds."""
        ...

    def now(self) -> float:
        """Give the time on the clock of this subject, in seconds."""
        ...

    def ending(self) -> str:
        """Say how it ended, as words that can follow its name."""
        ...

    def over(self) -> None:
        """End the check."""
        ...

    def close(self) -> bool:
        """End the program, and tell whether it ended in an orderly way."""
        ...


class _Listener:
    """Waits for the one connection of a check."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _FROM_CLIENT)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()

    def address(self) -> tuple[str, int]:
        host, port = self._socket.getsockname()
        return str(host), int(port)

    def called(self, seconds: float) -> bool:
        """Wait so many seconds for a connection, and tell whether there is one."""
        return bool(select([self._socket], [], [], seconds)[0])

    def accept(self, timeout: float) -> Link:
        self._socket.settimeout(timeout)
        accepted, _ = self._socket.accept()
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _TO_CLIENT)
        return SocketLink(accepted, timeout)

    def close(self) -> None:
        self._socket.close()


class _Program:
    """A subject that is a program, or many."""

    room = _ROOM
    closed = False

    def __init__(self) -> None:
        self._listener: _Listener | None = None
        self._process: subprocess.Popen[str] | None = None
        self._keeper = threading.Thread()  # of standard error
        self._said = ""

    def address(self) -> tuple[str, int]:
        """Give where the client is to connect."""
        assert self._listener is not None
        return self._listener.address()

    def now(self) -> float:
        """Give the system's time."""
        return time.monotonic()

    def ending(self) -> str:
        """Say with which exit code it ended, and the last line that it wrote to standard error."""
        assert self._process is not None
        try:
            code = self._process.wait(_STOP)
        except subprocess.TimeoutExpired:
            return "closed its end, and lives on"
        self._keeper.join(_STOP)
        said = last_words(self._said.splitlines())
        return f"ended with exit code {code if code >= 0 else 128 - code}{said}"

    def over(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _start(self, words: Sequence[str], stdout: int) -> "subprocess.Popen[str]":
        self._process = process = _started(words, stdout)
        self._said = ""
        self._keeper = threading.Thread(target=self._keep, args=(process,), daemon=True)
        self._keeper.start()
        return process

    def _keep(self, process: "subprocess.Popen[str]") -> None:
        """Keep the end of standard error."""
        assert process.stderr is not None
        with process.stderr as pipe:
            while line := pipe.readline(_SAID):
                self._said = (self._said + line)[-_SAID:]


class Driven(_Program):
    """A driver: one process for many checks, told by lines."""

    driven = True

    def __init__(self, words: Sequence[str], patience: float = _STOP) -> None:
        """Start it; NoDriver if that fails.  `patience`: seconds that it may take to end."""
        super().__init__()
        self._patience = patience
        self._worker = self._start(words, stdout=subprocess.PIPE)
        self._until = time.monotonic() + _START  # for its first line
        self._lines: SimpleQueue[bytes | None] = SimpleQueue()
        self._unheard = 0  # bytes of memory that these lines take
        self._less = threading.Condition()  # that there are less of them, or that nobody will hear them
        self._asked: SimpleQueue[str | None] = SimpleQueue()
        # Each pipe has its thread, so that neither side waits for the other to read, however large the messages are.
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._write, self._read)]
        for thread in self._threads:
            thread.start()

    def begin(self, codec: str, name: str) -> Accept:
        """Listen."""
        self._listener = _Listener()
        return self._listener.accept

    def ask(self, line: str) -> None:
        """Write the line as soon as the driver reads."""
        self._asked.put(line)

    def hear(self, timeout: float) -> str | None:
        """Give a line."""
        try:
            line = self._lines.get(timeout=max(0.001, timeout, self._until - time.monotonic()))
        except Empty:
            raise TimeoutError from None
        self._until = 0.0
        if line is None:
            return None
        with self._less:
            self._unheard -= getsizeof(line)
            self._less.notify()
        return line.decode(errors="replace")

    def close(self) -> bool:
        """End the driver's input, whereupon it must end; if it does not, end it, and return False."""
        with self._less:
            self.closed = True
            self._less.notify()
        self.over()
        self._asked.put(None)
        in_order = True
        try:
            self._worker.wait(self._patience)
        except subprocess.TimeoutExpired:
            in_order = False
        _end(self._worker)
        for thread in (*self._threads, self._keeper):
            thread.join(_STOP)
        return in_order

    def _write(self) -> None:
        assert self._worker.stdin is not None
        # It raises if the driver has ended, which its output tells.
        with suppress(OSError, ValueError), self._worker.stdin as pipe:
            while (line := self._asked.get()) is not None:
                pipe.write(line + "\n")
                pipe.flush()

    def _read(self) -> None:
        with cast(TextIO, self._worker.stdout).buffer as pipe:
            line = b"\n"
            while self._has_room() and line.endswith(b"\n") and (line := pipe.readline(_LINE)):
                with self._less:
                    self._unheard += getsizeof(line)
                self._lines.put(line)
            while pipe.read(_REST):
                pass  # so that it can still end in order
        self._lines.put(None)

    def _has_room(self) -> bool:
        """Wait until a line can be kept; tell whether anybody will hear it."""
        with self._less:
            self._less.wait_for(lambda: self.closed or self._unheard < _LINE)
            return not self.closed


class Lone(_Program):
    """A client that knows nothing of the suite: a program that is started once for each check."""

    driven = False

    def __init__(self, words: Sequence[str]) -> None:
        """Take a command in which `{host}`, `{port}`, `{user}` and `{codec}` stand for values that the client needs."""
        super().__init__()
        self._words = words

    def begin(self, codec: str, name: str) -> Accept:
        """Listen, and start the program; NoDriver if that fails."""
        self._listener = _Listener()
        self.start(self._listener.address(), codec, name)
        return self._accept

    def _accept(self, timeout: float) -> Link:
        """Wait for the client to connect; Inconclusive if it does not, since that says nothing about any clause."""
        assert self._listener is not None
        assert self._process is not None
        bound = max(timeout, _START)
        end = time.monotonic() + bound
        while not self._listener.called(_LOOK):
            if _over(self._process) and not self._listener.called(0.0):
                raise Inconclusive(f"before it connected, the client {self.ending()}")
            if time.monotonic() > end:
                raise Inconclusive(f"the client does not connect within {bound:g} s")
        return self._listener.accept(timeout)

    def start(self, address: tuple[str, int], codec: str, name: str) -> None:
        """Start the program for a given server; NoDriver if that fails."""
        host, port = address
        known = {"{host}": host, "{port}": str(port), "{user}": name, "{codec}": codec}
        words = [_filled(word, known) for word in self._words]
        # Its input stays open without any bytes, since many clients end when it ends.
        self._start(words, stdout=subprocess.DEVNULL)

    def ask(self, line: str) -> None:
        """Do nothing, since there is no driver."""

    def hear(self, timeout: float) -> str | None:
        """Give None, since there is no driver."""
        return None

    def over(self) -> None:
        """End the program."""
        super().over()
        if self._process is not None:
            _end(self._process)
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process = None

    def close(self) -> bool:
        """Do nothing more."""
        return True


def _filled(word: str, known: Mapping[str, str]) -> str:
    for name, value in known.items():
        word = word.replace(name, value)
    return word


def _started(words: Sequence[str], stdout: int) -> "subprocess.Popen[str]":
    try:
        return subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise NoDriver(f"{words[0]!r} cannot be started ({error.strerror}); check the command") from None


def _over(process: "subprocess.Popen[str]") -> bool:
    """Tell whether a program has ended, with all of its process group."""
    if process.poll() is None:
        return False
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return True
    return False


def _end(process: "subprocess.Popen[str]") -> None:
    """End what is left of the process group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
