"""Which checks and vectors cover which clause: traceability from the specification to what tries it.

    python -m improto_conformance.coverage docs

writes it into a folder, as a page with tables and as data (`FILES`).
"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from improto_conformance.clients.checks import CHECKS as CLIENT_CHECKS
from improto_conformance.servers.checks import CHECKS
from improto_conformance.vectors import vectors
from improto_conformance.zoo.broken import BROKEN
from improto_conformance.zoo.clients.broken import CLIENTS
from improto_spec import clauses

__all__ = ["FILES", "Cover", "cover"]

_LEVELS = ("MUST", "MUST NOT", "SHOULD", "MAY")
_ROLES = ("server", "client", "codec", "binding")


@dataclass(frozen=True, slots=True)
class Cover:
    """What covers one clause."""

    checks: list[str] = field(default_factory=list[str])
    """Names of checks of servers and of clients, including those that are made from scenario vectors."""
    vectors: list[str] = field(default_factory=list[str])
    """Ids of message and stream vectors."""

    def __bool__(self) -> bool:
        """Whether anything covers it."""
        return bool(self.checks or self.vectors)


def cover() -> dict[str, Cover]:
    """Give what covers each clause."""
    covers = {id: Cover() for id in clauses()}
    for check in (*CHECKS, *CLIENT_CHECKS):
        covers[check.clause].checks.append(check.name)
    for vector in vectors().values():
        if vector.kind in ("message", "stream"):
            covers[vector.clause].vectors.append(vector.id)
    return covers


def _table() -> str:
    return "\n".join([*_head(), *_totals(), "", *_vectors(), "", *_rows()]) + "\n"


def _head() -> Iterator[str]:
    yield "# What covers which clause"
    yield ""
    yield "Made by `python -m improto_conformance.coverage docs`; a test fails if this page is stale."
    yield ""
    yield "*Checks* judge a server or a client by what it does on its connections.  *Vectors* judge a codec, or how a stream is read."
    yield "*Broken* counts the servers and clients that violate the clause on purpose; the checks must find each of them.  `improto"
    yield "explain CLAUSE` names them all."
    yield ""


def _totals() -> Iterator[str]:
    covers = cover()
    yield "| level | " + " | ".join(_ROLES) + " | all | covered | not checked, with a reason |"
    yield "|---" * (len(_ROLES) + 4) + "|"
    for level in _LEVELS:
        mine = [clause for clause in clauses().values() if clause.level == level]
        by_role = Counter(clause.role for clause in mine)
        covered = sum(bool(covers[clause.id]) for clause in mine)
        reasons = sum(bool(clause.unchecked) for clause in mine)
        cells = [level, *(by_role[role] for role in _ROLES), len(mine), covered, reasons]
        yield f"| {' | '.join(map(str, cells))} |"


def _vectors() -> Iterator[str]:
    counts = [len(each.checks) + len(each.vectors) for each in cover().values() if each]
    yield f"There are {len(CHECKS)} checks of servers, {len(CLIENT_CHECKS)} checks of clients and {len(vectors())} vectors.  Each clause that is covered has"
    yield f"{min(counts)} to {max(counts)} of them; the median is {median(counts):g}."
    yield ""
    yield "| vectors | all | canonical ones |"
    yield "|---|---|---|"
    for kind, number in Counter(vector.kind for vector in vectors().values()).items():
        canonical = sum(
            vector.kind == kind and vector.data.get("result") == "canonical" for vector in vectors().values()
        )
        yield f"| {kind} | {number} | {canonical or ''} |"


def _rows() -> Iterator[str]:
    covers = cover()
    broken = Counter(beast.clause for beast in (*BROKEN.values(), *CLIENTS.values()))
    yield "| clause | level | role | checks | vectors | broken | why not checked |"
    yield "|---|---|---|---|---|---|---|"
    for id, clause in clauses().items():
        covered = covers[id]
        cells = [
            id,
            clause.level,
            clause.role,
            len(covered.checks) or "",
            len(covered.vectors) or "",
            broken[id] or "",
            clause.unchecked,
        ]
        yield f"| {' | '.join(map(str, cells))} |"


def _data() -> str:
    covers = cover()
    beasts = {**BROKEN, **CLIENTS}
    broken = {id: [name for name, beast in beasts.items() if beast.clause == id] for id in clauses()}
    entries = [
        {**asdict(clause), **asdict(covers[id]), "broken": broken[id]} for id, clause in clauses().items()
    ]
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"


FILES: Final[Mapping[str, Callable[[], str]]] = {"coverage.md": _table, "coverage.json": _data}
"""What is written: the text of each file."""


if __name__ == "__main__":
    for name, render in FILES.items():
        Path(sys.argv[1], name).write_text(render(), encoding="utf-8", newline="\n")
