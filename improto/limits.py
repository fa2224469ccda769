"""The bounds on messages: sizes of payloads, and of the values in them.

They are configurable, and so messages do not check them when they are built.  A server checks every request
against them; a client may check what its user wants to send.  What a client *receives* is bounded by its size
only, since the server may have other limits (LIMIT-26).

A value out of bounds is refused, and the error names its field.  It is never cut: the sender would not learn that
the others saw something else.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from improto.messages import COMMANDS, ERROR_TEXT, AnyMessage, Kind, Role

__all__ = ["DEPTH", "UNSAFE_IN_NAMES", "Limits"]

DEPTH: Final = 4
"""How deeply lists and maps may nest in a payload (LIMIT-17); the deepest legal message, CONVERSATIONS, needs 3."""

# C0, DEL, C1, line separators and bidirectional controls: with them, a name could look like another one on a terminal.
UNSAFE_IN_NAMES: Final = ((0x00, 0x1F), (0x7F, 0x9F), (0x2028, 0x202E), (0x2066, 0x2069))
"""Ranges of code points that names may not hold, each by its first and last one (LIMIT-7, LIMIT-8)."""

_UNSAFE_IN_NAMES = re.compile(
    "[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in UNSAFE_IN_NAMES) + "]"
)
_PRINTABLE = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on payloads in bytes, on texts in code points (unless it says otherwise), and on numbers of things.

    A payload is counted without its line end or length prefix; a pickle, from its command to STOP (LIMIT-1).
    """

    greeting: int = 4 * 1024
    """A request's payload before the user is registered (LIMIT-3)."""
    request: int = 64 * 1024
    """A request's payload after that, and an event's (LIMIT-2)."""
    roster: int = 16 * 1024 * 1024
    """The largest roster or list that a client accepts, and up to which a server lets them grow (LIMIT-20, LIMIT-21)."""
    name: int = 64
    """A username (LIMIT-5)."""
    status: int = 256
    """A status (LIMIT-10)."""
    text: int = 8 * 1024
    """A text in SEND_MESSAGE and MESSAGE, in bytes of UTF-8 (LIMIT-11)."""
    conversation: int = 64
    """A conversation id (LIMIT-13)."""
    invited: int = 64
    """Names in one INVITE, counted before duplicates are dropped (LIMIT-14)."""
    living: int = 64
    """Living conversations that one user has begun (LIMIT-18)."""

    def payload(self, sender: Role, *, registered: bool) -> int:
        """Give how many bytes a payload from `sender` may have."""
        if sender is Role.SERVER:
            return self.roster
        return self.request if registered else self.greeting

    def complaint(self, message: AnyMessage) -> str | None:
        """Say which field of `message` is out of bounds, and what is allowed; None if all is well."""
        for name, check in _CHECKS[type(message)]:
            reason = check(self, getattr(message, name))
            if reason is not None:
                return f"{name} {reason}"
        return None


def _status(limits: Limits, value: str) -> str | None:
    if len(value) > limits.status:  # LIMIT-10
        return f"must have at most {limits.status} characters"
    return None


def _text(limits: Limits, value: str) -> str | None:
    # LIMIT-11.  A text has at least as many bytes as characters, so a huge one is refused before it is encoded.
    if len(value) > limits.text or len(value.encode()) > limits.text:
        return f"must have at most {limits.text} bytes of UTF-8"
    return None


def _conversation(limits: Limits, value: str) -> str | None:
    plain = value.isalnum() and value.isascii()  # most are: this takes less time than the pattern
    if len(value) > limits.conversation or not (plain or _PRINTABLE.fullmatch(value)):
        return f"must have 1 to {limits.conversation} printable ASCII characters, no space"
    return None


def _explanation(limits: Limits, value: str) -> str | None:
    if len(value) > ERROR_TEXT:
        return f"must have at most {ERROR_TEXT} characters"
    return None


def _names(limits: Limits, value: tuple[str, ...]) -> str | None:
    if not 1 <= len(value) <= limits.invited:  # LIMIT-14, LIMIT-15
        return f"must be 1 to {limits.invited} names"
    return next(filter(None, (_name(limits, name) for name in value)), None)


def _name(limits: Limits, name: str) -> str | None:
    if not 1 <= len(name) <= limits.name:  # LIMIT-5
        return f"must have 1 to {limits.name} characters"
    if name[0] == " " or name[-1] == " ":  # LIMIT-6
        return "must not begin or end with a space"
    if _UNSAFE_IN_NAMES.search(name):  # LIMIT-7, LIMIT-8
        return "must not hold control or direction characters"
    return None


# What is checked of each class, worked out once, since every request comes by here.
_CHECK: Final[Mapping[Kind, Callable[[Limits, Any], str | None]]] = {
    Kind.NAME: _name,
    Kind.STATUS: _status,
    Kind.TEXT: _text,
    Kind.CONVERSATION: _conversation,
    Kind.EXPLANATION: _explanation,
    Kind.NAMES: _names,
}
_CHECKS: Final = {
    message: [(name, _CHECK[kind]) for name, kind in message.FIELDS if kind in _CHECK]
    for message in COMMANDS.values()
}
