"""Tests of `improto.deadlines`."""

import math

import pytest

from improto.deadlines import check_seconds, earliest, expired
from improto.errors import UsageError


@pytest.mark.parametrize("seconds", [-0.1, 1e6, math.inf, math.nan])
def test_times_that_cannot_be(seconds: float) -> None:
    """A time that no clock can tell is refused, and so is 0 where it makes no sense."""
    with pytest.raises(UsageError, match="idle is from 0 to less than a million seconds, and not"):
        check_seconds("idle", seconds)
    with pytest.raises(UsageError, match="more than 0 and less than"):
        check_seconds("repeat", 0.0, zero=False)
    check_seconds("idle", 0.0)
    check_seconds("idle", 999_999.0)
    check_seconds("repeat", 0.1, zero=False)


def test_expired() -> None:
    """Those whose time has come are taken out in the order in which they were set, and the others stay."""
    deadlines = {"ann": 1.0, "bo": 2.0, "cy": 3.0}
    assert expired(deadlines, 0.9) == []
    assert expired(deadlines, 2.0) == ["ann", "bo"]
    assert deadlines == {"cy": 3.0}
    assert expired(deadlines, 9.0) == ["cy"]
    assert expired(deadlines, 9.0) == []


def test_earliest() -> None:
    """The earliest is the first of some kind, or what is due anyway, or nothing."""
    assert earliest(None, []) is None
    assert earliest(None, [{}, {}]) is None
    assert earliest(4.0, [{}]) == 4.0
    assert earliest(None, [{"ann": 5.0, "bo": 6.0}, {}, {"ann": 3.0}]) == 3.0
    assert earliest(2.0, [{"ann": 5.0}, {"ann": 3.0}]) == 2.0
