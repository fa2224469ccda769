"""Servers that are right in another way: each uses a freedom that the specification leaves, and must pass all checks.

A suite that fails one of them takes habits of the reference for the specification.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Final
from uuid import UUID

from improto.bindings.memory import Server
from improto.codec import Codec, load_all
from improto.limits import Limits
from improto.messages import (
    Conversations,
    Error,
    Invitation,
    Invite,
    Join,
    Message,
    OnlineUsers,
    Register,
    Request,
)
from improto.server import Hub, Output, Policy, Send
from improto.service import Bounds, Service
from improto_codecs.json_codec import JsonCodec
from improto_conformance.connections.links import Link
from improto_conformance.judging.dialects import DIALECTS
from improto_conformance.profile import Profile
from improto_conformance.servers.targets import Host, Target, hosted

__all__ = ["VARIANTS", "Variant"]


def _prompt(service: Service) -> Host:
    return Server(service, prompt=True)


@dataclass(frozen=True, slots=True)
class Variant:
    """One lawful server: the clause that allows it, and what makes it."""

    clause: str
    make: Callable[[], Service]
    profile: Profile = field(default_factory=Profile)
    """What it declares."""
    host: Callable[[Service], Host] = _prompt
    """What it runs in."""

    @property
    def target(self) -> Target:
        """What is checked."""
        return hosted(lambda: self.host(self.make()))


_ONE_BY_ONE: Final = 40  # bytes of each moment's: all of them would make a run about nothing else


class _Other:
    """A link on which the server's bytes arrive in another way."""

    def __init__(self, server: Server, receive: "Receive") -> None:
        self._server = server
        self._link = server.connect()
        self._receive = receive
        self.kept = bytearray()
        """Bytes that have arrived and are to be received later."""

    def now(self) -> float:
        return self._link.now()

    def send(self, data: bytes) -> None:
        self._link.send(data)

    def receive(self, timeout: float) -> bytes:
        return self._receive(self, timeout)

    def half_close(self) -> None:
        self._link.half_close()

    def reset(self) -> None:
        self._link.reset()

    def close(self) -> None:
        self._link.close()

    def later(self, timeout: float, reply: float, end: float) -> bytes:
        """Receive what has come so many seconds ago; `end`: seconds between the last of it and the close."""
        data = self._link.receive(timeout)
        until = self.now() + (reply if data else end)
        while self._server.wait(until):
            self._server.run()
        return data

    def piece(self, timeout: float) -> bytes:
        """Receive everything that has come, its last bytes one by one."""
        if not self.kept:
            self.kept += self._link.receive(timeout)
        size = max(1, len(self.kept) - _ONE_BY_ONE)
        data = bytes(self.kept[:size])
        del self.kept[:size]
        return data


Receive = Callable[[_Other, float], bytes]


class _Arriving:
    """Gives links on which the service's bytes arrive in another way."""

    def __init__(self, receive: Receive, service: Service) -> None:
        self._server = Server(service, prompt=True)
        self._receive = receive

    def connect(self) -> Link:
        return _Other(self._server, self._receive)


class _Crossing:
    """Gives links on which sent bytes stay under way until somebody waits for an answer, so that requests cross.

    With `own_first`, what others have sent arrives only if there is no answer without it; otherwise it arrives first.
    """

    def __init__(self, own_first: bool, service: Service) -> None:
        self.own_first = own_first
        self._server = Server(service, prompt=True)
        self._links: list[_Crossed] = []

    def connect(self) -> Link:
        link = _Crossed(self, self._server.connect())
        self._links.append(link)
        return link

    def arrive(self, last: "_Crossed") -> None:
        """Have all that is under way arrive, what was sent on one link after all else."""
        for link in reversed(self._links):
            if link is not last:
                link.arrive()
        last.arrive()


class _Crossed:
    """One of these links."""

    def __init__(self, host: _Crossing, link: Link) -> None:
        self._host = host
        self._link = link
        self._under_way: list[bytes] = []

    def arrive(self) -> None:
        """Let what was sent here arrive."""
        pieces, self._under_way = self._under_way, []
        for piece in pieces:
            self._link.send(piece)

    def now(self) -> float:
        return self._link.now()

    def send(self, data: bytes) -> None:
        self._under_way.append(data)

    def receive(self, timeout: float) -> bytes:
        if self._host.own_first:
            self.arrive()
            with suppress(TimeoutError):
                return self._link.receive(0.0)
        self._host.arrive(last=self)
        return self._link.receive(timeout)

    def half_close(self) -> None:
        self.arrive()
        self._link.half_close()

    def reset(self) -> None:
        self.arrive()
        self._link.reset()

    def close(self) -> None:
        self.arrive()
        self._link.close()


