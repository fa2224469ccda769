"""Runs programs as a user does, for the tests: types into them and reads what they print."""

import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

__all__ = ["DEADLINE", "IMPROTO", "Program", "Programs", "check", "running"]

IMPROTO = Path(sys.executable).with_name("improto")
DEADLINE = 15.0


class Program:
    """A running program, with all that it prints."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        """Start it."""
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        )
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._seen: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.decode().removesuffix("\n"))
        self._lines.put(None)

    def type(self, *lines: str) -> None:
        """Type lines."""
        assert self.process.stdin is not None
        for line in lines:
            self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    def expect(self, pattern: str) -> re.Match[str]:
        """Skip lines up to one that matches as a whole."""
        end = time.monotonic() + DEADLINE
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                pytest.fail(f"no line {pattern!r} in {self._seen}")
            self._seen.append(line)
            if match := re.fullmatch(pattern, line):
                return match

    def end(self, *, stdin: bool = True) -> tuple[int, list[str]]:
        """Wait for the end, after that of its input unless it is to end by itself; give code and all lines."""
        assert self.process.stdin is not None
        if stdin:
            self.process.stdin.close()
        code = self.process.wait(DEADLINE)
        while (line := self._lines.get(timeout=DEADLINE)) is not None:
            self._seen.append(line)
        return code, self._seen

    def stop(self) -> None:
        """Kill what still runs and close the pipes."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class Programs:
    """Starts programs and stops them at the end of a test."""

    def __init__(self, stack: ExitStack) -> None:
        """Stop all when `stack` is closed."""
        self._stack = stack

    def run(self, *command: str | Path) -> Program:
        """Run any program."""
        program = Program(command)
        self._stack.callback(program.stop)
        return program

    def start(self, *arguments: str) -> Program:
        """Run `improto` with arguments."""
        return self.run(IMPROTO, *arguments)

    def serve(self, *options: str) -> tuple[Program, str]:
        """Run a server that sends rosters at once, and give its address."""
        server = self.start("serve", "--port", "0", "--settle", "0", *options)
        return server, server.expect(r"improto: listening on (tcp://127\.0\.0\.1:\d+).*")[1]

    def addresses(self, *options: str) -> list[str]:
        """Run a server on several listeners, and give their addresses."""
        server = self.start("serve", "--port", "0", "--settle", "0", *options)
        return server.expect(r"improto: listening on (.*)")[1].split(" ")

    def chat(self, url: str, name: str, *options: str) -> Program:
        """Run a client."""
        return self.start("chat", url, name, *(options or ("--codec", "json")))

    def registered(self, url: str, name: str, *options: str) -> Program:
        """Run a client and wait until it is registered."""
        program = self.chat(url, name, *options)
        program.expect(rf"\* registered as {re.escape(name)}")
        return program


@contextmanager
def running() -> Generator[Programs]:
    """Give a place to start programs at; all are stopped at the end."""
    with ExitStack() as stack:
        yield Programs(stack)


def check(*arguments: str) -> tuple[int, str]:
    """Run `improto check server` and give exit code and output."""
    done = subprocess.run(
        [IMPROTO, "check", "server", *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr
