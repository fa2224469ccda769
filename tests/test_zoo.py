"""Tests of `improto zoo`.  The whole of it is a command of its own; here a few beasts are met."""

import pytest

from improto.cli import main
from improto.codec import available
from improto_conformance.results import Result
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.runner import Settings
from improto_conformance.workers import Outcome
from improto_conformance.zoo import meeting
from improto_conformance.zoo.meeting import Met, matrix, meet, try_idle
from improto_conformance.zoo.variants import VARIANTS
from improto_spec import clauses


def test_clauses_exist() -> None:
    """Each variant is allowed by a clause that there is."""
    assert {variant.clause for variant in VARIANTS.values()} <= clauses().keys()


def test_meet() -> None:
    """A lawful server passes all checks; a broken one is caught by a check of its own clause."""
    lawful, broken = meet([("lawful server", "maps-backwards"), ("broken server", "members-sorted")])
    assert lawful == Met("lawful server", "maps-backwards", "PRESENCE-9", True)
    assert broken.well
    assert broken.own == list(broken.failed) != []


@pytest.mark.parametrize(
    ("lawful", "failed", "unsure", "well"),
    [
        (False, (), (), False),
        (False, ("SEND-2/y", "SEND/y"), (), False),
        (False, ("SEND-2/y", "SEND-3/y"), (), True),
        (False, ("SEND-3/y",), ("SEND-2/y",), False),
        (True, (), (), True),
        (True, ("SEND-3/y",), (), False),
        (True, (), ("SEND-3/y",), False),
    ],
)
def test_well(lawful: bool, failed: tuple[str, ...], unsure: tuple[str, ...], well: bool) -> None:
    """The suite is wrong if it spares, fails for another reason only, blames without a cause, or is not sure."""
    assert Met("x", "y", "SEND-3", lawful, failed, unsure).well is well


def test_matrix() -> None:
    """The matrix names the beasts, what failed them, and the checks that failed none."""
    killer, idle = CHECKS[0], CHECKS[1]
    clause, _, own = killer.name.partition("/")
    lines = list(
        matrix(
            [
                Met("broken server", "x", clause, False, (killer.name, "JOIN-3/y")),
                Met("lawful server", "z", "CONV-4", True),
            ]
        )
    )
    assert f"| x | {clause} | {own} | JOIN-3 |" in lines
    assert "| z | CONV-4 | none |" in lines
    assert any(
        line.startswith(f"1 of {len(CHECKS)} checks failed some that violate their own clause, 1 only")
        for line in lines
    )
    assert f"- {idle.name}" in lines
    assert f"- {killer.name}" not in lines


def test_idle_checks() -> None:
    """What has failed nothing of its own clause is tried on what violates others, until it fails something."""
    met = list(meet([("broken server", "members-sorted")]))
    [one] = try_idle(met)
    others = [name for name in one.failed if name not in met[0].failed]
    assert others
    assert not any(name.startswith("LIST-8/") for name in others)
    assert one.own == met[0].own
    assert [again.failed for again in try_idle([one])] == [one.failed]


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The command meets those that are asked for, sums up, and is content."""
    assert main(["zoo", "--only", "members-s*", "--jobs", "1"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("1 of 1 broken servers failed a check of the clause that they violate\n")


def test_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    """A pattern that nobody matches is refused."""
    assert main(["zoo", "--only", "unicorn"]) == 2
    assert "no beast has a name or clause like 'unicorn'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--jobs", "0"], "--jobs must be more than 0"),
        (["--automatic", "--jobs", "0"], "--jobs must be more than 0"),
        (["--module", "improto.*"], "--automatic"),
        (["--report", "mutation.md"], "--automatic"),
    ],
)
def test_usage(options: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Options that nothing can be done with are refused, before anything is tried."""
    assert main(["zoo", *options]) == 2
    assert text in capsys.readouterr().err


def test_process_that_ends_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody is blamed if a process ends before the first check, as when memory is used up."""

    def outcomes(_function: object, work: list[object], **_options: object) -> list[Outcome[object, object]]:
        return [Outcome(each, [], False) for each in work]

    monkeypatch.setattr(meeting, "outcomes", outcomes)
    assert main(["zoo", "--only", "members-sorted"]) == 2
    assert "members-sorted" in capsys.readouterr().err


def test_kinds() -> None:
    """No two beasts have one name."""
    names = [name for kind in meeting.KINDS.values() for name in kind.beasts]
    assert len(names) == len(set(names))


def test_lawful_servers_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference is met in all codecs, other lawful servers in one of theirs each, and all codecs have their turn."""
    met: dict[str, list[str]] = {}

    def conduct(target: object, checks: object, settings: Settings) -> list[Result]:
        met[name] = list(settings.codecs or ())
        return []

    monkeypatch.setattr(meeting, "conduct", conduct)
    for name in VARIANTS:
        list(meeting.KINDS["lawful server"].meet(name, CHECKS[:1]))
    assert met["reference"] == available()
    assert {len(codecs) for name, codecs in met.items() if name not in ("reference", "private")} == {1}
    assert {codecs[0] for codecs in met.values() if len(codecs) == 1} == set(available())
