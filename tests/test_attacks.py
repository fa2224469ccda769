"""Tests of the attacks on codecs: that each stays in its bounds, and that what does not is told."""

import pytest

from improto.limits import Limits
from improto_conformance.attacks import ATTACKS
from improto_conformance.attacks.measure import BOUNDS, Measured, measure


@pytest.fixture(scope="module")
def measured() -> dict[str, Measured]:
    """Run all attacks, once."""
    return {one.id: one for one in measure(ATTACKS.values(), jobs=2)}


@pytest.mark.parametrize("id", ATTACKS)
def test_attack_stays_in_its_bounds(id: str, measured: dict[str, Measured]) -> None:
    """An attack ends as it has to, takes no more memory and time than its bytes allow, and executes nothing."""
    assert list(measured[id].complaints(ATTACKS[id])) == []


@pytest.mark.parametrize(
    ("measured", "complaint"),
    [
        (Measured("", "message"), "has to be malformed, and was message"),
        (Measured("", "malformed", fatal=True), "has to be malformed, and was malformed and fatal"),
        (Measured("", "SIGXCPU"), "and was SIGXCPU"),
        (Measured("", "malformed", intact=False), "what follows"),
        (Measured("", "malformed", executed=("import",)), "made the interpreter act: import"),
        (Measured("", "malformed", fed=100, memory=10_000_000), "took 10,000,000 bytes of memory"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_told(measured: Measured, complaint: str) -> None:
    """Each way in which an attack may succeed gives one complaint."""
    (said,) = measured.complaints(ATTACKS["msgpack/trailing-byte"])
    assert complaint in said


def test_bounds_grow_with_what_is_held() -> None:
    """Memory is bound by the limit and one chunk, however many bytes come; time by the bytes that come."""
    bounds, limit = BOUNDS["json"], Limits().request
    assert bounds.bytes(limit, 2**30) == bounds.bytes(limit, 2**20)
    assert bounds.bytes(limit, 2**10) < bounds.bytes(limit, 2**16)
    assert bounds.seconds(2**24) > 16 * bounds.seconds(2**16)
