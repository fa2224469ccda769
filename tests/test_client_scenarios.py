"""Tests of our client by the client scenarios."""

import asyncio
from typing import Any

import pytest

from improto.codec import available, load
from improto_conformance.vectors import Vector, vectors
from improto_conformance.vectors.clients import play

SCENARIOS = [vector for vector in vectors().values() if vector.kind == "client"]


@pytest.mark.parametrize("one_by_one", [False, True], ids=["whole", "one by one"])
@pytest.mark.parametrize("vector", SCENARIOS, ids=[vector.id for vector in SCENARIOS])
def test_client(vector: Vector, one_by_one: bool) -> None:
    """Our client does and tells what the scenario says, in its codec or in all, however the bytes arrive."""
    for name in [vector.data["codec"]] if "codec" in vector.data else available():
        assert asyncio.run(play(vector, load(name), one_by_one=one_by_one)) == []


REGISTER: dict[str, Any] = {
    "command": "REGISTER",
    "fields": {"username": {"text": "me"}, "status": {"text": ""}},
}
ROSTER: dict[str, Any] = {"command": "ONLINE_USERS", "fields": {"users": {"map": [["me", {"text": ""}]]}}}


@pytest.mark.parametrize(
    "steps",
    [
        [{"ask": REGISTER}],
        [{"sends": [REGISTER]}],
        [{"ask": REGISTER}, {"sends": [ROSTER]}],
        [{"ask": REGISTER}, {"sends": [REGISTER]}, {"serve": [ROSTER]}],
        [{"ask": REGISTER}, {"sends": [REGISTER]}, {"serve": [ROSTER]}, {"tells": [{"fault": True}]}],
        [{"ask": REGISTER}, {"sends": [REGISTER]}, {"online": [["me", {"text": ""}]]}],
        [{"ask": REGISTER}, {"closed": True}],
    ],
    ids=str,
)
def test_wrong_expectation(steps: list[dict[str, Any]]) -> None:
    """A scenario that expects anything else than what the client does is complained of."""
    vector = Vector("client", "client/test", "CLIENT-1", {"steps": steps})
    assert asyncio.run(play(vector, load("json"), timeout=0.2))
