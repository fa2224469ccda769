"""Tests of `improto.client`: what a user knows from what was sent and received."""

import pytest

from improto.client import SILENCE, WAIT, Client, Liveness
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
    Response,
    SendMessage,
    Status,
)


def client(*traffic: Request | Response) -> Client:
    """Make a registered client that has sent and received this, all at second 0."""
    made = Client(0.0)
    for message in (Register("ann", "here"), OnlineUsers({"ann": "here"}), *traffic):
        if isinstance(message, Request):
            made.sent(message, 0.0)
        else:
            assert made.received(message, 0.0) is None
    return made


def test_registering() -> None:
    """One knows one's own name and status from REGISTER, and who is online from the first roster (CLIENT-4)."""
    ann = client()
    assert (ann.username, ann.status, ann.online) == ("ann", "here", {"ann": "here"})


def test_status() -> None:
    """One's own status is what one has asked for."""
    assert client(Status("away")).status == "away"


def test_rosters_replace() -> None:
    """Each roster replaces the one before, so who is missing in it is gone (CLIENT-7)."""
    ann = client(OnlineUsers({"ann": "", "bo": ""}), OnlineUsers({"ann": "", "cy": ""}))
    assert ann.online == {"ann": "", "cy": ""}


def test_roster_without_oneself() -> None:
    """A roster without oneself is reported and ignored (CLIENT-19)."""
    ann = client()
    assert ann.received(OnlineUsers({"bo": ""}), 0.0) == "a roster without ann"
    assert ann.online == {"ann": "here"}


def test_invitations() -> None:
    """Invitations are kept in the order of arrival until they are taken up or declined."""
    ann = client(Invitation("1", "bo"), Invitation("2", "ann"), Invitation("3", "cy"), Join("2"), Leave("3"))
    assert ann.invitations == {"1": "bo"}
    assert list(ann.joined) == ["2"]


