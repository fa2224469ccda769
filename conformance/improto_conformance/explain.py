"""`improto explain CLAUSE`: what a clause demands, who decided it and why, and what checks it."""

import argparse
import textwrap
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

from improto.errors import UsageError
from improto_conformance.broken import BROKEN
from improto_conformance.clients.broken import CLIENTS
from improto_conformance.coverage import Cover, cover
from improto_spec import Clause, clauses

__all__ = ["HELP", "configure", "explain", "run"]

HELP: Final = "say what a clause demands and why, and what checks it"

_WIDTH: Final = 100


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `explain`."""
    parser.add_argument(
        "clause",
        metavar="CLAUSE",
        help="a clause such as JOIN-3, or the name of one of its checks; or an area such as JOIN, for all its clauses",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print one clause, or those of an area."""
    wanted: str = arguments.clause.partition("/")[0].upper()  # what a check is named after
    found = [clause for id, clause in clauses().items() if id == wanted or id.rpartition("-")[0] == wanted]
    if not found:
        close = get_close_matches(wanted, clauses(), 3)
        hint = f"did you mean {' or '.join(close)}?" if close else "areas are, for example, JOIN and PICKLE"
        raise UsageError(f"there is no clause {arguments.clause!a}; {hint}")
    print("\n\n".join("\n".join(explain(clause)) for clause in found))
    return 0


def explain(clause: Clause) -> Iterator[str]:
    """Give the lines about a clause."""
    covered: Cover = cover()[clause.id]
    broken = [name for name, beast in {**BROKEN, **CLIENTS}.items() if beast.clause == clause.id]
    yield f"{clause.id}  {clause.level}, {clause.role}"
    yield from _filled(clause.text)
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
