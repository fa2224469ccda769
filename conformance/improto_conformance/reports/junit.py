"""Results as JUnit XML, which CI servers read."""

from collections.abc import Mapping
from xml.etree import ElementTree

from improto.cli.text import escaped
from improto_conformance.complaints import cut
from improto_conformance.reports.run import Run
from improto_conformance.reports.terminal import failure
from improto_conformance.results import Result, Verdict
from improto_spec import Clause

__all__ = ["junit"]

_ELEMENTS = {
    Verdict.FAILED: "failure",
    Verdict.BROKEN: "error",
    Verdict.KNOWN: "skipped",
    Verdict.INCONCLUSIVE: "skipped",
}


def junit(run: Run, clauses: Mapping[str, Clause]) -> bytes:
    """Give the document: a suite for each codec and cut, a case for each check."""
    root = ElementTree.Element("testsuites", name=f"improto {run.name}".strip())
    for how in dict.fromkeys(result.how for result in run.results):
        mine = [result for result in run.results if result.how == how]
        elements = [_ELEMENTS.get(result.verdict) for result in mine]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=how,
            timestamp=run.date,
            tests=str(len(mine)),
            failures=str(elements.count("failure")),
            errors=str(elements.count("error")),
            skipped=str(elements.count("skipped")),
            time=f"{sum(result.seconds for result in mine):.3f}",
        )
        for result in mine:
            _case(suite, result, clauses)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _case(suite: ElementTree.Element, result: Result, clauses: Mapping[str, Clause]) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=result.how,
        name=result.check.name,
        time=f"{result.seconds:.3f}",
    )
    if result.verdict in _ELEMENTS:
        first = escaped(cut(next(iter(result.complaints), result.verdict.value)))
        element = ElementTree.SubElement(
            case, _ELEMENTS[result.verdict], message=first, type=result.check.clause
        )
        element.text = "\n".join(failure(result, clauses))
