"""Servers that are wrong on purpose: each violates one clause, and a check of that clause has to say so.

    python -m improto_conformance.broken NAME PORT        serves one, as a hostile peer

Each is the reference with one piece of its text replaced.  The `*.toml` here hold them, a table each:

    [no-copy-for-the-sender]
    clause = "SEND-3"                     that it violates
    file = "improto/server.py"            where
    old = 'tuple(members)'                stands there exactly once
    new = 'tuple(members)[1:]'            stands there instead
    codec = "ascii"                       the codec in which it shows; json, if not said
    private = true                        the policy under which it shows; open, if not said
"""

import asyncio
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from improto.errors import ImprotoError
from improto_conformance import copies

__all__ = ["BROKEN", "Broken", "Stale", "serve"]


class Stale(ImprotoError):
    """An edit does not fit the reference's present text."""


@dataclass(frozen=True, slots=True)
class Broken:
    """One broken server.  The fields are those of its table."""

    name: str
    clause: str
    file: str
    old: str
    new: str
    codec: str = "json"
    private: bool = False

    def copy(self) -> copies.Copy:
        """Give the reference's copy with the edit.  Stale if that does not fit."""
        text = copies.source(self.file)
        if text.count(self.old) != 1:
            raise Stale(
                f"{self.name}: the text in `old` stands {text.count(self.old)} times in {self.file}; "
                "make it stand there once"
            )
        return copies.load({self.file: text.replace(self.old, self.new)})


async def serve(broken: Broken, port: int, ready: Callable[[int], None] = lambda port: None) -> None:
    """Serve on loopback until cancelled; `ready` is told the port."""
    copy = broken.copy()
    binding = copy.module("improto.bindings.asyncio")
    server = binding.Server(copy.service(private=broken.private, settle=0.02))
    _, taken = await server.listen("127.0.0.1", port)
    ready(taken)
    try:
        await asyncio.Event().wait()
    finally:
        await server.close()


def _read() -> Iterator[Broken]:
    folder = files(__name__)
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            for name, table in tomllib.loads(file.read_text(encoding="utf-8")).items():
                yield Broken(name, **table)


BROKEN: Final[Mapping[str, Broken]] = {broken.name: broken for broken in _read()}
"""All of them, by name."""
