"""Tests of `improto.server`: the hub, without bytes, sockets, clocks or chance."""

import copy
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from improto.errors import InvalidMessage, SnapshotError, UsageError
from improto.limits import Limits
from improto.messages import (
    Conversations,
    Error,
    Goodbye,
    Invitation,
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
from improto.server import Ask, Close, Hub, Output, Policy, Send

ANN, BO, CY, DI = 1, 2, 3, 4
NAMES = {ANN: "ann", BO: "bo", CY: "cy", DI: "di"}


def hub_with(*connections: int, policy: Policy | None = None, limits: Limits | None = None) -> Hub:
    """Give a hub on which these connections are registered at the time 0, each by its name."""
    hub = Hub(policy, limits)
    for connection in connections:
        hub.receive(connection, Register(NAMES[connection], ""), 0.0)
    return hub


def ask(hub: Hub, connection: int, request: Request) -> list[Output]:
    """Let a request take effect at the time 0."""
    return hub.receive(connection, request, 0.0)


def invite(hub: Hub, connection: int, *names: str) -> str:
    """Let a user invite others and give the new conversation's id."""
    (output,) = ask(hub, connection, Invite(names))
    assert isinstance(output, Send)
    assert isinstance(output.message, Invitation)
    return output.message.conversation


def talk(hub: Hub, *members: int) -> str:
    """Give the id of a conversation that all of `members` have joined, begun by the first."""
    id = invite(hub, members[0], *(NAMES[member] for member in members[1:]))
    for member in members:
        assert ask(hub, member, Join(id)) == []
    return id


def listed(hub: Hub, connection: int = ANN) -> Mapping[str, tuple[str, ...]]:
    """Give what LIST_CONVERSATIONS tells this user."""
    (output,) = ask(hub, connection, ListConversations())
    assert isinstance(output, Send)
    assert output.to == (connection,)
    assert isinstance(output.message, Conversations)
    return output.message.conversations


def error_code(outputs: list[Output], connection: int) -> str | None:
    """Give the code of the one ERROR that these outputs are, sent to this connection alone."""
    (output,) = outputs
    assert isinstance(output, Send)
    assert output.to == (connection,)
    assert isinstance(output.message, Error)
    return output.message.code


def refused(hub: Hub, connection: int, request: Request) -> str | None:
    """Give the code of the ERROR that answers a request, after making sure that nothing changed."""
    before = hub.digest()
    code = error_code(ask(hub, connection, request), connection)
    assert hub.digest() == before
    return code


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


# -- INVITE ---------------------------------------------------------------------------------------------------


def test_invite() -> None:
    """INVITE gives one INVITATION to the initiator and each invited user, no other (INVITATION-2 to INVITATION-5)."""
    hub = hub_with(ANN, BO, CY, DI)
    assert ask(hub, BO, Invite(("ann", "di"))) == [Send(Invitation("1", "bo"), (BO, ANN, DI))]


def test_invite_ignores_self_and_doubles() -> None:
    """One's own name and doubles in INVITE mean nothing (INVITE-4)."""
    assert ask(hub_with(ANN, BO), ANN, Invite(("bo", "ann", "bo"))) == [
        Send(Invitation("1", "ann"), (ANN, BO))
    ]


@pytest.mark.parametrize("names", [("ann",), ("ann", "ann")])
def test_invite_of_oneself(names: tuple[str, ...]) -> None:
    """An INVITE that names nobody else is `invalid` (INVITE-5)."""
    assert refused(hub_with(ANN), ANN, Invite(names)) == "invalid"


def test_invite_of_strangers() -> None:
    """One unknown name makes the whole INVITE fail, and the ERROR names it (INVITE-6, INVITE-7)."""
    hub = hub_with(ANN, BO)
    assert refused(hub, ANN, Invite(("bo", "xi", "yo"))) == "no-such-user"
    (output,) = ask(hub, ANN, Invite(("bo", "xi", "yo")))
    assert isinstance(output, Send)
    assert isinstance(output.message, Error)
    assert output.message.message.endswith(" xi, yo")
    assert listed(hub) == {}


def test_many_strangers_are_named_as_far_as_they_fit() -> None:
    """The ERROR names as many unknown users as fit in 512 code points (INVITE-7, LIMIT-16)."""
    (output,) = ask(hub_with(ANN), ANN, Invite(tuple(f"{n:064}" for n in range(64))))
    assert isinstance(output, Send)
    assert isinstance(output.message, Error)
    assert 512 - 66 < len(output.message.message) <= 512
    assert output.message.message.endswith(", …")
    assert f"{6:064}" in output.message.message


def test_invite_too_many() -> None:
    """With as many living conversations as allowed, INVITE is `too-many` until one ends (LIMIT-18)."""
    hub = hub_with(ANN, BO, limits=Limits(living=2))
    first = invite(hub, ANN, "bo")
    invite(hub, ANN, "bo")
    assert refused(hub, ANN, Invite(("bo",))) == "too-many"
    invite(hub, BO, "ann")
    for connection in (ANN, BO):
        ask(hub, connection, Leave(first))
    assert invite(hub, ANN, "bo")


def test_unknown_user_comes_before_too_many() -> None:
    """Of an unknown user and too many conversations the former is answered (ERROR-6)."""
    hub = hub_with(ANN, BO, limits=Limits(living=0))
    assert refused(hub, ANN, Invite(("xi",))) == "no-such-user"
    assert refused(hub, ANN, Invite(("ann",))) == "invalid"


def test_too_many_conversations_for_the_list() -> None:
    """An INVITE that would make the list too large is `too-many` (LIMIT-21)."""
    hub = hub_with(ANN, BO, limits=Limits(roster=100), policy=Policy(conversation_id=lambda n: f"{n:060}"))
    invite(hub, ANN, "bo")
    assert refused(hub, ANN, Invite(("bo",))) == "too-many"


def test_conversation_ids_are_the_policys() -> None:
    """The embedder may choose how ids look (CONV-4)."""
    hub = hub_with(ANN, BO, policy=Policy(conversation_id=lambda n: f"room-{n}"))
    assert [invite(hub, ANN, "bo") for _ in range(2)] == ["room-1", "room-2"]


# -- the life of a conversation -------------------------------------------------------------------------------


def test_each_invite_makes_a_conversation() -> None:
    """The same users may have several conversations, listed without members at first (INVITE-3, LIST-6, LIST-7)."""
    hub = hub_with(ANN, BO)
    first, second = invite(hub, ANN, "bo"), invite(hub, ANN, "bo")
    assert first != second
    assert listed(hub) == {first: (), second: ()}


def test_conversation_ends_with_the_last_member() -> None:
    """With no member and no open invitation left, a conversation ends (CONV-2, LEAVE-5)."""
    hub = hub_with(ANN, BO)
    id = talk(hub, ANN, BO)
    ask(hub, ANN, Leave(id))
    assert listed(hub) == {id: ("bo",)}
    ask(hub, BO, Leave(id))
    assert listed(hub) == {}
    assert refused(hub, ANN, Leave(id)) == "no-such-conversation"


def test_open_invitation_keeps_a_conversation_alive() -> None:
    """An invitation neither taken up nor declined keeps a conversation without members (CONV-1)."""
    hub = hub_with(ANN, BO)
    id = invite(hub, ANN, "bo")
    ask(hub, ANN, Join(id))
    ask(hub, ANN, Leave(id))
    assert listed(hub) == {id: ()}
    ask(hub, BO, Leave(id))
    assert listed(hub) == {}


def test_going_offline_ends_conversations() -> None:
    """A conversation ends when the last who was in it or invited goes offline (CONV-2, GOODBYE-8)."""
    hub = hub_with(ANN, BO, CY)
    invite(hub, BO, "cy")
    hub.disconnect(BO, 0.0)
    assert listed(hub) != {}
    hub.disconnect(CY, 0.0)
    assert listed(hub) == {}


def test_ids_are_never_used_again() -> None:
    """The id of an ended conversation is not given to another, also across a restore (CONV-3)."""
    hub = hub_with(ANN, BO)
    used: set[str] = set()
    for _ in range(3):
        id = invite(hub, ANN, "bo")
        assert id not in used
        used.add(id)
        for connection in (ANN, BO):
            ask(hub, connection, Leave(id))
        hub = Hub.restore(hub.snapshot())


def test_conversation_outlives_its_initiator() -> None:
    """A conversation goes on without its initiator, and its end touches nobody who has the name now (CONV-1)."""
    hub = hub_with(ANN, BO, limits=Limits(living=1))
    id = talk(hub, ANN, BO)
    ask(hub, ANN, Goodbye())
    ask(hub, CY, Register("ann", ""))
    invite(hub, CY, "bo")
    ask(hub, BO, Leave(id))
    assert refused(hub, CY, Invite(("bo",))) == "too-many"


def test_join() -> None:
    """JOIN makes a member, without reply; the invited are none before it (JOIN-2, JOIN-3, JOIN-10)."""
    hub = hub_with(ANN, BO)
    id = invite(hub, ANN, "bo")
    assert ask(hub, BO, Join(id)) == []
    assert listed(hub) == {id: ("bo",)}


def test_join_uninvited() -> None:
    """Anybody may join and see any living conversation (JOIN-4, LIST-5)."""
    hub = hub_with(ANN, BO, CY)
    id = invite(hub, ANN, "bo")
    assert listed(hub, CY) == {id: ()}
    assert ask(hub, CY, Join(id)) == []
    assert listed(hub) == {id: ("cy",)}


def test_join_again_has_no_effect() -> None:
    """A member's JOIN changes nothing and is no error (JOIN-9)."""
    hub = hub_with(ANN, BO)
    id = talk(hub, ANN, BO)
    before = hub.digest()
    assert ask(hub, ANN, Join(id)) == []
    assert hub.digest() == before


@pytest.mark.parametrize("request_", [Join("99"), Leave("99"), SendMessage("99", "x")])
def test_unknown_conversation(request_: Request) -> None:
    """An id that no conversation has is `no-such-conversation` (JOIN-8, LEAVE-5, SEND-5)."""
    assert refused(hub_with(ANN), ANN, request_) == "no-such-conversation"


def test_join_too_many() -> None:
    """A JOIN that would make the list too large is `too-many` (LIMIT-21)."""
    hub = hub_with(ANN, BO, limits=Limits(roster=80), policy=Policy(conversation_id=lambda n: f"{n:040}"))
    id = invite(hub, ANN, "bo")
    ask(hub, ANN, Join(id))
    assert refused(hub, BO, Join(id)) == "too-many"


def test_members_stand_in_the_order_of_joining() -> None:
    """Members are listed as they joined; who joins again stands at the end (LIST-8, LEAVE-7)."""
    hub = hub_with(ANN, BO, CY)
    id = talk(hub, CY, ANN, BO)
    assert listed(hub) == {id: ("cy", "ann", "bo")}
    ask(hub, CY, Leave(id))
    ask(hub, CY, Join(id))
    assert listed(hub) == {id: ("ann", "bo", "cy")}


def test_leave() -> None:
    """LEAVE ends that membership alone, without reply, and a second one is an error (LEAVE-2, LEAVE-3, LEAVE-8)."""
    hub = hub_with(ANN, BO)
    first, second = talk(hub, ANN, BO), talk(hub, ANN, BO)
    assert ask(hub, BO, Leave(first)) == []
    assert listed(hub) == {first: ("ann",), second: ("ann", "bo")}
    assert refused(hub, BO, Leave(first)) == "not-member"


def test_decline() -> None:
    """LEAVE by an invited user declines; a second decline is `not-member` (LEAVE-4, LEAVE-6)."""
    hub = hub_with(ANN, BO)
    id = invite(hub, ANN, "bo")
    assert ask(hub, BO, Leave(id)) == []
    assert refused(hub, BO, Leave(id)) == "not-member"


def test_join_after_declining() -> None:
    """Who has declined may JOIN while the conversation lives (LEAVE-7)."""
    hub = hub_with(ANN, BO)
    id = invite(hub, ANN, "bo")
    ask(hub, BO, Leave(id))
    assert ask(hub, BO, Join(id)) == []
    assert listed(hub) == {id: ("bo",)}


def test_leave_by_a_stranger() -> None:
    """LEAVE by somebody neither in nor invited is `not-member` (LEAVE-6)."""
    hub = hub_with(ANN, BO, CY)
    assert refused(hub, CY, Leave(talk(hub, ANN, BO))) == "not-member"


# -- the policy *private* -------------------------------------------------------------------------------------


def test_private_join() -> None:
    """Under *private* only the invited may join (JOIN-5, JOIN-6)."""
    hub = hub_with(ANN, BO, CY, policy=Policy(private=True))
    id = invite(hub, ANN, "bo")
    assert refused(hub, CY, Join(id)) == "not-invited"
    assert ask(hub, BO, Join(id)) == []


def test_private_list() -> None:
    """Under *private* one sees what one is in or was invited to, also after leaving (LIST-9)."""
    hub = hub_with(ANN, BO, CY, policy=Policy(private=True))
    id = invite(hub, ANN, "bo")
    assert listed(hub, BO) == {id: ()}
    assert listed(hub, CY) == {}
    ask(hub, BO, Leave(id))
    assert listed(hub, BO) == {id: ()}


def test_private_join_after_leaving() -> None:
    """Under *private* who was invited may JOIN again after leaving or declining (JOIN-7)."""
    hub = hub_with(ANN, BO, policy=Policy(private=True))
    id = invite(hub, ANN, "bo")
    for _ in range(2):
        ask(hub, BO, Leave(id))
        assert ask(hub, BO, Join(id)) == []


def test_private_unknown_id_comes_first() -> None:
    """Under *private* an unknown id is `no-such-conversation`, too (JOIN-8, ERROR-6)."""
    assert refused(hub_with(ANN, policy=Policy(private=True)), ANN, Join("99")) == "no-such-conversation"


# -- SEND_MESSAGE ---------------------------------------------------------------------------------------------


def test_send_goes_to_all_members() -> None:
    """A MESSAGE goes once to each member, the sender included, and to no other (SEND-2, SEND-3, SEND-4, MESSAGE-6)."""
    hub = hub_with(ANN, BO, CY, DI)
    id = talk(hub, ANN, BO, CY)
    ask(hub, CY, Leave(id))
    assert ask(hub, BO, SendMessage(id, " hi\n")) == [Send(Message(id, "bo", " hi\n"), (ANN, BO))]


@pytest.mark.parametrize("connection", [ANN, BO, CY])
def test_send_by_no_member(connection: int) -> None:
    """Neither initiator nor invited user nor stranger may send before JOIN (SEND-6, JOIN-3)."""
    hub = hub_with(ANN, BO, CY)
    id = invite(hub, ANN, "bo")
    assert refused(hub, connection, SendMessage(id, "x")) == "not-member"


def test_send_after_leave() -> None:
    """Who has left neither sends nor receives (LEAVE-2, SEND-6)."""
    hub = hub_with(ANN, BO)
    id = talk(hub, ANN, BO)
    ask(hub, BO, Leave(id))
    assert refused(hub, BO, SendMessage(id, "x")) == "not-member"
    assert ask(hub, ANN, SendMessage(id, "x")) == [Send(Message(id, "ann", "x"), (ANN,))]


# -- snapshots ------------------------------------------------------------------------------------------------


DAMAGES: list[dict[str, Any]] = [
    {"version": 2},
    {"version": None},
    {"users": 7},
    {"users": [["ann"]]},
    {"users": [["a", 1, None, []]]},
    {"made": "x"},
    {"conversations": [["1", 1, [], [], ["xi"]]]},
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_snapshot(damage: dict[str, Any]) -> None:
    """A snapshot that is damaged or of another version is refused."""
    with pytest.raises(SnapshotError):
        Hub.restore(hub_with(ANN).snapshot() | damage)


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


# -- whatever happens -----------------------------------------------------------------------------------------

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


def test_replacing_makes_nothing_larger() -> None:
    """Under the policy *replace*, a user's new connection is admitted where the roster is full (LIMIT-21, REGISTER-7)."""
    hub = hub_with(ANN, limits=Limits(roster=60), policy=Policy(replace=True))
    assert (
        refused(hub_with(ANN, limits=Limits(roster=60)), BO, Register("somebody-else", "s" * 40))
        == "too-many"
    )
    outputs = hub.receive(BO, Register("ann", ""), 0.0)
    assert any(isinstance(output, Send) and output.first for output in outputs)


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
