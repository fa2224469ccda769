"""What three clients do at once with a server: scripts for users with drivers, and what is shown to the other clients."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from improto.messages import Error, Invitation, Invite, Join, Leave, Message, OnlineUsers, SendMessage, Status
from improto_conformance.pairs.stage import Stage
from improto_conformance.servers.party import Party

__all__ = ["DRIVEN", "SHOWN", "Session", "show"]

Session = Callable[[Stage], None]


def _texts(stage: Stage) -> None:
    users = stage.enter()
    id = stage.invite()
    for number, text in enumerate(_TEXTS):
        users[number % len(users)].ask(SendMessage(id, text))
        for user in users:
            user.hears(Message)


_TEXTS: Final = (
    "hello",
    "  two  spaces ",
    "",
    'a "quoted" \\ text',
    "line\nbreaks\r\n",
    "größer 漢字 \U0001f600",
    "x" * 2000,
)


def _leaving(stage: Stage) -> None:
    ann, bo, *_ = stage.enter()
    id = stage.invite()
    bo.ask(Leave(id))
    stage.barrier(bo)
    ann.ask(SendMessage(id, "without you"))
    stage.barrier(*stage.users)
    bo.ask(Join(id))
    stage.barrier(bo)
    ann.ask(SendMessage(id, "with you"))
    bo.hears(Message)


def _presence(stage: Stage) -> None:
    ann, bo, *others = stage.enter()
    for user, status in ((ann, "busy"), (bo, ""), (ann, "=, back \u202e")):
        user.ask(Status(status))
        for other in stage.users:
            other.hears(OnlineUsers, partial(_shows, user.name, status))
    for user in others:
        user.ends()
        ann.hears(OnlineUsers, partial(_shows, user.name, None))


def _shows(name: str, status: str | None, roster: OnlineUsers) -> bool:
    """Tell whether a roster shows a user with a status; with None, whether it does not show the user."""
    return roster.users.get(name) == status


def _errors(stage: Stage) -> None:
    ann, bo, *others = stage.enter()
    ann.ask(Join("no-such-conversation"))
    ann.hears(Error)
    bo.ask(Invite((ann.name, "nobody of this name")))
    bo.hears(Error)
    stage.barrier(ann, bo, *others)


def _at_once(stage: Stage) -> None:
    users = stage.enter()
    id = stage.invite()
    for number in range(20):
        for user in users:
            user.ask(SendMessage(id, f"{user.name} {number}"))
    stage.barrier(*users)


DRIVEN: Final[Mapping[str, Session]] = {
    "texts": _texts,
    "leaving": _leaving,
    "presence": _presence,
    "errors": _errors,
    "at-once": _at_once,
}
"""The sessions for clients with a driver."""


def show(guide: Party, names: Sequence[str]) -> None:
    """Let the guide show clients without a driver everything that there is to see."""
    guide.wait(
        lambda message: isinstance(message, OnlineUsers) and set(names) <= message.users.keys(),
        f"a roster with {', '.join(names)}",
    )
    guide.send(Invite(tuple(names)))
    id = guide.wait_for(Invitation).conversation
    guide.send(Join(id))
    guide.barrier()
    for text in ("hello", "  two  spaces ", "", "größer 漢字 \U0001f600"):
        guide.send(SendMessage(id, text), Status(text))
        guide.wait_for(Message)
        guide.wait_to_see(guide.name, text)
    guide.send(Leave(id))
    guide.barrier()


SHOWN: Final = "shown"
"""The session for clients without a driver."""
