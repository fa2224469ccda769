"""Checks of how a client comes and goes."""

from functools import partial

from improto.messages import (
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
from improto_conformance.clients.lines import CLOSED
from improto_conformance.clients.stage import Stage

_EARLY: dict[str, Request] = {
    "status": Status("busy"),
    "invite": Invite(("bo",)),
    "join": Join("7"),
    "send": SendMessage("7", "hi"),
    "leave": Leave("7"),
    "list": ListConversations(),
}


@check("CLIENT-1", "REGISTER comes first, with the name that the client was given", alone=True)
def register_comes_first(stage: Stage) -> None:
    given = stage.name
    register = stage.register()
    if register.username != given:
        stage.complaints.append(f"the client was to register as {given!a}, and did as {register.username!a}")
    stage.deliver(stage.roster(status=register.status))


def _asked_early(request: Request, stage: Stage) -> None:
    stage.begin()
    stage.ask(request)
    stage.enter()


for _word, _request in _EARLY.items():
    check(
        "CLIENT-1",
        f"asked to {_word} first of all, the client sends nothing before REGISTER",
        name=f"{_word}-first",
    )(partial(_asked_early, _request))


@check("CLIENT-2", "a client that is registered does not send REGISTER again under the same name")
def the_same_name_again(stage: Stage) -> None:
    stage.enter()
    stage.ask(Register(stage.name, "here"))
    stage.request(Status("still here"))


@check("CLIENT-2", "nor later, when much has happened")
def another_name_later(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.serve(Error("invalid: text"), stage.roster())
    stage.tells(OnlineUsers)
    stage.ask(Register("cy", "here"))
    stage.request(SendMessage("7", "still me"))


_REFUSALS = {
    "name-in-use": "name-in-use: somebody has it",
    "forbidden": "forbidden: not you",
    "invalid": "invalid: username is too long",
    "an-unknown-code": "no-luck-today: come again",
    "plain-text": "Name already taken!",
    "no-words": "",
}


def _refused_then_registered(text: str, stage: Stage) -> None:
    stage.register()
    stage.deliver(Error(text))
    stage.name = "ann2"
    stage.enter()
    stage.request(Status("in the end"))


for _name, _text in _REFUSALS.items():
    check(
        "CLIENT-4",
        f"a REGISTER that is refused with {_text!a} is told of, and another name may be tried",
        name=f"refused-{_name}",
    )(partial(_refused_then_registered, _text))


@check("CLIENT-4", "two refusals in a row leave the client free to try a third name, with another status")
def refused_twice(stage: Stage) -> None:
    for name in ("ann", "ann2"):
        stage.name = name
        stage.register()
        stage.deliver(Error("name-in-use: taken"))
    stage.name = "ann3"
    stage.enter(status="at last")


@check("CLIENT-4", "a refused client is not registered, and sends nothing else")
def refused_is_not_registered(stage: Stage) -> None:
    stage.register()
    stage.deliver(Error("forbidden: no"))
    stage.ask(Join("7"))
    stage.ask(ListConversations())
    stage.enter()


@check("CLIENT-4", "a roster after the refusal does not make a success of it")
def roster_after_the_refusal(stage: Stage) -> None:
    stage.register()
    stage.serve(Error("name-in-use: somebody has it"), stage.roster("bo"))
    stage.tells(Error)
    stage.name = "ann2"
    stage.enter("ann", "bo")


@check(
    "CLIENT-4",
    "after a refusal a client goes on or closes, and sends nothing but REGISTER or GOODBYE",
    alone=True,
)
def refused_alone(stage: Stage) -> None:
    stage.register()
    stage.deliver(Error("name-in-use: somebody has it"))


@check("CLIENT-4", "the first roster may come together with what follows it", alone=True)
def roster_and_more_at_once(stage: Stage) -> None:
    register = stage.register()
    roster = OnlineUsers({register.username: register.status, "bo": "away"})
    stage.serve(roster, Invitation("7", "bo"), Error("invalid: what"), roster)


@check("CLIENT-4", "the first roster may have hundreds of others in it", alone=True)
def a_crowd_is_there_already(stage: Stage) -> None:
    stage.enter(*(f"user-{number}" for number in range(500)))


@check(
    "CLIENT-4",
    "an invitation before the first roster does not count as success, and what comes with the roster counts",
)
def invitation_before_roster(stage: Stage) -> None:
    stage.register()
    stage.serve(Invitation("7", "bo"))
    stage.deliver(stage.roster())
    stage.request(Status("now"))


@check("REGISTER-1", "REGISTER carries name and status as the user gave them, an empty status too")
def no_status(stage: Stage) -> None:
    stage.enter(status="")


@check("REGISTER-1", "REGISTER carries the longest name and status")
def longest_name_and_status(stage: Stage) -> None:
    stage.name = "n" * 64
    stage.enter(status="s" * 256)


@check("REGISTER-1", "REGISTER carries a name of letters and marks beyond ASCII, and a status in all planes")
def name_beyond_ascii(stage: Stage) -> None:
    stage.name = "Åsa 李 e\u0301 \U0001f600"
    stage.enter(status="\u00fc\u4e0d\U0001f40d")


@check("GOODBYE-1", "GOODBYE goes out, and the end that follows is told of as asked for")
def goodbye(stage: Stage) -> None:
    stage.enter()
    stage.request(Goodbye())
    stage.end()
    stage.tells(CLOSED)


@check("GOODBYE-1", "GOODBYE goes out where the answer to REGISTER has not come")
def goodbye_before_the_roster(stage: Stage) -> None:
    stage.register()
    stage.request(Goodbye())


@check("GOODBYE-1", "GOODBYE goes out after all that was sent before it")
def goodbye_last(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.ask(SendMessage("7", "x" * 8192))
    stage.ask(Goodbye())
    stage.sends(SendMessage)
    stage.sends(Goodbye)


def _asked_after_goodbye(request: Request, stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.request(Goodbye())
    stage.ask(request)


for _word, _request in {**_EARLY, "register": Register("ann", "back"), "goodbye": Goodbye()}.items():
    check(
        "CLIENT-21",
        f"asked to {_word} after GOODBYE, the client sends nothing",
        name=f"{_word}-after-goodbye",
    )(partial(_asked_after_goodbye, _request))


@check("CLIENT-21", "whatever still arrives after GOODBYE has no answer")
def served_after_goodbye(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.request(Goodbye())
    stage.serve(Message("7", "bo", "wait!"), Error("invalid: what"), Invitation("8", "bo"), stage.roster())
