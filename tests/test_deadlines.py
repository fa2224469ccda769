"""Tests of `improto.deadlines`."""

from improto.deadlines import earliest, expired


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
