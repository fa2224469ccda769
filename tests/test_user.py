"""Tests of `improto.user`: what each binding's client has in common, driven as a binding drives it."""

import math
from collections.abc import Callable
from typing import cast

import pytest

from improto.client import Timeouts
from improto.codec import load
from improto.errors import CannotConnect, Lost, Refused, UsageError
from improto.messages import (
    AnyMessage,
    Conversations,
    Error,
    Goodbye,
    Invitation,
    Join,
    ListConversations,
    Message,
    OnlineUsers,
    Register,
    SendMessage,
    Status,
)
from improto.states import State
from improto.user import Backoff, Item, Reconnected, User
from improto.wire import Fault

JSON = load("json")
ROSTER = OnlineUsers({"ann": ""})


def line(*messages: AnyMessage) -> bytes:
    """Give messages as they are on the wire."""
    return b"".join(JSON.frame(JSON.encode(message)) for message in messages)


@pytest.mark.parametrize("seconds", [-1.0, math.inf, math.nan])
def test_no_backoff(seconds: float) -> None:
    """What is no time to wait is refused, before a client tries again without end, or never."""
    with pytest.raises(UsageError, match="first"):
        Backoff(first=seconds)
    with pytest.raises(UsageError, match="most"):
        Backoff(most=seconds)


def test_no_timeouts() -> None:
    """A number in place of `Timeouts` is refused, since it does not say what is to be done in that time."""
    with pytest.raises(UsageError, match=r"timeouts=Timeouts\(reply=5\.0\)"):
        User(JSON, 0.0, timeouts=cast(Timeouts, 5.0))


def online(backoff: Backoff | None = None) -> User:
    """Give a user who is registered and has looked at the roster."""
    user = User(JSON, 0.0, backoff)
    user.register(Register("ann", ""), 0.0)
    user.read(line(ROSTER), 0.0)
    assert told(user) == [ROSTER]
    return user


def told(user: User) -> list[Item]:
    """Take all that arrived."""
    return list(iter(user.next, None))


def test_register() -> None:
    """A call to register gives the roster, which is told as well, for it is news."""
    user = User(JSON, 0.0)
    call = user.register(Register("ann", "here"), 0.0)
    assert call.data == line(Register("ann", "here"))
    assert not call.done
    user.read(line(ROSTER), 0.0)
    assert (call.reply, call.error) == (ROSTER, None)
    assert told(user) == [ROSTER]
    assert user.state is State.REGISTERED


@pytest.mark.parametrize(
    ("heard", "hint"),
    [
        (b"", True),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", True),
        (line(ROSTER), False),
        (line(ROSTER) + b"nonsense\n", False),
    ],
)
def test_end_before_anything_was_said(heard: bytes, *, hint: bool) -> None:
    """Who is closed or broken off without a message is told what the server may want; who has heard one is not."""
    closed, broken = User(JSON, 0.0), User(JSON, 0.0)
    for user in (closed, broken):
        user.register(Register("ann", ""), 0.0)
        if heard:
            user.read(heard, 0.0)
    closed.read(b"", 0.0)
    broken.broke("reset")
    for user in (closed, broken):
        assert isinstance(user.error, Lost)
        assert ("certificate (--tls-cert FILE, or tls=" in str(user.error)) is hint
        assert ("WebSocket (ws:// or wss://), or another codec" in str(user.error)) is hint


def test_refused() -> None:
    """A refusal goes to the call alone, with its code, and another name may be tried on the same connection."""
    user = User(JSON, 0.0)
    call = user.register(Register("ann", ""), 0.0)
    user.read(line(Error("name-in-use: take another")), 0.0)
    assert isinstance(call.error, Refused)
    assert call.error.code == "name-in-use"
    assert told(user) == []
    assert user.standing
    again = user.register(Register("bo", ""), 0.0)
    user.read(line(OnlineUsers({"bo": ""})), 0.0)
    assert again.reply is not None


def test_senseless_roster() -> None:
    """A roster without the user is a Fault and no reply; the next one is."""
    user = User(JSON, 0.0)
    call = user.register(Register("ann", ""), 0.0)
    user.read(line(OnlineUsers({"bo": ""})), 0.0)
    assert not call.done
    user.read(line(ROSTER), 0.0)
    assert call.reply == ROSTER
    assert [type(item) for item in told(user)] == [Fault, OnlineUsers]


def test_replies_in_order() -> None:
    """Each list goes to whoever asked for it: to a call alone, or to be told."""
    user = online()
    first, _, last = (
        user.list_conversations(1.0),
        user.request(ListConversations(), 1.0),
        user.list_conversations(1.0),
    )
    lists = [Conversations({"1": ()}), Conversations({"2": ()}), Conversations({"3": ()})]
    user.read(line(lists[0], Invitation("3", "bo"), lists[1]), 1.0)
    assert first.reply == lists[0]
    assert not last.done
    user.read(line(lists[2]), 1.0)
    assert last.reply == lists[2]
    assert told(user) == [Invitation("3", "bo"), lists[1]]


