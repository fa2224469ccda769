"""What is made of results: lines for people, JUnit XML and JSON for machines, transcripts for both."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from improto.cli.text import escaped
from improto_conformance.results import Result, Verdict
from improto_spec import Clause

__all__ = ["failure", "summary", "write"]


def failure(result: Result, clauses: Mapping[str, Clause]) -> Iterator[str]:
    """Tell of a failure: the clause with its text, what is wrong, and the last that happened."""
    yield f"FAILED {result.check.name} [{result.how}]: {result.check.title}"
    yield f"  {result.check.clause}: {clauses[result.check.clause].text}"
    for complaint in result.complaints:
        yield from (f"  - {escaped(line)}" for line in complaint.splitlines())
    entries = result.transcript.entries
    if len(entries) > 12:
        yield f"    … {len(entries) - 12} more before"
    yield from (f"    {escaped(str(entry))}" for entry in entries[-12:])


def summary(results: Sequence[Result]) -> Iterator[str]:
    """Give a line for each codec and cut, the time waited in vain, and the verdict."""
    for how in dict.fromkeys(result.how for result in results):
        mine = [result for result in results if result.how == how]
        counts = Counter(result.verdict for result in mine)
        seconds = sum(result.seconds for result in mine)
        yield (
            f"{how:>8}: {counts[Verdict.PASSED]} of {len(mine)} checks passed, "
            f"{counts[Verdict.FAILED]} failed  ({seconds:.1f} s)"
        )
    yield f"{sum(result.expired for result in results):.1f} s in expired waits"
    broken = [result for result in results if result.verdict is Verdict.BROKEN]
    failed = sorted({result.check.clause for result in results if result.verdict is Verdict.FAILED})
    if broken:
        yield f"NO VERDICT: {len(broken)} checks of the suite are broken: {broken[0].check.name}"
    elif not results:
        yield "NO VERDICT: no check ran; see --only, --skip and --codec"
    elif failed:
        yield f"NOT CONFORMANT: violates {', '.join(failed)}"
    else:
        yield "CONFORMANT"


def write(results: Sequence[Result], folder: Path, clauses: Mapping[str, Clause]) -> None:
    """Write junit.xml, report.json and a transcript for each result into a folder, made if need be."""
    transcripts = folder / "transcripts"
    transcripts.mkdir(parents=True, exist_ok=True)
    for result in results:
        path = transcripts / f"{result.check.name.replace('/', '_')}.{result.how}.txt"
        path.write_text("".join(f"{escaped(str(entry))}\n" for entry in result.transcript.entries))
    (folder / "report.json").write_text(json.dumps([_record(result) for result in results], indent=1) + "\n")
    _junit(results, clauses).write(folder / "junit.xml", encoding="utf-8", xml_declaration=True)


def _record(result: Result) -> dict[str, object]:
    return {
        "check": result.check.name,
        "clause": result.check.clause,
        "codec": result.codec,
        "cut": result.cut,
        "verdict": result.verdict,
        "complaints": list(result.complaints),
        "seconds": round(result.seconds, 4),
    }


def _junit(
    results: Sequence[Result], clauses: Mapping[str, Clause]
) -> "ElementTree.ElementTree[ElementTree.Element]":
    root = ElementTree.Element("testsuites", name="improto")
    for how in dict.fromkeys(result.how for result in results):
        mine = [result for result in results if result.how == how]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=how,
            tests=str(len(mine)),
            failures=str(sum(result.verdict is Verdict.FAILED for result in mine)),
            errors=str(sum(result.verdict is Verdict.BROKEN for result in mine)),
            time=f"{sum(result.seconds for result in mine):.3f}",
        )
        for result in mine:
            case = ElementTree.SubElement(
                suite, "testcase", classname=how, name=result.check.name, time=f"{result.seconds:.3f}"
            )
            if result.verdict is not Verdict.PASSED:
                kind = "failure" if result.verdict is Verdict.FAILED else "error"
                first = escaped(result.complaints[0])
                element = ElementTree.SubElement(case, kind, message=first, type=result.check.clause)
                element.text = "\n".join(failure(result, clauses))
    ElementTree.indent(root)
    return ElementTree.ElementTree(root)
