"""The files of a report: all that `--report DIR` writes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from improto_conformance.records import Record
from improto_conformance.records import write as lines
from improto_conformance.reports.data import data
from improto_conformance.reports.junit import junit
from improto_conformance.reports.run import Run
from improto_conformance.results import Result
from improto_spec import Clause

__all__ = ["clear", "keep", "write"]


def clear(folder: Path) -> None:
    """Make the folder, and remove what an earlier report left in it; OSError if that cannot be done."""
    transcripts = folder / "transcripts"
    transcripts.mkdir(parents=True, exist_ok=True)
    for path in [*transcripts.glob("*.jsonl"), *(folder / name for name in _FILES)]:
        path.unlink(missing_ok=True)


_FILES: Final = ("report.json", "junit.xml")


def keep(result: Result, folder: Path, about: Mapping[str, str], *, private: bool = False) -> Path:
    """Write the transcript of a result at once, so that it is there whatever becomes of the run; give its path."""
    path = folder / "transcripts" / result.file
    record = Record(
        result.transcript,
        result.check.name,
        result.check.clause,
        result.codec,
        result.cut,
        private,
        {**about, "verdict": result.verdict.value},
    )
    path.write_text("".join(f"{line}\n" for line in lines(record)), encoding="utf-8")
    return path


def write(run: Run, folder: Path, clauses: Mapping[str, Clause]) -> None:
    """Write what is said of a whole run into a folder that was cleared for it."""
    (folder / "report.json").write_text(data(run), encoding="utf-8")
    (folder / "junit.xml").write_bytes(junit(run, clauses))
