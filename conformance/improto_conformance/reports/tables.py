"""The tables of the page: checks by runs, and clauses."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from improto_conformance.reports.markup import Element, el
from improto_conformance.reports.run import SEVERITY, Group, Run
from improto_conformance.results import Result, Verdict
from improto_spec import Clause

__all__ = ["badge", "columns", "head", "matrix", "prose", "tried"]

_SIGNS: Final = {
    Verdict.PASSED: "✓",
    Verdict.FAILED: "✗",
    Verdict.KNOWN: "≈",
    Verdict.INCONCLUSIVE: "?",
    Verdict.BROKEN: "!",
}


def badge(verdict: Verdict) -> Element:
    """Show a verdict."""
    return el(
        "span",
        el("span", _SIGNS[verdict], aria_hidden="true"),
        f" {verdict.value}",
        class_=f"badge {verdict.value}",
    )


def head(text: str, scope: str = "col") -> Element:
    """Give the head of a column or row."""
    return el("th", text, scope=scope)


def prose(text: str) -> Iterator[Element | str]:
    """Give a sentence of the specification, with markup for its `code` and *words*."""
    for number, part in enumerate(re.split(r"`([^`]*)`", text)):
        if number % 2:
            yield el("code", part)
        else:
            for count, word in enumerate(re.split(r"\*([^*]*)\*", part)):
                yield el("em", word) if count % 2 else word


def columns(runs: Sequence[Run]) -> dict[str, dict[str, Verdict]]:
    """Give the verdicts of all runs, by column and check."""
    return {
        name: {result.check.name: result.verdict for result in results}
        for run in runs
        for name, results in run.columns().items()
    }


def matrix(runs: Sequence[Run], found: Sequence[Group]) -> Iterator[Element]:
    """Give checks by codecs, cuts and runs, if there is more than one column; `found`: where the link of a cell leads."""
    if len(columns(runs)) < 2:
        return
    places = {
        (column, group.result.check.name): f"#failure-{number}"
        for number, group in enumerate(found)
        for column in group.where
    }
    verdicts = columns(runs)
    checks = dict.fromkeys(check for column in verdicts.values() for check in column)
    rows = [
        el(
            "tr",
            head(check, "row"),
            *(_cell(column.get(check), places.get((name, check))) for name, column in verdicts.items()),
            class_="even" if all(_good(column.get(check)) for column in verdicts.values()) else "uneven",
        )
        for check in checks
    ]
    signs = ", ".join(f"{sign} {verdict.value}" for verdict, sign in _SIGNS.items())
    yield el(
        "section",
        el("h2", "Matrix"),
        el("input", type="checkbox", id="uneven"),
        el("label", "only checks that did not pass everywhere", for_="uneven"),
        el(
            "table",
            el("caption", f"{signs}; empty: did not run"),
            el("thead", el("tr", el("td"), *(el("th", el("span", name), scope="col") for name in verdicts))),
            el("tbody", *rows),
        ),
        id="matrix",
    )


def _good(verdict: Verdict | None) -> bool:
    return verdict in (None, Verdict.PASSED)


def _cell(verdict: Verdict | None, place: str | None) -> Element:
    if verdict is None:
        return el("td")
    shown = (el("span", _SIGNS[verdict], aria_hidden="true"), el("span", verdict.value, class_="hidden"))
    inner = shown if place is None else (el("a", *shown, href=place),)
    return el("td", *inner, class_=verdict.value)


def tried(runs: Sequence[Run], clauses: Mapping[str, Clause]) -> Element:
    """Give each clause that was tried, with its worst verdict, and name those that were not."""
    found: dict[str, list[tuple[str, Verdict]]] = {}
    for run in runs:
        for result in run.results:
            for clause, verdict in _verdicts(result).items():
                found.setdefault(clause, []).append((result.check.name, verdict))
    return el(
        "section",
        el("h2", "Clauses"),
        el(
            "table",
            el("caption", f"{len(found)} of {len(clauses)} clauses were tried"),
            el("thead", el("tr", *map(head, ("clause", "level", "text", "checks", "runs", "verdict")))),
            el("tbody", *(_clause(clause, found[id]) for id, clause in clauses.items() if id in found)),
        ),
        *_untried({run.role for run in runs}, [clause for id, clause in clauses.items() if id not in found]),
        id="clauses",
    )


def _untried(roles: Collection[str], missing: Sequence[Clause]) -> Iterator[Element]:
    """Name the clauses that were not tried, so that nobody takes a verdict for more than it is."""
    groups: dict[str, list[str]] = {_OF_OTHERS: [], _UNCHECKED: [], _NOT_HERE: []}
    for clause in missing:
        other = clause.role in ("server", "client") and clause.role not in roles
        groups[_OF_OTHERS if other else _UNCHECKED if clause.unchecked else _NOT_HERE].append(clause.id)
    told = [el("p", f"{why}: {', '.join(ids)}") for why, ids in groups.items() if ids]
    if told:
        yield el("h3", f"{len(missing)} clauses were not tried")
        yield from told


_OF_OTHERS: Final = "They bind the other end"
_UNCHECKED: Final = "Not checked from outside (improto explain CLAUSE says why)"
_NOT_HERE: Final = (
    "Checked only with another codec, transport, profile, --timeout or --only, or at the other end"
)


def _verdicts(result: Result) -> dict[str, Verdict]:
    """Give the verdict of a result on each clause: none on the check's own, if the check failed for another one."""
    own = result.verdict if result.verdict is Verdict.PASSED else Verdict.INCONCLUSIVE
    if result.verdict in (Verdict.INCONCLUSIVE, Verdict.BROKEN):
        return {result.check.clause: result.verdict}
    return {result.check.clause: own, **dict.fromkeys(sorted(result.violated), result.verdict)}


def _clause(clause: Clause, results: Sequence[tuple[str, Verdict]]) -> Element:
    worst = min((verdict for _, verdict in results), key=SEVERITY.index)
    return el(
        "tr",
        head(clause.id, "row"),
        el("td", clause.level),
        el("td", *prose(clause.text)),
        el("td", str(len({check for check, _ in results}))),
        el("td", str(len(results))),
        el("td", badge(worst)),
        id=clause.id,
    )
