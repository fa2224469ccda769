"""Tests of numbers on the command line."""

import argparse

import pytest

from improto.cli.numbers import amount, count, port, wait


@pytest.mark.parametrize(("text", "number"), [("0", 0.0), ("2.5", 2.5), ("1e-3", 0.001)])
def test_amount(text: str, number: float) -> None:
    """A number is read as it stands."""
    assert amount(text) == number


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "-1", "1e6", "1e999", "soon", ""])
def test_no_amount(text: str) -> None:
    """What is no number, not finite, negative, or more than a clock takes, is refused with what would do."""
    with pytest.raises(argparse.ArgumentTypeError, match="is not a number from 0 to less than a million"):
        amount(text)


def test_wait() -> None:
    """What has to take its time is in seconds, which may be said, and not 0."""
    assert wait("0.1") == 0.1
    assert wait("30s") == 30.0
    with pytest.raises(argparse.ArgumentTypeError, match="more than 0"):
        wait("0")


@pytest.mark.parametrize("text", ["-1", "0", "1.0", "", "x", "9" * 5000])
def test_no_count(text: str) -> None:
    """What cannot be a limit is refused."""
    assert count("10000") == 10_000
    with pytest.raises(argparse.ArgumentTypeError, match="is not a whole number of 1 or more"):
        count(text)


@pytest.mark.parametrize("text", ["-1", "65536", "99999", "1.0", "", "x", "9" * 5000])
def test_no_port(text: str) -> None:
    """What is no port is refused, and not taken for another one, as the system does; the last one is one."""
    assert port("65535") == 65535
    with pytest.raises(argparse.ArgumentTypeError, match="is not a port from 0 to 65535"):
        port(text)
