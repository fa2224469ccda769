"""The checks of servers, by topic."""

from improto_conformance.servers.check import Check, registered
from improto_conformance.servers.checks import (
    codecs,
    conversations,
    declared,
    delivery,
    endings,
    errors,
    framing,
    identity,
    invitations,
    limits,
    memberships,
    presence,
    registration,
    sending,
    values,
    waiting,
    websocket,
)
from improto_conformance.servers.forms import form_checks
from improto_conformance.servers.scenarios import scenario_checks

__all__ = ["CHECKS"]

_TOPICS = (
    registration,
    endings,
    presence,
    invitations,
    memberships,
    conversations,
    delivery,
    waiting,
    errors,
    limits,
    identity,
    values,
    framing,
    declared,
    websocket,
    codecs,
    sending,
)  # imported, so registered
_PLACES = {topic.__name__: place for place, topic in enumerate(_TOPICS)}

CHECKS: list[Check] = [
    *sorted(registered(), key=lambda check: _PLACES[check.stimulus.__module__]),
    *scenario_checks(),
    *form_checks(),
]
"""All checks, in the order of the topics; then those that the vectors make."""
