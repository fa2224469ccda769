"""Transcripts that are sent again: to the same server, to others, in other codecs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from improto.cli import main
from improto.codec import load, load_all
from improto.errors import UsageError
from improto.messages import AnyMessage, Invitation, Invite, Join, OnlineUsers, Register, SendMessage
from improto.server import Hub, Policy
from improto.service import Service
from improto_conformance.commands.replay import again
from improto_conformance.connections.links import Connect
from improto_conformance.profile import Profile
from improto_conformance.results import Result, Verdict
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.party import Waits
from improto_conformance.servers.replay import replay
from improto_conformance.servers.runner import Settings, conduct
from improto_conformance.servers.targets import Target, in_process
from improto_conformance.transcripts.records import Record, from_file, to_file
from improto_conformance.transcripts.renaming import Names, Piece, pieces, translated
from improto_conformance.transcripts.transcript import Entry, Event, Transcript
from improto_conformance.zoo.broken import BROKEN
from improto_conformance.zoo.copies import in_memory
from improto_conformance.zoo.variants import VARIANTS
from programs import IMPROTO, Programs

AREAS = ("JOIN", "SEND", "CONV", "GOODBYE", "CONN-25", "JSON")


def make() -> Service:
    """Make the reference."""
    return Service(Hub(Policy(settle=0.02)), load_all())


def results(target: Target, codec: str = "json", *areas: str) -> list[Result]:
    """Run checks in one codec."""
    checks = [check for check in CHECKS if check.clause.startswith(areas or AREAS)]
    return conduct(target, checks, Settings(Profile([codec]), jobs=1))


def recorded(result: Result) -> Record:
    """Make a record as `--report` does."""
    check = result.check
    return Record(result.transcript, check.name, check.clause, result.codec, result.cut)


@pytest.mark.parametrize(("variant", "codec"), [("reference", "json"), ("ids-of-64-characters", "pickle")])
def test_what_passed_passes(variant: str, codec: str) -> None:
    """What passed passes again, on the same server and on another with ids of its own, and the same happens."""
    target = in_process(VARIANTS[variant].make)
    for result in results(in_process(make), codec):
        outcome = again(recorded(result), target, Profile(), None, 5.0)
        assert (outcome.verdict, outcome.complaints) == (Verdict.PASSED, ()), result.check.name
        if variant == "reference":
            assert outcome.difference == "", result.check.name


@pytest.mark.parametrize(("codec", "other"), [("json", "pickle"), ("pickle", "msgpack")])
def test_another_codec(codec: str, other: str) -> None:
    """What passed in one codec passes in another one, unless bytes were sent that are nothing in that."""
    passed = 0
    for result in results(in_process(make), codec, "SEND", "JOIN"):
        try:
            outcome = again(recorded(result), in_process(make), Profile(), other, 5.0)
        except UsageError:
            raw = Event.RAW in [entry.event for entry in result.transcript.entries]
            assert raw, result.check.name
        else:
            assert (outcome.verdict, outcome.complaints) == (Verdict.PASSED, ()), result.check.name
            assert set(outcome.record.transcript.codecs.values()) == {other}
            passed += 1
    assert passed > 10


@pytest.mark.parametrize(
    "name", ["no-copy-for-the-sender", "texts-stripped", "second-leaves-pass", "no-lists", "ids-used-again"]
)
def test_what_failed_fails(name: str) -> None:
    """What failed fails again on the same server, and passes on one that is right."""
    broken = BROKEN[name]
    area = broken.clause
    failed = [
        each for each in results(in_memory(broken.copy()), "json", area) if each.verdict is Verdict.FAILED
    ]
    assert failed
    for result in failed:
        assert (
            again(recorded(result), in_memory(broken.copy()), Profile(), None, 5.0).verdict is Verdict.FAILED
        )
        outcome = again(recorded(result), in_process(make), Profile(), None, 5.0)
        assert (outcome.verdict, outcome.complaints) == (Verdict.PASSED, ())
        assert outcome.difference


def test_what_is_missing_at_the_end() -> None:
    """What should have come last is missed, since all ask for lists at the end."""
    seen = next(each for each in results(in_process(make), "json", "SEND-2")).transcript
    last = max(at for at, entry in enumerate(seen.entries) if isinstance(entry.item, SendMessage))
    cut = replace(seen, entries=seen.entries[: last + 1])
    outcome = again(
        Record(cut, codec="json"), in_memory(BROKEN["messages-lost"].copy()), Profile(), None, 5.0
    )
    assert outcome.verdict is Verdict.FAILED
    assert outcome.complaints[0].startswith("SEND-")


def test_order_of_causes() -> None:
    """Nothing is sent before all has come that had come before it."""
    for result in results(in_process(make), "json", "SEND", "LEAVE"):
        old = result.transcript
        connect = in_process(VARIANTS["receivers-backwards"].make).begin()
        new = replay(old, connect, Waits(5.0), suffix=".new").own

        def before(seen: Transcript) -> list[list[object]]:
            """Give what each party had received before each request, but for rosters."""
            heard: dict[str, list[str]] = {}
            found: list[list[object]] = []
            for entry in seen.entries:
                if entry.event is Event.RECEIVED and not isinstance(entry.item, OnlineUsers):
                    heard.setdefault(entry.party, []).append(type(entry.item).__name__)
                elif entry.event is Event.SENT:
                    found.append([entry.party, {party: sorted(items) for party, items in heard.items()}])
            return found

        assert before(new) == before(old)


def test_names_and_ids() -> None:
    """Ends of names and ids are those of the new run, wherever they stand, also in bytes."""
    names = Names(".old", ".new")
    assert names.may_be("1", "7")
    names.bind("1", "7")
    assert not names.may_be("1", "8")
    assert not names.may_be("2", "7")
    codec = load("json")
    entries: dict[AnyMessage, AnyMessage] = {
        Join("1"): Join("7"),
        Join("2"): Join("2"),
        Invite(("bo.old", "old")): Invite(("bo.new", "old")),
        Register("bo.old", ".old"): Register("bo.new", ".old"),
    }
    for old, new in entries.items():
        assert names.message(old) == new
    assert names.message(Invitation("1", "ann.old")) == Invitation("7", "ann.new")
    canonical = codec.frame(codec.encode(Join("1"))) + codec.frame(codec.encode(Register("bo.old", "")))
    renamed = codec.frame(codec.encode(Join("7"))) + codec.frame(codec.encode(Register("bo.new", "")))
    halves = [Entry("a", Event.RAW, data, data=data) for data in (canonical[:-5], canonical[-5:])]
    parts = pieces(Transcript("", halves, {"a": "json"}))
    written = [names.written(half, codec, parts[place]) for place, half in enumerate(halves)]
    assert written == [renamed[:-5], renamed[-5:]]
    own = b'{"type" : "JOIN", "conversation" : "1"}\n'
    # A form that is kept.
    assert names.written(Entry("a", Event.RAW, own, data=own), codec, Piece(own, len(own), 0)) == own
    spaced = b'{"type" : "REGISTER", "username" : "bo.old", "status" : ""}\n'
    entry = Entry("a", Event.SENT, Register("bo.old", ""), data=spaced)
    assert names.written(entry, codec) == spaced.replace(b"old", b"new")


def test_translated() -> None:
    """Bytes that are whole messages become messages; others make sense in their own codec alone."""
    data = b"REGISTER ann x\nLIST_CONVERSATIONS\n"
    seen = Transcript("", [Entry("ann", Event.RAW, data, data=data)], {"ann": "ascii"})
    assert translated(seen, "json").entries[0].item == Register("ann", "x")
    assert translated(seen, "ascii").entries == seen.entries
    half = Transcript("", [Entry("ann", Event.RAW, data[:-1], data=data[:-1])], {"ann": "ascii"})
    with pytest.raises(UsageError, match="without --codec json"):
        translated(half, "json")


def _unreachable(after: int) -> Connect:
    """Connect to the reference, but not more often than a few times."""
    connect, count = in_process(make).begin(), iter(range(after))

    def limited(*arguments: object) -> object:
        if next(count, None) is None:
            raise ConnectionRefusedError(111, "Connection refused")
        return connect(*arguments)  # type: ignore[arg-type]

    return limited  # type: ignore[return-value]


def test_unreachable() -> None:
    """A server that cannot be reached is an error; one that takes no further connection fails."""
    seen = results(in_process(make), "json", "JOIN-9")[0].transcript
    with pytest.raises(ConnectionRefusedError):
        replay(seen, _unreachable(0), Waits(5.0))
    assert replay(seen, _unreachable(1), Waits(5.0)).failures == ("bo: Connection refused",)


def test_command(programs: Programs, tmp_path: Path) -> None:
    """On the terminal: a run's transcripts against a started server, with verdicts, differences and an exit code."""
    kept: Callable[[str], Path] = lambda name: tmp_path / name
    target = in_memory(BROKEN["texts-stripped"].copy())
    failed = next(each for each in results(target, "json", "MESSAGE-4") if each.verdict is Verdict.FAILED)
    record = replace(recorded(failed), about={"verdict": "failed"})
    to_file(record, kept("failed.jsonl"))
    to_file(recorded(results(in_process(make), "json", "SEND-3")[0]), kept("passed.jsonl"))
    right = f"cmd:{IMPROTO} serve --settle 0.02 --port {{port}}"
    paths = [str(kept("failed.jsonl")), str(kept("passed.jsonl"))]
    code, lines = programs.start("replay", *paths, right, "--report", str(kept("new"))).end()
    assert code == 0
    assert lines[0] == "allowed failed.jsonl; before, it was failed"
    assert "was to have party" in lines[1]
    assert lines[2:] == ["allowed passed.jsonl"]
    new = from_file(kept("new") / "transcripts" / "failed.jsonl")
    assert new.about["verdict"] == "passed"
    assert new.transcript.suffix != record.transcript.suffix
    assert len(new.transcript.suffix) == len(record.transcript.suffix)


