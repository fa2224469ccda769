"""Tests of calls in processes of their own."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from improto_conformance.workers import Outcome, outcomes


def busy(item: int) -> Iterator[int]:
    """Yield the item, and then: come to an end, hang, end the process, or raise."""
    yield item
    if item == 1:
        while True:
            time.process_time()
    if item == 2:
        os._exit(1)
    if item == 3:
        raise ValueError(item)
    if item == 5:
        signal.raise_signal(signal.SIGINT)


def test_outcomes() -> None:
    """A call that hangs and one that ends its process are told from those that come to an end; the others go on."""
    assert list(outcomes(busy, [0, 1, 2, 4], jobs=2, patience=0.5)) == [
        Outcome(0, [0], True),
        Outcome(1, [1], False),
        Outcome(2, [2], False),
        Outcome(4, [4], True),
    ]


def test_raised() -> None:
    """What a call raises comes out, and says where it was raised in the other process."""
    with pytest.raises(ValueError, match="3") as raised:
        list(outcomes(busy, [3], jobs=1, patience=5.0))
    assert "raise ValueError(item)" in "".join(raised.value.__notes__)


def test_no_more() -> None:
    """Who wants no more results does not wait for a call that hangs."""
    found = outcomes(busy, [0, 1, 1], jobs=1, patience=1e6)
    assert next(found) == Outcome(0, [0], True)
    found.close()


def test_interrupted() -> None:
    """Ctrl-C, which the system passes on to the processes too, ends none of them by itself."""
    assert list(outcomes(busy, [5], jobs=1, patience=5.0)) == [Outcome(5, [5], True)]
