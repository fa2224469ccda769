"""The canonical form of frequent messages, read and written fast.

Most messages come in the canonical form of their codec and need no escapes.  A pattern, made from the message
table, tells which one it is and takes it apart in one go, in less time than a parser that knows every form.  That
parser stands behind and is asked when no canonical form fits; what fits, both read as the same message.

A message is built here without the checks of its `__init__`: what a pattern matches in a str that was decoded
from UTF-8 is text, and well formed.  (To make it of an open class with the same slots and then change its class
takes half the time, but raises an audit event for each message, as if its bytes made the interpreter act.)
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from improto.messages import COMMANDS, AnyMessage, Kind, Role

__all__ = ["Canonical", "Maker", "Writer", "canonical", "entries", "maker", "writer"]

Maker = Callable[[Sequence[Any]], AnyMessage | None]
"""What makes a message of its parts; None if only the other parser can tell what they are."""
Canonical = tuple[Callable[[str], re.Match[str] | None], Mapping[int | None, Maker]]
"""What matches a whole canonical text, and by the `lastindex` of the match what makes a message of its groups."""

Writer = Callable[[Any], bytes]
"""What writes the payload of messages of one class."""

_LISTS: Final = (Kind.NAMES, Kind.CONVERSATIONS)


def canonical(
    sender: Role,
    form: Callable[[type[AnyMessage]], str],
    roster: Callable[[str], dict[str, str] | None],
    forms: int = 1,
) -> Canonical:
    """Make what reads all that `sender` sends but lists.

    `form` gives the pattern of a class, in which each text may stand in as many `forms`, each a group; a roster
    is one group, which `roster` reads.
    """
    kinds = [
        kind
        for kind in COMMANDS.values()
        if kind.FROM is sender and not any(field.kind in _LISTS for field in kind.FIELDS)
    ]
    # The last group tells which choice it was: so one without fields gets an empty one.
    pattern = re.compile("|".join(form(kind) if kind.FIELDS else f"{form(kind)}()" for kind in kinds))
    groups = [f"g{number}" for number in range(1, pattern.groups + 1)]
    makers: dict[int | None, Maker] = {}
    end = 0
    for kind in kinds:
        values: list[str] = []
        last: list[str] = [groups[end]]
        for field in kind.FIELDS:
            last = groups[end : end + (1 if field.kind is Kind.ROSTER else forms)]
            end += len(last)
            values.append(f"roster({last[0]})" if field.kind is Kind.ROSTER else " or ".join(last))
        end += not kind.FIELDS
        make = maker(kind, groups, values, roster)
        makers |= dict.fromkeys(range(end - len(last) + 1, end + 1), make)
    return pattern.fullmatch, makers


def maker(
    message: type[AnyMessage],
    parts: Sequence[str],
    values: Sequence[str],
    roster: Callable[[str], dict[str, str] | None] | None = None,
) -> Maker:
    """Write the function that makes a message: `values` say what its fields are, in terms of the `parts`.

    Whoever calls it vouches that the values are texts and well formed, and that nobody else holds a map.
    """
    source = ["def make(parts):", f" {', '.join(parts)}, = parts", " made = new(Message)"]
    for (name, kind), value in zip(message.FIELDS, values, strict=True):
        if kind is Kind.ROSTER:
            source += [f" if (map := {value}) is None: return None", f" set_{name}(made, map)"]
        else:
            source.append(f" set_{name}(made, {value})")
    source.append(" return made")
    scope: dict[str, object] = {"new": object.__new__, "Message": message, "roster": roster}
    scope |= {f"set_{name}": vars(message)[name].__set__ for name, _ in message.FIELDS}
    exec("\n".join(source), scope)
    return cast("Maker", scope["make"])


def writer(expression: str, used: Mapping[str, Callable[[str], object]]) -> Writer:
    """Write the function that writes messages of a class: an expression for the payload of a `message`."""
    scope: dict[str, object] = dict(used)
    exec(f"def write(message): return {expression}", scope)
    return cast("Writer", scope["write"])


def entries(users: Mapping[str, str], ahead: str, between: str, after: str, end: str) -> str:
    """Write a roster all at once: what goes ahead, between each name and status, after each entry, and at the end.

    There must be an entry.
    """
    parts = [after, "", between, ""] * len(users)
    parts[0] = ahead
    parts[1::4] = users
    parts[3::4] = users.values()
    parts.append(end)
    return "".join(parts)
