"""What a complaint is: a line of text, and, where two things were compared, both of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from improto.cli.text import escaped
from improto.errors import ImprotoError

__all__ = ["MOST", "Complaint", "Difference", "Inconclusive", "brief", "cut", "first", "last_words", "sides"]

MOST: Final = 20
"""Complaints about one transcript that are shown; of a peer that sends nonsense on and on there are very many."""

_WIDE: Final = 600
_BRIEF: Final = 300
_BEGINNING: Final = 120
# What JavaScript, Java and Rust print.
_BEHIND_AN_ERROR: Final = re.compile(r"\s|[})\]]|Node\.js v\d|note: run with ")


class Difference(str):
    """A complaint of the form `WHO was to DO and DID`, which gives its two sides to reports."""

    expected: str = ""
    actual: str = ""

    @classmethod
    def of(cls, who: str, wanted: str, got: str) -> "Difference":
        """Complain that somebody should have done one thing and did another: `of("ann", "receive x", "received y")`."""
        made = cls(f"{who} was to {wanted} and {got}")
        made.expected, made.actual = f"{who} was to {wanted}", f"{who} {got}"
        return made


@dataclass(frozen=True, slots=True)
class Complaint:
    """What a judge finds wrong, the clause that it violates, and the entry of the transcript where it shows."""

    clause: str
    text: str
    index: int

    def __str__(self) -> str:
        """Give a line for people."""
        return f"{self.clause}: {self.text}"

    def line(self) -> Difference:
        """Give the line that is shown together with the check's own complaints."""
        line = Difference(str(self))
        line.expected, line.actual = f"what {self.clause} demands", self.text
        if isinstance(self.text, Difference):
            line.expected, line.actual = f"{self.clause}: {self.text.expected}", self.text.actual
        return line


class Inconclusive(ImprotoError):
    """A transcript cannot be judged; the text is the reason."""


def last_words(said: Sequence[str]) -> str:
    """Tell what the last lines of a program say about its end; empty if there are none.

    Stack traces and similar lines that some runtimes write after an error are left out, if other lines remain.
    """
    lines = [line for line in said if line.strip()]
    telling = [line for line in lines if not _BEHIND_AN_ERROR.match(line)] or lines
    return f"; its last words: {escaped(telling[-1])}" if telling else ""


def sides(complaint: str, title: str) -> tuple[str, str]:
    """Give what was expected and what happened, shortened if it is long.

    If a complaint has no sides, the title of the check says what was expected, and its text what happened.
    """
    if isinstance(complaint, Difference):
        return cut(complaint.expected), cut(complaint.actual)
    return title, cut(complaint)


def brief(item: object) -> str:
    """Show a message, or what else there is; of a long one the beginning, and how long it is."""
    shown = ascii(item)
    return shown if len(shown) <= _BRIEF else f"{shown[:_BEGINNING]}… ({len(shown)} characters)"


def first(complaints: Sequence[object]) -> list[str]:
    """Give a line for each of the first complaints, and one that says how many more there are."""
    more = [f"… and {len(complaints) - MOST} more"] if len(complaints) > MOST else []
    return [*map(str, complaints[:MOST]), *more]


def cut(text: str, width: int = _WIDE) -> str:
    """Give a text, or its beginning if it is longer than so many characters."""
    return text if len(text) <= width else f"{text[: width - 1]}…"
