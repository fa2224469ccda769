"""Results as JSON, which `improto merge` and `improto diff` read again."""

import json
from collections.abc import Mapping
from typing import Any, Final

from improto_conformance.complaints import Difference
from improto_conformance.reports.run import Run, outcome
from improto_conformance.results import Result

__all__ = ["VERSION", "data"]

VERSION: Final = 1


def data(*runs: Run) -> str:
    """Give runs as the text of a report.json."""
    return json.dumps({"report": VERSION, "runs": [_run(run) for run in runs]}, indent=1) + "\n"


def _run(run: Run) -> Mapping[str, Any]:
    code, verdict = outcome(run)
    return {
        "name": run.name,
        "suite": run.suite,
        "date": run.date,
        "role": run.role,
        "target": run.target,
        "command": list(run.command),
        "profile": run.profile,
        "options": run.options,
        "interrupted": run.interrupted,
        "stale": list(run.stale),
        "exit": code,
        "verdict": verdict,
        "results": [_result(result) for result in run.results],
    }


def _result(result: Result) -> Mapping[str, Any]:
    return {
        "check": result.check.name,
        "clause": result.check.clause,
        "title": result.check.title,
        "codec": result.codec,
        "cut": result.cut,
        "verdict": result.verdict,
        "complaints": [_complaint(complaint) for complaint in result.complaints],
        "seconds": round(result.seconds, 4),
        "expired": round(result.expired, 4),
        "transcript": f"transcripts/{result.file}",
    }


def _complaint(complaint: str) -> Mapping[str, str]:
    if isinstance(complaint, Difference):
        return {"text": complaint, "expected": complaint.expected, "actual": complaint.actual}
    return {"text": complaint}
