"""The suite in one line of somebody's own tests; it needs no pytest.

from improto_conformance import check_server

def test_my_server():
check_server(make)              # make() gives an improto.service.Service, new for each check
check_server("tcp://localhost:6666", Profile(["json"]))
"""

from collections.abc import Callable, Sequence

from improto.service import Service
from improto_conformance import reports
from improto_conformance.checks import CHECKS
from improto_conformance.profile import Profile
from improto_conformance.results import Result, Verdict
from improto_conformance.runner import Settings, run
from improto_conformance.targets import Target, in_process, opened
from improto_spec import clauses

__all__ = ["NotConformant", "check_server"]


class NotConformant(AssertionError):
    """A server violates the specification; the text says of each failure what was expected and what happened."""


def check_server(
    server: Callable[[], Service] | str,
    profile: Profile | None = None,
    *,
    timeout: float = 5.0,
    cuts: Sequence[str] = ("whole",),
) -> list[Result]:
    """Run all checks against what a function makes, or against a target such as `tcp://localhost:6666`.

    Gives the results; NotConformant if one of them is not that the check has passed.  `profile`: what the server
    declares, such as `Profile(["json"], private=True)`.  `timeout`: seconds after which what has to come counts as
    not coming.  `cuts`: how what is sent is cut into writes (`links.CUTS`).
    """
    settings = Settings(profile or Profile(), timeout=timeout, cuts=cuts)
    if isinstance(server, str):
        with opened(server) as target:
            return _judged(target, settings)
    return _judged(in_process(server), settings)


def _judged(target: Target, settings: Settings) -> list[Result]:
    results = run(target, CHECKS, settings)
    failed = [result for result in results if result.verdict is not Verdict.PASSED]
    if failed or not results:
        lines = [line for result in failed[:10] for line in (*reports.failure(result, clauses()), "")]
        raise NotConformant("\n".join([*lines, *reports.summary(reports.Run(results, target=target.where))]))
    return results
