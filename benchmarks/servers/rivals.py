"""The servers that are measured: how each is started, and what a member of a conversation says to it."""

import os
import pwd
import shlex
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from improto.codec import load
from improto.messages import AnyMessage, Invite, Join, ListConversations, Register, SendMessage

__all__ = ["MARK", "TEXT", "Missing", "Rival", "floor", "floor_in_c", "own", "rivals"]

HERE = Path(__file__).parent
MARK = b"|"
"""Stands once in each text, and in nothing else that a server sends: so deliveries are counted."""
TEXT = "hi there, how are u|"


class Missing(Exception):
    """What a server needs is not here."""


@dataclass(frozen=True)
class Rival:
    """One server, and how to speak to it."""

    name: str
    command: Callable[[int, Path], Sequence[str]]
    """Starts it on a port, with a folder of its own.  Missing, with the reason, if that cannot be."""
    enter: Callable[[int], bytes]
    """What the n-th member says to be in the conversation."""
    message: bytes
    """What the sender says."""
    begin: bytes = b""
    """What the 0th member says once another one is there, to begin the conversation."""
    hello: Callable[[int], bytes] = lambda _: b""
    """What the n-th member says first; a welcome is waited for, if this is something."""
    welcome: bytes = b""
    """What stands in a welcome."""
    question: bytes = b""
    """Something that is answered at once with …"""
    answer: bytes = b""
    """… something with this in it, once."""
    reads_own: bool = True
    """Whether the sender gets a copy."""
    apart: bytes = b""
    """Where a member cannot send: what a sender of its own says instead of entering."""


