"""Checks of what a client makes of what it does not know, cannot read, or cannot make sense of."""

import pickle
from collections.abc import Callable, Mapping
from functools import partial

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
from improto_conformance.clients.check import check
from improto_conformance.clients.lines import IGNORED
from improto_conformance.clients.oddities import LOST, MALFORMED, UNKNOWN, WRONG, WRONG_LISTS, Bytes
from improto_conformance.clients.stage import Stage


def _each(
    clause: str,
    oddities: Mapping[str, Bytes],
    title: str,
    stimulus: Callable[[Bytes, Stage], None],
    *,
    name: str = "{}",
    alone: bool = True,
) -> None:
    """Register a check of each; in the title and the name, `{}` stands for what is odd."""
    for odd, data in oddities.items():
        check(
            clause,
            title.format(odd.replace("-", " ")),
            name=name.format(odd),
            codecs=tuple(data),
            alone=alone,
        )(partial(stimulus, data))


def _between_rosters(data: Bytes, stage: Stage, times: int = 1) -> None:
    stage.enter("bo")
    for _ in range(times):
        stage.serve_bytes(data[stage.codec.name])
        stage.tells(IGNORED)
    stage.deliver(stage.roster("bo", "cy"))


_each(
    "CLIENT-6",
    UNKNOWN,
    "the client ignores an unknown command {}, and tells its user",
    _between_rosters,
    name="unknown-{}",
)

_PING = UNKNOWN["without-fields"]


@check("CLIENT-6", "a hundred unknown commands in a row change nothing", codecs=tuple(_PING), alone=True)
def unknown_often(stage: Stage) -> None:
    _between_rosters(_PING, stage, times=100)


@check(
    "CLIENT-6",
    "an unknown command before the first roster is ignored, and the roster counts",
    codecs=tuple(_PING),
    alone=True,
)
def unknown_before_the_roster(stage: Stage) -> None:
    register = stage.register()
    stage.serve_bytes(_PING[stage.codec.name])
    stage.deliver(OnlineUsers({register.username: register.status}))


@check("CLIENT-6", "after an unknown command the client does what its user wants", codecs=tuple(_PING))
def unknown_then_on(stage: Stage) -> None:
    stage.enter("bo")
    stage.serve_bytes(_PING[stage.codec.name])
    stage.tells(IGNORED)
    stage.join("7")
    stage.request(SendMessage("7", "never mind"))


check(
    "CLIENT-6",
    "the client ignores an unknown command with values of all types in the forms of protocol 2, and tells its user",
    name="unknown-with-values-of-protocol-2",
    codecs=("pickle",),
    alone=True,
)(
    partial(
        _between_rosters,
        {"pickle": b"WEATHER " + pickle.dumps([True, False, None, 1.5, 2**2100, (), {"a": (1, 2)}], 2)},
    )
)

_REQUESTS: tuple[Request, ...] = (
    Register("bo", "x"),
    Status("x"),
    Invite(("ann",)),
    Join("7"),
    SendMessage("7", "x"),
    Leave("7"),
    ListConversations(),
    Goodbye(),
)


def _request_served(request: Request, stage: Stage) -> None:
    stage.enter("bo")
    stage.serve(request)
    stage.tells(IGNORED)
    stage.deliver(stage.roster("bo", "cy"))


for _request in _REQUESTS:
    check(
        "CLIENT-6",
        f"{_request.COMMAND} from a server is a command that the client does not know",
        name=f"served-{_request.COMMAND.lower().replace('_', '-')}",
        alone=True,
    )(partial(_request_served, _request))

_each(
    "CLIENT-18",
    MALFORMED,
    "{} is malformed: the client tells its user, and reads the next message",
    _between_rosters,
)
_each(
    "CODEC-5",
    WRONG,
    "{} makes a message without effect: the client tells its user, and reads the next one",
    _between_rosters,
)


def _and_more_at_once(data: Bytes, stage: Stage) -> None:
    stage.enter("bo")
    stage.serve_bytes(data[stage.codec.name] + stage.encoded(stage.roster("bo", "cy")))
    stage.tells(OnlineUsers)


def _nothing_yet(data: Bytes, stage: Stage) -> None:
    stage.register()
    stage.serve_bytes(data[stage.codec.name])
    stage.serve(Invitation("7", "bo"))
    stage.deliver(stage.roster("bo"))


_STRAY = {"a-malformed-message": MALFORMED["what-is-no-message-at-all"]}

for _clause, _odd in (
    ("CLIENT-6", {"an-unknown-command": _PING}),
    ("CLIENT-18", _STRAY),
    ("CODEC-5", {"a-message-with-wrong-fields": WRONG["no-field-at-all"]}),
):
    _each(
        _clause,
        _odd,
        "what comes in one read with {} is read, too",
        _and_more_at_once,
        name="in-one-read-with-{}",
    )

