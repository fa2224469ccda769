"""Tests of `improto.server`: conversations."""

from typing import Any

import pytest

from hubs import ANN, BO, CY, DI, ask, hub_with, invite, listed, refused, talk
from improto.errors import InvalidMessage
from improto.limits import Limits
from improto.messages import (
    Error,
    Goodbye,
    Invitation,
    Invite,
    Join,
    Leave,
    Message,
    Register,
    Request,
    SendMessage,
)
from improto.server import Hub, Policy, Send

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


@pytest.mark.parametrize("id", ["\ud800", 7])
def test_conversation_ids_that_no_message_can_hold(id: Any) -> None:
    """If the embedder's id fits into no message, the error comes out, and nothing has changed."""
    hub = hub_with(ANN, BO, policy=Policy(conversation_id=lambda _: id))
    before = hub.digest()
    with pytest.raises(InvalidMessage, match="conversation"):
        hub.receive(ANN, Invite(("bo",)), 0.0)
    assert hub.digest() == before


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
