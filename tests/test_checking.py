"""What all roles of `improto check` have in common: what is told, what is written, and the exit code."""

import argparse
import errno
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from improto.errors import UsageError
from improto_conformance.commands.checking import Subject, add_options, carry_out
from improto_conformance.results import Aim, Result, Verdict
from improto_conformance.servers.targets import NoTarget
from improto_conformance.transcripts.transcript import Transcript
from programs import DEADLINE, IMPROTO

AIM = Aim("SEND-3/to-the-sender", "SEND-3", "the sender gets a copy")


def result(verdict: Verdict, *complaints: str) -> Result:
    """Make a result of one check."""
    return Result(AIM, "json", "whole", verdict, complaints, Transcript(), 0.0, 0.0)


def options(*words: str) -> argparse.Namespace:
    """Parse the options that all roles have."""
    parser = argparse.ArgumentParser()
    add_options(parser)
    return parser.parse_args(words)


def carried(*verdicts: Verdict, then: Callable[[], None] = lambda: None) -> int:
    """Carry out work with such results."""

    def work(report: Callable[[Result], None]) -> None:
        for verdict in verdicts:
            report(result(verdict, "something is wrong"))
        then()

    return carry_out(options(), Subject("server", "tcp://here:1"), work)


def fail(error: BaseException) -> Callable[[], None]:
    """Give what raises."""

    def raising() -> None:
        raise error

    return raising


