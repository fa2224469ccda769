"""Tests of the supervisor: whatever a started program does, nothing of it is left behind."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from improto_conformance.servers.supervise import supervised
from programs import DEADLINE

# Each of these writes "ready PID" for the process that has to be gone in the end.
PROGRAMS = {
    "plain": "say(); wait()",
    "forks": "pid = os.fork(); say() if not pid else None; wait()",
    "takes a session of its own": "pid = os.fork(); os.setsid() if not pid else None; say() if not pid else None; wait()",
    "daemonises": "if os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\nsay(); wait()",
    "ignores SIGTERM": "signal.signal(signal.SIGTERM, signal.SIG_IGN); say(); wait()",
    "forks on SIGTERM": """
def again(*_):
    if not os.fork():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.setsid()
signal.signal(signal.SIGTERM, again); say(); wait()""",
}
PRELUDE = """
import os, signal, sys
def say():
    print("ready", os.getpid(), flush=True)
def wait():
    while True:
        signal.pause()
"""
# What the suite does, as a process that can be killed.
SUITE = """
import sys
from improto_conformance.servers.supervise import supervised
with supervised(sys.argv[1:]) as program:
    while not program.last_words():
        assert program.wait(0.01) is None
    print(*program.last_words(), flush=True)
    sys.stdin.read()
"""


def python(code: str) -> list[str]:
    """Give the command that runs a program."""
    return [sys.executable, "-c", PRELUDE + code]


@pytest.fixture
def gone() -> Iterator["Gone"]:
    """Give what waits for the end of processes, and kills in the end what it waited for in vain."""
    with ExitStack() as stack:
        yield Gone(stack)


class Gone:
    """Handles on processes."""

    def __init__(self, stack: ExitStack) -> None:
        """Close all handles with the stack."""
        self._stack = stack
        self._handles: list[int] = []

    def watch(self, ready: str) -> None:
        """Watch the process that has said "ready PID"."""
        handle = os.pidfd_open(int(ready.removeprefix("ready ")))
        self._stack.callback(os.close, handle)
        self._handles.append(handle)

    def check(self) -> None:
        """Fail if one of the processes lives on."""
        for handle in self._handles:
            if not select.select([handle], [], [], DEADLINE)[0]:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                pytest.fail("a process was left behind")


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "ignores SIGTERM"])
def test_end(name: str, gone: Gone) -> None:
    """At the end of the block nothing lives on."""
    with supervised(python(PROGRAMS[name])) as program:
        while not program.last_words():
            assert program.wait(0.01) is None
        gone.watch(program.last_words()[0])
    gone.check()


@pytest.mark.parametrize("name", ["daemonises", "ignores SIGTERM"])
def test_killed_suite(name: str, gone: Gone) -> None:
    """Nothing lives on either if the suite is killed and can do nothing more."""
    with subprocess.Popen(
        [sys.executable, "-c", SUITE, *python(PROGRAMS[name])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as suite:
        assert suite.stdout is not None
        gone.watch(suite.stdout.readline())
        suite.kill()
    gone.check()


def test_killed_supervisor(gone: Gone) -> None:
    """If the supervisor is killed, the program is."""
    with supervised(python("say(); wait()")) as program:
        while not program.last_words():
            assert program.wait(0.01) is None
        ready = program.last_words()[0]
        gone.watch(ready)
        stat = Path(f"/proc/{ready.removeprefix('ready ')}/stat").read_text()
        os.kill(int(stat.rpartition(")")[2].split()[1]), signal.SIGKILL)
        gone.check()


def test_exit_code() -> None:
    """The exit code is the program's, and 128 and the signal's number if it was killed."""
    with supervised(python("sys.exit(7)")) as program:
        assert program.wait(DEADLINE) == 7
    with supervised(python("os.kill(os.getpid(), signal.SIGKILL)")) as program:
        assert program.wait(DEADLINE) == 128 + signal.SIGKILL


def test_no_program(tmp_path: Path) -> None:
    """What the system cannot run is told of as a shell does."""
    nothing = tmp_path / "nothing"
    nothing.write_bytes(b"\0\0")
    nothing.chmod(0o755)
    with supervised([str(nothing)]) as program:
        assert program.wait(DEADLINE) == 127
        assert "Exec format error" in program.last_words()[0]


def test_last_words() -> None:
    """Only the last lines are kept, and the program is never held up, however much it prints."""
    with supervised(python("for n in range(100_000): print('line', n)")) as program:
        assert program.wait(DEADLINE) == 0
        assert program.last_words()[-1] == "line 99999"
        assert len(program.last_words()) == 20
