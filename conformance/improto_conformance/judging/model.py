"""The specification as a model: who is online, which conversations live, and what one request causes.

It is written from the specification alone, independently of any server, and it is pure: a `World` never changes, and
`handle` returns a new one together with everything that the request causes.  A label says who sent a request.  The wire,
time and slow readers are not part of the model.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

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
from improto_conformance.profile import DEFAULTS

__all__ = ["Effect", "Output", "Rules", "Talk", "User", "World", "handle", "leave_all"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a server declares."""

    private: bool = False
    limits: Limits = DEFAULTS


class User(NamedTuple):
    """A user who is online; one connection is one user."""

    connection: str
    name: str
    status: str


class Talk(NamedTuple):
    """A living conversation; its users are given by their connections."""

    id: str
    initiator: str
    members: tuple[str, ...]
    """In the order of joining."""
    holders: frozenset[str]
    """Who holds an invitation."""
    invited: frozenset[str]
    """Who was ever invited and is still online."""


class World(NamedTuple):
    """Everything that a server holds, always in the same order, so that equal worlds compare equal."""

    users: tuple[User, ...] = ()
    talks: tuple[Talk, ...] = ()
    used: frozenset[str] = frozenset()
    """The ids of all conversations, ended or not."""

    def user(self, connection: str) -> User | None:
        """Give the user of a connection, None before REGISTER and after the end."""
        return next((user for user in self.users if user.connection == connection), None)

    def named(self, name: str) -> User | None:
        """Give the user of a name."""
        return next((user for user in self.users if user.name == name), None)

    def talk(self, id: str) -> Talk | None:
        """Give a living conversation."""
        return next((talk for talk in self.talks if talk.id == id), None)

    @property
    def roster(self) -> dict[str, str]:
        """Who is online, with what status (PRESENCE-2)."""
        return {user.name: user.status for user in self.users}


class Output(NamedTuple):
    """What one connection must receive, and the clause that demands it."""

    to: str
    item: OnlineUsers | Invitation | Conversations | Message | Code | None
    """Of an ERROR only the code, or None if it may be any."""
    clause: str


class Effect(NamedTuple):
    """What a request causes."""

    world: World
    outputs: tuple[Output, ...] = ()


def handle(world: World, connection: str, request: Request, fresh: str, rules: Rules) -> Effect:
    """Let one request take effect; `fresh` is the id of the conversation that it makes, if it makes one."""
    me = world.user(connection)

    def refused(code: Code, clause: str) -> Effect:
        return Effect(world, (Output(connection, code, clause),))  # ERROR-3: no effect at all

    if isinstance(request, Goodbye):
        return Effect(leave_all(world, connection))  # GOODBYE-2, GOODBYE-3, GOODBYE-7
    if not _in_bounds(rules.limits, request):
        return refused(Code.INVALID, _bound(request))  # ERROR-6: before all that follows
    if isinstance(request, Register):
        if me is not None:
            return refused(Code.ALREADY_REGISTERED, "REGISTER-3")
        if world.named(request.username) is not None:
            return refused(Code.NAME_IN_USE, "REGISTER-4")
        return _register(world, connection, request)
    if me is None:
        return refused(Code.NOT_REGISTERED, "CONN-14")
    match request:
        case Status():
            users = tuple(
                user._replace(status=request.status) if user == me else user for user in world.users
            )
            return Effect(world._replace(users=users))  # STATUS-2, STATUS-3, STATUS-4
        case ListConversations():
            return Effect(world, (Output(connection, _listed(world, connection, rules), "LIST-3"),))
        case Invite():
            return _invite(world, me, request, fresh, rules)
        case Join():
            return _join(world, connection, request.conversation, rules)
        case SendMessage():
            return _say(world, me, request)
        case Leave():
            return _leave(world, connection, request.conversation)


def leave_all(world: World, connection: str) -> World:
    """Take the user of a connection offline, however the connection ended (GOODBYE-8)."""
    talks = [_left(talk, connection) for talk in world.talks]
    users = tuple(user for user in world.users if user.connection != connection)
    return world._replace(users=users, talks=_living(talks))


def _left(talk: Talk, connection: str) -> Talk:
    if connection not in talk.invited and connection not in talk.members and connection != talk.initiator:
        return talk
    return Talk(
        talk.id,
        "" if talk.initiator == connection else talk.initiator,  # counts for no initiator (LIMIT-18)
        tuple(each for each in talk.members if each != connection),
        talk.holders - {connection},
        talk.invited - {connection},
    )


