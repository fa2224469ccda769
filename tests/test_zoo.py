"""Tests of `improto zoo`.  The whole of it is a command of its own; here a few servers are met."""

import pytest

from improto_conformance.broken import BROKEN
from improto_conformance.checks import CHECKS
from improto_conformance.variants import VARIANTS
from improto_conformance.zoo import Beast, matrix, meet
from improto_spec import clauses


def test_clauses_exist() -> None:
    """Each broken server violates a clause that there is, and each variant is allowed by one."""
    assert {broken.clause for broken in BROKEN.values()} <= clauses().keys()
    assert {variant.clause for variant in VARIANTS.values()} <= clauses().keys()


@pytest.mark.parametrize(
    "name", ["maps-backwards", "private", "rosters-all-the-time", "errors-of-512-characters"]
)
def test_lawful_servers(name: str) -> None:
    """A server that is right in another way passes all checks."""
    assert meet(name) == Beast(name, VARIANTS[name].clause, False, ())


def test_broken_server() -> None:
    """A broken server is caught by a check of its own clause."""
    beast = meet("members-sorted")
    assert beast.well
    assert any(name.startswith("LIST-8/") for name in beast.failed)


def test_wrong_verdicts() -> None:
    """The suite is wrong about what it spares, catches for another reason only, or blames without a cause."""
    assert not Beast("x", "SEND-3", True, ()).well
    assert not Beast("x", "SEND-3", True, ("SEND-2/y", "SEND/y")).well
    assert Beast("x", "SEND-3", True, ("SEND-2/y", "SEND-3/y")).well
    assert not Beast("x", "SEND-3", False, ("SEND-3/y",)).well


def test_matrix() -> None:
    """The matrix names the servers, what failed them, and the checks that failed none."""
    killer, idle = CHECKS[0], CHECKS[1]
    lines = list(
        matrix([Beast("x", killer.clause, True, (killer.name, "JOIN-3/y")), Beast("z", "CONV-4", False, ())])
    )
    assert f"| x | {killer.clause} | 1 | JOIN-3 |" in lines
    assert "| z | CONV-4 | none |" in lines
    assert f"- {idle.name}" in lines
    assert f"- {killer.name}" not in lines
