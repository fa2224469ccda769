"""Tests of abstract transcripts: what is left of one without what differs from run to run."""

from improto.messages import (
    AnyMessage,
    Conversations,
    Error,
    Invitation,
    Invite,
    Join,
    ListConversations,
    Message,
    OnlineUsers,
    Register,
    SendMessage,
)
from improto_conformance.transcripts.abstract import abstract
from improto_conformance.transcripts.transcript import Entry, Event, Transcript


def story(suffix: str, id: str, *, swapped: bool = False, rosters: int = 1) -> Transcript:
    """Give a transcript that differs from another one in what does not matter only."""
    ann, bo = f"ann{suffix}", f"bo{suffix}"
    said = [Message(id, ann, "1"), Message(id, bo, "2")]

    def sent(party: str, message: AnyMessage) -> Entry:
        return Entry(party, Event.SENT, message)

    def received(party: str, message: AnyMessage) -> Entry:
        return Entry(party, Event.RECEIVED, message)

    return Transcript(
        suffix,
        [
            sent("ann", Register(ann, "here")),
            *[received("ann", OnlineUsers({ann: "here", f"x{n}": ""})) for n in range(rosters)],
            Entry("", Event.MARK, "here"),
            sent("ann", Invite((bo, f"nobody{suffix}"))),
            received("ann", Error(f"no-such-user: {suffix}")),
            received("bo", Invitation(id, ann)),
            sent("bo", SendMessage(id, id)),
            *[received("ann", message) for message in (reversed(said) if swapped else said)],
            received("ann", Conversations({id: (ann, bo), "of others": ("x",)})),
            Entry("ann", Event.RAW, suffix.encode(), 0.5, suffix.encode()),
            Entry("ann", Event.CLOSED, "closed"),
        ],
    )


def test_lines() -> None:
    """Users and conversations are called by their places, an ERROR by its code, and texts are kept."""
    assert abstract(story(".7", "42")) == {
        "party 1": [
            "sends REGISTER user 1 'here'",
            "receives ONLINE_USERS",
            "sends INVITE [user 2, 'nobody']",
            "receives ERROR no-such-user",
            "receives MESSAGE conversation 1 user 1 '1'",
            "receives MESSAGE conversation 1 user 2 '2'",
            "receives CONVERSATIONS conversation 1: [user 1, user 2]",
            "sends bytes",
            "is closed",
        ],
        "party 2": ["sends SEND_MESSAGE conversation 1 '42'", "receives INVITATION conversation 1 user 1"],
    }


def test_what_does_not_matter() -> None:
    """Names, ids, bytes, further rosters and the order of several senders' messages make no difference."""
    one, other = abstract(story(".7", "42")), abstract(story(".13", "id", swapped=True, rosters=3))
    one["party 2"][0] = other["party 2"][0] = "a text that happens to be the id"
    assert one == other


def test_an_id_of_nobody() -> None:
    """An id that was not announced stays as it is."""
    seen = Transcript(entries=[Entry("ann", Event.SENT, Join("7"))])
    assert abstract(seen) == {"party 1": ["sends JOIN '7'"]}


def test_how_much_has_been_read() -> None:
    """What comes unasked may have been read before a request is sent, or after it, but not beyond the next reply."""
    request = Entry("ann", Event.SENT, ListConversations())
    one, other = (Entry("ann", Event.RECEIVED, Message("7", "bo", text)) for text in "12")
    reply = Entry("ann", Event.RECEIVED, Conversations({}))
    early, late, too_late = (
        Transcript(entries=entries)
        for entries in (
            [one, other, request, reply],
            [one, request, other, reply],
            [one, request, reply, other],
        )
    )
    assert abstract(early) == abstract(late) != abstract(too_late)


def test_what_users_do() -> None:
    """What a client's user asks for, and is told, does not pass on the connection."""
    plain = story(".7", "42")
    driven = story(".7", "42")
    driven.entries[1:1] = [Entry("ann", Event.ASKED, '{"do": "goodbye"}'), Entry("cy", Event.TOLD, "{}")]
    assert abstract(driven) == abstract(plain)
