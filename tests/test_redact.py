"""Transcripts and reports without private texts."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from improto.codec import available, load, load_all
from improto.messages import (
    AnyMessage,
    Conversations,
    Error,
    Invitation,
    Invite,
    Message,
    OnlineUsers,
    Register,
    Role,
    SendMessage,
)
from improto.server import Hub
from improto.service import Service
from improto_conformance.judging.judge import judge
from improto_conformance.profile import Profile
from improto_conformance.reports import Run, clear, keep, write
from improto_conformance.reports.redact import Redactor
from improto_conformance.reports.redact.masks import KEPT, Masks
from improto_conformance.results import Aim, Result, Verdict
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.runner import Settings, conduct
from improto_conformance.servers.targets import Target, in_process
from improto_conformance.transcripts.complaints import Difference, Inconclusive
from improto_conformance.transcripts.transcript import Entry, Event, Transcript
from improto_conformance.zoo.broken import BROKEN
from improto_conformance.zoo.copies import in_memory
from improto_spec import clauses
from programs import IMPROTO


def reference() -> Service:
    """Make the reference server."""
    return Service(Hub(), load_all())


def found(seen: Transcript, codec: str) -> list[tuple[str, int]] | None:
    """Give what the judge says: clauses and places, or None if it cannot tell."""
    try:
        return [(complaint.clause, complaint.index) for complaint in judge(seen, Profile([codec]))]
    except Inconclusive:
        return None


@pytest.mark.parametrize("codec", available())
@pytest.mark.parametrize(
    "target", [in_process(reference), in_memory(BROKEN["no-copy-for-the-sender"].copy())]
)
def test_judged_as_before(target: Target, codec: str) -> None:
    """The judge says the same of a transcript before and after, messages, nonsense and faults of the server alike."""
    raw = [check for check in CHECKS if check.name.endswith(("/forms", "/streams"))]
    others = [check for check in CHECKS if check.name.startswith(("SEND-", "MESSAGE-4", "ERROR-", "CODEC-"))]
    checks = [*raw[::4], *others[::3]]
    for result in conduct(target, checks, Settings(Profile([codec]), jobs=1, run="zqxjvwkm", timeout=1)):
        redacted = Redactor(Masks(b"key")).result(result)
        assert found(redacted.transcript, codec) == found(result.transcript, codec), result.check.name
        for old, new in zip(result.transcript.entries, redacted.transcript.entries, strict=True):
            assert codec == "pickle" or len(new.data) == len(old.data)  # a number may need another opcode
            assert b"zqxjvwkm" not in new.data
            assert "zqxjvwkm" not in str(new)
        assert not any("zqxjvwkm" in complaint for complaint in redacted.complaints)


SECRETS = (
    "Xanthippe",
    "Quasimodo",
    "Gänseblümchen",
    "Звёздочка",
    "Kryptonit'\"s",
    "zebrafish",
    "月光奏鳴曲",
    "p@ssw0rd",
)
XAN, QUASI, GOOSE, STAR, QUOTED, CODE, MOON, WORD = SECRETS


def secretive(codec_name: str) -> Result:
    """Make a result in which secrets stand wherever a peer can put them."""
    codec = load(codec_name)

    def entry(event: Event, message: AnyMessage) -> Entry:
        return Entry(XAN, event, message, 0.0, codec.frame(codec.encode(message)))

    request = codec.frame(codec.encode(SendMessage(QUASI, f"{MOON} {GOOSE}")))
    entries = [
        entry(Event.SENT, Register(XAN, STAR)),
        entry(Event.RECEIVED, OnlineUsers({XAN: STAR, QUOTED: f"{WORD}\n{MOON}"})),
        entry(Event.SENT, Invite((QUOTED, GOOSE))),
        entry(Event.RECEIVED, Invitation(QUASI, XAN)),
        entry(Event.RECEIVED, Conversations({QUASI: (XAN, GOOSE)})),
        entry(Event.RECEIVED, Message(QUASI, GOOSE, f"a long {STAR} and {WORD} " + MOON * 30)),
        entry(Event.RECEIVED, Error(f"no-such-user: {GOOSE} and {QUOTED}")),
        entry(Event.RECEIVED, Error(f"{CODE}: {WORD}")),
        Entry(XAN, Event.RAW, request[:-3], 0.0, request[:-3]),
        Entry(XAN, Event.RAW, request[-3:] + f"({QUASI} {STAR}".encode(), 0.0, request[-3:] + f"({QUASI} {STAR}".encode()),
        Entry(XAN, Event.ASKED, f'{{"do": "send", "text": "{GOOSE}", "conversation": "{QUASI}"}}'),
        Entry(XAN, Event.TOLD, f"{{{XAN}, {STAR}"),
        Entry(XAN, Event.FAULT, f"malformed: {MOON!r} and {XAN}", 0.0, f"{{{WORD} {XAN}".encode()),
    ]  # fmt: skip
    complaints = (
        Difference.of(XAN, f"receive {Message(QUASI, GOOSE, WORD)!a}", f"received '{(STAR * 9)!a:.30}"),
        f"{XAN} received what is no message: {GOOSE.encode()!r}, {[QUOTED, STAR]}",
        f'Traceback (most recent call last):\n  File "x.py"\nValueError: {MOON!r}',
    )
    aim = Aim("SEND-3/to-the-sender", "SEND-3", "the sender gets a copy")
    seen = Transcript("", entries, {XAN: codec_name})
    return Result(aim, codec_name, "whole", Verdict.FAILED, complaints, seen, 0, 0)


def forms(secret: str) -> set[bytes]:
    """Give the words of a secret in all forms in which a file may have them."""
    data = {secret.encode(), ascii(secret)[1:-1].encode(), secret.encode("latin-1", "ignore") or b"?"}
    data |= {piece for each in data for piece in re.findall(rb"[\w@\\\x80-\xff]{6,}", each)}
    data |= {each.replace(b"\\", b"\\\\") for each in data}
    return {each for each in data | {each.hex().encode() for each in data} if len(each) > 5}


@pytest.mark.parametrize("codec", available())
def test_nothing_is_left(codec: str, tmp_path: Path) -> None:
    """No secret is in any file of a report, whole or in a form in which it is written, and each is where it was without."""
    for folder, result in (("open", secretive(codec)), ("shut", Redactor().result(secretive(codec)))):
        clear(tmp_path / folder)
        run = Run([result])
        keep(run, result, tmp_path / folder)
        write([run], tmp_path / folder, clauses())
    written = {
        name: b"".join(path.read_bytes() for path in (tmp_path / name).rglob("*") if path.is_file())
        for name in ("open", "shut")
    }
    for secret in SECRETS:
        left = [form for form in forms(secret) if form in written["shut"]]
        assert not left
        assert any(form in written["open"] for form in forms(secret))


def test_same_everywhere() -> None:
    """A name has one replacement in messages, bytes, complaints and as a party, and the stream reads like the messages."""
    for codec in available():
        before = secretive(codec)
        result = Redactor().result(before)
        first = result.transcript.entries[0]
        assert isinstance(first.item, Register)
        name = first.item.username
        assert first.party == name
        assert set(result.transcript.codecs) == {name}
        assert result.complaints[0].startswith(f"{name} was to receive Message(")
        reader = load(codec).reader(Role.CLIENT)
        reader.feed(first.data)
        assert reader.next(4096) == first.item


@pytest.mark.parametrize(
    "text",
    [
        "ann",
        "Ann Lee",
        "7",
        "007",
        "0",
        "x" * 8192,
        "é",
        "žluťoučký",
        "月光",
        "👋 hi",
        "a\tb\x00c\u202e",
        "",
        "-",
    ],
)
def test_same_size(text: str) -> None:
    """A replacement is as long as its text in letters, UTF-8, Latin-1 and JSON, and as good or bad a name or number."""
    other = Masks().text(text)
    assert len(other) == len(text)
    assert len(other.encode()) == len(text.encode())
    assert len(ascii(other)) == len(ascii(text))
    assert [letter.isprintable() for letter in other] == [letter.isprintable() for letter in text]
    assert [letter.isdigit() for letter in other] == [letter.isdigit() for letter in text]
    assert text in ("", "-", "0", "a\tb\x00c\u202e") or other != text


def test_told_apart() -> None:
    """Different texts have different replacements, also where there are few."""
    texts = [str(number) for number in range(1000)] + [chr(code) for code in range(0x61, 0x7B)]
    for key in range(50):  # with some of these, only a letter itself is left at the end
        masks = Masks(bytes([key]))
        assert len({masks.text(text) for text in texts}) == len(texts)


def test_endings() -> None:
    """What the names of a run end in is replaced alike in all of them, so that they stay this run's."""
    masks = Masks()
    assert masks.text("ann.7f-1", ".7f-1") == masks.text("ann") + masks.text(".7f-1")


def test_protocol_stays() -> None:
    """Commands, fields and codes stay readable."""
    masks = Masks()
    assert {masks.text(word) for word in KEPT} == KEPT
    assert masks.text("no-such-user: ann").startswith("no-such-user: ")


def test_command(tmp_path: Path) -> None:
    """--redact keeps the names of a run out of what is printed and written, and changes no verdict."""
    target = f"cmd:{sys.executable} -m improto_conformance.zoo.broken no-copy-for-the-sender {{port}}"
    words = [
        str(IMPROTO),
        "check",
        "server",
        target,
        "--only=SEND-[34]*",
        "--codec=json",
        f"--report={tmp_path}",
    ]
    codes: list[int] = []
    for further in ("", "--redact"):
        done = subprocess.run(
            [*words, *further.split()], capture_output=True, text=True, check=False, timeout=60
        )
        codes.append(done.returncode)
        told = done.stdout + "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
        assert ("hello" not in told and not re.search(r"\bann\b", told)) == bool(further)
        assert "FAILED SEND-3/to-the-sender" in done.stdout
    assert codes == [1, 1]
