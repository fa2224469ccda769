"""One run of the suite: what was checked and how, the results, and the conclusion from all of them."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

from improto_conformance.reports.known import reason
from improto_conformance.results import Result, Verdict
from improto_spec import Clause

__all__ = [
    "CONFORMANT",
    "FAILURE",
    "INTERRUPTED",
    "NOTHING",
    "NO_TARGET",
    "OWN_FAULT",
    "SEVERITY",
    "Group",
    "Run",
    "again",
    "groups",
    "outcome",
    "told_of",
    "worst",
]

# The exit codes of `improto check`; 2 is wrong usage.
CONFORMANT: Final = 0
FAILURE: Final = 1
NO_TARGET: Final = 3
"""The target cannot be started, reached or understood."""
NOTHING: Final = 4
"""No check ran, or none gave a verdict."""
OWN_FAULT: Final = 5
INTERRUPTED: Final = 130


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Run:
    """What reports are made of."""

    results: Sequence[Result]
    role: str = "server"
    """What was checked: `server` or `client`."""
    target: str = ""
    command: Sequence[str] = ()
    """The words of the command, without those that choose checks and reports."""
    profile: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the target declares."""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    stale: Sequence[str] = ()
    """Entries of the baseline that are stale, each with the reason."""
    interrupted: bool = False
    """Whether it ended before all checks had run."""
    unrun: int = 0
    """Checks that did not run because the program that was checked had ended."""
    name: str = ""
    """A name that distinguishes it from other runs in a merged report."""
    date: str = field(default_factory=_now)
    """When it began, in UTC."""
    suite: str = field(default_factory=lambda: version("improto"))

    def of(self, verdict: Verdict) -> list[Result]:
        """Give the results of a verdict."""
        return [result for result in self.results if result.verdict is verdict]

    def transcript(self, result: Result) -> str:
        """Give where the transcript of a result is in the folder of a report."""
        return "/".join(["transcripts", *([self.name.replace("/", "_")] if self.name else []), result.file])

    def columns(self) -> dict[str, list[Result]]:
        """Give the results by codec and cut, with the name of the run before it if there is one."""
        found: dict[str, list[Result]] = {}
        for result in self.results:
            found.setdefault(f"{self.name} {result.how}".strip(), []).append(result)
        return found

    def violated(self, verdict: Verdict) -> str:
        """Name the clauses of the failures of a verdict."""
        return ", ".join(sorted({clause for result in self.of(verdict) for clause in result.violated}))


@dataclass(frozen=True, slots=True)
class Group:
    """Results with the same check, verdict and reason, in some codecs, cuts and runs."""

    run: Run
    result: Result
    """The first of them."""
    where: list[str]
    """The columns of all."""


def groups(runs: Sequence[Run]) -> list[Group]:
    """Group all results that did not pass; those for which the target is to blame come first."""
    found: dict[object, Group] = {}
    for run in runs:
        for column, results in run.columns().items():
            for result in results:
                if result.verdict is not Verdict.PASSED:
                    why = tuple(reason(complaint, result.transcript) for complaint in result.complaints)
                    key = (result.check.name, result.verdict, why)
                    found.setdefault(key, Group(run, result, [])).where.append(column)
    return sorted(found.values(), key=lambda group: SEVERITY.index(group.result.verdict))


SEVERITY: Final = [Verdict.FAILED, Verdict.BROKEN, Verdict.INCONCLUSIVE, Verdict.KNOWN, Verdict.PASSED]
"""The verdicts, the worst first."""


def again(run: Run, result: Result) -> str:
    """Give the command that runs just one check again, in its codec and cut."""
    return shlex.join(
        [*run.command, "--only", result.check.name, "--codec", result.codec, "--cut", result.cut]
    )


def told_of(result: Result, clauses: Mapping[str, Clause]) -> list[Clause]:
    """Give the clauses that a failure is about: that of the check, and the violated ones."""
    ids = dict.fromkeys([result.check.clause, *sorted(result.violated)])
    return [clauses[id] for id in ids if id in clauses]


def worst(codes: Iterable[int]) -> int:
    """Give the worst of the exit codes of several runs."""
    return max(codes, key=_GRAVITY.index)


_GRAVITY: Final = [CONFORMANT, NOTHING, FAILURE, OWN_FAULT, INTERRUPTED]


def outcome(run: Run) -> tuple[int, str]:
    """Give the exit code of a run, and the line that says why."""
    failed, known, broken = run.of(Verdict.FAILED), run.of(Verdict.KNOWN), run.of(Verdict.BROKEN)
    if run.interrupted:
        found = f"; so far it violates {run.violated(Verdict.FAILED)}" if failed else ""
        return INTERRUPTED, f"NO VERDICT: interrupted after {len(run.results)} results{found}"
    if broken:
        return OWN_FAULT, f"NO VERDICT: the suite is at fault, not the {run.role}, in {broken[0].check.name}"
    if failed or run.unrun:  # even if what is known to fail has ended the program
        found = run.violated(Verdict.FAILED) or run.violated(Verdict.KNOWN)
        gone = f"; the program had ended before {run.unrun} checks" if run.unrun else ""
        return FAILURE, f"NOT CONFORMANT: violates {found}{gone}"
    if run.stale:
        return FAILURE, f"NOT AS KNOWN: {len(run.stale)} known failures are stale; --fix rewrites them"
    if known:
        return CONFORMANT, f"NOT CONFORMANT, as is known: violates {run.violated(Verdict.KNOWN)}"
    if not run.results:
        return NOTHING, "NO VERDICT: no check ran; see --only, --skip and --codec"
    if not run.of(Verdict.PASSED):
        return NOTHING, "NO VERDICT: all checks were inconclusive; see their transcripts"
    unsure = run.of(Verdict.INCONCLUSIVE)
    return CONFORMANT, f"CONFORMANT, but for {len(unsure)} inconclusive checks" if unsure else "CONFORMANT"
