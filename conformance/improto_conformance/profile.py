"""What a server declares of itself: the choices that the specification leaves to it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from improto.codec import available
from improto.limits import Limits

__all__ = ["Profile"]


@dataclass(frozen=True, slots=True)
class Profile:
    """The declared choices of one server."""

    codecs: Sequence[str] = field(default_factory=available)
    """Those that it speaks on the port that is checked; all that are installed here, unless given."""
    private: bool = False
    """Whether only invited users may join (JOIN-5)."""
    presence: float = 1.0
    """The interval P, in seconds, within which a change is shown (PRESENCE-4)."""
    limits: Limits = field(default_factory=Limits)
    """The bounds that it holds."""
