"""`improto explain CLAUSE`: what a clause demands, who decided it and why, and what checks it."""

import argparse
import textwrap
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

from improto.errors import UsageError
from improto_conformance.coverage import Cover, cover
from improto_conformance.zoo.broken import BROKEN
from improto_conformance.zoo.clients.broken import CLIENTS
from improto_spec import Clause, clauses
from improto_spec.render.document import chapters

__all__ = ["HELP", "configure", "explain", "run"]

HELP: Final = "say what a clause demands and why, and what checks it"

_WIDTH: Final = 100


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `explain`."""
    parser.add_argument(
        "clauses",
        metavar="CLAUSE",
        nargs="+",
        help="a clause such as JOIN-3, or the name of one of its checks; or an area such as JOIN, for all its clauses",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print clauses, or those of areas."""
    found = [clause for name in arguments.clauses for clause in _named(name)]
    print("\n\n".join("\n".join(explain(clause)) for clause in found))
    return 0


def _named(name: str) -> list[Clause]:
    wanted = name.rstrip(",").partition("/")[0].upper()  # as in a verdict; what a check is named after
    found = [clause for id, clause in clauses().items() if id == wanted or id.rpartition("-")[0] == wanted]
    if not found:
        close = get_close_matches(wanted, clauses(), 3)
        hint = f"did you mean {' or '.join(close)}?" if close else "areas are, for example, JOIN and PICKLE"
        raise UsageError(f"there is no clause {name!a}; {hint}")
    return found


def explain(clause: Clause) -> Iterator[str]:
    """Give the lines about a clause."""
    covered: Cover = cover()[clause.id]
    broken = [name for name, beast in {**BROKEN, **CLIENTS}.items() if beast.clause == clause.id]
    yield f"{clause.id}  {clause.level}, {clause.role}"
    yield from _filled(clause.text)
    yield from _filled(f"Chapter: {chapters()[clause.id]}")
    yield from _filled(f"Origin: {clause.origin}. {clause.reason}")
    if clause.elsewhere:
        yield from _filled(f"Elsewhere: {clause.elsewhere}")
    yield from _listed("checks", covered.checks)
    yield from _listed("vectors", covered.vectors)
    yield from _listed("broken servers and clients that violate it", broken)
    if clause.unchecked:
        yield from _filled(f"Not checked: {clause.unchecked}")


def _filled(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="    ")


def _listed(what: str, names: list[str]) -> Iterator[str]:
    if names:
        yield f"  {what}:"
        yield from (f"    {name}" for name in names)
