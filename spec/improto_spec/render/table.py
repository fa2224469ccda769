"""`messages.json`: the whole message table, for code generators in other languages.

One object with these members; what is listed is in the order of the table:

    command_name   what a command's name looks like, known or not, as a regular expression for all of it
    commands       list of {name, from, delivery, summary, fields}
      from         "client" or "server"
      delivery     "reply", "snapshot" or "event" (see `Delivery`); null for what clients send.  ONLINE_USERS
                   is a snapshot, but the first one on a connection answers REGISTER and is a reply
      fields       list of {name, kind}: `name` as in JSON, in the order of positional codecs; `kind` is a
                   key of `kinds`
    kinds          kind -> {holds, shape, bounds}
      holds        what it is, in words
      shape        {"json": "string"}, {"json": "array", "of": SHAPE} or
                   {"json": "object", "keys": KIND, "of": SHAPE}; SHAPE is a kind or again such an object.
                   Where arguments are positional, the items of an array are arguments of their own
      bounds       null, or {unit, minimum, maximum} and perhaps more of the members below.  They bind
                   requests only: a client does not hold a server's values against them (LIMIT-26)
        unit       what is counted: "code points", "bytes of UTF-8" or "items"
        only       list of [first, last]: code points outside of these ranges are refused
        never      list of [first, last]: code points in these ranges are refused
        trimmed    true: U+0020 at the start or end is refused
    codes          list of {code, connection}; of several that apply, the first is sent (ERROR-6).
                   `connection` tells whether it always is the last message before the close and never
                   answers a request; `forbidden` may be either (ERROR-8)
    states         list of states; a connection begins in the first one
    transitions    list of {from, command, to}; what is not listed may not be sent in that state
    limits         limit -> default: `greeting`, `request` and `roster` are bytes of a payload, `text` bytes
                   of UTF-8, `name`, `status`, `conversation` and `explanation` code points, `invited` and
                   `living` counts
    depth          how deeply payloads may nest, the outermost container included (LIMIT-17)
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from improto.limits import DEPTH, UNSAFE_IN_NAMES, Limits
from improto.messages import COMMAND_NAME, COMMANDS, ERROR_TEXT, AnyMessage, Code, Delivery, Kind
from improto.states import TRANSITIONS

__all__ = ["render"]

_LIMITS: Final = Limits()
_TEXT: Final = {"json": "string"}
_SHAPES: Final[Mapping[Kind, object]] = {
    Kind.NAMES: {"json": "array", "of": "name"},
    Kind.ROSTER: {"json": "object", "keys": "name", "of": "status"},
    # Not of `names`: those have at least one, but a conversation may be empty.
    Kind.CONVERSATIONS: {"json": "object", "keys": "conversation", "of": {"json": "array", "of": "name"}},
}
_BOUNDS: Final[Mapping[Kind, object]] = {
    Kind.NAME: {
        "unit": "code points",
        "minimum": 1,
        "maximum": _LIMITS.name,  # LIMIT-5
        "never": UNSAFE_IN_NAMES,  # LIMIT-7, LIMIT-8
        "trimmed": True,  # LIMIT-6
    },
    Kind.STATUS: {"unit": "code points", "minimum": 0, "maximum": _LIMITS.status},  # LIMIT-10
    Kind.TEXT: {"unit": "bytes of UTF-8", "minimum": 0, "maximum": _LIMITS.text},  # LIMIT-11
    Kind.CONVERSATION: {  # LIMIT-13
        "unit": "code points",
        "minimum": 1,
        "maximum": _LIMITS.conversation,
        "only": [[0x21, 0x7E]],
    },
    Kind.EXPLANATION: {"unit": "code points", "minimum": 0, "maximum": ERROR_TEXT},  # LIMIT-16
    Kind.NAMES: {"unit": "items", "minimum": 1, "maximum": _LIMITS.invited},  # LIMIT-14
}
_CONNECTION: Final = (Code.TIMEOUT, Code.SLOW_CONSUMER, Code.SHUTTING_DOWN)  # ERROR-8


def render() -> str:
    """Give the text of `messages.json`."""
    table = {
        "command_name": COMMAND_NAME.pattern,
        "commands": [_command(message) for message in COMMANDS.values()],
        "kinds": {_key(kind): _kind(kind) for kind in Kind},
        "codes": [{"code": code, "connection": code in _CONNECTION} for code in Code],
        "states": list(TRANSITIONS),
        "transitions": [
            {"from": state, "command": message.COMMAND, "to": target}
            for state, row in TRANSITIONS.items()
            for message, target in row.items()
        ],
        "limits": asdict(_LIMITS),
        "depth": DEPTH,
    }
    return json.dumps(table, indent=2) + "\n"


def _command(message: type[AnyMessage]) -> dict[str, object]:
    delivery: Delivery | None = getattr(message, "DELIVERY", None)
    return {
        "name": message.COMMAND,
        "from": message.FROM,
        "delivery": delivery,
        "summary": (message.__doc__ or "").partition("\n")[0],
        "fields": [{"name": name, "kind": _key(kind)} for name, kind in message.FIELDS],
    }


def _kind(kind: Kind) -> dict[str, object]:
    return {"holds": kind.value, "shape": _SHAPES.get(kind, _TEXT), "bounds": _BOUNDS.get(kind)}


def _key(kind: Kind) -> str:
    return kind.name.lower()
