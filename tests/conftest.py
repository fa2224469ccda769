"""Fixtures of all tests."""

from collections.abc import Iterator

import pytest

from programs import Programs, running


@pytest.fixture
def programs() -> Iterator[Programs]:
    """Give a place to start programs at."""
    with running() as started:
        yield started
