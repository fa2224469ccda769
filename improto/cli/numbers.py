"""Numbers on the command line, as types for `argparse`: finite ones, which a clock and a socket can take."""

import argparse

__all__ = ["amount", "count", "port", "wait"]

_MOST = 1e6  # more than eleven days, if it is seconds


def amount(text: str) -> float:
    """Give a number from 0 to less than a million; ArgumentTypeError if it is none."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < _MOST:  # which no NaN is
        raise argparse.ArgumentTypeError(f"{text!a} is no number from 0 to less than a million")
    return number


def wait(text: str) -> float:
    """Give seconds, as `30` or `30s`, for what has to take its time; ArgumentTypeError if it is 0 or no such number."""
    number = amount(text.removesuffix("s"))
    if not number:
        raise argparse.ArgumentTypeError("it has to be more than 0")
    return number


def count(text: str) -> int:
    """Give a whole number that is not 0, for a limit; ArgumentTypeError if it is none."""
    if not (text.isdecimal() and text.isascii() and len(text) <= 15 and int(text)):
        raise argparse.ArgumentTypeError(f"{text!a} is no whole number from 1 on")
    return int(text)


def port(text: str) -> int:
    """Give a port, 0 for a free one; ArgumentTypeError if it is none, of which the system would take a part."""
    if not (text.isdecimal() and text.isascii() and len(text) <= 5 and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"{text!a} is no port from 0 to 65535")
    return int(text)
