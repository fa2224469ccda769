"""Which part of a server's world is judged, and what is constant in it."""

from collections.abc import Mapping
from dataclasses import dataclass

from improto.messages import Code, Conversations, Error, OnlineUsers
from improto_conformance.model import Rules

__all__ = ["Roster", "Scope"]

Roster = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Scope:
    """What of a server's world is judged: others may use it as well."""

    suffix: str
    """What the names of all its users end in."""
    announced: frozenset[str]
    """The conversations that its users were invited to."""
    foreign: frozenset[str]
    """Those of others."""
    rules: Rules
    hidden: bool = False
    """Whether others may have conversations that no list shows: they are there, and the policy is private (LIST-9)."""

    def roster(self, users: Mapping[str, str]) -> Roster:
        """Give what a roster shows of the users."""
        return frozenset(pair for pair in users.items() if pair[0].endswith(self.suffix))

    def listed(self, conversations: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """Give what a list shows of the conversations."""
        return {id: who for id, who in conversations.items() if id in self.announced}

    def same(self, wanted: object, got: object) -> bool:
        """Tell whether what came is what was to come; of an ERROR only the code counts."""
        if isinstance(wanted, Code):
            return isinstance(got, Error) and got.code == wanted
        if isinstance(wanted, OnlineUsers) and isinstance(got, OnlineUsers):
            return self.roster(wanted.users) == self.roster(got.users)
        if isinstance(wanted, Conversations) and isinstance(got, Conversations):
            return self.listed(wanted.conversations) == self.listed(got.conversations)
        return wanted == got
