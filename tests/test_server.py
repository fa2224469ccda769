"""Tests of `improto.server`: users, presence and snapshots of the hub, without bytes, sockets, clocks or chance."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from hubs import ANN, BO, CY, DI, ask, error_code, hub_with, invite, listed, refused, talk
from improto.errors import InvalidMessage, SnapshotError, UsageError
from improto.limits import Limits
from improto.messages import (
    Error,
    Goodbye,
    Invite,
    Join,
    Leave,
    ListConversations,
    Message,
    OnlineUsers,
    Register,
    Request,
    SendMessage,
    Status,
)
from improto.server import Ask, Close, Hub, Policy, Send

# -- registration ---------------------------------------------------------------------------------------------


def test_register_is_answered_with_the_roster() -> None:
    """The newcomer gets at once the full roster with itself in it, as a reply (REGISTER-2, PRESENCE-2, PRESENCE-3)."""
    hub = hub_with(ANN)
    roster = OnlineUsers({"ann": "", "bo": "hi"})
    assert ask(hub, BO, Register("bo", "hi")) == [Send(roster, (BO,), first=True)]
    assert hub.online == roster.users


def test_name_in_use() -> None:
    """The name of an online user is refused, and its user is left alone (REGISTER-4, REGISTER-6)."""
    hub = hub_with(ANN)
    assert refused(hub, BO, Register("ann", "x")) == "name-in-use"
    assert hub.online == {"ann": ""}


def test_another_try_after_name_in_use() -> None:
    """After `name-in-use` the same connection may register under another name (REGISTER-5)."""
    hub = hub_with(ANN)
    ask(hub, BO, Register("ann", ""))
    ask(hub, BO, Register("bo", ""))
    assert list(hub.online) == ["ann", "bo"]


@pytest.mark.parametrize("other", ["Ann", "ANN", "an\u0303n", "аnn"])  # noqa: RUF001
def test_names_are_compared_exactly(other: str) -> None:
    """Names that differ in a code point are different names (LIMIT-9)."""
    hub = hub_with(ANN)
    ask(hub, BO, Register(other, ""))
    assert list(hub.online) == ["ann", other]


def test_replace_takes_the_name_over() -> None:
    """Under *replace* the older connection is put out and the newer one is answered (REGISTER-7, ERROR-10)."""
    hub = hub_with(ANN, policy=Policy(replace=True))
    farewell, close, roster = ask(hub, BO, Register("ann", "new"))
    assert error_code([farewell], ANN) == "forbidden"
    assert close == Close(ANN, "forbidden")
    assert roster == Send(OnlineUsers({"ann": "new"}), (BO,), first=True)


def test_replace_inherits_nothing() -> None:
    """Who replaces a connection is in none of its conversations (GOODBYE-9, REGISTER-7)."""
    hub = hub_with(ANN, BO, policy=Policy(replace=True))
    id = talk(hub, ANN, BO)
    ask(hub, CY, Register("ann", ""))
    assert listed(hub, CY) == {id: ("bo",)}


def test_ask_defers_the_register() -> None:
    """Under *ask* a REGISTER has no effect before the embedder has decided (REGISTER-8)."""
    hub = Hub(Policy(ask=True))
    assert ask(hub, ANN, Register("ann", "")) == [Ask(ANN, Register("ann", ""))]
    assert hub.online == {}


def test_admitted() -> None:
    """Once admitted, a REGISTER is answered like any other (REGISTER-8, REGISTER-2)."""
    hub = Hub(Policy(ask=True))
    ask(hub, ANN, Register("ann", "hi"))
    assert hub.decide(ANN, None, 5.0) == [Send(OnlineUsers({"ann": "hi"}), (ANN,), first=True)]
    assert hub.online == {"ann": "hi"}


def test_refused_by_the_embedder() -> None:
    """A refused REGISTER is answered with `forbidden`; another one is asked about again (REGISTER-10, REGISTER-5)."""
    hub = Hub(Policy(ask=True))
    ask(hub, ANN, Register("ann", ""))
    assert hub.decide(ANN, "not today", 0.0) == [Send(Error("forbidden: not today"), (ANN,))]
    assert ask(hub, ANN, Register("ann", "")) == [Ask(ANN, Register("ann", ""))]


def test_name_taken_while_asking() -> None:
    """Of two who ask for one name the first to be admitted has it (REGISTER-4, ORDER-1)."""
    hub = Hub(Policy(ask=True))
    for connection in (ANN, BO):
        ask(hub, connection, Register("ann", ""))
    hub.decide(BO, None, 0.0)
    assert error_code(hub.decide(ANN, None, 0.0), ANN) == "name-in-use"


@pytest.mark.parametrize("refusal", [None, "no"])
def test_late_decision(refusal: str | None) -> None:
    """An answer that comes after the connection has ended is ignored (REGISTER-8)."""
    hub = Hub(Policy(ask=True))
    ask(hub, ANN, Register("ann", ""))
    hub.disconnect(ANN, 0.0)
    assert hub.decide(ANN, refusal, 0.0) == []
    assert hub.online == {}


def test_goodbye_while_asking() -> None:
    """Who says GOODBYE while the embedder decides does not come online afterwards (GOODBYE-2, GOODBYE-7)."""
    hub = Hub(Policy(ask=True))
    ask(hub, ANN, Register("ann", ""))
    assert ask(hub, ANN, Goodbye()) == [Close(ANN)]
    assert hub.decide(ANN, None, 0.0) == []
    assert hub.online == {}


def test_decision_about_nobody() -> None:
    """A second decision about one REGISTER has no effect."""
    hub = Hub(Policy(ask=True))
    ask(hub, ANN, Register("ann", ""))
    hub.decide(ANN, None, 0.0)
    assert hub.decide(ANN, "no", 0.0) == []
    assert hub.online == {"ann": ""}


def test_full_server() -> None:
    """A REGISTER that would make the roster too large is `too-many` (LIMIT-21)."""
    hub = hub_with(ANN, limits=Limits(roster=60))
    assert refused(hub, BO, Register("bo", "s" * 100)) == "too-many"


def test_replacing_makes_nothing_larger() -> None:
    """Under the policy *replace*, a user's new connection is admitted where the roster is full (LIMIT-21, REGISTER-7)."""
    hub = hub_with(ANN, limits=Limits(roster=60), policy=Policy(replace=True))
    assert (
        refused(hub_with(ANN, limits=Limits(roster=60)), BO, Register("somebody-else", "s" * 40))
        == "too-many"
    )
    outputs = hub.receive(BO, Register("ann", ""), 0.0)
    assert any(isinstance(output, Send) and output.first for output in outputs)


