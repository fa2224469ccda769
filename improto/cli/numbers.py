"""Types for numbers on the command line, for `argparse`: only such numbers as clocks and sockets can take."""

import argparse

__all__ = ["amount", "count", "port", "wait"]

_MOST = 1e6  # more than eleven days, if it is seconds


def amount(text: str) -> float:
    """Take a number from 0 to less than a million; ArgumentTypeError if the text is none."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < _MOST:  # written so that NaN is refused, too
        raise argparse.ArgumentTypeError(f"{text!a} is not a number from 0 to less than a million")
    return number


def wait(text: str) -> float:
    """Take a time in seconds, like `30` or `30s`; ArgumentTypeError if it is 0 or no such number."""
    number = amount(text.removesuffix("s"))
    if not number:
        raise argparse.ArgumentTypeError("it has to be more than 0")
    return number


def count(text: str) -> int:
    """Take a limit, which is a whole number from 1 on; ArgumentTypeError if the text is none."""
    if not (text.isdecimal() and text.isascii() and len(text) <= 15 and int(text)):
        raise argparse.ArgumentTypeError(f"{text!a} is not a whole number of 1 or more")
    return int(text)


def port(text: str) -> int:
    """Take a port, where 0 stands for a free one; ArgumentTypeError if it is none: the system would use some of its bits."""
    if not (text.isdecimal() and text.isascii() and len(text) <= 5 and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"{text!a} is not a port from 0 to 65535")
    return int(text)
