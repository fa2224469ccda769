"""Clients that are right in another way: each uses a freedom that the specification leaves, and must pass all checks.

A suite that fails one of them takes habits of the reference for the specification.  `clients.toml` has the same form as
the tables of broken clients; here `clause` is the clause that allows the difference.
"""

from collections.abc import Mapping
from typing import Final

from improto_conformance.zoo.broken import Broken, read

__all__ = ["CLIENTS"]

CLIENTS: Final[Mapping[str, Broken]] = read(__name__)
"""All of them, by name."""
