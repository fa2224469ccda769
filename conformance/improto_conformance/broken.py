"""Servers that are wrong on purpose: each violates one clause, and a check of that clause has to say so.

    python -m improto_conformance.broken NAME PORT

They are the reference server with one twist: of the hub (what follows from a request) or of the service (what
arrives).  `BROKEN` lists them with the clause that each violates.
"""

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from improto.bindings.asyncio import Server
from improto.codec import available, load
from improto.errors import UsageError
from improto.limits import Limits
from improto.messages import (
    Code,
    Conversations,
    Error,
    Invitation,
    Invite,
    Join,
    Leave,
    ListConversations,
    Message,
    OnlineUsers,
    Request,
    SendMessage,
    Status,
)
from improto.server import Close, Hub, Output, Policy, Send
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


def _unknown_names_dropped(
    hub: _Twisted, connection: int, request: Request, outputs: list[Output]
) -> list[Output]:
    """Invite those who are there, and say nothing of the others."""
    if isinstance(request, Invite) and _refused(outputs, Code.NO_SUCH_USER):
        known = tuple(name for name in request.users if name in hub.online)
        return Hub.receive(hub, connection, Invite(known), 0.0) if known else []
    return outputs


def _anybody_speaks(hub: _Twisted, connection: int, request: Request, outputs: list[Output]) -> list[Output]:
    """Let those speak who are no members, by making them members."""
    if isinstance(request, SendMessage) and _refused(outputs, Code.NOT_MEMBER):
        Hub.receive(hub, connection, Join(request.conversation), 0.0)
        return Hub.receive(hub, connection, request, 0.0)
    return outputs


def _errors_close(hub: _Twisted, connection: int, request: Request, outputs: list[Output]) -> list[Output]:
    """Close after each ERROR."""
    if any(isinstance(output, Send) and isinstance(output.message, Error) for output in outputs):
        return [*outputs, *hub.disconnect(connection, 0.0), Close(connection)]
    return outputs


def _joins_announced(hub: _Twisted, connection: int, request: Request, outputs: list[Output]) -> list[Output]:
    """Tell everybody of a JOIN."""
    if isinstance(request, Join) and not outputs:
        return [Send(Message(request.conversation, "server", "somebody joined"), hub.everybody())]
    return outputs


def _leaves_answered(hub: _Twisted, connection: int, request: Request, outputs: list[Output]) -> list[Output]:
    """Confirm a LEAVE with an ERROR."""
    if isinstance(request, Leave) and not outputs:
        return [Send(Error("forbidden: you have left"), (connection,))]
    return outputs


def _statuses_answered(
    hub: _Twisted, connection: int, request: Request, outputs: list[Output]
) -> list[Output]:
    """Confirm a STATUS with a list that nobody asked for."""
    if isinstance(request, Status) and not outputs:
        return [Send(Error("forbidden: done"), (connection,))]
    return outputs


def _unknown_joins_pass(
    hub: _Twisted, connection: int, request: Request, outputs: list[Output]
) -> list[Output]:
    """Say nothing of a JOIN of what does not exist."""
    return [] if isinstance(request, Join) and _refused(outputs, Code.NO_SUCH_CONVERSATION) else outputs


def _second_leaves_pass(
    hub: _Twisted, connection: int, request: Request, outputs: list[Output]
) -> list[Output]:
    """Say nothing of a LEAVE of who is no member."""
    return [] if isinstance(request, Leave) and _refused(outputs, Code.NOT_MEMBER) else outputs


def _leaves_everywhere(
    hub: _Twisted, connection: int, request: Request, outputs: list[Output]
) -> list[Output]:
    """Leave all conversations at once."""
    if isinstance(request, Leave) and not outputs:
        for output in Hub.receive(hub, connection, ListConversations(), 0.0):
            if isinstance(output, Send) and isinstance(output.message, Conversations):
                for id in output.message.conversations:
                    Hub.receive(hub, connection, Leave(id), 0.0)
    return outputs


def _refused(outputs: list[Output], code: Code) -> bool:
    return any(
        isinstance(output, Send) and isinstance(output.message, Error) and output.message.code == code
        for output in outputs
    )


def _changed_list(
    change: Callable[[Mapping[str, tuple[str, ...]]], Mapping[str, tuple[str, ...]]],
) -> Callable[[], Hub]:
    def twist(hub: _Twisted, connection: int, sent: Send) -> Send:
        message = sent.message
        assert isinstance(message, Conversations)
        return sent._replace(message=Conversations(change(message.conversations)))

    return _resent(Conversations, twist)


def _changed_message(change: Callable[[Message], Message]) -> Callable[[], Hub]:
    def twist(hub: _Twisted, connection: int, sent: Send) -> Send:
        message = sent.message
        assert isinstance(message, Message)
        return sent._replace(message=change(message))

    return _resent(Message, twist)


