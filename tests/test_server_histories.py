"""Tests of `improto.server`: what holds whatever happens."""

import copy
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from improto.limits import Limits
from improto.messages import (
    Error,
    Goodbye,
    Invite,
    Join,
    Leave,
    ListConversations,
    OnlineUsers,
    Register,
    Request,
    SendMessage,
    Status,
)
from improto.server import Ask, Close, Hub, Output, Policy, Send

ACTIONS = ("register", "register", "join", "join", "send", "invite", "invite", "leave", "status", "list", "goodbye",
           "disconnect", "admit", "admit", "refuse", "kick", "tick")  # fmt: skip
PEOPLE = ("ann", "bo", "cÿ 😀", 'd"i', "e")
Step = tuple[int, str, int, int]
"""A slot, what happens there, which of several choices, and how many quarters of a second pass before."""


class Driver:
    """Turns any steps into inputs that are lawful for a hub, as the layers around the hub would."""

    def __init__(self, hub: Hub) -> None:
        """Begin with five connections on which nobody is registered."""
        self.hub = hub
        self.now = 0.0
        self.slots = list(range(5))
        self.opened = 5
        self.where = dict.fromkeys(self.slots, "open")

    def play(self, step: Step) -> list[Output]:
        """Give the hub the input that `step` stands for, if it is lawful now."""
        slot, action, which, pause = step
        self.now += pause / 4
        outputs = self._input(self.slots[slot], action, which)
        for output in outputs:
            match output:
                case Close(connection, _):
                    self._renew(connection)
                case Ask(connection):
                    self.where[connection] = "asking"
                case Send(OnlineUsers(), (connection,), True):
                    self.where[connection] = "registered"
                case _:
                    pass
        return outputs

    def _input(self, connection: int, action: str, which: int) -> list[Output]:
        hub, where = self.hub, self.where[connection]
        match action:
            case "tick":
                return hub.tick(self.now)
            case "kick":
                name = PEOPLE[which]
                return hub.kick(name, "out", self.now) if name in hub.online else []
            case "disconnect":
                outputs = hub.disconnect(connection, self.now)
                self._renew(connection)
                return outputs
            case "admit" | "refuse":
                if where == "asking":
                    self.where[connection] = "open"
                return hub.decide(connection, None if action == "admit" else "no", self.now)
            case "register" if where == "open":
                return hub.receive(connection, Register(PEOPLE[which], "x" * which), self.now)
            case "goodbye" if where != "asking":
                return hub.receive(connection, Goodbye(), self.now)
            case _ if where == "registered":
                return hub.receive(connection, self._request(action, which), self.now)
            case _:
                return []

    def _request(self, action: str, which: int) -> Request:
        id = str(which + 1)
        requests: dict[str, Request] = {
            "status": Status("é" * which),
            "invite": Invite((PEOPLE[which], PEOPLE[which - 1])),
            "join": Join(id),
            "send": SendMessage(id, "hi"),
            "leave": Leave(id),
        }
        return requests.get(action, ListConversations())

    def _renew(self, connection: int) -> None:
        """Put a new connection, with a number never used, in the place of one that has ended."""
        del self.where[connection]
        self.slots[self.slots.index(connection)] = self.opened
        self.where[self.opened] = "open"
        self.opened += 1

    def resumed(self, hub: Hub) -> "Driver":
        """Give a driver that goes on from here with another hub."""
        other = copy.copy(self)
        other.hub, other.slots, other.where = hub, self.slots.copy(), self.where.copy()
        return other


STEPS = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(ACTIONS), st.integers(0, 4), st.integers(0, 5)), max_size=60
)
POLICIES = st.sampled_from(
    [Policy(), Policy(private=True), Policy(replace=True), Policy(ask=True), Policy(ask=True, replace=True)]
)
TIGHT = Limits(roster=120, living=2)
LIMITS = st.sampled_from([Limits(), TIGHT])


def derived(hub: Hub) -> tuple[Any, ...]:
    """Give what a hub keeps beside its snapshot in order not to compute it again."""
    state = vars(hub)
    users: Iterable[Any] = state["_users"].values()
    return state["_roster_bytes"], state["_list_bytes"], [user.initiated for user in users]


@given(STEPS, POLICIES, LIMITS)
def test_restored_hub_is_equal(steps: list[Step], policy: Policy, limits: Limits) -> None:
    """After any inputs, a hub restored by way of JSON is equal, in what it has summed up too."""
    driver = Driver(Hub(policy, limits))
    for step in steps:
        driver.play(step)
        restored = Hub.restore(json.loads(json.dumps(driver.hub.snapshot())), policy, limits)
        assert restored.digest() == driver.hub.digest()
        assert derived(restored) == derived(driver.hub)
        assert restored.due == driver.hub.due
        assert restored.newest == driver.hub.newest < driver.opened