@cache
def _codecs() -> Sequence[Codec]:
    return load_all()


def _serve(hub: Callable[[], Hub], bounds: Bounds | None = None) -> Callable[[], Service]:
    return lambda: Service(hub(), _codecs(), bounds=bounds)


def _speaking(dialect: Codec) -> Callable[[], Service]:
    """Serve with another codec in place of the one with the same name."""
    return lambda: Service(Hub(), [dialect if codec.name == dialect.name else codec for codec in _codecs()])


def _arriving(receive: Receive) -> Callable[[Service], Host]:
    return partial(_Arriving, receive)


@cache
def _crowd(policy: Policy) -> Mapping[str, object]:
    """Give the snapshot of a hub with many users and conversations, whose messages nobody reads."""
    hub = Hub(policy)
    for stranger in range(1, 201):
        hub.receive(-stranger, Register(f"stranger {stranger}", "away" if stranger % 2 else ""), 0.0)
    for stranger in range(1, 101):
        hub.receive(-stranger, Invite((f"stranger {stranger + 1}",)), 0.0)
        hub.receive(-stranger, Join(policy.conversation_id(stranger)), 0.0)
    return hub.snapshot()


def _crowded(policy: Policy) -> Callable[[], Service]:
    return _serve(lambda: Hub.restore(_crowd(policy), policy))


def _policy(policy: Policy) -> Callable[[], Service]:
    return _serve(lambda: Hub(policy))


Change = Callable[["_Changed", Output], list[Output]]


class _Changed(Hub):
    """The reference, with each output changed in a way that is allowed."""

    def __init__(self, change: Change) -> None:
        super().__init__()
        self._change = change

    def receive(self, connection: int, request: Request, now: float) -> list[Output]:
        outputs = super().receive(connection, request, now)
        return [changed for output in outputs for changed in self._change(self, output)]

    def tick(self, now: float) -> list[Output]:
        return [changed for output in super().tick(now) for changed in self._change(self, output)]

    def everybody(self) -> tuple[int, ...]:
        """Give all registered connections."""
        return tuple(self._by_connection)


def _changed(change: Change) -> Callable[[], Service]:
    return _serve(lambda: _Changed(change))


def _errors(explain: Callable[[str], str]) -> Callable[[], Service]:
    def change(hub: _Changed, output: Output) -> list[Output]:
        if isinstance(output, Send) and isinstance(output.message, Error):
            code, _, explanation = output.message.message.partition(": ")
            return [output._replace(message=Error.of(code, explain(explanation)))]
        return [output]

    return _changed(change)


def _maps_backwards(hub: _Changed, output: Output) -> list[Output]:
    if isinstance(output, Send) and isinstance(output.message, OnlineUsers):
        return [output._replace(message=OnlineUsers(dict(list(output.message.users.items())[::-1])))]
    if isinstance(output, Send) and isinstance(output.message, Conversations):
        backwards = dict(list(output.message.conversations.items())[::-1])
        return [output._replace(message=Conversations(backwards))]
    return [output]


def _rosters_all_the_time(hub: _Changed, output: Output) -> list[Output]:
    """Send everybody a roster around each message and invitation."""
    if isinstance(output, Send) and isinstance(output.message, Message | Invitation):
        roster = Send(OnlineUsers(hub.online), hub.everybody())
        return [roster, output, roster]
    return [output]


def _receivers_backwards(hub: _Changed, output: Output) -> list[Output]:
    return [output._replace(to=output.to[::-1])] if isinstance(output, Send) else [output]


class _Extended(JsonCodec):
    """Tells of each message by a command of an extension, too, which clients ignore."""

    def frame(self, payload: bytes) -> bytes:
        told = b'{"type":"_ACME_SAID","at":[1,2]}\n' if b'"MESSAGE"' in payload else b""
        return told + payload + b"\n" + told


