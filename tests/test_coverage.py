"""Tests of the traceability from clauses to checks and vectors, and of the table about it."""

from pathlib import Path

import pytest

from improto_conformance.broken import BROKEN
from improto_conformance.checks import CHECKS
from improto_conformance.coverage import cover, table
from improto_conformance.vectors import vectors
from improto_spec import Clause, clauses

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("clause", clauses().values(), ids=clauses())
def test_each_clause_is_covered_or_says_why_not(clause: Clause) -> None:
    """A clause has a check or vector, or else a reason why there is none, and not both."""
    assert bool(cover()[clause.id]) is not bool(clause.unchecked)


def test_all_is_counted() -> None:
    """Each check and each vector counts for its clause, once."""
    covers = cover().values()
    others = [vector for vector in vectors().values() if vector.kind != "scenario"]
    assert sum(len(each.checks) for each in covers) == len(CHECKS)
    assert sum(len(each.vectors) for each in covers) == len(others)


def test_broken_servers_violate_what_is_checked() -> None:
    """Each broken server violates a clause that has a check."""
    assert all(cover()[broken.clause].checks for broken in BROKEN.values())


def test_table_is_fresh() -> None:
    """The table in the documentation is what `python -m improto_conformance.coverage` gives now."""
    path = ROOT / "docs/coverage.md"
    if not path.exists():
        pytest.skip("no documentation beside these tests")
    assert path.read_text(encoding="utf-8") == table()