for _clause, _odd in (
    ("CLIENT-18", _STRAY),
    ("CODEC-5", {"an-error-with-wrong-fields": WRONG["no-field-at-all"]}),
    ("CODEC-5", {"a-roster-with-wrong-fields": WRONG["a-status-that-is-no-text"]}),
):
    _each(
        _clause,
        _odd,
        "{} is no answer to REGISTER: the client waits for the first roster",
        _nothing_yet,
        name="no-answer-by-{}",
    )


def _wrong_reply(data: Bytes, stage: Stage) -> None:
    stage.enter("bo")
    stage.request(ListConversations())
    stage.serve_bytes(data[stage.codec.name])
    stage.tells(IGNORED)
    stage.serve_list()


_each(
    "CODEC-5",
    WRONG_LISTS,
    "{} makes a reply without effect: the client tells its user, and waits for the reply",
    _wrong_reply,
    alone=False,
)


def _framing_lost(data: Bytes, stage: Stage) -> None:
    stage.enter("bo")
    stage.serve_bytes(data[stage.codec.name])
    stage.read_to_end()


_each(
    "CLIENT-18",
    LOST,
    "{} loses the framing: the client tells so and closes",
    _framing_lost,
    name="lost-by-{}",
)

# Whoever makes the call has a text, and so an ERROR to tell of.
check(
    "PICKLE-3",
    "a call in a pickle is not made: the client tells of the loss of the framing and closes",
    name="call-in-a-pickle",
    codecs=("pickle",),
    alone=True,
)(partial(_framing_lost, {"pickle": b"ERROR cbuiltins\nstr\n(S'called'\ntR."}))

_SENSELESS: dict[str, tuple[Invitation | Message | OnlineUsers | Conversations, ...]] = {
    "message-of-an-invitation-only": (Invitation("7", "bo"), Message("7", "bo", "x")),
    "message-of-a-conversation-unheard-of": (Message("nowhere", "bo", "x"),),
    "empty-roster": (OnlineUsers({}),),
    "roster-with-a-name-like-ones-own": (OnlineUsers({"Ann": "x", "ann ": "y", "annn": "z"}),),
    "roster-with-a-name-that-looks-like-ones-own": (OnlineUsers({"ann\u200b": "x", "\uff41nn": "y"}),),
    "message-for-what-each-object-has": (Message("constructor", "bo", "x"), Message("__class__", "bo", "y")),
    "list-that-nobody-asked-for": (Conversations({"7": ("ann", "bo")}),),
}


def _senseless(
    messages: tuple[Invitation | Message | OnlineUsers | Conversations, ...], stage: Stage
) -> None:
    stage.enter("bo")
    stage.serve(*messages)
    stage.serve(stage.roster("bo", "cy"))


for _name, _messages in _SENSELESS.items():
    check(
        "CLIENT-19",
        f"the client ignores a {_name.replace('-', ' ')}, and tells its user",
        name=_name,
        alone=True,
    )(partial(_senseless, _messages))


@check("CLIENT-19", "a roster without a user whose name is an attribute that every object has is ignored")
def roster_without_what_objects_have(stage: Stage) -> None:
    stage.name = "constructor"
    stage.enter("bo")
    stage.serve(OnlineUsers({"bo": "x"}), stage.roster("cy"))


@check("CLIENT-19", "a roster with the user's name in another normal form is one without it")
def roster_with_ones_name_in_another_form(stage: Stage) -> None:
    stage.name = "Zoe\u0308"
    stage.enter("bo")
    stage.serve(OnlineUsers({"Zo\u00eb": "x", "bo": "y"}), stage.roster("cy"))


@check("CLIENT-19", "a roster without the user ends no membership and puts nobody offline")
def nothing_ends_by_a_roster_of_others(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.serve(OnlineUsers({"cy": "x"}))
    stage.tells(IGNORED)
    stage.request(SendMessage("7", "still here"))
    stage.request(Invite(("bo",)))


_BEFORE: dict[str, Message | Conversations | OnlineUsers] = {
    "message": Message("7", "bo", "x"),
    "list": Conversations({"7": ("ann",)}),
    "roster-of-others": OnlineUsers({"bo": "x"}),
}


def _before_the_roster(message: Message | Conversations | OnlineUsers, stage: Stage) -> None:
    register = stage.register()
    stage.serve(message)
    stage.deliver(OnlineUsers({register.username: register.status, "bo": "x"}))


for _name, _early in _BEFORE.items():
    check(
        "CLIENT-19",
        f"the client ignores a {_name.replace('-', ' ')} before the first roster, and tells its user",
        name=f"early-{_name}",
        alone=True,
    )(partial(_before_the_roster, _early))


@check(
    "CLIENT-19", "a message of a conversation that was left long ago may be told of or not, and harms nothing"
)
def message_long_after_leave(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.request(Leave("7"))
    stage.asks_for_list({"7": ("bo",)})
    stage.serve(Message("7", "bo", "still there?"), stage.roster())


@check("CLIENT-3", "an ERROR for what the client has sent is not answered, and nothing is sent again")
def error_is_not_answered(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.request(SendMessage("7", "hello"))
    stage.serve(Error("rate-limited: slow down"), Error("not-member: you are not in it"))
    stage.serve(Error("no-such-conversation: it is gone"))
