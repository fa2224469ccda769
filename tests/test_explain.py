"""Tests of `improto explain`."""

import pytest

from improto.cli import USAGE, main
from improto_conformance.coverage import cover
from improto_spec import clauses


def explained(capsys: pytest.CaptureFixture[str], *clauses: str) -> str:
    """Give what is printed about a clause, on one line."""
    assert main(["explain", *clauses]) == 0
    return " ".join(capsys.readouterr().out.split())


def test_clause(capsys: pytest.CaptureFixture[str]) -> None:
    """A clause is printed with its text, level, role, origin, comparison, checks and broken servers."""
    shown = explained(capsys, "SEND-3")
    clause = clauses()["SEND-3"]
    for part in (clause.text, f"{clause.level}, {clause.role}", clause.reason, clause.elsewhere):
        assert part in shown
    assert "SEND-3/to-the-sender" in shown
    assert "no-copy-for-the-sender" in shown


def test_chapter(capsys: pytest.CaptureFixture[str]) -> None:
    """A clause says in which chapter it stands: the text beside it explains it."""
    assert "Chapter: 3.3. The end" in explained(capsys, "CONN-22")
    assert "Chapter: 8. Slow readers and floods" in explained(capsys, "FLOW-1")


def test_several_clauses(capsys: pytest.CaptureFixture[str]) -> None:
    """Several clauses, such as those of a verdict, are printed one after the other; a comma behind one does no harm."""
    both = f"{explained(capsys, 'JOIN-3')} {explained(capsys, 'LIMIT-2')}"
    assert explained(capsys, "JOIN-3,", "LIMIT-2") == both


def test_vectors(capsys: pytest.CaptureFixture[str]) -> None:
    """The vectors of a clause are listed."""
    assert all(id in explained(capsys, "JSON-8") for id in cover()["JSON-8"].vectors)


def test_unchecked(capsys: pytest.CaptureFixture[str]) -> None:
    """A clause without checks says why."""
    unchecked = next(clause for clause in clauses().values() if clause.unchecked)
    assert f"Not checked: {unchecked.unchecked}" in explained(capsys, unchecked.id)


def test_area_in_any_case(capsys: pytest.CaptureFixture[str]) -> None:
    """An area is all its clauses, and case does not matter."""
    shown = explained(capsys, "join")
    assert all(
        f"{clause.id} {clause.level}" in shown for id, clause in clauses().items() if id.startswith("JOIN-")
    )


def test_name_of_a_check(capsys: pytest.CaptureFixture[str]) -> None:
    """The name of a check, as a failure gives it, stands for the clause that it tries."""
    assert explained(capsys, "SEND-3/to-the-sender") == explained(capsys, "SEND-3")


def test_unknown_clause(capsys: pytest.CaptureFixture[str]) -> None:
    """A clause that does not exist is a wrong usage, answered with those that it may have meant."""
    assert main(["explain", "JOIN-3", "JION-3"]) == USAGE
    assert "JOIN-3" in capsys.readouterr().err
    assert main(["explain", "\x1b"]) == USAGE
    assert "\x1b" not in capsys.readouterr().err
