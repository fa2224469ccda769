"""Gaps between messages, for peers that take what one `recv` gives for one message, as the lecture's do (LECTURE-1)."""

from typing import Final

from improto.deadlines import check_seconds
from improto.errors import UsageError

__all__ = ["checked_gap", "gap_for"]

_LEAST: Final = 0.02


def checked_gap(gap: float) -> float:
    """Give `gap`, in seconds, where 0 means none.  UsageError if it is less than 20 ms and not 0, or no clock can take it."""
    if gap != 0 and not gap >= _LEAST:  # LECTURE-2; written so that NaN is refused, too
        raise UsageError(f"a gap needs at least {_LEAST} s, or peers like the lecture's do not notice it")
    check_seconds("a gap", gap)
    return gap


def gap_for(codec_name: str | None, gap: float) -> float:
    """Give the gap between messages in a codec: 0 in all but pickle, since programs like the lecture's speak only that."""
    return gap if codec_name == "pickle" else 0.0