def _without_code(hub: _Twisted, connection: int, sent: Send) -> Send:
    message = sent.message
    assert isinstance(message, Error)
    return sent._replace(message=Error(message.message.partition(": ")[2]))


def _from_server(hub: _Twisted, connection: int, sent: Send) -> Send:
    message = sent.message
    assert isinstance(message, Invitation)
    return sent._replace(message=Invitation(message.conversation, "server"))


def _without_last(hub: _Twisted, connection: int, sent: Send) -> Send:
    return sent._replace(to=sent.to[:-1])


def _twice(hub: _Twisted, connection: int, sent: Send) -> Send:
    return sent._replace(to=(*sent.to, *sent.to))


def _only_to_requester(hub: _Twisted, connection: int, sent: Send) -> Send:
    return sent._replace(to=(connection,))


def _limited(**limits: int) -> Callable[[], Hub]:
    return lambda: Hub(_QUICK, Limits(**limits))


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
    "last-member-missed": Broken("SEND-2", _resent(Message, _without_last)),
    "messages-to-the-sender-only": Broken("SEND-2", _resent(Message, _only_to_requester)),
    "messages-doubled": Broken("MESSAGE-6", _resent(Message, _twice)),
    "messages-in-one-conversation": Broken(
        "MESSAGE-3", _changed_message(lambda message: Message("1", message.sender, message.text))
    ),
    "texts-cut": Broken(
        "MESSAGE-4",
        _changed_message(lambda message: Message(message.conversation, message.sender, message.text[:8])),
    ),
    "lines-joined": Broken(
        "LIMIT-12",
        _changed_message(
            lambda message: Message(message.conversation, message.sender, " ".join(message.text.splitlines()))
        ),
    ),
    "long-messages-cut": Broken(
        "LECTURE-4",
        _changed_message(lambda message: Message(message.conversation, message.sender, message.text[:1000])),
    ),
    "plain-errors": Broken("ERROR-2", _resent(Error, _without_code)),
    "errors-close": Broken("ERROR-7", partial(_Twisted, _errors_close)),
    "invitations-from-the-server": Broken("INVITATION-5", _resent(Invitation, _from_server)),
    "invitations-doubled": Broken("INVITATION-2", _resent(Invitation, _twice)),
    "unknown-names-dropped": Broken("INVITE-6", partial(_Twisted, _unknown_names_dropped)),
    "anybody-speaks": Broken("SEND-6", partial(_Twisted, _anybody_speaks)),
    "joins-announced": Broken("JOIN-10", partial(_Twisted, _joins_announced)),
    "unknown-joins-pass": Broken("JOIN-8", partial(_Twisted, _unknown_joins_pass)),
    "leaves-answered": Broken("LEAVE-8", partial(_Twisted, _leaves_answered)),
    "leaves-everywhere": Broken("LEAVE-3", partial(_Twisted, _leaves_everywhere)),
    "second-leaves-pass": Broken("LEAVE-6", partial(_Twisted, _second_leaves_pass)),
    "statuses-answered": Broken("STATUS-4", partial(_Twisted, _statuses_answered)),
    "members-sorted": Broken(
        "LIST-8", _changed_list(lambda all: {id: tuple(sorted(members)) for id, members in all.items()})
    ),
    "empty-conversations-unlisted": Broken(
        "LIST-6", _changed_list(lambda all: {id: members for id, members in all.items() if members})
    ),
    "lists-empty": Broken("LIST-7", _changed_list(lambda all: dict.fromkeys(all, ()))),
    "lists-doubled": Broken("LIST-3", _resent(Conversations, _twice)),
    "no-lists": Broken("LIST-3", _resent(Conversations, lambda hub, connection, sent: None)),
    "short-names": Broken("LIMIT-5", _limited(name=63)),
    "long-names": Broken("LIMIT-5", _limited(name=65)),
    "short-statuses": Broken("LIMIT-10", _limited(status=255)),
    "long-statuses": Broken("LIMIT-10", _limited(status=257)),
    "short-texts": Broken("LIMIT-11", _limited(text=8191)),
    "long-texts": Broken("LIMIT-11", _limited(text=8193)),
    "long-ids": Broken("LIMIT-13", _limited(conversation=65)),
    "few-names": Broken("LIMIT-14", _limited(invited=63)),
    "many-names": Broken("LIMIT-14", _limited(invited=65)),
    "small-requests": Broken("LIMIT-2", _limited(request=65_535)),
    "large-requests": Broken("LIMIT-2", _limited(request=65_537)),
    "small-greetings": Broken("LIMIT-3", _limited(greeting=4_095)),
    "large-greetings": Broken("LIMIT-3", _limited(greeting=4_097)),
    "few-conversations": Broken("LIMIT-18", _limited(living=63)),
    "many-conversations": Broken("LIMIT-18", _limited(living=65)),
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
