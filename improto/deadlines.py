"""Deadlines that come in the order in which they were set, so that only the first one has to be looked at.

They are kept in dicts, by what they are for.  All in one dict are set for the same number of seconds ahead, which
`check_seconds` has checked; what is set anew is taken out before, so that it stands last.
"""

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from improto.errors import UsageError

__all__ = ["check_seconds", "earliest", "expired"]

_LONGEST: Final = 1e6  # more than eleven days, which is too much for some clocks
_Key = TypeVar("_Key")


def check_seconds(name: str, seconds: float, *, zero: bool = True) -> None:
    """Check a time that is called `name`.  UsageError if a clock cannot take it, or if it is 0 and must not be `zero`."""
    if not 0 <= seconds < _LONGEST or not (seconds or zero):  # written so that NaN is refused, too
        least = "from 0 to" if zero else "more than 0 and"
        raise UsageError(f"{name} is {least} less than a million seconds, and not {seconds}")


def expired(deadlines: dict[_Key, float], now: float) -> list[_Key]:
    """Take out all whose deadline has come, in order."""
    found: list[_Key] = []
    while deadlines:
        key, deadline = next(iter(deadlines.items()))
        if deadline > now:
            break
        del deadlines[key]
        found.append(key)
    return found


def earliest(due: float | None, kinds: Iterable[Mapping[_Key, float]]) -> float | None:
    """Give the earliest of `due`, if that is anything, and of all deadlines; None if there is none."""
    for deadlines in kinds:
        if deadlines:
            first = next(iter(deadlines.values()))
            due = first if due is None else min(due, first)
    return due
