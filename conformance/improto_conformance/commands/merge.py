"""`improto merge DIR… --report OUT`: makes one report of several runs."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Final

from improto.cli.text import escaped
from improto.errors import UsageError
from improto_conformance import reports
from improto_conformance.reports.run import Run
from improto_spec import clauses

__all__ = ["HELP", "configure", "merged", "run"]

HELP: Final = "make one report of the reports of several runs, with a matrix of all results"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `merge`."""
    parser.add_argument(
        "folders",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="a folder that --report or this command has written",
    )
    parser.add_argument(
        "--report", type=Path, metavar="OUT", required=True, help="the folder for the new report"
    )


def run(arguments: argparse.Namespace) -> int:
    """Read all reports, write one, and print the verdict of each run; give the exit code of the worst run."""
    if arguments.report.resolve() in [folder.resolve() for folder in arguments.folders]:
        raise UsageError(
            f"{arguments.report} is one of the folders that are read; name another one for --report"
        )
    runs = merged(arguments.folders)
    try:
        reports.clear(arguments.report)
    except OSError as error:
        raise UsageError(f"--report {arguments.report}: {error.strerror}; name a folder") from None
    for each in runs:
        for result in each.results:
            reports.keep(each, result, arguments.report)
        print(escaped(f"{each.name}: {reports.outcome(each)[1]}"))
    reports.write(runs, arguments.report, clauses())
    return reports.worst(reports.outcome(each)[0] for each in runs)


def merged(folders: list[Path]) -> list[Run]:
    """Read the runs of reports; a run without a name gets that of its folder.  UsageError if a folder is not a report."""
    runs: list[Run] = []
    for folder in folders:
        for found in reports.read(folder):
            wanted = found.name or folder.resolve().name
            taken = [each.name for each in runs]
            names = [wanted, *(f"{wanted}-{number}" for number in range(2, len(taken) + 2))]
            runs.append(replace(found, name=next(name for name in names if name not in taken)))
    return runs
