"""Tests of the checks that the message and stream vectors make of servers."""

import json
from collections.abc import Callable

import pytest

from improto.codec import Codec, load, load_all
from improto.limits import Limits
from improto.messages import AnyMessage, Error, Register, Role, Status
from improto.server import Hub
from improto.service import Service
from improto_codecs.ascii_codec import AsciiCodec
from improto_codecs.json_codec import JsonCodec
from improto_conformance.profile import Profile
from improto_conformance.results import Result, Verdict
from improto_conformance.servers.check import Check
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.forms import form_checks
from improto_conformance.servers.runner import Settings, conduct, run
from improto_conformance.servers.stage import Stage
from improto_conformance.servers.targets import in_process
from improto_conformance.transcripts.transcript import Event
from improto_conformance.vectors import vectors
from improto_conformance.zoo import copies

JSON = load("json")


def reference(*codecs: Codec) -> Service:
    """Make the reference server."""
    return Service(Hub(), codecs or load_all())


def checked(make: Callable[[], Service], *names: str, codecs: list[str] | None = None) -> list[Result]:
    """Run some checks."""
    checks = [check for check in CHECKS if check.name in names]
    assert len(checks) == len(names)
    return run(in_process(make), checks, Settings(Profile(codecs or ["json"]), jobs=1, timeout=2.0))


def test_all_vectors_are_used() -> None:
    """Nearly all that clients send in vectors is sent to servers."""
    sent = {
        str(entry.item)
        for result in run(in_process(reference), form_checks(), Settings())
        for entry in result.transcript.entries
        if entry.event is Event.MARK
    }
    all_ = {
        v.id for v in vectors().values() if v.kind in ("message", "stream") and v.data["from"] == "client"
    }
    assert sent <= all_
    assert len(sent) > 0.96 * len(all_)
    assert {"json/stream-http-before-register", "pickle/two-messages"} <= all_ - sent


class Stripping(JsonCodec):
    """Reads a status without the spaces at its ends."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read one object."""
        message = super().decode(payload, sender)
        return Status(message.status.strip()) if isinstance(message, Status) else message


class Converting(JsonCodec):
    """Takes a number for a text."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read one object."""
        return super().decode(payload.replace(b":7}", b':"7"}'), sender)


class Renaming(JsonCodec):
    """Registers under a name in capitals."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read one object."""
        message = super().decode(payload, sender)
        return (
            Register(message.username.upper(), message.status) if isinstance(message, Register) else message
        )


class Narrow(AsciiCodec):
    """Refuses quotes where a bare word would do."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read one line."""
        return super().decode(b"?" if b'"7"' in payload else payload, sender)


