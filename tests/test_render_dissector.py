"""Tests of the dissector for Wireshark: what it shows of real sessions on loopback, and of bytes that nobody sends."""

import io
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar, cast

import pytest

from improto.codec import Codec, load
from improto.limits import Limits
from improto.messages import (
    COMMANDS,
    AnyMessage,
    Conversations,
    Error,
    Field,
    Goodbye,
    Invitation,
    Invite,
    Join,
    Kind,
    Leave,
    ListConversations,
    Message,
    OnlineUsers,
    Register,
    Role,
    SendMessage,
    Status,
    Value,
)
from improto_spec.render.dissector import render
from programs import DEADLINE, Programs

M = TypeVar("M", OnlineUsers, Invitation, Conversations, Message, Error)

PORT: Final = 6666
CODECS: Final = ("ascii", "json", "msgpack", "pickle")
MARKER: Final = b"this is the last packet of the capture"
ROOT: Final = Path(__file__).parent

needs_tshark = pytest.mark.skipif(
    shutil.which("tshark") is None or shutil.which("dumpcap") is None,
    reason="tshark or dumpcap is not installed",
)
each_codec = pytest.mark.parametrize("codec", [pytest.param(load(name), id=name) for name in CODECS])
each_pass = pytest.mark.parametrize(
    "passes", [pytest.param((), id="one pass"), pytest.param(("-2",), id="two")]
)

Pairs = list[tuple[str, object]]
"""A JSON object with all of its members, since tshark writes one for each time that a field is there."""


# ---- What tshark shows.


@dataclass
class Shown:
    """One message as it is shown."""

    stream: int
    sender: str
    codec: str
    message: AnyMessage | None
    """None if not all fields of a known command are shown."""
    names: list[str]
    """Of all fields, also those of expert information."""
    code: str | None


class Tshark:
    """Runs tshark with the dissector and no other configuration."""

    def __init__(self, folder: Path) -> None:
        """Keep files in `folder`."""
        self._folder = folder
        (folder / "improto.lua").write_text(render(), encoding="utf-8")

    def run(self, capture: bytes, *options: str) -> str:
        """Give what is printed about a capture; no Lua error may be in it, and no word on standard error."""
        (self._folder / "capture.pcap").write_bytes(capture)
        done = subprocess.run(
            ["tshark", "-n", "-r", "capture.pcap", "-X", "lua_script:improto.lua", *options],
            cwd=self._folder,
            env=os.environ | {"HOME": str(self._folder), "WIRESHARK_CONFIG_DIR": str(self._folder)},
            capture_output=True,
            check=True,
            timeout=60,
        )
        said = done.stderr.decode().splitlines()
        assert [line for line in said if not line.startswith("Running as user")] == []
        printed = done.stdout.decode()
        assert not re.search(r"lua[ .]error|dissector bug|exception occurred", printed, re.IGNORECASE)
        return printed

    def messages(self, capture: bytes, *options: str) -> list[Shown]:
        """Give all messages that are shown."""
        packets = cast(
            list[Pairs], json.loads(self.run(capture, "-T", "json", *options), object_pairs_hook=list)
        )
        return [shown for packet in packets for shown in _shown(packet)]


def _shown(packet: Pairs) -> Iterator[Shown]:
    layers = cast(Pairs, dict(cast(Pairs, dict(packet)["_source"]))["layers"])
    for name, layer in layers:
        if name == "improto":
            stream = dict(cast(Pairs, dict(layers)["tcp"]))["tcp.stream"]
            yield _message(int(cast(str, stream)), cast(Pairs, layer))


def _message(stream: int, layer: Pairs) -> Shown:
    members = dict(layer)
    command = COMMANDS.get(cast(str, members.get("improto.command")))
    names = list(_names(layer))
    message = None
    if command and not any("_ws.expert" in name for name in names):
        values = [_value(field, layer) for field in command.FIELDS]
        message = cast(type[Error], command)(*cast(list[str], values))
    return Shown(
        stream,
        cast(str, members["improto.direction"]),
        cast(str, members["improto.codec"]),
        message,
        names,
        cast(str | None, members.get("improto.code")),
    )


