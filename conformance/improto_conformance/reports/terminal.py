"""The lines that people read on a terminal."""

from collections import Counter
from collections.abc import Iterator, Mapping

from improto.cli.text import escaped
from improto_conformance.reports.run import Run, outcome, told_of
from improto_conformance.reports.sequence import diagram
from improto_conformance.results import Result, Verdict
from improto_conformance.transcripts.complaints import MOST, sides
from improto_spec import Clause

__all__ = ["failure", "summary"]

_ADVICE = (
    "the suite itself is at fault here: report this to its authors, with the version that --version gives"
)


def failure(result: Result, clauses: Mapping[str, Clause], *again: str) -> Iterator[str]:
    """Describe a failure: the clause with its text, what is wrong, what happened last, and how to run it again.

    `again`: the commands for that.
    """
    yield f"{result.verdict.name} {result.check.name} [{result.how}]: {result.check.title}"
    for clause in told_of(result, clauses):
        yield f"  {clause.id} ({clause.level}): {clause.text}"
    if result.verdict is Verdict.BROKEN:
        yield f"  {_ADVICE}"
        yield from (f"  | {escaped(line)}" for text in result.complaints for line in text.splitlines())
    else:
        for complaint in result.complaints[:MOST]:
            expected, actual = sides(complaint, result.check.title)
            yield f"  expected: {escaped(expected)}"
            yield f"  actual:   {escaped(actual)}"
        if len(result.complaints) > MOST:
            yield f"  … and {len(result.complaints) - MOST} complaints more"
    yield from (f"    {line}" for line in diagram(result.transcript.entries, complaints=result.complaints))
    yield from (f"  again: {command}" for command in again)


def summary(run: Run) -> Iterator[str]:
    """Give a line for each codec and cut, the time of waiting in vain, and the verdict."""
    for name, mine in run.columns().items():
        counts = Counter(result.verdict for result in mine)
        seconds = sum(result.seconds for result in mine)
        further = "".join(
            f", {counts[verdict]} {verdict.value}"
            for verdict in (Verdict.KNOWN, Verdict.INCONCLUSIVE, Verdict.BROKEN)
            if counts[verdict]
        )
        yield (
            f"{name:>8}: {counts[Verdict.PASSED]} of {len(mine)} checks passed, "
            f"{counts[Verdict.FAILED]} failed{further}  ({seconds:.1f} s, summed over checks)"
        )
    yield from (f"STALE {escaped(line)}" for line in run.stale)
    yield f"{sum(result.expired for result in run.results):.1f} s of waiting in vain"
    yield outcome(run)[1]
