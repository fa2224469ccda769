"""Tests of the traceability from clauses to checks and vectors, and of the table about it."""

import json
import re
from pathlib import Path

import pytest

from improto_conformance.clients.checks import CHECKS as CLIENT_CHECKS
from improto_conformance.coverage import FILES, cover
from improto_conformance.servers.checks import CHECKS
from improto_conformance.vectors import vectors
from improto_conformance.zoo.broken import BROKEN
from improto_spec import clauses

ROOT = Path(__file__).parent.parent


def test_each_clause_is_covered_or_says_why_not() -> None:
    """A clause has a check or vector, or else a reason why there is none, and not both."""
    covers = cover()
    assert [each.id for each in clauses().values() if bool(covers[each.id]) is bool(each.unchecked)] == []


def test_all_is_counted() -> None:
    """Each check and each vector counts for its clause, once."""
    covers = cover().values()
    others = [vector for vector in vectors().values() if vector.kind in ("message", "stream")]
    assert sum(len(each.checks) for each in covers) == len(CHECKS) + len(CLIENT_CHECKS)
    assert sum(len(each.vectors) for each in covers) == len(others)


def test_broken_servers_violate_what_is_checked() -> None:
    """Each broken server violates a clause that has a check."""
    assert all(cover()[broken.clause].checks for broken in BROKEN.values())


@pytest.mark.parametrize("name", FILES)
def test_documents_are_fresh(name: str) -> None:
    """The documentation is what `python -m improto_conformance.coverage docs` writes now."""
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == FILES[name]()


@pytest.mark.parametrize("page", ["README.md", "docs/reports.md", "docs/traffic.md", "docs/validate.md"])
def test_pages_name_checks(page: str) -> None:
    """A page for users names no check, and no transcript of one, that does not exist."""
    text = (ROOT / page).read_text(encoding="utf-8")
    named = {f"{clause}/{name}" for clause, name in re.findall(r"\b([A-Z]+-[0-9]+)[/_]([a-z][a-z_-]+)", text)}
    assert named <= {check.name for check in (*CHECKS, *CLIENT_CHECKS)}


def test_data() -> None:
    """The data has each clause with all its fields, and the names of what covers it."""
    entries = {entry["id"]: entry for entry in json.loads(FILES["coverage.json"]())}
    assert list(entries) == list(clauses())
    assert entries["SEND-3"]["text"] == clauses()["SEND-3"].text
    assert entries["SEND-3"]["checks"] == cover()["SEND-3"].checks
    assert entries["SEND-3"]["broken"] == ["no-copy-for-the-sender", "no-copy-for-who-is-alone"]
