"""Checks of how bytes are cut into messages."""

from improto.codec import available, load
from improto.messages import (
    AnyMessage,
    Code,
    Join,
    ListConversations,
    Message,
    OnlineUsers,
    Register,
    SendMessage,
    Status,
)
from improto_conformance.servers.check import Complaints, check
from improto_conformance.servers.stage import Stage
from improto_conformance.transcripts.transcript import Transcript


@check("CONN-4", "a message is understood when its bytes come one by one", transport="stream")
def byte_by_byte(stage: Stage) -> None:
    ann, bo = stage.connect("ann"), stage.connect("bo")
    ann.send_bytes(ann.encoded(Register(ann.name, "x")), one_by_one=True)
    ann.wait_for(OnlineUsers)
    stage.register(bo)
    id = stage.invite(bo, ann)
    messages = (Join(id), SendMessage(id, 'a "b" c é'), ListConversations())
    stage.mark("said")
    ann.send_bytes(ann.encoded(*messages), one_by_one=True)
    ann.wait(lambda _: bool(stage.transcript.lists("ann")), "CONVERSATIONS")


@byte_by_byte.judge
def _(seen: Transcript) -> Complaints:
    heard = [getattr(message, "text", message) for message in seen.heard("ann", since="said")]
    if heard != ['a "b" c é']:
        yield f"ann was to hear its own message, and heard {heard}"


@check("CONN-4", "a character is understood whose bytes come apart", transport="stream")
def half_a_character(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    data = ann.encoded(SendMessage(stage.transcript.conversation, _FACES))
    stage.mark("said")
    for at in _WITHIN:
        ann.send_bytes(data[:at])
        bo.barrier()  # so the rest is another read
        ann.send_bytes(data[at:])
        ann.wait_for(Message)


@half_a_character.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [seen.said("ann", _FACES)] * len(_WITHIN), since="said")


_FACES = "\U0001f600" * 9  # 36 bytes in UTF-8
_WITHIN = range(-24, -16)  # wherever a message ends, these cut it amid a character or its escape


@check("CONN-5", "all of many messages in one write are handled, in order", transport="stream")
def many_in_one(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    stage.mark("sent")
    pair: list[AnyMessage] = [Join("no-such-id"), ListConversations()]
    ann.send(*pair * 50, deliberate=True)
    ann.wait(lambda _: len(stage.transcript.lists("ann")) == 50, "50 CONVERSATIONS")


@many_in_one.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.NO_SUCH_CONVERSATION] * 50, since="sent")
    if len(seen.lists("ann")) != 50:
        yield f"50 lists were asked for and {len(seen.lists('ann'))} came"


@check("ORDER-3", "requests sent without waiting for the answer to REGISTER are handled after it")
def pipelined(stage: Stage) -> None:
    ann = stage.connect("ann")
    ann.send(Register(ann.name, "x"), Status("y"), ListConversations())
    ann.wait(lambda _: bool(stage.transcript.lists("ann")), "CONVERSATIONS")


@pipelined.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [])
    if not seen.lists("ann") or not seen.rosters("ann"):
        yield "REGISTER and LIST_CONVERSATIONS in one write were both to be answered"


@check("CONN-20", "after a half-close the replies to what was sent before still come", half_close=True)
def half_close(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send(*[ListConversations()] * 5)
    ann.half_close()
    ann.read_to_end()


@half_close.judge
def _(seen: Transcript) -> Complaints:
    if len(seen.lists("ann")) != 5:
        yield f"5 lists were asked for before the half-close and {len(seen.lists('ann'))} came"
    yield from seen.expect_closed("ann")


@check(
    "CONN-21",
    "a message that the end of the stream cuts off is not executed",
    codecs=("ascii", "json", "msgpack"),
    transport="stream",
    half_close=True,
)
def cut_off(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    stage.mark("said")
    ann.send_bytes(ann.encoded(SendMessage(stage.transcript.conversation, "half"))[:-1])
    ann.half_close()
    ann.read_to_end()
    bo.barrier()


@cut_off.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("bo", [], since="said")


def _line_ends(stage: Stage) -> None:
    ann = stage.connect("ann")
    ann.send_bytes(b"\r\n\n  \n" + ann.encoded(Register(ann.name, "x")).replace(b"\n", b"\r\n") + b"\r\n")
    ann.wait_for(OnlineUsers)
    ann.barrier()


def _status_as_sent(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [])
    for roster in seen.rosters("ann"):
        if roster.users.get(seen.name("ann")) != "x":
            yield "the carriage return was not to become part of the status"


@check("ASCII-2", "lines may end in CR LF, and blank ones are skipped", codecs=("ascii",), transport="stream")
def ascii_lines(stage: Stage) -> None:
    _line_ends(stage)


@check("JSON-4", "lines may end in CR LF, and blank ones are skipped", codecs=("json",), transport="stream")
def json_lines(stage: Stage) -> None:
    _line_ends(stage)


ascii_lines.judge(_status_as_sent)
json_lines.judge(_status_as_sent)


@check(
    "CODEC-11",
    "any number of blanks and line ends before the first message is skipped, and counts for no limit",
    codecs=(available()[0],),
    transport="stream",
)
def many_blanks_first(stage: Stage) -> None:
    for name in available():
        party = stage.connect(name, load(name))
        for blanks in (b" ", b"\n", b"\r", b" \r\n") * 6:
            party.send_bytes(blanks * 250)  # each write is within any limit, and all of them are not
        stage.register(party)


many_blanks_first.needs = tuple(available())


@many_blanks_first.judge
def _(seen: Transcript) -> Complaints:
    for name in available():
        yield from seen.expect(name, [])


def _line_ends_apart(stage: Stage) -> None:
    """Have the two characters of each line end come in two reads."""
    [bo] = stage.enter("bo")
    ann = stage.connect("ann")
    for message in (Register(ann.name, "x"), ListConversations(), ListConversations()):
        ann.send_bytes(ann.encoded(message).replace(b"\n", b"\r"))
        bo.barrier()  # so the rest is another read
        ann.send_bytes(b"\n")
    ann.wait(lambda _: len(stage.transcript.lists("ann")) == 2, "two lists")


@check("ASCII-2", "CR and LF may come in two reads", codecs=("ascii",), transport="stream")
def ascii_line_ends_apart(stage: Stage) -> None:
    _line_ends_apart(stage)


@check("JSON-4", "CR and LF may come in two reads", codecs=("json",), transport="stream")
def json_line_ends_apart(stage: Stage) -> None:
    _line_ends_apart(stage)


ascii_line_ends_apart.judge(_status_as_sent)
json_line_ends_apart.judge(_status_as_sent)


@check("CONN-1", "one connection serves its user for many requests, with and without replies")
def many_requests(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    stage.mark("said")
    for number in range(5):
        ann.send(SendMessage(stage.transcript.conversation, str(number)))
        stage.barrier(ann, bo)


@many_requests.judge
def _(seen: Transcript) -> Complaints:
    said = [seen.said("ann", str(number)) for number in range(5)]
    for party in ("ann", "bo"):
        yield from seen.expect(party, said, since="said")
        yield from seen.expect_open(party)
