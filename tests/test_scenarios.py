"""Tests of the checks that scenario vectors make."""

import copy
import json
from dataclasses import replace
from typing import Any

import pytest

from improto_conformance.profile import Profile
from improto_conformance.results import Verdict
from improto_conformance.servers.runner import Settings, run
from improto_conformance.servers.scenarios import scenario_check, scenario_checks
from improto_conformance.servers.targets import Target, tcp
from improto_conformance.vectors import Vector, vectors
from programs import Programs

STEPS: list[dict[str, Any]] = [
    {"party": "ann", "register": "here"},
    {"party": "bo", "register": "away"},
    {"party": "ann", "send": [{"command": "INVITE", "fields": {"users": {"texts": [{"user": "bo"}]}}}]},
    {
        "party": "bo",
        "expect": [
            {
                "command": "INVITATION",
                "fields": {"conversation": {"conversation": 1}, "source": {"user": "ann"}},
            }
        ],
    },
    {"party": "ann", "online": [[{"user": "ann"}, {"text": "here"}], [{"user": "bo"}, {"text": "away"}]]},
    {"party": "bo", "list": [[{"conversation": 1}, {"texts": []}]]},
    {"party": "bo", "send": [{"command": "JOIN", "fields": {"conversation": {"text": "nowhere"}}}]},
    {"party": "bo", "barrier": [{"error": "no-such-conversation"}]},
    {"party": "bo", "half-close": True},
    {"party": "bo", "closed": []},
]
WRONG: list[tuple[int, dict[str, Any]]] = [
    (3, {"expect": [{"error": "invalid"}]}),
    (3, {"expect": [STEPS[3]["expect"][0], {"error": "invalid"}]}),
    (4, {"online": [[{"user": "ann"}, {"text": "here"}], [{"user": "bo"}, {"text": "here"}]]}),
    (4, {"online": [[{"user": "cy"}, {"text": "here"}]]}),
    (5, {"list": []}),
    (5, {"list": [[{"conversation": 1}, {"texts": [{"user": "ann"}]}]]}),
    (5, {"list": [[{"conversation": 2}, {"texts": []}]]}),
    (7, {"barrier": []}),
    (7, {"barrier": [{"error": "not-invited"}]}),
    (9, {"closed": [{"error": "invalid"}]}),
    (8, {"closed": []}),
]


@pytest.fixture(name="address")
def _address(programs: Programs) -> Target:
    _, url = programs.serve()
    host, _, port = url.removeprefix("tcp://").rpartition(":")
    return tcp(host, int(port))


def verdict(address: Target, steps: list[dict[str, Any]]) -> Verdict:
    """Play steps against a server."""
    data = {"id": "scenario/test", "clause": "JOIN-3", "comment": "x", "policy": "any", "steps": steps}
    [result] = run(
        address,
        [scenario_check(Vector("scenario", "scenario/test", "JOIN-3", data))],
        Settings(Profile(["json"]), timeout=0.5),
    )
    return result.verdict


def test_one_check_for_each_scenario() -> None:
    """Each scenario vector makes one check, named after its clause and its id."""
    scenarios = [vector for vector in vectors().values() if vector.kind == "scenario"]
    assert [check.name for check in scenario_checks()] == [f"{each.clause}/{each.id}" for each in scenarios]


def test_good_scenario_passes(address: Target) -> None:
    """A scenario with steps of all kinds that a server obeys passes."""
    assert verdict(address, STEPS) is Verdict.PASSED


@pytest.mark.parametrize(("step", "wrong"), WRONG, ids=lambda each: json.dumps(each)[:40])
def test_wrong_expectation_fails(address: Target, step: int, wrong: dict[str, Any]) -> None:
    """A step that expects anything else than what comes fails, and is never the suite's own fault."""
    steps = copy.deepcopy(STEPS)
    steps[step] = {"party": steps[step]["party"], **wrong}
    assert verdict(address, steps) is Verdict.FAILED


def test_party_of_another_codec(address: Target) -> None:
    """A scenario that fixes codecs is run once if it fixes all, and only where all of them are spoken."""
    data = {"policy": "any", "comment": "x", "steps": STEPS, "codecs": {"ann": "json", "bo": "ascii"}}
    check = scenario_check(Vector("scenario", "scenario/test", "CODEC-3", data))
    results = run(address, [check], Settings(Profile(["json", "ascii", "msgpack"])))
    assert [result.verdict for result in results] == [Verdict.PASSED]
    assert run(address, [check], Settings(Profile(["json", "msgpack"]))) == []


def test_policy_chooses_scenarios(address: Target) -> None:
    """A scenario for servers with the private policy is not run against others."""
    [check] = [check for check in scenario_checks() if check.name == "JOIN-6/scenario/join/private-refuses"]
    assert run(address, [check], Settings(Profile(["json"]))) == []
    assert len(run(address, [replace(check, policy="any")], Settings(Profile(["json"])))) == 1
