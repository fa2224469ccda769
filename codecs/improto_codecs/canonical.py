"""The canonical form of frequent messages, read and written fast.

Most messages come in the canonical form of their codec and need no escapes.  A regular expression, made from the
message table, tells which message it is and takes it apart in one go, faster than a parser that knows every form.
Where it does not match, that parser is asked; where it does, the parser would read the same message.

A message is built here without the checks of its `__init__`: what a pattern matches in a str that was decoded
from UTF-8 is text, and well formed.  (To make an object of another class with the same slots, and then to change its
class, would take half the time, but raises an audit event for each message, as if received bytes had called something.)
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, cast

from improto.messages import COMMANDS, AnyMessage, Kind, OnlineUsers, Role

__all__ = ["Maker", "Reader", "Writer", "flat", "maker", "reader", "roster_writer", "writer"]

Maker = Callable[[Any], AnyMessage | None]
"""Makes a message of an object that has its parts; gives None if only the full parser can read them."""
Reader = Callable[[bytes], AnyMessage | None]
"""Reads a payload fast; gives None if only the full parser can read it."""
Writer = Callable[[Any], bytes]
"""Writes the payload of a message of one class."""

_LISTS: Final = {Kind.NAMES, Kind.CONVERSATIONS}
_CONTAINERS: Final = {*_LISTS, Kind.ROSTER}


def flat(sender: Role) -> list[type[AnyMessage]]:
    """List the classes of messages from `sender` whose fields are all texts."""
    return _without(_CONTAINERS, sender)


def _without(kinds: Collection[Kind], sender: Role) -> list[type[AnyMessage]]:
    of = [message for message in COMMANDS.values() if message.FROM is sender]
    return [message for message in of if not any(field.kind in kinds for field in message.FIELDS)]


def reader(
    sender: Role,
    form: Callable[[type[AnyMessage]], str],
    roster: Callable[[str], dict[str, str] | None],
    escaped: bytes,
    forms: int = 1,
) -> Reader:
    """Make the reader of messages from `sender` that hold no lists, are canonical, and hold no escapes.

    `form` gives the pattern of a class: with `forms` groups for each text, of which one matches, and one group for a
    roster, which `roster` reads.  `escaped` is a table for `bytes.translate` that changes all bytes which such a
    payload cannot hold.
    """
    kinds = _without(_LISTS, sender)
    # Which class it was is told by the number of the last group that matched; so a class without fields gets an empty one.
    pattern = re.compile("|".join(form(kind) if kind.FIELDS else f"{form(kind)}()" for kind in kinds))
    makers: dict[int | None, Maker] = {}
    end = 0
    for kind in kinds:
        values: list[str] = []
        last = 1
        for field in kind.FIELDS:
            last = 1 if field.kind is Kind.ROSTER else forms
            groups = [f"parts[{end + number}]" for number in range(1, last + 1)]
            end += last
            values.append(f"roster({groups[0]})" if field.kind is Kind.ROSTER else " or ".join(groups))
        end += not kind.FIELDS
        makers |= dict.fromkeys(range(end - last + 1, end + 1), maker(kind, values, roster))
    match = pattern.fullmatch

    def read(payload: bytes) -> AnyMessage | None:
        if payload.translate(escaped) is not payload:  # if nothing is changed, no copy is made
            return None
        try:
            found = match(payload.decode())
        except UnicodeDecodeError:
            return None
        return None if found is None else makers[found.lastindex](found)

    return read


def maker(
    message: type[AnyMessage],
    values: Sequence[str],
    roster: Callable[[str], dict[str, str] | None] | None = None,
) -> Maker:
    """Compile the function that makes a message of `parts`; `values` are the expressions for its fields.

    The caller has to make sure that they give well-formed texts, and maps that nobody else holds.
    """
    source = ["def make(parts):", " made = new(Message)"]
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


def writer(expression: str, used: Mapping[str, Callable[..., object]], plain: Writer | None = None) -> Writer:
    """Compile the function that writes messages of a class; `expression` gives the payload of a `message`.

    Messages for which it raises TypeError are written by `plain`, if that is given.
    """
    scope: dict[str, object] = {**used, "plain": plain}
    source = f" return {expression}"
    if plain is not None:
        source = f" try: return {expression}\n except TypeError: return plain(message)"
    exec(f"def write(message):\n{source}", scope)
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
            and (empty or ("" not in users and "" not in values))
        ):
            return payload
        return plain(message)

    return write
