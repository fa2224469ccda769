"""The result of one check, in the form that all reports read, for servers and clients alike; and how a test fails."""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from improto_conformance.transcripts.transcript import Transcript

__all__ = ["Aim", "NotConformant", "Result", "Verdict"]


class Verdict(StrEnum):
    """The verdict on a server or client in one check and codec."""

    PASSED = "passed"
    FAILED = "failed"
    KNOWN = "known"
    """It failed, for the reason that the file of known failures has."""
    INCONCLUSIVE = "inconclusive"
    """It cannot be decided whether what happened is allowed."""
    BROKEN = "broken"
    """The suite itself is at fault."""


@dataclass(eq=False)
class Aim:
    """What a check is about; both checks of servers and checks of clients have this."""

    name: str
    """The name for reports and for `--only`: the clause, and what is provoked."""
    clause: str
    title: str
    varies: bool = field(default=False, kw_only=True)
    """Whether what happens in it may lawfully depend on the codec, or on who is quicker."""


class NotConformant(AssertionError):
    """A server or codec violates the specification; for each failure the text says what was expected and what happened."""


@dataclass(frozen=True, slots=True)
class Result:
    """One check in one codec and one cut."""

    check: Aim
    codec: str
    cut: str
    verdict: Verdict
    complaints: tuple[str, ...]
    """Each begins with the violated clause, if that is not, or need not be, the clause of the check."""
    transcript: Transcript
    seconds: float
    expired: float
    """Seconds of waiting in vain."""

    @property
    def how(self) -> str:
        """The codec, and the cut if it is not `whole`."""
        return self.codec if self.cut == "whole" else f"{self.codec}-{self.cut}"

    @property
    def file(self) -> str:
        """The name of the file for its transcript."""
        return f"{self.check.name}.{self.how}.jsonl".replace("/", "_")

    @property
    def violated(self) -> set[str]:
        """The violated clauses; if a complaint names none, that is the clause of the check."""
        if self.verdict not in (Verdict.FAILED, Verdict.KNOWN):
            return set()
        found = [_CLAUSE.match(complaint) for complaint in self.complaints]
        return {self.check.clause if match is None else match[1] for match in found}


_CLAUSE = re.compile(r"([A-Z]+-[0-9]+): ")
