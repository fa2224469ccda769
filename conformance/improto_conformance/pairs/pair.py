"""A client against a server: sessions with a few clients at once, through the referee.

In each session the suite has a user of its own, the guide, who is online from the first to the last moment.  Clients with a
driver do what the session says.  Clients that know nothing of the suite are shown what the guide does.  What the referee
saw, and what the drivers were asked and told, decides who is to blame.
"""

import asyncio
import json
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from threading import Thread
from typing import Final

from improto.codec import Codec, load
from improto.messages import Goodbye, OnlineUsers, Register
from improto_conformance.clients.judgement import judge_driven
from improto_conformance.clients.lines import read
from improto_conformance.clients.stage import Unsupported
from improto_conformance.clients.subjects import Driven, Lone
from improto_conformance.connections.addresses import Upstream
from improto_conformance.judging.verdict import Blame, judged
from improto_conformance.pairs.referee import Manner, Referee
from improto_conformance.pairs.sessions import DRIVEN, SHOWN, Session, show
from improto_conformance.pairs.stage import Stage, User
from improto_conformance.profile import Profile
from improto_conformance.servers.party import Party, Stuck, Waits
from improto_conformance.servers.targets import tcp
from improto_conformance.transcripts.transcript import Entry, Event, Transcript

__all__ = ["NAMES", "Met", "meet"]

NAMES: Final = ("ann", "bo", "cy")
"""The usernames of the clients, without the ends that make them different from others on the server."""


@dataclass(frozen=True, slots=True)
class Met:
    """The result of one session."""

    session: str
    codec: str
    transcript: Transcript
    blames: tuple[Blame, ...]
    doubt: str = ""
    """Why not all of it could be judged; empty if all was judged."""
    left_out: str = ""
    """What the driver does not support, if the session ended for that reason."""


@contextmanager
def _refereed(
    upstream: Upstream, manner: Manner, codec: str
) -> Generator[tuple[Referee, tuple[str, int], list[Transcript]]]:
    """Run a referee; its transcripts are complete when the block has ended."""
    seen: list[Transcript] = []
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()

    async def begin() -> tuple[Referee, tuple[str, int]]:
        referee = Referee(upstream, lambda each, full: seen.append(each), manner=manner, codecs=[codec])
        return referee, await referee.listen("127.0.0.1", 0)

    try:
        referee, address = asyncio.run_coroutine_threadsafe(begin(), loop).result()
        try:
            yield referee, address, seen
        finally:
            asyncio.run_coroutine_threadsafe(referee.close(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def meet(
    upstream: Upstream,
    clients: Sequence[Driven] | Sequence[Lone],
    session: str,
    codec: str,
    profile: Profile,
    *,
    manner: Manner,
    timeout: float,
    suffix: str = "",
    alone: bool = False,
) -> Met:
    """Run one session, and say who is to blame.

    `suffix` makes the names different from others on the server; `alone`: there are no others.  OSError if the
    server cannot be reached; NoDriver if a driver does not follow its protocol, or a client cannot be started.
    """
    stuck = left_out = ""
    names = [name + suffix for name, _ in zip(NAMES, clients, strict=False)]
    with _refereed(upstream, manner, codec) as (referee, address, transcripts), ExitStack() as stack:
        mine = Transcript(suffix)
        guide = Party("guide", tcp(*address).begin(), load(codec), mine, Waits(timeout))
        stack.callback(guide.close)
        try:
            guide.send(Register(guide.name, "guide"))
            guide.wait_for(OnlineUsers)
            if session == SHOWN:
                for name, client in zip(names, clients, strict=True):
                    assert isinstance(client, Lone)
                    stack.callback(client.over)
                    client.start(address, codec, name)
                show(guide, names)
            else:
                users = [
                    User(name, client, referee, timeout)
                    for name, client in zip(names, clients, strict=True)
                    if isinstance(client, Driven)
                ]
                _hold(DRIVEN[session], Stage(guide, users), address, load(codec))
            guide.barrier()
            guide.send(Goodbye())
            guide.read_to_end()
        except Unsupported as error:
            left_out = str(error)
        except Stuck as error:
            stuck = str(error)
    seen = transcripts[0] if transcripts else Transcript()
    judgement = judged(seen, profile, alone=alone)
    blames = list(judgement.blames)
    if session != SHOWN and not left_out:
        blames += [blame for name in names for blame in _driven(seen, name)]
    blames.sort(key=lambda blame: blame.index)
    return Met(session, codec, seen, tuple(blames), judgement.doubt or stuck, left_out)


def _hold(session: Session, stage: Stage, address: tuple[str, int], codec: Codec) -> None:
    for user in stage.users:
        user.connect(address, codec)
    try:
        session(stage)
    except Stuck:
        # Who is at fault can only be judged when everything under way has arrived.
        for user in stage.users:
            with suppress(Stuck):
                stage.barrier(user)
        for user in stage.users:
            with suppress(Stuck):
                user.ends()
                user.reset()
        raise
    for user in stage.users:
        user.ends()
        user.reset()


def _driven(seen: Transcript, name: str) -> list[Blame]:
    """Blame one client for what it did with its user's requests, and with what it received."""
    places = _certain([(index, entry) for index, entry in enumerate(seen.entries) if entry.party == name])
    mine = Transcript(entries=[seen.entries[index] for index in places])
    return [Blame(name, each.clause, each.text, places[each.index]) for each in judge_driven(mine)]


def _certain(entries: Sequence[tuple[int, Entry]]) -> list[int]:
    """Give the places of entries, in an order in which whatever the client may have read after its GOODBYE follows it.

    It tells in order what it has read; so what it had not told when its user went may still have been under way.
    """
    told, behind = 0, list[int]()
    going = next((place for place, (_, entry) in enumerate(entries) if _is_goodbye(entry)), len(entries))
    for _, entry in entries[:going]:
        told += entry.event is Event.TOLD and not read(str(entry.item)).answer
    before: list[int] = []
    for index, entry in entries[:going]:
        if entry.event is Event.RECEIVED:
            told -= 1
        (behind if entry.event is Event.RECEIVED and told < 0 else before).append(index)
    after = [index for index, _ in entries[going:]]
    return [*before, *after[:1], *behind, *after[1:]]


def _is_goodbye(entry: Entry) -> bool:
    return entry.event is Event.ASKED and json.loads(str(entry.item))["do"] == "goodbye"
