"""What a server declares: the choices that the specification leaves to it.

A profile can be written as a file, in TOML.  `docs/profile.md` says what each key means.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from improto.codec import available
from improto.errors import UsageError
from improto.limits import Limits
from improto_conformance.connections.addresses import Tls

__all__ = ["DEFAULTS", "Profile", "profile_of"]

DEFAULTS: Final = Limits()
"""The limits of a server that declares none (LIMIT-25)."""
_RATE: Final = 8 * 1024  # bytes of rosters a second


@dataclass(frozen=True, slots=True)
class Profile:
    """The declared choices of one server.  Times are in seconds."""

    codecs: Sequence[str] = field(default_factory=available)
    """The codecs that it speaks on the port that is checked; by default all that are installed here."""
    private: bool = False
    """Whether only invited users may join (JOIN-5)."""
    presence: float = 1.0
    """The interval P within which a roster shows a change (PRESENCE-4)."""
    limits: Limits = DEFAULTS
    """Its limits (LIMIT-25)."""
    repeat: float = 30.0
    """The interval within which a roster is repeated without a change (PRESENCE-7)."""
    register: float = 60.0
    """The time within which a client has to register (CONN-17)."""
    tls: Tls = field(default_factory=Tls)
    """Which certificates to trust, if it is behind TLS: the only thing here that the user of the suite chooses, not the server."""

    @property
    def crowded(self) -> float:
        """The interval within which a roster of up to 128 KiB shows a change, which may grow with the roster (PRESENCE-6)."""
        return max(self.presence, 2**17 / _RATE)


def profile_of(path: Path) -> Profile:
    """Read a profile from a file; UsageError, which names the key and what is allowed, if it is not a profile."""
    try:
        return _profile(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; name a file with a profile") from None
    except ValueError as error:  # no TOML, no UTF-8, or a value that does not fit
        raise UsageError(f"{path}: {error}; see docs/profile.md") from None


def _profile(table: Mapping[str, Any]) -> Profile:
    values = _read(table, _KEYS)
    if "join" in values:
        values["private"] = values.pop("join") == "private"
    return Profile(**values)


def _read(table: Mapping[str, Any], keys: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    """Read a table of known keys; ValueError if a key is none of them or its value does not fit."""
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in keys:
            raise ValueError(f"{key} is no key; the keys are {', '.join(keys)}")
        try:
            values[key.replace("-", "_")] = keys[key](value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{key} {error}") from None
    return values


def _codecs(value: object) -> Sequence[str]:
    if not isinstance(value, list) or not value or not all(name in available() for name in value):  # pyright: ignore
        raise ValueError(f"has to be a list of {', '.join(available())}")
    return [str(name) for name in dict.fromkeys(value)]  # pyright: ignore


def _join(value: object) -> str:
    if value not in ("open", "private"):
        raise ValueError("has to be open or private")
    return str(value)


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
        raise ValueError("has to be a number of seconds, more than 0")
    return float(value)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= 2**24:
        raise ValueError("has to be a whole number from 1 to 16777216")
    return value


def _table(kind: Callable[..., Any], keys: Mapping[str, Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def read(value: object) -> Any:
        if not isinstance(value, dict):
            raise TypeError("has to be a table")
        return kind(**_read(value, keys))  # pyright: ignore

    return read


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("has to be a text")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("has to be true or false")
    return value


_KEYS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "codecs": _codecs,
    "join": _join,
    "presence": _seconds,
    "repeat": _seconds,
    "register": _seconds,
    "limits": _table(Limits, {each.name: _count for each in fields(Limits)}),
    "tls": _table(Tls, {"ca": _text, "insecure": _flag, "server-name": _text}),
}
