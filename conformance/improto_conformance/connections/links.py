"""Carries the bytes between the suite and a server: the only module that knows how a target is connected."""

import socket
import struct
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import pairwise
from random import Random
from typing import Final, NamedTuple, Protocol

from improto.codec import Codec, LengthCodec, LineCodec
from improto.errors import ImprotoError, UsageError

__all__ = [
    "CUTS",
    "Connect",
    "Link",
    "MessageLink",
    "Misframed",
    "Refused",
    "SocketLink",
    "cutting",
    "unframed",
]


class Link(Protocol):
    """The suite's end of one connection."""

    def now(self) -> float:
        """Give the time on the clock of this connection, in seconds."""
        ...

    def send(self, data: bytes) -> None:
        """Send bytes; if the server has closed the connection, they are lost without an error."""
        ...

    def receive(self, timeout: float) -> bytes:
        """Give the bytes that have come, empty at the end; TimeoutError if nothing comes in so many seconds.

        ConnectionResetError if the other end reset the connection, which may have destroyed what came before.
        """
        ...

    def half_close(self) -> None:
        """End the sending direction, and go on receiving."""
        ...

    def reset(self) -> None:
        """Reset the connection."""
        ...

    def close(self) -> None:
        """Close; harmless if that was done."""
        ...


Connect = Callable[[float, Codec], Link]
"""Makes a link for a party that speaks a codec, in at most so many seconds; OSError if that fails."""


class MessageLink:
    """A link that carries messages instead of bytes: each `send` is one message, and each `receive` gives one.

    `receive` may raise Misframed.
    """


class Misframed(ImprotoError):
    """A message did not come in the form that its transport demands; `data` is what it would be on a stream."""

    def __init__(self, text: str, data: bytes) -> None:
        """Say what is wrong, and with which data."""
        super().__init__(text)
        self.data = data


class Refused(OSError):
    """There is a server, but it does not agree to something that the transport needs; the text says what."""


def unframed(codec: Codec, data: bytes) -> bytes:
    """Give the payload of a message, which is given as it is on a stream; `data` itself if that is no whole frame."""
    if isinstance(codec, LengthCodec):
        return data[len(codec.frame(b"")) :]
    if isinstance(codec, LineCodec):
        return data.removesuffix(b"\n")
    # What stands around a payload may depend on its length.
    size = bisect_right(range(len(data) + 1), len(data), key=lambda size: len(codec.frame(bytes(size)))) - 1
    both = zip(codec.frame(b"0" * size), codec.frame(b"1" * size), strict=False)
    start = next((at for at, (zero, one) in enumerate(both) if zero != one), 0)
    payload = data[start : start + size]
    return payload if codec.frame(payload) == data else data


class SocketLink:
    """A link over a socket: TCP, TLS or Unix."""

    def __init__(self, connected: socket.socket, timeout: float) -> None:
        """Use a connected socket; a send may take at most `timeout` seconds."""
        self._timeout = timeout
        self._socket = connected
        self._reset = False  # by the other end
        self._torn = False  # whether the other end did not read in time, so that a part of a send is missing

    def now(self) -> float:
        """Give the system's time."""
        return time.monotonic()

    def send(self, data: bytes) -> None:
        """Send everything, unless the other end does not read; after that, nothing is sent any more."""
        if self._torn:
            return
        try:
            self._socket.settimeout(self._timeout)
            self._socket.sendall(data)
        except ConnectionResetError:
            self._reset = True  # the system tells it once only
        except TimeoutError:
            self._torn = True
        except OSError:
            pass  # a server that has closed already is seen when reading

    def receive(self, timeout: float) -> bytes:
        """Receive."""
        self._socket.settimeout(max(0.001, timeout))
        try:
            data = self._socket.recv(64 * 1024)
        except (TimeoutError, ConnectionResetError):
            raise
        except OSError:
            data = b""
        if not data and self._reset:
            raise ConnectionResetError
        return data

    def half_close(self) -> None:
        """Shut down writing."""
        with suppress(OSError):  # it has ended already
            self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Have the system send a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        """Close."""
        self._socket.close()


_Pieces = Callable[[bytes, Random], Iterable[bytes]]
"""Cuts the bytes to be sent into pieces; the second argument decides where."""


class _Cut:
    """A link that sends bytes in pieces of its own choice."""

    def __init__(self, link: Link, together: "list[_Cut]", cut: "_Way", random: Random) -> None:
        self._link = link
        self._together = together  # the links that hold something back until somebody receives
        self._cut = cut
        self._random = random
        self._held = bytearray()

    def now(self) -> float:
        return self._link.now()

    def send(self, data: bytes) -> None:
        self._held += data
        self._together.append(self)
        if not self._cut.holds:
            self.flush()

    def flush(self) -> None:
        """Send what is held back."""
        data = bytes(self._held)
        self._held.clear()
        for piece in self._cut.pieces(data, self._random):
            self._link.send(piece)

    def receive(self, timeout: float) -> bytes:
        self._flush_all()
        return self._link.receive(timeout)

    def half_close(self) -> None:
        self._flush_all()
        self._link.half_close()

    def reset(self) -> None:
        self._flush_all()
        self._link.reset()

    def close(self) -> None:
        self._link.close()

    def _flush_all(self) -> None:
        for link in self._together:
            link.flush()
        self._together.clear()


class _Way(NamedTuple):
    """A way to cut."""

    pieces: _Pieces
    holds: bool = False
    """Whether sent bytes are held back until somebody receives, so that a piece may hold parts of several messages."""


def _all_at_once(data: bytes, _: Random) -> Iterable[bytes]:
    return [data] if data else []


def _one_by_one(data: bytes, _: Random) -> Iterable[bytes]:
    # Long messages are cut into larger pieces, since otherwise they would take up most of a run.
    size = 1 if len(data) <= _LONG else 1 + len(data) // _LONG
    return (data[at : at + size] for at in range(0, len(data), size))


def _in_thirds(data: bytes, _: Random) -> Iterable[bytes]:
    size = max(1, -(-len(data) // 3))
    return (data[at : at + size] for at in range(0, len(data), size))


def _sampled(data: bytes, random: Random) -> Iterable[bytes]:
    count = random.randint(0, min(_MOST, max(0, len(data) - 1)))
    places = [0, *sorted(random.sample(range(1, len(data)), count)), len(data)] if data else []
    return (data[start:end] for start, end in pairwise(places))


_LONG: Final = 512
_MOST: Final = 5  # places at which what is sent is cut

CUTS: Final[Mapping[str, _Way | None]] = {
    "whole": None,
    "bytes": _Way(_one_by_one),
    "thirds": _Way(_in_thirds),
    "coalesced": _Way(_all_at_once, holds=True),
    "sampled": _Way(_sampled, holds=True),
}
"""How what the suite sends is cut into writes (CONN-4, CONN-5): as each check has it, each byte on its own, each write
in three, all that is sent before anybody receives in one, or the same cut at a few places, wherever messages end."""


def cutting(connect: Connect, cut: str, seed: str) -> Connect:
    """Give a function that connects for one check, with a link that cuts in one of the ways of `CUTS`.

    `seed` decides where, if the way is random: the same seed always gives the same places.
    """
    if cut not in CUTS:  # which a transcript may say
        raise UsageError(f"there is no cut {cut!a}; there are {', '.join(CUTS)}")
    way = CUTS[cut]
    if way is None:
        return connect
    together: list[_Cut] = []
    random = Random(seed)
    return lambda timeout, codec: _Cut(connect(timeout, codec), together, way, random)
