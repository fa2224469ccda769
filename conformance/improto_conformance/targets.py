"""What is checked: a server that listens somewhere, or a program that is started for the run.

    tcp://host:port         a server that runs already
    cmd:'prog {port}'       a program that is to listen on 127.0.0.1 at the port it is given

A program is ended with its whole process group, also if the suite itself fails.
"""

import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from tempfile import TemporaryFile
from typing import IO
from urllib.parse import urlsplit

from improto.errors import ImprotoError, UsageError

__all__ = ["Address", "NoTarget", "opened"]

Address = tuple[str, int]

_START = 10.0  # seconds that a program may take to listen
_STOP = 5.0  # … and to end after SIGTERM


class NoTarget(ImprotoError):
    """The target cannot be started, reached or understood."""


@contextmanager
def opened(target: str) -> Generator[Address]:
    """Give the address of a target, started for as long as the block runs.

    UsageError if `target` is not one; NoTarget if it cannot be started or reached.
    """
    if target.startswith("cmd:"):
        with _started(target.removeprefix("cmd:")) as address:
            yield address
        return
    try:
        parts = urlsplit(target)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
        parts = None
    if parts is None or parts.scheme != "tcp" or not host or port is None:
        raise UsageError(f"{target!r} is no target; write tcp://HOST:PORT or cmd:'PROGRAM {{port}}'")
    try:
        socket.create_connection((host, port), _START).close()
    except OSError as error:
        raise NoTarget(
            f"nothing listens at {host}:{port} ({error.strerror or error}); start the server first"
        ) from None
    yield host, port


@contextmanager
def _started(command: str) -> Generator[Address]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    words = [word.replace("{port}", str(port)) for word in shlex.split(command)]
    if not words:
        raise UsageError("cmd: needs a program; write cmd:'PROGRAM {port}'")
    with TemporaryFile() as said:  # no pipe: whoever writes much into one that nobody reads stops there
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
            )
        except OSError as error:
            raise NoTarget(f"{words[0]!r} cannot be started ({error.strerror}); check the command") from None
        try:
            _await(process, port, words[0], said)
            yield "127.0.0.1", port
        finally:
            _end(process)


def _await(process: "subprocess.Popen[bytes]", port: int, name: str, said: IO[bytes]) -> None:
    """Wait until the program listens."""
    end = time.monotonic() + _START
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            pass
        else:
            return
        # Waiting for the end of the program is the pause between two tries.
        try:
            code = process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        said.seek(0)
        last = said.read().decode(errors="replace").strip().rpartition("\n")[2]
        raise NoTarget(f"{name!r} ended with exit code {code} before it listened on port {port}: {last}")
    raise NoTarget(f"{name!r} does not listen on port {port} after {_START:g} s; does it use {{port}}?")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the program in order if it does so in time, and then whatever is left of its process group."""
    for signum in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signum)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP)
