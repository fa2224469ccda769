"""The suite finds nothing wrong with a server that was written from the published specification alone."""

import sys
from collections import Counter
from pathlib import Path

import pytest

from improto_conformance.profile import Profile
from improto_conformance.results import Verdict
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.runner import Settings, run
from improto_conformance.servers.targets import opened

SERVER = Path(__file__).parent / "peers" / "threads_server.py"


@pytest.mark.parametrize(("codec", "private"), [("ascii", False), ("json", True)])
def test_conformant(codec: str, private: bool) -> None:
    """Its threads, ids, rosters and words are its own, and it passes all checks, each policy in one codec."""
    profile = Profile([codec], private=private)
    with opened(f"cmd:{sys.executable} {SERVER} {{port}}{' --private' if private else ''}") as target:
        results = run(target, CHECKS, Settings(profile))
    assert [f"{result.check.name}: {result.complaints}" for result in results if result.complaints] == []
    assert Counter(result.verdict for result in results) == {Verdict.PASSED: len(results)}
    assert len(results) > 300
