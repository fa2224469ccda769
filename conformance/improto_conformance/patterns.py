"""Chooses checks by patterns such as `JOIN-*` or `conn-4/*`, which match names or clauses in upper and lower case."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TypeVar

from improto.errors import UsageError
from improto_conformance.results import Aim

__all__ = ["chosen"]

_AnyAim = TypeVar("_AnyAim", bound=Aim)


def chosen(checks: Sequence[_AnyAim], only: Sequence[str] | None, skip: Sequence[str] = ()) -> list[_AnyAim]:
    """Give the checks that match a pattern of `only` (all checks if it is None), and no pattern of `skip`.

    UsageError if a pattern matches no check: otherwise, because of a typing error, fewer checks would run than wanted.
    """
    for pattern in (*(only or ()), *skip):
        if not any(_matches(check, pattern) for check in checks):
            raise UsageError(f"no check has a name or clause like {pattern!a}; {_hint(checks, pattern)}")
    return [
        check
        for check in checks
        if (only is None or any(_matches(check, pattern) for pattern in only))
        and not any(_matches(check, pattern) for pattern in skip)
    ]


def _matches(check: Aim, pattern: str) -> bool:
    return any(fnmatchcase(name.upper(), pattern.upper()) for name in (check.name, check.clause))


def _hint(checks: Sequence[Aim], pattern: str) -> str:
    names = {name.upper(): name for check in checks for name in _names(check)}
    close = get_close_matches(pattern.upper(), names, 3)
    if not close:
        return "patterns are, for example, 'JOIN-*' and 'CONN-4/*'"
    return f"did you mean {' or '.join(names[name] for name in close)}?"


def _names(check: Aim) -> Iterator[str]:
    yield check.clause
    yield check.name
    yield f"{check.clause.rpartition('-')[0]}-*"