def _names(pairs: Pairs) -> Iterator[str]:
    for name, value in pairs:
        yield name
        if isinstance(value, list):
            yield from _names(cast(Pairs, value))


def _all(pairs: Pairs, name: str) -> list[str]:
    return [cast(str, value) for key, value in pairs if key == name]


def _value(field: Field, layer: Pairs) -> Value:
    name = f"improto.{field.name}"
    texts = _all(layer, name)
    if field.kind is Kind.NAMES:
        return tuple(texts)
    if field.kind not in (Kind.ROSTER, Kind.CONVERSATIONS):
        (text,) = texts
        return text
    # What stands below a key follows it, if there is anything.
    entries: dict[str, list[str]] = {}
    key = ""
    for each, value in layer:
        if each == name:
            key = cast(str, value)
            entries[key] = []
        elif each == f"{name}_tree":
            below = cast(Pairs, value)
            entries[key] = _all(below, f"{name}.status") + _all(below, f"{name}.member")
    if field.kind is Kind.ROSTER:
        return {key: status for key, (status,) in entries.items()}
    return {key: tuple(members) for key, members in entries.items()}


def of(shown: Sequence[Shown], stream: int, sender: Role) -> list[AnyMessage | None]:
    """Pick what one end of a connection has sent."""
    return [each.message for each in shown if (each.stream, each.sender) == (stream, sender)]


@pytest.fixture
def tshark(tmp_path: Path) -> Tshark:
    """Give a tshark with the dissector."""
    return Tshark(tmp_path)


# ---- Captures that are written by hand.