# -- going offline --------------------------------------------------------------------------------------------


def test_goodbye_closes_without_reply() -> None:
    """GOODBYE gets no reply but the close, and frees the name at once (GOODBYE-2, GOODBYE-3, GOODBYE-4)."""
    hub = hub_with(ANN)
    assert ask(hub, ANN, Goodbye()) == [Close(ANN)]
    assert hub.online == {}
    assert ask(hub, BO, Register("ann", "")) == [Send(OnlineUsers({"ann": ""}), (BO,), first=True)]


def test_goodbye_before_register() -> None:
    """GOODBYE of a connection that is not registered closes it (GOODBYE-7)."""
    assert ask(Hub(), ANN, Goodbye()) == [Close(ANN)]


def test_disconnect_is_a_goodbye() -> None:
    """The end of a stream leaves the same state as GOODBYE does (CONN-18)."""
    ended, left = (hub_with(ANN, BO) for _ in range(2))
    assert ended.disconnect(ANN, 0.0) == []
    ask(left, ANN, Goodbye())
    assert ended.digest() == left.digest()


def test_disconnect_of_nobody() -> None:
    """The end of a connection on which nobody is registered changes nothing."""
    hub = hub_with(ANN)
    before = hub.digest()
    assert hub.disconnect(BO, 0.0) == []
    assert hub.digest() == before