@pytest.mark.parametrize(
    ("codec", "name", "words"),
    [
        (Stripping(), "LIMIT-22/forms", "was to show"),
        (Converting(), "JSON-13/forms", "was to be answered with invalid"),
        (Renaming(), "REGISTER-1/forms", "was to show"),
        (Narrow(), "ASCII-5/forms", "was with malformed"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Codec) else None,
)
def test_broken_codecs(codec: Codec, name: str, words: str) -> None:
    """A server whose codec makes something else of a vector fails, and the complaint names the vector."""
    [result] = checked(lambda: reference(codec), name, codecs=[codec.name])
    assert result.verdict is Verdict.FAILED
    assert words in result.complaints[0]
    assert result.complaints[0].split(" ")[0] in vectors()


ROOMY = copies.load(
    {
        "improto_codecs/opcodes.py": copies.source("improto_codecs/opcodes.py").replace(
            "self._limit // 2", "2 * self._limit"
        )
    }
)
"""A server that takes pickles however many objects they make."""


def test_freedom_of_many_objects() -> None:
    """A server may take a pickle however many objects it makes (PICKLE-34)."""
    checks = [check for check in CHECKS if check.clause in ("PICKLE-34", "PICKLE-25")]
    results = conduct(copies.in_memory(ROOMY), checks, Settings(Profile(["pickle"])))
    assert {result.check.name: result.complaints for result in results if result.complaints} == {}


@pytest.mark.parametrize(
    ("data", "answered"),
    [
        (b"STATUS U\1x" + b"\x94" * 40_000, True),
        (b"STATUS U\1x" + b"\x94" * 40_000 + b".", True),
        (b"STATUS U\1x" + b"\x94" * 70_000 + b".", False),
        (b"JOIN (U\xff" + b"x" * 255 + b"\x94" * 40_000 + b"h\0" * 300 + b"l.", False),
    ],
    ids=["not all there", "whole", "over the limit", "unfolded over the limit"],
)
def test_many_objects_in_a_stream(data: bytes, answered: bool) -> None:
    """It is so in any stream, whole or not, as long as that is within the limit, and what it unfolds to (PICKLE-25)."""

    def play(stage: Stage) -> None:
        [ann] = stage.enter("ann")
        ann.send_bytes(data)
        ann.half_close()
        ann.read_to_end()

    check = Check("CONN-21/objects", "CONN-21", "", play, half_close=True, judgement=lambda seen: ())
    [result] = conduct(copies.in_memory(ROOMY), [check], Settings(Profile(["pickle"])))
    assert result.complaints == ()
    taken = not any(isinstance(entry.item, Error) for entry in result.transcript.of("ann"))
    assert taken is answered


def test_strangers() -> None:
    """Conversations and names of others are let alone, which is no failure."""

    def make() -> Service:
        hub = Hub()
        service = Service(hub, [JSON])
        for name in ("bo", "alice"):
            peer = service.connect(0.0)
            service.receive(peer, JSON.frame(JSON.encode(Register(name, ""))))
            service.turn(0.0)
        invite = json.dumps({"type": "INVITE", "users": ["bo"]}).encode()
        for _ in range(7):
            service.receive(peer, JSON.frame(invite))
        service.turn(0.0)
        return service

    results = checked(make, "JOIN-1/forms", "REGISTER-1/forms", "INVITE-1/forms", "CONN-14/streams")
    assert {result.verdict for result in results} == {Verdict.PASSED}
    marks = {str(entry.item) for result in results for entry in result.transcript.entries}
    assert not {"json/join", "json/invite-one", "json/register"} & marks
    assert {"json/invite-none", "json/join-with-text"} & marks


def test_other_limits() -> None:
    """Vectors that depend on the limits are left out for a server that has others."""
    profile = Profile(["json"], limits=Limits(name=32))
    names = [result.check.name for result in run(in_process(reference), form_checks(), Settings(profile))]
    assert "JSON-13/forms" in names
    assert not {"LIMIT-5/forms", "LIMIT-2/streams"} & set(names)


PATIENT = copies.load(
    {
        "improto_codecs/opcodes.py": copies.source("improto_codecs/opcodes.py").replace(
            "(len(buffer) > bound or (end > bound and not self.searched))", "len(buffer) > bound"
        )
    }
)
"""A server that refuses a pickle that is too large only when the bytes have come."""


@pytest.mark.parametrize("registered", [True, False], ids=["registered", "stranger"])
@pytest.mark.parametrize(
    "data",
    [
        b"STATUS (X\x00\x00\x00\x0dabc",
        b"LIST_CONVERSATIONS \x80\x02]q\x00.STATUS (X\x00\x00\x00\x0dabc",
        b"LIST_CONVERSATIONS STATUS (X\x00\x00\x00\x0dabc",
        b" STATUS (X\x00\x00\x00\x0dabc",
        b"LIST_CONVERSATIONSLIST_CONVERSATIONS X\x00\x00\x00\x0dabc",
        b"STATUS (X\x00\x20\x00\x00abc",
        b"STATUS (\x8d" + b"\xff" * 8 + b"x" * 4_000,
        b"STATUS (\x8d" + b"\xff" * 8 + b"x" * 5_000,
        b"STATUS (\x8d" + b"\xff" * 8 + b"x" * 70_000,
    ],
    ids=[
        "long",
        "after an empty value",
        "after no value",
        "after a space",
        "of no value",
        "between the limits",
        "first limit",
        "above it",
        "above both",
    ],
)
def test_declared_length_in_a_stream(data: bytes, *, registered: bool) -> None:
    """A server may wait for a length that is too large, until bytes beyond the limit have come (chapter 11.4)."""

    def play(stage: Stage) -> None:
        [ann] = stage.enter("ann") if registered else [stage.connect("ann")]
        ann.send_bytes(data)
        ann.half_close()
        ann.read_to_end()

    check = Check("CONN-21/declared", "CONN-21", "", play, half_close=True, judgement=lambda seen: ())
    [result] = conduct(copies.in_memory(PATIENT), [check], Settings(Profile(["pickle"])))
    assert result.complaints == ()
