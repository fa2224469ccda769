"""The result of one check, in the form that all reports read, for servers and clients alike."""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from improto_conformance.transcript import Transcript

__all__ = ["Aim", "Result", "Verdict"]


class Verdict(StrEnum):
    """What is said of a server or client, a check and a codec."""

    PASSED = "passed"
    FAILED = "failed"
    KNOWN = "known"
    """It failed, and the baseline says so for the same reason."""
    INCONCLUSIVE = "inconclusive"
    """What happened may be lawful or not."""
    BROKEN = "broken"
    """The suite itself is at fault."""


@dataclass(eq=False)
class Aim:
    """What a check is about, whoever it is made for."""

    name: str
    """For reports and for `--only`: the clause and what is provoked."""
    clause: str
    title: str
    varies: bool = field(default=False, kw_only=True)
    """Whether what happens in it lawfully depends on the codec, or on who is quicker."""


@dataclass(frozen=True, slots=True)
class Result:
    """One check in one codec and one cut."""

    check: Aim
    codec: str
    cut: str
    verdict: Verdict
    complaints: tuple[str, ...]
    """Each begins with the clause that is violated if that is not, or need not be, the check's own."""
    transcript: Transcript
    seconds: float
    expired: float
    """Seconds that were waited in vain."""

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
        """The clauses that are violated: the check's own where a complaint names none."""
        if self.verdict not in (Verdict.FAILED, Verdict.KNOWN):
            return set()
        found = [_CLAUSE.match(complaint) for complaint in self.complaints]
        return {self.check.clause if match is None else match[1] for match in found}


_CLAUSE = re.compile(r"([A-Z]+-[0-9]+): ")
