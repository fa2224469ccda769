"""Reports as files: JSON by its schema, JUnit XML, Markdown, transcripts."""

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from improto.cli import main
from improto.errors import UsageError
from improto_conformance.reports import Run, clear, keep, read, write
from improto_conformance.reports.data import data
from improto_conformance.reports.junit import junit
from improto_conformance.reports.markdown import markdown
from improto_conformance.reports.run import groups
from improto_conformance.results import Verdict
from improto_conformance.transcripts import records
from improto_conformance.transcripts.complaints import Difference
from improto_spec import clauses
from reported import a_run
from schemas import Validator, check_schema
from schemas import validator as validator_of


@pytest.fixture(scope="module")
def failing() -> Run:
    """A run in two codecs, in which one check failed in both."""
    return a_run("json", "ascii")


def written(run: Run, folder: Path) -> Path:
    """Write a report as the command does."""
    clear(folder)
    for result in run.results:
        keep(run, result, folder)
    write([run], folder, clauses())
    return folder


def validator() -> Validator:
    """Give the published schema."""
    schema: Any = json.loads(files("improto_conformance.reports").joinpath("report.schema.json").read_text())
    check_schema(schema)
    return validator_of(schema)


def test_schema(failing: Run) -> None:
    """A report, of one run or of several, with all verdicts, is as its schema says."""
    result = failing.results[0]
    every = [replace(result, verdict=verdict, complaints=("x",)) for verdict in Verdict]
    for runs in ([failing], [failing, replace(failing, results=every, stale=["x"], interrupted=True)]):
        assert list(validator().iter_errors(json.loads(data(runs)))) == []


@pytest.mark.parametrize("member", ["suite", "target", "results", "verdict", "date"])
def test_schema_is_strict(member: str, failing: Run) -> None:
    """The schema refuses a run without a member, and one with another."""
    found = json.loads(data([failing]))
    found["runs"][0]["more"] = found["runs"][0].pop(member)
    assert len(list(validator().iter_errors(found))) == 2


def test_round_trip(failing: Run, tmp_path: Path) -> None:
    """What is read of a report is what was written, with complaints and transcripts."""
    failing = replace(failing, unrun=3)
    [found] = read(written(failing, tmp_path))
    assert data([found]) == data([failing])
    for old, new in zip(failing.results, found.results, strict=True):
        assert new.transcript == old.transcript
    [complaint] = next(result.complaints for result in found.results if result.complaints)
    assert isinstance(complaint, Difference)
    assert complaint.actual == "ann received nothing"


def test_transcripts(failing: Run, tmp_path: Path) -> None:
    """The transcript of each result stands where the report says, and says what it is of."""
    folder = written(failing, tmp_path)
    for entry in json.loads((folder / "report.json").read_text())["runs"][0]["results"]:
        with (folder / entry["transcript"]).open() as lines:
            record = records.read(lines)
        assert (record.check, record.codec, record.cut) == (entry["check"], entry["codec"], entry["cut"])
        assert record.about == {"target": "tcp://here:1", "role": "server", "verdict": entry["verdict"]}


def test_no_path_out_of_the_folder(failing: Run, tmp_path: Path) -> None:
    """Whatever a report calls its checks and runs, nothing is read or written beside it."""
    result = failing.results[0]
    aim = replace(result.check, name="../../../x")
    run = replace(failing, name="../up", results=[replace(result, check=aim, codec="../..")])
    folder = written(run, tmp_path / "in")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert [path.parent.parent.name for path in folder.glob("*/*/*.jsonl")] == ["transcripts"]


def gone(path: Path) -> None:
    """Remove a file."""
    path.unlink()


def holding(text: str) -> Callable[[Path], None]:
    """Give what writes a text into a file."""

    def spoil(path: Path) -> None:
        path.write_text(text)

    return spoil


def with_member(name: str, value: object, *, of_result: bool = False) -> Callable[[Path], None]:
    """Give what changes a member of the run in a report, or of its first result."""

    def spoil(path: Path) -> None:
        report = json.loads(path.read_text())
        [run] = report["runs"]
        (run["results"][0] if of_result else run)[name] = value
        path.write_text(json.dumps(report))

    return spoil


@pytest.mark.parametrize(
    ("which", "spoil"),
    [
        ("report.json", gone),
        ("report.json", holding("[]")),
        ("report.json", holding('{"report": 2}')),
        ("report.json", holding('{"report": 1, "runs": [{}]}')),
        ("report.json", holding('{"report": 1, "runs": []}')),
        *(("report.json", with_member(name, 5)) for name in ("role", "target", "profile", "name", "date")),
        ("report.json", with_member("command", [5])),
        ("report.json", with_member("clause", ["JOIN-3"], of_result=True)),
        ("report.json", with_member("seconds", 10**400, of_result=True)),
        ("report.json", with_member("complaints", [{"text": 5}], of_result=True)),
        ("*/*.jsonl", gone),
        ("*/*.jsonl", holding("{}")),
    ],
)
def test_no_report(which: str, spoil: Callable[[Path], None], failing: Run, tmp_path: Path) -> None:
    """What is no whole report is refused in one line that names the file."""
    folder = written(failing, tmp_path)
    spoil(next(folder.glob(which)))
    with pytest.raises(UsageError, match=str(folder)):
        read(folder)


