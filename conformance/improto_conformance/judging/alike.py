"""Compares what happened in the same check in several codecs (CODEC-18), or on several targets."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Final

from improto_conformance.results import Aim, Result, Verdict
from improto_conformance.transcripts.abstract import abstract
from improto_conformance.transcripts.complaints import Difference
from improto_conformance.transcripts.transcript import Transcript

__all__ = ["ALIKE", "alike", "difference", "differences"]

ALIKE: Final = Aim("CODEC-18/all-checks", "CODEC-18", "what happens in all checks is the same in each codec")

_TIMES: Final = 3
"""How often a check must differ, since one difference may be chance."""


def alike(results: Sequence[Result], again: Callable[[Result], Result]) -> list[Result]:
    """Compare the results in the first codec with those in each other one, cut by cut.

    `again` runs the check of a result once more, since a difference may only depend on who was quicker.
    """
    columns: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        columns.setdefault((result.cut, result.codec), []).append(result)
    firsts: dict[str, list[Result]] = {}
    made: list[Result] = []
    for (cut, codec), column in columns.items():
        first = firsts.setdefault(cut, column)
        pairs = [] if first is column else list(_pairs(first, column))
        if pairs:
            made.append(_compared(pairs, again, codec, cut))
    return made


def _compared(
    pairs: Sequence[tuple[Result, Result]], again: Callable[[Result], Result], codec: str, cut: str
) -> Result:
    complaints: list[str] = []
    transcript = Transcript()
    for one, other in pairs:
        found = _found(one, other)
        for _ in range(_TIMES - 1):
            found = found and _found(again(one), again(other))
        if found:
            transcript = transcript if complaints else other.transcript
            complaints.append(found)
    verdict = Verdict.FAILED if complaints else Verdict.PASSED
    return Result(ALIKE, codec, cut, verdict, tuple(complaints), transcript, 0.0, 0.0)


def differences(ones: Sequence[Result], others: Sequence[Result]) -> dict[str, str]:
    """Give the names of the checks in which something different happened, each with the first difference."""
    found = {one.check.name: _found(one, other) for one, other in _pairs(ones, others)}
    return {name: complaint for name, complaint in found.items() if complaint}


def _pairs(ones: Sequence[Result], others: Sequence[Result]) -> Iterator[tuple[Result, Result]]:
    """Pair the results of checks that passed on both sides; a check that failed has complained itself."""
    passed = {one.check.name: one for one in ones if one.verdict is Verdict.PASSED}
    for other in others:
        one = passed.get(other.check.name)
        if one is not None and other.verdict is Verdict.PASSED and not other.check.varies:
            yield one, other


def _found(one: Result, other: Result) -> str:
    """Tell of the first difference, if there is one."""
    # Where waiting takes no time, the names are the same as well.
    if one.transcript.entries == other.transcript.entries:
        return ""
    who = f"in {other.how} {other.check.name}"
    return next(difference(abstract(one.transcript), abstract(other.transcript), who, one.how), "")


def difference(
    wanted: Mapping[str, Sequence[str]], got: Mapping[str, Sequence[str]], who: str, where: str
) -> Iterator[str]:
    """Complain about the first difference of two abstract transcripts, of which the second is that of `who`."""
    for party in {**wanted, **got}:
        lines = zip_longest(wanted.get(party, ()), got.get(party, ()), fillvalue="does nothing more")
        for step, (expected, actual) in enumerate(lines, 1):
            if expected != actual:
                yield Difference.of(
                    who, f"have {party} at step {step}, as in {where}: {expected}", f"there it {actual}"
                )
                return