def test_list_refused() -> None:
    """A list that the server has no time for ends the call that has waited longest, and the next list goes to the next (FLOW-11)."""
    user = online()
    refused, answered = user.list_conversations(1.0), user.list_conversations(1.0)
    error = Error("rate-limited: wait")
    user.read(line(error, Conversations({"2": ()})), 1.0)
    assert isinstance(refused.error, Refused)
    assert refused.error.code == "rate-limited"
    assert answered.reply == Conversations({"2": ()})
    assert told(user) == [error]  # since it may be about something that was sent before


def test_list_after_a_refusal_of_something_else() -> None:
    """If it was an earlier request that the server had no time for, the list that nobody waits for any more is told."""
    user = online()
    user.request(Join("1"), 1.0)
    call = user.list_conversations(1.0)
    error, late = Error("rate-limited: wait"), Conversations({"1": ()})
    user.read(line(error, late), 1.0)
    assert isinstance(call.error, Refused)
    assert told(user) == [error, late]
    assert user.view.joined == {}
    last = user.list_conversations(1.0)
    user.read(line(Conversations({})), 1.0)
    assert last.reply == Conversations({})


def test_other_errors_refuse_no_list() -> None:
    """No other ERROR answers a list, and this one none if nobody has asked for a list."""
    user = online()
    user.read(line(Error("rate-limited: wait")), 1.0)
    call = user.list_conversations(1.0)
    user.read(line(Error("no-such-conversation: 1"), Error("wait"), Conversations({})), 1.0)
    assert call.reply == Conversations({})


def test_sign_of_life() -> None:
    """A server that is silent for a minute is asked; its answer is told to nobody, its silence is a loss (CONN-26, CONN-27)."""
    user = online()
    assert user.overdue(59.0) == b""
    assert user.overdue(60.0) == line(ListConversations())
    user.read(line(Conversations({})), 61.0)
    assert told(user) == []
    assert user.overdue(121.0) == line(ListConversations())
    assert user.overdue(150.0) == b""
    assert user.standing
    user.overdue(151.0)
    assert user.over
    assert isinstance(user.error, Lost)


def test_refusal_is_a_sign_of_life() -> None:
    """A server that has no time for an answer to that is alive."""
    user = online()
    user.overdue(60.0)
    user.read(line(Error("rate-limited: wait")), 61.0)
    assert user.overdue(120.9) == b""
    assert user.overdue(121.0) == line(ListConversations())
    user.read(line(Conversations({})), 122.0)
    assert told(user) == [Error("rate-limited: wait")]


def test_lost() -> None:
    """At the end of the stream what waits for a reply gets the loss, what arrived is still told, and nothing can be sent."""
    user = online()
    call = user.list_conversations(0.0)
    user.read(line(Invitation("1", "bo")) + b'{"type":"MESS', 0.0)
    user.read(b"", 0.0)
    assert isinstance(call.error, Lost)
    assert told(user) == [Invitation("1", "bo")]
    assert user.over
    assert user.error is call.error
    with pytest.raises(Lost):
        user.request(Join("1"), 0.0)


def test_goodbye() -> None:
    """After GOODBYE the end of the connection is in order, however it ends (CLIENT-20)."""
    for end in ("end of stream", "reset", "close"):
        user = online()
        user.request(Goodbye(), 0.0)
        if end == "end of stream":
            user.read(b"", 0.0)
        elif end == "reset":
            user.lost("reset")
        else:
            user.close()
        assert user.over
        assert user.error is None
        with pytest.raises(UsageError):
            user.request(Join("1"), 0.0)


def test_fatal_fault() -> None:
    """Bytes behind which nothing can be read are told, and the connection is lost (CLIENT-18)."""
    user = User(load("pickle"), 0.0)
    user.read(b"MESSAGE cposix\nsystem\n.", 0.0)
    assert [type(item) for item in told(user)] == [Fault]
    assert isinstance(user.error, Lost)


def test_new_connection_after_a_fatal_fault() -> None:
    """Who was registered is connected again behind such bytes, too, and is told of the conversations before."""
    pickle = load("pickle")
    user = User(pickle, 0.0, Backoff())
    user.register(Register("ann", ""), 0.0)
    user.read(pickle.encode(ROSTER), 0.0)
    user.request(Join("1"), 0.0)
    user.read(b"MESSAGE cposix\nsystem\n.", 0.0)
    assert not user.over
    assert user.delay(0.0) is not None
    assert user.connected(1.0) == pickle.encode(Register("ann", ""))
    user.read(pickle.encode(ROSTER), 1.0)
    assert told(user)[-2:] == [Reconnected(("1",)), ROSTER]


