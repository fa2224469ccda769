"""Names the clause that something received violates: the part of blaming that reads like the specification.

Several clauses often forbid the same thing.  The most specific clause that applies is named.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from improto.messages import (
    Code,
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
from improto_conformance.judging.asked import Hearing
from improto_conformance.judging.model import Output, World
from improto_conformance.judging.scope import Scope

__all__ = ["Scene", "instead", "refused", "uncaused"]


@dataclass(frozen=True)
class Scene:
    """Where a fault was seen: the connection, the entry, and the state at that time."""

    one: Hearing
    index: int
    world: World
    hearings: Sequence[Hearing]
    scope: Scope

    @property
    def before(self) -> Sequence[Response | str | None]:
        """What the connection had received."""
        return [each.item for each in self.one.heard if each.index < self.index]

    @property
    def after(self) -> Sequence[Response | str | None]:
        """What it received later."""
        return [each.item for each in self.one.heard if each.index > self.index]

    def asked(self, party: str | None = None) -> Iterator[tuple[int, str, Request]]:
        """Give the requests before, of all or of one: the entry, the connection, the request."""
        for one in self.hearings:
            for each in one.asked:
                if each.index < self.index and isinstance(each.item, Request) and party in (None, one.party):
                    yield each.index, one.party, each.item

    def party(self, username: str) -> str | None:
        """Give the connection that asked for a username last."""
        found = [
            who for _, who, item in self.asked() if item == Register(username, getattr(item, "status", ""))
        ]
        return found[-1] if found else None

    def move(self, party: str | None, id: str) -> tuple[int, Request] | None:
        """Give the last JOIN or LEAVE that a connection sent for a conversation."""
        moves = [(since, item) for since, _, item in self.asked(party) if item in (Join(id), Leave(id))]
        return moves[-1] if party is not None and moves else None


def instead(scene: Scene, request: Request | None, output: Output, got: Response | None) -> str:
    """Name the clause that is violated if `got` came instead of an output of a request."""
    match output.item, got:
        case _, None:
            return _ended(scene, output)
        case Message() as wanted, Message():
            return _said_otherwise(scene, output, wanted, got)
        case Conversations(wanted), Conversations(conversations):
            return _listed_otherwise(scene, wanted, conversations)
        case OnlineUsers(), OnlineUsers(users):
            return _shown_otherwise(scene, users, first=True)
        case Invitation() as wanted, Invitation():
            if wanted.source != got.source:
                return "INVITATION-5"
            if got.conversation not in scene.world.used:
                return "CONV-5"
            return "CONV-3" if scene.world.talk(got.conversation) is None else "INVITE-3"
        case Code(), _:
            return output.clause
        case _, Error() if not isinstance(request, ListConversations | None):
            return refused(scene, request, got)
        case (Conversations(), _) | (_, OnlineUsers()):
            return uncaused(scene, got)
        case _:
            return output.clause


def refused(scene: Scene, request: Request, got: Error) -> str:
    """Name the clause by which a request should have succeeded that got an ERROR."""
    match request:
        case Join(id) | Leave(id) | SendMessage(id) if got.code == Code.NO_SUCH_CONVERSATION:
            return "CONV-1" if scene.world.talk(id) is not None else "ERROR-4"
        case Join(id):
            talk, party = scene.world.talk(id), scene.one.party
            if talk is not None and party in talk.members:
                return "JOIN-9"
            if talk is not None and party in talk.invited and scene.scope.rules.private:
                return "JOIN-7"
            left = any(item == Leave(id) for _, _, item in scene.asked(party))
            return "LEAVE-7" if left else "JOIN-4" if got.code in _FOR_STRANGERS else "JOIN-10"
        case Leave(id):
            talk = scene.world.talk(id)
            return "LEAVE-4" if talk is not None and scene.one.party in talk.holders else "LEAVE-8"
        case SendMessage():
            return "LIMIT-11" if got.code == Code.INVALID else "SEND-3"
        case Invite(users):
            return "INVITE-4" if _has_doubles(scene, users) else "INVITE-2"
        case Register(username):
            if got.code == Code.NAME_IN_USE:
                gone = any(item == Goodbye() for _, _, item in scene.asked(scene.party(username)))
                return "GOODBYE-4" if gone else "REGISTER-2"
            return "LIMIT-5" if got.code == Code.INVALID else "REGISTER-2"
        case Status():
            return "LIMIT-10" if got.code == Code.INVALID else "STATUS-4"
        case Goodbye():
            return "GOODBYE-3"
        case ListConversations():
            return "LIST-3"


_FOR_STRANGERS = (Code.NOT_INVITED, Code.NOT_MEMBER)


def uncaused(scene: Scene, got: Response | None) -> str:
    """Name the clause that is violated by something that nothing has caused."""
    match got:
        case Message():
            return _unsaid(scene, got)
        case Invitation(id, source):
            if got in scene.before:
                invites = [
                    item for _, _, item in scene.asked(scene.party(source)) if isinstance(item, Invite)
                ]
                if any(_has_doubles(scene, item.users, source) for item in invites):
                    return "INVITE-4"
                return "INVITATION-3" if scene.party(source) == scene.one.party else "INVITATION-2"
            if scene.party(source) is None:
                return "INVITATION-5"
            return "CONV-3" if id in scene.world.used and scene.world.talk(id) is None else "INVITATION-4"
        case Conversations():
            return "LIST-3" if any(isinstance(item, Conversations) for item in scene.before) else "LIST-4"
        case OnlineUsers(users):
            return _shown_otherwise(scene, users, first=False)
        case Error():
            others = [each.item for one in scene.hearings if one is not scene.one for each in one.heard]
            return "ERROR-5" if got in others else "ERROR-4"
        case None:
            return "ERROR-7" if scene.before and isinstance(scene.before[-1], Error) else "CONN-1"


def _has_doubles(scene: Scene, users: Sequence[str], source: str | None = None) -> bool:
    me = scene.world.user(scene.one.party)
    names = {*users} - {source or (me.name if me is not None else "")}
    return len(names) < len(users)


def _ended(scene: Scene, output: Output) -> str:
    asked = [item for _, _, item in scene.asked(scene.one.party)]
    if scene.before and isinstance(scene.before[-1], Error):
        return "ERROR-7"
    if asked and isinstance(asked[-1], Goodbye):  # or the half-close, which is one
        return "GOODBYE-5"
    return output.clause


def _said_otherwise(scene: Scene, output: Output, wanted: Message, got: Message) -> str:
    match (wanted.conversation != got.conversation, wanted.sender != got.sender, wanted.text != got.text):
        case True, False, False:
            return "MESSAGE-3" if got.conversation in scene.scope.announced else "CONV-5"
        case False, True, False:
            return "MESSAGE-2"
        case False, False, True if not _is_said(scene, got):
            return "MESSAGE-4"
        case _:
            pass
    if not _is_said(scene, got):
        return _unsaid(scene, got)
    if got in scene.before:
        return "MESSAGE-6"
    return "MESSAGE-5" if wanted in scene.after else output.clause


def _is_said(scene: Scene, got: Message) -> bool:
    party = scene.party(got.sender)
    return any(
        item == SendMessage(got.conversation, got.text)
        for _, _, item in (scene.asked(party) if party is not None else ())
    )


def _unsaid(scene: Scene, got: Message) -> str:
    """Name the clause that is violated by a message that should not have come in any case."""
    if got in scene.before:
        return "MESSAGE-6"
    if got.conversation not in scene.scope.announced:
        return "CONV-5"
    if not _is_said(scene, got):
        speakers = [(who, item) for _, who, item in scene.asked() if isinstance(item, SendMessage)]
        if any(item.text == got.text for _, item in speakers):
            return "MESSAGE-2"
        sender = scene.party(got.sender)
        move = scene.move(sender, got.conversation)
        if move is None or any(who == sender for who, _ in speakers):
            return "MESSAGE-4"
        return "JOIN-10" if isinstance(move[1], Join) else "LEAVE-8"  # it tells of it
    talk, me = scene.world.talk(got.conversation), scene.one.party
    move = scene.move(me, got.conversation)
    if move is None:
        return "JOIN-3" if talk is not None and me in talk.invited else "SEND-4"
    if isinstance(move[1], Leave):
        return "LEAVE-2"
    said = [
        since
        for since, _, item in scene.asked(scene.party(got.sender))
        if item == SendMessage(got.conversation, got.text)
    ]
    if said[-1] < move[0]:
        return "JOIN-11"
    sender = scene.party(got.sender)
    return "SEND-6" if talk is not None and sender not in talk.members else "SEND-4"


def _listed_otherwise(
    scene: Scene, wanted: Mapping[str, tuple[str, ...]], got: Mapping[str, tuple[str, ...]]
) -> str:
    private = scene.scope.rules.private
    for id, members in scene.scope.listed(wanted).items():
        if id not in got:
            if members and members in [
                who for other, who in got.items() if other not in scene.scope.announced
            ]:
                return "CONV-5"
            return "LIST-9" if private else "LIST-5" if members else "LIST-6"
        extra = [name for name in got[id] if name not in members]
        if any(isinstance(move[1], Leave) for name in extra if (move := scene.move(scene.party(name), id))):
            return "LEAVE-2"
        if any(scene.world.named(name) is None for name in extra):
            return "GOODBYE-8"
        if sorted(got[id]) != sorted(members):
            return "LIST-7"
        if got[id] != members:
            return "LIST-8"
    extra = [id for id in scene.scope.listed(got) if id not in wanted]
    return "LIST-9" if private and any(map(scene.world.talk, extra)) else "CONV-2"


def _shown_otherwise(scene: Scene, got: Mapping[str, str], *, first: bool) -> str:
    shown, online = dict(scene.scope.roster(got)), scene.world.roster
    me = scene.world.user(scene.one.party)
    for name, status in shown.items():
        if name not in online and not (first and scene.party(name) == scene.one.party):
            return "PRESENCE-2" if scene.party(name) is None else "GOODBYE-2"
        if status != online.get(name, status):
            others = {
                item.status
                for _, who, item in scene.asked()
                if isinstance(item, Status) and who != scene.party(name)
            }
            return "STATUS-3" if status in others else "STATUS-2"
    if first and me is None and shown.keys() >= online.keys():
        return "REGISTER-2"
    return "PRESENCE-2"
