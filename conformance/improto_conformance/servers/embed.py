"""The suite in a few lines of your own tests; it does not need pytest.

    from improto_conformance import check_server

    def test_my_server():
        check_server(make)              # make() returns a new improto.service.Service for each check
        check_server("tcp://localhost:6666", Profile(["json"]))

or with one test for each check, for unittest or pytest:

    class TestMyServer(ServerChecks):
        profile = Profile(["json"])
        make = staticmethod(make)       # or: target = "tcp://localhost:6666"
"""

import re
import unittest
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, ClassVar

from improto.codec import load
from improto.service import Service
from improto_conformance import reports
from improto_conformance.profile import Profile
from improto_conformance.results import NotConformant, Result, Verdict
from improto_conformance.servers.check import Check
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.probe import probe
from improto_conformance.servers.runner import Settings, conduct, fresh_name, run
from improto_conformance.servers.targets import Target, in_process, opened
from improto_spec import clauses

__all__ = ["Examination", "ServerChecks", "check_server"]


def check_server(
    server: Callable[[], Service] | str,
    profile: Profile | None = None,
    *,
    timeout: float = 5.0,
    cuts: Sequence[str] = ("whole",),
) -> list[Result]:
    """Run all checks on the servers that a function makes, or on a target such as `tcp://localhost:6666`.

    Returns the results, and raises NotConformant unless all checks have passed.  `profile`: what the server declares,
    such as `Profile(["json"], private=True)`.  `timeout`: how many seconds to wait for something that must come.
    `cuts`: how the sent bytes are cut into writes (`links.CUTS`).
    """
    settings = Settings(profile or Profile(), timeout=timeout, cuts=cuts, run=fresh_name())
    if isinstance(server, str):
        with opened(server, settings.profile.tls) as target:
            return _judged(target, settings)
    return _judged(in_process(server), settings)


class Examination:
    """Runs checks one by one, for tests of one check each."""

    def __init__(self, target: Target, profile: Profile) -> None:
        """Begin with a target; NoTarget if it does not speak the codecs that it declares."""
        self._target = target
        self._settings = Settings(profile, run=fresh_name())
        self._numbers = count()
        for name in profile.codecs:
            probe(target, load(name), f"probe-{name}.{self._settings.run}", self._settings.timeout)

    def __call__(self, check: Check, codec: str) -> bool:
        """Run a check in a codec.  NotConformant if it does not pass; False if it does not fit the target."""
        run_name = f"{self._settings.run}{next(self._numbers)}-"
        settings = replace(self._settings, codecs=[codec], run=run_name)
        results = conduct(self._target, [check], settings)
        for result in results:
            if result.verdict is not Verdict.PASSED:
                raise NotConformant("\n".join(reports.failure(result, clauses())))
        return bool(results)


class ServerChecks(unittest.TestCase):
    """One test for each check in each codec.  Subclass it, and set `target` or `make`, and `profile`."""

    profile: ClassVar[Profile] = Profile()
    """What the server declares."""
    target: ClassVar[str] = ""
    """Where the server is, such as `tcp://localhost:6666` or `cmd:'my-server {port}'`."""
    _examine: ClassVar[Examination]

    @staticmethod
    def make() -> Service:
        """Make a server in this process, if there is no `target`."""
        raise NotImplementedError("set `target`, or let `make` give an improto.service.Service")

    def __init_subclass__(cls, **options: Any) -> None:
        """Give the subclass its tests."""
        super().__init_subclass__(**options)
        for codec in cls.profile.codecs:
            for check in CHECKS:
                if check.codecs is None or codec in check.codecs:
                    name = re.sub(r"\W", "_", f"test_{check.name}_{codec}")
                    setattr(cls, name, _test(check, codec))

    @classmethod
    def setUpClass(cls) -> None:
        """Start the target, if there is one."""
        super().setUpClass()
        target = (
            cls.enterClassContext(opened(cls.target, cls.profile.tls)) if cls.target else in_process(cls.make)
        )
        cls._examine = Examination(target, cls.profile)


def _test(check: Check, codec: str) -> Callable[[ServerChecks], None]:
    def test(self: ServerChecks) -> None:
        if not self._examine(check, codec):  # pyright: ignore[reportPrivateUsage]
            self.skipTest("does not fit the target or its profile")

    test.__doc__ = f"{check.name} [{codec}]: {check.title}"
    return test


def _judged(target: Target, settings: Settings) -> list[Result]:
    results = run(target, CHECKS, settings)
    failed = [result for result in results if result.verdict is not Verdict.PASSED]
    if failed or not results:
        lines = [line for result in failed[:10] for line in (*reports.failure(result, clauses()), "")]
        raise NotConformant("\n".join([*lines, *reports.summary(reports.Run(results, target=target.where))]))
    return results
