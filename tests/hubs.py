"""Hubs with users on them, and what they answer, for tests of `improto.server`."""

from collections.abc import Mapping

from improto.limits import Limits
from improto.messages import (
    Conversations,
    Error,
    Invitation,
    Invite,
    Join,
    ListConversations,
    Register,
    Request,
)
from improto.server import Hub, Output, Policy, Send

__all__ = ["ANN", "BO", "CY", "DI", "ask", "error_code", "hub_with", "invite", "listed", "refused", "talk"]

ANN, BO, CY, DI = 1, 2, 3, 4
NAMES = {ANN: "ann", BO: "bo", CY: "cy", DI: "di"}


def hub_with(*connections: int, policy: Policy | None = None, limits: Limits | None = None) -> Hub:
    """Give a hub on which these connections are registered at the time 0, each by its name."""
    hub = Hub(policy, limits)
    for connection in connections:
        hub.receive(connection, Register(NAMES[connection], ""), 0.0)
    return hub


def ask(hub: Hub, connection: int, request: Request) -> list[Output]:
    """Let a request take effect at the time 0."""
    return hub.receive(connection, request, 0.0)


def invite(hub: Hub, connection: int, *names: str) -> str:
    """Let a user invite others and give the new conversation's id."""
    (output,) = ask(hub, connection, Invite(names))
    assert isinstance(output, Send)
    assert isinstance(output.message, Invitation)
    return output.message.conversation


def talk(hub: Hub, *members: int) -> str:
    """Give the id of a conversation that all of `members` have joined, begun by the first."""
    id = invite(hub, members[0], *(NAMES[member] for member in members[1:]))
    for member in members:
        assert ask(hub, member, Join(id)) == []
    return id


def listed(hub: Hub, connection: int = ANN) -> Mapping[str, tuple[str, ...]]:
    """Give what LIST_CONVERSATIONS tells this user."""
    (output,) = ask(hub, connection, ListConversations())
    assert isinstance(output, Send)
    assert output.to == (connection,)
    assert isinstance(output.message, Conversations)
    return output.message.conversations


def error_code(outputs: list[Output], connection: int) -> str | None:
    """Give the code of the one ERROR that these outputs are, sent to this connection alone."""
    (output,) = outputs
    assert isinstance(output, Send)
    assert output.to == (connection,)
    assert isinstance(output.message, Error)
    return output.message.code


def refused(hub: Hub, connection: int, request: Request) -> str | None:
    """Give the code of the ERROR that answers a request, after making sure that nothing changed."""
    before = hub.digest()
    code = error_code(ask(hub, connection, request), connection)
    assert hub.digest() == before
    return code