@pytest.mark.parametrize(("many", "size"), [(20_000, 1), (20, 1_000_000)])
def test_too_many_invitations(many: int, size: int) -> None:
    """Invitations take a few megabytes at most: beyond that the oldest are forgotten, and the newest is always there."""
    ann = client()
    ids = [f"{number:0{size}}" for number in range(many)]
    for id in ids:
        assert ann.received(Invitation(id, "bo"), 0.0) is None
    kept = len(ann.invitations)
    assert 0 < kept < many
    assert list(ann.invitations) == ids[-kept:]
    assert sum(map(len, ann.invitations)) < 4_000_000
    assert kept > 1_000 or size > 1
    for id in list(ann.invitations):
        ann.sent(Leave(id), 0.0)
    for source in ("bo", "cy"):  # what was forgotten counts no more
        for id in ids[: kept // 2]:
            ann.received(Invitation(id, source), 0.0)
    assert list(ann.invitations) == ids[: kept // 2]
    ann.sent(ListConversations(), 0.0)
    ann.received(Conversations({}), 0.0)
    assert ann.invitations == {}


def test_message_of_a_conversation() -> None:
    """Messages make sense in conversations for which one has sent JOIN, also on their way at LEAVE (CLIENT-19)."""
    ann = client(Join("1"))
    assert ann.received(Message("1", "bo", "hi"), 0.0) is None
    ann.sent(Leave("1"), 0.0)
    assert ann.received(Message("1", "bo", "hi"), 0.0) is None
    reason = ann.received(Message("2", "bo", "hi"), 0.0)
    assert reason is not None
    assert "conversation 2" in reason


def test_list_puts_right() -> None:
    """A list tells which of the conversations one has asked to join one is really in, and adds none (CLIENT-10)."""
    ann = client(
        Join("1"), Join("2"), ListConversations(), Conversations({"1": ("bo",), "2": ("ann",), "3": ("ann",)})
    )
    assert list(ann.joined) == ["2"]
    assert ann.objection(SendMessage("3", "hi"))
    assert ann.conversations["1"] == ("bo",)


def test_list_and_later_requests() -> None:
    """What was asked after a list was asked for is not undone by that list."""
    ann = client(Join("1"), ListConversations(), Join("2"), Leave("1"), ListConversations(), Join("3"))
    ann.received(Conversations({"1": ("ann",), "2": (), "3": ()}), 0.0)
    assert list(ann.joined) == ["2", "3"]
    ann.received(Conversations({"1": (), "2": ("ann",), "3": ()}), 0.0)
    assert list(ann.joined) == ["2", "3"]


def test_list_drops_ended_invitations() -> None:
    """Invitations to conversations that have ended are dropped when a list shows it."""
    ann = client(Invitation("1", "bo"), Invitation("2", "bo"), ListConversations(), Conversations({"2": ()}))
    assert ann.invitations == {"2": "bo"}


def test_refused_list() -> None:
    """After a list that the server had no time for, the next one is compared with what was asked after it (FLOW-11)."""
    ann = client(Join("1"), ListConversations(), Join("2"), ListConversations(), Error("rate-limited: wait"))
    assert ann.received(Conversations({"1": ("ann",), "2": ()}), 0.0) is None
    assert list(ann.joined) == ["1"]


def test_list_after_a_refusal_of_something_else() -> None:
    """If it was an earlier request that the server had no time for, the list makes sense, and undoes nothing asked after it."""
    ann = client(Join("1"), ListConversations(), Error("rate-limited: wait"), Join("2"))
    assert ann.received(Conversations({"1": (), "2": ()}), 0.0) is None
    assert list(ann.joined) == ["2"]


def test_unasked_list() -> None:
    """A list that nobody asked for is reported and ignored (CLIENT-19)."""
    ann = client()
    assert ann.received(Conversations({"1": ("ann",)}), 0.0) is not None
    assert ann.conversations == {}


@pytest.mark.parametrize("request_", [Invite(("bo",)), SendMessage("1", "x"), Goodbye()])
def test_other_requests(request_: Request) -> None:
    """Other requests change nothing that one knows."""
    ann = client(request_)
    assert (ann.online, ann.invitations, ann.joined) == ({"ann": "here"}, {}, {})


def test_silence() -> None:
    """After a minute of silence one may ask, and half a minute later the server is lost (CONN-26, CONN-27)."""
    ann = client()
    assert ann.overdue(SILENCE - 0.1) is Liveness.FINE
    assert ann.overdue(SILENCE) is Liveness.ASK
    ann.sent(ListConversations(), SILENCE)
    assert ann.overdue(SILENCE + WAIT - 0.1) is Liveness.FINE
    assert ann.overdue(SILENCE + WAIT) is Liveness.LOST


def test_answered_silence() -> None:
    """An answer ends the doubt, and so does anything else that is heard."""
    ann = client()
    ann.sent(ListConversations(), SILENCE)
    ann.received(Message("1", "bo", "x"), SILENCE + 20)
    assert ann.overdue(SILENCE + WAIT) is Liveness.FINE
    ann.received(Conversations({}), SILENCE + WAIT)
    assert ann.overdue(SILENCE + WAIT + 1) is Liveness.FINE


@pytest.mark.parametrize("answer", [OnlineUsers({"ann": ""}), Error("name-in-use: x")])
def test_unanswered_register(answer: Response) -> None:
    """A server that does not answer REGISTER is lost after half a minute; one that does is not."""
    silent, good = Client(0.0), Client(0.0)
    for ann in (silent, good):
        ann.sent(Register("ann", ""), 0.0)
    good.received(answer, 1.0)
    assert silent.overdue(WAIT) is Liveness.LOST
    assert good.overdue(WAIT) is Liveness.FINE


def test_error_changes_nothing() -> None:
    """An ERROR leaves all that one knows as it was (CLIENT-14)."""
    ann = client(Join("1"), Error("no-such-conversation: gone"))
    assert list(ann.joined) == ["1"]


def test_objection() -> None:
    """A text to a conversation is objected to before JOIN and after LEAVE, and nothing else is (CLIENT-10, CLIENT-11)."""
    client = Client(0.0)
    say = SendMessage("7", "hi")
    assert client.objection(say)
    assert client.objection(Join("7")) is None
    client.sent(Join("7"), 1.0)
    assert client.objection(say) is None
    client.sent(Leave("7"), 2.0)
    assert client.objection(say)
