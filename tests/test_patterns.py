"""Tests of the patterns that choose checks."""

import pytest

from improto.errors import UsageError
from improto_conformance.patterns import chosen
from improto_conformance.results import Aim

NAMES = {
    "JOIN-3/by-join": "JOIN-3",
    "JOIN-4/twice": "JOIN-4",
    "JOIN-4/declared": "JOIN-4",
    "SEND-3/x": "SEND-3",
}
AIMS = [Aim(name, clause, "") for name, clause in NAMES.items()]


def names(only: list[str] | None, *skip: str) -> list[str]:
    """Name the checks that are chosen."""
    return [aim.name for aim in chosen(AIMS, only, skip)]


def test_all() -> None:
    """Without patterns all are chosen."""
    assert names(None) == list(NAMES)


def test_only_and_skip() -> None:
    """What one pattern of `only` matches, by name or by clause, is chosen, unless one of `skip` does."""
    assert names(["JOIN-3", "SEND-*"]) == ["JOIN-3/by-join", "SEND-3/x"]
    assert names(["JOIN-*"], "*/declared") == ["JOIN-3/by-join", "JOIN-4/twice"]
    assert names(None, "JOIN-4") == ["JOIN-3/by-join", "SEND-3/x"]


def test_case() -> None:
    """Case does not matter."""
    assert names(["join-3", "send-3/X"]) == ["JOIN-3/by-join", "SEND-3/x"]


@pytest.mark.parametrize(
    ("pattern", "close"),
    [("jion-4", "JOIN-4"), ("JOIN-4/twise", "JOIN-4/twice"), ("JOIN", "JOIN-*"), ("\x1b", "for example")],
)
def test_unknown(pattern: str, close: str) -> None:
    """A pattern that matches no check is refused, beside others that do, with those that it may have meant."""
    for only, skip in ((["JOIN-3", pattern], ()), (None, (pattern,))):
        with pytest.raises(UsageError) as refused:
            chosen(AIMS, only, skip)
        assert close in str(refused.value)
        assert str(refused.value).isprintable()
