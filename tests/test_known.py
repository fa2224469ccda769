"""Known failures."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from improto.errors import UsageError
from improto.messages import Invitation
from improto_conformance.reports.known import Known, fixed, judged, read, reason, stale, write
from improto_conformance.results import Aim, Result, Verdict
from improto_conformance.transcripts.transcript import Entry, Event, Transcript
from programs import IMPROTO

CHECK = "SEND-3/to-the-sender"
NAMES = {CHECK}
NOTHING = "ann received nothing"


def result(*complaints: str, how: str = "json", verdict: Verdict | None = None) -> Result:
    """Make the result of a check, failed if there are complaints."""
    codec, _, cut = how.partition("-")
    verdict = verdict or (Verdict.FAILED if complaints else Verdict.PASSED)
    aim = Aim(CHECK, "SEND-3", "the sender gets a copy")
    return Result(aim, codec, cut or "whole", verdict, complaints, Transcript(), 0, 0)


@pytest.mark.parametrize(
    ("entries", "verdict"),
    [
        ([], Verdict.FAILED),
        ([Known(CHECK, NOTHING)], Verdict.KNOWN),
        ([Known(CHECK, NOTHING, ("ascii", "js*"))], Verdict.KNOWN),
        ([Known(CHECK, NOTHING, ("ascii",))], Verdict.FAILED),
        ([Known(CHECK, "ann received the wrong message")], Verdict.FAILED),
        ([Known("SEND-2/to-all", NOTHING)], Verdict.FAILED),
    ],
)
def test_known(entries: list[Known], verdict: Verdict) -> None:
    """A failure is known by its check, its codec and cut, and its reason together."""
    assert judged(result(NOTHING), entries).verdict is verdict


def test_each_complaint() -> None:
    """A failure with one more complaint than is known is a failure."""
    assert judged(result(NOTHING, "bo, too"), [Known(CHECK, NOTHING)]).verdict is Verdict.FAILED
    both = [Known(CHECK, NOTHING), Known(CHECK, "bo, too")]
    assert judged(result(NOTHING, "bo, too"), both).verdict is Verdict.KNOWN


@pytest.mark.parametrize("verdict", [Verdict.PASSED, Verdict.INCONCLUSIVE, Verdict.BROKEN])
def test_only_failures(verdict: Verdict) -> None:
    """No entry covers what is no failure, least of all a fault of the suite."""
    assert judged(result(NOTHING, verdict=verdict), [Known(CHECK, NOTHING)]).verdict is verdict


@pytest.mark.parametrize(
    ("results", "lines"),
    [
        ([result(NOTHING)], []),
        ([], []),
        ([result(NOTHING), result(how="ascii")], [f"{CHECK} [ascii]: passes now"]),
        ([result("something else")], [f"{CHECK} [json]: fails for another reason now"]),
        ([result(verdict=Verdict.INCONCLUSIVE)], []),
        ([result(verdict=Verdict.BROKEN)], []),
    ],
)
def test_stale(results: list[Result], lines: list[str]) -> None:
    """An entry is stale where its failure is gone; where its check did not run, nothing is known."""
    assert list(stale([Known(CHECK, NOTHING)], results, NAMES)) == lines


def test_stale_once() -> None:
    """A check with several known complaints is stale once, whether it passes now, fails otherwise, or is gone."""
    both = [Known(CHECK, NOTHING), Known(CHECK, "bo, too")]
    assert list(stale(both, [result()], NAMES)) == [f"{CHECK} [json]: passes now"]
    assert list(stale(both, [result("x")], NAMES)) == [f"{CHECK} [json]: fails for another reason now"]
    assert list(stale(both, [result("bo, too")], NAMES)) == [f"{CHECK} [json]: fails for another reason now"]
    assert list(stale(both, [], set())) == [f"{CHECK}: there is no such check any more"]


def test_check_that_is_gone() -> None:
    """An entry for a check that does not exist is stale."""
    assert list(stale([Known("SEND-3/no-such", "")], [], NAMES)) == [
        "SEND-3/no-such: there is no such check any more"
    ]


def test_fixed() -> None:
    """A rewritten baseline fits its run: nothing fails, nothing is stale."""
    old = [Known(CHECK, NOTHING, note="why"), Known("GONE/x", ""), Known(CHECK, "older", ("ascii",))]
    results = [result(NOTHING), result(NOTHING, how="json-bytes"), result("new", how="ascii")]
    entries = fixed(old, results, NAMES)
    assert entries == [
        Known(CHECK, NOTHING, ("json", "json-bytes"), "why"),
        Known(CHECK, "new", ("ascii",)),
    ]
    assert {judged(each, entries).verdict for each in results} == {Verdict.KNOWN}
    assert list(stale(entries, results, NAMES)) == []


def test_fixed_keeps_what_did_not_run() -> None:
    """Entries for codecs that did not run, and entries that still hold, stay as they are."""
    old = [Known(CHECK, NOTHING, ("pickle", "json")), Known(CHECK, "x", ("msgpack",))]
    assert fixed(old, [result(NOTHING)], NAMES) == old
    assert fixed(old, [result()], NAMES) == [Known(CHECK, NOTHING, ("pickle",)), old[1]]


def test_everywhere() -> None:
    """What fails in each of several codecs is one entry for all."""
    assert fixed([], [result(NOTHING), result(NOTHING, how="ascii")], NAMES) == [Known(CHECK, NOTHING)]
    assert fixed([], [result(NOTHING)], NAMES) == [Known(CHECK, NOTHING, ("json",))]


@pytest.mark.parametrize(
    ("complaint", "abstract"),
    [
        ("ann was to hear from bo.2f-17 in '77'", "ann was to hear from bo in '#'"),
        ("a message for 'id:x'", "a message for '#'"),
        ("50 lists, and 3 came", "# lists, and # came"),
        ("a message for '3f2c-aa-01', unknown", "a message for '#', unknown"),
        ("a roster {'zoe': 'private'}", "a roster {…}"),
        (f"the text {'x' * 300}", "the text x…"),
        ("a\x1bb", "a\\#"),
    ],
)
def test_reason(complaint: str, abstract: str) -> None:
    """Ids, numbers, this run's names and foreign users are no part of a reason."""
    seen = Transcript(".2f-17", [Entry("ann", Event.RECEIVED, Invitation("id:x", "ann.2f-17"))])
    assert reason(complaint, seen) == abstract


