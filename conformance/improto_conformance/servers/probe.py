"""Finds out whether there is a server of this protocol at all that speaks a codec.

If there is none, one clear line says why, instead of a failure of every check.  If a server speaks the protocol wrongly,
that is a matter for the checks: here it is enough that it tries.
"""

import ssl
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from improto.cli.text import escaped
from improto.codec import Codec, available, load
from improto.errors import DecodeError, RegistryError
from improto.messages import AnyMessage, Code, Error, Goodbye, OnlineUsers, Register, Role
from improto_conformance.connections.links import Link, Misframed, Refused
from improto_conformance.servers.targets import NoTarget, Target, Unmade

__all__ = ["probe", "reaching"]

_LIMIT: Final = 16 * 1024 * 1024
_TLS_ALERT: Final = b"\x15\x03"


def probe(target: Target, codec: Codec, name: str, timeout: float) -> None:
    """Register a user and leave again; NoTarget, with the reason, if nothing answers like a server of this protocol."""
    with reaching(target, codec.name):
        link = target.begin()(timeout, codec)
    reason = _registered(link, codec, name, timeout)
    if reason:
        raise NoTarget(target.ending() or f"{target.where} {reason}")


@contextmanager
def reaching(target: Target, codec: str) -> Generator[None]:
    """Turn the OSError of a connection that cannot be made into NoTarget, with what to do about it."""
    try:
        yield
    except Unmade as error:
        raise NoTarget(str(error)) from None
    except OSError as error:
        raise NoTarget(target.ending() or f"{target.where} {_unreached(error, codec)}") from None


def _unreached(error: OSError, codec: str) -> str:
    """Say why there is no connection."""
    match error:
        case ssl.SSLCertVerificationError():
            reason = f"has a certificate that is not trusted ({error.verify_message})"
            return f"{reason}; give --ca FILE, --server-name or --insecure"
        case ssl.SSLError():
            return f"does not speak TLS ({error.reason}); write tcp:// or ws:// if it is not meant to"
        case Refused():
            return f"is no WebSocket for this ({error}); is the path right, and does it speak {codec}?"
        case _:
            return f"cannot be reached ({error.strerror or error}); is it running, and is the address right?"


def _registered(link: Link, codec: Codec, name: str, timeout: float) -> str:
    """Register and leave, and give what is wrong with the answer."""
    try:
        link.send(codec.frame(codec.encode(Register(name, ""))))
        reason = _answer(link, codec, timeout)
        link.send(codec.frame(codec.encode(Goodbye())))
    except OSError as error:  # raised by a server in this process
        return f"breaks off at a REGISTER in {codec.name}: {error}"
    finally:
        link.close()
    return reason


def _answer(link: Link, codec: Codec, timeout: float) -> str:
    """Give what is wrong with the answer to REGISTER, or nothing if a server tries to speak this protocol."""
    reader, received, end = codec.reader(Role.SERVER), b"", link.now() + timeout
    while True:
        try:
            data = link.receive(end - link.now())
        except ConnectionResetError:
            data = b""
        except Misframed:
            return ""  # for the checks of WebSocket
        except TimeoutError:
            if received:
                return _stranger(received, codec)
            return f"says nothing to a REGISTER in {codec.name} within {timeout:g} s; {_ADVICE}"
        if not data:
            if received:
                return _stranger(received, codec)
            return f"closes the connection at a REGISTER in {codec.name} without a word; {_ADVICE}"
        received += data
        reader.feed(data)
        try:
            answer = reader.next(_LIMIT)
        except DecodeError as error:
            return "" if error.code is Code.INVALID else _stranger(received, codec)
        if isinstance(answer, Error):
            return f"registers nobody in {codec.name}: {escaped(answer.message)}"
        if answer is not None:
            return ""


_ADVICE: Final = "does it speak another codec (--codec), TLS (tls://) or WebSocket (ws://)?"


def _stranger(received: bytes, codec: Codec) -> str:
    """Tell from an answer in what is no message of a codec what the server speaks instead."""
    if OnlineUsers.COMMAND.encode() in received:
        return ""  # a roster in a wrong form
    if received.startswith(_TLS_ALERT):
        return "speaks TLS; write tls:// or wss://"
    if received.startswith(b"HTTP/"):
        return "is an HTTP server; for WebSocket write ws://, else look for the right port"
    for other in available():
        if other != codec.name and _first(received, other) is not None:
            return f"speaks {other} and not {codec.name}; name its codecs in a profile or with --codec"
    shown = ascii(received[:60])[2:-1]
    return f"answers a REGISTER in {codec.name} with {shown}, which is no message; is this the right port?"


def _first(received: bytes, codec: str) -> AnyMessage | None:
    try:
        reader = load(codec).reader(Role.SERVER)
        reader.feed(received)
        return reader.next(_LIMIT)
    except (DecodeError, RegistryError):
        return None
