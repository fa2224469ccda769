"""Runs as JSON, which `improto merge` and `improto diff` read again.

`report.schema.json`, beside this module, is the schema.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

from improto.errors import UsageError
from improto_conformance.reports.run import Run, outcome
from improto_conformance.results import Aim, Result, Verdict
from improto_conformance.transcripts import records
from improto_conformance.transcripts.complaints import Difference, cut
from improto_conformance.transcripts.records import NoRecord, typed
from improto_conformance.transcripts.transcript import Transcript

__all__ = ["NAME", "VERSION", "data", "read"]

NAME: Final = "report.json"
VERSION: Final = 1


def data(runs: Sequence[Run]) -> str:
    """Give the text of a report.json for these runs."""
    return json.dumps({"report": VERSION, "runs": [_run(run) for run in runs]}, indent=1) + "\n"


def read(folder: Path) -> list[Run]:
    """Read the runs of a report with their transcripts; UsageError, which names the file, if there is none."""
    path = folder / NAME
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["report"] != VERSION:
            raise UsageError(
                f"{path} is of version {found['report']!r}, and {VERSION} is read here; "
                "use the version of improto that has written it"
            )
        runs = [_read_run(run, folder) for run in found["runs"]]
        if not runs:
            raise ValueError("there are no runs in it")
        return runs
    except OSError as error:
        what = error.filename or path
        raise UsageError(f"{what}: {error.strerror}; name a folder that --report has written") from None
    except NoRecord as error:
        raise UsageError(f"{folder / 'transcripts'}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise UsageError(
            f"{path} is not a report ({cut(repr(error))}); name a folder that --report has written"
        ) from None


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
        "unrun": run.unrun,
        "stale": list(run.stale),
        "exit": code,
        "verdict": verdict,
        "results": [_result(result, run) for result in run.results],
    }


def _result(result: Result, run: Run) -> Mapping[str, Any]:
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
        "transcript": run.transcript(result),
    }


def _complaint(complaint: str) -> Mapping[str, str]:
    if isinstance(complaint, Difference):
        return {"text": complaint, "expected": complaint.expected, "actual": complaint.actual}
    return {"text": complaint}


def _read_run(found: Mapping[str, Any], folder: Path) -> Run:
    results: list[Result] = []
    run = Run(
        results,
        typed(found["role"], str),
        typed(found["target"], str),
        tuple(typed(word, str) for word in found["command"]),
        cast("Mapping[str, Any]", typed(found["profile"], dict)),
        cast("Mapping[str, Any]", typed(found["options"], dict)),
        tuple(typed(line, str) for line in found["stale"]),
        typed(found["interrupted"], bool),
        typed(found["unrun"], int),
        typed(found["name"], str),
        typed(found["date"], str),
        typed(found["suite"], str),
    )
    for entry in found["results"]:
        bare = Result(
            Aim(typed(entry["check"], str), typed(entry["clause"], str), typed(entry["title"], str)),
            typed(entry["codec"], str),
            typed(entry["cut"], str),
            Verdict(entry["verdict"]),
            tuple(_read_complaint(complaint) for complaint in entry["complaints"]),
            Transcript(),
            float(entry["seconds"]),
            float(entry["expired"]),
        )
        # The path is made here and not taken from the file, which may come from anywhere.
        with (folder / run.transcript(bare)).open(encoding="utf-8") as file:
            results.append(replace(bare, transcript=records.read(file).transcript))
    return run


def _read_complaint(found: Mapping[str, str]) -> str:
    if "expected" not in found:
        return typed(found["text"], str)
    made = Difference(typed(found["text"], str))
    made.expected, made.actual = typed(found["expected"], str), typed(found["actual"], str)
    return made
