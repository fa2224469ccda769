"""Clients that are wrong on purpose: each violates one clause, and a check of that clause must find it.

Each is the reference's client, in memory, with one piece of its source text replaced.  The `*.toml` files here have the
same form as those of broken servers (`improto_conformance.broken`).
"""

from collections.abc import Iterator, Mapping
from typing import Final

from improto_conformance.broken import Broken, read
from improto_conformance.clients.checks import CHECKS
from improto_conformance.clients.memory import failed, tried_on
from improto_conformance.results import Aim, Result

__all__ = ["CLIENTS", "meet_client", "tried"]

CLIENTS: Final[Mapping[str, Broken]] = read(__name__)
"""All of them, by name."""


def meet_client(name: str) -> list[str]:
    """Give the names of the checks that a broken client fails, of those of the clause that it violates."""
    return failed(tried(name))


def tried(name: str) -> Iterator[Aim | Result]:
    """Give each check of its clause before it is tried on a broken client, and then its result."""
    broken = CLIENTS[name]
    return tried_on(broken, [check for check in CHECKS if check.clause == broken.clause])
