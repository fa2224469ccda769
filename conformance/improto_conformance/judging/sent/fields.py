"""The fields of messages from servers, and complaints about values of a wrong type."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, cast

__all__ = ["FIELDS", "MAPS", "NAME", "Found", "PlainMap", "positional", "shown", "value_of"]

Found = Iterator[tuple[str, str]]
"""Clauses, each with what is wrong."""

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "ONLINE_USERS": ("users",),
    "INVITATION": ("conversation", "source"),
    "CONVERSATIONS": ("conversations",),
    "MESSAGE": ("conversation", "sender", "text"),
    "ERROR": ("message",),
}
MAPS: Final = ("users", "conversations")
NAME: Final = re.compile(r"[A-Z_]{1,20}")


class PlainMap:
    """A map of a pickle: keys and values in turn.  No key is hashed, for that may take for ever."""

    def __init__(self) -> None:
        self.flat: list[Any] = []

    def update(self, flat: list[Any]) -> "PlainMap":
        if len(flat) % 2:
            raise ValueError("a key has no value")
        self.flat += flat
        return self

    def items(self) -> Iterator[tuple[Any, Any]]:
        return zip(self.flat[::2], self.flat[1::2], strict=True)


def positional(command: str, fields: list[Any], shape: str, clauses: Mapping[str, str], data: bytes) -> Found:
    names = FIELDS[command]
    if len(fields) != len(names):
        yield (
            ("CONN-12" if len(fields) > len(names) else shape),
            f"{shown(data)}, which has {len(fields)} fields",
        )
    for name, value in zip(names, fields, strict=False):
        yield from value_of(name, value, clauses["map" if name in MAPS else "list"], clauses[""], data)


def value_of(name: str, value: Any, container: str, text: str, data: bytes) -> Found:
    """Complain of a value of another type: by one clause if it is a list or map, or should be one, else by another."""
    if name not in MAPS:
        if not isinstance(value, str):
            clause = container if isinstance(value, list | tuple | dict | PlainMap) else text
            yield clause, f"{shown(data)}, where {name} is no text"
        return
    if not isinstance(value, dict | PlainMap):
        yield container, f"{shown(data)}, where {name} is no map"
        return
    for key, item in cast("Iterable[tuple[Any, Any]]", value.items()):
        listed: list[Any] = [*item] if name == "conversations" and isinstance(item, list | tuple) else [item]
        fits = name == "users" or isinstance(item, list | tuple)
        is_id = name == "conversations" and type(key) is int and container == "PICKLE-2"  # PICKLE-32
        if (
            not fits
            or not (isinstance(key, str) or is_id)
            or not all(isinstance(each, str) for each in listed)
        ):
            yield container, f"{shown(data)}, where the value of a key, or the key, has another type"
            return


def shown(data: bytes) -> str:
    return ascii(data if len(data) <= 80 else data[:80] + b"...")
