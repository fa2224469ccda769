"""Why the suite does not find some mutants, and the report about all mutants.

`survivors.toml` explains them, with one table for each kind:

    [[explained]]
    module = "improto.server"
    function = "Hub._admit"         the function around them, or a pattern such as "Hub.*"; empty for the module itself
    reason = "equivalent"           one of `REASONS`
    because = "…"                   in words
    edits = ["a -> b"]              the mutants; if it is left out, all that survive there

An edit is the old code and the code of the mutant, in a plain form.  So an explanation stays right when lines move, and
becomes stale when the code or the suite changes.
"""

import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import Any, Final

from improto_conformance.zoo.mutation import Mutant

__all__ = [
    "EQUIVALENT",
    "REASONS",
    "Explanation",
    "Fate",
    "Tried",
    "explanations",
    "report",
    "stale",
    "unexplained",
]


class Fate(StrEnum):
    """The fate of a mutant."""

    KILLED = "killed"
    STOPPED = "stopped"
    """Also killed, but only because it took too much time, or ended its process."""
    SURVIVED = "survived"
    UNREACHED = "not reached"
    """Survived, since nothing of the suite executes its lines."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A mutant, and what the suite says about it."""

    mutant: Mutant
    fate: Fate
    by: str = ""
    """The check or vector that killed it."""
    unsure: tuple[str, ...] = ()
    """Checks that were inconclusive, or at fault themselves."""

    @property
    def lives(self) -> bool:
        """Whether the suite did not find it."""
        return self.fate in (Fate.SURVIVED, Fate.UNREACHED)


EQUIVALENT: Final = "equivalent"

REASONS: Final[Mapping[str, str]] = {
    EQUIVALENT: "it behaves the same",
    "performance": "it behaves the same, with more work or memory",
    "guard": "it removes a safeguard that no peer can trigger, because another one acts first",
    "embedder": "only the program around the server or client sees it: an option, a log, a snapshot",
    "freedom": "the specification allows it",
    "wording": "it changes words that the specification does not fix",
    "size": "it only shows with more bytes or users than a check should use",
    "unchecked": "it only violates what cannot be seen from outside, or what the server may choose; `clauses.toml` says why",
    "hole": "a check is missing",
}
"""Why a mutant may survive."""

HARMFUL: Final = ("size", "unchecked", "hole")
"""The reasons of those that do something wrong."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One table of `survivors.toml`."""

    module: str
    function: str
    reason: str
    because: str
    edits: tuple[str, ...] = ()

    def covers(self, mutant: Mutant) -> bool:
        """Tell whether it is about a mutant."""
        return (
            self.module == mutant.module
            and fnmatchcase(mutant.function, self.function)
            and (not self.edits or mutant.edit in self.edits)
        )


def explanations() -> list[Explanation]:
    """Read `survivors.toml`; ValueError if a reason is none of `REASONS`."""
    text = (files("improto_conformance.zoo") / "survivors.toml").read_text(encoding="utf-8")
    tables: list[dict[str, Any]] = tomllib.loads(text)["explained"]
    found = [
        Explanation(
            table["module"],
            table["function"],
            table["reason"],
            table["because"],
            tuple(table.get("edits", ())),
        )
        for table in tables
    ]
    for each in found:
        if each.reason not in REASONS:
            raise ValueError(
                f"survivors.toml: {each.reason!r} is no reason; take one of {', '.join(REASONS)}"
            )
    return found


def unexplained(tried: Iterable[Tried], explained: Sequence[Explanation]) -> list[Tried]:
    """Give the survivors that no explanation covers."""
    return [one for one in tried if one.lives and not any(each.covers(one.mutant) for each in explained)]


def stale(tried: Iterable[Tried], explained: Iterable[Explanation]) -> Iterator[str]:
    """Say which explanations are of no survivor, among those for the modules that were tried."""
    tried = list(tried)
    modules = {one.mutant.module for one in tried}
    for each in explained:
        if each.module in modules:
            alive = [one.mutant for one in tried if one.lives and each.covers(one.mutant)]
            where = f"{each.module} {each.function}".rstrip()
            if not alive:
                yield f"{where}: {', '.join(each.edits) or 'nothing'} survives there any more"
            else:
                edits = {mutant.edit for mutant in alive}
                yield from (f"{where}: {edit}" for edit in each.edits if edit not in edits)


def report(tried: Sequence[Tried], explained: Sequence[Explanation]) -> Iterator[str]:
    """Give the lines of the report, as Markdown."""
    reasons = {id(one): _explanation(one, explained) for one in tried if one.lives}
    yield "# How many small faults in the reference the suite finds"
    yield ""
    yield "Made by `improto zoo --automatic --report docs/mutation.md`."
    yield ""
    yield "A *mutant* is a module of the reference with one small change in it, whether this change does harm or not."
    yield ""
    yield "- A mutant is *killed* if a check or a vector fails."
    yield "- It is *stopped* if it took too much time; the killed ones include these."
    yield "- It has *survived* if nothing fails.  `survivors.toml` gives the reason for each survivor."
    yield "- It is *not reached* if the suite executes none of its changed lines; the survivors include these."
    yield ""
    yield "The *score* is the share of killed mutants among all that are not equivalent to the reference.  The score *of the harmful*"
    yield "leaves out all survivors that do nothing wrong."
    yield ""
    yield "| module | mutants | killed | stopped | survived | not reached | equivalent | score | of the harmful |"
    yield "|---|---|---|---|---|---|---|---|---|"
    modules = list(dict.fromkeys(one.mutant.module for one in tried))
    for module in modules:
        yield _row(module, [one for one in tried if one.mutant.module == module], reasons)
    if len(modules) > 1:
        yield _row("all", tried, reasons)
    yield ""
    yield "| survivors | why |"
    yield "|---|---|"
    counts = Counter(each.reason for each in reasons.values() if each is not None)
    yield from (
        f"| {counts[reason]} | {reason}: {meaning} |" for reason, meaning in REASONS.items() if counts[reason]
    )
    left = unexplained(tried, explained)
    yield f"| {len(left)} | unexplained |"
    for module in modules:
        shown = [
            (each, sum(reasons.get(id(one)) is each for one in tried))
            for each in explained
            if each.module == module
        ]
        if shown:
            yield from ("", f"## {module}", "", "| where | survivors | why |", "|---|---|---|")
            for each, count in shown:
                yield f"| {f'`{each.function}`' if each.function else 'the module'} | {count} | {each.reason}: {each.because} |"
    if left:
        yield from ("", "## Unexplained", "")
        yield from (f"- {one.mutant.name} `{one.mutant.edit}`" for one in left)


def _explanation(one: Tried, explained: Iterable[Explanation]) -> Explanation | None:
    return next((each for each in explained if each.covers(one.mutant)), None)


def _row(name: str, tried: Sequence[Tried], reasons: Mapping[int, Explanation | None]) -> str:
    fates = Counter(one.fate for one in tried)
    killed = fates[Fate.KILLED] + fates[Fate.STOPPED]
    why = Counter(
        None if each is None else each.reason for each in (reasons[id(one)] for one in tried if one.lives)
    )
    counted = len(tried) - why[EQUIVALENT]
    harmful = killed + sum(why[reason] for reason in (None, *HARMFUL))
    return (
        f"| {name} | {len(tried)} | {killed} | {fates[Fate.STOPPED]} | {why.total()} | {fates[Fate.UNREACHED]} "
        f"| {why[EQUIVALENT]} | {killed / max(1, counted):.1%} | {killed / max(1, harmful):.1%} |"
    )