def test_going_offline_ends_membership_and_invitation() -> None:
    """Who goes offline is in no conversation and gets no MESSAGE any more (GOODBYE-8, MESSAGE-8)."""
    hub = hub_with(ANN, BO, CY)
    id = talk(hub, ANN, BO)
    hub.disconnect(BO, 0.0)
    assert listed(hub) == {id: ("ann",)}
    assert ask(hub, ANN, SendMessage(id, "x")) == [Send(Message(id, "ann", "x"), (ANN,))]


def test_name_carries_nothing_over() -> None:
    """Who takes a freed name is neither member nor invited (GOODBYE-9)."""
    hub = hub_with(ANN, BO, CY)
    joined, invited = talk(hub, ANN, BO), invite(hub, ANN, "bo", "cy")
    ask(hub, BO, Goodbye())
    ask(hub, DI, Register("bo", ""))
    assert refused(hub, DI, Leave(joined)) == "not-member"
    assert refused(hub, DI, Leave(invited)) == "not-member"
    assert refused(hub, DI, SendMessage(joined, "x")) == "not-member"


def test_name_carries_no_privacy_over() -> None:
    """Under *private*, who takes a freed name sees and joins nothing of its earlier user's (GOODBYE-9, LIST-9)."""
    hub = hub_with(ANN, BO, CY, policy=Policy(private=True))
    id = talk(hub, ANN, BO)
    ask(hub, BO, Goodbye())
    ask(hub, DI, Register("bo", ""))
    assert listed(hub, DI) == {}
    assert refused(hub, DI, Join(id)) == "not-invited"


def test_kick() -> None:
    """A kicked user gets `forbidden` with the reason, is closed and offline (ERROR-8, ERROR-10)."""
    hub = hub_with(ANN, BO)
    assert hub.kick("bo", "spam", 0.0) == [Send(Error("forbidden: spam"), (BO,)), Close(BO, "forbidden")]
    assert list(hub.online) == ["ann"]


def test_long_reasons_fit_in_an_error() -> None:
    """Whatever reason an embedder gives, the ERROR stays within 512 code points (LIMIT-16)."""
    hub = hub_with(ANN)
    output = hub.kick("ann", "x" * 1000, 0.0)[0]
    assert isinstance(output, Send)
    assert isinstance(output.message, Error)
    assert len(output.message.message) == 512


# -- the caller's mistakes ------------------------------------------------------------------------------------


REASONED: dict[str, Callable[[Hub, str], object]] = {
    "decide": lambda hub, reason: hub.decide(BO, reason, 0.0),
    "kick": lambda hub, reason: hub.kick("ann", reason, 0.0),
}


@pytest.mark.parametrize("name", REASONED)
def test_reason_that_no_message_can_hold(name: str) -> None:
    """A reason with a lone surrogate raises before anything has changed: the embedder may give another."""
    hub = hub_with(ANN)
    hub.policy = Policy(ask=True)
    ask(hub, BO, Register("bo", ""))
    before = hub.digest()
    with pytest.raises(InvalidMessage):
        REASONED[name](hub, "\ud800")
    assert hub.digest() == before


def test_kick_of_nobody() -> None:
    """Kicking a name that is not online is the caller's mistake."""
    with pytest.raises(UsageError, match="bo"):
        hub_with(ANN).kick("bo", "", 0.0)


@pytest.mark.parametrize(
    "request_",
    [Status(""), Invite(("ann",)), ListConversations(), Join("1"), SendMessage("1", ""), Leave("1")],
)
def test_unregistered_request(request_: Request) -> None:
    """A request of a connection that is not registered is the caller's mistake and changes nothing."""
    hub = hub_with(ANN)
    before = hub.digest()
    with pytest.raises(UsageError):
        ask(hub, BO, request_)
    assert hub.digest() == before


