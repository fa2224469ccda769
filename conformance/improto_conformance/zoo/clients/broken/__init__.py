"""Clients that are wrong on purpose: each violates one clause, and a check of that clause must find it.

Each is the reference's client, in memory, with one piece of its source text replaced.  The `*.toml` files here have the
same form as those of broken servers (`improto_conformance.zoo.broken`).
"""

from collections.abc import Mapping
from typing import Final

from improto_conformance.zoo.broken import Broken, read

__all__ = ["CLIENTS"]

CLIENTS: Final[Mapping[str, Broken]] = read(__name__)
"""All of them, by name."""
