"""Servers that are wrong on purpose: each violates one clause, and a check of that clause has to say so.

    python -m improto_conformance.broken NAME PORT

They are the reference server with one twist: of the hub (what follows from a request) or of the service (what
arrives).  `BROKEN` lists them with the clause that each violates.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from improto.bindings.asyncio import Server
from improto.codec import available, load
from improto.errors import UsageError
from improto.messages import (
    Conversations,
    Error,
    Invitation,
    Invite,
    Join,
    Leave,
    Message,
    OnlineUsers,
    Request,
    SendMessage,
    Status,
)
from improto.server import Hub, Output, Policy, Send
from improto.service import Peer, Service

__all__ = ["BROKEN", "Broken", "serve"]

_QUICK = Policy(settle=0.02)  # rosters soon after a change, so that a run is short


def _hub() -> Hub:
    return Hub(_QUICK)


def _service(hub: Hub) -> Service:
    return Service(hub, [load(name) for name in available()])


@dataclass(frozen=True, slots=True)
class Broken:
    """One broken server: the clause that it violates, and what makes its hub or its service."""

    clause: str
    hub: Callable[[], Hub] = _hub
    service: Callable[[Hub], Service] = _service


Twist = Callable[["_Twisted", int, Request, list[Output]], list[Output]]


class _Twisted(Hub):
    """The hub with its outputs, or the requests that it sees, changed."""

    def __init__(self, twist: Twist, deaf: tuple[type[Request], ...] = ()) -> None:
        super().__init__(_QUICK)
        self._twist = twist
        self._deaf = deaf

    def receive(self, connection: int, request: Request, now: float) -> list[Output]:
        if isinstance(request, self._deaf):
            return []
        return self._twist(self, connection, request, super().receive(connection, request, now))

    def everybody(self) -> tuple[int, ...]:
        """Give all registered connections."""
        return tuple(self._by_connection)


def _resend(kind: type, change: Callable[[_Twisted, int, Send], Send | None]) -> Twist:
    """Twist each message of a kind; None drops it."""

    def twist(hub: _Twisted, connection: int, request: Request, outputs: list[Output]) -> list[Output]:
        changed: list[Output | None] = [
            change(hub, connection, output)
            if isinstance(output, Send) and isinstance(output.message, kind)
            else output
            for output in outputs
        ]
        return [
            output
            for output in changed
            if output is not None and not (isinstance(output, Send) and not output.to)
        ]

    return twist


def _resent(kind: type, change: Callable[[_Twisted, int, Send], Send | None]) -> Callable[[], Hub]:
    return partial(_Twisted, _resend(kind, change))


def _without_requester(hub: _Twisted, connection: int, sent: Send) -> Send:
    return sent._replace(to=tuple(each for each in sent.to if each != connection))


def _to_everybody(hub: _Twisted, connection: int, sent: Send) -> Send:
    return sent._replace(to=hub.everybody())


def _stripped(hub: _Twisted, connection: int, sent: Send) -> Send:
    message = sent.message
    assert isinstance(message, Message)
    return sent._replace(message=Message(message.conversation, message.sender, message.text.strip()))


def _unsigned(hub: _Twisted, connection: int, sent: Send) -> Send:
    message = sent.message
    assert isinstance(message, Message)
    return sent._replace(message=Message(message.conversation, "server", message.text))


def _doubled_members(hub: _Twisted, connection: int, request: Request, outputs: list[Output]) -> list[Output]:
    """Make everybody a member who is invited."""
    for output in outputs:
        if (
            isinstance(request, Invite)
            and isinstance(output, Send)
            and isinstance(output.message, Invitation)
        ):
            for invited in output.to:
                Hub.receive(hub, invited, Join(output.message.conversation), 0.0)
    return outputs


def _nothing(hub: _Twisted, connection: int, request: Request, outputs: list[Output]) -> list[Output]:
    return outputs


class _NoRosters(Hub):
    """Sends no roster but the first."""

    def __init__(self) -> None:
        super().__init__(_QUICK)

    def tick(self, now: float) -> list[Output]:
        super().tick(now)
        return []


class _OnlyNewcomers(Hub):
    """Shows in each roster only who has just come, and the receiver."""

    def __init__(self) -> None:
        super().__init__(_QUICK)

    def receive(self, connection: int, request: Request, now: float) -> list[Output]:
        return [
            Send(OnlineUsers(dict(list(output.message.users.items())[-1:])), output.to, output.first)
            if isinstance(output, Send) and isinstance(output.message, OnlineUsers)
            else output
            for output in super().receive(connection, request, now)
        ]


class _OneRead(Service):
    """Takes each read for one line: what follows it is lost."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub, [load(name) for name in available()])

    def receive(self, peer: Peer, data: bytes) -> None:
        line, end, _ = data.partition(b"\n")
        super().receive(peer, line + end)


class _WholeReads(Service):
    """Drops what does not end a line."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub, [load(name) for name in available()])

    def receive(self, peer: Peer, data: bytes) -> None:
        if data.endswith(b"\n"):
            super().receive(peer, data)


BROKEN: dict[str, Broken] = {
    "initiator-not-invited": Broken("INVITATION-3", _resent(Invitation, _without_requester)),
    "everybody-invited": Broken("INVITATION-4", _resent(Invitation, _to_everybody)),
    "members-without-join": Broken("JOIN-3", partial(_Twisted, _doubled_members)),
    "no-copy-for-the-sender": Broken("SEND-3", _resent(Message, _without_requester)),
    "messages-for-everybody": Broken("SEND-4", _resent(Message, _to_everybody)),
    "texts-stripped": Broken("MESSAGE-4", _resent(Message, _stripped)),
    "wrong-sender": Broken("MESSAGE-2", _resent(Message, _unsigned)),
    "no-errors": Broken("ERROR-4", _resent(Error, lambda hub, connection, sent: None)),
    "errors-for-everybody": Broken("ERROR-5", _resent(Error, _to_everybody)),
    "lists-for-everybody": Broken("LIST-4", _resent(Conversations, _to_everybody)),
    "status-ignored": Broken("STATUS-2", partial(_Twisted, _nothing, (Status,))),
    "leave-ignored": Broken("LEAVE-2", partial(_Twisted, _nothing, (Leave,))),
    "messages-lost": Broken("SEND-2", partial(_Twisted, _nothing, (SendMessage,))),
    "no-rosters": Broken("PRESENCE-4", _NoRosters),
    "rosters-of-newcomers": Broken("PRESENCE-2", _OnlyNewcomers),
    "one-message-a-read": Broken("CONN-5", service=_OneRead),
    "one-read-a-message": Broken("CONN-4", service=_WholeReads),
}
"""All of them, by name."""


async def serve(broken: Broken, port: int, ready: Callable[[int], None] = lambda port: None) -> None:
    """Serve on loopback until cancelled; `ready` is told the port."""
    server = Server(broken.service(broken.hub()))
    _, taken = await server.listen("127.0.0.1", port)
    ready(taken)
    try:
        await asyncio.Event().wait()
    finally:
        await server.close()


def main(argv: Sequence[str]) -> None:
    """Run the server that `argv` names, at the port that it gives."""
    if len(argv) != 2 or argv[0] not in BROKEN or not argv[1].isdecimal():
        raise UsageError(f"give a name and a port; the names are {', '.join(BROKEN)}")
    asyncio.run(serve(BROKEN[argv[0]], int(argv[1])))


if __name__ == "__main__":
    main(sys.argv[1:])
