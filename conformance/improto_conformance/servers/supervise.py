"""Runs a program so that nothing of it is left behind, whatever happens to the suite.

A small process stands between the suite and the program.  Its standard input is a pipe from the suite.  When the pipe ends,
because the suite is done or was killed, the process ends the program and everything that the program has started.  It is the
"subreaper" of their orphans, so this includes programs that fork, start a session of their own, or end before their children.
It kills whatever does not end on SIGTERM.  If this process itself is killed, the system kills the program.

It is run as a file and not as a module, and needs only the standard library, so that it starts fast.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select
from threading import Thread
from time import monotonic
from typing import IO, Final

__all__ = ["Program", "supervised"]

GRACE: Final = 2.0
"""Seconds between SIGTERM and SIGKILL."""
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_PAUSE: Final = 0.02  # seconds between two looks at what is still alive
_WORDS: Final = 20  # lines that are kept of what a program prints
_LINE: Final = 1024  # bytes


class Program:
    """A program that runs under a supervisor."""

    def __init__(self, words: Sequence[str]) -> None:
        """Start it; its output is read, and the last lines are kept."""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is handled by the suite
        )
        assert self._process.stdout is not None
        self._said: deque[bytes] = deque(maxlen=_WORDS)
        self._reader = Thread(target=_keep, args=(self._process.stdout, self._said), daemon=True)
        self._reader.start()

    def wait(self, seconds: float) -> int | None:
        """Give the exit code if the program, and all that it started, ends within some seconds, else None."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def last_words(self) -> list[str]:
        """Give the last lines that the program has printed."""
        if self._process.poll() is not None:
            self._reader.join(GRACE)
        return [line.decode(errors="replace").rstrip() for line in self._said]

    def end(self) -> None:
        """End the program and all that it started."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._reader.join(GRACE)


@contextmanager
def supervised(words: Sequence[str]) -> Generator[Program]:
    """Run a program for as long as the block runs."""
    program = Program(words)
    try:
        yield program
    finally:
        program.end()


def _keep(pipe: IO[bytes], said: "deque[bytes]") -> None:
    with pipe:
        while line := pipe.readline(_LINE):
            said.append(line)


def _supervise(words: Sequence[str]) -> int:
    """Run a program until it has ended, or until standard input ends; give its exit code."""
    wakeup, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    for signum in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, _wake)  # a handler, since the program would inherit an ignored signal
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        program = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509  (there are no threads here)
        )
    except OSError as error:
        print(f"{words[0]}: {error.strerror}", file=sys.stderr)
        return 127
    codes: dict[int, int] = {}
    while _reap(codes):
        readable, _, _ = select([0, wakeup], [], [])
        if 0 in readable:
            _end_all(program.pid, codes)
            break
        os.read(wakeup, 4096)
    program.returncode = codes.get(program.pid, 0)
    return program.returncode


def _wake(signum: int, frame: object) -> None:
    """Do nothing; the pipe shows that a signal has come."""


def _reap(codes: dict[int, int]) -> bool:
    """Note the exit codes of the children that have ended; tell whether there are others."""
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            code = os.waitstatus_to_exitcode(found[1])
            codes[found[0]] = code if code >= 0 else 128 - code
        return True
    return False


def _end_all(group: int, codes: dict[int, int]) -> None:
    """End the program and all that came from it, `group` being its process group."""
    for signum in (signal.SIGTERM, signal.SIGKILL):
        end = monotonic() + GRACE
        told: set[int] = set()
        while _reap(codes) and monotonic() < end:
            alive = set(_descendants() or [-group])  # where there is no /proc, at least its process group
            for pid in alive - told:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signum)
            told |= alive
            select([], [], [], _PAUSE)  # grandchildren end without a word to this process


def _descendants() -> list[int]:
    """Find all processes that come from this one."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended in the meantime
            parent = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = [os.getpid()]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]


def _prctl(option: int, value: int) -> None:
    with suppress(AttributeError):  # only Linux has it
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(_supervise(sys.argv[1:]))
