"""Tests of the clauses as data, and of what refers to them."""

import re
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from improto.messages import Code
from improto_spec import Clause, clauses

ROOT = Path(__file__).parent.parent
LEVELS = ("MUST NOT", "MUST", "SHOULD NOT", "SHOULD", "MAY")
ROLES = {"server", "client", "codec", "binding"}
WORDS = re.compile("|".join(LEVELS))
MENTION = re.compile(r"\b([A-Z]{2,})-[0-9]+\b")


def area(id: str) -> str:
    """Give the area of a clause's id."""
    return id.rpartition("-")[0]


def sources() -> list[Path]:
    """List the source files that may mention clauses: of the project if it is there, always of the tests."""
    folders = (ROOT / folder for folder in ("improto", "codecs", "conformance", "spec", "tests"))
    return [
        path
        for folder in folders
        for path in sorted(folder.rglob("*.*"))
        if path.suffix in (".py", ".in", ".mjs") and "node_modules" not in path.parts
    ]


def test_clauses_parse_once() -> None:
    """The clauses load, there are some, and they are loaded only once."""
    assert clauses()
    assert clauses() is clauses()


def test_ids_are_unique() -> None:
    """No clause hides another one of the same id."""
    raw = (ROOT / "spec/improto_spec/clauses.toml").read_text(encoding="utf-8")
    assert re.findall(r'^id = "(.*)"$', raw, re.MULTILINE) == list(clauses())


def test_ids_are_consecutive() -> None:
    """Each area stands in one place and counts its clauses 1, 2, 3 …"""
    areas = [(name, list(ids)) for name, ids in groupby(clauses(), key=area)]
    assert len({name for name, _ in areas}) == len(areas)
    for name, ids in areas:
        assert ids == [f"{name}-{n}" for n in range(1, len(ids) + 1)]


def wrong(right: Callable[[Clause], bool]) -> list[str]:
    """Name the clauses that are not right."""
    return [clause.id for clause in clauses().values() if not right(clause)]


def test_fields() -> None:
    """A clause has a known level, role and origin, a text that is a sentence, and a reason."""
    assert wrong(lambda clause: clause.level in LEVELS) == []
    assert wrong(lambda clause: clause.role in ROLES) == []
    assert wrong(lambda clause: clause.origin in {"lecture", "decision"}) == []
    assert wrong(lambda clause: re.fullmatch(r"\S.*[.)]", clause.text) is not None) == []
    assert wrong(lambda clause: bool(clause.reason.strip())) == []


def test_level_stands_in_the_text() -> None:
    """The text uses the word of its level, and no word of another level."""
    assert wrong(lambda clause: set(WORDS.findall(clause.text)) == {clause.level}) == []


def test_mentioned_ids_exist() -> None:
    """Every clause that code or a test mentions is one that there is."""
    areas = set(map(area, clauses()))
    unknown = {
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in sources()
        for match in MENTION.finditer(path.read_text(encoding="utf-8"))
        if match[1] in areas and match[0] not in clauses()
    }
    assert not unknown


def test_precedence_is_that_of_the_codes() -> None:
    """The order of the codes in the code is the order of precedence in the specification (ERROR-6, ERROR-8)."""
    named = re.findall(r"`([a-z-]+)`", clauses()["ERROR-6"].text)
    assert [*named, "timeout", "slow-consumer", "shutting-down"] == list(Code)