class Wire:
    """A capture in which connections are made up."""

    def __init__(self) -> None:
        """Begin without packets."""
        self._packets: list[bytes] = []
        self._sequence: dict[tuple[int, int], int] = {}

    def segment(self, stream: int, sender: Role, data: bytes) -> None:
        """Send bytes as one segment."""
        ports = (40_000 + stream, PORT) if sender is Role.CLIENT else (PORT, 40_000 + stream)
        sequence = self._sequence.get(ports, 1)
        self._sequence[ports] = sequence + len(data)
        acknowledged = self._sequence.get((ports[1], ports[0]), 1)
        tcp = struct.pack(">HHIIBBHHH", *ports, sequence, acknowledged, 0x50, 0x18, 0xFFFF, 0, 0) + data
        address = b"\x7f\0\0\1"
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, address, address)
        self._packets.append(ip + tcp)

    def split(self, stream: int, sender: Role, data: bytes, chance: random.Random) -> None:
        """Send bytes in segments of any size."""
        while data:
            size = chance.choice((1, 2, 3, 5, 20, 100, 1460))
            self.segment(stream, sender, data[:size])
            data = data[size:]

    def capture(self) -> bytes:
        """Give the file: what is in it are bare IP packets, one each millisecond."""
        head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0x40000, 101)
        return head + b"".join(
            struct.pack("<IIII", number // 1000, number % 1000 * 1000, len(packet), len(packet)) + packet
            for number, packet in enumerate(self._packets)
        )


NASTY: Final = "\"q\" 'r' \\u0041 \\\t\r\n\x7f a=b,c (l. Grüße \x85 \u2028 漢字 😀"
CLIENT: Final[Sequence[AnyMessage]] = (
    Register("Änn é😀", NASTY),
    ListConversations(),
    Status(""),
    Invite(("bo", "c y", "dé")),
    ListConversations(),
    Join("7"),
    SendMessage("7", NASTY),
    SendMessage("7", "x" * 8000),
    Leave("7"),
    Goodbye(),
)
SERVER: Final[Sequence[AnyMessage]] = (
    OnlineUsers({"Änn é😀": NASTY, "b=o": "", "c,": "x"}),
    OnlineUsers({}),
    Invitation("7", "Änn"),
    Conversations({"7": ("a b", "é", 'q"'), "8": (), "9": ("x",)}),
    Conversations({}),
    Message("7", "c y", NASTY),
    Error("no-such-user: ünknown"),
    Error("plain text: of old servers"),
)


def written(codec: Codec, messages: Sequence[AnyMessage]) -> bytes:
    """Write messages as a stream."""
    return b"".join(codec.frame(codec.encode(message)) for message in messages)


# ---- Captures of what really happens.


class Talker:
    """A client on a socket, which keeps what it sends and what it receives."""

    def __init__(self, port: int, codec: Codec) -> None:
        """Connect."""
        self._socket = socket.create_connection(("127.0.0.1", port), DEADLINE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._codec = codec
        self._reader = codec.reader(Role.SERVER)
        self.sent: list[AnyMessage] = []
        self.received: list[AnyMessage] = []

    def say(self, *messages: AnyMessage, step: int | None = None) -> None:
        """Send messages with one write, or with one for each `step` bytes."""
        self.sent += messages
        data = written(self._codec, messages)
        for start in range(0, len(data), step or len(data)):
            self._socket.sendall(data[start : start + (step or len(data))])

    def hear(self, kind: type[M]) -> M:
        """Receive up to a message of a kind."""
        while True:
            message = self._next()
            assert message is not None
            if isinstance(message, kind):
                return message

    def close(self) -> None:
        """Receive to the end."""
        while self._next() is not None:
            pass
        self._socket.close()

    def _next(self) -> AnyMessage | None:
        while (message := self._reader.next(Limits().roster)) is None:
            data = self._socket.recv(65536)
            if not data:
                return None
            self._reader.feed(data)
        self.received.append(message)
        return message


@contextmanager
def capturing(port: int) -> Generator[list[bytes]]:
    """Capture a port on loopback; the list has the capture when it is over."""
    command = ["dumpcap", "-q", "-i", "lo", "-f", f"port {port}", "-P", "-w", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        patience = threading.Timer(4 * DEADLINE, process.kill)
        patience.start()
        try:
            data = process.stdout.read(24)  # the head of the file: from now on packets are captured
            if not data:
                pytest.skip(f"capturing on lo is not permitted: {process.stderr.read().decode().strip()}")
            capture: list[bytes] = []
            yield capture
            with socket.socket(type=socket.SOCK_DGRAM) as last:
                last.sendto(MARKER, ("127.0.0.1", port))
            while MARKER not in data:
                more = cast(io.BufferedReader, process.stdout).read1(65536)
                assert more, "the capture ends too early"
                data += more
            process.send_signal(signal.SIGINT)
            capture.append(data + process.stdout.read())
        finally:
            patience.cancel()
            process.kill()


def converse(port: int, codec: Codec) -> list[Talker]:
    """Let two users exchange all 13 commands, also in pieces and in heaps."""
    ann, bo = Talker(port, codec), Talker(port, codec)
    ann.say(Register("ann", "Grüße"), step=1)
    ann.hear(OnlineUsers)
    bo.say(Register("bo é😀", ""), ListConversations())
    bo.hear(Conversations)
    ann.say(ListConversations(), step=1)
    ann.say(Invite(("bo é😀",)), step=7)
    id = ann.hear(Invitation).conversation
    assert bo.hear(Invitation).conversation == id
    ann.say(Join(id), ListConversations())
    ann.hear(Conversations)
    bo.say(Join(id), Status('"away" = \\ ü'), ListConversations())
    bo.hear(Conversations)
    ann.say(SendMessage(id, "h\u00e9 😀\n'x' " * 500), SendMessage(id, ""), step=1000)
    ann.hear(Message)
    ann.hear(Message)
    bo.say(Join("nowhere"), SendMessage(id, "bye"), Leave(id), Goodbye())
    bo.hear(Error)
    bo.close()
    ann.say(Leave(id), Goodbye())
    ann.close()
    return [ann, bo]


# ---- The tests.


def test_tables() -> None:
    """The source has every command with its sender and its fields, in order, and no place left to fill in."""
    lua = render()
    found = re.findall(r'\{name = "([A-Z_]+)", from = "(\w+)"(.*)\},', lua)
    assert [
        (name, sender, re.findall(r'name = "(\w+)", kind = "(\w+)"', rest)) for name, sender, rest in found
    ] == [
        (name, message.FROM, [(field.name, field.kind.name.lower()) for field in message.FIELDS])
        for name, message in COMMANDS.items()
    ]
    assert len(found) == 13
    assert f"LIMITS = {{client = {Limits().request}, server = {Limits().roster}}}" in lua
    assert not re.search("@[A-Z_]+@", lua)
    assert lua.endswith("\n")
    assert render() == lua


@needs_tshark
@each_codec
def test_session(programs: Programs, tshark: Tshark, codec: Codec) -> None:
    """Of a session on loopback exactly what was sent is shown, in one pass and in two."""
    _, url = programs.serve()
    port = int(url.rpartition(":")[2])
    with capturing(port) as captured:
        talkers = converse(port, codec)
    for passes in ((), ("-2",)):
        shown = tshark.messages(captured[0], "-d", f"tcp.port=={port},improto", *passes)
        for stream, talker in enumerate(talkers):
            assert of(shown, stream, Role.CLIENT) == talker.sent
            assert of(shown, stream, Role.SERVER) == talker.received
        assert {each.codec for each in shown} == {codec.name}
        assert [each.code for each in shown if each.code] == ["no-such-conversation"]
        assert {type(each.message) for each in shown} == set(COMMANDS.values())


@needs_tshark
@each_pass
def test_segments(tshark: Tshark, passes: tuple[str, ...]) -> None:
    """However a stream was segmented, the same messages are shown, whatever their texts hold."""
    wire = Wire()
    chance = random.Random(6666)
    for stream, name in enumerate(CODECS):
        wire.split(stream, Role.CLIENT, b" \r\n" + written(load(name), CLIENT), chance)
        wire.split(stream, Role.SERVER, written(load(name), SERVER), chance)
    shown = tshark.messages(wire.capture(), *passes)
    for stream in range(len(CODECS)):
        assert of(shown, stream, Role.CLIENT) == list(CLIENT)
        assert of(shown, stream, Role.SERVER) == list(SERVER)


def legacy(sender: Role) -> tuple[bytes, list[AnyMessage]]:
    """Give what old and new picklers have written for one side, as a stream, and the messages in it."""
    data = b""
    codec = load("pickle")
    for line in (ROOT / "data" / "pickle-legacy.jsonl").read_text("ascii").splitlines():
        row = json.loads(line)
        if COMMANDS[row["message"]].FROM is sender:
            data += bytes.fromhex(row["hex"])
    reader = codec.reader(sender)
    reader.feed(data)
    messages: list[AnyMessage] = []
    while (message := reader.next(Limits().roster)) is not None:
        messages.append(message)
    return data, messages


@needs_tshark
@each_pass
def test_picklers(tshark: Tshark, passes: tuple[str, ...]) -> None:
    """What the picklers of Python 2.7 to 3.13 and of others write is shown as the reference reads it."""
    wire = Wire()
    chance = random.Random(2)
    requests, responses = legacy(Role.CLIENT), legacy(Role.SERVER)
    wire.split(0, Role.CLIENT, requests[0], chance)
    wire.split(0, Role.SERVER, responses[0], chance)
    shown = tshark.messages(wire.capture(), *passes)
    assert of(shown, 0, Role.CLIENT) == requests[1]
    assert of(shown, 0, Role.SERVER) == responses[1]


@needs_tshark
def test_columns(tshark: Tshark) -> None:
    """The columns name the protocol and all commands of a packet."""
    wire = Wire()
    data = written(load("msgpack"), CLIENT[:3])
    wire.segment(0, Role.CLIENT, data[:30])
    wire.segment(0, Role.CLIENT, data[30:])
    wire.segment(0, Role.CLIENT, written(load("msgpack"), CLIENT[3:6]))
    printed = tshark.run(wire.capture(), "-T", "fields", "-e", "_ws.col.Protocol", "-e", "_ws.col.Info")
    assert printed.splitlines()[1:] == [
        "IMPROTO\tREGISTER, LIST_CONVERSATIONS, STATUS",
        "IMPROTO\tINVITE, LIST_CONVERSATIONS, JOIN",
    ]


@needs_tshark
def test_server_only(tshark: Tshark) -> None:
    """A server's codec is guessed from its own bytes if the client's are not in the capture."""
    wire = Wire()
    for stream, name in enumerate(CODECS):
        for message in SERVER:
            wire.segment(stream, Role.SERVER, written(load(name), [message]))
    shown = tshark.messages(wire.capture())
    for stream, name in enumerate(CODECS):
        assert of(shown, stream, Role.SERVER) == list(SERVER)
        assert {each.codec for each in shown if each.stream == stream} == {name}


@needs_tshark
def test_preference(tshark: Tshark) -> None:
    """Where the first bytes are lost, the codec can be set, and all that is whole is shown."""
    wire = Wire()
    codec = load("json")
    wire.segment(0, Role.CLIENT, b'EN":1}\n' + written(codec, CLIENT[1:3]))
    wire.segment(0, Role.CLIENT, written(codec, CLIENT[3:]))
    shown = tshark.messages(wire.capture(), "-o", "improto.codec:json")
    assert "improto.malformed" in shown[0].names
    assert of(shown[1:], 0, Role.CLIENT) == list(CLIENT[1:])


@needs_tshark
def test_port_used_again(tshark: Tshark) -> None:
    """Two connections that have the same ports one after the other may have two codecs."""
    wire = Wire()
    for name in CODECS:
        wire.segment(0, Role.CLIENT, written(load(name), CLIENT))
        wire.segment(0, Role.SERVER, written(load(name), SERVER))
    for passes in ((), ("-2",)):
        shown = tshark.messages(wire.capture(), *passes)
        assert of(shown, 0, Role.CLIENT) == list(CLIENT) * len(CODECS)
        assert of(shown, 0, Role.SERVER) == list(SERVER) * len(CODECS)


BAD: Final[Sequence[tuple[bytes, list[str]]]] = (
    (b"\xff\xfe\0garbage", ["malformed"]),  # CODEC-15
    (b"register ann here\n", ["malformed"]),
    (b"REGISTER ann h\xc3\xa9re\nGOODBYE\n", ["malformed", "GOODBYE"]),  # ASCII-11
    (b'REGISTER "ann\nSTATUS "\\ud800"\n\n', ["malformed", "malformed"]),  # ASCII-9
    (b"REGISTER " + b"x" * 66_000 + b"\nGOODBYE\n", ["malformed", "malformed", "GOODBYE"]),  # LIMIT-2
    (b"REGISTER ann\nFROB x\nERROR x\n", ["invalid", "unknown_command", "unknown_command"]),  # CONN-9
    (b'{"type":"STATUS"}\n{"type":7}\n{"type":\n[]\n{}x\n', ["invalid", *["malformed"] * 4]),  # JSON-7
    (b'{"type":"STATUS","status":7}\n', ["invalid"]),  # JSON-13
    (b'{"type":"STATUS","status":"","x":[[[[[]]]]]}\n', ["malformed"]),  # LIMIT-17
    (b'{"type":"STATUS","status":"\xff"}\n{"type":"STATUS","status":NaN}\n', ["malformed"] * 2),  # JSON-10
    (b"\0\0\0\0\0\0\0\1\x90\0\0\0\1\xc1", ["malformed"] * 3),  # MSGPACK-8
    (b"\0\1\0\1", ["malformed"]),  # MSGPACK-10
    (b"\0\0\0\x0e\x92\xa6STATUS\xc4\0\0\0\0\0", ["malformed"]),  # MSGPACK-7
    (b"\0\0\0\x0a\x92\xa6STATUS\xc4\0", ["invalid"]),  # MSGPACK-4
    (b"REGISTER (S'a'\nS'b'\nltcos\nsystem\n.", ["malformed"]),  # PICKLE-8
    # PICKLE-23
    (b"REGISTER (S'a'\nl.LIST_CONVERSATIONS (I1\nl.", ["invalid", "LIST_CONVERSATIONS", "malformed"]),
    (b"STATUS ((((((.", ["malformed"]),  # PICKLE-24
    (b"STATUS (I01\nl.STATUS ]h\x07.", ["invalid", "malformed"]),  # PICKLE-16
    (b"STATUS ]\x94h\0ah\0a.", ["invalid"]),  # a list that holds itself
)


@needs_tshark
@each_pass
def test_bad(tshark: Tshark, passes: tuple[str, ...]) -> None:
    """What a receiver refuses is shown with the reason as expert information, and what follows as ever."""
    wire = Wire()
    for stream, (data, _) in enumerate(BAD):
        for start in range(0, len(data), 33_000):
            wire.segment(stream, Role.CLIENT, data[start : start + 33_000])
    shown = tshark.messages(wire.capture(), *passes)
    for stream, (data, expected) in enumerate(BAD):
        found = [
            each.message.COMMAND
            if each.message
            else next(name for name in each.names if re.match("improto.(malformed|invalid|unknown)", name))
            for each in shown
            if each.stream == stream
        ]
        assert [name.removeprefix("improto.") for name in found] == expected, data[:100]


def mangled(data: bytes, chance: random.Random) -> bytes:
    """Change some bytes, in place or in number."""
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(changed))
        match chance.randrange(4):
            case 0:
                changed[at] = chance.randrange(256)
            case 1:
                del changed[at : at + chance.randrange(1, 30)]
            case 2:
                changed[at:at] = chance.randbytes(chance.randrange(1, 10))
            case _:
                changed[at:at] = changed[: chance.randrange(50)]
        changed = changed or bytearray(b"x")
    return bytes(changed)


@needs_tshark
def test_robust(tshark: Tshark) -> None:
    """No bytes make an error in the dissector, and two passes show the same as one."""
    wire = Wire()
    chance = random.Random(4)
    samples = [(load(name), sender) for name in CODECS for sender in Role]
    for stream in range(400):
        codec, sender = chance.choice(samples)
        if sender is Role.SERVER and chance.random() < 0.7:
            wire.segment(stream, Role.CLIENT, written(codec, CLIENT[:1]))
        messages = chance.choices(CLIENT if sender is Role.CLIENT else SERVER, k=4)
        data = mangled(written(codec, [m for m in messages if m != CLIENT[7]] or CLIENT[:1]), chance)
        wire.split(stream, sender, data if chance.random() < 0.9 else chance.randbytes(200), chance)
    for stream in range(400, 700):  # runs of opcodes, with arguments that are often there
        opcodes = bytes(
            chance.choice(b"(.IJKMSTUVXlaet)]}dsupqrghjN0\n\x80\x85\x86\x8c\x94\x95\x8a") for _ in range(40)
        )
        wire.segment(stream, Role.CLIENT, b"REGISTER (" + opcodes + b"1\n'\0." * 3)
    once, twice = (tshark.messages(wire.capture(), *passes) for passes in ((), ("-2",)))
    assert once == twice
    assert any(each.message for each in once)
    assert any("improto.malformed" in each.names for each in once)


@needs_tshark
def test_without_reassembly(tshark: Tshark) -> None:
    """Where segments are not put together, whole messages are shown, and of others that they are incomplete."""
    wire = Wire()
    data = written(load("json"), CLIENT[:2])
    wire.segment(0, Role.CLIENT, data[:-10])
    shown = tshark.messages(wire.capture(), "-o", "tcp.desegment_tcp_streams:FALSE")
    assert [each.message for each in shown] == [CLIENT[0], None]
    assert "improto.incomplete" in shown[1].names
