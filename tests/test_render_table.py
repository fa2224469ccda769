"""Tests of the table for other languages: it says what the tables in the code say."""

import dataclasses
import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from improto.limits import DEPTH, Limits
from improto.messages import (
    COMMAND_NAME,
    COMMANDS,
    AnyMessage,
    Code,
    Invite,
    Join,
    Kind,
    Register,
    Role,
    SendMessage,
    Status,
)
from improto.states import TRANSITIONS, State
from improto_spec.render import table

TABLE: dict[str, Any] = json.loads(table.render())
KINDS: dict[str, Any] = TABLE["kinds"]


def test_ends_in_one_newline() -> None:
    """The file ends in one newline, is printable ASCII otherwise, and is the same each time."""
    assert re.fullmatch(r"(?:[ -~]+\n)+", table.render())
    assert table.render() == table.render()


def test_commands() -> None:
    """Each command stands there in order, with its sender and its fields, and a summary of one line."""
    commands = TABLE["commands"]
    assert [each["name"] for each in commands] == list(COMMANDS)
    for each in commands:
        message = COMMANDS[each["name"]]
        assert each["from"] == message.FROM
        assert [(field["name"], KINDS[field["kind"]]["holds"]) for field in each["fields"]] == [
            (field.name, field.kind.value) for field in message.FIELDS
        ]
        assert str(message.__doc__).startswith(each["summary"])
        assert each["summary"].endswith(".")
    assert COMMAND_NAME.pattern == TABLE["command_name"]


def test_delivery() -> None:
    """A server's message says how it is delivered to a slow reader, a client's says null."""
    for each in TABLE["commands"]:
        assert each["delivery"] == getattr(COMMANDS[each["name"]], "DELIVERY", None)
        assert (each["delivery"] is None) == (each["from"] == Role.CLIENT)


def test_shapes() -> None:
    """Each kind has its shape as JSON has it, down to texts (JSON-3)."""

    def spelled(shape: Any) -> str:
        if isinstance(shape, str):
            return spelled(KINDS[shape]["shape"])
        match shape["json"]:
            case "array":
                return f"[{spelled(shape['of'])}]"
            case "object":
                return f"{{{spelled(shape['keys'])}: {spelled(shape['of'])}}}"
            case other:
                return str(other)

    assert {kind.value: spelled(KINDS[kind.name.lower()]["shape"]) for kind in Kind} == {
        "name": "string",
        "status": "string",
        "text": "string",
        "conversation id": "string",
        "explanation": "string",
        "list of names": "[string]",
        "map from name to status": "{string: string}",
        "map from conversation id to names": "{string: [string]}",
    }


SAMPLES = (
    "", "a", " a", "a ", "a b", " ", "7",
    *(character * count for character in "a\u00e9\U0001f600" for count in (63, 64, 65, 255, 256, 257)),
    *("a" * count for count in (8191, 8192, 8193)),
    *("\u00e9" * count for count in (4095, 4096, 4097)),
    *(f"a{chr(point)}b" for point in (*range(0x180), *range(0x2000, 0x2080), 0xFEFF, 0xFFFF, 0x10FFFF)),
)  # fmt: skip


def allowed(kind: str, value: str) -> bool:
    """Tell whether `value` is within the bounds that the table gives for texts of `kind`."""
    bounds = KINDS[kind]["bounds"]
    size = len(value.encode()) if bounds["unit"] == "bytes of UTF-8" else len(value)
    points = [ord(character) for character in value]
    return (
        bounds["minimum"] <= size <= bounds["maximum"]
        and not (bounds.get("trimmed") and value != value.strip(" "))
        and not any(first <= point <= last for point in points for first, last in bounds.get("never", []))
        and all(
            any(first <= point <= last for first, last in bounds.get("only", [[0, 0x10FFFF]]))
            for point in points
        )
    )


@pytest.mark.parametrize(
    ("kind", "request_with"),
    [
        ("name", partial(Register, status="")),
        ("status", Status),
        ("text", partial(SendMessage, "7")),
        ("conversation", Join),
    ],
)
def test_bounds_of_texts(kind: str, request_with: Callable[[str], AnyMessage]) -> None:
    """What a server refuses of a text is what the bounds refuse, character by character (LIMIT-5 to LIMIT-13)."""
    refused = [value for value in SAMPLES if Limits().complaint(request_with(value)) is not None]
    assert [value for value in SAMPLES if not allowed(kind, value)] == refused


def test_bounds_of_lists() -> None:
    """As many names as the bounds say may be invited, no fewer and no more (LIMIT-14)."""
    bounds = KINDS["names"]["bounds"]
    assert bounds["unit"] == "items"
    counts = range(bounds["maximum"] + 2)
    assert [count for count in counts if Limits().complaint(Invite(("bo",) * count)) is None] == [
        *range(bounds["minimum"], bounds["maximum"] + 1)
    ]


def test_maps_have_no_bounds() -> None:
    """Only servers send maps, so nobody checks how many entries they have (LIMIT-26)."""
    assert [name for name, kind in KINDS.items() if kind["bounds"] is None] == ["roster", "conversations"]


def test_codes() -> None:
    """The codes stand in order of precedence, and those that answer no request are marked (ERROR-6, ERROR-8)."""
    assert [each["code"] for each in TABLE["codes"]] == list(Code)
    assert [each["code"] for each in TABLE["codes"] if each["connection"]] == list(Code)[-3:]


def test_transitions() -> None:
    """The states and all transitions are those of the table, and the first state is where a connection begins."""
    assert TABLE["states"] == list(State)
    assert TABLE["states"][0] == State.OPEN
    rows: dict[State, dict[type[AnyMessage], State]] = {State(state): {} for state in TABLE["states"]}
    for each in TABLE["transitions"]:
        rows[State(each["from"])][COMMANDS[each["command"]]] = State(each["to"])
    assert rows == TRANSITIONS


def test_limits() -> None:
    """The limits and the depth are the default ones (LIMIT-17, LIMIT-25)."""
    assert Limits(**TABLE["limits"]) == Limits()
    assert list(TABLE["limits"]) == [field.name for field in dataclasses.fields(Limits)]
    assert TABLE["depth"] == DEPTH
