"""Programs of others, which interpreters for them there are, and the marks that skip a test where there is none."""

import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from programs import Program, Programs

__all__ = [
    "CPYTHON2",
    "PEERS",
    "PYTHON2",
    "each_runtime",
    "lecture",
    "needs_cpython2",
    "needs_nc",
    "needs_node",
    "needs_python2",
    "where",
]

PEERS = Path(__file__).with_name("peers")


def _cpython2() -> list[str] | None:
    """Find a CPython 2.7 that really runs: a shim of that name may be there without one behind it."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    for found in [shutil.which("python2.7"), *map(str, sorted(versions.glob("2.7.*/bin/python2.7")))]:
        if found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
            return [found]
    return None


def _jython() -> list[str] | None:
    found = shutil.which("jython")
    return [found] if found else None


CPYTHON2 = _cpython2()
RUNTIMES = {"CPython 2.7": CPYTHON2, "Jython 2.7": _jython()}
PYTHON2 = CPYTHON2 or RUNTIMES["Jython 2.7"]

needs_python2 = pytest.mark.skipif(PYTHON2 is None, reason="neither CPython 2.7 nor Jython is installed")
needs_cpython2 = pytest.mark.skipif(CPYTHON2 is None, reason="CPython 2.7 is not installed")
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
needs_nc = pytest.mark.skipif(shutil.which("nc") is None, reason="nc is not installed")
each_runtime = pytest.mark.parametrize(
    "python2",
    [
        pytest.param(
            command, id=name, marks=pytest.mark.skipif(command is None, reason=f"{name} is not installed")
        )
        for name, command in RUNTIMES.items()
    ],
)


def where(url: str) -> tuple[str, str]:
    """Give host and port of an address as arguments."""
    parts = urlsplit(url)
    return str(parts.hostname), str(parts.port)


def lecture(programs: Programs, url: str, name: str, python2: list[str] | None = PYTHON2) -> Program:
    """Run the client written from the lecture, and wait until it is registered."""
    assert python2 is not None
    program = programs.run(*python2, PEERS / "lecture_client.py", *where(url), name, "here")
    program.expect(rf"online .*{name}=here.*")
    return program
