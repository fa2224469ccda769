"""Fixtures of all tests."""

import gc
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from programs import Programs, running

# So that an assertion that fails there tells what it saw.
pytest.register_assert_rewrite("browsing", "faults")

# A test has no time limit: how long an example takes says something of the machine only.
settings.register_profile("improto", deadline=None)
settings.load_profile("improto")


# Whoever runs the tests in the background has them ignore SIGINT, and so whatever they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Have the garbage collector leave the many thousand tests alone: to look at them takes a tenth of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def programs() -> Iterator[Programs]:
    """Give a place to start programs at."""
    with running() as started:
        yield started