@pytest.mark.parametrize("asks", [False, True])
def test_second_register_of_a_connection(asks: bool) -> None:
    """A second REGISTER of one connection, also while the first is decided on, is the caller's mistake."""
    hub = hub_with(ANN, policy=Policy(ask=asks))
    with pytest.raises(UsageError):
        ask(hub, ANN, Register("bo", ""))


# -- presence -------------------------------------------------------------------------------------------------


def test_nothing_is_due_with_nobody_online() -> None:
    """An empty hub waits for nothing, however long."""
    hub = hub_with(ANN)
    hub.disconnect(ANN, 0.0)
    assert hub.due is None
    assert hub.tick(1e9) == []


def test_changes_are_coalesced() -> None:
    """Several changes within P make one roster, to all, when P has passed (PRESENCE-4, PRESENCE-6)."""
    hub = hub_with(ANN, BO)
    ask(hub, BO, Status("x"))
    ask(hub, CY, Register("cy", ""))
    assert hub.due == 1.0
    assert hub.tick(0.999) == []
    assert hub.tick(1.0) == [Send(OnlineUsers({"ann": "", "bo": "x", "cy": ""}), (ANN, BO, CY))]
    assert hub.tick(1.0) == []


def test_change_after_a_quiet_time_is_told_at_once() -> None:
    """If the last roster is P ago, a change is due at once (PRESENCE-8)."""
    hub = hub_with(ANN)
    hub.receive(BO, Register("bo", ""), 10.0)
    assert hub.tick(10.0) == [Send(OnlineUsers({"ann": "", "bo": ""}), (ANN, BO))]


def test_offline_is_a_change() -> None:
    """The others learn of a user's going offline (PRESENCE-4)."""
    hub = hub_with(ANN, BO)
    hub.tick(5.0)
    hub.disconnect(BO, 5.5)
    assert hub.tick(6.0) == [Send(OnlineUsers({"ann": ""}), (ANN,))]


def test_roster_is_repeated() -> None:
    """Without a change the roster is repeated every 30 s (PRESENCE-7)."""
    hub = hub_with(ANN)
    assert hub.due == 30.0
    assert hub.tick(29.9) == []
    assert hub.tick(30.0) == [Send(OnlineUsers({"ann": ""}), (ANN,))]
    assert hub.due == 60.0


def test_large_rosters_are_rarer() -> None:
    """The larger the roster, the longer P, also where it exceeds the interval of repetition (PRESENCE-6)."""
    hub = hub_with(ANN, BO, policy=Policy(settle=1.0, roster_rate=100.0, repeat=3.0))
    ask(hub, ANN, Status("s" * 1000))
    assert hub.due is not None
    assert 10.0 <= hub.due <= 12.0
    hub.tick(hub.due)
    rostered = hub.due / 2
    assert 10.0 <= hub.due - rostered <= 12.0


def test_interval() -> None:
    """P is 1 s up to 8 KiB of roster, and grows with it (PRESENCE-6)."""
    assert [Policy().interval(size) for size in (0, 8192, 16384)] == [1.0, 1.0, 2.0]


def test_status() -> None:
    """STATUS gets no reply and replaces one's own status only (STATUS-2, STATUS-3, STATUS-4)."""
    hub = hub_with(ANN, BO)
    assert ask(hub, BO, Status("away")) == []
    assert hub.online == {"ann": "", "bo": "away"}


def test_same_status_needs_no_roster() -> None:
    """A STATUS that repeats the present one changes nothing (STATUS-5)."""
    hub = hub_with(ANN)
    before = hub.digest()
    assert ask(hub, ANN, Status("")) == []
    assert (hub.digest(), hub.due) == (before, 30.0)


