"""`improto check server TARGET`: says whether a server conforms."""

import argparse
import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from improto.codec import available
from improto.errors import UsageError
from improto_conformance import reports
from improto_conformance.check import Check
from improto_conformance.checks import CHECKS
from improto_conformance.links import CUTS
from improto_conformance.profile import Profile
from improto_conformance.runner import Result, Settings, Verdict
from improto_conformance.runner import run as run_checks
from improto_conformance.targets import NoTarget, opened
from improto_spec import clauses

__all__ = ["HELP", "configure", "run"]

HELP: Final = "say whether a server conforms to the specification"

_CONFORMANT: Final = 0
_FAILURE: Final = 1
_NO_TARGET: Final = 3
_NOTHING_RAN: Final = 4
_OWN_FAULT: Final = 5


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `check`."""
    roles = parser.add_subparsers(title="what to check", required=True, metavar="ROLE")
    server = roles.add_parser("server", help="a server", description=HELP)
    server.add_argument(
        "target",
        metavar="TARGET",
        help="tcp://HOST:PORT, cmd:'PROGRAM {port}' to start one, or inproc:MODULE:FUNCTION",
    )
    server.add_argument(
        "--codec", action="append", choices=available(), help="may be given again (default: all)"
    )
    server.add_argument(
        "--only", action="append", metavar="PATTERN", help="checks to run, e.g. 'JOIN-*' or 'CONN-4/*'"
    )
    server.add_argument("--skip", action="append", default=[], metavar="PATTERN", help="checks to leave out")
    server.add_argument(
        "--cut",
        action="append",
        choices=list(CUTS),
        help="how to cut what is sent into writes; may be given again (default: whole)",
    )
    server.add_argument("--private", action="store_true", help="the server lets only invited users join")
    server.add_argument(
        "--jobs", type=int, default=4, metavar="N", help="checks at a time (default: %(default)s)"
    )
    server.add_argument(
        "--timeout",
        type=float,
        default=5.0,
        metavar="S",
        help="seconds to wait for what has to come (default: %(default)s)",
    )
    server.add_argument(
        "--report", type=Path, metavar="DIR", help="write junit.xml, report.json and transcripts there"
    )
    server.add_argument("-v", "--verbose", action="store_true", help="name the checks that pass, too")


def run(arguments: argparse.Namespace) -> int:
    """Run the checks and give the exit code: 0 conformant, 1 not, 3 no target, 4 nothing ran, 5 the suite's fault."""
    if arguments.jobs < 1 or arguments.timeout <= 0:
        raise UsageError("--jobs and --timeout must be more than 0")
    checks = _chosen(arguments.only, arguments.skip)
    codecs: Sequence[str] = arguments.codec or available()
    settings = Settings(
        Profile(codecs, arguments.private),
        arguments.jobs,
        arguments.timeout,
        arguments.cut or ["whole"],
        f"{os.getpid():x}-",
    )
    texts = clauses()

    def report(result: Result) -> None:
        if result.verdict is not Verdict.PASSED:
            print("\n".join(reports.failure(result, texts)), end="\n\n", flush=True)
        elif arguments.verbose:
            print(f"passed {result.check.name} [{result.how}]: {result.check.title}", flush=True)

    try:
        with opened(arguments.target) as target:
            results = run_checks(target, checks, settings, report)
    except NoTarget as error:
        print(f"improto: {error}")
        return _NO_TARGET
    if arguments.report is not None:
        reports.write(results, arguments.report, texts)
    print("\n".join(reports.summary(results)))
    return _exit_code(results)


def _exit_code(results: Sequence[Result]) -> int:
    verdicts = {result.verdict for result in results}
    if Verdict.BROKEN in verdicts:
        return _OWN_FAULT
    if Verdict.FAILED in verdicts:
        return _FAILURE
    return _CONFORMANT if results else _NOTHING_RAN


def _chosen(only: Sequence[str] | None, skip: Sequence[str]) -> list[Check]:
    def matches(check: Check, patterns: Sequence[str]) -> bool:
        return any(fnmatchcase(name, pattern) for name in (check.name, check.clause) for pattern in patterns)

    return [check for check in CHECKS if (only is None or matches(check, only)) and not matches(check, skip)]