@pytest.mark.parametrize(
    ("verdicts", "code", "line"),
    [
        ([Verdict.PASSED], 0, "CONFORMANT"),
        ([Verdict.PASSED, Verdict.INCONCLUSIVE], 0, "CONFORMANT, but for 1 inconclusive checks"),
        ([Verdict.PASSED, Verdict.KNOWN], 0, "NOT CONFORMANT, as is known: violates SEND-3"),
        ([Verdict.PASSED, Verdict.KNOWN, Verdict.FAILED], 1, "NOT CONFORMANT: violates SEND-3"),
        ([], 4, "NO VERDICT: no check ran; see --only, --skip and --codec"),
        ([Verdict.INCONCLUSIVE], 4, "NO VERDICT: all checks were inconclusive; see their transcripts"),
        (
            [Verdict.PASSED, Verdict.FAILED, Verdict.BROKEN],
            5,
            "NO VERDICT: the suite is at fault, not the server, in SEND-3/to-the-sender",
        ),
    ],
)
def test_exit_codes(
    verdicts: list[Verdict], code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each mixture of verdicts has its exit code and one line that says why."""
    assert carried(*verdicts) == code
    assert capsys.readouterr().out.splitlines()[-1] == line


def test_own_fault(capsys: pytest.CaptureFixture[str]) -> None:
    """An error of the suite's own is told from the target's failures, with what to do about it."""
    assert carried(Verdict.FAILED, then=fail(ZeroDivisionError("division by zero"))) == 5
    told = capsys.readouterr().err
    assert "ZeroDivisionError" in told
    assert told.endswith("this is a fault of the suite; report it to its authors with the lines above\n")


def test_no_room() -> None:
    """A disk that is full, where the output goes, is no fault of the suite; `improto` says what to do about it."""
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space left"):
        carried(Verdict.FAILED, then=fail(full))


def test_no_target(capsys: pytest.CaptureFixture[str]) -> None:
    """A target that is not there is one line, and no verdict on anything."""
    assert carried(then=fail(NoTarget("nothing listens"))) == 3
    assert capsys.readouterr().out == "improto: nothing listens\n"


def test_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    """Who interrupts is told what was found so far."""
    assert carried(Verdict.PASSED, Verdict.FAILED, then=fail(KeyboardInterrupt())) == 130
    assert "interrupted after 2 results; so far it violates SEND-3\n" in capsys.readouterr().out


def test_interrupted_run(tmp_path: Path) -> None:
    """A run that gets SIGINT ends at once with 130, and has written the report of what ran."""
    (tmp_path / "stuck.py").write_text(
        "import sys\n"
        "from improto.codec import load\n"
        "from improto.server import Hub\n"
        "from improto.service import Service\n"
        "def make(made=[]):\n"
        "    made.append(1)\n"
        "    if len(made) > 5:\n"
        "        print('now', file=sys.stderr, flush=True)\n"
        "    return Service(Hub(), [load('json')])\n"
    )
    words = ["--jobs=1", "--codec=json", "--report=out"]
    process = subprocess.Popen(
        [IMPROTO, "check", "server", "inproc:stuck:make", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert select.select([process.stderr], [], [], DEADLINE)[0]
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130, out
    assert "NO VERDICT: interrupted after" in out
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"report.json", "junit.xml"}


def test_progress() -> None:
    """On a terminal it is seen that a long run goes on."""
    script = "import test_checking\ntest_checking.carried(*[test_checking.Verdict.PASSED] * 3)\n"
    terminal, end = os.openpty()
    with open(terminal, "rb", buffering=0) as screen:
        command = [sys.executable, "-c", script]
        done = subprocess.run(
            command, cwd=Path(__file__).parent, stdout=subprocess.PIPE, stderr=end, check=True
        )
        os.close(end)
        assert screen.read(1024) == b"1 results\r2 results\r3 results\r"
    assert b"results\r" not in done.stdout


def test_command_of_a_failure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A failure comes with the command for it alone, which keeps what says how the target is reached."""
    words = (
        "improto check server|cmd:my server {port}|--private|--only|SEND-*|--codec=json|--jobs|9|--timeout|3"
    )
    monkeypatch.setattr(
        sys, "argv", words.replace(" server|", "|server|").replace("improto ", "improto|").split("|")
    )
    carried(Verdict.FAILED)
    assert (
        "  again: improto check server 'cmd:my server {port}' --private --timeout 3"
        " --only SEND-3/to-the-sender --codec json --cut whole\n"
    ) in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["check", "server", "--shared", "tcp://here:1", "--private"],
        ["check", "server", "tcp://here:1", "--private", "--seed", "3", "--fresh"],
        ["fuzz", "server", "tcp://here:1", "--private", "--seed=3", "--count", "2", "--for", "30s"],
    ],
)
def test_replay_of_a_failure(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a report, a server's failure comes with the command that sends its transcript again, to the same server."""
    folder = str(tmp_path)
    monkeypatch.setattr(sys, "argv", ["improto", *words, "--report", folder])
    arguments = options("--report", folder)
    carry_out(
        arguments, Subject("server", "tcp://here:1"), lambda report: report(result(Verdict.FAILED, "x"))
    )
    path = f"{folder}/transcripts/SEND-3_to-the-sender.json.jsonl"
    assert f"  again: improto replay --private {path} tcp://here:1\n" in capsys.readouterr().out


def test_folder_that_cannot_be(tmp_path: Path) -> None:
    """A folder that cannot be written is wrong usage, and found before anything runs."""
    (tmp_path / "file").touch()
    work = fail(AssertionError("it ran"))
    with pytest.raises(UsageError, match="--report"):
        carry_out(options("--report", str(tmp_path / "file")), Subject("server", "x"), lambda _: work())


def test_old_reports_go(tmp_path: Path) -> None:
    """What an earlier run left in the folder does not stay among what this one writes; other files do."""
    (tmp_path / "transcripts").mkdir()
    old, other = tmp_path / "transcripts" / "OLD.json.jsonl", tmp_path / "notes.txt"
    old.touch()
    other.touch()
    work: Callable[[Callable[[Result], None]], None] = lambda report: report(result(Verdict.PASSED))
    assert carry_out(options("--report", str(tmp_path)), Subject("server", "x"), work) == 0
    assert os.listdir(tmp_path / "transcripts") == ["SEND-3_to-the-sender.json.jsonl"]
    assert other.exists()
