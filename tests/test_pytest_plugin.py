"""Tests of the plugin of pytest, in a pytest of its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from programs import DEADLINE, Programs

MINE = """
from improto.codec import load
from improto.server import Hub
from improto.service import Service
def make():
    return Service(Hub(), [load("json")])
class Silent(Hub):
    def receive(self, connection, request, now):
        outputs = super().receive(connection, request, now)
        return [o for o in outputs if type(getattr(o, "message", None)).__name__ != "Message"]
def wrong():
    return Service(Silent(), [load("json")])
"""
TESTS = """
def test_nothing():
    pass
def test_target(improto_target):
    assert improto_target.where
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with tests and servers of somebody's own."""
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "test_mine.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers -p no:cacheprovider\n")
    return tmp_path


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run pytest there, and give exit code and output."""
    # To load hypothesis takes longer than most of these runs.
    options = ["-W", "error", "--color=no", "-p", "no:hypothesispytest"]
    command = [sys.executable, "-W", "error", "-m", "pytest", *options, *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=4 * DEADLINE, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_without_options(folder: Path) -> None:
    """Without a target nothing is added, and a test that needs one is skipped."""
    code, output = run(folder, "-rs")
    assert code == 0, output
    assert "needs --improto-target" in output
    assert "1 passed, 1 skipped" in output


def test_without_plugin(folder: Path) -> None:
    """It can be switched off."""
    code, output = run(folder, "-p", "no:improto", "-k", "nothing")
    assert code == 0, output


def test_light() -> None:
    """Loading it imports nothing of the suite."""
    code = (
        "import improto_conformance.pytest_plugin, sys\n"
        "print(*(name for name in sys.modules if name.startswith('improto')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["improto_conformance", "improto_conformance.pytest_plugin"]


def test_checks(folder: Path) -> None:
    """With a target each check is a test beside the others, and they pass on the reference."""
    options = ("--improto-target", "inproc:mine:make", "--improto-codec", "json", "--improto-only", "[J-S]*")
    code, output = run(folder, "-v", *options)
    assert code == 0, output
    assert "SEND-3/to-the-sender[json] PASSED" in output
    assert "test_mine.py::test_target PASSED" in output
    found = re.search(r"(\d+) passed", output)
    assert found is not None
    assert int(found[1]) > 90


def test_failure(folder: Path) -> None:
    """A failure is shown as on the terminal, and what passes is chosen by marker and pattern as usual."""
    code, output = run(
        folder,
        "--improto-target=inproc:mine:wrong",
        "--improto-codec=json",
        "--improto-only=SEND-*",
        "--improto-only=STATUS-2/*",
        "-m",
        "improto_clause",
    )
    assert code == 1
    assert "FAILED SEND-3/to-the-sender [json]: the sender gets a copy" in output
    assert "SEND-3 (MUST): " in output
    assert "Traceback" not in output
    assert "FAILED improto::SEND-3/to-the-sender[json]" in output
    assert "STATUS-2" not in output
    assert "2 deselected" in output  # the tests of test_mine.py


def test_chosen_by_clause(tmp_path: Path) -> None:
    """The checks of a clause alone are chosen by its marker, also where there are no other tests."""
    (tmp_path / "mine.py").write_text(MINE)
    clause = "improto_clause(id='STATUS-2')"
    code, output = run(
        tmp_path, "--improto-target=inproc:mine:make", "--improto-codec=json", "-v", "-m", clause
    )
    assert code == 0, output
    ran = re.findall(r"^improto::(\S+) PASSED", output, re.MULTILINE)
    assert ran
    assert all(name.startswith("STATUS-2/") for name in ran)


def test_counted(folder: Path) -> None:
    """The checks are counted with the tests that were collected, so that what is chosen is not less than nothing."""
    code, output = run(
        folder,
        "--improto-target=inproc:mine:make",
        "--improto-codec=json",
        "--improto-only=STATUS-2/*",
        "-m=improto_clause",
    )
    assert code == 0, output
    numbers = re.search(r"collected (\d+) items / 2 deselected / (\d+) selected(?s:.*) (\d+) passed", output)
    assert numbers is not None, output
    collected, selected, passed = map(int, numbers.groups())
    assert (collected, selected) == (passed + 2, passed)


def test_last_failed(folder: Path) -> None:
    """`--lf` runs again only what has failed before, as with other tests."""
    options = (
        "-o",
        "addopts=",  # with the cache
        "--improto-target=inproc:mine:wrong",
        "--improto-codec=json",
        "--improto-only=SEND-3/*",
    )
    _, output = run(folder, *options)
    failed = re.search(r"(\d+) failed, \d+ passed", output)
    assert failed is not None, output
    _, output = run(folder, *options, "--lf")
    again = re.search(r"(\d+) failed(, \d+ deselected)? in ", output)
    assert again is not None, output
    assert again[1] == failed[1]


def test_profile(folder: Path) -> None:
    """A profile says what the server declares."""
    (folder / "profile.toml").write_text('codecs = ["json"]\njoin = "private"\n')
    options = ("--improto-target=inproc:mine:make", "--improto-profile=profile.toml")
    code, output = run(folder, *options, "--improto-only=JOIN-6/declared")
    assert code == 1
    assert "JOIN-6/declared[json]" in output


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--improto-target=tcp://127.0.0.1:1",), 3, "cannot be reached (Connection refused)"),
        (("--improto-target=inproc:mine:nothing",), 3, "there is no 'mine:nothing'"),
        (("--improto-target=tcp://127.0.0.1:1", "--improto-profile=missing.toml"), 4, "No such file"),
        (("--improto-target=tcp://127.0.0.1:1", "--improto-only=JION-*"), 4, "or clause like 'JION-*'"),
    ],
)
def test_no_server(folder: Path, options: tuple[str, ...], code: int, words: str) -> None:
    """Where there is no server, one line says so instead of a failure of each check."""
    found, output = run(folder, *options, "-k", "REGISTER")
    assert (found, output.count(words)) == (code, 1), output


def test_real_server(folder: Path, programs: Programs) -> None:
    """A server that runs elsewhere is checked, too: the checks' users do not get into each other's way."""
    _, url = programs.serve()
    options = ("--improto-codec=json", "--improto-only=INVITE-*")
    code, output = run(folder, f"--improto-target={url}", *options)
    assert code == 0, output