def _hashed(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def _doubled_first_roster(hub: _Changed, output: Output) -> list[Output]:
    return [output, output._replace(first=False)] if isinstance(output, Send) and output.first else [output]


def _of(codec: Codec) -> Profile:
    return Profile([codec.name])


def _uuid(number: int) -> str:
    return str(UUID(bytes=hashlib.md5(str(number).encode()).digest(), version=4))


_WIDE = Limits(
    greeting=8192, request=2**17, name=100, status=999, text=16_000, conversation=99, invited=99, living=99
)
_NARROW = Limits(status=200, text=7000, living=60, invited=60)
_SHORT = Limits(roster=16_000)

VARIANTS: Mapping[str, Variant] = {
    "reference": Variant("ORDER-1", _policy(Policy())),
    "private": Variant("JOIN-5", _policy(Policy(private=True)), Profile(private=True)),
    "ids-of-64-characters": Variant("CONV-4", _policy(Policy(conversation_id=_hashed))),
    "ids-that-look-like-names": Variant("CONV-4", _policy(Policy(conversation_id="room-{}".format))),
    "ids-of-punctuation": Variant("CONV-4", _policy(Policy(conversation_id="#!,=\"'\\{{[({}".format))),
    "ids-that-count-down": Variant("CONV-4", _policy(Policy(conversation_id=lambda n: str(10**9 - n)))),
    "ids-with-leading-zeros": Variant("CONV-4", _policy(Policy(conversation_id=lambda n: f"{n:07}"))),
    "rosters-at-once": Variant("PRESENCE-5", _policy(Policy(settle=0.0))),
    "rosters-seldom": Variant("PRESENCE-6", _policy(Policy(settle=4.0)), Profile(presence=4.0)),
    "rosters-repeated-often": Variant("PRESENCE-7", _policy(Policy(repeat=0.5, settle=0.1))),
    "rosters-all-the-time": Variant("PRESENCE-5", _changed(_rosters_all_the_time)),
    "maps-backwards": Variant("PRESENCE-9", _changed(_maps_backwards)),
    "receivers-backwards": Variant("MESSAGE-5", _changed(_receivers_backwards)),
    "errors-without-words": Variant("ERROR-2", _errors(lambda explanation: "")),
    "errors-in-another-language": Variant("ERROR-2", _errors(lambda explanation: "que no, 不行 \U0001f6ab")),
    "errors-with-colons": Variant("ERROR-2", _errors(lambda explanation: f"invalid: {explanation}: no")),
    "errors-of-512-characters": Variant("ERROR-2", _errors(lambda explanation: "\u00e9" * 512)),
    "one-request-a-turn": Variant("FLOW-10", _serve(Hub, Bounds(batch=1))),
    "small-turns": Variant("FLOW-10", _serve(Hub, Bounds(turn=1))),
    "small-queues": Variant("FLOW-6", _serve(Hub, Bounds(queued=1))),
    "little-may-wait": Variant("FLOW-7", _serve(Hub, Bounds(events=65 * 1024))),
    "hasty-closes": Variant("CONN-22", _serve(Hub, Bounds(linger=0.0))),
    "late-closes": Variant("CONN-22", _serve(Hub), host=_arriving(lambda link, t: link.later(t, 0.0, 0.9))),
    "late-replies": Variant("CONN-5", _serve(Hub), host=_arriving(lambda link, t: link.later(t, 0.03, 0.0))),
    "byte-by-byte": Variant("CONN-4", _serve(Hub), host=_arriving(_Other.piece)),
    "work-while-somebody-reads": Variant("LECTURE-3", _serve(Hub), host=Server),
    "rosters-every-5-ms": Variant(
        "PRESENCE-5", _policy(Policy(settle=0.005, repeat=0.005)), Profile(["json"])
    ),
    "rosters-twice-to-newcomers": Variant("PRESENCE-5", _changed(_doubled_first_roster)),
    "extensions": Variant("CLIENT-6", _speaking(_Extended()), Profile(["json"])),
    "ids-of-uuids": Variant("CONV-4", _policy(Policy(conversation_id=_uuid))),
    "a-crowd": Variant("LIST-5", _crowded(Policy()), Profile(["json"], presence=3.0)),
    "a-private-crowd": Variant(
        "LIST-9",
        _crowded(Policy(private=True, conversation_id=_uuid)),
        Profile(["json", "pickle"], private=True, presence=3.0),
    ),
    "private-with-uuids": Variant(
        "JOIN-5", _policy(Policy(private=True, conversation_id=_uuid)), Profile(private=True)
    ),
    "wide-limits": Variant("LIMIT-25", _serve(lambda: Hub(limits=_WIDE)), Profile(limits=_WIDE)),
    "narrow-limits": Variant("LIMIT-25", _serve(lambda: Hub(limits=_NARROW)), Profile(limits=_NARROW)),
    "small-rosters": Variant("LIMIT-21", _serve(lambda: Hub(limits=_SHORT)), Profile(limits=_SHORT)),
    "ten-minutes-to-register": Variant(
        "CONN-17", _serve(Hub, Bounds(register=600.0)), Profile(register=600.0)
    ),
    "own-requests-first": Variant("ORDER-1", _serve(Hub), host=partial(_Crossing, True)),
    "others-requests-first": Variant("ORDER-1", _serve(Hub), host=partial(_Crossing, False)),
    **{name: Variant(clause, _speaking(codec), _of(codec)) for name, (clause, codec) in DIALECTS.items()},
}
"""All of them, by name."""
