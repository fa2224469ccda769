"""Tests of whether what was sent in vain was sent in vain on purpose."""

from collections.abc import Callable
from io import StringIO

import pytest

from improto.codec import load
from improto.messages import Error, Goodbye, Join, ListConversations, Register, Status
from improto.server import Hub
from improto.service import Service
from improto_conformance.profile import Profile
from improto_conformance.results import Result, Verdict
from improto_conformance.servers.check import Check
from improto_conformance.servers.deliberate import unmarked
from improto_conformance.servers.runner import Settings, conduct
from improto_conformance.servers.stage import Stage
from improto_conformance.servers.targets import in_process
from improto_conformance.transcripts import records
from improto_conformance.transcripts.transcript import Entry, Event, Transcript
from improto_conformance.zoo.broken import BROKEN


def result_of(stimulus: Callable[[Stage], None], make: Callable[[], Service] | None = None) -> Result:
    """Run a check that has nothing to complain of, on the reference unless told otherwise."""
    check = Check("JOIN-8/x", "JOIN-8", "", stimulus, judgement=lambda seen: ())
    target = in_process(make or (lambda: Service(Hub(), [load("json")])))
    [result] = conduct(target, [check], Settings(Profile(["json"])))
    return result


def careless(stage: Stage) -> None:
    """Send what is refused, without a mark."""
    [ann] = stage.enter("ann")
    ann.send(Join("no-such-id"))
    ann.barrier()


def deliberate(stage: Stage) -> None:
    """Send the same, with a mark."""
    [ann] = stage.enter("ann")
    ann.send(Join("no-such-id"), deliberate=True)
    ann.barrier()


def late(stage: Stage) -> None:
    """Go on after a GOODBYE."""
    [ann] = stage.enter("ann")
    ann.send(Goodbye(), ListConversations())
    ann.read_to_end()


@pytest.mark.parametrize(
    ("stimulus", "words"),
    [(careless, "ann was refused 1 times, and only 0"), (late, "ann sent something after GOODBYE")],
)
def test_fault_of_the_suite(stimulus: Callable[[Stage], None], words: str) -> None:
    """A check that is refused by mistake, or goes on after a GOODBYE, is a fault of the suite and not of the server."""
    result = result_of(stimulus)
    assert result.verdict is Verdict.BROKEN
    assert words in result.complaints[0]


def test_marked() -> None:
    """What is marked is no fault, and the transcript says so, also when it is kept."""
    result = result_of(deliberate)
    assert result.verdict is Verdict.PASSED
    marked = [entry.deliberate for entry in result.transcript.entries]
    assert marked.count(True) == 1
    written = "".join(f"{line}\n" for line in records.write(records.Record(result.transcript)))
    kept = records.read(StringIO(written))
    assert [entry.deliberate for entry in kept.transcript.entries] == marked


def test_fault_of_the_server() -> None:
    """If the server does something wrong, that is what is told."""
    result = result_of(careless, BROKEN["errors-close"].copy().service)
    assert result.verdict is Verdict.FAILED


@pytest.mark.parametrize("code", ["timeout", "rate-limited", "forbidden", "too-many", "of-its-own"])
def test_what_no_check_can_foresee(code: str) -> None:
    """What a server may say to any request needs no mark."""
    entries = [
        Entry("ann", Event.SENT, Register("ann", "")),
        Entry("ann", Event.RECEIVED, Error(f"{code}: x")),
    ]
    assert list(unmarked(Transcript(entries=entries, codecs={"ann": "json"}))) == []


def test_bytes_are_a_mark() -> None:
    """Whoever sends bytes that are no messages may be refused as often as it likes."""
    entries = [
        Entry("ann", Event.SENT, Status("x")),
        Entry("ann", Event.RAW, b"nonsense\n"),
        *[Entry("ann", Event.RECEIVED, Error("malformed: x"))] * 3,
    ]
    assert list(unmarked(Transcript(entries=entries, codecs={"ann": "json"}))) == []