def test_junit(failing: Run) -> None:
    """JUnit counts failures, faults of the suite, and what is known or inconclusive apart."""
    result = failing.results[0]
    every = [replace(result, verdict=verdict, complaints=("x\x00",)) for verdict in Verdict]
    root = ElementTree.fromstring(junit([replace(failing, results=every, name="night\x1b")], clauses()))
    [suite] = root
    counted = {name: suite.get(name) for name in ("name", "tests", "failures", "errors", "skipped")}
    assert counted == {
        "name": "night\\x1b json",
        "tests": "5",
        "failures": "1",
        "errors": "1",
        "skipped": "2",
    }
    assert [case[0].tag if len(case) else "" for case in suite] == [
        "",
        "failure",
        "skipped",
        "skipped",
        "error",
    ]


def test_markdown(failing: Run) -> None:
    """The summary has the verdict, a line for each codec, and each failure once with what was expected."""
    text = markdown([failing], clauses())
    assert "- **NOT CONFORMANT: violates SEND-3**" in text
    assert "\n| json | 2 | 1 |" in text
    assert text.count("### failed: SEND-3/to-the-sender") == 1
    assert "in json, ascii." in text
    assert "\n    actual:   ann received nothing\n" in text


def test_markdown_of_hostile_text(failing: Run) -> None:
    """What a peer has said cannot become markup, nor end the block that it stands in."""
    result = next(result for result in failing.results if result.complaints)
    complaint = "</code>\n\n# <img src=x onerror=alert(1)>\r[x](http://x)"
    run = replace(failing, results=[replace(result, complaints=(complaint,))], target="<b>")
    lines = [line for line in markdown([run], clauses()).splitlines() if "onerror" in line]
    assert len(lines) == 1
    assert lines[0].startswith("    actual:   ")


def test_groups(failing: Run) -> None:
    """The same failure in several codecs is one, another reason is another."""
    [group] = groups([failing])
    assert group.where == ["json", "ascii"]
    one, two = (result for result in failing.results if result.verdict is Verdict.FAILED)
    other = replace(failing, results=[one, replace(two, complaints=("something else",))])
    assert [each.where for each in groups([other])] == [["json"], ["ascii"]]


def test_merge(failing: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs are merged under the names of their folders, also with one that was merged before, and lose nothing."""
    one = written(replace(failing, results=failing.results[:3]), tmp_path / "one")
    two = written(failing, tmp_path / "x" / "one")
    both, more = tmp_path / "both", tmp_path / "more"
    assert main(["merge", str(one), str(two), "--report", str(both)]) == 1
    assert capsys.readouterr().out.splitlines()[1] == "one-2: NOT CONFORMANT: violates SEND-3"
    assert main(["merge", str(both), str(one), "--report", str(more)]) == 1
    found = read(more)
    assert [run.name for run in found] == ["one", "one-2", "one-3"]
    assert [len(run.results) for run in found] == [3, len(failing.results), 3]
    assert list(validator().iter_errors(json.loads((more / "report.json").read_text()))) == []


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([Verdict.PASSED, Verdict.PASSED], 0),
        ([Verdict.PASSED, Verdict.INCONCLUSIVE], 4),
        ([Verdict.INCONCLUSIVE, Verdict.FAILED, Verdict.PASSED], 1),
        ([Verdict.FAILED, Verdict.BROKEN], 5),
    ],
)
def test_merge_as_the_worst(verdicts: list[Verdict], code: int, failing: Run, tmp_path: Path) -> None:
    """The exit code is that of the worst run, so that a job that merges the reports of others can fail for them."""
    folders = [
        str(
            written(
                replace(failing, results=[replace(failing.results[0], verdict=verdict)]),
                tmp_path / f"{number}",
            )
        )
        for number, verdict in enumerate(verdicts)
    ]
    assert main(["merge", *folders, "--report", str(tmp_path / "all")]) == code


def test_merge_of_a_strange_report(failing: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The report of somebody else controls neither the terminal nor the XML, whatever names it gives to clauses."""
    folder = written(failing, tmp_path / "one")
    for name, value in (("clause", "\x1b[2J"), ("verdict", "failed"), ("complaints", [{"text": "x"}])):
        with_member(name, value, of_result=True)(folder / "report.json")
    main(["merge", str(folder), "--report", str(tmp_path / "all")])
    assert "\x1b" not in capsys.readouterr().out
    ElementTree.parse(tmp_path / "all" / "junit.xml")


def test_merge_into_itself(failing: Run, tmp_path: Path) -> None:
    """The report that is written is none of those that are read."""
    folder = written(failing, tmp_path)
    assert main(["merge", str(folder), "--report", f"{folder}/../{folder.name}"]) == 2
    assert read(folder)
