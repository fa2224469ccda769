"""Which part of a server's world is judged, and what is constant in it."""

from collections.abc import Mapping
from dataclasses import dataclass

from improto.messages import Code, Conversations, Error, OnlineUsers
from improto_conformance.judging.model import Rules

__all__ = ["Roster", "Scope"]

Roster = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Scope:
    """Which part of a server's world is judged, since others may use the server as well."""

    suffix: str
    """The end of the usernames of all users that are judged."""
    announced: frozenset[str]
    """The conversations that its users were invited to."""
    foreign: frozenset[str]
    """The conversations of others."""
    rules: Rules
    hidden: bool = False
    """Whether others may have conversations that no list shows: they are there, and the policy is private (LIST-9)."""

    def roster(self, users: Mapping[str, str]) -> Roster:
        """Give what a roster shows about the users that are judged."""
        return frozenset(pair for pair in users.items() if pair[0].endswith(self.suffix))

    def listed(self, conversations: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """Give what a list shows about the conversations that are judged."""
        return {id: who for id, who in conversations.items() if id in self.announced}

    def same(self, wanted: object, got: object) -> bool:
        """Tell whether what came is what should have come; of an ERROR only the code counts."""
        if isinstance(wanted, Code):
            return isinstance(got, Error) and got.code == wanted
        if isinstance(wanted, OnlineUsers) and isinstance(got, OnlineUsers):
            return self.roster(wanted.users) == self.roster(got.users)
        if isinstance(wanted, Conversations) and isinstance(got, Conversations):
            return self.listed(wanted.conversations) == self.listed(got.conversations)
        return wanted == got