def test_full() -> None:
    """Nothing more is to be read when a megabyte is not looked at, unless a call waits for what comes behind it."""
    user = online()
    user.request(Join("1"), 0.0)
    text = Message("1", "bo", "x" * 1000)
    while not user.full:
        user.read(line(text), 0.0)
    assert len(list(iter(user.next, None))) in range(900, 1100)
    assert not user.full
    while not user.full:
        user.read(line(text), 0.0)
    call = user.list_conversations(0.0)
    assert not user.full
    user.read(line(Conversations({})), 0.0)
    assert call.done
    assert user.full
    user.request(Goodbye(), 0.0)
    assert not user.full  # what comes now is discarded


def test_full_of_nonsense() -> None:
    """What makes no sense fills no more memory than messages do, however short it is."""
    user = online()
    while not user.full:
        user.read(b"{}\n", 0.0)
    assert len(told(user)) < 5000


def test_replies_are_looked_at() -> None:
    """What calls have got does not count as not looked at, whatever waits beside it."""
    user = online()
    user.read(line(ROSTER), 0.0)
    lists = Conversations({str(number): ("x" * 60,) * 60 for number in range(100)})
    for _ in range(10):
        call = user.list_conversations(0.0)
        user.read(line(lists), 0.0)
        assert call.done
    assert not user.full
    assert told(user) == [ROSTER]


def test_misuse() -> None:
    """A request that may not be sent raises before anything goes out (CLIENT-10)."""
    user = online()
    with pytest.raises(UsageError, match="JOIN conversation 1"):
        user.request(SendMessage("1", "hi"), 0.0)
    with pytest.raises(UsageError):
        user.register(Register("bo", ""), 0.0)


def test_loss_told_again_and_again() -> None:
    """However often a loss is raised, its traceback tells of the last time only."""
    user = online()
    calls = [user.list_conversations(0.0) for _ in range(2)]
    user.lost("reset")

    def told_by(what: Callable[[], object]) -> int:
        with pytest.raises(Lost) as told:
            what()
        return len(told.traceback)

    assert told_by(calls[0].result) == told_by(calls[1].result)
    once = told_by(lambda: user.request(Status("away"), 0.0))
    assert told_by(lambda: user.request(Status("away"), 0.0)) == once


def test_backoff() -> None:
    """Each wait is twice as long as the one before up to a bound, and chance takes up to half of it away."""
    backoff = Backoff(first=1.0, most=5.0, attempts=5)
    assert [backoff.delay(attempt, 0.0) for attempt in range(6)] == [1.0, 2.0, 4.0, 5.0, 5.0, None]
    assert [backoff.delay(attempt, 1.0) for attempt in range(3)] == [0.5, 1.0, 2.0]
    assert Backoff().delay(10_000, 0.0) == 30.0


def test_reconnect() -> None:
    """With a backoff, a loss leads to a new connection, on which the user registers again and is told of it."""
    user = online(Backoff(first=1.0))
    user.request(Join("7"), 0.0)
    user.lost("reset")
    assert not user.standing
    assert not user.over
    with pytest.raises(Lost):
        user.request(ListConversations(), 0.0)
    assert user.delay(0.0) == 1.0
    user.failed(CannotConnect("no server"))
    assert user.delay(0.0) == 2.0
    assert user.connected(10.0) == line(Register("ann", ""))
    user.read(line(ROSTER), 10.0)
    assert told(user) == [Reconnected(("7",)), ROSTER]
    assert user.view.joined == {}
    user.lost("reset")
    assert user.delay(0.0) == 1.0


def test_requests_between_two_connections() -> None:
    """Until the user is registered on a new connection, each request raises Lost, whatever went wrong meanwhile."""
    user = online(Backoff())

    def refused() -> None:
        for request in (Status("away"), ListConversations(), SendMessage("7", "hi"), Goodbye()):
            with pytest.raises(Lost):
                user.request(request, 0.0)
        with pytest.raises(Lost):
            user.register(Register("ann", ""), 0.0)
        with pytest.raises(Lost):
            user.list_conversations(0.0)

    user.lost("reset")
    refused()
    user.delay(0.0)
    refused()
    user.failed(CannotConnect("no server"))
    refused()
    user.delay(0.0)
    user.connected(0.0)
    with pytest.raises(Lost):
        user.request(Status("away"), 0.0)
    with pytest.raises(Lost):
        user.list_conversations(0.0)
    user.read(line(Error("name-in-use: wait")), 0.0)
    refused()
    user.delay(0.0)
    user.connected(0.0)
    assert user.request(Goodbye(), 0.0) == line(Goodbye())


