"""What is different between reports and transcripts."""

from dataclasses import replace
from pathlib import Path

import pytest

from improto.cli import main
from improto.messages import Error, Invitation, Message, OnlineUsers, Register, SendMessage
from improto_conformance.commands.diff import of_reports, of_transcripts
from improto_conformance.reports import Run, clear, keep, write
from improto_conformance.results import Verdict
from improto_conformance.transcripts import records
from improto_conformance.transcripts.records import Record
from improto_conformance.transcripts.transcript import Entry, Event, Transcript
from improto_spec import clauses
from reported import a_run


@pytest.fixture(scope="module")
def failing() -> Run:
    """A run in which the second of three checks failed."""
    return a_run("json")


def talk(*, suffix: str = ".1", id: str = "7", text: str = "hi", end: Entry | None = None) -> Transcript:
    """Give what passed when somebody said something."""
    ann = f"ann{suffix}"
    entries = [
        Entry("ann", Event.SENT, Register(ann, "here")),
        Entry("ann", Event.RECEIVED, OnlineUsers({ann: "here", **({} if id == "7" else {"zoe": "there"})})),
        Entry("ann", Event.RECEIVED, Invitation(id, ann)),
        Entry("ann", Event.SENT, SendMessage(id, "hi")),
        end or Entry("ann", Event.RECEIVED, Message(id, ann, text)),
    ]
    return Transcript(suffix, entries, {"ann": "json"})


def test_same_reports(failing: Run) -> None:
    """Two runs of the same say nothing, whatever their names, users, times and ids were."""
    assert list(of_reports([replace(failing, name="a")], [replace(a_run("json"), name="b")])) == []


def test_reports(failing: Run) -> None:
    """A changed verdict, a check that is new or gone, and another reason are told, each with its codec."""
    first, second, third = failing.results
    after = [
        replace(first, verdict=Verdict.FAILED, complaints=("x",)),
        replace(second, complaints=("something else",)),
        replace(third, check=replace(third.check, name="SEND-5/another")),
    ]
    assert list(of_reports([failing], [replace(failing, results=after)])) == [
        "LEAVE-5/leave-unknown [json]: passed → failed",
        "SEND-3/to-the-sender [json]: failed for another reason",
        "SEND-5/to-an-unknown-one [json]: gone, was passed",
        "SEND-5/another [json]: new, passed",
    ]


def test_same_transcripts() -> None:
    """Names, ids, and who else is online are no difference."""
    assert list(of_transcripts(talk(), talk(suffix=".2", id="x-9"))) == []


def test_transcripts() -> None:
    """The first thing that is different is told, with both sides."""
    [line] = of_transcripts(talk(), talk(text="\x1bho"))
    assert line.startswith("party 1, line 5: receives MESSAGE")
    assert "'hi' → " in line
    assert line.isprintable()
    [line] = of_transcripts(talk(), talk(end=Entry("ann", Event.RECEIVED, Error("not-member: x"))))
    assert line.endswith("→ receives ERROR not-member")


def test_shorter() -> None:
    """What only one of them has is a difference."""
    shorter = talk()
    shorter.entries.pop()
    [line] = of_transcripts(talk(), shorter)
    assert line.endswith("→ nothing more")


def test_users_of_clients() -> None:
    """Transcripts of checks of clients are compared by what went over the connection."""
    told = talk(end=Entry("ann", Event.TOLD, '{"event": "lost"}'))
    assert len(list(of_transcripts(told, talk()))) == 1
    assert list(of_transcripts(told, told)) == []


def test_command(failing: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command compares folders and files, and its exit code says whether there is a difference."""
    better = replace(failing, results=[replace(each, verdict=Verdict.PASSED) for each in failing.results])
    for name, run in (("a", failing), ("b", better)):
        clear(tmp_path / name)
        for result in run.results:
            keep(run, result, tmp_path / name)
        write([run], tmp_path / name, clauses())
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    assert main(["diff", a, a]) == 0
    assert capsys.readouterr().out == ""
    assert main(["diff", a, b]) == 1
    assert capsys.readouterr().out == "SEND-3/to-the-sender [json]: failed → passed\n"
    path = f"{a}/transcripts/SEND-3_to-the-sender.json.jsonl"
    other = tmp_path / "other.jsonl"
    other.write_text("".join(f"{line}\n" for line in records.write(Record(talk()))))
    assert main(["diff", path, path]) == 0
    assert main(["diff", path, str(other)]) == 1


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """What is to be given first, and what then, can be told from the usage."""
    with pytest.raises(SystemExit):
        main(["diff", "--help"])
    assert "improto diff [-h] BEFORE AFTER\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("one", "two"), [("folder", "file"), ("folder", "folder"), ("file", "file"), ("none", "none")]
)
def test_wrong_usage(one: str, two: str, tmp_path: Path) -> None:
    """What is no report and no transcript, or one of each, is wrong usage."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"\xff")
    assert main(["diff", str(tmp_path / one), str(tmp_path / two)]) == 2


def test_one_is_missing(failing: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not there is named, whatever it was to be compared with."""
    (tmp_path / "report").mkdir()
    write([replace(failing, results=[])], tmp_path / "report", clauses())
    assert main(["diff", str(tmp_path / "report"), str(tmp_path / "none")]) == 2
    assert f"{tmp_path / 'none'}: No such file" in capsys.readouterr().err