@given(STEPS, STEPS, POLICIES, LIMITS)
def test_restored_hub_goes_on_equally(
    before: list[Step], after: list[Step], policy: Policy, limits: Limits
) -> None:
    """A restored hub gives the same outputs and digests as the original from there on."""
    driver = Driver(Hub(policy, limits))
    for step in before:
        driver.play(step)
    other = driver.resumed(Hub.restore(driver.hub.snapshot(), policy, limits))
    for step in after:
        assert other.play(step) == driver.play(step)
        assert other.hub.digest() == driver.hub.digest()


@given(STEPS, POLICIES, LIMITS)
def test_replay_is_equal(steps: list[Step], policy: Policy, limits: Limits) -> None:
    """The same inputs give the same outputs and the same digest (ORDER-1)."""
    first, second = (Driver(Hub(policy, limits)) for _ in range(2))
    assert [first.play(step) for step in steps] == [second.play(step) for step in steps]
    assert first.hub.digest() == second.hub.digest()


@given(STEPS, POLICIES, LIMITS)
def test_error_means_no_effect(steps: list[Step], policy: Policy, limits: Limits) -> None:
    """A request that is answered with ERROR has changed nothing (ERROR-3, ERROR-4)."""
    driver = Driver(Hub(policy, limits))
    for step in steps:
        before = driver.hub.digest()
        outputs = driver.play(step)
        errors = [
            output for output in outputs if isinstance(output, Send) and isinstance(output.message, Error)
        ]
        assert len(errors) <= 1
        if (
            errors
            and step[1] not in ("admit", "refuse")
            and not any(isinstance(each, Close) for each in outputs)
        ):
            assert len(outputs) == 1
            assert driver.hub.digest() == before


@given(STEPS, POLICIES, LIMITS)
def test_only_who_may_hear_hears(steps: list[Step], policy: Policy, limits: Limits) -> None:
    """Nothing goes to a connection that has ended, and only ERROR to one that is not registered (CONN-16)."""
    driver = Driver(Hub(policy, limits))
    for step in steps:
        where = driver.where.copy()
        for output in driver.play(step):
            match output:
                case Send(message, to):
                    assert to
                    assert len(set(to)) == len(to)
                    assert set(to) <= set(where)
                    heard = {where[each] if each not in driver.where else driver.where[each] for each in to}
                    assert isinstance(message, Error) or heard == {"registered"}
                case Close(connection, _) | Ask(connection, _):
                    assert connection in where


@given(STEPS, LIMITS)
def test_lists_and_rosters_tell_the_truth(steps: list[Step], limits: Limits) -> None:
    """Every member is online, every conversation is alive, and every receiver is in its roster (PRESENCE-3, CONV-2)."""
    driver = Driver(Hub(limits=limits))
    for step in steps:
        driver.play(step)
        snapshot = driver.hub.snapshot()
        names = {connection: name for name, connection, _, _ in snapshot["users"]}
        assert list(names.values()) == list(driver.hub.online)
        for _, _, people, invited, members in snapshot["conversations"]:
            assert invited or members
            assert set(invited).isdisjoint(members)
            assert set(invited) | set(members) <= set(people) <= set(driver.hub.online)
        for output in driver.hub.tick(driver.now):
            assert isinstance(output, Send)
            assert output == Send(OnlineUsers(driver.hub.online), tuple(names))


def fingerprint() -> str:
    """Play one long trace, the same at each call, and give the digest."""
    chance = Random(6666)
    driver = Driver(Hub(Policy(private=True), Limits(living=5)))
    for _ in range(2000):
        step = (chance.randrange(5), chance.choice(ACTIONS[:-6]), chance.randrange(5), chance.randrange(6))
        driver.play(step)
    return driver.hub.digest()


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_hashes_do_not_matter(seed: str) -> None:
    """Another interpreter with another seed of hashes comes to the same digest (ORDER-1)."""
    script = "import runpy, sys; print(runpy.run_path(sys.argv[1])['fingerprint']())"
    environment = os.environ | {"PYTHONHASHSEED": seed}
    command = [sys.executable, "-c", script, __file__]
    run = subprocess.run(command, capture_output=True, check=True, text=True, env=environment)
    assert run.stdout.strip() == fingerprint()


def test_the_trace_is_worth_its_length() -> None:
    """The long trace leaves conversations with members, so that its digest says something."""
    assert fingerprint() != Hub().digest()
