"""The clauses of the specification as data: what is required of whom, who decided that, and why."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

__all__ = ["Clause", "clauses"]


@dataclass(frozen=True, slots=True)
class Clause:
    """One normative sentence.  The beginning of `clauses.toml` says what each field means."""

    id: str
    level: str
    role: str
    text: str
    origin: str
    reason: str
    elsewhere: str = ""
    unchecked: str = ""


@cache
def clauses() -> dict[str, Clause]:
    """Give every clause by its id, in the order of the specification."""
    text = files(__name__).joinpath("clauses.toml").read_text(encoding="utf-8")
    return {entry["id"]: Clause(**entry) for entry in tomllib.loads(text)["clause"]}
