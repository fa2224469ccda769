"""The checks of clients, by topic."""

from improto_conformance.clients.check import ClientCheck, registered
from improto_conformance.clients.checks import (
    conversations,
    endings,
    errors,
    forms,
    nonsense,
    presence,
    registration,
    segments,
    texts,
)
from improto_conformance.clients.scenarios import scenario_checks

__all__ = ["CHECKS"]

_TOPICS = (
    registration,
    presence,
    conversations,
    texts,
    segments,
    nonsense,
    errors,
    forms,
    endings,
)  # imported, so registered

CHECKS: list[ClientCheck] = registered() + scenario_checks()
"""All checks, in the order of the topics; then those that the client scenarios make."""
