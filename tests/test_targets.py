"""Tests of targets: what each of them can carry, and which checks fit it."""

from dataclasses import replace

import pytest

from improto.codec import load
from improto.server import Hub
from improto.service import Service
from improto_conformance.check import Check
from improto_conformance.checks import CHECKS
from improto_conformance.profile import Profile
from improto_conformance.runner import Settings, run
from improto_conformance.targets import in_process

IN_PROCESS = in_process(lambda: Service(Hub(), [load("json")]))


@pytest.mark.parametrize(
    ("stream", "half_closes", "transport", "half_close", "fits"),
    [
        (True, True, "any", True, True),
        (True, True, "stream", False, True),
        (True, True, "websocket", False, False),
        (True, False, "stream", True, False),
        (False, False, "any", False, True),
        (False, False, "stream", False, False),
        (False, False, "websocket", False, True),
    ],
)
def test_fits(stream: bool, half_closes: bool, transport: str, half_close: bool, fits: bool) -> None:
    """A check fits a transport that carries what it sends and can end as it ends."""
    target = replace(IN_PROCESS, stream=stream, half_closes=half_closes)
    check = Check("X-1/x", "X-1", "", lambda stage: None, transport=transport, half_close=half_close)
    assert target.fits(check) is fits


def test_what_does_not_fit_is_left_out() -> None:
    """A run has no results of checks that do not fit its target."""
    target = replace(IN_PROCESS, half_closes=False)
    results = run(target, CHECKS, Settings(Profile(["json"])))
    assert results
    assert not any(isinstance(result.check, Check) and result.check.half_close for result in results)
