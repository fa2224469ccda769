"""Tests of `improto vectors`: export, and check with real programs in other languages."""

import json
import os
import re
import select
import shlex
import shutil
import signal
import sys
from pathlib import Path

import pytest

from improto.cli import USAGE, main
from improto_conformance.vectors import programs, vectors
from programs import DEADLINE, IMPROTO, running

NODE = f"node {shlex.quote(str(Path(__file__).with_name('peers') / 'vectors_decoder.mjs'))}"
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")

ECHO = """
import json, sys
for line in sys.stdin:
    print(json.dumps(ANSWER), flush=True)
"""


def program(tmp_path: Path, answer: object) -> str:
    """Make a program that gives one answer to everything, and give its command."""
    path = tmp_path / "program.py"
    path.write_text(ECHO.replace("ANSWER", repr(answer)))
    return shlex.join([sys.executable, str(path)])


def test_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The vectors are exported with their schema and the page about them."""
    assert main(["vectors", "export", str(tmp_path / "new")]) == 0
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert {"README.md", "vectors.schema.json", "message-json.json", "scenario-server.json"} <= names
    exported = [
        vector["id"]
        for path in (tmp_path / "new").glob("*.json")
        if path.name != "vectors.schema.json"
        for vector in json.loads(path.read_text(encoding="utf-8"))["vectors"]
    ]
    assert sorted(exported) == sorted(vectors())
    assert len(capsys.readouterr().out.splitlines()) == len(names)


@needs_node
@pytest.mark.parametrize("codec", ["ascii", "json", "auto", "bounds"])
def test_node_decodes(codec: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A decoder in Node.js, written from the specification, agrees with all vectors of ascii and json."""
    code = main(["vectors", "check", "--decoder", NODE, "--only", f"{codec}/*"])
    shown = capsys.readouterr().out
    assert code == 0, shown
    if codec in ("ascii", "json"):
        assert "0 failed, 0 unsupported" in shown


