"""The vectors: the examples of the specification as data, and what they show about a program.

`improto_spec/vectors/README.md` explains their form and meaning.  Here they are loaded and run: message and stream vectors on
our own codecs or on any decoder (`judge`, `programs`).  `servers.scenarios` and `clients.scenarios` play the scenarios.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, cast

from improto_conformance.vectors.values import Tagged

__all__ = ["Vector", "vectors"]


@dataclass(frozen=True, slots=True)
class Vector:
    """One vector; `data` is all of it."""

    kind: str
    """`message`, `stream`, `scenario` or `client`."""
    id: str
    clause: str
    data: Tagged


@cache
def vectors() -> dict[str, Vector]:
    """Give all vectors by their ids, in the order of the files' names."""
    folder = files("improto_spec") / "vectors"
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".json"))
    found: dict[str, Vector] = {}
    for name in names:
        if name == "vectors.schema.json":
            continue
        file = cast("dict[str, Any]", json.loads((folder / name).read_text(encoding="utf-8")))
        for data in file["vectors"]:
            if (
                found.setdefault(data["id"], Vector(file["kind"], data["id"], data["clause"], data)).data
                is not data
            ):
                raise ValueError(f"two vectors have the id {data['id']}: rename one of them in {name}")
    return found
