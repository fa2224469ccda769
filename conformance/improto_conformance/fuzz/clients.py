"""Random rounds with a client: its server sends random messages, and its user asks for random things.

Whatever they are, it is known what a right client tells and sends in answer (`clients.judgement`).
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import count
from random import Random
from typing import Final

from improto.messages import (
    AnyMessage,
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
    Request,
    Role,
    SendMessage,
    Status,
)
from improto_conformance.clients.check import ClientCheck
from improto_conformance.clients.stage import Stage
from improto_conformance.fuzz.inputs import made

__all__ = ["rounds"]

_MOVES: Final = 30
_NAMES: Final = ("bo", "cy", "d é", "zoe")
_IDS: Final = ("7", "8", "x y")


def rounds(seed: int, numbers: Iterable[int]) -> list[ClientCheck]:
    """Give the rounds of these numbers; a client without a driver is only sent messages."""
    return [
        ClientCheck(
            f"CLIENT-18/client/fuzz-{seed}-{number}",
            "CLIENT-18",
            "whatever a server sends, the client tells of it, and sends only what its user asks for",
            partial(_play, seed, number),
            varies=True,
            alone=True,
        )
        for number in numbers
    ]


def _play(seed: int, number: int, stage: Stage) -> None:
    chance = Random(f"{seed} {number} {stage.codec.name}")
    stage.enter(*chance.sample(_NAMES, 2))
    for move in range(chance.randint(1, _MOVES)):
        if stage.driven and chance.random() < 0.4:
            if not _catches_up(stage, move):
                return
            request = _request(chance, stage)
            if stage.ask(request) and _has_to_be_sent(request, stage):
                stage.sends(type(request))  # what it has not written yet is lost if it has to close
                _take_effect(request, stage)
            if isinstance(request, Goodbye):
                return
        elif number % 2 and chance.random() < 0.2:
            _serve_noise(chance, stage)
            if stage.astray:
                return
        else:
            _serve(chance, stage)


def _catches_up(stage: Stage, move: int) -> bool:
    """Let the client read everything that it was sent, since before that it is not certain what it may ask for."""
    mark = f"user-{move}"
    stage.serve(stage.roster(*_NAMES, mark))
    while not stage.astray and mark not in stage.online:
        stage.tells(OnlineUsers)
    return not stage.astray


def _request(chance: Random, stage: Stage) -> Request:
    """Make a request that a user may ask for, and that a client must send or must refuse."""
    members = stage.conversations
    some: list[Callable[[], Request]] = [
        lambda: Invite((chance.choice(_NAMES),)),
        lambda: SendMessage(chance.choice(_IDS), str(chance.random())),
        lambda: Status(str(chance.random())),
        ListConversations,
    ]
    for id in (id for id in members if stage.name in members[id]):
        some += [partial(Leave, id), partial(SendMessage, id, str(chance.random()))]
    for id in (id for id in members if stage.name not in members[id]):
        some += [partial(Join, id)] * 2
    return Goodbye() if chance.random() < 0.01 else chance.choice(some)()


def _has_to_be_sent(request: Request, stage: Stage) -> bool:
    """Tell whether a client that does not refuse a request must send it; it may drop what it must not send."""
    return not isinstance(request, SendMessage) or stage.name in stage.conversations.get(
        request.conversation, ()
    )


def _take_effect(request: Request, stage: Stage) -> None:
    """Send the list that was asked for; it is true, so that a client may correct its own state by it."""
    members = stage.conversations
    match request:
        case ListConversations():
            stage.serve(Conversations(dict(members)))
        case Join(id) if stage.name not in members[id]:
            members[id] += (stage.name,)
        case Leave(id) if id in members:
            members[id] = tuple(name for name in members[id] if name != stage.name)
        case _:
            pass


def _serve(chance: Random, stage: Stage) -> None:
    """Send something that a client must accept or must ignore."""
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        message = _response(chance, stage)
        stage.serve(message)
        if isinstance(message, Invitation):
            stage.conversations.setdefault(message.conversation, (message.source,))


def _response(chance: Random, stage: Stage) -> AnyMessage:
    """Make a response that nobody has asked for, whether it makes sense or not."""
    id, name = chance.choice(_IDS), chance.choice(_NAMES)
    some: Sequence[Callable[[], AnyMessage]] = (
        lambda: stage.roster(*chance.sample(_NAMES, chance.randint(0, 3))),
        lambda: Invitation(id, name),
        lambda: Message(id, chance.choice((name, stage.name)), str(chance.random())),
        lambda: Error(f"{chance.choice(('not-member', 'invalid', 'new-code', 'no code'))}: {id}"),
    )
    return chance.choice(some)()


def _serve_noise(chance: Random, stage: Stage) -> None:
    """Send a damaged stream of a server."""
    inputs = (made(stage.codec.name, chance.getrandbits(32), number) for number in count())
    stage.serve_bytes(next(each for each in inputs if each.sender is Role.SERVER).data)
