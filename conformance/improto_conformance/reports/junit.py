"""Results as JUnit XML, which CI servers read."""

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from improto.cli.text import escaped
from improto_conformance.reports.run import Run
from improto_conformance.reports.terminal import failure
from improto_conformance.results import Result, Verdict
from improto_conformance.transcripts.complaints import cut
from improto_spec import Clause

__all__ = ["junit"]

_ELEMENTS = {
    Verdict.FAILED: "failure",
    Verdict.BROKEN: "error",
    Verdict.KNOWN: "skipped",
    Verdict.INCONCLUSIVE: "skipped",
}


def junit(runs: Sequence[Run], clauses: Mapping[str, Clause]) -> bytes:
    """Give the document: one suite for each codec and cut of each run, and one case for each check."""
    root = ElementTree.Element("testsuites", name="improto")
    for run in runs:
        for name, results in run.columns().items():
            elements = [_ELEMENTS.get(result.verdict) for result in results]
            suite = ElementTree.SubElement(
                root,
                "testsuite",
                name=escaped(name),
                timestamp=escaped(run.date),
                tests=str(len(results)),
                failures=str(elements.count("failure")),
                errors=str(elements.count("error")),
                skipped=str(elements.count("skipped")),
                time=f"{sum(result.seconds for result in results):.3f}",
            )
            for result in results:
                _case(suite, name, result, clauses)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _case(suite: ElementTree.Element, name: str, result: Result, clauses: Mapping[str, Clause]) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=escaped(name),
        name=escaped(result.check.name),
        time=f"{result.seconds:.3f}",
    )
    if result.verdict in _ELEMENTS:
        first = escaped(cut(next(iter(result.complaints), result.verdict.value)))
        element = ElementTree.SubElement(
            case, _ELEMENTS[result.verdict], message=first, type=escaped(result.check.clause)
        )
        element.text = "\n".join(failure(result, clauses))
