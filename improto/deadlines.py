"""Deadlines that come in the order in which they were set, so that only the first one has to be looked at.

They are kept in dicts, by what they are for.  All in one dict are set for the same number of seconds ahead; what is set
anew is taken out before, so that it stands last.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

__all__ = ["earliest", "expired"]

_Key = TypeVar("_Key")


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
