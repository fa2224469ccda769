"""Scripts that are made as short as they can be."""

from functools import cache, partial
from pathlib import Path

import pytest

from improto.cli import main
from improto.codec import available, load
from improto.messages import Goodbye, Invite, Join, ListConversations, Register, SendMessage, Status
from improto.service import Service
from improto_conformance.profile import Profile
from improto_conformance.results import Verdict
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.party import Waits
from improto_conformance.servers.replay import replay
from improto_conformance.servers.runner import Settings, conduct
from improto_conformance.servers.shrink import Shrunk, acts, shrink, violation
from improto_conformance.servers.stage import Stage
from improto_conformance.servers.targets import Target, in_process
from improto_conformance.transcripts.records import Record, from_file, to_file
from improto_conformance.transcripts.transcript import Transcript
from improto_conformance.zoo.broken import BROKEN
from improto_conformance.zoo.copies import in_memory
from improto_conformance.zoo.variants import VARIANTS
from upstreams import standing

PROFILE = Profile(available())
COPY = BROKEN["texts-stripped"].copy()


def talk() -> Transcript:
    """Let three users do this and that, on the reference."""
    stage = Stage(in_process(VARIANTS["reference"].make).begin(), load("json"), "", Waits(5.0))
    ann, bo, cy = stage.talk("ann", "bo", "cy")
    id = stage.transcript.conversation
    ann.send(Status("busy"), SendMessage(id, "  hello there  "))
    stage.barrier(ann, bo, cy)
    cy.send(SendMessage(id, "bye"), Goodbye())
    cy.read_to_end()
    bo.send(SendMessage("nowhere", "?"))
    stage.barrier(bo, ann)
    stage.close()
    return stage.transcript


@cache
def target(name: str) -> Target:
    """Give a broken server as a target, a new one for each replay."""
    return in_memory(BROKEN[name].copy())


def replayed(name: str, old: Transcript, *, settle: bool = False) -> Transcript:
    """Replay on a broken server."""
    return replay(old, target(name).begin(), Waits(0.5), settle=settle).transcript


def shrunk(name: str, runs: int = 1000) -> Shrunk:
    """Shrink the talk for a broken server."""
    whole = replayed(name, talk(), settle=True)
    complaint = violation(whole, PROFILE)
    assert complaint is not None
    found = shrink(whole, complaint, partial(replayed, name), PROFILE, runs=runs)
    assert found.complaint.clause == complaint.clause
    return found


def script(seen: Transcript) -> list[tuple[str, object]]:
    """Give what was done by whom."""
    return [(seen.entries[index].party, seen.entries[index].item) for index in acts(seen)]


CONVERSATION = [
    ("ann", Register("ann", "")),
    ("cy", Register("cy", "")),
    ("ann", Invite(("cy",))),
    ("ann", Join("1")),
]
SHORTEST = {
    "no-copy-for-the-sender": [*CONVERSATION, ("ann", SendMessage("1", "")), ("ann", ListConversations())],
    "texts-stripped": [*CONVERSATION, ("ann", SendMessage("1", " "))],
}


@pytest.mark.parametrize("name", SHORTEST)
def test_shortest(name: str) -> None:
    """What is left is what the violation needs."""
    found = shrunk(name)
    assert script(found.transcript) == SHORTEST[name]
    assert found.minimal


def test_same_each_time() -> None:
    """The same transcript is shrunk in the same way."""
    name = "messages-lost-in-unknown-conversations"
    assert shrunk(name) == shrunk(name)


@pytest.mark.parametrize("name", ["ids-used-again", "second-leaves-pass"])
def test_minimal(name: str) -> None:
    """Without any one of the actions that are left, the server does not violate the clause."""
    checks = [check for check in CHECKS if check.clause == BROKEN[name].clause]
    results = conduct(target(name), checks, Settings(Profile(["json"]), jobs=1))
    failed = next(each for each in results if each.verdict is Verdict.FAILED)
    whole = replayed(name, failed.transcript, settle=True)
    complaint = violation(whole, PROFILE)
    assert complaint is not None
    seen = shrink(whole, complaint, partial(replayed, name), PROFILE).transcript
    assert violation(seen, PROFILE, complaint.clause) is not None
    for index in acts(seen):
        less = Transcript(seen.suffix, [*seen.entries[:index], *seen.entries[index + 1 :]], seen.codecs)
        assert violation(replayed(name, less), PROFILE, complaint.clause) is None


def test_no_time() -> None:
    """With few replays it ends earlier, with something that violates the clause all the same."""
    found = shrunk("no-copy-for-the-sender", runs=3)
    assert (found.runs, found.minimal) == (3, False)
    assert violation(replayed("no-copy-for-the-sender", found.transcript), PROFILE, found.complaint.clause)


def stripping() -> Service:
    """Make a server that strips texts, from outside."""
    made: Service = COPY.service(settle=0.02)
    return made


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The shortest script is shown as a diagram and written, and violates the same clause when it is replayed."""
    to_file(Record(talk(), codec="json"), tmp_path / "long.jsonl")
    target = "inproc:test_shrink:stripping"
    short = tmp_path / "short.jsonl"
    assert main(["shrink", str(tmp_path / "long.jsonl"), target, "--output", str(short)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("VIOLATION MESSAGE-4: ann was to receive")
    assert lines[2].split() == ["ann", "cy", "server"]
    assert sum("SEND_MESSAGE" in line for line in lines) == 1
    assert lines[-1].startswith("5 of 20 actions are left, after ")
    assert lines[-1].endswith("nothing more can be left out")
    assert from_file(short).clause == "MESSAGE-4"
    assert main(["replay", str(short), target]) == 1
    assert main(["replay", str(short), "inproc:test_replay:make"]) == 0


def test_command_on_sockets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It works on a server that is there already, too."""
    to_file(Record(talk(), codec="json"), tmp_path / "long.jsonl")
    with standing("messages-lost-in-unknown-conversations") as port:
        assert (
            main(["shrink", str(tmp_path / "long.jsonl"), f"tcp://127.0.0.1:{port}", "--timeout", "0.1"]) == 1
        )
    assert "3 of 20 actions are left" in capsys.readouterr().out


def test_command_finds_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the server does nothing wrong there is nothing to shrink."""
    to_file(Record(talk(), codec="json"), tmp_path / "long.jsonl")
    assert main(["shrink", str(tmp_path / "long.jsonl"), "inproc:test_replay:make"]) == 0
    assert capsys.readouterr().out.startswith("nothing to shrink")
    assert main(["shrink", str(tmp_path / "long.jsonl"), "tcp://127.0.0.1:1", "--runs", "0"]) == 2
