"""Gaps between messages, for peers that take one `recv` for one message (LECTURE-1): what servers and clients share."""

from typing import Final

from improto.errors import UsageError

__all__ = ["checked_gap", "gap_for"]

_LEAST: Final = 0.02


def checked_gap(gap: float) -> float:
    """Give these seconds, or 0 for no gap.  UsageError if they are less than 20 ms."""
    if gap and not gap >= _LEAST:  # LECTURE-2
        raise UsageError(f"a gap has at least {_LEAST} s, or peers like the lecture's do not see it")
    return gap


def gap_for(codec_name: str | None, gap: float) -> float:
    """Give the gap before each message to a peer that speaks a codec: programs like the lecture's speak pickle only."""
    return gap if codec_name == "pickle" else 0.0
