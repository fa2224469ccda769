"""The checks of servers, by topic."""

from improto_conformance.check import Check, registered
from improto_conformance.checks import conversations, delivery, errors, framing, presence, registration

__all__ = ["CHECKS"]

_TOPICS = (registration, presence, conversations, delivery, errors, framing)  # imported, so registered

CHECKS: list[Check] = registered()
"""All checks, in the order of the topics."""
