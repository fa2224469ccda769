"""Runs as Markdown, for the summaries of CI jobs."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from improto.cli.text import escaped
from improto_conformance.reports.run import Group, Run, groups, outcome, told_of
from improto_conformance.results import Verdict
from improto_conformance.transcripts.complaints import sides
from improto_spec import Clause

__all__ = ["markdown"]

_MOST: Final = 30  # failures that are shown in detail


def markdown(runs: Sequence[Run], clauses: Mapping[str, Clause]) -> str:
    """Give the document: the verdict, a table of codecs and cuts, and the failures."""
    return "\n".join([*_head(runs), *_table(runs), *_failures(runs, clauses)]) + "\n"


def _head(runs: Sequence[Run]) -> Iterator[str]:
    yield "# Conformance to improto"
    yield ""
    for run in runs:
        name = f"{_plain(run.name)}: " if run.name else ""
        yield f"- {name}**{_plain(outcome(run)[1])}**"
        yield from (f"  - stale: {_plain(line)}" for line in run.stale)
    yield ""


def _table(runs: Sequence[Run]) -> Iterator[str]:
    yield f"| | {' | '.join(verdict.value for verdict in Verdict)} | seconds |"
    yield "|---" + "|--:" * (len(Verdict) + 1) + "|"
    for run in runs:
        for name, results in run.columns().items():
            counts = Counter(result.verdict for result in results)
            cells = [counts[verdict] or "" for verdict in Verdict]
            seconds = sum(result.seconds for result in results)
            yield f"| {_plain(name)} | {' | '.join(map(str, cells))} | {seconds:.1f} |"


def _failures(runs: Sequence[Run], clauses: Mapping[str, Clause]) -> Iterator[str]:
    found = groups(runs)
    for group in found[:_MOST]:
        yield from _failure(group, clauses)
    if len(found) > _MOST:
        yield ""
        yield f"… and {len(found) - _MOST} more, which the report has."


def _failure(group: Group, clauses: Mapping[str, Clause]) -> Iterator[str]:
    result = group.result
    yield ""
    yield f"### {result.verdict.value}: {_plain(result.check.name)}"
    yield ""
    yield f"{_plain(result.check.title)}, in {_plain(', '.join(group.where))}."
    for clause in told_of(result, clauses):
        yield ""
        yield f"{clause.id} ({clause.level}): {_plain(clause.text)}"
    yield ""
    # Only in an indented block does nothing that a peer has sent count as markup.
    for complaint in result.complaints:
        expected, actual = sides(complaint, result.check.title)
        yield f"    expected: {escaped(expected)}"
        yield f"    actual:   {escaped(actual)}"


def _plain(text: str) -> str:
    """Write a text so that nothing in it counts as markup."""
    return "".join(f"\\{letter}" if letter in r"\`*_[]<>|#~&" else letter for letter in escaped(text))
