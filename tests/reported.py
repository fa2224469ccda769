"""Runs to make reports of: a server that does not send messages to their senders, in this process."""

from dataclasses import asdict

from improto_conformance.profile import Profile
from improto_conformance.reports import Run
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.runner import Settings, run
from improto_conformance.zoo.broken import BROKEN
from improto_conformance.zoo.copies import in_memory

_BROKEN = BROKEN["no-copy-for-the-sender"]


def a_run(*codecs: str, name: str = "") -> Run:
    """Run three checks, of which the second fails."""
    names = ("LEAVE-5/leave-unknown", "SEND-3/to-the-sender", "SEND-5/to-an-unknown-one")
    checks = [check for check in CHECKS if check.name in names]
    profile = Profile(list(codecs) or ["json"])
    found = run(in_memory(_BROKEN.copy()), checks, Settings(profile, jobs=1))
    results = [result for result in found if result.check.name in names]
    command = ["improto", "check", "server", "tcp://here:1"]
    return Run(results, "server", "tcp://here:1", command, asdict(profile), {"timeout": 5.0}, name=name)
