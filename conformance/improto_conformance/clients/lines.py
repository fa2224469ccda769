"""The driver protocol: lines of JSON between the suite and a program that operates a client.

`docs/driver.md` describes it for people who write such a program.  A command is a request of the protocol under another
name, and an event is a response.  So both are made from the message table, and their members have the names of the fields.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from improto.errors import InvalidMessage
from improto.messages import (
    AnyMessage,
    Conversations,
    Error,
    Goodbye,
    Invitation,
    Invite,
    Join,
    Leave,
    ListConversations,
    Message,
    OnlineUsers,
    Register,
    Request,
    Response,
    SendMessage,
    Status,
)
from improto_conformance.servers.party import Stuck
from improto_conformance.servers.targets import NoTarget

__all__ = [
    "ANSWERS",
    "CLOSED",
    "COMMANDS",
    "EVENTS",
    "IGNORED",
    "LOST",
    "RULES",
    "Heard",
    "Item",
    "NoDriver",
    "Told",
    "broken",
    "command",
    "members",
    "read",
]


_MOST_LINES: Final = 10_000  # that are heard in a check: none asks for a quarter of them …
_MOST_CHARACTERS: Final = 256 * 1024 * 1024  # … or for as much as two of the longest


class NoDriver(NoTarget):
    """The driver, not the client, is at fault: it cannot be started, or does not follow `docs/driver.md`."""


RULES: Final[Mapping[str, str]] = {
    "DRIVER-1": "each line that the driver writes must be an answer or an event, in the form that this page describes",
    "DRIVER-2": "each command must be answered once, with its own word, in the order of the commands",
    "DRIVER-3": "a command that the driver does not know must be answered with `unsupported`",
    "DRIVER-4": "members that the driver does not know must be ignored, and `reset` must work at any time",
    "DRIVER-5": "a request before `connect` must be refused",
    "DRIVER-6": "`connect` with a codec that the client does not have must be answered with `unsupported`",
    "DRIVER-7": "`reset` must close the client's connection",
    "DRIVER-8": "after the answer to `reset` there must be no event of the client that was dropped",
    "DRIVER-9": "the driver must end when its input ends",
}
"""What a driver has to do; `docs/driver.md` has them too."""


def broken(rule: str, line: str = "") -> NoDriver:
    """Say that a driver breaks a rule, and with which line."""
    shown = f", and it wrote {line.rstrip()[:300]!a}" if line else ""
    return NoDriver(f"the driver breaks {rule} of docs/driver.md: {RULES[rule]}{shown}")


COMMANDS: Final[Mapping[type[AnyMessage], str]] = {
    Register: "register",
    Status: "status",
    Invite: "invite",
    Join: "join",
    SendMessage: "send",
    Leave: "leave",
    ListConversations: "list",
    Goodbye: "goodbye",
}
"""The word for each request; besides them there are `connect` and `reset`."""

EVENTS: Final[Mapping[str, type[AnyMessage]]] = {
    "online": OnlineUsers,
    "invitation": Invitation,
    "conversations": Conversations,
    "message": Message,
    "error": Error,
}
"""The word for each response; besides them there are these three."""

IGNORED: Final = "ignored"
CLOSED: Final = "closed"
LOST: Final = "lost"
ANSWERS: Final = ("did", "refused", "unsupported")

Item = Response | str
"""What a client told its user: a message of the server, that it ignored something, or how the connection ended."""


@dataclass(frozen=True, slots=True)
class Told:
    """One line of a driver: the answer to a command, or an event."""

    answer: str = ""
    """One of `ANSWERS`, empty for an event."""
    to: str = ""
    """The command that is answered."""
    item: Item = ""
    code: str | None = None
    """What the client took for the code of an ERROR …"""
    has_code: bool = False
    """… if the driver tells codes at all."""


class Heard:
    """How much a driver has written in one check."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._lines = self._characters = 0

    def add(self, line: str, what: str) -> None:
        """Count a line that came while `what` was waited for; Stuck if lines come without end."""
        self._lines += 1
        self._characters += len(line)
        if self._lines > _MOST_LINES or self._characters > _MOST_CHARACTERS:
            raise Stuck(f"{what} was waited for, and other lines come without end")


def command(request: Request) -> dict[str, Any]:
    """Give the command by which the client's user asks for a request."""
    fields = zip(request.FIELDS, request.values(), strict=True)
    return {"do": COMMANDS[type(request)], **{field.name: value for field, value in fields}}


def members(line: str) -> dict[str, Any]:
    """Give the members of a command that we have written."""
    return cast("dict[str, Any]", json.loads(line))


def read(line: str) -> Told:
    """Read a line; NoDriver if it is neither an answer nor an event."""
    try:
        data: object = json.loads(line)
    except (ValueError, RecursionError):
        raise broken("DRIVER-1", line) from None
    found = cast("dict[str, object]", data) if isinstance(data, dict) else {}
    kinds = [kind for kind in (*ANSWERS, "event") if kind in found]
    name = found[kinds[0]] if len(kinds) == 1 else None
    if not isinstance(name, str):
        raise broken("DRIVER-1", line)
    return _event(name, found, line) if kinds == ["event"] else Told(answer=kinds[0], to=name)


def _event(name: str, found: Mapping[str, object], line: str) -> Told:
    if name in (IGNORED, CLOSED, LOST):
        return Told(item=name)
    try:
        kind = EVENTS[name]
        item = cast("Callable[..., Response]", kind)(*(found[field.name] for field in kind.FIELDS))
    except (KeyError, InvalidMessage):
        raise broken("DRIVER-1", line) from None
    code = found.get("code")
    if not isinstance(code, str | None):
        raise broken("DRIVER-1", line)
    return Told(item=item, code=code, has_code="code" in found)
