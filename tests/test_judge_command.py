"""Tests of `improto judge`."""

import io
from collections.abc import Sequence
from pathlib import Path

import pytest

from improto.cli import main
from improto.messages import ListConversations, Message, OnlineUsers, Register, Request, Response, Status
from improto_conformance.transcripts.records import Record, write
from improto_conformance.transcripts.transcript import Entry, Event, Transcript

Step = tuple[str, Request | Response]

START: Sequence[Step] = (("ann", Register("ann", "x")), ("ann", OnlineUsers({"ann": "x"})))
LOST: Sequence[Step] = (*START, ("ann", ListConversations()), ("ann", OnlineUsers({"ann": "y"})))
DEAF: Sequence[Step] = (("ann", Status("x")), *START)


def kept(folder: Path, name: str, steps: Sequence[Step], role: str = "server") -> str:
    """Keep a transcript, and give the path of its file."""
    entries = [
        Entry(party, Event.SENT if isinstance(item, Request) else Event.RECEIVED, item)
        for party, item in steps
    ]
    seen = Transcript("", entries, {"ann": "json"})
    path = folder / f"{name}.jsonl"
    path.write_text("".join(f"{line}\n" for line in write(Record(seen, name, about={"role": role}))))
    return str(path)


def test_allowed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is allowed gives exit code 0, and is named if asked for."""
    path = kept(tmp_path, "start", START)
    assert main(["judge", path]) == 0
    assert capsys.readouterr().out == ""
    assert main(["judge", "-v", path]) == 0
    assert capsys.readouterr().out == f"allowed {path} (start)\n"


def test_violation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a violation clause, text and entry are shown; a folder is searched for transcripts."""
    kept(tmp_path, "start", START)
    kept(tmp_path, "lost", LOST)
    assert main(["judge", str(tmp_path)]) == 1
    output = capsys.readouterr().out
    assert output.startswith(
        f"VIOLATION {tmp_path / 'lost.jsonl'} (lost)\n  STATUS-2 (MUST): A STATUS MUST replace"
    )
    assert "    entry 3: ann was to receive no roster but " in output


def test_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A transcript may come from standard input."""
    monkeypatch.setattr("sys.stdin", io.StringIO(Path(kept(tmp_path, "lost", LOST)).read_text()))
    assert main(["judge", "-"]) == 1


@pytest.mark.parametrize(("role", "code"), [("server", 1), ("client", 1), ("", 1)])
def test_who_is_judged(role: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The server is judged, or the clients, or both, by whom the transcript is about."""
    assert main(["judge", kept(tmp_path, "deaf", DEAF, role)]) == code
    output = capsys.readouterr().out
    assert ("CONN-14" in output) is (role != "client")
    assert ("CLIENT-" in output) is (role != "server")


@pytest.mark.parametrize("text", ["", "{}", '{"transcript": 2}', "\x00"])
def test_no_transcript(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no transcript is a mistake of usage, and so is a file that is not there."""
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    assert main(["judge", str(path)]) == 2
    assert main(["judge", str(tmp_path / "y")]) == 2
    assert str(path) in capsys.readouterr().err


def test_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without transcripts gives no verdict, which is said."""
    assert main(["judge", str(tmp_path)]) == 4
    assert "no transcript" in capsys.readouterr().out


def test_long_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a long text the beginning is shown."""
    steps = [*START, ("ann", Message("7", "bo", "x" * 100_000))]
    assert main(["judge", kept(tmp_path, "long", steps)]) == 1
    assert len(capsys.readouterr().out) < 5000
    path = tmp_path / "fault.jsonl"
    seen = Transcript("", [Entry("ann", Event.FAULT, "x" * 100_000, data=b"?")], {"ann": "json"})
    path.write_text("".join(f"{line}\n" for line in write(Record(seen))))
    assert main(["judge", str(path)]) == 1
    assert len(capsys.readouterr().out) < 5000


def test_many_complaints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a client that sends nonsense on and on the first complaints are shown, and how many others there are."""
    nonsense = [Entry("ann", Event.RAW, b"?%d" % number, data=b"?%d\n" % number) for number in range(1000)]
    path = tmp_path / "x.jsonl"
    record = Record(Transcript("", nonsense, {"ann": "json"}))
    path.write_text("".join(f"{line}\n" for line in write(record)))
    assert main(["judge", str(path)]) == 1
    output = capsys.readouterr().out
    assert output.count("entry") == 20
    assert output.endswith("… and 980 complaints more\n")