def test_command_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A violation is told, with exit code 1; what is no transcript, with 2."""
    to_file(recorded(results(in_process(make), "json", "SEND-3")[0]), tmp_path / "a.jsonl")
    (tmp_path / "b.jsonl").write_text("nonsense")
    assert main(["replay", str(tmp_path / "a.jsonl"), "inproc:test_replay:stripping"]) == 1
    assert "VIOLATION a.jsonl\n  - " in capsys.readouterr().out
    assert main(["replay", str(tmp_path / "b.jsonl"), "tcp://127.0.0.1:1"]) == 2
    assert main(["replay", str(tmp_path / "c.jsonl"), "tcp://127.0.0.1:1"]) == 2
    assert "c.jsonl: No such file" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["replay", "shrink"])
@pytest.mark.parametrize(
    "target", ["tcp://127.0.0.1:1", "cmd:no-such-program {port}", "inproc:test_replay:none"]
)
def test_no_server(command: str, target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3 says that there is no server, whether it is to be reached, started or made here."""
    to_file(recorded(results(in_process(make), "json", "SEND-3")[0]), tmp_path / "a.jsonl")
    assert main([command, str(tmp_path / "a.jsonl"), target]) == 3
    assert capsys.readouterr().out.startswith("improto: ")


def test_unknown_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A transcript with a cut that is none is refused, and cannot control the terminal."""
    to_file(
        replace(recorded(results(in_process(make), "json", "SEND-3")[0]), cut="fifths"), tmp_path / "a.jsonl"
    )
    assert main(["replay", str(tmp_path / "a.jsonl"), "inproc:test_replay:make"]) == 2
    assert "no cut 'fifths'; there are whole, bytes" in capsys.readouterr().err


def test_party_with_a_strange_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a transcript of somebody else holds is escaped in errors, too."""
    bytes_only = Transcript("", [Entry("\x1b[2J", Event.RAW, b"x", data=b"x")], {"\x1b[2J": "json"})
    to_file(Record(bytes_only), tmp_path / "a.jsonl")
    assert main(["replay", str(tmp_path / "a.jsonl"), "--codec", "ascii", "inproc:test_replay:make"]) == 2
    printed = capsys.readouterr().err
    assert "\\x1b[2J sent bytes" in printed
    assert "\x1b" not in printed


def stripping() -> Service:
    """Make a server without a copy for the sender, from outside."""
    made: Service = BROKEN["no-copy-for-the-sender"].copy().service(settle=0.02)
    return made
