"""Fixtures of all tests."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from programs import Programs, running

pytest.register_assert_rewrite("faults")  # so that a fault that fails tells what it saw

# A test has no time limit: how long an example takes says something of the machine only.
settings.register_profile("improto", deadline=None)
settings.load_profile("improto")


@pytest.fixture
def programs() -> Iterator[Programs]:
    """Give a place to start programs at."""
    with running() as started:
        yield started