def test_a_stream_that_fails_however_it_is_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A complaint is printed once for all the ways to cut a stream, and says of how many it is true."""
    answer = program(tmp_path, {"items": [], "closed": False})
    assert main(["vectors", "check", "--decoder", answer, "--only", "json/stream-cr-lf"]) == 1
    shown = capsys.readouterr().out
    assert shown.count("FAILED ") == 1
    assert f" ({shown.splitlines()[-1].split()[3]} times)\n" in shown


@needs_node
def test_node_encodes(capsys: pytest.CaptureFixture[str]) -> None:
    """What the encoder in Node.js writes for the messages of ascii and json is read as these messages."""
    code = main(["vectors", "check", "--encoder", NODE, "--only", "ascii/*", "--only", "json/*"])
    shown = capsys.readouterr().out
    assert code == 0, shown
    assert "encoder: " in shown


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ({"error": "malformed"}, 1, "NotImplemented"),
        ({"message": {"command": "NONE", "fields": {}}}, 1, "is none"),
        ({"message": {"command": "JOIN", "fields": {"conversation": {"text": 7}}}}, 1, "is none"),
        ({"items": 7}, 1, "is none"),
        ({}, 1, "is none"),
        ({"unsupported": True}, 4, "0 passed, 0 failed"),
        ([], 3, "JSON object"),
        ("text", 3, "JSON object"),
    ],
    ids=str,
)
def test_wrong_decoders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: object, code: int, words: str
) -> None:
    """A decoder that is wrong fails with its clause, one that answers nonsense or nothing is told so."""
    command = ["vectors", "check", "--decoder", program(tmp_path, answer), "--only", "json/join"]
    assert main(command) == code
    shown = capsys.readouterr().out
    assert (words if words != "NotImplemented" else "JSON-1: ") in shown


@pytest.mark.parametrize(
    ("answer", "code"), [({"bytes": "7b"}, 1), ({"bytes": "zz"}, 1), ({"bytes": 7}, 1), ({}, 1)], ids=str
)
def test_wrong_encoders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: object, code: int
) -> None:
    """An encoder whose bytes are no message, or another one, fails."""
    assert main(["vectors", "check", "--encoder", program(tmp_path, answer), "--only", "json/join"]) == code
    assert "1 failed" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["no-such-program", "'", "", "true", "echo x"], ids=repr)
def test_programs_that_cannot_be_asked(capsys: pytest.CaptureFixture[str], command: str) -> None:
    """A program that cannot be started, ends at once or talks nonsense gives one line and code 3."""
    assert main(["vectors", "check", "--decoder", command, "--only", "json/join"]) in (3, USAGE)
    captured = capsys.readouterr()
    assert len((captured.out + captured.err).splitlines()) == 1


def written(tmp_path: Path, text: str) -> str:
    """Give the command of a program with this text."""
    path = tmp_path / "program.py"
    path.write_text(text)
    return shlex.join([sys.executable, str(path)])


@pytest.mark.parametrize(
    "text",
    [
        "input(); print('[' * 100_000, flush=True)",
        "input()\nwhile True: print('x' * 1_000_000, end='')",
        "input(); import subprocess; subprocess.run(['sleep', '600'])",
    ],
    ids=["deep", "endless", "silent with a child"],
)
def test_hostile_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """A program whose answer is too deep, never ends, or never comes gives one line and code 3."""
    monkeypatch.setattr(programs, "_PATIENCE", 5.0)
    monkeypatch.setattr(programs, "_LINE", 2_000_000)
    assert main(["vectors", "check", "--decoder", written(tmp_path, text), "--only", "json/join"]) == 3
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise SystemExit(7)", "ended with exit code 7 before it answered json/join"),
        (
            "import os; input(); os.close(1); import time; time.sleep(600)",
            "closed its output before it answered",
        ),
        ("import time; time.sleep(600)", "did not answer json/join within 1 s; .* flush"),
    ],
    ids=["ends", "closes its output", "says nothing"],
)
def test_programs_without_an_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    """Of a program that gives no answer it is told whether it has ended, and how, or says nothing."""
    monkeypatch.setattr(programs, "_PATIENCE", 1.0 if "within" in words else DEADLINE)
    assert main(["vectors", "check", "--decoder", written(tmp_path, text), "--only", "json/join"]) == 3
    assert re.search(words, capsys.readouterr().out)


def test_interruption(tmp_path: Path) -> None:
    """Ctrl-C does not wait for a program that says nothing, nor leave it behind."""
    text = "import os, time; os.write(2, b'%d\\n' % os.getpid()); time.sleep(60)"
    with running() as started:
        check = started.start("vectors", "check", "--decoder", written(tmp_path, text), "--only", "json/join")
        silent = os.pidfd_open(int(check.expect(r"\d+")[0]))
        check.process.send_signal(signal.SIGINT)
        assert check.end(stdin=False)[0] == 130
    assert select.select([silent], [], [], DEADLINE)[0]
    os.close(silent)


def test_program_that_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A program that writes on and on after its last answer is not listened to."""
    text = """input()\nwhile True: print('{"unsupported": true}')"""
    assert main(["vectors", "check", "--decoder", written(tmp_path, text), "--only", "json/join"]) == 4
    assert "1 unsupported" in capsys.readouterr().out


def test_answer_with_escape_sequences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a program answers does not control the terminal."""
    answer = program(tmp_path, {"error": "\x1b[2J\u202e"})
    assert main(["vectors", "check", "--decoder", answer, "--only", "json/join"]) == 1
    shown = capsys.readouterr().out
    assert r"\x1b[2J\u202e" in shown
    assert shown.isascii()
    assert "\x1b" not in shown


def test_no_program(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a program the usage is wrong."""
    assert main(["vectors", "check"]) == USAGE
    assert "--decoder" in capsys.readouterr().err


def test_no_vector(capsys: pytest.CaptureFixture[str]) -> None:
    """A pattern that no vector matches is wrong usage: else fewer vectors would be tried than wanted."""
    only = ["--only", "json/join", "--only", "message-json"]
    assert main(["vectors", "check", "--decoder", "true", *only]) == USAGE
    assert "no vector has an id or clause like 'message-json'" in capsys.readouterr().err


def test_installed_command() -> None:
    """The command is there where improto is installed."""
    assert IMPROTO.exists()
