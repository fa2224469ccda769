"""Checks of refusals and of what is no message."""

from improto.messages import Code, Error, Invite, Join, Leave, Register, SendMessage, Status
from improto_conformance.check import Complaints, check
from improto_conformance.stage import Stage
from improto_conformance.transcript import Transcript

_UNKNOWN = {
    "ascii": b"FROBNICATE x y\n",
    "json": b'{"type":"FROBNICATE","x":[1,{}]}\n',
    "msgpack": b"\0\0\0\x0e\x92\xaaFROBNICATE\xa1x",
    "pickle": b"FROBNICATE (S'x'\nl.",
}
_WRONG_WAY = {
    "ascii": b"MESSAGE 1 bo x\n",
    "json": b'{"type":"MESSAGE","conversation":"1","sender":"bo","text":"x"}\n',
    "msgpack": b"\0\0\0\x10\x94\xa7MESSAGE\xa11\xa2bo\xa1x",
    "pickle": b"MESSAGE (S'1'\nS'bo'\nS'x'\nl.",
}
_MALFORMED = {
    "ascii": b'STATUS "open\n',
    "json": b'{"type":"STATUS","status":"open\n',
    "msgpack": b"\0\0\0\x01\xc1",
    "pickle": b"STATUS cos\nsystem\n.",
}
_WRONG_TYPE = {
    "ascii": b"STATUS\n",
    "json": b'{"type":"STATUS","status":7}\n',
    "msgpack": b"\0\0\0\x09\x92\xa6STATUS\x07",
    "pickle": b"STATUS N.",
}
_FRAMED = ("ascii", "json", "msgpack")


@check("ERROR-4", "each request that fails gets exactly one ERROR, in order")
def one_each(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    nobody = stage.transcript.name("nobody")
    ann.send(Join("no-such-id"), Invite((nobody,)), Invite((ann.name,)), Leave("no-such-id"), deliberate=True)
    ann.barrier()


@one_each.judge
def _(seen: Transcript) -> Complaints:
    codes = [Code.NO_SUCH_CONVERSATION, Code.NO_SUCH_USER, Code.INVALID, Code.NO_SUCH_CONVERSATION]
    yield from seen.expect("ann", codes)


@check("ERROR-5", "an ERROR goes to nobody but who sent the request")
def to_nobody_else(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    ann.send(Join("no-such-id"), deliberate=True)
    stage.barrier(ann, bo)


@to_nobody_else.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("bo", [])


@check("ERROR-7", "after an ERROR the connection goes on")
def goes_on(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    for _ in range(10):
        ann.send(Join("no-such-id"), deliberate=True)
        ann.barrier()


@goes_on.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.NO_SUCH_CONVERSATION] * 10)
    yield from seen.expect_open("ann")


@check("CONN-11", "an unknown command is answered, and the connection goes on")
def unknown_command(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send_bytes(_UNKNOWN[ann.codec.name])
    ann.barrier()


@unknown_command.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.UNKNOWN_COMMAND])
    yield from seen.expect_open("ann")


@check("CONN-9", "a command that only servers send is unknown to a server")
def wrong_way(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    ann.send_bytes(_WRONG_WAY[ann.codec.name])
    stage.barrier(ann, bo)


@wrong_way.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.UNKNOWN_COMMAND])
    yield from seen.expect("bo", [])


@check("CONN-23", "a malformed message in its frame is answered, and the connection goes on", codecs=_FRAMED)
def malformed(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send_bytes(_MALFORMED[ann.codec.name])
    ann.barrier()


@malformed.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.MALFORMED])
    yield from seen.expect_open("ann")


@check(
    "CONN-24",
    "after a malformed pickle, whose end nobody knows, the connection is closed",
    codecs=("pickle",),
    transport="stream",
)
def malformed_pickle(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send_bytes(_MALFORMED["pickle"])
    ann.read_to_end()


@malformed_pickle.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.MALFORMED])
    yield from seen.expect_closed("ann")


