"""What a complaint is: a line of text, and, where two things were compared, both of them."""

from typing import Final

__all__ = ["Difference", "sides"]

_WIDE: Final = 600


class Difference(str):
    """A complaint that reads `WHO was to DO and DID`, and has its two sides for reports."""

    expected: str = ""
    actual: str = ""

    @classmethod
    def of(cls, who: str, wanted: str, got: str) -> "Difference":
        """Complain that somebody was to do one thing and did another: `of("ann", "receive x", "received y")`."""
        made = cls(f"{who} was to {wanted} and {got}")
        made.expected, made.actual = f"{who} was to {wanted}", f"{who} {got}"
        return made


def sides(complaint: str, title: str) -> tuple[str, str]:
    """Give what was expected and what was there, cut where it is long.

    Of a complaint without sides the check's title says what was expected, and its text what was there.
    """
    if isinstance(complaint, Difference):
        return cut(complaint.expected), cut(complaint.actual)
    return title, cut(complaint)


def cut(text: str, width: int = _WIDE) -> str:
    """Give a text, or its beginning if it is longer than so many characters."""
    return text if len(text) <= width else f"{text[: width - 1]}…"