def test_status_too_large_for_the_roster() -> None:
    """A STATUS that would make the roster too large is `too-many` (LIMIT-21)."""
    assert refused(hub_with(ANN, limits=Limits(roster=60)), ANN, Status("s" * 100)) == "too-many"


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("settle", lambda: Policy(settle=-1.0)),
        ("settle", lambda: Policy(settle=1e6)),
        ("settle", lambda: Policy(settle=math.nan)),
        ("repeat", lambda: Policy(repeat=0.0)),
        ("repeat", lambda: Policy(repeat=math.inf)),
        ("roster_rate", lambda: Policy(roster_rate=0.0)),
        ("roster_rate", lambda: Policy(roster_rate=math.nan)),
    ],
)
def test_times_that_cannot_be(name: str, make: Callable[[], Policy]) -> None:
    """A policy with which rosters would follow each other without end, or never, is refused when it is made."""
    with pytest.raises(UsageError, match=name):
        make()


def test_shortest_and_longest_times() -> None:
    """Rosters may follow a change at once, and be as rare as a clock can tell."""
    assert Policy(settle=0.0, repeat=999_999.0, roster_rate=math.inf).interval(1000) == 0.0


# -- snapshots ------------------------------------------------------------------------------------------------


DAMAGES: list[dict[str, Any]] = [
    {"version": 2},
    {"version": None},
    {"users": 7},
    {"users": [["ann"]]},
    {"users": [["a", 1, None, []]]},
    {"users": [["a", 1, "\ud800", []]]},
    {"users": [["\ud800", 1, "", []]]},
    {
        "users": [["ann", 1, "", ["\ud800"]]],
        "conversations": [["\ud800", 1, ["ann"], ["ann"], []]],
        "made": 1,
    },
    {"made": "x"},
    {"conversations": [["1", 1, [], [], ["xi"]]]},
    {"conversations": [["1", 1, ["xi"], ["xi"], []]]},
    {"conversations": [["1", 1, [], ["ann"], []]]},
    {"conversations": [["1", 1, [], [], ["ann"]]]},
    {"conversations": [["1", 1, ["ann"], ["ann"], []]]},
    {"users": [["ann", 1, "", ["1"]]]},
    {"users": [["ann", 1, "", []], ["bo", 1, "", []]]},
    {"users": [["ann", 1, "", []], ["ann", 2, "", []]]},
    {"asked": [[1, "bo", ""]]},
    {"asked": [["2", "bo", ""]]},
    {"asked": [[2, "bo", ""], [2, "cy", ""]]},
    {"made": math.inf},
    {"users": [["ann", 1, "", ["1"]]], "conversations": [["1", 1, ["ann"], ["ann"], []]], "made": 0},
    {"conversations": [["1", 1, [], [], []]]},
    {"users": [["ann", 1, "", ["1"]]], "conversations": [["1", None, ["ann"], ["ann"], []]]},
    {"users": [["ann", 1, "", ["1"]]], "conversations": [["1", 1, ["ann"], [], ["ann", "ann"]]]},
    {"users": [["ann", 1, "", ["1"]]], "conversations": [["1", 1, ["ann"], [], ["ann"]]] * 2},
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_snapshot(damage: dict[str, Any]) -> None:
    """A snapshot that is damaged or of another version is refused."""
    with pytest.raises(SnapshotError):
        Hub.restore(hub_with(ANN).snapshot() | damage)


@pytest.mark.parametrize("value", [None, 7, "{}", []])
def test_no_snapshot(value: Any) -> None:
    """What is no snapshot at all, such as the null of a JSON file, is refused like one that is damaged."""
    with pytest.raises(SnapshotError):
        Hub.restore(value)


@pytest.mark.parametrize("key", Hub().snapshot())
def test_incomplete_snapshot(key: str) -> None:
    """A snapshot that lacks any of its parts is refused."""
    snapshot = hub_with(ANN).snapshot()
    del snapshot[key]
    with pytest.raises(SnapshotError):
        Hub.restore(snapshot)


def test_whole_seconds_survive_a_snapshot() -> None:
    """A clock that counts in integers makes no difference to the digest after a restore."""
    hub = Hub()
    hub.receive(ANN, Register("ann", ""), 5)
    assert Hub.restore(hub.snapshot()).digest() == hub.digest()
