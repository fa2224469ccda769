"""The suite in one line of somebody's own tests; it needs no pytest.

from improto_conformance import check_server

def test_my_server():
check_server(make)              # make() gives an improto.service.Service, new for each check
check_server("tcp://localhost:6666", codecs=["json"])
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from improto.codec import available
from improto.service import Service
from improto_conformance import reports
from improto_conformance.checks import CHECKS
from improto_conformance.runner import Result, Settings, Verdict, run
from improto_conformance.targets import Target, in_process, opened
from improto_spec import clauses

__all__ = ["NotConformant", "check_server"]


class NotConformant(AssertionError):
    """A server violates the specification; the text says of each failure what was expected and what happened."""


def check_server(
    server: Callable[[], Service] | str,
    *,
    codecs: Sequence[str] | None = None,
    private: bool = False,
    settings: Settings | None = None,
) -> list[Result]:
    """Run all checks against what a function makes, or against a target such as `tcp://localhost:6666`.

    Gives the results; NotConformant if one of them is not that the check has passed.  `codecs`: all that are
    installed, unless given.  `private`: whether only invited users may join.  `settings`: anything else.
    """
    chosen = replace(settings or Settings(()), codecs=codecs or available(), private=private)
    if isinstance(server, str):
        with opened(server) as target:
            return _judged(target, chosen)
    return _judged(in_process(server), chosen)


def _judged(target: Target, settings: Settings) -> list[Result]:
    results = run(target, CHECKS, settings)
    failed = [result for result in results if result.verdict is not Verdict.PASSED]
    if failed or not results:
        lines = [line for result in failed[:10] for line in (*reports.failure(result, clauses()), "")]
        raise NotConformant("\n".join([*lines, *reports.summary(results)]))
    return results
