"""What is made of results: lines for people, files for machines, transcripts for both.

Data flow one way: `Result` → `run.Run` → a module for each form → `folder`, which writes the files.
"""

from improto_conformance.reports.data import read
from improto_conformance.reports.folder import clear, keep, write
from improto_conformance.reports.run import Run, again, outcome, replay, worst
from improto_conformance.reports.terminal import failure, summary

__all__ = [
    "Run",
    "again",
    "clear",
    "failure",
    "keep",
    "outcome",
    "read",
    "replay",
    "summary",
    "worst",
    "write",
]
