"""`messages.schema.json`: JSON Schema (2020-12) of the object that is one message in the json codec.

It is made from `messages.json` alone, as a generator in another language would do it.

There are two forms of a kind: `name` gives the type, and `bounded-name` the bounds too.  Requests refer to the
bounded ones, responses to the others, since a client does not hold a server's values against bounds (LIMIT-26).

Patterns keep to what means the same everywhere: characters stand for themselves, nothing looks ahead or behind, and a
`$`, which in Python also matches before a last line feed, only stands where line feeds are refused anyway.
"""

import json
from typing import Any, Final

from improto_spec.render import table

__all__ = ["render"]

_COMMENT: Final = (
    "What no schema says: a size in bytes (LIMIT-2, LIMIT-11), nesting (LIMIT-17), lone surrogates (LIMIT-24). "
    "An object that fits no command is malformed without a text `type` that could be a command's name, an unknown "
    "command if the sender has none of that name, and else invalid."
)

# Both documents are JSON, whose values have no narrower type.
_Object = dict[str, Any]


def render() -> str:
    """Give the text of `messages.schema.json`."""
    source: _Object = json.loads(table.render())
    kinds: _Object = source["kinds"]
    commands: list[_Object] = source["commands"]
    requests = [command for command in commands if command["from"] == "client"]
    responses = [command for command in commands if command["from"] == "server"]
    asked = {field["kind"] for command in requests for field in command["fields"]}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "messages.schema.json",
        "title": "A message of improto in the json codec",
        "$comment": _COMMENT,
        "oneOf": [_ref(command["name"]) for command in commands],
        "$defs": {
            "request": {
                "description": "What clients send.",
                "oneOf": [_ref(each["name"]) for each in requests],
            },
            "response": {
                "description": "What servers send.",
                "oneOf": [_ref(each["name"]) for each in responses],
            },
            **{command["name"]: _command(command) for command in commands},
            **{name: {"description": kind["holds"], **_shape(kind["shape"])} for name, kind in kinds.items()},
            **{_bounded(name): _bounds(kind) for name, kind in kinds.items() if name in asked},
        },
    }
    return json.dumps(schema, indent=2) + "\n"


def _command(command: _Object) -> _Object:
    """Describe a command; further members are allowed, since receivers ignore them (JSON-11)."""
    bounded = command["from"] == "client"
    properties = {
        field["name"]: _ref(_bounded(field["kind"]) if bounded else field["kind"])
        for field in command["fields"]
    }
    return {
        "description": command["summary"],
        "type": "object",
        "properties": {"type": {"const": command["name"]}, **properties},
        "required": ["type", *properties],  # JSON-12
    }


def _shape(shape: str | _Object) -> _Object:
    """Describe a shape by its type only; any text may be the key of an object."""
    if isinstance(shape, str):
        return _ref(shape)
    items = {"string": None, "array": "items", "object": "additionalProperties"}[shape["json"]]
    return {"type": shape["json"]} | ({items: _shape(shape["of"])} if items else {})


def _bounds(kind: _Object) -> _Object:
    """Describe a kind with its bounds."""
    description = f"{kind['holds']}, within the bounds of requests"
    bounds: _Object = kind["bounds"]
    if bounds["unit"] == "items":
        return {
            "description": description,
            "type": "array",
            "minItems": bounds["minimum"],
            "maxItems": bounds["maximum"],
            "items": _ref(_bounded(kind["shape"]["of"])),
        }
    schema: _Object = {
        "description": description,
        "type": "string",
        "minLength": bounds["minimum"],
        "maxLength": bounds["maximum"],
    }
    if bounds["unit"] == "bytes of UTF-8":
        schema["$comment"] = (
            f"The bound is {bounds['maximum']} bytes of UTF-8; maxLength counts code points, "
            "so text that is not ASCII may pass here and still be too long (LIMIT-11)."
        )
    refused = ["^ ", " $"] if bounds.get("trimmed") else []
    if "never" in bounds:
        refused.append(f"[{_class(bounds['never'])}]")
    if "only" in bounds:
        refused.append(f"[^{_class(bounds['only'])}]")
    if refused:
        schema["not"] = {"type": "string", "pattern": "|".join(refused)}
    return schema


def _class(ranges: list[tuple[int, int]]) -> str:
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


def _bounded(kind: str) -> str:
    return f"bounded-{kind}"


def _ref(name: str) -> _Object:
    return {"$ref": f"#/$defs/{name}"}
