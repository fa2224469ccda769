"""The folder of a report: everything that `--report DIR` writes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from improto_conformance.reports import data
from improto_conformance.reports.junit import junit
from improto_conformance.reports.markdown import markdown
from improto_conformance.reports.page import page
from improto_conformance.reports.run import Run
from improto_conformance.results import Result
from improto_conformance.transcripts.records import Record, to_file
from improto_spec import Clause

__all__ = ["clear", "keep", "write"]

_PAGE: Final = "report.html"
_JUNIT: Final = "junit.xml"
_SUMMARY: Final = "summary.md"


def clear(folder: Path) -> None:
    """Make the folder, and remove an earlier report from it; OSError if that fails."""
    folder.mkdir(parents=True, exist_ok=True)
    transcripts = folder / "transcripts"
    old = [*transcripts.glob("*.jsonl"), *transcripts.glob("*/*.jsonl")]
    for path in [*old, *(folder / name for name in (data.NAME, _PAGE, _JUNIT, _SUMMARY))]:
        path.unlink(missing_ok=True)


def keep(run: Run, result: Result, folder: Path) -> Path:
    """Write the transcript of a result at once, so that it is kept even if the run ends early; give its path."""
    path = folder / run.transcript(result)
    record = Record(
        result.transcript,
        result.check.name,
        result.check.clause,
        result.codec,
        result.cut,
        run.profile.get("private") is True,
        {"target": run.target, "role": run.role, "verdict": result.verdict.value},
    )
    to_file(record, path)
    return path


def write(runs: Sequence[Run], folder: Path, clauses: Mapping[str, Clause]) -> None:
    """Write the files about whole runs."""
    (folder / data.NAME).write_text(data.data(runs), encoding="utf-8")
    (folder / _PAGE).write_text(page(runs, clauses), encoding="utf-8")
    (folder / _JUNIT).write_bytes(junit(runs, clauses))
    (folder / _SUMMARY).write_text(markdown(runs, clauses), encoding="utf-8")