def test_round_trip(tmp_path: Path) -> None:
    """What is written is read again, whatever the texts are, and says what it is."""
    entries = [Known("A-1/x", 'say "hi" \\ \x7f é\n', ("json", "a-*"), "note"), Known("B-1/y", "")]
    path = tmp_path / "known.toml"
    path.write_text(write(entries), encoding="utf-8")
    assert read(path) == entries
    assert path.read_text().startswith("# Known failures")
    assert "how" not in tomllib.loads(path.read_text())["known"][1]


@pytest.mark.parametrize(
    "text",
    [
        "[[known]",
        "known = 3",
        '[[known]]\ncheck = "x"',
        '[[known]]\ncheck="x"\nreason="y"\nhow="json"',
        '[[known]]\ncheck="x"\nreason="y"\nwhen="now"',
        None,
    ],
)
def test_wrong_file(text: str | None, tmp_path: Path) -> None:
    """A file that is none, or is not there, is wrong usage, named with what to do."""
    path = tmp_path / "known.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=r"known.toml: .*write"):
        read(path)


@pytest.mark.parametrize(
    "text", ["known = 3", '[[known]]\ncheck = "x"', '[[known]]\ncheck="x"\nreason="y"\nwhen="now"']
)
def test_wrong_entry(text: str, tmp_path: Path) -> None:
    """Of a file with other entries it is said what an entry has."""
    path = tmp_path / "known.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"a check and a reason, and may have how and note"):
        read(path)


def check(*words: str) -> tuple[int, str]:
    """Check a server that sends no copies to the sender."""
    target = f"cmd:{sys.executable} -m improto_conformance.zoo.broken no-copy-for-the-sender {{port}}"
    done = subprocess.run(
        [IMPROTO, "check", "server", target, "--only=SEND-3", "--only=SEND-5", "--codec=json", *words],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_command(tmp_path: Path) -> None:
    """--fix writes the baseline; with it the same run passes, and one in which a known failure is gone does not."""
    file = tmp_path / "known.toml"
    assert check("--fix")[0] == 2
    assert check("--known-failing", str(file))[0] == 2
    code, output = check("--known-failing", str(file), "--fix")
    assert (code, output.splitlines()[-1]) == (0, "NOT CONFORMANT, as is known: violates SEND-3")
    code, output = check("--known-failing", str(file))
    assert code == 0, output
    assert "known SEND-3/to-the-sender [json]: the sender gets a copy\n" in output
    assert ", 0 failed, " in output
    file.write_text(file.read_text().replace(CHECK, "SEND-5/to-an-unknown-one"))
    code, output = check("--known-failing", str(file))
    assert code == 1
    assert "FAILED SEND-3/to-the-sender" in output
    assert "STALE SEND-5/to-an-unknown-one [json]: passes now\n" in output
