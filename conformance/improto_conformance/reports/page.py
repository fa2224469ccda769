"""Runs as one HTML page: it needs nothing else, no script and no network."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Final
from urllib.parse import quote

from improto_conformance.reports.markup import Element, el, html
from improto_conformance.reports.run import Group, Run, again, groups, outcome, told_of
from improto_conformance.reports.sequence import diagram
from improto_conformance.reports.svg import picture
from improto_conformance.reports.tables import badge, columns, head, matrix, prose, tried
from improto_conformance.results import Result, Verdict
from improto_conformance.transcripts.complaints import sides
from improto_spec import Clause

__all__ = ["page"]

_DRAWN: Final = 60  # failures with a diagram; the report has the transcripts of all failures


def page(runs: Sequence[Run], clauses: Mapping[str, Clause]) -> str:
    """Give the page: summary, failures, matrix of checks and runs, clauses."""
    found = groups(runs)
    style = files("improto_conformance.reports").joinpath("page.css").read_text(encoding="utf-8")
    return html(
        el(
            "html",
            el(
                "head",
                el("meta", charset="utf-8"),
                el("meta", name="viewport", content="width=device-width, initial-scale=1"),
                el("meta", name="color-scheme", content="light dark"),
                el("title", f"improto: {outcome(runs[0])[1] if len(runs) == 1 else f'{len(runs)} runs'}"),
                el("style", style),
            ),
            el(
                "body",
                el("header", el("h1", "Conformance to improto"), _contents(runs, found)),
                el(
                    "main",
                    *(_run(run) for run in runs),
                    *_failures(found, clauses),
                    *matrix(runs, found),
                    tried(runs, clauses),
                ),
            ),
            lang="en",
        )
    )


def _contents(runs: Sequence[Run], found: Sequence[Group]) -> Element:
    links = [("failures", f"{len(found)} not passed")] if found else []
    links += [("matrix", "matrix")] if len(columns(runs)) > 1 else []
    links += [("clauses", "clauses")]
    return el("nav", *(el("a", text, href=f"#{id}") for id, text in links), aria_label="contents")


def _run(run: Run) -> Element:
    code, verdict = outcome(run)
    facts = {
        run.role: run.target,
        "began": run.date.replace("T", " ").replace("+00:00", " UTC"),
        "suite": f"improto {run.suite}",
        "waiting in vain": f"{sum(result.expired for result in run.results):.1f} s",
    }
    return el(
        "section",
        *([el("h2", run.name)] if run.name else []),
        _outcome(code, verdict),
        el("dl", *(each for fact in facts.items() for each in _fact(*fact))),
        *(el("p", f"stale: {line}", class_="stale") for line in run.stale),
        el(
            "table",
            el("caption", "Checks by codec and cut"),
            el("thead", el("tr", el("td"), *(head(verdict.value) for verdict in Verdict), head("seconds"))),
            el("tbody", *(_row(name, results) for name, results in run.columns().items())),
            class_="counts",
        ),
    )


def _outcome(code: int, verdict: str) -> Element:
    word, colon, why = verdict.partition(": ")
    kind = {0: "good", 1: "bad"}.get(code, "unsure")
    return el(
        "p", el("strong", word), *([el("span", f"{colon}{why}")] if why else []), class_=f"outcome {kind}"
    )


def _fact(name: str, value: str) -> Iterator[Element]:
    yield el("dt", name)
    yield el("dd", value)


def _row(name: str, results: Sequence[Result]) -> Element:
    counts = Counter(result.verdict for result in results)
    cells = [
        el("td", str(counts[verdict] or ""), class_=verdict.value if counts[verdict] else "")
        for verdict in Verdict
    ]
    return el("tr", head(name, "row"), *cells, el("td", f"{sum(result.seconds for result in results):.1f}"))


def _failures(found: Sequence[Group], clauses: Mapping[str, Clause]) -> Iterator[Element]:
    if found:
        told = [_failure(number, group, clauses) for number, group in enumerate(found)]
        yield el("section", el("h2", "What did not pass"), *told, id="failures")


def _failure(number: int, group: Group, clauses: Mapping[str, Clause]) -> Element:
    run, result = group.run, group.result
    entries = result.transcript.entries
    path = quote(run.transcript(result), errors="replace")
    heading = el("h3", badge(result.verdict), " ", el("span", result.check.name), id=f"failure-{number}")
    return el(
        "article",
        heading,
        el("p", result.check.title, el("span", f" · {', '.join(group.where)}", class_="where")),
        *(
            el(
                "p",
                el("a", clause.id, href=f"#{clause.id}"),
                f" ({clause.level}): ",
                *prose(clause.text),
                class_="clause",
            )
            for clause in told_of(result, clauses)
        ),
        *_complaints(result),
        *(
            [el("div", picture(entries, result.complaints), class_="sequence", tabindex="0")]
            if number < _DRAWN and entries
            else []
        ),
        el(
            "details",
            el("summary", "as text"),
            el("pre", "\n".join(diagram(entries, complaints=result.complaints))),
        ),
        el(
            "p",
            el("a", "whole transcript", href=path),
            " · again: ",
            el("code", again(run, result)),
            class_="again",
        ),
    )


def _complaints(result: Result) -> Iterator[Element]:
    if result.verdict is Verdict.BROKEN:
        yield el("p", "The suite itself is at fault here; report this to its authors.")
        yield from (el("pre", complaint) for complaint in result.complaints)
        return
    for complaint in result.complaints:
        expected, actual = sides(complaint, result.check.title)
        yield el("dl", *_fact("expected", expected), *_fact("actual", actual), class_="sides")
