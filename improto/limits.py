"""The bounds on messages: sizes of payloads, and of the values in them.

They are data and configurable, which is why messages do not check them when they are built.  A server
checks every request against them; a client checks what its user asks for.  What a client *receives* is not
checked here, since the server's limits may be configured otherwise: it is bounded by size only.

A value out of bounds is refused by the name of its field, never cut: whoever sent it would not learn that
the others saw something else.
"""

import re
from dataclasses import dataclass
from typing import Final

from improto.messages import AnyMessage, Kind, Role, Value

__all__ = ["DEPTH", "UNSAFE_IN_NAMES", "Limits"]

DEPTH: Final = 4
"""How deeply payloads may nest; the deepest legal one, CONVERSATIONS, needs 3."""

# C0, DEL, C1, line separators and bidirectional controls: in a name they could spoof another one on a terminal.
UNSAFE_IN_NAMES: Final = ((0x00, 0x1F), (0x7F, 0x9F), (0x2028, 0x202E), (0x2066, 0x2069))
"""The first and last code points of the ranges that names may not hold (LIMIT-7, LIMIT-8)."""

_UNSAFE_IN_NAMES = re.compile(
    "[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in UNSAFE_IN_NAMES) + "]"
)
_PRINTABLE = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on payloads in bytes, on texts in code points (where not said otherwise), and on counts.

    A payload counts without line end or length prefix; of a pickle, from the command to STOP.
    """

    greeting: int = 4 * 1024
    """A request's payload before somebody is registered."""
    request: int = 64 * 1024
    """A request's payload, and an event's."""
    roster: int = 16 * 1024 * 1024
    """What a client accepts of a roster or a list, and what a server keeps them below."""
    name: int = 64
    status: int = 256
    text: int = 8 * 1024
    """Of a text in SEND_MESSAGE and MESSAGE, in bytes of UTF-8."""
    conversation: int = 64
    """Of a conversation id, in characters."""
    invited: int = 64
    """Names in one INVITE, counted before doubles are dropped."""
    explanation: int = 512
    living: int = 64
    """Living conversations that one user has initiated."""

    def payload(self, sender: Role, *, registered: bool) -> int:
        """Give how many bytes a payload of `sender` may have."""
        if sender is Role.SERVER:
            return self.roster
        return self.request if registered else self.greeting

    def complaint(self, message: AnyMessage) -> str | None:
        """Say which field of `message` is out of bounds and what is allowed, or None if all is well."""
        for (name, kind), value in zip(message.FIELDS, message.values(), strict=True):
            reason = self._complaint(kind, value)
            if reason is not None:
                return f"{name} {reason}"
        return None

    def _complaint(self, kind: Kind, value: Value) -> str | None:
        match kind, value:
            case Kind.NAME, str():
                return self._name(value)
            case Kind.STATUS, str() if len(value) > self.status:  # LIMIT-10
                return f"must have at most {self.status} characters"
            # LIMIT-11.  A text of n characters has at least n bytes: so a huge one is refused before it is encoded.
            case Kind.TEXT, str() if len(value) > self.text or len(value.encode()) > self.text:
                return f"must have at most {self.text} bytes of UTF-8"
            case Kind.CONVERSATION, str() if len(value) > self.conversation or not _PRINTABLE.fullmatch(
                value
            ):
                return f"must have 1 to {self.conversation} printable ASCII characters, no space"
            case Kind.EXPLANATION, str() if len(value) > self.explanation:
                return f"must have at most {self.explanation} characters"
            case Kind.NAMES, tuple():
                if not 1 <= len(value) <= self.invited:  # LIMIT-14, LIMIT-15
                    return f"must be 1 to {self.invited} names"
                return next(filter(None, map(self._name, value)), None)
            case _:
                return None

    def _name(self, name: str) -> str | None:
        if not 1 <= len(name) <= self.name:  # LIMIT-5
            return f"must have 1 to {self.name} characters"
        if name[0] == " " or name[-1] == " ":  # LIMIT-6
            return "must not begin or end with a space"
        if _UNSAFE_IN_NAMES.search(name):  # LIMIT-7, LIMIT-8
            return "must not hold control or direction characters"
        return None
