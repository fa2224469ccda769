"""What all roles of `improto check` have in common: which checks run, what is written of them, the exit code."""

import argparse
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, TypeVar

from improto.codec import available
from improto.errors import UsageError
from improto_conformance import reports
from improto_conformance.links import CUTS
from improto_conformance.results import Aim, Result, Verdict
from improto_spec import clauses

__all__ = ["NO_TARGET", "add_options", "chosen", "conclude", "reporter"]

_CONFORMANT: Final = 0
_FAILURE: Final = 1
NO_TARGET: Final = 3
"""The exit code if the target cannot be started, reached or understood."""
_NOTHING: Final = 4
_OWN_FAULT: Final = 5

_AnyAim = TypeVar("_AnyAim", bound=Aim)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that all roles have."""
    add = parser.add_argument
    add("--codec", action="append", choices=available(), help="may be given again (default: all)")
    add("--only", action="append", metavar="PATTERN", help="checks to run, e.g. 'JOIN-*' or 'CONN-4/*'")
    add("--skip", action="append", default=[], metavar="PATTERN", help="checks to leave out")
    add(
        "--cut",
        action="append",
        choices=list(CUTS),
        help="how to cut what is sent into writes; may be given again (default: whole)",
    )
    add("--jobs", type=int, default=4, metavar="N", help="checks at a time (default: %(default)s)")
    add(
        "--timeout",
        type=float,
        default=5.0,
        metavar="S",
        help="seconds to wait for what has to come (default: %(default)s)",
    )
    add("--report", type=Path, metavar="DIR", help="write junit.xml, report.json and transcripts there")
    add("-v", "--verbose", action="store_true", help="name the checks that pass, too")


def chosen(checks: Sequence[_AnyAim], arguments: argparse.Namespace) -> list[_AnyAim]:
    """Give the checks that the options ask for; UsageError if the options are wrong."""
    if arguments.jobs < 1 or arguments.timeout <= 0:
        raise UsageError("--jobs and --timeout must be more than 0")

    def matches(check: Aim, patterns: Sequence[str]) -> bool:
        return any(fnmatchcase(name, pattern) for name in (check.name, check.clause) for pattern in patterns)

    only, skip = arguments.only, arguments.skip
    return [check for check in checks if (only is None or matches(check, only)) and not matches(check, skip)]


def reporter(arguments: argparse.Namespace) -> Callable[[Result], None]:
    """Give what tells of each result on the terminal as soon as there is one."""
    texts = clauses()

    def report(result: Result) -> None:
        if result.verdict is not Verdict.PASSED:
            print("\n".join(reports.failure(result, texts)), end="\n\n", flush=True)
        elif arguments.verbose:
            print(f"passed {result.check.name} [{result.how}]: {result.check.title}", flush=True)

    return report


def conclude(results: Sequence[Result], arguments: argparse.Namespace) -> int:
    """Write the reports, print the summary, and give the exit code.

    0 conformant, 1 not, 4 nothing conclusive, 5 the suite's own fault.
    """
    if arguments.report is not None:
        reports.write(results, arguments.report, clauses())
    print("\n".join(reports.summary(results)))
    verdicts = {result.verdict for result in results}
    if Verdict.BROKEN in verdicts:
        return _OWN_FAULT
    if Verdict.FAILED in verdicts:
        return _FAILURE
    return _CONFORMANT if verdicts - {Verdict.INCONCLUSIVE} else _NOTHING