@check("CONN-25", "what is malformed on one connection does not touch another one")
def others_unharmed(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    [bad] = stage.enter("bad")
    bad.send_bytes(_MALFORMED[bad.codec.name])
    bad.wait(lambda _: bool(stage.transcript.heard("bad")), "an ERROR")
    stage.mark("said")
    ann.send(SendMessage(stage.transcript.conversation, "still here"))
    stage.barrier(ann, bo)


@others_unharmed.judge
def _(seen: Transcript) -> Complaints:
    for party in ("ann", "bo"):
        if len(seen.heard(party, since="said")) != 1:
            yield f"{party} was to hear the message after somebody else's malformed one"


@check("CODEC-5", "what is no text where a text is due is invalid, and the connection goes on")
def wrong_type(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send_bytes(_WRONG_TYPE[ann.codec.name])
    ann.barrier()


@wrong_type.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.INVALID])
    yield from seen.expect_open("ann")


@check("CONN-24", "a request over 64 KiB is too large, and the connection is closed")
def too_large(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send(Status("x" * 70_000), deliberate=True)
    ann.read_to_end()


@too_large.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.TOO_LARGE])
    yield from seen.expect_closed("ann")


@check("LIMIT-3", "before REGISTER a request over 4 KiB is too large")
def too_large_greeting(stage: Stage) -> None:
    ann = stage.connect("ann")
    ann.send(Register(ann.name, "x" * 5000), deliberate=True)
    ann.read_to_end()


@too_large_greeting.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.TOO_LARGE])


_BAD_NAMES = ("", "x" * 65, " x", "x ", "x\ty", "x\x7fy", "x\x85y", "x\u2028y", "x\u202ey", "x\u2066y")


@check("LIMIT-5", "usernames out of bounds are invalid, and another one may be tried")
def bad_names(stage: Stage) -> None:
    ann = stage.connect("ann")
    for name in _BAD_NAMES:
        ann.send(Register(name, ""), deliberate=True)
    stage.register(ann)
    ann.barrier()


@bad_names.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.INVALID] * len(_BAD_NAMES))


@check("LIMIT-10", "a status of 256 code points is taken, a longer one is invalid and changes nothing")
def long_status(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    ann.send(Status("é" * 256), Status("é" * 257), deliberate=True)
    ann.barrier()
    bo.wait_to_see(ann.name, "é" * 256)


@long_status.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.INVALID])


@check("LIMIT-15", "a name out of bounds in INVITE is invalid, not unknown")
def bad_name_invited(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send(Invite(("x" * 65,)), Invite(tuple(f"nobody{number}" for number in range(65))), deliberate=True)
    ann.barrier()


@bad_name_invited.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.INVALID, Code.INVALID])


@check("LIMIT-13", "a conversation id out of bounds is invalid")
def bad_id(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send(Join(""), Join("x" * 65), Leave("a b"), SendMessage("é", "x"), deliberate=True)
    ann.barrier()


@bad_id.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.INVALID] * 4)


@check("LIMIT-16", "an ERROR about many long names has at most 512 characters")
def short_explanations(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    nobody = [f"{number:02}" + "\U0001f600" * 62 for number in range(64)]
    ann.send(Invite(tuple(nobody)), Join("7" * 64), deliberate=True)
    ann.barrier()


@short_explanations.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.NO_SUCH_USER, Code.NO_SUCH_CONVERSATION])
    for entry in seen.of("ann"):
        if isinstance(entry.item, Error) and len(entry.item.message) > 512:
            yield f"an ERROR was to have at most 512 characters and has {len(entry.item.message)}"


@check("LIMIT-5", "a username of 64 code points is taken, also beyond the Basic Multilingual Plane")
def longest_name(stage: Stage) -> None:
    label = "\U0001f600" * (64 - len(stage.transcript.suffix))
    stage.register(stage.connect(label)).barrier()


@longest_name.judge
def _(seen: Transcript) -> Complaints:
    for entry in seen.entries:
        if isinstance(entry.item, Error):
            yield f"a username of 64 code points was to be taken, and was refused: {entry.item.message!a}"