@lru_cache(1024)
def _in_bounds(limits: Limits, request: Request) -> bool:
    """Tell whether all values are in bounds; the answer is cached, since a search asks again and again."""
    return limits.complaint(request) is None


def _bound(request: Request) -> str:
    """Name the clause of the bound that a request exceeds."""
    match request:
        case Register() | Status():
            return "LIMIT-10" if isinstance(request, Status) else "LIMIT-5"
        case SendMessage():
            return "LIMIT-11"
        case Invite():
            return "LIMIT-14"
        case _:
            return "LIMIT-13"


def _living(talks: list[Talk]) -> tuple[Talk, ...]:
    return tuple(talk for talk in talks if talk.members or talk.holders)  # CONV-1, CONV-2


def _changed(world: World, old: Talk, new: Talk) -> World:
    return world._replace(talks=_living([new if talk is old else talk for talk in world.talks]))


def _register(world: World, connection: str, request: Register) -> Effect:
    users = sorted((*world.users, User(connection, request.username, request.status)))
    world = world._replace(users=tuple(users))
    return Effect(world, (Output(connection, OnlineUsers(world.roster), "REGISTER-2"),))


def _listed(world: World, connection: str, rules: Rules) -> Conversations:
    names = {user.connection: user.name for user in world.users}
    return Conversations(
        {
            talk.id: tuple(names[member] for member in talk.members)  # LIST-6, LIST-7, LIST-8
            for talk in world.talks
            if not rules.private or connection in talk.invited or connection in talk.members  # LIST-5, LIST-9
        }
    )


def _invite(world: World, me: User, request: Invite, fresh: str, rules: Rules) -> Effect:
    def refused(code: Code, clause: str) -> Effect:
        return Effect(world, (Output(me.connection, code, clause),))

    names = dict.fromkeys(name for name in request.users if name != me.name)  # INVITE-4
    if not names:
        return refused(Code.INVALID, "INVITE-5")
    found = [world.named(name) for name in names]
    invited = [user.connection for user in found if user is not None]
    if len(invited) < len(names):
        return refused(Code.NO_SUCH_USER, "INVITE-6")
    if sum(talk.initiator == me.connection for talk in world.talks) >= rules.limits.living:
        return refused(Code.TOO_MANY, "LIMIT-18")
    everybody = frozenset({me.connection, *invited})
    talk = Talk(fresh, me.connection, (), everybody, everybody)
    said = Invitation(fresh, me.name)  # INVITATION-5
    outputs = (
        Output(me.connection, said, "INVITATION-3"),
        *(Output(each, said, "INVITATION-2") for each in invited),
    )
    talks = sorted((*world.talks, talk), key=lambda each: each.id)
    return Effect(world._replace(talks=tuple(talks), used=world.used | {fresh}), outputs)


def _join(world: World, connection: str, id: str, rules: Rules) -> Effect:
    talk = world.talk(id)
    if talk is None:
        return Effect(world, (Output(connection, Code.NO_SUCH_CONVERSATION, "JOIN-8"),))
    if connection in talk.members:
        return Effect(world)  # JOIN-9
    if rules.private and connection not in talk.invited:
        return Effect(world, (Output(connection, Code.NOT_INVITED, "JOIN-6"),))
    joined = talk._replace(members=(*talk.members, connection), holders=talk.holders - {connection})
    return Effect(_changed(world, talk, joined))  # JOIN-2, JOIN-10


def _say(world: World, me: User, request: SendMessage) -> Effect:
    talk = world.talk(request.conversation)
    if talk is None:
        return Effect(world, (Output(me.connection, Code.NO_SUCH_CONVERSATION, "SEND-5"),))
    if me.connection not in talk.members:
        return Effect(world, (Output(me.connection, Code.NOT_MEMBER, "SEND-6"),))
    said = Message(request.conversation, me.name, request.text)  # MESSAGE-2, MESSAGE-3, MESSAGE-4
    outputs = [Output(to, said, "SEND-3" if to == me.connection else "SEND-2") for to in talk.members]
    return Effect(world, tuple(outputs))


def _leave(world: World, connection: str, id: str) -> Effect:
    talk = world.talk(id)
    if talk is None:
        return Effect(world, (Output(connection, Code.NO_SUCH_CONVERSATION, "LEAVE-5"),))
    if connection not in talk.members and connection not in talk.holders:
        return Effect(world, (Output(connection, Code.NOT_MEMBER, "LEAVE-6"),))
    left = talk._replace(
        members=tuple(each for each in talk.members if each != connection),  # LEAVE-2
        holders=talk.holders - {connection},  # LEAVE-4
    )
    return Effect(_changed(world, talk, left))  # LEAVE-3, LEAVE-8
