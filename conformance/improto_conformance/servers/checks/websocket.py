"""Checks of what is WebSocket's own: the handshake, and messages as frames."""

from typing import TYPE_CHECKING, cast

from improto.messages import (
    Code,
    Conversations,
    Join,
    ListConversations,
    OnlineUsers,
    Register,
    SendMessage,
    Status,
)
from improto_conformance.servers.check import Complaints, check
from improto_conformance.servers.stage import Stage
from improto_conformance.transcripts.transcript import Event, Transcript

if TYPE_CHECKING:  # it needs a package that may not be installed
    from improto_conformance.connections.websocket import WebSocketLink
    from improto_conformance.servers.party import Party


def _link(party: "Party") -> "WebSocketLink":
    return cast("WebSocketLink", party.link)


def _handshake(stage: Stage, *offered: str, origin: str | None = None) -> None:
    """Offer subprotocols, and compression, and mark the answer."""
    stage.mark(stage.handshake(offered, origin=origin))


def _expect_refused(seen: Transcript) -> Complaints:
    for answer in seen.marks:
        if answer != "refused":
            yield f"the handshake was to be refused; the server {answer}"
    if not seen.marks:
        yield "the handshake was not answered"


@check("WS-4", "a handshake that offers no subprotocol is refused", transport="websocket")
def no_subprotocol(stage: Stage) -> None:
    _handshake(stage)


@check("WS-4", "a handshake that offers only unknown subprotocols is refused", transport="websocket")
def unknown_subprotocols(stage: Stage) -> None:
    _handshake(stage, "improto.v1.xml", stage.codec.name, f"improto.v2.{stage.codec.name}", "chat")


@check("WS-6", "a handshake with the Origin of a strange web page is refused", transport="websocket")
def strange_origin(stage: Stage) -> None:
    _handshake(stage, f"improto.v1.{stage.codec.name}", origin="https://strange.invalid")


for each in (no_subprotocol, unknown_subprotocols, strange_origin):
    each.judge(_expect_refused)


@check("WS-3", "of several subprotocols the one that the server knows is agreed on", transport="websocket")
def known_subprotocol(stage: Stage) -> None:
    _handshake(stage, "chat", f"improto.v1.{stage.codec.name}")
    [_ann] = stage.enter("ann")  # in the codec that was agreed on


@known_subprotocol.judge
def _(seen: Transcript) -> Complaints:
    wanted = f"improto.v1.{seen.codecs.get('ann')}"
    if not any(answer.startswith(f"agreed to {wanted} ") for answer in seen.marks):
        yield f"{wanted} was to be agreed on; the server {', '.join(seen.marks) or 'did not answer'}"


@check("WS-5", "compression is not agreed to", transport="websocket")
def no_compression(stage: Stage) -> None:
    _handshake(stage, f"improto.v1.{stage.codec.name}")


@no_compression.judge
def _(seen: Transcript) -> Complaints:
    for answer in seen.marks:
        if not answer.endswith(" with no extension"):
            yield f"the server was to agree to no extension; it {answer}"
    if not seen.marks:
        yield "the handshake was not answered"


def _speak(stage: Stage) -> None:
    """Cause several messages to one party in one moment."""
    ann, bo = stage.talk("ann", "bo")
    for text in ("one", "two", "three"):
        ann.send(SendMessage(stage.transcript.conversation, text), ListConversations())
    ann.wait(lambda _: len(stage.transcript.lists("ann")) >= 4, "a list for each message")
    bo.barrier()


def _faults(seen: Transcript, clause: str) -> Complaints:
    for entry in seen.entries:
        if entry.event is Event.FAULT and str(entry.item).startswith(f"{clause}:"):
            yield f"{entry.party} received {entry.item!s}"
    if not seen.rosters("ann"):
        yield "ann was to be registered"


@check(
    "WS-1", "each message of the server is a message of its own, without a line end", transport="websocket"
)
def one_each(stage: Stage) -> None:
    _speak(stage)


@one_each.judge
def _(seen: Transcript) -> Complaints:
    yield from _faults(seen, "WS-1")


@check(
    "WS-2",
    "the server's messages are text in ascii and json, and binary in the other codecs",
    transport="websocket",
)
def kind_of_message(stage: Stage) -> None:
    _speak(stage)


@kind_of_message.judge
def _(seen: Transcript) -> Complaints:
    yield from _faults(seen, "WS-2")


@check("WS-1", "a message is understood in whatever frames it comes", transport="websocket")
def fragments(stage: Stage) -> None:
    ann = stage.connect("ann")
    _link(ann).fragment = 1
    ann.send(Register(ann.name, "in pieces"))
    ann.wait_for(OnlineUsers)
    ann.barrier()


@fragments.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [])
    for roster in seen.rosters("ann"):
        if roster.users.get(seen.name("ann")) != "in pieces":
            yield "ann was to be shown with the status of the REGISTER that came in many frames"


@check("WS-1", "a ping is answered, and is not a message of this protocol", transport="websocket")
def ping(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    _link(ann).ping()
    ann.barrier()
    ann.barrier()  # a server may answer the ping after the first list
    stage.mark(f"{_link(ann).pongs} pongs")


@ping.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [])
    yield from seen.expect_open("ann")
    if seen.marks != ["1 pongs"]:
        yield f"one ping was to be answered by one pong, and there were {seen.marks}"


def _judge_malformed(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.MALFORMED])
    yield from seen.expect_open("ann")


_MALFORMED = {  # in a codec of somebody else, the same may be said in any other way, and two payloads may be one
    "ascii": b'STATUS "open',
    "json": b"[",
    "msgpack": b"\xc1",
    "pickle": b"STATUS cos\nsystem\n.",
}


@check(
    "WS-9",
    "a malformed message is answered, and the connection goes on",
    codecs=tuple(_MALFORMED),
    transport="websocket",
)
def malformed(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send_bytes(ann.codec.frame(_MALFORMED[ann.codec.name]))
    ann.barrier()


@check(
    "WS-9",
    "two requests in one message are malformed, and none takes effect",
    codecs=tuple(_MALFORMED),
    transport="websocket",
)
def two_in_one(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    id = stage.invite(ann, bo)
    stage.mark("invited")
    join = ann.codec.encode(Join(id))
    between = b"\n" if ann.codec.name in ("ascii", "json") else b""
    ann.send_bytes(ann.codec.frame(join + between + join))
    ann.barrier()


malformed.judge(_judge_malformed)


@two_in_one.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.MALFORMED], since="invited")
    yield from seen.expect_open("ann")
    if seen.lists("ann", since="invited") != [Conversations({seen.conversation: ()})]:
        yield "no JOIN was to take effect"


def _expect_gone(seen: Transcript) -> Complaints:
    if not seen.marked("gone"):
        yield "bo was to be shown that ann is gone"


@check("WS-8", "a user whose client sends a close frame goes offline", transport="websocket")
def close_frame(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    ann.send(Status("leaving"))
    ann.half_close()  # sends a close frame here
    ann.read_to_end()
    bo.wait_to_see(ann.name, None)
    stage.mark("gone")


@check("WS-8", "a user whose connection ends without a close frame goes offline", transport="websocket")
def no_close_frame(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    bo.wait_to_see(ann.name, "here")
    ann.reset()
    bo.wait_to_see(ann.name, None)
    stage.mark("gone")


for each in (close_frame, no_close_frame):
    each.judge(_expect_gone)
