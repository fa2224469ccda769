"""Tests of the model of the specification that the judge holds transcripts against."""

import pytest

from improto.limits import Limits
from improto.messages import (
    Code,
    Conversations,
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
from improto_conformance.judging.model import Output, Rules, World, handle

OPEN = Rules()
PRIVATE = Rules(private=True)


def after(*steps: tuple[str, Request], rules: Rules = OPEN) -> tuple[World, list[Output]]:
    """Let requests take effect one after the other; give the world and what the last one caused."""
    world, outputs = World(), list[Output]()
    for connection, request in steps:
        effect = handle(world, connection, request, str(len(world.used) + 1), rules)
        world, outputs = effect.world, list(effect.outputs)
    return world, outputs


ANN, BO, CY = [(name, Register(name, "here")) for name in ("ann", "bo", "cy")]
TALK = (ANN, BO, ("ann", Invite(("bo",))))
JOINED = (*TALK, ("ann", Join("1")), ("bo", Join("1")))


def test_register_is_answered_with_the_roster() -> None:
    """A newcomer gets a roster with everybody."""
    _, outputs = after(ANN, BO)
    assert [(o.to, o.item) for o in outputs] == [("bo", OnlineUsers({"ann": "here", "bo": "here"}))]


def test_an_invitation_goes_to_the_invited_and_the_initiator() -> None:
    """Doubles and one's own name are dropped."""
    _, outputs = after(ANN, BO, CY, ("ann", Invite(("bo", "ann", "bo"))))
    assert [(o.to, o.item) for o in outputs] == [(to, Invitation("1", "ann")) for to in ("ann", "bo")]


def test_a_message_goes_to_all_members() -> None:
    """The sender is one of them."""
    _, outputs = after(*JOINED, ("bo", SendMessage("1", "hi")))
    assert [(o.to, o.item) for o in outputs] == [(to, Message("1", "bo", "hi")) for to in ("ann", "bo")]


def test_who_joins_again_stands_at_the_end() -> None:
    """Members are listed in the order of joining."""
    again = (("ann", Leave("1")), ("ann", Join("1")), ("ann", ListConversations()))
    _, outputs = after(*JOINED, *again)
    assert outputs[0].item == Conversations({"1": ("bo", "ann")})


def test_a_conversation_ends_without_members_and_invitations() -> None:
    """Declining and going offline both count."""
    world, _ = after(*TALK, ("ann", Leave("1")))
    assert world.talk("1") is not None
    world, _ = after(*TALK, ("ann", Leave("1")), ("bo", Goodbye()))
    assert world.talk("1") is None


def test_a_private_list_has_only_what_one_was_invited_to() -> None:
    """Also after declining."""
    _, outputs = after(*TALK, CY, ("cy", ListConversations()), rules=PRIVATE)
    assert outputs[0].item == Conversations({})
    _, outputs = after(*TALK, ("bo", Leave("1")), ("bo", ListConversations()), rules=PRIVATE)
    assert outputs[0].item == Conversations({"1": ()})


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ([("ann", Status("x"))], Code.NOT_REGISTERED),
        ([("ann", Register("", "x"))], Code.INVALID),
        ([ANN, ("ann", Register("bo", ""))], Code.ALREADY_REGISTERED),
        ([ANN, ("bo", Register("ann", ""))], Code.NAME_IN_USE),
        ([ANN, ("ann", Invite(("ann",)))], Code.INVALID),
        ([ANN, ("ann", Invite(("bo",)))], Code.NO_SUCH_USER),
        ([ANN, ("ann", Join("1"))], Code.NO_SUCH_CONVERSATION),
        ([ANN, ("ann", Leave("1"))], Code.NO_SUCH_CONVERSATION),
        ([ANN, ("ann", SendMessage("1", ""))], Code.NO_SUCH_CONVERSATION),
        ([*TALK, ("ann", SendMessage("1", ""))], Code.NOT_MEMBER),
        ([*TALK, CY, ("cy", Leave("1"))], Code.NOT_MEMBER),
        ([*TALK, ("bo", Leave("1")), ("bo", Leave("1"))], Code.NOT_MEMBER),
    ],
)
def test_a_request_that_fails_has_no_effect(steps: list[tuple[str, Request]], code: Code) -> None:
    """It is answered with one ERROR, and the world stays as it was."""
    before, _ = after(*steps[:-1])
    world, outputs = after(*steps)
    assert (world, [(o.to, o.item) for o in outputs]) == (before, [(steps[-1][0], code)])


def test_private_conversations_are_for_the_invited() -> None:
    """Who was not invited may not join."""
    _, outputs = after(*TALK, CY, ("cy", Join("1")), rules=PRIVATE)
    assert outputs[0].item is Code.NOT_INVITED


def test_an_initiator_may_have_only_so_many_conversations() -> None:
    """The limit counts living ones."""
    rules = Rules(limits=Limits(living=1))
    _, outputs = after(*TALK, ("ann", Invite(("bo",))), rules=rules)
    assert outputs[0].item is Code.TOO_MANY
