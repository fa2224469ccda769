"""`improto zoo`: tests the suite itself, on beasts (`zoo.meeting`) or on small faults in the reference (`zoo.automatic`)."""

import argparse
import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from improto.errors import UsageError
from improto_conformance.zoo.automatic import MODULES, reach, try_all
from improto_conformance.zoo.copies import source
from improto_conformance.zoo.meeting import KINDS, Met, matrix, meet, summary, try_idle, wrong
from improto_conformance.zoo.mutation import mutants
from improto_conformance.zoo.survivors import Tried, explanations, report, stale, unexplained

__all__ = ["HELP", "configure", "run"]

HELP: Final = "test the suite itself, on servers and clients that are wrong on purpose, and on lawful ones"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `zoo`."""
    add = parser.add_argument
    add("--matrix", type=Path, metavar="FILE", help="write which check failed what, as Markdown")
    add(
        "--only",
        action="append",
        metavar="PATTERN",
        help="try only those with these names or clauses, e.g. 'JOIN-*'",
    )
    add(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="how many to try at a time (default: one for each core)",
    )
    add = parser.add_argument_group("mutants that are made automatically").add_argument
    add("--automatic", action="store_true", help="instead, try the suite on small faults in the reference")
    add(
        "--module",
        action="append",
        metavar="PATTERN",
        help="put faults only into these modules, e.g. 'improto.*'",
    )
    add("--report", type=Path, metavar="FILE", help="write the score and the survivors, as Markdown")


def run(arguments: argparse.Namespace) -> int:
    """Try all beasts, or all mutants; 0 if the suite is right about each of them, otherwise 1."""
    if arguments.jobs < 1:
        raise UsageError("--jobs must be more than 0")
    if arguments.automatic:
        return _mutants(arguments)
    if arguments.module or arguments.report:
        raise UsageError("--module and --report are for mutants; add --automatic")
    return _beasts(arguments)


def _beasts(arguments: argparse.Namespace) -> int:
    patterns: Sequence[str] = arguments.only or ["*"]
    chosen = [
        (kind, name)
        for kind in KINDS
        for name, beast in KINDS[kind].beasts.items()
        if any(fnmatchcase(each, pattern) for each in (name, beast.clause) for pattern in patterns)
    ]
    if not chosen:
        raise UsageError(
            f"no beast has a name or clause like {' or '.join(map(repr, patterns))}; docs/zoo.md names all"
        )
    met: list[Met] = []
    for one in meet(chosen, arguments.jobs):
        met.append(one)
        if not one.well:
            print("\n".join(wrong(one)), flush=True)
    if arguments.only is None:
        met = try_idle(met, arguments.jobs)
    if arguments.matrix is not None:
        arguments.matrix.write_text("\n".join(matrix(met)) + "\n", encoding="utf-8")
    print("\n".join(summary(met)))
    return 0 if all(one.well for one in met) else 1


def _mutants(arguments: argparse.Namespace) -> int:
    """Try all mutants; 0 if each survivor is explained and each explanation has a survivor, otherwise 1."""
    patterns = arguments.module or ["*"]
    paths = [
        path for module, path in MODULES.items() if any(fnmatchcase(module, pattern) for pattern in patterns)
    ]
    if not paths:
        raise UsageError(f"--module must match at least one of: {', '.join(MODULES)}")
    explained = explanations()
    tried: list[Tried] = []
    chosen = [mutant for path in paths for mutant in mutants(path, source(path))]
    for one in try_all(chosen, reach(paths, arguments.jobs), arguments.jobs):
        tried.append(one)
        for line in _news(one, unexplained([one], explained)):
            print(line, flush=True)
    old = list(stale(tried, explained))
    for line in old:
        print(f"STALE {line}")
    lines = list(report(tried, explained))
    if arguments.report is not None:
        arguments.report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(line for line in lines if line.startswith("|")))
    return 1 if old or unexplained(tried, explained) or any(one.unsure for one in tried) else 0


def _news(one: Tried, left: Sequence[Tried]) -> Iterator[str]:
    if left:
        yield f"{one.fate.upper()} {one.mutant.name} {one.mutant.function}\n{one.mutant.diff}"
    if one.unsure:
        yield f"UNSURE {one.mutant.name}: {', '.join(one.unsure)} inconclusive or at fault\n{one.mutant.diff}"
