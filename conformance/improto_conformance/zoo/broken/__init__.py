"""Servers that are wrong on purpose: each violates one clause, and a check of that clause must find it.

    python -m improto_conformance.zoo.broken NAME PORT        serves one, as a hostile peer

Each is the reference with one piece of its source text replaced.  The `*.toml` files here hold them, one table for each:

    [no-copy-for-the-sender]
    clause = "SEND-3"                     the clause that it violates
    file = "improto/server.py"            the file that is changed
    old = 'tuple(members)'                the old text, which occurs there exactly once
    new = 'tuple(members)[1:]'            the new text
    codec = "ascii"                       the codec in which it shows (default: json); `auto`: all codecs on one port
    private = true                        the policy under which it shows (default: open)
    limits = { roster = 9000 }            the limits that it has and declares (default: those of the specification)
    also = [{ file = …, old = …, new = … }]   further edits
"""

import asyncio
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from operator import itemgetter
from typing import Final

from improto.codec import available
from improto.errors import ImprotoError
from improto.limits import Limits
from improto_conformance.profile import Profile
from improto_conformance.zoo import copies

__all__ = ["BROKEN", "Broken", "Stale", "read", "serve"]


class Stale(ImprotoError):
    """An edit does not fit the current text of the reference."""


@dataclass(frozen=True, slots=True)
class Broken:
    """One broken server, or client.  The fields are those of its table."""

    name: str
    clause: str
    file: str
    old: str
    new: str
    codec: str = "json"
    private: bool = False
    limits: Mapping[str, int] = field(default_factory=dict[str, int])
    also: Sequence[Mapping[str, str]] = ()

    @property
    def profile(self) -> Profile:
        """What it declares."""
        return Profile(
            available() if self.codec == "auto" else [self.codec], self.private, limits=Limits(**self.limits)
        )

    def copy(self) -> copies.Copy:
        """Give the reference's copy with the edits.  Stale if one does not fit."""
        texts: dict[str, str] = {}
        first = {"file": self.file, "old": self.old, "new": self.new}
        for file, old, new in map(itemgetter("file", "old", "new"), (first, *self.also)):
            text = texts.get(file) or copies.source(file)
            if text.count(old) != 1:
                raise Stale(
                    f"{self.name}: the text in `old` stands {text.count(old)} times in {file}; "
                    f"make it stand there once: {old!r}"
                )
            texts[file] = text.replace(old, new)
        return copies.load(texts)


async def serve(broken: Broken, port: int, ready: Callable[[int], None] = lambda port: None) -> None:
    """Serve on loopback until cancelled; `ready` gets the port."""
    copy = broken.copy()
    binding = copy.module("improto.bindings.asyncio")
    server = binding.Server(copy.service(private=broken.private, settle=0.02, limits=broken.limits))
    _, taken = await server.listen("127.0.0.1", port)
    ready(taken)
    try:
        await asyncio.Event().wait()
    finally:
        await server.close()


def read(package: str) -> Mapping[str, Broken]:
    """Give the broken ones in the tables of a package, by name."""
    found = sorted(files(package).iterdir(), key=lambda file: file.name)
    tables = [
        tomllib.loads(file.read_text(encoding="utf-8")) for file in found if file.name.endswith(".toml")
    ]
    return {name: Broken(name, **fields) for table in tables for name, fields in table.items()}


BROKEN: Final = read(__name__)
"""All of them, by name."""
