"""Tests of fuzzing codecs: inputs come again, each kind of fault is found, and what is found is told."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from improto.cli import USAGE, main
from improto.codec import Codec, LineCodec, Reader
from improto.errors import DecodeError
from improto.messages import AnyMessage, Code, Goodbye, Join, Role
from improto_conformance.fuzz.codec import fault, fuzz, shrunk
from improto_conformance.fuzz.inputs import made
from programs import IMPROTO

NAMES = ["ascii", "json", "msgpack", "pickle"]

DIGEST = """if True:
    import hashlib
    from improto_conformance.fuzz.inputs import made
    digest = hashlib.sha256()
    for number in range(50):
        digest.update(repr(made("json", 7, number)).encode())
    print(digest.hexdigest())
"""

BROKEN = '''"""A codec that breaks at each closing bracket."""
from improto_codecs.json_codec import JsonCodec

class Broken(JsonCodec):
    name = "broken"

    def decode(self, payload, sender):
        if b"]" in payload:
            raise KeyError("]")
        return super().decode(payload, sender)
'''


class Commands(LineCodec):
    """Lines of a command and a word; others are made of it."""

    name = "commands"

    def encode(self, message: AnyMessage) -> bytes:
        """Write JOIN, or else GOODBYE."""
        return f"JOIN {message.conversation}".encode() if isinstance(message, Join) else b"GOODBYE"

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read either."""
        if payload == b"GOODBYE":
            return Goodbye()
        if payload.startswith(b"JOIN "):
            return Join(payload[5:].decode("latin-1"))
        raise DecodeError(Code.MALFORMED, "neither")


class Raising(Commands):
    """Raises what no codec may."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Look a payload up that is not there."""
        return {b"GOODBYE": Goodbye()}[payload]


class Undeclared(Commands):
    """Uses a code that is not a codec's."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Refuse."""
        raise DecodeError(Code.FORBIDDEN, "no")


class Endless(Commands):
    """Takes too long."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Look for an end."""
        while True:
            pass


class Alive(Commands):
    """Goes on behind fatal errors."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Refuse fatally."""
        raise DecodeError(Code.MALFORMED, "no", fatal=True)


class Hasty(Reader):
    """Takes what has come at once for a message."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.data = b""

    def feed(self, data: bytes) -> None:
        """Keep nothing else."""
        self.data = data

    def next(self, limit: int) -> AnyMessage | None:
        """Give it as the id."""
        data, self.data = self.data, b""
        return Join(data.decode("latin-1")) if data else None

    @property
    def behind(self) -> int:
        """Nothing is kept."""
        return 0


class Unframed(Commands):
    """Has no ends of messages."""

    def reader(self, sender: Role) -> Reader:
        """Read what comes at once."""
        return Hasty()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_found(name: str) -> None:
    """A thousand inputs of each codec show no fault, and come to more than one end."""
    (tally,) = fuzz(name, 0, range(1000), jobs=1)
    assert tally.findings == []
    assert tally.inputs == sum(tally.ends.values()) == 1000
    assert {"message", "nothing", "unknown-command", "invalid"} < tally.ends.keys()


def test_inputs_come_again() -> None:
    """An input depends on the codec, the seed and its number, and on no process."""
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={**os.environ, "PYTHONHASHSEED": chance},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for chance in ("1", "2")
    }
    assert len(digests) == 1
    assert made("json", 7, 1) == made("json", 7, 1) != made("json", 8, 1)
    assert b"".join(made("json", 7, 1).pieces) == made("json", 7, 1).data


@pytest.mark.parametrize(
    ("codec", "data", "found"),
    [
        (Raising(), b"JOIN 7\n", "KeyError"),
        (Undeclared(), b"JOIN 7\n", "undeclared: the code forbidden"),
        (Endless(), b"JOIN 7\n", "too long"),
        (Alive(), b"JOIN 7\nJOIN 8\n", "not over"),
        (Commands(), b"JOIN \xe9\n", "not written again"),
        (Unframed(), b"78", "cut otherwise"),
        (Commands(), b"JOIN 7\n", None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Codec) else "",
)
def test_faults(codec: Codec, data: bytes, found: str | None) -> None:
    """Each kind of fault is told from the others."""
    told = fault(codec, Role.CLIENT, data)
    assert (told or "").startswith(found or "")
    assert (told is None) == (found is None)


def test_shrinking() -> None:
    """What is not needed to show a fault is left out."""
    assert (
        shrunk(b"abcdefgh" * 20 + b"!" + b"xyz" * 30 + b"?", lambda data: b"!" in data and b"?" in data)
        == b"!?"
    )
    assert shrunk(b"", lambda data: True) == b""


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command fuzzes as many codecs as are named and writes what came of it."""
    page = tmp_path / "fuzzing.md"
    arguments = ["fuzz", "codec", "ascii", "json", "--count", "50", "--seed", "3", "--jobs", "1"]
    assert main([*arguments, "--report", str(page)]) == 0
    assert "ascii: 50 inputs, seed 3: " in capsys.readouterr().out
    assert re.search(r"\| json \| 3 \| 50 \| 0 \| .*malformed: \d+", page.read_text(encoding="utf-8"))


def test_findings_are_told(tmp_path: Path) -> None:
    """A codec that breaks is told with the shortest input that shows it, and the exit code is 1."""
    info = tmp_path / "broken-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[improto.codecs]\nbroken = broken:Broken\n", encoding="utf-8")
    (tmp_path / "broken.py").write_text(BROKEN, encoding="utf-8")
    done = subprocess.run(
        [
            IMPROTO,
            "fuzz",
            "codec",
            "broken",
            "--count",
            "300",
            "--jobs",
            "1",
        ],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 1
    assert "FOUND broken, seed 0, input" in done.stdout
    assert "KeyError: ']'" in done.stdout
    assert "  b']\\n'" in done.stdout


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """A codec that there is not, and numbers that make no sense, are told."""
    assert main(["fuzz", "codec", "nothing"]) == USAGE
    assert main(["fuzz", "codec", "json", "--jobs", "0"]) == USAGE
    assert "there is no codec 'nothing'" in capsys.readouterr().err
