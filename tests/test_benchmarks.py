"""Tests of `benchmarks/servers`: that it runs.  How fast anything is, no test says."""

import subprocess
import sys
from pathlib import Path

RUN = Path(__file__).parents[1] / "benchmarks" / "servers" / "run.py"


def test_quick() -> None:
    """A quick run drives our server and the hand-written one through all that is measured, and shows the page."""
    done = subprocess.run([sys.executable, RUN, "--quick"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for row in ("| hand-written, Python |", "| improto ascii |", "## Latency"):
        assert row in done.stdout
    assert "Skipped" not in done.stdout
