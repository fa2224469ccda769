"""Servers that are right in another way: each uses a freedom that the specification leaves, and has to pass.

A suite that fails one of them takes the reference's habits for the specification.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from improto.codec import available, load
from improto.messages import Conversations, Error, Invitation, Message, OnlineUsers, Request
from improto.server import Hub, Output, Policy, Send
from improto.service import Bounds, Service

__all__ = ["VARIANTS", "Variant"]


@dataclass(frozen=True, slots=True)
class Variant:
    """One lawful server: the clause that allows it, and what makes it."""

    clause: str
    make: Callable[[], Service]
    private: bool = False
    presence: float = 1.0
    """The interval that it declares."""


def _serve(hub: Callable[[], Hub], bounds: Bounds | None = None) -> Callable[[], Service]:
    return lambda: Service(hub(), [load(name) for name in available()], bounds=bounds)


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
            return [output._replace(message=Error(f"{code}: {explain(explanation)}"[:512]))]
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


def _hashed(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


VARIANTS: Mapping[str, Variant] = {
    "reference": Variant("ORDER-1", _policy(Policy())),
    "private": Variant("JOIN-5", _policy(Policy(private=True)), private=True),
    "ids-of-64-characters": Variant("CONV-4", _policy(Policy(conversation_id=_hashed))),
    "ids-that-look-like-names": Variant("CONV-4", _policy(Policy(conversation_id="room-{}".format))),
    "ids-of-punctuation": Variant("CONV-4", _policy(Policy(conversation_id="#!,=\"'\\{{[({}".format))),
    "ids-that-count-down": Variant("CONV-4", _policy(Policy(conversation_id=lambda n: str(10**9 - n)))),
    "ids-with-leading-zeros": Variant("CONV-4", _policy(Policy(conversation_id=lambda n: f"{n:07}"))),
    "rosters-at-once": Variant("PRESENCE-5", _policy(Policy(settle=0.0))),
    "rosters-seldom": Variant("PRESENCE-6", _policy(Policy(settle=4.0)), presence=4.0),
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
    "hasty-closes": Variant("CONN-22", _serve(Hub, Bounds(linger=0.0))),
}
"""All of them, by name."""
