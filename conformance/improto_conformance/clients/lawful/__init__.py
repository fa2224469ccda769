"""Clients that are right in another way: each uses a freedom that the specification leaves, and must pass all checks.

A suite that fails one of them takes habits of the reference for the specification.  `clients.toml` has the same form as
the tables of broken clients; here `clause` is the clause that allows the difference.
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
    """Give the names of the checks that a lawful client fails: none, or the suite is wrong."""
    return failed(tried(name))


def tried(name: str) -> Iterator[Aim | Result]:
    """Give each check before it is tried on a lawful client, and then its result."""
    return tried_on(CLIENTS[name], CHECKS)
