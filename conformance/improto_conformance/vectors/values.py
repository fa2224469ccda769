"""The values of vectors: messages with each value tagged by its type, and bytes as hexadecimal digits."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from improto.messages import COMMANDS, AnyMessage, Value

__all__ = ["Tagged", "read_bytes", "read_map", "read_message", "write_message"]

Tagged = Mapping[str, Any]
"""A JSON object of a vector, whose form the schema has checked."""

Resolve = Callable[[Tagged], str]
"""Gives the text that a tag of a scenario stands for."""


def _no_names(tag: Tagged) -> str:
    raise ValueError(f"{dict(tag)} stands for something only in a scenario")


def read_bytes(digits: str | Sequence[tuple[str, int]]) -> bytes:
    """Give the bytes that digits, or pairs of digits and count, stand for."""
    if isinstance(digits, str):
        return bytes.fromhex(digits)
    return b"".join(bytes.fromhex(each) * count for each, count in digits)


def read_message(tagged: Tagged, resolve: Resolve = _no_names) -> AnyMessage:
    """Make the message; InvalidMessage, KeyError or TypeError if the value does not describe one."""
    fields = {name: _read(value, resolve) for name, value in tagged["fields"].items()}
    return cast("Callable[..., AnyMessage]", COMMANDS[tagged["command"]])(**fields)


def read_map(pairs: Sequence[tuple[Any, Tagged]], resolve: Resolve = _no_names) -> dict[str, Value]:
    """Make a map of the pairs."""
    return {_string(key, resolve): _read(value, resolve) for key, value in pairs}


def write_message(message: AnyMessage) -> dict[str, Any]:
    """Tag the values of a message."""
    fields = {
        field.name: _write(value) for field, value in zip(message.FIELDS, message.values(), strict=True)
    }
    return {"command": message.COMMAND, "fields": fields}


def _read(value: Tagged, resolve: Resolve) -> Value:
    if "texts" in value:
        return tuple([_string(text, resolve) for text in value["texts"]])
    if "map" in value:
        return cast(Value, read_map(value["map"], resolve))
    return _string(value.get("text", value), resolve)


def _string(string: str | Tagged, resolve: Resolve) -> str:
    return string if isinstance(string, str) else resolve(string)


def _write(value: Value) -> dict[str, Any]:
    if isinstance(value, str):
        return {"text": value}
    if isinstance(value, tuple):
        return {"texts": list(value)}
    return {"map": [[key, _write(item)] for key, item in value.items()]}
