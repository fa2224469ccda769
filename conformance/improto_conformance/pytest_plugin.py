"""A pytest plugin: each check of a server is a test.

    pytest --improto-target tcp://localhost:6666 --improto-codec json

collects them beside other tests.  Each has a marker `improto_clause` that names its clause.  So `-m improto_clause` runs
only these tests, and `-m "improto_clause(id='JOIN-3')"` only those of one clause.  Without the option the plugin does
nothing, and imports nothing of the suite.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # pytest loads this module at each start
    from improto_conformance.profile import Profile
    from improto_conformance.servers.check import Check
    from improto_conformance.servers.embed import Examination
    from improto_conformance.servers.targets import Target

__all__ = ["improto_target"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    add = parser.getgroup("improto", "conformance of improto servers").addoption
    add("--improto-target", metavar="URL", help="the server to check, as for `improto check server`")
    add("--improto-profile", metavar="FILE", type=Path, help="what the server declares, in TOML")
    add("--improto-codec", metavar="NAME", action="append", help="a codec that it speaks (default: all)")
    add("--improto-only", metavar="PATTERN", action="append", help="run only these checks, such as 'JOIN-*'")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "improto_clause(id): the clause of improto that a check is about")


@pytest.hookimpl(tryfirst=True)  # so that -k and -m choose among them, too
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add a test for each check, if there is a server to check."""
    if config.getoption("--improto-target"):
        from improto.errors import ImprotoError

        server: Server = Server.from_parent(session, name="improto", nodeid="improto")  # pyright: ignore
        try:
            checks = list(server.collect())
        except ImprotoError as error:
            raise pytest.UsageError(str(error)) from None
        items += checks
        # pytest counts what is reported, and else would say that less than nothing is selected.
        config.hook.pytest_collectreport(report=pytest.CollectReport("improto", "passed", None, [*checks]))


class Server(pytest.Collector):
    """The server, started for as long as its checks run."""

    _stack: ExitStack
    examine: "Examination"

    def collect(self) -> Iterator[pytest.Item]:
        """Give a test for each check in each codec."""
        from improto_conformance.patterns import chosen
        from improto_conformance.servers.checks import CHECKS

        checks = chosen(CHECKS, self.config.getoption("--improto-only"))
        for codec in _profile(self.config).codecs:
            for check in checks:
                if check.codecs is None or codec in check.codecs:
                    name = f"{check.name}[{codec}]"
                    options = {"name": name, "check": check, "codec": codec}
                    # An id that is built of a name with brackets is not equal to what pytest reads back for --lf.
                    nodeid = f"{self.nodeid}::{name}"
                    yield CheckItem.from_parent(self, nodeid=nodeid, **options)  # pyright: ignore

    def setup(self) -> None:
        """Start the server; pytest ends if it cannot be reached."""
        from improto.errors import ImprotoError
        from improto_conformance.servers.embed import Examination

        self._stack = ExitStack()
        try:
            target = self._stack.enter_context(_opened(self.config))
            self.examine = Examination(target, _profile(self.config))
        except ImprotoError as error:
            self._stack.close()
            pytest.exit(f"improto: {error}", returncode=3)

    def teardown(self) -> None:
        """Stop the server."""
        self._stack.close()


class CheckItem(pytest.Item):
    """One check in one codec."""

    def __init__(self, *, check: "Check", codec: str, **options: Any) -> None:
        """Made by `Server.collect`."""
        super().__init__(**options)  # pyright: ignore
        self._check = check
        self._codec = codec
        self.add_marker(pytest.mark.improto_clause(id=check.clause))

    def runtest(self) -> None:
        """Run the check."""
        assert isinstance(self.parent, Server)
        if not self.parent.examine(self._check, self._codec):
            pytest.skip("does not fit the target or its profile")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show a failure as `improto check` does, and a fault of the suite itself as pytest does."""
        from improto_conformance.results import NotConformant

        if isinstance(excinfo.value, NotConformant):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Say what is tested."""
        return self.path, None, f"{self.name}: {self._check.title}"


@pytest.fixture(scope="session")
def improto_target(request: pytest.FixtureRequest) -> "Iterator[Target]":
    """Give your own tests the server of `--improto-target`; without the option they are skipped."""
    if not request.config.getoption("--improto-target"):
        pytest.skip("needs --improto-target")
    with _opened(request.config) as target:
        yield target


def _opened(config: pytest.Config) -> Any:
    from improto_conformance.servers.targets import opened

    return opened(str(config.getoption("--improto-target")), _profile(config).tls)


def _profile(config: pytest.Config) -> "Profile":
    from dataclasses import replace

    from improto_conformance.profile import Profile, profile_of

    path, codecs = config.getoption("--improto-profile"), config.getoption("--improto-codec")
    profile = Profile() if path is None else profile_of(path)
    return replace(profile, codecs=codecs) if codecs else profile
