"""Runs each fault of `faults` on each binding that it applies to."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from faults import FAULTS, Fault, page
from ground import EXAMPLE, Binding, grounded

NO_TRIO = pytest.mark.skipif(find_spec("trio") is None, reason="trio is not installed")
TRIED = [
    pytest.param(
        fault, binding, id=f"{fault.name} on {binding}", marks=[NO_TRIO] if binding is EXAMPLE else []
    )
    for fault in FAULTS
    for binding in fault.bindings
]


@pytest.mark.parametrize(("fault", "binding"), TRIED)
def test_fault(fault: Fault, binding: Binding) -> None:
    """The server keeps what it promises, serves on, and holds nothing any more."""
    with grounded(binding, fault.options, fault.said, networked=fault.networked) as ground:
        fault.run(ground)


def test_page() -> None:
    """The page about faults is what these scenarios are."""
    assert Path("docs/faults.md").read_text() == page(), "python tests/faults.py docs/faults.md"
