"""What is made from results: lines for people, files for machines, transcripts for both.

Data flows in one direction: from `Result` to `run.Run`, to one module for each form, to `folder`, which writes the files.
"""

from improto_conformance.reports.data import read
from improto_conformance.reports.folder import clear, keep, write
from improto_conformance.reports.run import Run, again, outcome, worst
from improto_conformance.reports.terminal import failure, summary

__all__ = [
    "Run",
    "again",
    "clear",
    "failure",
    "keep",
    "outcome",
    "read",
    "summary",
    "worst",
    "write",
]
