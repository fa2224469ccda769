"""The canonical form of frequent messages, read and written fast.

Most messages come in the canonical form of their codec and need no escapes.  So a payload is cut at its quotes; the
command among the parts tells which message it is, and a function that is made from the message table checks the parts
and builds it.  Where they do not fit, the parser that knows every form is asked; where they do, that parser would read
the same message.

A message is built here without the checks of its `__init__`: what is cut out of a str that was decoded from UTF-8 is
text, and well formed.  (To make an object of another class with the same slots, and then to change its class, would
take half the time, but raises an audit event for each message, as if received bytes had called something.)
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from improto.messages import COMMANDS, AnyMessage, Kind, OnlineUsers, Role

__all__ = ["Maker", "Reader", "Writer", "flat", "maker", "roster_writer", "unpacking", "writer"]

Maker = Callable[[Any], AnyMessage | None]
"""Makes a message of an object that has its parts; gives None if only the full parser can read them."""
Reader = Callable[[bytes], AnyMessage | None]
"""Reads a payload fast; gives None if only the full parser can read it."""
Writer = Callable[[Any], bytes]
"""Writes the payload of a message of one class."""

_CONTAINERS: Final = {Kind.NAMES, Kind.ROSTER, Kind.CONVERSATIONS}


def flat(sender: Role) -> list[type[AnyMessage]]:
    """List the classes of messages from `sender` whose fields are all texts."""
    of = [message for message in COMMANDS.values() if message.FROM is sender]
    return [message for message in of if not any(field.kind in _CONTAINERS for field in message.FIELDS)]


def maker(message: type[AnyMessage], values: Sequence[str], ahead: str = "", **used: object) -> Maker:
    """Compile the function that makes a message of `parts`; `values` are the expressions for its fields.

    The lines `ahead` come first: they may give names to the parts, and return None if they do not fit.  `used` is what
    the expressions need.  The caller has to make sure that they give well-formed texts, and maps that nobody else holds.
    """
    source = ["def make(parts):", *[f" {line}" for line in ahead.splitlines()], " made = new(Message)"]
    source += [f" set_{name}(made, {value})" for (name, _), value in zip(message.FIELDS, values, strict=True)]
    source.append(" return made")
    scope: dict[str, object] = {**used, "new": object.__new__, "Message": message}
    scope |= {f"set_{name}": vars(message)[name].__set__ for name, _ in message.FIELDS}
    exec("\n".join(source), scope)
    return cast("Maker", scope["make"])


def unpacking(names: str, fit: str) -> str:
    """Write lines that give names to all parts, and return None if there are more or less, or if they do not fit."""
    return f"try: [{names}] = parts\nexcept ValueError: return None\nif not ({fit}): return None"


def writer(expression: str, used: Mapping[str, Callable[..., object]]) -> Writer:
    """Compile the function that writes messages of a class; `expression` gives the payload of a `message`."""
    scope: dict[str, object] = {**used}
    exec(f"def write(message):\n return {expression}", scope)
    return cast("Writer", scope["write"])


def roster_writer(
    ahead: str, between: str, after: str, end: str, raw: bytes, plain: Writer, *, empty: bool
) -> Writer:
    """Make the writer of rosters.

    First comes `ahead`, then each name and status with `between` between them and `after` between two entries, then `end`.
    All is written in one go.  That holds if no text has a byte that is not in `raw`, and if none is empty, unless `empty`
    allows that.  Other rosters, and those without entries, are written by `plain`.
    """
    entry = [after, "", between, ""]
    names, statuses = slice(1, None, 4), slice(3, None, 4)
    marks = bytes(byte for byte in (ahead + between + after + end).encode() if byte not in raw)
    # To delete the few marks takes less time than to delete all else; what is neither becomes zero.
    table = bytes(byte if byte in raw or byte in marks else 0 for byte in range(256))
    each = len((between + after).encode().translate(None, raw))  # marks of one entry
    others = len((ahead + end).encode().translate(None, raw)) - len(after.encode().translate(None, raw))

    def write(message: OnlineUsers) -> bytes:
        users = message.users
        count = len(users)
        if not count:
            return plain(message)
        parts = entry * count
        parts[0] = ahead
        # To make a list, and then to assign it, takes less time than to assign from a map.
        parts[names] = [*users]
        parts[statuses] = values = [*users.values()]
        if end:
            parts.append(end)
        payload = "".join(parts).encode()
        texts = payload.translate(table, marks)
        if (
            0 not in texts
            and len(payload) - len(texts) == each * count + others
            and (empty or ("" not in users and all(values)))
        ):
            return payload
        return plain(message)

    return write
