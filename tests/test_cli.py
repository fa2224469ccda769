"""Tests of the command line itself: what it imports, and what it does where a package is missing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from improto.cli import INTERRUPTED, UNREAD, USAGE, main


def run(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program of Python with `main` at hand."""
    head = "import sys\nfrom improto.cli import main\n"
    return subprocess.run([sys.executable, "-c", head + program], capture_output=True, text=True, check=False)


def test_one_command() -> None:
    """A command is started without those that are not asked for."""
    done = run(
        "try: main(['serve', '--help'])\nexcept SystemExit: print('improto_conformance' in sys.modules)"
    )
    assert done.stdout.endswith("\nFalse\n"), done


@pytest.mark.parametrize("arguments", [["chat", "--help"], ["explain", "LIMIT"]])
def test_output_in_another_encoding(arguments: list[str]) -> None:
    """What the encoding of the output does not have is escaped."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\nfrom improto.cli import main\nsys.exit(main({arguments}))"],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u" in done.stdout


def test_no_output() -> None:
    """A command does what it does though its standard output is closed."""
    program = "import sys\nfrom improto.cli import main\nsys.exit(main(['explain', 'JOIN-3']))"
    done = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" >&-', sys.executable, program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_interrupted_while_it_begins(tmp_path: Path) -> None:
    """Ctrl-C while a command is still being imported, which takes most of the time until it runs, ends it without a word."""
    (tmp_path / "slow.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    about = tmp_path / "slow-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: slow\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[improto.commands]\nslow = slow\n")
    program = f"sys.path.insert(0, {str(tmp_path)!r})\nsys.exit(main(['slow']))"
    done = run(program)
    assert (done.returncode, done.stderr) == (INTERRUPTED, "")


def test_all_commands() -> None:
    """All commands are told of, and need no package of an extra for that."""
    done = run(
        "for name in ('hypothesis', 'msgpack', 'websockets', 'pytest'): sys.modules[name] = None\nmain(['--help'])"
    )
    assert done.returncode == 0, done
    assert all(f"\n    {name} " in done.stdout for name in ("serve", "check", "fuzz", "zoo"))


@pytest.mark.parametrize(
    ("missing", "what", "advice"),
    [
        ("websockets.client", "from improto.bindings import websocket", "pip install 'improto[websocket]'"),
        ("hypothesis", "from improto_conformance import check_codec", "pip install 'improto[conformance]'"),
        ("websockets.client", "main(['serve', '--websocket', '0'])", "pip install 'improto[websocket]'"),
        ("websockets.client", "main(['chat', 'ws://localhost', 'ann'])", "pip install 'improto[websocket]'"),
    ],
)
def test_missing_package(missing: str, what: str, advice: str) -> None:
    """Whoever lacks a package of an extra, in a program or on the command line, is told how to install it."""
    done = run(f"sys.modules[{missing!r}] = None\n{what}")
    assert done.stderr.splitlines()[-1].endswith(advice)


def test_as_a_module() -> None:
    """`python -m improto` is the same as `improto`."""
    command = [sys.executable, "-m", "improto", "--version"]
    assert subprocess.run(command, capture_output=True, check=True).stdout.startswith(b"improto ")


def test_fuzzing_needs_no_package() -> None:
    """What chance makes of a seed depends on no package, whose next version would make something else of it."""
    done = run(
        "sys.modules['hypothesis'] = None\nsys.exit(main(['fuzz', 'codec', 'json', '--count', '9', '--jobs', '1']))"
    )
    assert done.returncode == 0, done


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_no_room_for_output() -> None:
    """A command whose output finds no room, as on a full disk, says so and ends."""
    with open("/dev/full", "w") as full:
        program = "from improto.cli import main\nraise SystemExit(main())"
        done = subprocess.run(
            [sys.executable, "-c", program, "explain", "JOIN-3"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.stderr == "improto: there is no room for the output (No space left on device); make some\n"
    assert done.returncode == UNREAD


@pytest.mark.parametrize(
    "arguments",
    [
        ["spec", "export", "{file}/x"],
        ["vectors", "export", "{file}"],
        ["fuzz", "codec", "json", "--count", "1", "--jobs", "1", "--report", "{file}/x"],
        ["zoo", "--only", "ids-of-uuids", "--matrix", "{file}/x"],
        [
            "check",
            "server",
            "inproc:test_fuzz_rounds:make",
            "--only",
            "JOIN-2",
            "--fix",
            "--known-failing",
            "{file}/x",
        ],
    ],
    ids=lambda arguments: arguments[0],
)
def test_file_that_cannot_be(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be written where the user wants it is told in one line, as wrong usage, by each command."""
    file = tmp_path / "file"
    file.touch()
    assert main([each.format(file=file) for each in arguments]) == USAGE
    told = capsys.readouterr().err
    assert told.startswith(f"improto: {file}"), told
    assert told.endswith("; name another place\n"), told


@pytest.mark.parametrize(
    "arguments",
    [["explain", "pickle"], ["check", "server", "inproc:test_fuzz_rounds:make", "-v", "--codec", "json"]],
)
def test_reader_that_has_gone(arguments: list[str]) -> None:
    """A command whose output nobody reads any more, as before `| head`, ends without a word, as by SIGPIPE."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import sys\nfrom improto.cli import main\nsys.exit(main())", *arguments],
            cwd=Path(__file__).parent,
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")
