"""Tests of the servers that are wrong on purpose."""

import pytest

from improto_conformance.results import Verdict
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.runner import Settings, conduct
from improto_conformance.zoo.broken import BROKEN, Broken, Stale
from improto_conformance.zoo.copies import in_memory
from improto_spec import clauses


def test_clauses_exist() -> None:
    """Each broken server violates a clause that there is."""
    assert {broken.clause for broken in BROKEN.values()} <= clauses().keys()


def test_edits_fit() -> None:
    """Each edit fits the reference's present text, and changes it."""
    stale: list[str] = []
    for broken in BROKEN.values():
        try:
            broken.copy()
        except Stale as error:
            stale.append(str(error))
    assert stale == []
    assert [name for name, broken in BROKEN.items() if broken.new == broken.old] == []


@pytest.mark.parametrize("old", ["this stands nowhere", "return"])
def test_stale(old: str) -> None:
    """An edit whose text does not stand there exactly once is refused."""
    with pytest.raises(Stale, match=r"x: the text in `old` stands \d+ times in improto/server.py; make it"):
        Broken("x", "JOIN-2", "improto/server.py", old, "").copy()


def verdicts(broken: Broken, clause: str) -> set[Verdict]:
    """Give what the checks of a clause say of a broken server."""
    checks = [check for check in CHECKS if check.clause == clause]
    target = in_memory(broken.copy(), private=broken.private, limits=broken.limits)
    settings = Settings(broken.profile, jobs=1)
    return {result.verdict for result in conduct(target, checks, settings)}


@pytest.mark.parametrize("name", list(BROKEN)[::10])
def test_caught(name: str) -> None:
    """A broken server fails a check of its clause; the zoo meets them all."""
    assert Verdict.FAILED in verdicts(BROKEN[name], BROKEN[name].clause)


@pytest.mark.parametrize("clause", ["JOIN-2", "STATUS-2"])
def test_unedited(clause: str) -> None:
    """An edit that means the same breaks nothing: what is caught is the edit."""
    same = Broken("same", clause, "improto/server.py", "self._made += 1\n", "self._made = self._made + 1\n")
    assert verdicts(same, clause) == {Verdict.PASSED}