@pytest.mark.parametrize(("asked", "status"), [("away", "away"), ("s" * 257, "")])
def test_reconnect_with_status(asked: str, status: str) -> None:
    """On a new connection the user has the status that was asked for last, unless no server takes it (LIMIT-10)."""
    user = online(Backoff(first=1.0))
    user.request(Status(asked), 0.0)
    user.lost("reset")
    user.delay(0.0)
    assert user.connected(10.0) == line(Register("ann", status))


def test_no_roster_again() -> None:
    """On the new connection, too, the roster is waited for as long as for a reply, and then another one is made."""
    user = User(JSON, 0.0, Backoff(first=1.0), Timeouts(reply=5.0))
    user.register(Register("ann", ""), 0.0)
    user.read(line(ROSTER), 0.0)
    assert user.look == 10.0
    user.lost("reset")
    user.delay(0.0)
    user.connected(10.0)
    assert user.look == 5.0
    assert user.overdue(14.9) == b""
    assert user.standing
    assert user.overdue(15.0) == b""
    assert not user.standing
    assert isinstance(user.error, Lost)
    assert user.delay(0.0) == 2.0
    user.connected(20.0)
    user.read(line(ROSTER), 21.0)
    assert user.overdue(30.0) == b""
    assert user.standing
    assert user.look == 10.0


@pytest.mark.parametrize("code", ["name-in-use", "too-many", "forbidden"])
def test_refused_for_now(code: str) -> None:
    """On the new connection, a name that the server still holds is tried again, as is a server that is full, which has been
    reached with too many connections, or cannot decide about anybody (FLOW-13); a refusal for good ends it all.
    """
    user = online(Backoff(first=1.0))
    user.lost("reset")
    user.delay(0.0)
    user.connected(0.0)
    user.read(line(Error(f"{code}: x")), 0.0)
    assert not user.standing
    assert user.delay(0.0) == 2.0
    user.connected(0.0)
    user.read(line(Error("invalid: names have less than three letters now")), 0.0)
    assert user.over
    assert isinstance(user.error, Refused)
    assert user.delay(0.0) is None
    assert told(user) == []


def test_put_out() -> None:
    """Whom the server has put out does not come again by itself, and who is lost for another reason does (ERROR-10)."""
    user = online(Backoff())
    user.read(line(Error("forbidden: you have connected from elsewhere")), 0.0)
    user.read(b"", 0.0)
    assert user.over
    assert isinstance(user.error, Lost)
    assert user.delay(0.0) is None
    assert told(user) == [Error("forbidden: you have connected from elsewhere")]
    user = online(Backoff())
    user.read(line(Error("forbidden: but go on")) + line(ROSTER), 0.0)
    user.read(b"", 0.0)
    assert not user.over


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (Error("forbidden: spam"), "forbidden"),
        (Error("shutting-down: back soon"), "shutting-down"),
        (Error("no-such-user: bo"), None),
        (ROSTER, None),
    ],
)
def test_last_word(last: AnyMessage, code: str | None) -> None:
    """Lost tells with which ERROR the server has ended the connection, if the last message was such a one."""
    user = online()
    user.read(line(Error("timeout: so it seems"), last), 0.0)
    user.read(b"", 0.0)
    assert isinstance(user.error, Lost)
    assert user.error.code == code
    assert str(user.error) == "the server has closed the connection" + (f" ({code})" if code else "")


def test_connected_before_register() -> None:
    """There is no new connection for a user who has never registered."""
    with pytest.raises(UsageError, match="register"):
        User(JSON, 0.0).connected(0.0)


def test_giving_up() -> None:
    """When the attempts are used up, the reason of the last one is the error."""
    user = online(Backoff(attempts=1))
    user.lost("reset")
    assert user.delay(0.0) is not None
    user.failed(CannotConnect("no server"))
    assert user.delay(0.0) is None
    assert user.over
    assert isinstance(user.error, CannotConnect)


@pytest.mark.parametrize("registered", [True, False])
def test_no_new_connection(*, registered: bool) -> None:
    """There is no new connection after the user's own end, nor for who was never registered."""
    user = online(Backoff()) if registered else User(JSON, 0.0, Backoff())
    if registered:
        user.close()
    else:
        user.lost("reset")
    assert user.over
    assert user.delay(0.0) is None


def test_codec_that_raises() -> None:
    """What a codec raises that it must not is told to whoever waits, and no new connection is made."""
    user = online(Backoff())
    call = user.list_conversations(0.0)
    error = KeyError("odd")
    user.failed_to_read(error)
    assert isinstance(call.error, Lost)
    assert "KeyError('odd')" in str(call.error)
    assert call.error.__cause__ is error
    assert user.over
    assert user.delay(0.5) is None
