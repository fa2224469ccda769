"""One run of the suite: what was checked and how, what came of it, and what is to be said of the whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

from improto_conformance.results import Result, Verdict

__all__ = ["CONFORMANT", "FAILURE", "INTERRUPTED", "NOTHING", "NO_TARGET", "OWN_FAULT", "Run", "outcome"]

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
    """What was checked: a server, or a client."""
    target: str = ""
    command: Sequence[str] = ()
    """The words of the command that was given, without those that choose checks and reports."""
    profile: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the target declares of itself."""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    stale: Sequence[str] = ()
    """Known failures of the baseline that are none any more, each with what became of it."""
    interrupted: bool = False
    """Whether it ended before all checks had run."""
    name: str = ""
    """What tells it from others that it is merged with."""
    date: str = field(default_factory=_now)
    """When it ended, in UTC."""
    suite: str = field(default_factory=lambda: version("improto"))

    def of(self, verdict: Verdict) -> list[Result]:
        """Give the results of a verdict."""
        return [result for result in self.results if result.verdict is verdict]

    def violated(self, verdict: Verdict) -> str:
        """Name the clauses of the failures of a verdict."""
        return ", ".join(sorted({result.check.clause for result in self.of(verdict)}))


def outcome(run: Run) -> tuple[int, str]:
    """Give the exit code of a run, and the line that says why."""
    failed, known, broken = run.of(Verdict.FAILED), run.of(Verdict.KNOWN), run.of(Verdict.BROKEN)
    if run.interrupted:
        found = f"; so far it violates {run.violated(Verdict.FAILED)}" if failed else ""
        return INTERRUPTED, f"NO VERDICT: interrupted after {len(run.results)} results{found}"
    if broken:
        return OWN_FAULT, f"NO VERDICT: the suite is at fault, not the {run.role}, in {broken[0].check.name}"
    if failed:
        return FAILURE, f"NOT CONFORMANT: violates {run.violated(Verdict.FAILED)}"
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
