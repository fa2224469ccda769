"""What the suite says of one check: the shape that all reports read, of servers and clients alike."""

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Result:
    """One check in one codec and one cut."""

    check: Aim
    codec: str
    cut: str
    verdict: Verdict
    complaints: tuple[str, ...]
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
