"""Tests of the suite in few lines: `check_server` and `ServerChecks`."""

import unittest
from collections.abc import Sequence
from functools import partial

import pytest

import improto_conformance
from improto.codec import load_all
from improto.server import Hub, Policy
from improto.service import Service
from improto_conformance import NotConformant, ServerChecks, check_server
from improto_conformance.profile import Profile
from improto_conformance.results import Result
from improto_conformance.servers.targets import NoTarget
from improto_conformance.zoo.broken import BROKEN
from programs import Programs


def make(*, private: bool = False) -> Service:
    """Make the reference server."""
    return Service(Hub(Policy(private=private)), load_all())


@pytest.fixture(scope="module")
def results() -> Sequence[Result]:
    """Check a server that is right, with the private policy, in two codecs."""
    return check_server(partial(make, private=True), Profile(["json", "ascii"], private=True))


def test_conformant(results: Sequence[Result]) -> None:
    """What is right gives its results, in each codec that was asked for."""
    assert {result.codec for result in results} == {"json", "ascii"}


def test_private(results: Sequence[Result]) -> None:
    """A server with the private policy is checked by the checks for it."""
    assert any(result.check.clause == "JOIN-6" for result in results)


def test_not_conformant() -> None:
    """What is wrong is told of with the clause, what was expected and what happened."""
    broken = BROKEN["no-copy-for-the-sender"]
    with pytest.raises(NotConformant, match=r"(?s)SEND-3 .*violates .*SEND-3"):
        check_server(broken.copy().service, Profile(["json"]), timeout=2.0)


def test_running_server(programs: Programs) -> None:
    """A server that runs elsewhere is checked by its address, and one that is not there is told of."""
    _, url = programs.serve()
    assert check_server(url, Profile(["json"]))
    with pytest.raises(NoTarget):
        check_server("tcp://127.0.0.1:1")


def results_of(checks: type[ServerChecks]) -> unittest.TestResult:
    """Run the tests of a class as unittest does."""
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(checks).run(result)
    return result


def drop_all_but(checks: type[ServerChecks], area: str) -> None:
    """Leave only the tests of one area of clauses."""
    for name in [name for name in vars(checks) if name.startswith("test_") and area not in name]:
        delattr(checks, name)


def test_class() -> None:
    """A class has a test for each check in each codec; what does not fit is skipped."""

    class Right(ServerChecks):
        profile = Profile(["json"])
        make = staticmethod(make)

    result = results_of(Right)
    assert result.wasSuccessful(), [*result.failures, *result.errors][:1]
    assert result.testsRun > 200
    assert {reason for _, reason in result.skipped} == {"does not fit the target or its profile"}
    title = vars(Right)["test_SEND_3_to_the_sender_json"].__doc__
    assert title == "SEND-3/to-the-sender [json]: the sender gets a copy"


def test_class_that_fails() -> None:
    """A check that fails is a test that fails, with its report."""
    broken = BROKEN["no-copy-for-the-sender"]

    class Wrong(ServerChecks):
        profile = Profile(["json"])
        make = staticmethod(broken.copy().service)

    drop_all_but(Wrong, "SEND")
    failures = {test.id().rpartition(".")[2]: text for test, text in results_of(Wrong).failures}
    assert "FAILED SEND-3/to-the-sender [json]" in failures["test_SEND_3_to_the_sender_json"]


def test_class_with_a_target(programs: Programs) -> None:
    """A class may name a target, which is there for all its tests; one that is not there is an error."""
    _, url = programs.serve("--private")

    class There(ServerChecks):
        profile = Profile(["json"], private=True)
        target = url

    drop_all_but(There, "JOIN")
    assert results_of(There).wasSuccessful()

    class Missing(ServerChecks):
        profile = Profile(["json"])
        target = "tcp://127.0.0.1:1"

    assert "cannot be reached" in results_of(Missing).errors[0][1]


def test_make_that_is_no_static_method() -> None:
    """Who forgets @staticmethod, or gives a function with parameters, is told what to do."""

    class Forgotten(ServerChecks):
        profile = Profile(["json"])

        def make(self) -> Service:  # type: ignore[override]  # pyright: ignore
            return make()

    drop_all_but(Forgotten, "JOIN")
    [(_, text)] = results_of(Forgotten).errors
    assert "make() is called without arguments (missing a required argument: 'self'); let it be a fun" in text
    with pytest.raises(NoTarget, match="without parameters, in a class with @staticmethod"):
        check_server(lambda name: make())  # type: ignore[misc, arg-type]  # pyright: ignore


def test_base_class() -> None:
    """The class to subclass has no tests itself, and one that is given no server says what to do."""
    assert results_of(ServerChecks).testsRun == 0
    with pytest.raises(NotImplementedError, match="set `target`, or let `make`"):
        ServerChecks.make()


def test_public_names() -> None:
    """What the package offers is imported when it is used."""
    assert improto_conformance.Profile is Profile
    assert improto_conformance.ServerChecks is ServerChecks
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        improto_conformance.nothing  # noqa: B018
