"""Random rounds with a server: some users send random requests, others send nonsense, and the judge decides.

What is sent in a round depends on the seed, its number, the codec, and on the conversations that the server has made so far.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import count
from random import Random
from typing import Final

from improto.limits import Limits
from improto.messages import (
    Error,
    Goodbye,
    Invite,
    Join,
    Leave,
    ListConversations,
    OnlineUsers,
    Register,
    Request,
    Role,
    SendMessage,
    Status,
)
from improto_conformance.fuzz.inputs import made
from improto_conformance.servers.check import Check
from improto_conformance.servers.party import Party, Stuck
from improto_conformance.servers.stage import Stage
from improto_conformance.transcripts.transcript import Event

__all__ = ["rounds"]

_MOVES: Final = 40
_LONG: Final = Limits().text
_TEXTS: Final = ("", " ", "hi", "a b", '"', "\\", "\n", "\0", "=,", "é", "\U0001f600", "null", "x" * 300)


def rounds(seed: int, numbers: Iterable[int]) -> list[Check]:
    """Give the rounds of these numbers; in every second round some connections send nonsense, and then end their stream."""
    return [
        Check(
            f"ORDER-1/fuzz-{seed}-{number}",
            "ORDER-1",
            "some order of all requests explains what everybody received",
            partial(_play, seed, number),
            half_close=_is_noisy(number),
            declared=True,
            varies=True,
            judgement=lambda seen: (),
        )
        for number in numbers
    ]


def _is_noisy(number: int) -> bool:
    return number % 2 == 1


def _play(seed: int, number: int, stage: Stage) -> None:
    chance = Random(f"{seed} {number} {stage.codec.name}")
    users = [stage.connect(f"user{place}") for place in range(chance.randint(1, 4))]
    names = [user.name for user in users]
    for move in range(chance.randint(1, _MOVES)):
        if _is_noisy(number) and chance.random() < 0.1:
            _make_noise(stage.connect(f"noise{move}"), chance, stage)
        else:
            _act(chance.choice(users), names, chance, stage)
    living = [user for user in users if user.roster and not _is_over(user, stage)]
    # After the first barrier everything is handled, after the second one it has arrived.
    for user in living * 2:
        _wait(user, user.barrier, stage)


def _act(user: Party, names: Sequence[str], chance: Random, stage: Stage) -> None:
    """Let a user send something, and wait for the answer if there must be one."""
    if _is_over(user, stage):
        return
    if not user.roster and chance.random() < 0.8:
        name = user.name if chance.random() < 0.9 else chance.choice(names)
        user.send(Register(name, _text(chance)), deliberate=True)
        _wait(user, partial(user.wait, _answers_register, "an answer to REGISTER"), stage)
    elif user.roster and chance.random() < 0.2:
        _wait(user, user.barrier, stage)
    elif user.roster and chance.random() < 0.02:
        user.send(Goodbye(), deliberate=True)
        _wait(user, user.read_to_end, stage)
    else:
        requests = [_request(names, chance, stage) for _ in range(chance.choice((1, 1, 1, 2, 5)))]
        user.send(*requests, deliberate=True)


def _answers_register(message: object) -> bool:
    return isinstance(message, OnlineUsers | Error)


def _request(names: Sequence[str], chance: Random, stage: Stage) -> Request:
    """Make a request, mostly one that makes sense."""
    id = chance.choice((*stage.transcript.conversations * 4, f"none{stage.transcript.suffix}"))
    some: Sequence[Callable[[], Request]] = (
        lambda: Invite(tuple(chance.choices((*names, names[0] + "x"), k=chance.choice((1, 1, 2, 3))))),
        lambda: Join(id),
        lambda: Join(id),
        lambda: SendMessage(id, _text(chance)),
        lambda: SendMessage(id, str(chance.random())),
        lambda: SendMessage(id, str(chance.random())),
        lambda: Leave(id),
        lambda: Status(_text(chance)),
        ListConversations,
    )
    return chance.choice(some)()


def _text(chance: Random) -> str:
    return "x" * (_LONG + 1) if chance.random() < 0.01 else "".join(chance.choices(_TEXTS, k=2))


def _make_noise(party: Party, chance: Random, stage: Stage) -> None:
    """Send a damaged stream of a client, and end; a server reads what is still good in it."""
    if chance.random() < 0.7:
        stage.register(party)
    inputs = (made(stage.codec.name, chance.getrandbits(32), number) for number in count())
    for piece in next(each for each in inputs if each.sender is Role.CLIENT).pieces:
        if piece:
            party.send_bytes(piece)
    party.half_close()
    _wait(party, party.read_to_end, stage)  # in another codec, if its first bytes told one


def _wait(user: Party, wait: Callable[[], object], stage: Stage) -> None:
    """Wait, unless the server closes the connection first, or sends something unreadable; the judge decides whether it may."""
    try:
        wait()
    except Stuck:
        if not _is_over(user, stage):
            raise


def _is_over(user: Party, stage: Stage) -> bool:
    return any(entry.event in (Event.CLOSED, Event.FAULT) for entry in stage.transcript.of(user.label))
