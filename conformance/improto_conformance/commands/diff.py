"""`improto diff BEFORE AFTER`: the differences between two reports, or between two transcripts.

Of reports: verdicts that changed, checks that are new or gone, failures for another reason.  Of transcripts: the first
difference of each party in what `abstract` keeps; differences of ids, names, times, rosters and bytes do not count.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Final

from improto.cli.text import escaped
from improto.errors import UsageError
from improto_conformance import reports
from improto_conformance.reports.known import reason
from improto_conformance.reports.run import Run
from improto_conformance.results import Result, Verdict
from improto_conformance.transcripts import records
from improto_conformance.transcripts.abstract import abstract
from improto_conformance.transcripts.complaints import cut
from improto_conformance.transcripts.records import NoRecord
from improto_conformance.transcripts.transcript import Transcript

__all__ = ["HELP", "configure", "of_reports", "of_transcripts", "run"]

HELP: Final = "show the differences between two reports, or two transcripts"

_WIDTH: Final = 160


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `diff`."""
    add = parser.add_argument
    add("before", type=Path, metavar="BEFORE", help="a folder that --report has written, or a transcript")
    add("after", type=Path, metavar="AFTER", help="another one, which is compared with it")


def run(arguments: argparse.Namespace) -> int:
    """Print one line for each difference; 0 if there are none, otherwise 1."""
    match _read(arguments.before), _read(arguments.after):
        case list() as before, list() as after:
            lines = list(of_reports(before, after))
        case Transcript() as before, Transcript() as after:
            lines = list(of_transcripts(before, after))
        case _:
            raise UsageError("compare a report with a report, or a transcript with a transcript")
    for line in lines:
        print(line)
    return 1 if lines else 0


def of_reports(before: list[Run], after: list[Run]) -> Iterator[str]:
    """Give a line for each check whose verdict or reason differs, for each codec and cut."""
    old, new = _results(before), _results(after)
    for key in dict.fromkeys([*old, *new]):
        was, now = old.get(key), new.get(key)
        where = f"{escaped(key[0])} [{escaped(key[1])}]"
        if was is None or now is None:
            yield (
                f"{where}: gone, was {was.verdict}" if was else f"{where}: new, {now.verdict if now else ''}"
            )
        elif was.verdict != now.verdict:
            yield f"{where}: {was.verdict} → {now.verdict}"
        elif was.verdict is not Verdict.PASSED and _reasons(was) != _reasons(now):
            yield f"{where}: {now.verdict} for another reason"


def of_transcripts(before: Transcript, after: Transcript) -> Iterator[str]:
    """Give the first difference of each party."""
    old, new = abstract(before), abstract(after)
    for party in dict.fromkeys([*old, *new]):
        pairs = enumerate(zip_longest(old.get(party, []), new.get(party, []), fillvalue="nothing more"), 1)
        first = next(((place, pair) for place, pair in pairs if pair[0] != pair[1]), None)
        if first is not None:
            place, (was, now) = first
            yield f"{party}, line {place}: {escaped(cut(was, _WIDTH))} → {escaped(cut(now, _WIDTH))}"


def _results(runs: list[Run]) -> dict[tuple[str, str], Result]:
    # One run is compared with another whatever their names are.
    named = [replace(run, name="") for run in runs] if len(runs) == 1 else runs
    return {
        (result.check.name, column): result
        for run in named
        for column, results in run.columns().items()
        for result in results
    }


def _reasons(result: Result) -> set[str]:
    return {reason(complaint, result.transcript) for complaint in result.complaints}


def _read(path: Path) -> list[Run] | Transcript:
    if path.is_dir():
        return reports.read(path)
    try:
        with path.open(encoding="utf-8") as file:
            return records.read(file).transcript
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; name a report or a transcript") from None
    except NoRecord as error:
        raise UsageError(f"{path}: {error}") from None
