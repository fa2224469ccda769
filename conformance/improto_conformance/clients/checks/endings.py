"""Checks of the end of a connection, in order or not, and of both buffers full."""

from functools import partial

from improto.messages import (
    Error,
    Goodbye,
    Invite,
    Join,
    ListConversations,
    Message,
    OnlineUsers,
    SendMessage,
    Status,
)
from improto_conformance.clients.check import check
from improto_conformance.clients.lines import CLOSED, LOST
from improto_conformance.clients.stage import Stage


@check("CLIENT-16", "a server that ends the stream before it has sent anything is told of", alone=True)
def end_at_once(stage: Stage) -> None:
    stage.register()
    stage.end()
    stage.tells(LOST)


@check("CLIENT-16", "a stream that ends with the first roster is told of", alone=True)
def end_with_the_roster(stage: Stage) -> None:
    register = stage.register()
    stage.serve(OnlineUsers({register.username: register.status}))
    stage.end()
    stage.tells(LOST)


_PARTS = {"one-byte": 1, "five-bytes": 5, "half": 0, "all-but-one-byte": -1}


def _end_within(part: int, stage: Stage) -> None:
    stage.enter("bo")
    data = stage.encoded(stage.roster("bo", "cy", "dan"))
    stage.serve_bytes(data[: part or len(data) // 2])
    stage.end()
    stage.tells(LOST)


for _name, _part in _PARTS.items():
    check(
        "CLIENT-16",
        f"a stream that ends after {_name.replace('-', ' ')} of a message: the part has no effect, the end is told of",
        name=f"end-after-{_name}",
        alone=True,
    )(partial(_end_within, _part))


@check("CLIENT-16", "the end of the stream is told of in a conversation")
def end_in_a_conversation(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.request(SendMessage("7", "hello"))
    stage.serve(Message("7", stage.name, "hello"))
    stage.end()
    stage.tells(LOST)


@check("CLIENT-16", "the end of the stream is told of where a reply was due")
def end_before_a_reply(stage: Stage) -> None:
    stage.enter("bo")
    stage.request(ListConversations())
    stage.end()
    stage.tells(LOST)


@check("CLIENT-16", "after the end of the stream the client refuses what its user wants, and does not hang")
def asked_after_the_end(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.end()
    stage.tells(LOST)
    stage.ask(SendMessage("7", "anybody there?"))
    stage.ask(Status("alone"))


@check("CLIENT-16", "a stream that ends within a message after GOODBYE ends in order")
def end_within_a_message_after_goodbye(stage: Stage) -> None:
    stage.enter("bo")
    stage.request(Goodbye())
    data = stage.encoded(stage.roster("cy"))
    stage.serve_bytes(data[: len(data) // 2])
    stage.end()
    stage.tells(CLOSED)


@check("CLIENT-16", "a reset is told of", alone=True)
def reset(stage: Stage) -> None:
    stage.enter("bo")
    stage.reset()
    stage.tells(LOST)


@check("CLIENT-16", "a reset after GOODBYE is an end in order")
def reset_after_goodbye(stage: Stage) -> None:
    stage.enter("bo")
    stage.request(Goodbye())
    stage.reset()
    stage.tells(CLOSED)


@check("CLIENT-16", "a reset before the first roster is told of", alone=True)
def reset_before_the_roster(stage: Stage) -> None:
    stage.register()
    stage.reset()
    stage.tells(LOST)


@check("CLIENT-16", "a reset within a message is told of")
def reset_within_a_message(stage: Stage) -> None:
    stage.enter("bo")
    data = stage.encoded(stage.roster("bo", "cy"))
    stage.serve_bytes(stage.encoded(Error("invalid: x")) + data[: len(data) // 2])
    stage.tells(Error)
    stage.reset()
    stage.tells(LOST)


@check("CLIENT-16", "a reset while the client writes is told of, and the client does not hang")
def reset_while_it_writes(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.ask_ahead(*[SendMessage("7", "x" * 8192)] * 64)
    stage.sends(SendMessage)
    stage.reset()
    stage.tells(LOST)


_LAST_WORDS = 1.0  # seconds that a client may read on for


@check("CLIENT-20", "after GOODBYE the client closes its connection, even if the server never does")
def no_end_after_goodbye(stage: Stage) -> None:
    stage.enter("bo")
    stage.request(Goodbye())
    stage.read_to_end(_LAST_WORDS)


_TEXT = 8 * 1024  # bytes


def _fill(stage: Stage) -> int:
    """Have the client write more than anybody reads; give how many texts that are."""
    stage.enter("bo")
    stage.join("7")
    count = stage.room // _TEXT
    stage.ask_ahead(*(SendMessage("7", f"{number:08}" * (_TEXT // 8)) for number in range(count)))
    return count


@check("CLIENT-17", "with both buffers full the client goes on reading, and nothing is lost")
def both_buffers_full(stage: Stage) -> None:
    count = _fill(stage)
    for number in range(count // 4):  # the suite's own end keeps little
        stage.serve(Message("7", "bo", f"{number:08}" * (_TEXT // 8)))
    for _ in range(count // 4):
        stage.tells(Message)
    for _ in range(count):
        stage.sends(SendMessage)
    stage.answers()


@check(
    "CLIENT-17",
    "while nobody reads what it writes, it tells of a roster; later everything that it sent is there, complete",
)
def nothing_is_cut(stage: Stage) -> None:
    count = _fill(stage)
    stage.deliver(stage.roster("cy"))
    for _ in range(count):
        stage.sends(SendMessage)
    stage.answers()


@check("CLIENT-17", "requests of all kinds may be on their way at once")
def pipelined(stage: Stage) -> None:
    stage.enter("bo")
    stage.invite("7")
    stage.ask_ahead(Status("busy"), Invite(("bo",)), ListConversations(), Join("7"), SendMessage("7", "hi"))
    stage.sends(Status)
    stage.sends(Invite)
    stage.sends(ListConversations)
    stage.serve_list()
    stage.sends(Join)
    stage.sends(SendMessage)
    stage.answers()