def program(name: str) -> str:
    """Find a program."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if path is None:
        raise Missing(f"there is no {name} here: apt-get install {name}")
    return path


def module(name: str) -> None:
    """See that a package is there."""
    if find_spec(name) is None:
        raise Missing(f"it needs a package: pip install {name}")


def own(codec_name: str, *, uvloop: bool = False) -> Rival:
    """Our server, as it is installed and with its defaults, but for the limit on connections."""
    codec = load(codec_name)

    def command(port: int, folder: Path) -> Sequence[str]:
        start = "from improto.cli import main; main()"
        if uvloop:
            module("uvloop")
            start = f"import uvloop; uvloop.install(); {start}"
        limits = ["--connections", "20000", "--per-address", "20000"]
        return [sys.executable, "-c", start, "serve", "--port", str(port), *limits]

    def written(message: AnyMessage) -> bytes:
        return codec.frame(codec.encode(message))

    return Rival(
        f"improto {codec_name}{', uvloop' if uvloop else ''}",
        command,
        enter=lambda n: written(Join("1")),
        message=written(SendMessage("1", TEXT)),
        begin=written(Invite(("user1",))),
        hello=lambda n: written(Register(f"user{n}", "here")),
        question=written(ListConversations()),
        answer=b"CONVERSATIONS",
    )


def floor(*, uvloop: bool = False) -> Rival:
    """The hand-written minimal server, which speaks of the ascii codec what it needs."""

    def command(port: int, folder: Path) -> Sequence[str]:
        if uvloop:
            module("uvloop")
        return [sys.executable, str(HERE / "floor.py"), str(port), *(["uvloop"] if uvloop else [])]

    name = "hand-written, Python, uvloop" if uvloop else "hand-written, Python"
    return Rival(
        name,
        command,
        enter=lambda n: b"JOIN 1\n",
        message=f'SEND_MESSAGE 1 "{TEXT}"\n'.encode(),
        hello=lambda n: f"REGISTER user{n} here\n".encode(),
    )


def floor_in_c() -> Rival:
    """The same in C."""

    def command(port: int, folder: Path) -> Sequence[str]:
        compiler = shutil.which("cc")
        if compiler is None:
            raise Missing("there is no C compiler here: apt-get install gcc")
        subprocess.run([compiler, "-O2", "-o", folder / "floor", HERE / "floor.c"], check=True)
        return [str(folder / "floor"), str(port)]

    python = floor()
    return Rival("hand-written, C", command, python.enter, python.message, hello=python.hello)


def redis() -> Rival:
    """Publish and subscribe."""

    def command(port: int, folder: Path) -> Sequence[str]:
        options = f"--port {port} --save '' --dir {folder} --maxclients 20000"
        return [program("redis-server"), *shlex.split(options)]

    return Rival(
        "redis",
        command,
        enter=lambda n: b"SUBSCRIBE room\r\n",
        message=f"*3\r\n$7\r\nPUBLISH\r\n$4\r\nroom\r\n$20\r\n{TEXT}\r\n".encode(),
        apart=b"PING\r\n",
    )


def nats() -> Rival:
    """Publish and subscribe."""
    return Rival(
        "nats-server",
        lambda port, folder: [program("nats-server"), "-a", "127.0.0.1", "-p", str(port)],
        enter=lambda n: b'CONNECT {"verbose":false,"pedantic":false}\r\nSUB room 1\r\nPING\r\n',
        message=f"PUB room 20\r\n{TEXT}\r\n".encode(),
    )


def irc(name: str, command: Callable[[int, Path], Sequence[str]]) -> Rival:
    """A server for IRC, with its limits on flooding off.  It sends a sender no copy."""
    return Rival(
        name,
        command,
        enter=lambda n: b"JOIN #room\r\n",
        message=f"PRIVMSG #room :{TEXT}\r\n".encode(),
        hello=lambda n: f"NICK user{n}\r\nUSER user{n} 0 * :user\r\n".encode(),
        welcome=b" 001 ",
        reads_own=False,
    )


def ngircd(port: int, folder: Path) -> Sequence[str]:
    """Write its configuration."""
    (folder / "ngircd.conf").write_text(
        f"[Global]\nName=irc.example.net\nInfo=bench\nListen=127.0.0.1\nPorts={port}\nMotdPhrase=hi\n"
        "ServerUID=65534\nServerGID=65534\n"
        "[Limits]\nMaxConnections=0\nMaxConnectionsIP=0\nMaxJoins=0\nMaxPenaltyTime=0\nPingTimeout=3600\n"
        "[Options]\nDNS=no\nIdent=no\nPAM=no\n"
    )
    return [program("ngircd"), "-n", "-f", str(folder / "ngircd.conf")]


def inspircd(port: int, folder: Path) -> Sequence[str]:
    """Write its configuration."""
    (folder / "inspircd.conf").write_text(
        '<server name="irc.example.net" description="bench" network="bench">'
        '<admin name="a" nick="a" email="a@example.net">'
        f'<bind address="127.0.0.1" port="{port}" type="clients">'
        '<connect allow="*" timeout="60" pingfreq="3600" hardsendq="64M" softsendq="64M" recvq="1M" threshold="100000"'
        ' commandrate="1000000000" fakelag="no" localmax="20000" globalmax="20000" maxconnwarn="no" resolvehostnames="no"'
        ' useident="no" limit="20000">'
        f'<options defaultmodes="n"><performance softlimit="20000" somaxconn="1024" netbuffersize="10240">'
        f'<pid file="{folder}/pid"><log method="file" type="*" level="default" target="{folder}/log">'
        '<files motd="/dev/null">'
    )
    return [program("inspircd"), "--nofork", "--runasroot", "--config", str(folder / "inspircd.conf")]


def miniircd(port: int, folder: Path) -> Sequence[str]:
    """Find it beside this Python."""
    module("miniircd")
    user = pwd.getpwuid(os.getuid()).pw_name  # it asks to be told if that is root
    return [sys.executable, "-m", "miniircd", "--ports", str(port), "--listen", "127.0.0.1", "--setuid", user]


def mosquitto() -> Rival:
    """MQTT at quality of service 0."""

    def packet(kind: int, body: bytes) -> bytes:
        return bytes([kind, len(body)]) + body  # each has less than 128 bytes

    def command(port: int, folder: Path) -> Sequence[str]:
        (folder / "mosquitto.conf").write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\n"
            "persistence false\nuser root\n"
        )
        return [program("mosquitto"), "-c", str(folder / "mosquitto.conf")]

    def enter(n: int) -> bytes:
        name = f"user{n}".encode()
        connect = b"\0\x04MQTT\x04\x02\0\0" + struct.pack(">H", len(name)) + name
        return packet(0x10, connect) + packet(0x82, b"\0\x01\0\x04room\0")

    return Rival("mosquitto", command, enter, packet(0x30, b"\0\x04room" + TEXT.encode()))


def websockets() -> Rival:
    """`websockets.broadcast` of each text to everybody."""

    def command(port: int, folder: Path) -> Sequence[str]:
        module("websockets")
        return [sys.executable, str(HERE / "broadcast.py"), str(port)]

    upgrade = (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    frame = bytes([0x81, 0x80 | len(TEXT), 0, 0, 0, 0]) + TEXT.encode()  # a mask of zeros changes nothing
    return Rival("websockets broadcast", command, lambda n: b"", frame, hello=lambda n: upgrade)


def rivals() -> list[Rival]:
    """Give all, the floors first."""
    return [
        floor(),
        floor(uvloop=True),
        floor_in_c(),
        own("ascii"),
        own("json"),
        own("ascii", uvloop=True),
        own("json", uvloop=True),
        redis(),
        nats(),
        irc("inspircd", inspircd),
        irc("ngircd", ngircd),
        irc("miniircd", miniircd),
        mosquitto(),
        websockets(),
    ]
